"""Translating: 77, 90, 107, 108 and 109."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from loaded import CATALOG, QUIET
from shrink import small
from torch.nn import functional as F

import i2i_forge
from i2i_forge.data.decode import decode
from i2i_forge.data.images import to_pil
from i2i_forge.data.transforms import to_tensor
from i2i_forge.errors import UsageError
from i2i_forge.measure.tensors import measure
from i2i_forge.recipe.reading import read_recipe
from i2i_forge.run.loop import Run
from i2i_forge.translate.export import export
from i2i_forge.translate.loading import load
from i2i_forge.translate.translator import Translator

SHORT = ("steps=2", "data.batch=2", "data.workers=0")
CYCLEGAN = (
    *SHORT, "data.use=paired_folders", "data.layout=two_folders", "data.size=32",
    *small(encoder="blocks=1", decoder="", discriminator=""),
)  # fmt: skip
MUNIT = (
    *SHORT, "data.count=4", "data.test_count=3",
    *small(content_encoder="blocks=1", style_encoder="", decoder="blocks=1 mlp_dim=8", discriminator="scales=1"),
)  # fmt: skip


def trained(folder, name, changes):
    Run(read_recipe(name, set=changes), QUIET, folder, source=name).train()
    return folder


@pytest.fixture(scope="module")
def resnet(tmp_path_factory):
    """A run of 32x32 pixels, with resnet networks and pairs."""
    folder = tmp_path_factory.mktemp("resnet")
    for number, place in enumerate(("trainA", "trainB", "testA", "testB")):
        for name in range(3):
            written(folder / "data" / place / f"{name}.png", 32, 32, seed=10 * number + name)
    return trained(folder / "run", "cyclegan_synthetic", [*CYCLEGAN, f"data.root={folder / 'data'}"])


@pytest.fixture(scope="module")
def munit(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("munit"), "munit_synthetic", MUNIT)


def picture(height, width, seed=0):
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def written(file, height=40, width=52, seed=0):
    file.parent.mkdir(parents=True, exist_ok=True)
    to_pil(picture(height, width, seed)[0]).save(file)
    return file


# ---- 77: images smaller than any floor of ours -----------------------------------------------------------------------


def test_77_a_run_of_small_images_is_measured_as_its_trainer_translates(resnet, catalog, forge):
    translator = load(resnet, catalog=catalog)
    (source,) = catalog.datasets.get("paired_folders")(**translator.recipe.data.options).sources("test")
    pairs = [source.example(number, None) for number in range(3)]
    x, truths = (torch.stack([pair[domain] for pair in pairs]) for domain in "ab")
    own = translator.trainer.translate(x, "ab").clamp(-1, 1)
    assert torch.equal(translator.translate(x), own)
    (expected,) = measure("psnr", own, truths=truths, catalog=catalog)
    code, out, err = forge("eval", resnet, "--metric", "psnr", "--json", "--device", "cpu")
    assert code == 0, err
    assert json.loads(out)[0]["value"] == pytest.approx(expected.value, abs=1e-9)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (12, 32), (36, 60)])
def test_77_what_the_networks_take_is_not_touched(resnet, catalog, capsys, height, width):
    translator, x = load(resnet, catalog=catalog), picture(height, width)
    assert torch.equal(translator.translate(x), translator.trainer.translate(x, "ab").clamp(-1, 1))
    assert capsys.readouterr().err == ""


def test_77_smaller_ones_are_continued_to_the_least_side_and_that_is_said_once(resnet, catalog, capsys):
    translator, x = load(resnet, catalog=catalog), picture(3, 12)
    with pytest.raises(Exception, match=r"spatial element|Padding size"):
        translator.trainer.translate(F.pad(x, (0, 0, 0, 1)), "ab")
    padded = F.pad(x, (0, 0, 2, 3), mode="replicate")  # to 8x12
    expected = translator.trainer.translate(padded, "ab")[:, :, 2:5].clamp(-1, 1)
    for _ in range(2):
        assert torch.equal(translator.translate(x), expected)
    assert capsys.readouterr().err.count("images below 8x8 pixels are continued at their border") == 1


def test_77_a_network_that_is_not_run_does_not_widen_the_image(catalog):
    """BicycleGAN's code encoder has a stride of its own, which only encoding asks for."""
    recipe = read_recipe("bicyclegan_synthetic", set=["networks.encoder.levels=3", "networks.decoder.levels=3"])
    translator = Translator(i2i_forge.build_trainer(recipe, catalog=catalog), recipe, 0)
    x, code = picture(24, 40), torch.ones(1, 8)
    expected = translator.trainer.translate(x, "ab", random_code=code).clamp(-1, 1)
    assert torch.equal(translator.translate(x, random_code=code), expected)


