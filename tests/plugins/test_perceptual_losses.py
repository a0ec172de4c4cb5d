"""The domain-invariant perceptual losses, against their formula written out, on random weights."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from loaded import CATALOG, trainer_of
from shrink import TINY_MUNIT
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.functional import normalize

from i2i_forge.errors import CheckpointError, DataError

CONVOLUTIONS = [  # name, inputs, outputs
    ("conv1_1", 3, 64), ("conv1_2", 64, 64), ("conv2_1", 64, 128), ("conv2_2", 128, 128), ("conv3_1", 128, 256),
    ("conv3_2", 256, 256), ("conv3_3", 256, 256), ("conv4_1", 256, 512), ("conv4_2", 512, 512), ("conv4_3", 512, 512),
    ("conv5_1", 512, 512), ("conv5_2", 512, 512), ("conv5_3", 512, 512),
]  # fmt: skip


def vgg_weights() -> dict[str, Tensor]:
    draws = torch.Generator().manual_seed(0)
    made = {}
    for name, inputs, outputs in CONVOLUTIONS:
        made[f"{name}.weight"] = torch.randn(outputs, inputs, 3, 3, generator=draws) * (2 / (9 * inputs)) ** 0.5
        made[f"{name}.bias"] = torch.randn(outputs, generator=draws) * 0.1
    return made


INDICES = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)  # of the convolutions in torchvision's `features`


def torchvision_weights() -> dict[str, Tensor]:
    renamed = {name: f"features.{index}" for (name, _, _), index in zip(CONVOLUTIONS, INDICES, strict=True)}
    made = {f"{renamed[key.partition('.')[0]]}.{key.partition('.')[2]}": v for key, v in vgg_weights().items()}
    return made | {"classifier.0.weight": torch.zeros(2, 2), "classifier.0.bias": torch.zeros(2)}  # it has more


@pytest.fixture(scope="module")
def torchvision_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vgg") / "vgg16-397923af.pth"
    torch.save(torchvision_weights(), path)
    return path


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vgg") / "vgg16_caffe.pth"
    torch.save(vgg_weights(), path)
    return path


def component(name: str = "domain_invariant_perceptual") -> Any:
    return CATALOG.losses.get(name)


def caffe_input(x: Tensor) -> Tensor:
    """Specification 3.3: BGR in 0..255, minus the Caffe mean."""
    red, green, blue = ((x[:, c] + 1) * 127.5 for c in range(3))
    return torch.stack([blue - 103.939, green - 116.779, red - 123.680], 1)


def features(x: Tensor, weights: dict[str, Tensor]) -> Tensor:
    """Specification 3.3: pooled after blocks 1, 2 and 3 only, up to relu5_3."""
    x = caffe_input(x)
    for name, _, _ in CONVOLUTIONS:
        x = torch.clamp(F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=1), min=0)
        if name in ("conv1_2", "conv2_2", "conv3_3"):
            x = F.max_pool2d(x, kernel_size=2, stride=2)
    return x


def test_it_is_the_published_formula(file: Path) -> None:
    draws = torch.Generator().manual_seed(1)
    x, y = (torch.rand(2, 3, 32, 48, generator=draws) * 2 - 1 for _ in range(2))
    x.requires_grad_()
    weights = vgg_weights()
    normalised = []
    for images in (x, y):
        found = features(images, weights)
        assert found.shape == (2, 512, 4, 6)  # one eighth of the side
        centred = found - found.mean((2, 3), keepdim=True)
        normalised.append(centred / (centred.square().mean((2, 3), keepdim=True) + 1e-5).sqrt())
    expected = (normalised[0] - normalised[1]).square().mean()
    (gradient,) = torch.autograd.grad(expected, x)

    loss = component()(weights=str(file))
    ours = loss(x, y)
    assert ours.item() == pytest.approx(expected.item(), rel=1e-4)
    (mine,) = torch.autograd.grad(ours, x)
    assert torch.allclose(mine, gradient, rtol=1e-3, atol=1e-4 * gradient.abs().max().item())
    assert loss(x, x).item() == pytest.approx(0, abs=1e-8)
    assert {name: tuple(v.shape) for name, v in loss.vgg.state_dict().items()} == {
        name: tuple(v.shape) for name, v in weights.items()
    }


def test_torchvisions_network_is_torchvisions_without_its_last_two_pools(torchvision_file: Path) -> None:
    """Up to relu4_3 against torchvision's own module; after that it has a pool more."""
    with torch.device("meta"):
        theirs = torchvision.models.vgg16(weights=None).features[:23]
    theirs.load_state_dict({k.removeprefix("features."): torchvision_weights()[k] for k in torchvision_weights()
                            if k.startswith("features.") and int(k.split(".")[1]) < 23}, assign=True)  # fmt: skip
    x = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(1)) * 2 - 1
    expected = theirs(normalize((x + 1) / 2, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    weights = vgg_weights()
    for name in ("conv5_1", "conv5_2", "conv5_3"):
        expected = F.relu(F.conv2d(expected, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=1))
    loss = component("domain_invariant_perceptual_torchvision")(weights=str(torchvision_file))
    found = loss.vgg(x)
    assert found.shape == (2, 512, 4, 6)
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())
    assert not any(p.requires_grad for p in loss.parameters())
    y = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(2)) * 2 - 1
    distance = (F.instance_norm(found) - F.instance_norm(loss.vgg(y))).square().mean()
    assert loss(x, y).item() == pytest.approx(distance.item(), rel=1e-5)
    assert loss(x, y).item() > 0.01 > loss(x, x).item()


