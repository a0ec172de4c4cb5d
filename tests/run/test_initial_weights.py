"""A run that begins with the weights of another."""

import pytest
import torch
from safetensors.torch import save_file

from i2i_forge.errors import CheckpointError, UsageError
from i2i_forge.run import checkpoint
from i2i_forge.run.checkpoint import initialise


@pytest.fixture(scope="module")
def source(tiny, tmp_path_factory):
    """A run of one step: its folder and its weights."""
    folder = tmp_path_factory.mktemp("source")
    tiny.train(folder, "steps=1")
    return folder, checkpoint.newest(folder / "checkpoints", pytest.fail).model


def weights(trainer):
    return {name: value.clone() for name, value in trainer.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def exported(trainer, folder, formats):
    """gen.pt and dis.pt in the published layout."""
    parts = formats.get("nvlabs-munit")().save(trainer.state_dict())
    for part, content in parts.items():
        torch.save(content, folder / f"{part}_00000001.pt")
    return [folder / f"{part}_00000001.pt" for part in parts]


@pytest.mark.parametrize("within", ["", "checkpoints/step-00000001"], ids=["run", "checkpoint"])
def test_the_weights_of_a_run_and_nothing_else(tiny, source, within):
    trainer = tiny.trainer("seed=5")
    origin = initialise(trainer, [source[0] / within], tiny.host.catalog.formats, pytest.fail)
    assert same(weights(trainer), source[1])
    assert trainer.optimizer_state() == {}
    found = checkpoint.newest(source[0] / "checkpoints", pytest.fail)
    assert origin == {"from": [str(source[0] / within)], "sha256": found.model_sha256}


def test_files_of_another_program(tiny, source, tmp_path):
    files = exported(tiny.trainer("seed=5"), tmp_path, tiny.host.catalog.formats)
    trainer, wanted = tiny.trainer("seed=6"), weights(tiny.trainer("seed=5"))
    origin = initialise(trainer, files, tiny.host.catalog.formats, pytest.fail)
    assert same(weights(trainer), wanted)
    assert origin == {"from": [str(file) for file in files], "format": "nvlabs-munit"}


def test_networks_that_the_source_lacks_are_drawn_and_named(tiny, tmp_path):
    generator, _ = exported(tiny.trainer("seed=5"), tmp_path, tiny.host.catalog.formats)
    trainer, fresh = tiny.trainer("seed=6"), weights(tiny.trainer("seed=6"))
    said = []
    initialise(trainer, [generator], tiny.host.catalog.formats, said.append)
    assert len(said) == 1 and said[0].endswith("holds no discriminator.a, discriminator.b: freshly drawn")
    drawn = {name for name, value in weights(trainer).items() if torch.equal(value, fresh[name])}
    assert {name for name in fresh if name.startswith("discriminator.")} <= drawn
    assert not [name for name in drawn if name.endswith("conv.weight") and not name.startswith("discriminator.")]


def test_a_damaged_checkpoint_is_passed_over(tiny, source, tmp_path):
    trainer = tiny.trainer("seed=5")
    checkpoint.save(tmp_path / "checkpoints", 1, trainer, {}, keep=3)
    checkpoint.save(tmp_path / "checkpoints", 2, tiny.trainer("seed=6"), {}, keep=3)
    (tmp_path / "checkpoints/step-00000002/state.json").unlink()
    other, said = tiny.trainer("seed=7"), []
    initialise(other, [tmp_path], tiny.host.catalog.formats, said.append)
    assert same(weights(other), weights(trainer)) and "using step 1" in said[0]


def test_what_does_not_fit_is_refused(tiny, source, tmp_path):
    trainer = tiny.trainer("networks.decoder.mlp_dim=16")
    before = weights(trainer)
    (tmp_path / "empty").mkdir()
    save_file({"other.weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    (tmp_path / "page.pt").write_text("<html>")
    for sources, words in (
        ([source[0]], "tensors differ from those of the recipe's networks: decoder.a."),
        ([tmp_path / "empty"], "neither a run with a checkpoint nor a checkpoint"),
        ([tmp_path / "nowhere"], "there is no such file"),
        ([tmp_path / "other.safetensors"], "not a checkpoint of any known program"),
        ([tmp_path / "page.pt"], "looks like HTML"),
        (exported(tiny.trainer(), tmp_path, tiny.host.catalog.formats), "has shape"),
    ):
        with pytest.raises(CheckpointError) as caught:
            initialise(trainer, sources, tiny.host.catalog.formats, pytest.fail)
        assert words in caught.value.message, caught.value.message
        assert caught.value.fix and len(str(caught.value).splitlines()) <= 6
    assert same(weights(trainer), before)


def test_a_run_begins_with_the_weights_of_another_and_resumes_as_itself(tiny, source, tmp_path):
    first, second = source[0], tmp_path / "second"
    run = tiny.run(second, "seed=3", "steps=1", init_from=[first])
    run.train()
    assert checkpoint.read(second / "checkpoints" / "step-00000001").state["initialised_from"]["from"] == [str(first)]
    digest = tiny.train(second, "seed=3", "steps=2", init_from=[first])
    straight = tiny.train(tmp_path / "straight", "seed=3", "steps=2", init_from=[first])
    assert digest == straight != tiny.train(tmp_path / "fresh", "seed=3", "steps=2")
    with pytest.raises(UsageError, match="is a run already, and did not begin with"):
        tiny.train(second, "seed=3", "steps=3", init_from=[tmp_path / "fresh"])
