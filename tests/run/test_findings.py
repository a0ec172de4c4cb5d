"""What a recipe leaves to its training images is found once, written down, and taken over."""

import json
import shutil

import pytest
from described import FILES

from i2i_forge.errors import CheckpointError, DataError, ForgeError
from i2i_forge.recipe.reading import read_recipe
from i2i_forge.recipe.yaml_source import read_yaml
from i2i_forge.run import checkpoint
from i2i_forge.run.loop import Run
from i2i_forge_plugins.phantom import Phantom

SMALL = (
    "networks.encoder={use: unet, width: 4, levels: 3, norm: instance}", "data.batch=2", "data.workers=0",
    "networks.decoder={use: unet, width: 4, levels: 3, norm: instance}", "run.sample_every=1000",
    "run.checkpoint_every=1000", "run.log_every=1",
)  # fmt: skip
TYPE = "domains.b.write.dtype=training"
FOUND = "domains.a={range: {percentile: [0.5, 99.5], over: training, in: mask}}"


def run_of(quiet, folder, *changes, source="regression_phantom", progress=None):
    run = Run(read_recipe(source, set=[*SMALL, *changes]), quiet, folder, progress=progress)
    run.train()
    return run


def test_ranges_and_types_are_written_down_and_taken_over(quiet, tmp_path, listening):
    run = run_of(quiet, tmp_path, FOUND, TYPE, "steps=1", progress=listening)
    written = read_yaml(tmp_path / "resolved.yaml").data["domains"]
    assert written["a"]["range"] == [6, 1186]
    origin = written["a"]["range_from"]
    assert {k: origin[k] for k in ("percentile", "over", "in", "cases")} == {
        "percentile": [0.5, 99.5], "over": "training", "in": "mask", "cases": 6
    }  # fmt: skip
    assert written["b"]["write"] == {"outside": {"mask": "fill"}, "dtype": "int16", "slope": 1, "offset": 0}
    assert any("domains.a: 6..1186, found in the training images" in note for note in listening.notes)
    listening.notes.clear()
    again = run_of(quiet, tmp_path, FOUND, TYPE, "steps=2", progress=listening)
    assert again.recipe.domains == run.recipe.domains and not any("found" in note for note in listening.notes)
    (state,) = (json.loads(file.read_text()) for file in tmp_path.glob("checkpoints/*2/state.json"))
    assert "1186" in json.dumps(state)


@pytest.mark.parametrize(
    "change",
    [
        "domains.b.range=[-1000, 3071]",
        "domains.b.unit=none",
        "domains.a={range: {percentile: [1, 99], over: training, in: mask}}",
        "domains.a={range: [6, 1000]}",
    ],
)
def test_another_description_does_not_resume(quiet, tmp_path_factory, change):
    """It is not taken for the one whose findings are known."""
    folder = tmp_path_factory.getbasetemp() / "described"
    if not folder.exists():
        run_of(quiet, folder, FOUND, TYPE, "steps=1")
    with pytest.raises((CheckpointError, ForgeError), match="domains"):
        run_of(quiet, folder, FOUND, TYPE, change, "steps=2")


def test_findings_are_taken_over_when_the_images_have_moved(quiet, tmp_path):
    pytest.importorskip("nibabel")
    Phantom().write(tmp_path / "one", format=FILES.format("nifti"), ending=".nii")
    files = 'data={use: cases, task: ~, files: {a: "{case}/mr.nii", b: "{case}/ct.nii", mask: "{case}/mask.nii"}}'
    first = run_of(quiet, tmp_path / "run", files, FOUND, TYPE, f"data.root={tmp_path}/one", "steps=1")
    shutil.move(tmp_path / "one", tmp_path / "two")
    second = run_of(quiet, tmp_path / "run", files, FOUND, TYPE, f"data.root={tmp_path}/two", "steps=2")
    assert second.recipe.domains == first.recipe.domains
    assert second.recipe.domains["a"].range_from.cases == 8


def test_what_cannot_be_found_is_refused(quiet, tmp_path):
    """Of pictures that are drawn there are no files of codes; of a target's case no range holds for all."""
    with pytest.raises(DataError, match="values are taken in 'bones'"):
        run_of(quiet, tmp_path, "domains.a={range: {percentile: [0, 99], in: bones}}", "steps=1")
    with pytest.raises(ForgeError, match="b is translated into; its range must hold for all cases"):
        run_of(quiet, tmp_path, "domains.b={range: {percentile: [0, 99], over: case}}", "steps=1")


PIX2PIX = """
base: pix2pix_synthetic
data: {use: phantom, count: ~, paired: ~, test_count: ~, size: 64, batch: 2, workers: 0}
domains:
  a: {range: {percentile: [0, 99.5], over: case, in: mask}}
  b: {unit: HU, range: [-1024, 3071]}
  mask: {kind: labels}
networks:
  encoder: {width: 4, levels: 4}
  decoder: {width: 4, levels: 4}
  discriminator: {width: 4, channels: pair}
phases: {generator: {minimize: {image: "100 * masked_l1(translation, target, mask)"}}}
run: {log_every: 1, sample_every: 1000, checkpoint_every: 1000}
"""


def test_pix2pix_of_volumes_fits_bit_for_bit(quiet, tmp_path):
    """With any number of workers, and stopped and resumed."""
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(PIX2PIX)

    def trained(folder, *changes):
        run = Run(read_recipe(recipe, set=changes), quiet, tmp_path / folder)
        run.train()
        lines = [json.loads(line) for line in (tmp_path / folder / "metrics.jsonl").read_text().splitlines()]
        return checkpoint.digest(run.trainer), [line["generator/image/ab"] for line in lines]

    digest, losses = trained("straight", "steps=6")
    assert trained("workers", "steps=6", "data.workers=2") == (digest, losses)
    trained("resumed", "steps=3", "data.workers=2")
    assert trained("resumed", "steps=6") == (digest, losses)
    assert losses[-1] < losses[0]


def test_a_run_of_before_keeps_its_noise(tiny, straight, tmp_path):
    """Its recipe does not tell where noise is drawn, and the shipped one may meanwhile say otherwise."""
    tiny.train(tmp_path, "steps=3")
    resolved = tmp_path / "resolved.yaml"
    resolved.write_text(resolved.read_text().replace("noise: generator\n", ""))
    notes = []

    class Listener:
        def __getattr__(self, event):
            return lambda *arguments: notes.extend(arguments if event == "note" else ())

    assert tiny.train(tmp_path, "noise=counter", progress=Listener()) == straight[1]
    assert "noise: generator, as this run began" in notes
    assert tiny.train(tmp_path / "new", "noise=counter") != straight[1]
    assert "noise: counter\n" in (tmp_path / "new/resolved.yaml").read_text()
