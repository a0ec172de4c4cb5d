import pytest
import torch

from i2i_forge.errors import RecipeError
from i2i_forge.nn import Augmentation
from i2i_forge.nn.augment import KINDS


def batch(count: int = 8) -> torch.Tensor:
    one = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 1.6 - 0.8
    return one.repeat(count, 1, 1, 1)  # the same image everywhere: what differs afterwards is the augmentation


@pytest.mark.parametrize("kinds", [*((kind,) for kind in KINDS), KINDS], ids="+".join)
def test_training_changes_every_image_in_its_own_way(kinds: tuple[str, ...]) -> None:
    torch.manual_seed(0)
    augment = Augmentation(kinds).train()
    x = batch().requires_grad_()
    out = augment(x)
    assert out.shape == x.shape
    assert out.dtype == x.dtype
    assert not torch.equal(out, x)
    assert len({image.detach().numpy().tobytes() for image in out}) > 1
    assert out.min() >= -1.01
    assert out.max() <= 1.01
    out.square().sum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
    assert all(gradient.abs().sum() > 0 for gradient in x.grad)


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_deterministic_under_a_seed(kind: str) -> None:
    augment = Augmentation([kind]).train()
    outs = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        outs.append(augment(batch()))
    assert torch.equal(outs[0], outs[1])
    assert not torch.equal(outs[0], outs[2])


def test_evaluation_and_no_kinds_are_the_identity() -> None:
    x = batch(2)
    assert Augmentation(KINDS).eval()(x) is x
    assert Augmentation([]).train()(x) is x
    assert Augmentation(KINDS).train()(x.to("meta")).is_meta


def test_flip_flips_some_and_leaves_the_others() -> None:
    torch.manual_seed(0)
    x = batch(16)
    out = Augmentation(["flip"]).train()(x)
    flipped = [torch.allclose(image, x[0].flip(-1), atol=1e-6) for image in out]
    kept = [torch.allclose(image, x[0], atol=1e-6) for image in out]
    assert any(flipped)
    assert any(kept)
    assert all(a != b for a, b in zip(flipped, kept, strict=True))


def test_cutout_takes_a_square_of_half_the_side() -> None:
    torch.manual_seed(0)
    x = torch.full((4, 3, 32, 32), 0.8)
    out = Augmentation(["cutout"]).train()(x)
    for image in out:
        cut = (image - 0.8).abs().amax(0) > 1e-3
        assert cut.any(0).sum() <= 16
        assert cut.any(1).sum() <= 16
        assert cut.sum() >= 8 * 8
        assert torch.allclose(image[:, cut], torch.zeros(()), atol=1e-6)  # grey


def test_it_brings_no_state_and_works_in_other_types() -> None:
    augment = Augmentation(KINDS).train()
    augment(batch(2))
    assert not augment.state_dict()
    assert augment(batch(2).double()).dtype == torch.float64
    assert augment(batch(2).bfloat16()).dtype == torch.bfloat16


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match=r"augment: there is no 'colour'; did you mean 'color'\?"):
        Augmentation(["colour"])


@pytest.mark.parametrize("channels", [1, 2, 4, 6])
def test_colours_change_where_there_are_three_channels_alone(channels: int) -> None:
    x = torch.rand(2, channels, 16, 16, device="meta")
    with pytest.raises(RecipeError, match=rf"sees {channels} channels?\n.*augment: \[flip\]"):
        Augmentation(["color", "flip"])(x)
    Augmentation(["color"]).eval()(x)
    assert Augmentation(["translation", "cutout", "flip"])(torch.rand(2, channels, 16, 16)).shape == x.shape
