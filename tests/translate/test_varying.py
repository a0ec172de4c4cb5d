"""What many translations share: found by dependency, computed once, equal to computing everything."""

import pytest
import torch
import toy
from small_translators import of_pass
from torch import Tensor

from i2i_forge.engine.forward_pass import tensor
from i2i_forge.translate.varying import Varying, unvaried


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
    vary = Varying(method, x, "ab", "code", shared)
    encoder = method.networks["encoder"]["a"]
    for code in codes:
        assert torch.equal(vary(code[None]), method.translate(x, "ab", code=code[None]))
    encoder.calls = 0
    vary(codes)
    assert encoder.calls == (0 if shared else 1)


def test_several_images_with_one_code_each() -> None:
    method, x = of_pass(toy.ToyForward).trainer, toy.images(3)["a"]
    codes = torch.randn(3, 2, generator=torch.Generator().manual_seed(0))
    assert torch.equal(Varying(method, x, "ab", "code", ["content"])(codes), method.translate(x, "ab", code=codes))