# ---- 90: outputs that would replace inputs ---------------------------------------------------------------------------


def bytes_of(folder):
    return {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("through", ["the folder", "a link to it", "a link in it"])
def test_90_translations_never_replace_an_input(resnet, forge, tmp_path, through):
    place = tmp_path / "photos"
    for number, name in enumerate(("a.png", "a-00.png", "sheet.png")):
        written(place / name, seed=number)
    out = place
    if through != "the folder":
        out = tmp_path / "out"
        out.symlink_to(place) if through == "a link to it" else out.mkdir()
        if through == "a link in it":
            (out / "a-00.png").symlink_to(place / "a-00.png")
    before = bytes_of(tmp_path)
    code, stdout, err = forge("translate", resnet, place, "--out", out)
    assert (code, stdout) == (2, "") and "a-00.png is one of the inputs" in err and "fix: " in err
    assert bytes_of(tmp_path) == before


def test_90_a_reference_is_an_input(munit, forge, tmp_path):
    image, reference = written(tmp_path / "in/a.png"), written(tmp_path / "out/sheet.png")
    code, _, err = forge("translate", munit, image, "--out", tmp_path / "out", "--reference", reference)
    assert code == 2 and "sheet.png is one of the inputs" in err


def test_90_translating_again_replaces_translations_and_nothing_else(resnet, forge, tmp_path):
    image, out = written(tmp_path / "in/a.png"), tmp_path / "out"
    for _ in range(2):
        assert forge("translate", resnet, image, "--out", out)[0] == 0
    written(out / "b-00.png")
    before = bytes_of(out)
    code, _, err = forge("translate", resnet, image, written(tmp_path / "in/b.png"), "--out", out)
    assert code == 2 and "b-00.png: there is something already, which this command did not write" in err
    assert bytes_of(out) == before


WRITERS = {
    "export": ("program.pt2", lambda run, file: ("export", run, "--out", file)),
    "schema": ("recipe.json", lambda run, file: ("schema", "--out", file)),
    "report": ("report.html", lambda run, file: ("report", run, "--html", file)),
    "data preview": ("seen.png", lambda run, file: ("data", "preview", run / "resolved.yaml", "--out", file)),
    "checkpoint export": ("2_net_G_A.pth", lambda run, file: (
        "checkpoint", "export", run, "--format", "junyanz-cyclegan", "--out", file.parent)),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITERS)
def test_90_a_file_of_somebody_else_is_kept_by_every_command(resnet, forge, tmp_path, name):
    file, arguments = tmp_path / WRITERS[name][0], WRITERS[name][1]
    file.touch()  # as mktemp does
    for _ in range(2):  # what the command wrote itself may be replaced
        code, _, err = forge(*arguments(resnet, file))
        assert code == 0 and file.stat().st_size, err
    file.write_text("my own work")
    code, _, err = forge(*arguments(resnet, file))
    assert code == 2 and f"{file}: there is something already" in err
    assert file.read_text() == "my own work"


def test_90_a_recipe_in_the_run_folder_is_kept(tmp_path):
    (tmp_path / "recipe.yaml").write_text("base: munit_synthetic\n")
    with pytest.raises(UsageError, match=r"recipe\.yaml: there is something already"):
        trained(tmp_path, "munit_synthetic", MUNIT)
    assert (tmp_path / "recipe.yaml").read_text() == "base: munit_synthetic\n"


def test_90_an_import_needs_a_new_folder(forge, tmp_path):
    (tmp_path / "env.json").write_text("mine")
    arguments = ("x.pth", "--format", "junyanz-cyclegan", "--run", tmp_path)
    code, _, err = forge("checkpoint", "import", *arguments)
    assert code == 2 and f"--run {tmp_path}: there is something already" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "munit_synthetic", "--run", ""), ("translate", "", "a.png", "--out", "out"),
        ("translate", "run", "a.png", "--out", ""), ("translate", "run", "", "--out", "out"), ("report", ""),
        ("data", "check", ""), ("data", "make", "procedural_shoes", "--out", ""), ("eval", ""),
        ("--plugins", "", "show"),
        ("checkpoint", "verify", ""), ("classifier", "show", ""), ("ablate", "munit_synthetic", "--out", ""),
    ],
    ids=" ".join,
)  # fmt: skip
def test_90_an_empty_path_is_not_the_current_folder(forge, arguments):
    code, out, err = forge(*arguments)
    assert (code, out) == (2, "") and "the path is empty" in err


