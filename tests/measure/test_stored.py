"""The folder of a classifier: what comes back, and what is refused."""

import hashlib
import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from i2i_forge.errors import DataError, ResourceError, UsageError
from i2i_forge.measure.mode_classifier import load_classifier, random_classifier, refuse_if_inaccurate, save_classifier


@pytest.fixture
def folder(classifier, tmp_path):
    save_classifier(classifier, tmp_path / "made")
    return tmp_path / "made"


def change(folder, **facts):
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(card | facts))


def test_what_is_saved_comes_back(classifier, folder):
    again = load_classifier(folder)
    images = torch.rand(3, 3, 24, 30, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert torch.equal(again(images), classifier(images)) and again(images).shape == (3, 3)
    assert torch.equal(again.penultimate(images), classifier.penultimate(images))
    assert (again.info, again.modes, again.card) == (classifier.info, classifier.modes, classifier.card)
    assert again.trained_on == classifier.trained_on
    assert sorted(path.name for path in folder.parent.iterdir()) == ["made"]


def test_logits_are_divided_by_the_temperature_and_free_of_autocast(folder):
    change(folder, temperature=2.0)
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    found = load_classifier(folder)
    torch.testing.assert_close(found(images), found.network.head(found.penultimate(images)) / 2)
    with torch.autocast("cpu", torch.bfloat16):
        inside = found(images)
    assert torch.equal(inside, found(images)) and not inside.requires_grad


def test_damage_is_named(folder):
    content = bytearray((folder / "classifier.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "classifier.safetensors").write_bytes(content)
    with pytest.raises(DataError, match=r"classifier.safetensors is not what was written: its SHA-256"):
        load_classifier(folder)
    (folder / "classifier.safetensors").unlink()
    with pytest.raises(DataError, match="No such file"):
        load_classifier(folder)


def test_cards_that_do_not_fit(folder):
    change(folder, modes=["red", "green"])
    with pytest.raises(DataError, match="tells 3 modes apart, the card names 2"):
        load_classifier(folder)
    change(folder, modes=["red", "green", "blue"], network="inception_v3")
    with pytest.raises(DataError, match="is not what was written"):
        load_classifier(folder)
    change(folder, format=2)
    with pytest.raises(DataError, match="format 2"):
        load_classifier(folder)
    (folder / "card.json").write_text("[")
    with pytest.raises(DataError, match=r"card.json cannot be read"):
        load_classifier(folder)


def test_any_other_file_or_folder(folder, tmp_path):
    with pytest.raises(DataError) as error:
        load_classifier(tmp_path)
    assert "is not a classifier" in error.value.message and "forge classifier train" in error.value.fix
    weights = folder / "classifier.safetensors"
    save_file({"other": torch.zeros(2)}, weights)
    change(folder, weights_sha256=hashlib.sha256(weights.read_bytes()).hexdigest())
    with pytest.raises(DataError, match="is not what was written"):
        load_classifier(folder)


def test_nothing_is_written_over_and_nothing_half_is_left(classifier, folder, tmp_path):
    with pytest.raises(UsageError, match="something already"):
        save_classifier(classifier, folder)
    assert load_file(folder / "classifier.safetensors")
    (tmp_path / "file").touch()
    with pytest.raises(ResourceError, match="cannot be written"):
        save_classifier(classifier, tmp_path / "file" / "deep")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "made"]


def test_the_floor_of_the_accuracy(folder):
    refuse_if_inaccurate(load_classifier(folder))
    change(folder, accuracy=0.8)
    with pytest.raises(UsageError) as error:
        refuse_if_inaccurate(load_classifier(folder))
    assert "80.0%" in error.value.message and "--force" in error.value.fix
    refuse_if_inaccurate(load_classifier(folder), floor=0.7)
    refuse_if_inaccurate(random_classifier(4))


def test_a_random_classifier_is_a_function_of_its_seed():
    images = torch.rand(2, 3, 40, 32, generator=torch.Generator().manual_seed(0))
    a, again, b = random_classifier(5, 16), random_classifier(5, 16), random_classifier(5, 16, seed=1)
    assert torch.equal(a(images), again(images)) and a.info == again.info
    assert not torch.equal(a(images), b(images)) and a.info.weights_sha256 != b.info.weights_sha256
    assert a.info.id == "classifier-small-5modes-random" and not a.info.is_calibrated
    assert a.seen(images) == [False, False] and a(images).shape == (2, 5)
    assert random_classifier(5).info.resize == "none"
