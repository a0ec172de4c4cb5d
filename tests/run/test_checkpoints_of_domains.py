"""A checkpoint remembers what its images were: of other images it is refused, shown and written otherwise it is not."""

import json

import pytest
from loaded import CATALOG
from measured import folders, measured

from i2i_forge.engine.build import build_trainer
from i2i_forge.errors import CheckpointError
from i2i_forge.run import checkpoint
from i2i_forge.run.checkpoint.spaces import stored
from i2i_forge.run.identity import settings_of
from i2i_forge.run.loop import Run


@pytest.fixture(scope="module")
def run(quiet, tmp_path_factory):
    """A run of pix2pix, 2 channels to 1."""
    root = tmp_path_factory.mktemp("measured")
    recipe = measured("pix2pix", 2, 1, "steps=1", root=folders(root / "images", 2, 1))
    Run(recipe, quiet, root / "run").train()
    return root / "run"


def saved(run):
    return checkpoint.read(checkpoint.folder_of(run / "checkpoints", 1))


def trainer(*changes, counts=(2, 1)):
    return build_trainer(measured("pix2pix", *counts, *changes), CATALOG)


def test_the_state_holds_the_domains_where_there_are_any(run, pix2pix_run):
    state = json.loads((run / "checkpoints/step-00000001/state.json").read_text())
    said = {name: {k: v for k, v in data.items() if k != "write"} for name, data in state["domains"].items()}
    assert said == {
        "a": {"channels": 2, "range": [0, 1000], "axes": {"axis0": "channels"}},
        "b": {"channels": 1, "range": [0, 1000]},
    }
    assert "domains" not in json.loads((pix2pix_run / "checkpoints/step-00000001/state.json").read_text())


@pytest.mark.parametrize("change", [
    "domains.b.display={window: [10, 20], colour: magma}", "domains.b.write={dtype: float32}", "domains.b.curve=linear",
])  # fmt: skip
def test_how_images_are_shown_and_written_may_change(run, change):
    checkpoint.restore(saved(run), trainer(change))


@pytest.mark.parametrize(("change", "says"), [
    ("domains.b.range=[0, 500]", "b is 0..1000 there, 0..500 here"),
    ("domains.b.unit=HU", "b is 0..1000 there, 0..1000 HU here"),
    ("domains.b.curve=sqrt", "b is described otherwise there"),
    ("domains.a.axes={axis0: channels, axis1: 0}", "a is described otherwise there"),
    ("domains.mask={kind: labels}", "mask is 8-bit RGB there, labels here"),
])  # fmt: skip
def test_a_checkpoint_of_other_images_is_refused(run, change, says):
    with pytest.raises(CheckpointError, match=rf"step-00000001 is of other images: {says}"):
        checkpoint.restore(saved(run), trainer(change))


def test_of_rgb_it_is_refused_for_measured_images_and_the_reverse(run, pix2pix_run):
    rgb = ("domains.a=~", "domains.b=~", "networks.discriminator.channels=6")
    with pytest.raises(CheckpointError, match=r"a is 2 channels, 0\.\.1000 there, 8-bit RGB here"):
        checkpoint.restore(saved(run), trainer(*rgb))
    with pytest.raises(CheckpointError, match=r"a is 8-bit RGB there, 2 channels, 0\.\.1000 here"):
        checkpoint.restore(saved(pix2pix_run), trainer())


def test_a_new_run_is_told_which_channels_do_not_fit(run):
    heard = []
    with pytest.raises(CheckpointError, match=r"tensors differ .*; a has 2 channels there, 4 here"):
        checkpoint.initialise(trainer(counts=(4, 1)), [run], CATALOG.formats, heard.append)
    assert not heard
    checkpoint.initialise(trainer("domains.b.range=[0, 500]"), [run], CATALOG.formats, heard.append)
    assert [text.partition(": ")[2] for text in heard] == [
        "b is 0..1000 there, 0..500 here: its weights were learnt with other values"
    ]


@pytest.mark.parametrize("domains", ["[]", '{"a": 1}', '{"a": {"channels": 2}}', '{"a": {"kind": "unknown"}}'])
def test_a_state_with_other_words_for_domains_is_damaged(domains):
    with pytest.raises((ValueError, TypeError, AttributeError)):
        stored({"domains": json.loads(domains)})


def test_another_program_is_not_given_weights_for_values_that_it_does_not_know(forge, run, tmp_path):
    code, _, err = forge("checkpoint", "export", run, "--format", "junyanz-pix2pix", "--out", tmp_path / "out")
    assert code == CheckpointError.exit_code
    assert (
        "domains.a: its images are 2 channels, 0..1000, which a checkpoint of the published pix2pix code cannot" in err
    )
    assert not (tmp_path / "out").exists()


def test_where_files_lie_and_how_images_are_shown_changes_no_setting():
    cases = ("data=~", "data={use: cases, root: x, files: {a: 'a_{case}.npy', b: 'b_{case}.npy'}, split: {test: 0.5}}",
             "domains.b.write={dtype: float32}")  # fmt: skip
    names = settings_of(measured("cyclegan", 2, 1, *cases))
    assert "domains.b.range" in names
    assert not [
        name for name in names if name.startswith(("data.files", "data.split", "data.cache", "domains.b.write"))
    ]
    placed = settings_of(measured("cyclegan", 2, 1, *cases), places=True)
    assert {"data.files.a", "data.split.test", "data.root"} <= placed.keys()