# ---- 107: methods and codes that are exported ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bicyclegan_synthetic", "cyclegan_noise_synthetic", "pix2pix_synthetic"])
def test_107_a_u_net_that_ends_at_one_pixel_is_exported_at_its_own_size(catalog, tmp_path, name):
    recipe = read_recipe(name, set=["networks.encoder.width=2", "networks.decoder.width=2"])
    translator = Translator(i2i_forge.build_trainer(recipe, catalog=catalog), recipe, 0)
    found = export(translator, tmp_path / "program.pt2")
    assert found.smallest == recipe.data.options["size"] == 64
    assert found.difference <= 1e-4 and found.checked[0] == (1, 3, 64, 64)


def test_107_the_tutorials_bridge_is_exported_with_noise_that_has_places(tmp_path, monkeypatch):
    package = Path(__file__).parents[1] / "external_plugin/src"
    monkeypatch.syspath_prepend(str(package))
    for module in [name for name in sys.modules if name.startswith("forge_bridge")]:
        monkeypatch.delitem(sys.modules, module)
    import forge_bridge

    catalog = CATALOG
    if "bridge" not in catalog.trainers:
        forge_bridge.register_components(catalog)
    tiny = ["networks.velocity.width=4", "networks.velocity.levels=1", "state.solver.steps=1"]
    recipe = read_recipe(package / "forge_bridge/forge_bridge.yaml", set=tiny)
    translator = Translator(i2i_forge.build_trainer(recipe, catalog=catalog), recipe, 0)
    found = export(translator, tmp_path / "program.pt2")
    assert (found.inputs, found.code, found.difference) == (("source", "random_start"), "N,3,H,W", 0)
    x, noise = picture(32, 48), torch.randn(1, 3, 32, 48)
    program = torch.export.load(tmp_path / "program.pt2").module()
    torch.testing.assert_close(program(x, noise), translator.translate(x, random_start=noise), rtol=0, atol=1e-5)


# ---- 108: pictures in Python -----------------------------------------------------------------------------------------


def pixels(image):
    return np.asarray(image).tolist()


def test_108_pictures_of_every_kind_are_those_of_the_command(munit, catalog, forge, tmp_path):
    file, translator = written(tmp_path / "in/shoe.png"), load(munit, catalog=catalog)
    assert forge("translate", munit, file, "--out", tmp_path / "out", "--styles", 2, "--seed", 3)[0] == 0
    expected = [pixels(decode(tmp_path / f"out/shoe-0{number}.png")) for number in range(2)]
    image = decode(file)
    array, x = np.asarray(image), to_tensor(image)
    for given in (str(file), file, image, array, x, torch.from_numpy(array.copy()).permute(2, 0, 1)):
        found = translator(given, styles=2, seed=3)
        assert [pixels(y) for y in found] == expected, type(given)
        assert found.tensor.shape == (2, 3, 40, 52)
    for several in ([file, image], np.stack([array, array]), torch.stack([x, x])):
        one, other = translator(several, styles=2, seed=3)
        assert [pixels(y) for y in one] == [pixels(y) for y in other] == expected


def test_108_results_are_saved_and_shown(munit, catalog, tmp_path):
    translator, file = load(munit, catalog=catalog), written(tmp_path / "shoe.png")
    one, two = translator(file), translator(file, styles=2)
    assert one.save(tmp_path / "new/one.png") == [tmp_path / "new/one.png"]
    assert [f.name for f in two.save(str(tmp_path / "two.png"))] == ["two-00.png", "two-01.png"]
    assert pixels(decode(tmp_path / "two-01.png")) == pixels(two[1])
    assert two._repr_png_().startswith(b"\x89PNG")
    assert repr(two) == "<2 translations of an image of 52x40 pixels>"
    with pytest.raises(UsageError, match=r"saved as \.png"):
        one.save(tmp_path / "one.jpg")


def test_108_route_and_reference_are_those_of_the_command(munit, catalog, forge, tmp_path):
    file, reference = written(tmp_path / "in/shoe.png"), written(tmp_path / "boot.png", 70, 50, seed=9)
    arguments = ("--reference", reference, "--route", "ba")
    assert forge("translate", munit, file, "--out", tmp_path / "out", *arguments)[0] == 0
    translator, expected = load(munit, catalog=catalog), pixels(decode(tmp_path / "out/shoe-00.png"))
    for given in (reference, to_tensor(decode(reference))[None]):
        assert [pixels(y) for y in translator(file, "ba", reference=given)] == [expected]
    with pytest.raises(UsageError, match="0 styles"):
        translator(file, styles=0)


