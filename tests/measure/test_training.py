"""Training: what is learned, that it repeats, and what the card says."""

import pytest
import torch
import torchvision
from loaded import CATALOG
from torch.nn.functional import avg_pool2d, one_hot

from i2i_forge.errors import DataError, DivergedError, UsageError
from i2i_forge.measure.mode_classifier import (
    LabelledData,
    labelled,
    networks,
    read_labelled,
    settings_for,
    train_classifier,
)
from i2i_forge.measure.mode_classifier.labelled import Pixels
from i2i_forge.measure.mode_classifier.networks import InceptionNetwork, SmallNetwork, resized
from i2i_forge.measure.mode_classifier.training import _batches, augmented
from i2i_forge.system.seeding import generator


def test_modes_are_learned_and_the_card_says_so(data, classifier):
    images = torch.stack([data.test.load(i) for i in range(30)]).float() / 127.5 - 1
    assert (classifier(images).argmax(1).tolist()) == list(data.test.modes)
    card = classifier.card
    assert card["accuracy"] == card["test"]["accuracy"] == 1 and card["nll"] == card["test"]["nll"] < 0.2
    assert card["images"] == {"train": 78, "val": 12, "test": 30} and card["modes"] == ["red", "green", "blue"]
    assert card["preprocess"]["resize"] == "16x16 bilinear" and card["preprocess"]["mean"] == [0.5] * 3
    assert classifier.info.id == "classifier-small-3modes" and classifier.info.is_calibrated
    assert classifier.info.weights_sha256 == card["weights_sha256"]


def test_the_same_seed_gives_the_same_classifier(data, classifier):
    torch.manual_seed(1)  # global random numbers do not reach it, nor does it disturb them
    before = torch.get_rng_state()
    again = train_classifier(data, settings_for(size=16, steps=60))
    assert torch.equal(torch.get_rng_state(), before)
    assert again.card["weights_sha256"] == classifier.card["weights_sha256"]
    other = train_classifier(data, settings_for(size=16, steps=2, seed=1))
    assert other.card["weights_sha256"] != classifier.card["weights_sha256"]
    assert other.card["train_list_sha256"] == classifier.card["train_list_sha256"]  # whatever part validates


def test_the_default_dtype_changes_nothing(data):
    expected = train_classifier(data, settings_for(size=16, steps=2)).card["weights_sha256"]
    torch.set_default_dtype(torch.float64)
    try:
        assert train_classifier(data, settings_for(size=16, steps=2)).card["weights_sha256"] == expected
    finally:
        torch.set_default_dtype(torch.float32)


def test_it_knows_the_images_it_has_learned_from(data, classifier):
    images = torch.stack([data.train.load(0), data.train.load(1), data.test.load(0)]).float() / 127.5 - 1
    assert classifier.seen(images) == [True, True, False]  # validation images count
    assert classifier.seen(images.flip(3)) == [False] * 3
    assert len(classifier.trained_on) == 90


def test_without_a_test_split_part_of_the_images_is_the_test(data):
    made = train_classifier(LabelledData(data.modes, data.train, None, {}), settings_for(size=16, steps=2))
    assert made.card["images"] == {"train": 66, "val": 12, "test": 12}
    images = torch.stack([data.train.load(i) for i in range(90)]).float() / 127.5 - 1
    assert sum(made.seen(images)) == 78


def test_training_stops_at_the_best_check(data):
    lines = []
    made = train_classifier(data, settings_for(size=16, steps=60), report=lines.append)
    checks = {int(line.split("/")[0].split()[1]): float(line.split()[-1]) for line in lines if line[:4] == "step"}
    assert checks[made.card["steps"]] == min(checks.values())
    assert made.card["val"]["uncalibrated"]["nll"] == pytest.approx(min(checks.values()), abs=1e-4)


def test_a_loss_that_is_not_finite(data, monkeypatch):
    monkeypatch.setattr(SmallNetwork, "features", lambda self, x: x.mean((2, 3)).repeat(1, 43)[:, :128] * float("nan"))
    with pytest.raises(DivergedError, match="not finite"):
        train_classifier(data, settings_for(size=16, steps=2))


def test_settings():
    assert settings_for().size == 64 and settings_for("inception_v3").size == 299
    with pytest.raises(UsageError, match="size 64 is too small for inception_v3"):
        settings_for("inception_v3", 64)
    with pytest.raises(UsageError, match="no classifier network 'smal'"):
        settings_for("smal")


# ---- images ----------------------------------------------------------------------------------------------------------


def test_augmentation_keeps_colours_and_size():
    flat = torch.tensor([0.3, -0.8, 1.0])[None, :, None, None].expand(4, 3, 32, 32)
    torch.testing.assert_close(augmented(flat, generator(0)), flat)
    image = torch.rand(1, 3, 32, 32, generator=generator(1)).expand(64, -1, -1, -1)
    made = augmented(image, generator(0))
    assert made.shape == image.shape and torch.equal(made, augmented(image, generator(0)))
    assert len(made.flatten(1).unique(dim=0)) == 64
    assert made.std((1, 2, 3)).max() > 2 * made.std((1, 2, 3)).min()  # from sharp to blurred


