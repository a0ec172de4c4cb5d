"""Recipe -> its plain step, with how often each role runs in it; a test counts the calls and compares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from i2i_forge_plugins.plain_steps.munit_step import MunitStep
from i2i_forge_plugins.plain_steps.published import (
    Adams,
    Batch,
    Networks,
    augmented_cyclegan,
    bicyclegan,
    cyclegan,
    munit,
    pix2pix,
    unit,
)  # fmt: skip


@dataclass(frozen=True)
class PlainStep:
    """A recipe's step without the engine.

    Attributes:
        taken: on networks of ours with their optimizers, of a batch.
        calls: role -> forward calls of one step.
        own: device -> the step on networks that have nothing of i2i_forge, where there are any.
    """

    taken: Callable[[Networks, Adams, Batch], None]
    calls: Mapping[str, int]
    own: Callable[[str], Callable[[Batch], object]] | None = None

    def on(self, networks: Networks) -> Callable[[Batch], None]:
        """The step on these networks, to be taken again and again."""
        return partial(self.taken, networks, Adams(networks))


def _munit_alone(device: str) -> Callable[[Batch], object]:
    step = MunitStep(device=device).step
    return lambda batch: step(batch["a"], batch["b"])


PLAIN_STEPS = {  # by recipe
    # D: both encoders of both domains (the styles unused), 2 translations, fake and real of both.
    # G: both encoders of both, 2 reconstructions, 2 translations, both encoders on both translations, 2 judgements.
    "munit_edge2shoes": PlainStep(
        munit, {"content_encoder": 6, "style_encoder": 6, "decoder": 6, "discriminator": 6},
        own=_munit_alone,
    ),
    # D: 2 encodings, 2 translations, 4 judgements. G: 2 encodings, 2 reconstructions, 2 translations, 2 re-encodings,
    # 2 cycles, 2 judgements.
    "unit_edges2shoes": PlainStep(unit, {"encoder": 6, "decoder": 8, "discriminator": 6}),
    # E(B1), G twice, E(G(A1, z)); each D judges its fake for G, then fake and real for itself.
    "bicyclegan_edges2shoes": PlainStep(
        bicyclegan,
        {"encoder": 2, "decoder": 2, "code_encoder": 2, "discriminator": 3, "vae_discriminator": 3},
    ),
    # G once; D judges fake and real for itself, then fake for G.
    "pix2pix_facades": PlainStep(pix2pix, {"encoder": 1, "decoder": 1, "discriminator": 3}),
    # Per direction: translation, cycle, identity; D judges the fake for G, then real and pooled fake.
    "cyclegan_horse2zebra": PlainStep(cyclegan, {"encoder": 6, "decoder": 6, "discriminator": 6}),
    # 2 translations, 2 cycles; E on [fake_A, B] and on [A, fake_B]; each D judges fake and real, then fake for G; so
    # does D_z with the codes.
    "augmented_cyclegan_edges2shoes": PlainStep(
        augmented_cyclegan,
        {"encoder": 4, "decoder": 4, "code_encoder": 2, "discriminator": 6, "code_discriminator": 3},
    ),
}  # fmt: skip