@pytest.mark.parametrize(
    ("given", "words", "advice"),
    [
        (np.zeros((8, 8, 3), np.float32), "uint8 H,W,3, this is float32 (8, 8, 3)", "0 to 255 as uint8"),
        (np.zeros((3, 8, 8), np.uint8), "this is uint8 (3, 8, 8)", "channels last"),
        (torch.full((3, 8, 8), 200.0), "from -1 to 1", "x / 127.5 - 1"),
        (torch.full((3, 8, 8), float("nan")), "from -1 to 1", "x / 127.5 - 1"),
        (torch.zeros(8, 8, 3), "images are 3,H,W, these are (8, 8, 3)", "x.permute(2, 0, 1)"),
        (torch.zeros(2, 1, 8, 8), "these are (2, 1, 8, 8)", "x.expand(-1, 3, -1, -1)"),
        (torch.zeros(1, 8, 8), "these are (1, 8, 8)", "x.expand(3, -1, -1)"),
        (7, "int is no image", "a file's name"),
    ],
)
def test_108_other_layouts_and_ranges_are_refused_with_advice(resnet, catalog, given, words, advice):
    with pytest.raises(UsageError) as caught:
        load(resnet, catalog=catalog)(given)
    assert words in caught.value.message and advice in caught.value.fix


@pytest.mark.parametrize(
    ("x", "advice"),
    [
        (torch.zeros(4, 1, 8, 8), "x.expand(-1, 3, -1, -1)"), (torch.zeros(8, 8, 3), "x.permute(2, 0, 1)[None]"),
        (torch.zeros(2, 8, 8, 3), "x.permute(0, 3, 1, 2)"), (torch.full((1, 3, 8, 8), 255.0), "x / 127.5 - 1"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), "x / 127.5 - 1"), (torch.zeros(1, 4, 8, 8), "three channels"),
    ],
    ids=["grey", "H,W,3", "N,H,W,3", "0..255", "uint8", "RGBA"],
)  # fmt: skip
def test_108_the_advice_for_tensors_can_be_followed(resnet, catalog, x, advice):
    with pytest.raises(UsageError) as caught:
        load(resnet, catalog=catalog).translate(x)
    assert advice in caught.value.fix


def test_108_a_translator_says_what_it_is(munit, resnet, catalog):
    text = repr(load(munit, catalog=catalog))
    for word in ("munit_synthetic", "ab (random_style), ba (random_style)", "2 steps at size 64"):
        assert word in text
    assert "ab (deterministic)" in repr(load(resnet, catalog=catalog))


def test_108_public_names_are_listed_and_the_verb_is_no_mere_module(munit, tmp_path):
    assert dir(i2i_forge) == sorted([*i2i_forge.__all__, "__version__"])
    file = written(tmp_path / "shoe.png")
    found = i2i_forge.translate(munit, file, styles=2, seed=3)
    assert [pixels(y) for y in found] == [pixels(y) for y in i2i_forge.load(munit)(file, styles=2, seed=3)]


# ---- 109: a damaged file among those to translate --------------------------------------------------------------------


@pytest.fixture
def photos(tmp_path):
    written(tmp_path / "in/a.png"), written(tmp_path / "in/c.png")
    (tmp_path / "in/b.png").write_text("<html>")
    return tmp_path / "in"


def test_109_it_is_skipped_when_told_and_named(resnet, forge, photos, tmp_path):
    code, out, err = forge("translate", resnet, photos, "--out", tmp_path / "out")
    assert (code, out) == (4, "") and "b.png" in err and "or leave such images out: --on-bad skip" in err
    shutil.rmtree(tmp_path / "out")
    code, _, err = forge("translate", resnet, photos, "--out", tmp_path / "out", "--on-bad", "skip")
    assert code == 0, err
    assert sorted(f.name for f in (tmp_path / "out").iterdir()) == ["a-00.png", "c-00.png", "sheet.png"]
    assert "images that could not be used: 1" in err.splitlines() and "b.png" in err.splitlines()[-1]
    code, out, _ = forge("translate", resnet, photos, "--out", tmp_path / "out", "--on-bad", "skip", "--json")
    assert code == 0 and "b.png" in json.loads(out)["skipped"][0] and len(json.loads(out)["files"]) == 2


def test_109_none_left_is_an_error(resnet, forge, photos, tmp_path):
    code, out, err = forge("translate", resnet, photos / "b.png", "--out", tmp_path / "out", "--on-bad", "skip")
    assert (code, out) == (4, "") and "none of the 1 images can be used" in err
    assert not (tmp_path / "out").exists()
