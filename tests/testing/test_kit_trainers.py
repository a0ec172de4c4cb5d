"""Trainers that are wrong in one way each, and what the kit says of them."""

import pytest
import torch
from torch import nn

from i2i_forge.engine.forward_pass import ForwardPass, tensor
from i2i_forge.engine.trainer import Trainer

RECIPE = """
trainer: mine
steps: 2
data: {use: procedural_shoes, paired: true}
networks:
  encoder: {use: residual_content, blocks: 1}
  decoder: {use: residual, blocks: 1}
optimizers: {default: {use: adam, lr: 1.0e-3}}
phases:
  generator:
    trains: [encoder, decoder]
    minimize:
      image: 10 * l1(translation, target)
      square: 1 * mse(translation, target)
"""


class Forward(ForwardPass):
    """Correct."""

    @tensor
    def translation(self):
        return self.dst.decoder(self.src.encoder(self.source))


class Method(Trainer):
    """Correct."""

    forward_pass = Forward
    routes = {"ab": ("a", "b")}  # noqa: RUF012
    roles = {"encoder": "encoders", "decoder": "decoders"}  # noqa: RUF012


def method(forward=Forward, base=Method, **changes):
    """A trainer with another pass or other attributes."""
    return type("Changed", (base,), {"__doc__": "Changed.", "forward_pass": forward, **changes})


class Extra(Forward):
    """Has a tensor that cannot be computed."""

    @tensor
    def broken(self):
        return self.source @ self.target.flatten()

    @tensor
    def misspelt(self):
        return self.dst.encoderr(self.source)


class GlobalNoise(Forward):
    """Draws outside of the keyed randomness."""

    draws = torch.Generator().manual_seed(0)

    @tensor
    def translation(self):
        noise = torch.randn(self.source.shape, generator=self.draws).to(self.source.device)
        return self.dst.decoder(self.src.encoder(self.source + noise))


class Detached(Forward):
    """Cuts the encoder off."""

    @tensor
    def translation(self):
        return self.dst.decoder(self.src.encoder(self.source).detach())


class Halved(Forward):
    """Makes images of another size in inference."""

    @tensor
    def translation(self):
        y = self.dst.decoder(self.src.encoder(self.source))
        return y if self.training else y[..., ::2]


class Coded(Forward):
    """Has a code that does nothing."""

    @tensor
    def random_code(self):
        return self.noise(len(self.source), 4, like=self.source)

    @tensor
    def code(self):
        return self.target.mean((2, 3))

    @tensor
    def fixed_code(self):
        return torch.zeros(len(self.source), 4)


class Memory(nn.Module):
    """Remembers in an attribute that no checkpoint holds."""

    def __init__(self):
        super().__init__()
        self.calls = 0


class Remembering(Forward):
    """Depends on how often it was called."""

    @tensor
    def translation(self):
        self.state["memory"].calls += 1
        x = self.source * (1 + 0.1 * self.state["memory"].calls)
        return self.dst.decoder(self.src.encoder(x))


BROKEN_TRAINERS = [
    (object, "words", "no subclass of i2i_forge.Trainer"),
    (method(routes={"ab": ("a",)}), "words", "goes through 1 domains"),
    (method(ForwardPass), "words", "route 'ab' has no tensor 'translation'"),
    (method(roles={"encoder": "encoders", "decoder": "decoder"}), "words", "'decoder' is of the kind 'decoder'"),
    (method(optional_roles=("critic",)), "words", "optional role 'critic' is none of its roles"),
    (method(latents={"random_code": "code"}), "words", "latents name 'random_code', which is none of its tensors"),
    (method(roles={"encoder": "encoders"}), "runs", "decoder"),
    (method(Extra), "tensors", "'broken' on route 'ab' cannot be computed: RuntimeError"),
    (method(Extra), "tensors", "'misspelt' on route 'ab' cannot be computed: networks.encoderr"),
    (method(GlobalNoise), "deterministic", "draw with self.noise"),
    (method(GlobalNoise), "terms_are_apart", "without the term 'generator.image', generator/square/ab is"),
    (method(Detached), "learns", "do not change 'encoder' at all"),
    (method(Halved), "translates", "makes 1x3x61x"),
    (method(Coded, latents={"random_code": None}), "latents", "does not depend on 'random_code'"),
    (method(Coded, latents={"random_code": "code"}), "latents", "'code' has the shape 2x3, 'random_code' has 2x4"),
    (method(Coded, latents={"fixed_code": None}), "latents", "'fixed_code' on route 'ab' does not depend on the gen"),
    (method(Remembering, state={"memory": Memory}), "resumes", "what it remembers must be in `state`"),
]  # fmt: skip


@pytest.fixture
def tried(failures, host, tmp_path):
    """A trainer tried with RECIPE."""
    file = tmp_path / "mine.yaml"
    file.write_text(RECIPE)

    def call(trainer):
        host.catalog.registering("(a test)")
        host.catalog.trainers.add("mine", trainer)
        return failures("trainers", trainer, recipe=file)

    yield call
    host.catalog.discard("(a test)")


def test_a_correct_trainer_passes(tried):
    assert tried(Method) == {}


@pytest.mark.parametrize(("trainer", "check", "says"), BROKEN_TRAINERS, ids=[row[1] for row in BROKEN_TRAINERS])
def test_a_broken_trainer_is_found(tried, trainer, check, says):
    assert says in tried(trainer).get(check, "")


def test_a_trainer_without_a_recipe_says_how_to_give_one(failures):
    assert 'CHECKS = {"mine": {"recipe": FILE}}' in failures("trainers", Method)["runs"]
