"""TensorFlow's Inception-v3 against torch-fidelity's on the same random weights; which backbone is chosen when."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor
from two_sets import PixelClassifier

from i2i_forge.errors import CheckpointError, DataError, UsageError
from i2i_forge.measure import Batch, Tools, exact
from i2i_forge_plugins.backbones.choice import choose_backbone, choose_inception
from i2i_forge_plugins.backbones.inception import Inception, random_inception, read_inception
from i2i_forge_plugins.backbones.inception_tf import InceptionTf
from i2i_forge_plugins.metrics.inception_score import InceptionScore

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file in the published layout: random weights, with statistics and biases that are not trivial."""
    draws = torch.Generator().manual_seed(0)
    tensors = random_inception().network.state_dict()
    for name, value in tensors.items():
        if name.endswith(("running_mean", "bias")):
            value.copy_(torch.randn(value.shape, generator=draws) * 0.1)
        if name.endswith(("running_var", "bn.weight")):
            value.copy_(torch.rand(value.shape, generator=draws) + 0.5)
    file = tmp_path_factory.mktemp("weights") / "inception.pth"
    torch.save(tensors, file)
    return file


@pytest.fixture(scope="module")
def inception(weights: Path) -> Inception:
    return Inception(read_inception(weights), "0" * 64)


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand(2, 3, 40, 56, generator=torch.Generator().manual_seed(1)) * 2.2 - 1.1


@pytest.fixture(scope="module")
def features(inception: Inception, images: Tensor) -> Tensor:
    with exact():
        return inception(images)


