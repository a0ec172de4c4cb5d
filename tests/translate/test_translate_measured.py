"""`forge translate` with runs of measured images: what it says, its exit codes, its JSON."""

import json

import numpy as np
import pytest
from loaded import HOST
from PIL import Image
from shrink import small

from i2i_forge.recipe.reading import read_recipe
from i2i_forge.run.loop import Run


@pytest.fixture(scope="session")
def counts_run(tmp_path_factory):
    """One step of pix2pix from 16-bit pictures to 16-bit pictures, 1 -> 1 channels, whose sizes are no multiples."""
    folder = tmp_path_factory.mktemp("counts")
    for name in ("a", "b"):
        (folder / name).mkdir()
        for number in range(2):
            codes = np.random.default_rng(number).integers(0, 4096, (40, 50)).astype(np.uint16)
            Image.fromarray(codes).save(folder / f"{name}/{number}.png")
    domain = "{range: [0, 4095], unit: counts, write: {dtype: uint16}}"
    recipe = read_recipe("pix2pix_synthetic", set=[
        *small(4, encoder="levels=4", decoder="levels=4", discriminator="layers=1 channels=pair"),
        f"data={{use: cases, root: {folder}, files: {{a: 'a/{{case}}.png', b: 'b/{{case}}.png'}}, size: 32}}",
        "data.workers=0", f"domains={{a: {domain}, b: {domain}}}", "steps=1", "run.sample_inputs=1",
    ])  # fmt: skip
    run = Run(recipe, HOST, folder / "run")
    run.train()
    return folder / "run"


def test_the_command_writes_files_of_the_same_kind(forge, counts_run, tmp_path):
    folder = counts_run.parent
    code, out, err = forge("translate", counts_run, folder, "--out", tmp_path / "out")
    assert (code, out) == (0, f"2 images and {tmp_path / 'out/sheet.png'}\n") and "2/2 images" in err
    names = ["0.png", "1.png", "sheet.png", "translation.json"]
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == names
    with Image.open(tmp_path / "out/0.png") as found:
        assert found.mode == "I;16" and found.size == (50, 40)
    code, out, _ = forge("translate", counts_run, folder / "a/1.png", "--out", tmp_path / "out", "--json")
    facts = json.loads(out)
    assert (code, facts["files"], facts["skipped"]) == (0, [str(tmp_path / "out/1.png")], [])


def test_samples_are_drawn_of_images_that_do_not_fit_the_networks(counts_run):
    """Test images keep their grid, 40x50 here, and the networks take multiples of 16."""
    with Image.open(counts_run / "samples/ab-step-00000001.png") as found:
        assert found.width == 3 * (128 + 4) + 4  # input, translation, truth
        cells = np.asarray(found)[-60:-40]
    assert all((cells[:, 4 + 132 * k : 132 * k + 120] < 255).any() for k in range(3))


def test_bad_cases_are_left_out(forge, counts_run, tmp_path):
    good = counts_run.parent / "a/0.png"
    (tmp_path / "bad.png").write_bytes(good.read_bytes()[:300])
    code, out, err = forge("translate", counts_run, good, tmp_path / "bad.png", "--out", tmp_path / "out",
                           "--on-bad", "skip", "--json")  # fmt: skip
    assert code == 0 and len(json.loads(out)["skipped"]) == 1 and "it is left out" in err
    code, _, err = forge("translate", counts_run, good, tmp_path / "bad.png", "--out", tmp_path / "out2")
    assert code == 4 and "bad.png" in err and "--on-bad skip" in err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("nowhere.npy",), 4, "there is no such file or folder"),
        (("COLOUR",), 4, "is a colour picture"),
        (("GOOD", "--resize", "32"), 2, "measured images keep their grid"),
        (("GOOD", "--files", "a"), 2, "this is not IMAGE=PATTERN"),
        (("GOOD", "--files", "mask={case}.png"), 2, "this translation reads a alone"),
        (("GOOD", "--plane", "oblique"), 2, "'oblique' is not one of"),
        (("GOOD", "--plane", "coronal"), 0, ""),  # of a picture there is one plane
        (("GOOD", "--styles", "3"), 2, "deterministic"),
        (("GOOD", "--manifest", "TABLE"), 2, "--manifest names all files itself"),
        (("--manifest", "TABLE"), 0, ""),
        ((), 2, "Missing argument 'INPUT...'"),
        (("GOOD", "GOOD"), 4, "two inputs are called 0"),
        (("GOOD", "--out", "HERE"), 2, "is one of the inputs"),
    ],
)
def test_mistakes(forge, counts_run, tmp_path, arguments, code, words):
    good = counts_run.parent / "a/0.png"
    Image.new("RGB", (32, 32)).save(tmp_path / "colour.png")
    (tmp_path / "table.csv").write_text(f"case,a\nx,{good}\n")
    places = {"GOOD": good, "COLOUR": tmp_path / "colour.png", "TABLE": tmp_path / "table.csv", "HERE": good.parent}
    out = [] if "--out" in arguments else ["--out", tmp_path / "out"]
    got, _, err = forge("translate", counts_run, *(places.get(each, each) for each in arguments), *out)
    assert got == code and words in err and "unexpected" not in err
    assert code == 0 or not (tmp_path / "out").exists()


def test_options_of_measured_images_are_refused_for_photographs(forge, pix2pix_run, image, tmp_path):
    for option in (["--files", "a={case}.png"], ["--plane", "axial"]):
        code, _, err = forge("translate", pix2pix_run, image, "--out", tmp_path / "out", *option)
        assert code == 2 and "are for measured images" in err
