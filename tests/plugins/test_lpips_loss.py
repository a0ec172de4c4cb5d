"""LPIPS against the lpips package's own module, on random trunk weights in float64."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from loaded import CATALOG, recipe_of, trainer_of
from shrink import TINY_MUNIT
from torch import Tensor

import i2i_forge
from i2i_forge.engine.build import trace_recipe
from i2i_forge.errors import DataError, RecipeError
from i2i_forge_benchmarks.lpips_speed import package_of

MODELS = {"alex": "alexnet", "vgg": "vgg16", "squeeze": "squeezenet1_1"}
FILES = {"alex": "alexnet-owt-7be5be79.pth", "vgg": "vgg16-397923af.pth", "squeeze": "squeezenet1_1-b8a52dc0.pth"}


def component() -> Any:
    return CATALOG.losses.get("lpips")


def trunk(net: str) -> dict[str, Tensor]:
    """Random weights in torchvision's layout, with a classifier that nothing needs."""
    with torch.device("meta"):
        shapes = getattr(torchvision.models, MODELS[net])(weights=None).features.state_dict()
    draws = torch.Generator().manual_seed(0)
    made = {}
    for name, value in shapes.items():
        spread = (2 / value[0].numel()) ** 0.5 if value.dim() == 4 else 0.1
        made[f"features.{name}"] = torch.randn(value.shape, generator=draws) * spread
    return made | {"classifier.1.weight": torch.zeros(2, 2)}


def images(side: int = 64, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    draws = torch.Generator().manual_seed(1)
    one = torch.rand(2, 3, side, side, generator=draws, dtype=dtype) * 2 - 1
    return one, (one + 0.3 * torch.randn(2, 3, side, side, generator=draws, dtype=dtype)).clamp(-1, 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("trunks")
    for net, name in FILES.items():
        torch.save(trunk(net), made / name)
    return made


@pytest.mark.parametrize("net", MODELS)
def test_it_is_the_packages_distance_and_gradient(net: str, folder: Path) -> None:
    for version in ("0.1", "0.0"):
        ours = component()(net=net, version=version, trunk=str(folder / FILES[net])).double()
        theirs = package_of(ours.network, net, version).double()
        x, y = images(64 if net == "alex" else 32, torch.float64)
        expected = theirs(x.requires_grad_(), y).flatten()
        distances = ours.network.distance(x, y)
        assert distances.shape == (2,) and distances.min() > 0.01
        assert torch.allclose(distances, expected, rtol=1e-10, atol=0)
        assert ours(x, y).item() == pytest.approx(expected.mean().item(), rel=1e-10)
        (mine,), (their,) = (torch.autograd.grad(value.mean(), x) for value in (distances, expected))
        assert torch.allclose(mine, their, rtol=1e-7, atol=1e-9 * their.abs().max().item())
        assert ours(x, x).item() == 0


def test_gradients_are_finite_where_all_channels_are_zero(folder: Path, tmp_path: Path) -> None:
    dead = trunk("alex")
    dead["features.0.bias"] -= 100  # the first layer's rectifier lets nothing through
    torch.save(dead, tmp_path / "dead.pth")
    x, y = images()
    component()(trunk=str(tmp_path / "dead.pth"))(x.requires_grad_(), y).backward()
    assert torch.isfinite(x.grad).all()


def test_it_is_frozen_and_in_fp32(folder: Path) -> None:
    loss = component()(trunk=str(folder / FILES["alex"]))
    assert not any(p.requires_grad for p in loss.parameters())
    x, y = images()
    expected = loss(x.requires_grad_(), y)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(loss(x, y), expected)
    expected.backward()
    assert x.grad.abs().sum() > 0
    with pytest.raises(ValueError, match="different shapes"):
        loss(x, y[:1])


def test_a_recipe_trains_with_it(folder: Path) -> None:
    term = f"phases.generator.minimize.likeness=1 * lpips(reconstruction, source, trunk='{folder / FILES['alex']}')"
    trainer = trainer_of("munit_edge2shoes", *TINY_MUNIT, term)
    report = trainer.step(dict(zip("ab", images(), strict=True)), 0)
    assert report["generator/likeness/ab"] > 0
    assert not any("trunk" in name for name in trainer.state_dict())


@pytest.mark.parametrize("net", MODELS)
def test_a_missing_trunk_says_what_to_do(net: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORGE_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as caught:
        component()(net=net)
    assert str(tmp_path / "weights" / FILES[net]) in caught.value.message
    assert f"forge weights get {MODELS[net]}" in caught.value.fix
    with pytest.raises(DataError, match=r"mine\.pth does not exist"):
        component()(net=net, trunk="mine.pth")


def test_a_name_is_looked_up_in_the_cache(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORGE_CACHE", str(tmp_path))
    (tmp_path / "weights").symlink_to(folder)
    x, y = images()
    expected = component()(trunk=str(folder / FILES["alex"]))(x, y).item()
    assert component()(trunk=FILES["alex"])(x, y).item() == expected > 0
    with pytest.raises(DataError, match="is not the published file"):  # what it looks for itself is verified
        component()()


@pytest.mark.parametrize("content", [{}, torch.zeros(2), {"features.0.weight": torch.zeros(1)}, "squeeze"])
def test_another_network_is_refused(content: Any, tmp_path: Path) -> None:
    torch.save(trunk("squeeze") if content == "squeeze" else content, tmp_path / "other.pth")
    with pytest.raises(DataError, match=r"other.pth is not torchvision's alexnet") as caught:
        component()(trunk=str(tmp_path / "other.pth"))
    assert "give a file of alexnet" in caught.value.fix


def test_unknown_options_are_refused_before_anything_is_read() -> None:
    with pytest.raises(ValueError, match=r"net 'resnet' and version '0\.1'"):
        component()(net="resnet")
    with pytest.raises(RecipeError, match=r"lpips wants Literal\['0.1', '0.0'\] here, not '0.2'"):
        i2i_forge.load_recipe(
            "munit_edge2shoes", set=["phases.generator.minimize.likeness=lpips(translation, source, version='0.2')"]
        )


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_it_takes_no_other_images_than_rgb(channels: int, folder: Path) -> None:
    ours = component()(trunk=str(folder / FILES["alex"]))
    x = torch.zeros(2, channels, 64, 64)
    with pytest.raises(DataError, match=f"lpips-alex-v0.1 takes RGB, three channels, and these images have {channels}"):
        ours(x, x)


def test_a_recipe_of_other_images_is_refused_before_anything_is_trained(folder: Path) -> None:
    term = f"phases.generator.minimize.image=lpips(translation, target, trunk='{folder / FILES['alex']}')"
    with pytest.raises(DataError, match="takes RGB, three channels, and these images have 1") as refused:
        trace_recipe(recipe_of("regression_phantom", term), CATALOG)
    assert refused.value.__notes__[-1].startswith("while computing the loss of term 'image'")
