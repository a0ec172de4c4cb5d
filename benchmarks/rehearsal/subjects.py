"""What is rehearsed: the parts of a recipe's life, and metrics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

import i2i_forge
from i2i_forge.catalog.loading import load_plugins
from i2i_forge.engine.trainer import Trainer
from i2i_forge.measure.batch import Batch
from i2i_forge.measure.metric import Tools
from i2i_forge.study.bench_steps import images_of, plain_steps
from i2i_forge.translate.translator import Translator
from i2i_forge_benchmarks.rehearsal.driverless import Generator, rehearsing
from i2i_forge_benchmarks.rehearsal.recorder import Recorder

METHODS = ("munit", "unit", "bicyclegan", "pix2pix", "cyclegan", "cyclegan_noise", "augmented_cyclegan")
SYNTHETIC = [f"{method}_synthetic" for method in METHODS]
PUBLISHED = [
    "munit_edge2shoes", "unit_edges2shoes", "bicyclegan_edges2shoes", "pix2pix_facades", "cyclegan_horse2zebra",
    "augmented_cyclegan_edges2shoes",
]  # fmt: skip
WITHOUT_TILES = ("bicyclegan", "cyclegan_noise", "pix2pix")  # U-Nets: a pixel depends on all others

METRICS = "metrics, 12 images of 64 pixels"
OF_THE_PROCESSOR = ("mae", "pearson", "rmse")  # metrics whose sums are NumPy's


@dataclass
class Counts:
    """What a part costs.

    Attributes:
        kernels: by operation.
        megabytes: that operations read and write.
        waits, drawn: where the host waits for the device, and where it draws random numbers itself.
        seeded: how often the device's generator was seeded.
    """

    kernels: dict[str, int] = field(default_factory=dict)
    megabytes: float = 0
    waits: dict[str, int] = field(default_factory=dict)
    drawn: dict[str, int] = field(default_factory=dict)
    seeded: int = 0

    @property
    def pinned(self) -> tuple[int, int, int, int]:
        """Kernels, megabytes, waits and draws of the host: what may only fall."""
        return sum(self.kernels.values()), round(self.megabytes), sum(self.waits.values()), sum(self.drawn.values())


@contextmanager
def counted(generator: Generator) -> Iterator[Counts]:
    """Counts of what runs inside, filled at its end."""
    counts, before = Counts(), generator.calls["manual_seed"]
    with Recorder() as seen:
        yield counts
    counts.kernels, counts.megabytes = dict(seen.kernels.most_common()), seen.bytes.total() / 1e6
    counts.waits, counts.drawn = dict(seen.waits), dict(seen.drawn)
    counts.seeded = generator.calls["manual_seed"] - before


def parts_of(recipe: str, changes: list[str]) -> dict[str, Counts]:
    """A recipe's second step and its report, a translation, tiles, and a step after its state was loaded; and the
    plain step, where there is one on networks of its own.

    Raises:
        RuntimeError: tensors of two devices meet; AssertionError: something that is kept is not on the device.
    """
    checked = i2i_forge.load_recipe(recipe, set=changes)
    found: dict[str, Counts] = {}
    with rehearsing() as (fake, generator):
        trainer = i2i_forge.build_trainer(checked, "cuda")
        with fake, Recorder():  # which makes up values where nobody counts
            batch = images_of(checked)
            trainer.step(batch, 0)
            with counted(generator) as found["step"]:
                report = trainer.begin(batch, 1)
            with counted(generator) as found["report"]:
                trainer.finish(report)
            x = batch[trainer.routes["ab"][0]].to("cuda")
            with counted(generator) as found["translate"]:
                trainer.translate(x, "ab")
            translator = Translator(trainer, checked, 0)
            tiling = translator.tiling("ab")
            tiling.halo = 16  # it would be measured
            if not recipe.startswith(WITHOUT_TILES):
                with counted(generator) as found["tiles"]:
                    translator.translate_in_tiles(torch.zeros(1, 3, 160, 160), "ab", tile=64, exact=False)
            _reload(trainer)
            with counted(generator) as found["step after loading"]:
                trainer.begin(batch, 1)
            plain = plain_steps().get(recipe)
            if plain and plain.own:
                step = plain.own("cuda")
                on_device = {name: images.to("cuda") for name, images in batch.items()}
                step(on_device)
                with counted(generator) as found["plain step"]:
                    step(on_device)
    return found


def _reload(trainer: Trainer) -> None:
    """Take back all state as a checkpoint holds it. Raises AssertionError when it is not where it was."""
    for kept, load in (
        (trainer.state_dict(), trainer.load_state_dict), (trainer.optimizer_state(), trainer.load_optimizer_state)
    ):  # fmt: skip
        load({name: torch.zeros(value.shape, dtype=value.dtype) for name, value in kept.items()})
    averages = trainer.ema.values if trainer.ema else {}
    held: dict[str, Tensor] = {**trainer.state_dict(), **trainer.optimizer_state(), **averages}
    assert not (off := [name for name, value in held.items() if not value.is_cuda]), off


def updates_of_metrics(count: int = 12, size: int = 64) -> dict[str, Counts]:
    """What each metric does with a batch of translations."""
    found: dict[str, Counts] = {}
    with rehearsing() as (fake, generator):
        for entry in load_plugins().catalog.metrics.entries():
            if entry.name in OF_THE_PROCESSOR:
                continue
            protocol = entry.component.protocols[0]
            metric = entry.component(protocol, Tools(torch.device("cuda"), backbone="random"))
            with fake:
                images, draws = torch.zeros(count, 3, size, size, device="cuda"), min(protocol.draws, 4)
                inputs, numbers = [i // draws for i in range(count)], [i % draws for i in range(count)]
                batch = Batch(images, inputs, numbers, list(map(str, inputs)), images.clone(), images.clone())
                with counted(generator) as found[entry.name]:
                    metric.update(batch)
    return found