def test_each_image_comes_once_in_an_epoch():
    stream = _batches(10, settings_for(size=16))
    numbers = [number for _ in range(5) for number in next(stream)]
    assert len(numbers) == 5 * 64
    assert all(sorted(numbers[i : i + 10]) == list(range(10)) for i in range(0, 320, 10))
    assert numbers[:10] != numbers[10:20]


def test_images_beyond_the_budget_are_decoded_again(data, monkeypatch):
    whole = Pixels(data.train, 16, lambda done, total: None)
    monkeypatch.setattr(labelled, "BUDGET", 10 * 3 * 16 * 16)
    part = Pixels(data.train, 16, lambda done, total: None)
    for a, b in zip(whole.batch(range(90)), part.batch(range(90)), strict=True):
        assert torch.equal(a, b)
    assert part.fingerprints == whole.fingerprints


def test_resizing_is_antialiased():
    board = (torch.arange(64)[:, None] + torch.arange(64)).remainder(2).float() * 2 - 1
    small = resized(board.expand(1, 3, -1, -1), 16)
    assert small.shape == (1, 3, 16, 16) and small.abs().max() < 0.1  # without antialias it aliases to stripes
    assert resized(small, 16) is small and resized(small, None) is small


# ---- Inception-v3 ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def imagenet():
    """A state dict in torchvision's layout."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return torchvision.models.inception_v3(weights=None, init_weights=False).state_dict()


def test_inception_takes_imagenets_trunk_and_new_heads(imagenet, monkeypatch, tmp_path):
    monkeypatch.setattr(networks, "required", lambda name, by: tmp_path / f"{name}.pth")
    torch.save(imagenet, tmp_path / "inception_v3.pth")
    network = InceptionNetwork(3)
    network.start_from_imagenet()
    state = network.trunk.state_dict()
    assert all(torch.equal(state[name], value) for name, value in imagenet.items() if "fc." not in name)
    assert network.head.weight.shape == (3, 2048) and state["AuxLogits.fc.weight"].shape == (3, 768)
    x = torch.rand(2, 3, 299, 299, generator=generator(0)) * 2 - 1
    original = torchvision.models.inception_v3(weights=None, init_weights=False, transform_input=False)
    original.load_state_dict(imagenet)
    original.fc = torch.nn.Identity()
    with torch.no_grad():
        torch.testing.assert_close(network.eval().features(x), original.eval()(x))
        torch.testing.assert_close(network(x), network.head(network.features(x)))


def test_another_file_in_inceptions_place(imagenet, monkeypatch, tmp_path):
    monkeypatch.setattr(networks, "required", lambda name, by: tmp_path / f"{name}.pth")
    for content in ({}, imagenet | {"Conv2d_1a_3x3.conv.weight": torch.zeros(2)}):
        torch.save(content, tmp_path / "inception_v3.pth")
        with pytest.raises(DataError, match="is not torchvision's Inception-v3") as error:
            InceptionNetwork(3).start_from_imagenet()
        assert "forge weights get inception_v3" in error.value.fix


def test_missing_weights_are_named_with_the_command(data):
    with pytest.raises(DataError) as error:
        train_classifier(data, settings_for("inception_v3", 75, 1))
    assert "forge weights get inception_v3" in error.value.fix


def test_the_auxiliary_loss_counts_four_tenths():
    network = InceptionNetwork(3).train()
    x, modes = torch.rand(2, 3, 299, 299, generator=generator(0)) * 2 - 1, torch.tensor([0, 2])
    torch.nn.init.zeros_(network.head.weight), torch.nn.init.zeros_(network.head.bias)
    torch.nn.init.zeros_(network.trunk.AuxLogits.fc.weight), torch.nn.init.zeros_(network.trunk.AuxLogits.fc.bias)
    with torch.no_grad():
        assert float(network.loss(x, modes)) == pytest.approx(1.4 * torch.tensor(3.0).log().item())


# ---- the embedded data set -------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_modes_of_procedural_shoes_also_when_blurred():
    options = {"count": 2000, "test_count": 300}
    data = read_labelled("procedural_shoes", options, CATALOG.datasets)
    made = train_classifier(data, settings_for())
    assert made.card["accuracy"] > 0.95
    images = torch.stack([data.test.load(i) for i in range(300)]).float() / 127.5 - 1
    modes = torch.tensor(data.test.modes)
    assert (made(avg_pool2d(images, 3, 1, 1)).argmax(1) == modes).double().mean() > 0.95
    shares = made(images).softmax(1)
    assert (shares - one_hot(modes, 8)).abs().mean() < 0.02
