"""Measured images in files that any program wrote, and translations of runs on measured images."""

import pickle

import numpy as np
import pytest
import torch
from loaded import CATALOG, QUIET, recipe_of

from i2i_forge.data import ImageSource, Transform, tolerant
from i2i_forge.data.file_formats import Files
from i2i_forge.errors import DataError
from i2i_forge.measure import Tools
from i2i_forge.measure.evaluate import Evaluation
from i2i_forge.measure.plans import choose, plan
from i2i_forge.measure.recording import write_records
from i2i_forge.measure.run_samples import RunSamples
from i2i_forge.measure.value_folders import ValueFolders, described
from i2i_forge.run.loop import Run
from i2i_forge.translate.loading import load

CPU, FILES = torch.device("cpu"), Files(CATALOG.files)
HU = {"unit": "HU", "range": [-1024, 3071], "axes": {"axis0": "slices"}}
SPACE = described(HU, "--domain")


def saved(folder, **images):
    folder.mkdir(exist_ok=True)
    for name, codes in images.items():
        np.save(folder / f"{name}.npy", codes)
    return folder


def volume(seed, slices=3, rows=14, columns=12):
    return np.random.default_rng(seed).integers(-1024, 3072, (slices, rows, columns)).astype(np.int16)


def measured(folder, metric="mae", batch=4, **beside):
    made = ValueFolders(folder, CPU, SPACE, FILES, **beside)
    plans = plan(CATALOG, choose(CATALOG, [metric], space=SPACE), made)
    evaluation = Evaluation(made, plans, Tools(CPU), batch=batch)
    return evaluation, evaluation.run()[0][0]


def test_it_is_numpys_masked_mean_of_each_file_whatever_their_sizes(tmp_path):
    shapes = {"a": (3, 14, 12), "b": (2, 20, 16)}
    images, truths = ({n: volume(seed + len(n) + s[0], *s) for n, s in shapes.items()} for seed in (0, 9))
    masks = {name: (volume(5, *shape) > 1500).astype(np.uint8) * 255 for name, shape in shapes.items()}
    folders = saved(tmp_path / "out", **images), saved(tmp_path / "ct", **truths, more=volume(1))
    mask = saved(tmp_path / "mask", **masks)
    evaluation, outcome = measured(folders[0], truths=folders[1], mask=mask)
    expected = {name: np.abs(images[name].astype(float) - truths[name])[masks[name] > 0].mean() for name in shapes}
    assert outcome.per_group == pytest.approx(expected, abs=1e-9)
    assert outcome.value == pytest.approx(np.mean(list(expected.values())), abs=1e-9)
    assert measured(folders[0], batch=1, truths=folders[1], mask=mask)[1].value == outcome.value
    assert evaluation.samples.warnings == [f"1 files in {folders[1]} have no translation"]
    (record,) = write_records(evaluation, [[outcome]], tmp_path, {})
    assert (record.unit, record.n.inputs, record.n.groups, record.preprocess.size) == ("HU", 5, 2, [])
    assert (record.preprocess.mask, record.preprocess.codec, record.data.name) == ("mask", "npy", str(folders[0]))


def test_pixels_whose_truth_has_no_value_are_left_out_and_a_translation_must_have_one(tmp_path):
    truth = volume(1).astype(np.float32)
    image, truth[0, :3] = truth + 10, np.nan
    folders = saved(tmp_path / "out", a=image.clip(-1024, 3071)), saved(tmp_path / "ct", a=truth)
    _, outcome = measured(folders[0], truths=folders[1])
    assert outcome.components["pixels"] == truth.size - 3 * 12
    image[1, 5, 5] = np.inf
    saved(tmp_path / "out", a=image)
    with pytest.raises(DataError, match="a slice 2/3 has no value at 1 pixels that are measured"):
        measured(folders[0], truths=folders[1])


def test_what_lies_outside_of_the_range_counts_as_its_end_and_that_is_said(tmp_path):
    truth = np.full((1, 14, 12), 3071, np.int16)
    folders = saved(tmp_path / "out", a=truth + 500), saved(tmp_path / "ct", a=truth)
    evaluation, outcome = measured(folders[0], truths=folders[1])
    assert outcome.value == 0
    assert evaluation.samples.warnings == ["values outside of -1024..3071 HU count as its ends"]