def test_it_is_torch_fidelitys_network(weights: Path, inception: Inception, images: Tensor, features: Tensor) -> None:
    module = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    oracle = module.FeatureExtractorInceptionV3("oracle", ["2048", "logits_unbiased"], str(weights))
    pixels = ((images + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    expected, logits = oracle(pixels)
    assert expected.std() > 0.01
    torch.testing.assert_close(features, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(inception.logits(features), logits, rtol=1e-5, atol=1e-5)


def test_its_tensors_are_torchvisions_but_for_the_classes(inception: Inception, weights: Path) -> None:
    theirs = pytest.importorskip("torchvision").models.inception_v3
    with torch.device("meta"):
        other = theirs(weights=None, aux_logits=False, init_weights=False).state_dict()
    ours = inception.network.state_dict()
    assert {name for name in ours if ours[name].shape != other[name].shape} == {"fc.weight", "fc.bias"}
    assert ours["fc.weight"].shape == (1008, 2048)


def test_images_see_each_other_in_no_way(inception: Inception, images: Tensor, features: Tensor) -> None:
    inception.network.eval()
    with torch.autocast("cpu", dtype=torch.bfloat16), exact():
        torch.testing.assert_close(inception(images[1:]), features[1:], rtol=1e-5, atol=1e-5)
    assert not inception.network.training
    assert not any(parameter.requires_grad for parameter in inception.network.parameters())


def test_a_file_without_counts_of_batches_is_read(weights: Path, inception: Inception, tmp_path: Path) -> None:
    old = {n: v for n, v in torch.load(weights, weights_only=True).items() if not n.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "old.pth")
    read = read_inception(tmp_path / "old.pth").state_dict()
    assert all(torch.equal(read[name], value) for name, value in inception.network.state_dict().items())


@pytest.mark.parametrize("content", [{}, torch.zeros(3), {"fc.weight": "?"}])
def test_a_file_without_weights_is_refused(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"other\.pth is not a file of weights"):
        read_inception(tmp_path / "other.pth")


@pytest.mark.parametrize("change", [{"fc.weight": torch.zeros(1000, 2048)}, {"Mixed_7c.branch1x1.bn.weight": None}])
def test_another_network_is_refused(change: dict[str, Tensor | None], weights: Path, tmp_path: Path) -> None:
    tensors = torch.load(weights, weights_only=True) | change
    torch.save({name: value for name, value in tensors.items() if value is not None}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=next(iter(change))) as caught:
        read_inception(tmp_path / "other.pth")
    assert "other.pth is not TensorFlow's Inception-v3" in caught.value.message
    assert caught.value.fix == "forge weights get inception_tf"


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "damaged.pth").write_bytes(b"<html>")
    with pytest.raises(CheckpointError, match="HTML"):
        read_inception(tmp_path / "damaged.pth")


def test_random_weights_are_always_the_same_and_say_what_they_are() -> None:
    tools = Tools(CPU, backbone="random")
    plain, clean = choose_inception(tools), choose_inception(tools, "clean")
    assert choose_inception(tools) is plain
    assert plain.info.weights_sha256 == clean.info.weights_sha256 == random_inception().info.weights_sha256
    assert (plain.info.id, clean.info.id) == ("inception-tf-2015-random", "inception-tf-2015-clean-random")
    assert (plain.info.antialias, clean.info.antialias) == (False, True)
    assert not plain.info.is_calibrated and not clean.info.is_calibrated


def test_random_features_tell_images_apart(images: Tensor) -> None:
    made = random_inception()
    with exact():
        found = made(torch.cat([images, images.mean((2, 3), keepdim=True).expand_as(images)]))
    assert torch.isfinite(found).all()
    assert (found > 0).float().mean() > 0.5
    assert torch.cdist(found, found).fill_diagonal_(1).min() > 0.01 * found.norm(dim=1).mean()


def test_missing_weights_say_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORGE_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as caught:
        choose_backbone(Tools(CPU))
    assert "forge weights get inception_tf" in caught.value.fix


def test_the_classifier_gives_the_features_before_its_last_layer(images: Tensor) -> None:
    backbone = choose_backbone(Tools(CPU, backbone="classifier", classifier=PixelClassifier()))
    assert backbone.info.id == "classifier-pixels-penultimate"
    assert torch.equal(backbone(images), images.flatten(1))


def test_a_missing_classifier_says_how_to_make_one() -> None:
    with pytest.raises(UsageError) as caught:
        choose_backbone(Tools(CPU, backbone="classifier"))
    assert "forge classifier train" in caught.value.fix and "--classifier" in caught.value.fix


# ---- Inception Score ---------------------------------------------------------------------------------------------


class Logits:
    """Stands for the network: an image is its own 1008 logits."""

    def __call__(self, images: Tensor) -> Tensor:
        return images.flatten(1)

    logits = staticmethod(lambda features: features)
    info = PixelClassifier.info


def score(logits: Tensor, batches: list[list[int]]) -> InceptionScore:
    """The metric, having seen images of the given numbers, batch by batch."""
    metric = InceptionScore(InceptionScore.protocols[0], Tools(CPU, _built={"inception tf1 ": Logits()}))
    for numbers in batches:
        images = logits[numbers].view(-1, 3, 1, 336)
        metric.update(Batch(images, numbers, [0] * len(numbers), [""] * len(numbers)))
    return metric


@pytest.fixture(scope="module")
def logits() -> Tensor:
    return torch.randn(1000, 1008, generator=torch.Generator().manual_seed(2)) * 3


def oracle(logits: Tensor) -> Mapping[str, float]:
    module = pytest.importorskip("torch_fidelity.metric_isc")
    return module.isc_features_to_metric(logits, splits=1, shuffle=False)


def test_few_images_make_one_split_which_is_torch_fidelitys(logits: Tensor) -> None:
    [outcome] = score(logits, [list(range(60)), list(range(60, 90))]).compute()
    assert outcome.value == pytest.approx(oracle(logits[:90])["inception_score_mean"], rel=1e-6)
    assert outcome.components == {"std": 0, "splits": 1}
    assert "90 images" in outcome.warnings[0]


def test_ten_splits_are_scored_each(logits: Tensor) -> None:
    [outcome] = score(logits, [list(range(1000))]).compute()
    each = torch.tensor([oracle(logits[i::10])["inception_score_mean"] for i in range(10)], dtype=torch.float64)
    assert outcome.value == pytest.approx(each.mean().item(), rel=1e-6)
    assert outcome.components["std"] == pytest.approx(each.std(correction=0).item(), rel=1e-4)
    assert outcome.components["splits"] == 10 and not outcome.warnings


def test_order_batches_and_ranks_make_no_difference(logits: Tensor) -> None:
    whole = score(logits, [list(range(1000))]).compute()[0].value
    order = torch.randperm(1000, generator=torch.Generator().manual_seed(3)).tolist()
    assert score(logits, [order[:7], order[7:]]).compute()[0].value == pytest.approx(whole, rel=1e-12)
    one, other = score(logits, [list(range(0, 1000, 2))]), score(logits, [list(range(1, 1000, 2))])
    one.merge(other.state())
    assert one.compute()[0].value == pytest.approx(whole, rel=1e-12)


def test_the_bounds_of_the_score() -> None:
    sure = torch.eye(1008)[:8] * 1e4  # p is 0 and 1 exactly: 0 log 0 must not be nan
    assert score(sure, [list(range(8))]).compute()[0].value == pytest.approx(8)
    assert score(sure[:1].expand(8, -1), [list(range(8))]).compute()[0].value == pytest.approx(1)


def test_it_takes_no_other_images_than_rgb() -> None:
    with torch.device("meta"):
        network = Inception(InceptionTf(), "0" * 64, device="meta")
    with pytest.raises(DataError, match="inception-tf-2015 takes RGB, three channels, and these images have 1"):
        network(torch.zeros(2, 1, 64, 64))
