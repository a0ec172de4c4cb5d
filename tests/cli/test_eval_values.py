"""`forge eval --images` on files of measured values, as a user types it."""

import numpy as np
import pytest

from i2i_forge.measure.records import FILE, read

MAE = ("--metric", "mae", "--device", "cpu")
HU = ("--unit", "HU", "--range=-1024,3071")


@pytest.fixture
def files(tmp_path):
    """CT volumes with masks, translations of them that SimpleITK wrote, and the masked mean of each by NumPy."""
    sitk = pytest.importorskip("SimpleITK")
    draws, means = np.random.default_rng(0), []
    for name, slices in (("p1", 3), ("p2", 5)):
        truth = draws.integers(-1024, 3072, (slices, 16, 18)).astype(np.int16)
        made = (truth + draws.integers(-90, 90, truth.shape)).clip(-1024, 3071).astype(np.int16)
        mask = (draws.random(truth.shape) < 0.1 * slices).astype(np.uint8)
        means.append(np.abs(made.astype(float) - truth)[mask > 0].mean())
        for folder, array, ending in (("out", made, ".nrrd"), ("ct", truth, ".mha"), ("mask", mask, ".mhd")):
            (tmp_path / folder).mkdir(exist_ok=True)
            image = sitk.GetImageFromArray(array)
            image.SetSpacing((0.9, 0.9, 3.0))
            image.SetOrigin((-80.0, 12.5, 40.0))
            sitk.WriteImage(image, tmp_path / folder / (name + ending))
    return tmp_path, means


def test_outputs_of_another_program_are_measured_as_numpy_does(forge, files):
    folder, means = files
    given = ("--images", folder / "out", "--truths", folder / "ct", "--mask", folder / "mask")
    for batch in (1, 32):
        code, out, err = forge("eval", *given, *HU, *MAE, "--batch", batch, "--out", folder)
        assert code == 0, err
        assert "2 files, 8 images" in err and f"{np.mean(means):.4f} HU" in out
    one, other = read(folder / FILE)
    assert one.value == other.value == pytest.approx(np.mean(means), abs=1e-9)
    assert (one.n.inputs, one.n.groups, one.ci_method) == (8, 2, "group-bootstrap")


def test_networks_made_for_photographs_need_a_display(forge, files):
    folder, _ = files
    given = ("--images", folder / "out", "--truths", folder / "ct", "--metric", "lpips-paired", "--backbone", "random")
    code, _, err = forge("eval", *given, *HU, "--device", "cpu", "--out", folder)
    assert code == 2 and "nothing says how -1024..3071 HU is shown to it" in err
    assert "display: {window: [-1024, 3071]}" in err and not (folder / FILE).exists()
    (folder / "ct.yaml").write_text("{unit: HU, range: [-1024, 3071]}\n")
    code, _, err = forge("eval", *given, "--domain", folder / "ct.yaml", "--device", "cpu", "--out", folder)
    assert code == 2 and "in the file of --domain" in err


@pytest.mark.parametrize(
    ("flags", "cause"),
    [
        (("--unit", "HU"), "--unit is for files of values"),
        (("--mask", "mask"), "--mask is for files of values"),
        (("--range", "1"), "--range: range should be [low, high]"),
        (("--range", "3,1"), "--range: range should be [low, high] with low below high"),
        (("--range", "a,b"), "--range: range should be [low, high]"),
        ((*HU, "--sources", "ct"), "--sources does not go with --range"),
        ((*HU, "--draws", "none"), "--draws does not go with --range"),
        ((*HU, "--domain", "d.yaml"), "--range does not go with --domain"),
        (("--domain", "d.yaml"), "d.yaml: it should be described with a `range`"),
    ],
)
def test_what_does_not_go_together_is_said(flags, cause, forge, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("out", "ct", "mask"):
        (tmp_path / name).mkdir()
    (tmp_path / "d.yaml").write_text("unit: K\n")
    code, _, err = forge("eval", "--images", "out", "--truths", "ct", *flags, *MAE)
    assert code == 2 and cause in err


@pytest.mark.parametrize("flags", [("--mask", "."), ("--unit", "HU"), ("--range", "0,1")])
def test_a_run_has_data_of_its_own(flags, forge, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = forge("eval", *flags, *MAE)
    assert code == 2 and f"{flags[0]} goes with --images; a run has its own data" in err
