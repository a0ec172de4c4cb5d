"""What many translations share: found by dependency, computed once, equal to computing everything."""

import pytest
import torch
import toy
from small_translators import of_pass
from torch import Tensor

from i2i_forge.engine.forward_pass import tensor
from i2i_forge.translate import Translator
from i2i_forge.translate.varying import unvaried


class ChainForward(toy.ToyForward):
    @tensor
    def styled(self) -> Tensor:
        return self.code * 2

    @tensor
    def brightness(self) -> Tensor:
        return self.source.mean((1, 2, 3))[:, None]

    @tensor
    def mixed(self) -> Tensor:
        return self.styled + self.brightness

    @tensor
    def translation(self) -> Tensor:
        return self.dst.decoder(self.content, self.mixed) + self.other_way

    @tensor
    def other_way(self) -> Tensor:
        return self.reverse.target.mean()


class AwkwardForward(toy.ToyForward):
    @tensor
    def translation(self) -> Tensor:
        return self.dst.decoder(self.content, self.code) * (2.0 if self.source.mean().item() > 0 else 1.0)


class DependentForward(toy.ToyForward):
    @tensor
    def content(self) -> Tensor:
        return self.src.encoder(self.source) + self.code.sum()


@pytest.mark.parametrize(
    ("forward", "shared"),
    [
        (toy.ToyForward, ["content"]),
        (ChainForward, ["content", "brightness", "other_way"]),
        (DependentForward, []),
        (AwkwardForward, []),  # it needs values: everything is computed every time
    ],
)
def test_what_no_code_changes_is_computed_once(forward: type[toy.ToyForward], shared: list[str]) -> None:
    method, x = of_pass(forward).trainer, toy.images(1)["a"]
    codes = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))
    assert unvaried(method, {"a": x}, "ab", {"code": codes[:1]}) == shared
    translator, encoder = Translator(method, toy.recipe(), 0), method.networks["encoder"]["a"]
    images = list(translator.translations(x, "ab", codes))
    encoder.calls = 0
    list(translator.translations(x, "ab", codes))  # now it knows what is shared
    assert encoder.calls == (1 if shared else len(codes))
    for image, code in zip(images, codes, strict=True):
        assert torch.equal(image[None], method.translate(x, "ab", code=code[None]).clamp(-1, 1))