@pytest.mark.parametrize("given", ["caffe", "torchvision"])
def test_the_other_layouts_file_is_told_by_name(given: str, file: Path, torchvision_file: Path) -> None:
    caffe, other = "domain_invariant_perceptual", "domain_invariant_perceptual_torchvision"
    wrong, path, right = (other, file, caffe) if given == "caffe" else (caffe, torchvision_file, other)
    with pytest.raises(
        DataError, match=r"is not the state dict of .* but of (torchvision's|the Caffe) VGG16"
    ) as caught:
        component(wrong)(weights=str(path))
    assert f"write {right}(..., weights='{path}')" in caught.value.fix


def test_its_weights_are_constants_and_the_trainer_does_not_own_them(file: Path) -> None:
    term = (
        f"phases.generator.minimize.perceptual=1 * domain_invariant_perceptual(translation, source, weights='{file}')"
    )
    trainer = trainer_of("munit_edge2shoes", *TINY_MUNIT, term)
    losses = [term.loss for phase in trainer.phases for term in phase.terms if term.name == "perceptual"]
    assert len(losses) == 2
    assert losses[0] is losses[1]  # the weights are loaded once for both routes
    assert not any(p.requires_grad for p in losses[0].parameters())
    before = {name: value.clone() for name, value in losses[0].state_dict().items()}
    draws = torch.Generator().manual_seed(3)
    report = trainer.step({d: torch.rand(1, 3, 64, 64, generator=draws) * 2 - 1 for d in ("a", "b")}, 0)
    assert report["generator/perceptual/ab"] > 0
    assert all(torch.equal(value, before[name]) for name, value in losses[0].state_dict().items())
    assert not any("vgg" in name for name in trainer.state_dict())


@pytest.mark.parametrize(
    ("name", "missing", "content"),
    [
        ("domain_invariant_perceptual", "vgg16_caffe.pth", "conv1_1.weight ... conv5_3.bias"),
        ("domain_invariant_perceptual_torchvision", "vgg16-397923af.pth", "features.0.weight ... features.28.bias"),
    ],
)
def test_a_missing_file_says_what_to_do(
    name: str, missing: str, content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORGE_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as caught:
        component(name)()
    assert str(tmp_path / "weights" / missing) in caught.value.message
    assert content in caught.value.fix
    assert "--drop generator.perceptual" in caught.value.fix


def test_a_name_is_looked_up_in_the_cache(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORGE_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "mine.pth").symlink_to(file)
    component()(weights="mine.pth")


class Evil:
    def __reduce__(self) -> Any:
        return eval, ("__import__('pathlib').Path('owned').write_text('')",)


@pytest.mark.parametrize("old", [False, True], ids=["zip", "bare pickle"])
def test_a_pickle_that_runs_code_is_refused_and_does_not_run(
    old: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if old:
        Path("evil.pth").write_bytes(pickle.dumps({"conv1_1.weight": Evil()}))
    else:
        torch.save({"conv1_1.weight": Evil()}, "evil.pth")
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        component()(weights="evil.pth")
    assert not Path("owned").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html><html>quota exceeded", "looks like HTML"),
        (b"\n\n <html>", "looks like HTML"),
        (b"", "the file is empty"),
        (b"PK\x03\x04 a broken archive", "not a checkpoint that can be read safely"),
        (b"version https://git-lfs.github.com/spec/v1", "looks like a pointer of Git LFS"),
    ],
)
def test_files_of_another_kind_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "file.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        component()(weights=str(tmp_path / "file.pth"))


@pytest.mark.parametrize(
    "content",
    [
        {"features.0.weight": torch.zeros(64, 3, 3, 3)},  # torchvision's names
        {},
        torch.zeros(3),
        {**{f"{n}.weight": torch.zeros(o, i, 3, 3) for n, i, o in CONVOLUTIONS}},  # no biases
    ],
    ids=["torchvision", "empty", "tensor", "no biases"],
)
def test_another_state_dict_is_refused(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(DataError, match="is not the state dict of the Caffe VGG16"):
        component()(weights=str(tmp_path / "other.pth"))


@pytest.mark.parametrize("channels", [1, 4])
def test_they_take_no_other_images_than_rgb(channels: int, file: Path) -> None:
    x = torch.zeros(1, channels, 32, 32)
    with pytest.raises(DataError, match=f"the Caffe VGG16 takes RGB, three channels, and these images have {channels}"):
        component()(weights=str(file))(x, x)
