"""Measured images are translated in fp32, whatever the precision of the training: bf16 has steps of 8 HU below 0."""

from typing import ClassVar

import numpy as np
import toy
from torch import Tensor, nn

from i2i_forge.data import ImageSpace
from i2i_forge.engine.forward_pass import ForwardPass, tensor
from i2i_forge.engine.trainer import Trainer
from i2i_forge.recipe.domains import Domain
from i2i_forge.translate import Translator

HU = ImageSpace(Domain(unit="HU", range=(-1024, 3071)))
RAMP = np.arange(-1024, -599)  # 425 values


class Same(ForwardPass):
    @tensor
    def translation(self) -> Tensor:
        return self.dst.decoder(self.source)


class Identity(Trainer):
    """A double whose network is a convolution that changes nothing: in bf16 it rounds."""

    forward_pass: ClassVar = Same
    routes: ClassVar = {"ab": ("a", "b")}
    roles: ClassVar = {"decoder": "decoders"}


def identity(precision: str) -> Identity:
    network = nn.Conv2d(1, 1, 1, bias=False)
    nn.init.ones_(network.weight)
    spaces = {"a": HU, "b": HU}
    return Identity({"decoder": {"shared": network}}, [], [], precision=precision, spaces=spaces)


def codes(y: Tensor) -> np.ndarray:
    return HU.to_codes(y[0], "int16")[0][0]


def test_a_ramp_of_all_hu_comes_back_of_a_run_in_bf16():
    x = HU.to_tensor(np.broadcast_to(RAMP, (1, 8, len(RAMP))).astype(np.float64))[None]
    rounded = codes(identity("bf16").translate(x).float())
    assert len(np.unique(rounded)) <= 54  # what the network itself makes in bf16
    translator = Translator(identity("bf16"), toy.recipe(), 0)
    for y in (
        translator.translate(x),
        next(translator.translations(x))[None],
        translator.translate_in_tiles(x, tile=64),
    ):
        assert np.array_equal(codes(y), np.broadcast_to(RAMP, (8, len(RAMP))))
    assert translator.trainer.precision == "fp32"


def test_8_bit_images_keep_the_precision_of_the_run():
    trainer = identity("bf16").alike(spaces=None)
    assert Translator(trainer, toy.recipe(), 0).trainer is trainer
