"""Translating: 77, 90 and 107."""

import json
import sys
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

import i2i_forge
from i2i_forge.cli import main
from i2i_forge.errors import UsageError
from i2i_forge.evaluation.tensors import measure
from i2i_forge.export import export
from i2i_forge.images import to_pil
from i2i_forge.plugins import load_plugins
from i2i_forge.recipe import read_recipe
from i2i_forge.run import Run
from i2i_forge.translate import Translator, load

SHORT = ("steps=2", "data.batch=2", "data.workers=0")
CYCLEGAN = (
    *SHORT, "data.use=paired_folders", "data.layout=two_folders", "data.size=32", "networks.encoder.width=4",
    "networks.encoder.blocks=1", "networks.decoder.width=4", "networks.discriminator.width=4",
)  # fmt: skip
MUNIT = (
    *SHORT, "data.count=4", "data.test_count=3", "networks.content_encoder.width=4",
    "networks.content_encoder.blocks=1", "networks.style_encoder.width=4", "networks.decoder.width=4",
    "networks.decoder.blocks=1", "networks.decoder.mlp_dim=8", "networks.discriminator.width=4",
    "networks.discriminator.scales=1",
)  # fmt: skip


@pytest.fixture(scope="module")
def catalog():
    return load_plugins().catalog


def trained(folder, name, changes):
    host = load_plugins()
    host.manager.unregister(name="sample_grids")
    Run(read_recipe(name, set=changes), host, folder, source=name).train()
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


@pytest.fixture
def forge(capsys):
    """Runs a command in this process: its exit code, stdout and stderr."""

    def call(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(list(map(str, arguments)))
        return ended.value.code, *capsys.readouterr()

    return call


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

    catalog = load_plugins().catalog
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