@pytest.mark.parametrize(
    ("truths", "cause"),
    [
        ({"b": volume(0)}, "has no file for 1 of 1 images, for example 'a'"),
        ({"a_": volume(0)}, "has no file for 1 of 1 images, for example 'a'"),
        ({"a": volume(0, 4)}, r"case a has files of \[3, 4\] slices"),
        ({"a": volume(0, 3, 12, 14)}, r"case a: .*a\.npy is 3x14x12, .*a\.npy 3x12x14"),
        ({}, "no file in it can be read as an image"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(truths, cause, tmp_path):
    with pytest.raises(DataError, match=cause):
        measured(saved(tmp_path / "out", a=volume(0)), truths=saved(tmp_path / "ct", **truths))


def test_a_real_image_among_the_translations_is_found_unless_it_is_of_air_alone(tmp_path):
    window = described(HU | {"display": {"window": [-160, 240]}}, "--domain")
    air = np.full((8, 16, 16), -1000, np.int16)
    for number, made in enumerate((air, np.concatenate([air, volume(3, 1, 16, 16)]))):
        folder = saved(tmp_path / f"{number}", a=made, b=volume(4, 2, 16, 16))
        real = saved(tmp_path / f"real{number}", c=np.concatenate([made, volume(5, 4, 16, 16)]))
        samples = ValueFolders(folder, CPU, window, FILES, real=real)
        seen = [samples.translations(0, [1] * samples.inputs, 4), samples.real("test", 99, 4)]
        assert sum(len(batch) for batches in seen for batch in batches) == samples.inputs + samples.real_count("test")
        common = set(samples.seen["translations"].values()) & set(samples.seen["test"].values())
        assert len(common) == number


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    """A run of one step from MR to CT of bodies that are drawn in memory."""
    folder = tmp_path_factory.mktemp("runs") / "phantom"
    tiny = ("data.batch=2", "data.workers=0", "steps=1", "networks.encoder.width=2", "networks.decoder.width=2")
    Run(recipe_of("regression_phantom", *tiny), QUIET, folder).train()
    return folder


def of_run(folder, out, batch=32, share=(0, 1)):
    samples = RunSamples(load(folder, catalog=CATALOG), CATALOG, "ab", CPU)
    plans = plan(CATALOG, choose(CATALOG, ["mae", "ssim"], space=samples.space), samples)
    evaluation = Evaluation(samples, plans, Tools(CPU), batch=batch)
    evaluation.share = share
    return evaluation, out


def test_a_run_is_measured_by_subject_in_its_masks_and_batches_change_no_bit(phantom, tmp_path):
    evaluation, out = of_run(phantom, tmp_path)
    assert evaluation.samples.has == {"sources", "truths", "mask"}
    found = evaluation.run()
    mae, ssim = write_records(evaluation, found, out, {})
    assert (mae.unit, mae.n.inputs, mae.n.groups, mae.ci_method) == ("HU", 32, 2, "group-bootstrap")
    assert (mae.preprocess.mask, mae.preprocess.range) == ("mask", "-1024..3071 HU")
    assert mae.components["pixels"] == 22136 + 23716  # of the bodies of subjects 6 and 7
    assert 50 < mae.value < 2000 and ssim.value < 1
    again, _ = of_run(phantom, tmp_path, batch=5)
    assert [(o.value, o.per_group) for [o] in again.run()] == [(o.value, o.per_group) for [o] in found]
    halves = [of_run(phantom, tmp_path, 3, (rank, 2))[0] for rank in range(2)]
    for half in halves:
        for batch in half.samples.translations(0, [1] * 32, 3, half.share):
            for metric in half.metrics[0]:
                metric.update(batch)
    for one, other in zip(halves[0].metrics[0], halves[1].metrics[0], strict=True):
        one.merge(other.state())
    assert [metric.compute()[0].value for metric in halves[0].metrics[0]] == [mae.value, ssim.value]


def test_a_source_that_replaces_damaged_images_has_the_groups_of_its_own_and_none_where_there_are_none(phantom):
    source = RunSamples(load(phantom, catalog=CATALOG), CATALOG, "ab", CPU).source
    replacing = pickle.loads(pickle.dumps(tolerant(source, "skip")))
    assert [replacing.group(index) for index in (0, 31)] == ["subject_6", "subject_7"]
    assert replacing.preview(2) == source.preview(2)
    assert not hasattr(tolerant(ImageSource("a", [], Transform(8)), "skip"), "group")


def test_the_value_is_that_of_the_translations_written_out(phantom, tmp_path):
    evaluation, _ = of_run(phantom, tmp_path)
    samples, errors, pixels = evaluation.samples, {}, {}
    for batch in samples.translations(0, [1] * 32, 8):
        x, y = (SPACE.to_values(each).numpy() for each in (batch.images, batch.truths))
        for number, group in enumerate(batch.groups):
            inside = batch.mask[number, 0].numpy()
            errors[group] = errors.get(group, 0) + np.abs(x - y)[number, 0][inside].sum()
            pixels[group] = pixels.get(group, 0) + inside.sum()
    expected = {group: errors[group] / pixels[group] for group in errors}
    assert set(expected) == {"subject_6", "subject_7"}
    assert evaluation.run()[0][0].per_group == pytest.approx(expected, rel=1e-12)


def test_pixels_of_a_runs_test_images_without_a_value_are_left_out(tmp_path):
    truth = np.random.default_rng(0).uniform(0, 100, (2, 32, 32)).astype(np.float32)
    truth[1, :10] = np.nan
    for case in range(2):
        saved(tmp_path / f"c{case}", a=np.zeros((3, 32, 32), np.uint8), b=truth[case])
    data = {"root": tmp_path, "files": "{a: '{case}/a.npy', b: '{case}/b.npy'}", "use": "cases", "task": "~",
            "size": 32, "batch": 1, "workers": 0}  # fmt: skip
    changes = [f"data.{key}={value}" for key, value in data.items()]
    domains = "{a: {channels: 3, range: [0, 255], axes: {axis0: channels}}, b: {range: [0, 100], unit: K}}"
    changes += [f"domains={domains}", "domains.mask=~", "steps=1", "networks.encoder.width=2",
                "networks.decoder.width=2", "phases.generator.minimize.image=l1(translation, target)",
                "phases.generator.minimize.whole=~"]  # fmt: skip
    Run(recipe_of("regression_phantom", *changes), QUIET, tmp_path / "run").train()
    evaluation, _ = of_run(tmp_path / "run", tmp_path)
    mae, _ = write_records(evaluation, evaluation.run(), tmp_path, {})
    assert mae.components["pixels"] == 2 * 32 * 32 - 10 * 32
    assert (mae.unit, mae.n.groups, mae.preprocess.mask) == ("K", 2, None)
