"""The LPIPS network against the lpips package's own module, and what metrics rely on."""

from importlib import metadata
from pathlib import Path

import pytest
import torch
from torch import Tensor

from i2i_forge.errors import DataError
from i2i_forge.measure import Batch, Tools
from i2i_forge.system.seeding import generator
from i2i_forge_benchmarks.lpips_speed import package_of
from i2i_forge_plugins.backbones.lpips import TRUNKS, LpipsNetwork, lpips_backbone, random_lpips, read_lpips

VERSIONS = ("0.0", "0.1")


def images(count: int = 3, side: int = 64, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(count, 3, side, side, generator=generator("images", side)).to(dtype) * 2 - 1


def worst(ours: Tensor, theirs: Tensor) -> float:
    return ((ours - theirs).abs() / theirs).max().item()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("net", TRUNKS)
def test_it_is_the_packages_distance(net: str, version: str) -> None:
    ours = random_lpips(net, version)
    theirs = package_of(ours, net, version)
    for dtype, tolerance, of_near in ((torch.float32, 1e-6, 1e-4), (torch.float64, 1e-12, 1e-12)):
        ours, theirs, x = ours.to(dtype), theirs.to(dtype), images(2, 64 if net == "alex" else 32, dtype)
        expected = theirs(x, x.flip(3)).flatten()
        assert expected.min() > 0.04
        assert worst(ours.distance(x, x.flip(3)), expected) < tolerance
        near = (x + 0.05 * x.flip(0)).clamp(-1, 1)  # the package's own error in fp32 is up to 1e-5 here
        assert worst(ours.distance(x, near), theirs(x, near).flatten()) < of_near


def test_a_distance_is_that_of_the_embeddings() -> None:
    network = random_lpips().double()
    x = images(dtype=torch.float64)
    rows = network(x)
    assert torch.equal(rows, network.embed(x))
    expected = network.distance(x[:1].expand(2, -1, -1, -1), x[1:])
    assert worst(torch.cdist(rows[:1], rows[1:])[0].square(), expected) < 1e-12


def test_channels_that_count_for_nothing_are_left_out() -> None:
    v1, v0 = (random_lpips("alex", version).embed(images(1, 256)).shape[1] for version in ("0.1", "0.0"))
    assert v1 == 434_858
    assert v0 < v1
    all_channels = 64 * 32**2 + 128 * 16**2 + 256 * 8**2 + 512 * 4**2 + 512 * 2**2
    assert random_lpips("vgg").embed(images(1, 32)).shape[1] == all_channels  # none of its weights is 0


def test_the_versions_differ() -> None:
    x = images()
    v1, v0 = (random_lpips("alex", version) for version in ("0.1", "0.0"))
    assert (v1.distance(x, x.flip(3)) / v0.distance(x, x.flip(3)) - 1).abs().min() > 0.01
    assert v1.info.id != v0.info.id


@pytest.mark.parametrize("net", TRUNKS)
def test_random_weights_are_seeded_and_keep_activations_alive(net: str) -> None:
    network, again = random_lpips(net), random_lpips(net)
    assert network.info == again.info
    assert network.info.id == f"lpips-{net}-v0.1-random"
    assert not network.info.is_calibrated
    x = images()
    for index, layer in enumerate(network.trunk):
        x = layer(x)
        if index in network.taps:
            assert 0.2 < (x > 0).float().mean() < 0.8
            assert 0.2 < x.std() < 5


def test_what_it_is_called_follows_from_its_weights() -> None:
    trunk = {f"features.{name}": value for name, value in random_lpips().trunk.state_dict().items()}
    network = LpipsNetwork("alex", "0.1", trunk)
    assert network.info.id == "lpips-alex-v0.1"
    assert network.info.is_calibrated
    trunk["features.0.weight"] = trunk["features.0.weight"] * 2
    assert LpipsNetwork("alex", "0.1", trunk).info.weights_sha256 != network.info.weights_sha256


def test_nothing_around_it_changes_it() -> None:
    network, x = random_lpips(), images()
    expected = network.embed(x)
    network.train()
    assert torch.equal(network.embed(x), expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(network.embed(x), expected)
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_other_linear_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "lpips/weights/v0.1"
    folder.mkdir(parents=True)
    published = Path(metadata.distribution("lpips").locate_file("lpips/weights/v0.1/alex.pth"))
    content = bytearray(published.read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "alex.pth").write_bytes(content)

    class Installed:
        def locate_file(self, path: str) -> Path:
            return tmp_path / path

    monkeypatch.setattr(metadata, "distribution", lambda name: Installed())
    with pytest.raises(DataError, match=r"alex\.pth does not hold the published linear weights"):
        random_lpips()


def test_a_metric_gets_it_once_and_computes_its_features_once() -> None:
    tools = Tools(torch.device("cpu"), backbone="random")
    network = lpips_backbone(tools)
    assert lpips_backbone(tools) is network
    assert lpips_backbone(tools, version="0.0") is not network
    batch = Batch(images(), [0, 1, 2], [0, 0, 0], ["a", "b", "c"])
    assert batch.features(network) is batch.features(network)


def test_a_metric_without_weights_says_how_to_get_them() -> None:
    with pytest.raises(DataError) as caught:
        lpips_backbone(Tools(torch.device("cpu")))
    assert "forge weights get alexnet" in caught.value.fix


def test_a_trunk_is_read_from_a_file(tmp_path: Path) -> None:
    expected = random_lpips("squeeze", "0.0")
    trunk = {f"features.{name}": value for name, value in expected.trunk.state_dict().items()}
    torch.save(trunk, tmp_path / "trunk.pth")
    network = read_lpips("squeeze", "0.0", str(tmp_path / "trunk.pth"))
    assert torch.equal(network.embed(images()), expected.embed(images()))
