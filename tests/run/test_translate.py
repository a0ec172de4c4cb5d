import json
import re

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from i2i_forge.catalog.loading import load_plugins
from i2i_forge.data.decode import decode
from i2i_forge.data.images import to_uint8
from i2i_forge.data.transforms import Transform, to_tensor
from i2i_forge.errors import CheckpointError, UsageError
from i2i_forge.recipe.reading import read_recipe
from i2i_forge.run import checkpoint
from i2i_forge.run.loop import Run
from i2i_forge.system.seeding import generator
from i2i_forge.translate import files as translate_files_module
from i2i_forge.translate import tiles
from i2i_forge.translate.files import find_inputs, translate_files
from i2i_forge.translate.loading import load

SIZES = [(61, 97), (40, 40), (300, 64), (1, 1), (64, 64), (7, 130)]  # height, width


def picture(height, width, seed=0):
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def write(file, height=48, width=56, seed=0):
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = to_uint8(picture(height, width, seed)[0]).permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(file)
    return file


def pixels(file):
    with Image.open(file) as image:
        return np.array(image)


@pytest.fixture(scope="module")
def translator(straight, host):
    return load(straight[0], catalog=host.catalog)


@pytest.fixture
def image(tmp_path):
    return write(tmp_path / "in/shoe.png")


# ---- tensors ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("route", ["ab", "ba"])
def test_any_size_comes_back_as_it_went_in(translator, height, width, route):
    y = translator.translate(picture(height, width), route)
    assert y.shape == (1, 3, height, width)
    assert y.isfinite().all() and y.abs().max() <= 1


@pytest.mark.parametrize(("height", "width"), [(64, 64), (68, 100), (128, 64)])
def test_a_size_the_networks_take_is_not_touched(translator, height, width):
    x, style = picture(height, width), torch.ones(1, 8)
    y = translator.translate(x, random_style=style)
    assert torch.equal(y, translator.trainer.translate(x, "ab", random_style=style).clamp(-1, 1))


def test_other_sizes_are_continued_at_the_border_and_cut_out_again(translator):
    x, style = picture(61, 97), torch.ones(1, 8)
    padded = F.pad(x, (1, 2, 1, 2), mode="replicate")  # to 64 x 100
    expected = translator.trainer.translate(padded, "ab", random_style=style)[..., 1:62, 1:98]
    assert torch.equal(translator.translate(x, random_style=style), expected.clamp(-1, 1))


def test_several_styles_of_one_content_are_those_of_each_style_alone(translator):
    x, styles = picture(64, 64), torch.randn(3, 8)
    together = translator.translate(x, random_style=styles)
    for number in range(3):
        alone = translator.translate(x, random_style=styles[number : number + 1])
        torch.testing.assert_close(together[number : number + 1], alone, rtol=0, atol=1e-5)
    assert not together[0].equal(together[1])


@pytest.mark.parametrize("batch", [None, 1, 2, 5])
def test_many_styles_encode_once_and_are_those_of_each_alone(translator, batch):
    x, styles, calls = picture(61, 97), torch.randn(5, 8), []
    encoder = translator.trainer.networks["content_encoder"]["a"]
    hook = encoder.register_forward_pre_hook(lambda *_: calls.append(1))
    list(translator.translations(x, "ab", styles, batch=1))  # the first time a pass without data shows what is shared
    calls.clear()
    images = list(translator.translations(x, "ab", styles, batch=batch))
    assert len(images) == 5 and len(calls) == 1
    hook.remove()
    for image, style in zip(images, styles, strict=True):
        torch.testing.assert_close(image, translator.translate(x, random_style=style[None])[0], rtol=0, atol=1e-5)


def test_translations_are_made_when_they_are_asked_for(translator):
    calls = []
    hook = translator.trainer.networks["decoder"]["b"].register_forward_hook(lambda *_: calls.append(1))
    images = translator.translations(picture(64, 64), "ab", torch.randn(4, 8), batch=1)
    next(images), calls.clear()
    next(images)
    hook.remove()
    assert len(calls) == 1


def test_codes_do_not_depend_on_training_mode_or_calls_before(translator):
    x = picture(50, 50)
    first = translator.encode(x, "style", "b")
    assert first.shape == (1, 8)
    translator.translate(x)
    assert translator.encode(x, "style", "b").equal(first)
    assert not translator.encode(x, "style", "a").equal(first)


def test_a_missing_batch_axis_is_explained(translator):
    with pytest.raises(UsageError, match=r"images are N,3,H,W, these are \(3, 64, 64\)") as caught:
        translator.translate(picture(64, 64)[0])
    assert "x[None]" in caught.value.fix


def test_loading_gives_the_weights_of_the_newest_checkpoint(translator, straight):
    found = checkpoint.newest(straight[0] / "checkpoints", pytest.fail)
    assert translator.step == found.step == 10
    assert translator.recipe.name == "munit_synthetic"
    assert all(v.equal(found.model[n]) for n, v in translator.trainer.state_dict().items())


def test_a_damaged_checkpoint_warns_and_the_one_before_is_used(tiny, host, tmp_path, capsys):
    tiny.train(tmp_path, "steps=2", "run.checkpoint_every=1")
    (tmp_path / "checkpoints/step-00000002/state.json").unlink()
    assert load(tmp_path, catalog=host.catalog).step == 1
    assert "warning: checkpoint step-00000002 is damaged" in capsys.readouterr().err


# ---- files -----------------------------------------------------------------------------------------------------


def test_files_are_exact(translator, image, tmp_path):
    """No stretch, no second rounding: decode(PNG) is to_uint8(tensor)."""
    codes = []
    infer = translator.trainer.infer

    def spy(wanted, *given, **options):
        codes.extend([options["random_style"]] if "random_style" in options else [])
        return infer(wanted, *given, **options)

    translator.trainer.infer = spy
    try:
        first, second, _ = translate_files(translator, [image], tmp_path / "out", styles=2, batch=2)
    finally:
        del translator.trainer.infer
    x = to_tensor(decode(image))[None]
    for file, code in zip((first, second), torch.cat(codes), strict=True):
        expected = translator.translate(x, random_style=code[None])[0]
        assert np.array_equal(pixels(file), to_uint8(expected).permute(1, 2, 0).numpy())
        assert pixels(file).shape == (48, 56, 3)


def test_styles_are_the_same_for_every_input_and_whatever_their_number(translator, image, tmp_path):
    few = translate_files(translator, [image], tmp_path / "few", styles=2)
    many = translate_files(translator, [image, image], tmp_path / "many", styles=11)
    assert [f.name for f in few] == ["shoe-00.png", "shoe-01.png", "sheet.png"]
    assert len(many) == 23
    for number in range(11):
        assert many[number].read_bytes() == many[11 + number].read_bytes()
        if number < 2:  # of another batch, which may round otherwise
            one, other = (np.asarray(Image.open(file)).astype(int) for file in (few[number], many[number]))
            assert abs(one - other).max() <= 1
    assert len({f.read_bytes() for f in many[:11]}) == 11


def test_seed(translator, image, tmp_path):
    def bytes_of(name, seed):
        return [f.read_bytes() for f in translate_files(translator, [image], tmp_path / name, styles=2, seed=seed)[:2]]

    assert bytes_of("0", 0) == bytes_of("again", 0)
    assert set(bytes_of("0", 0)).isdisjoint(bytes_of("1", 1))


def test_interpolation_begins_and_ends_at_the_two_styles(translator, image, tmp_path):
    styles = translate_files(translator, [image], tmp_path / "styles", styles=2)[:2]
    steps = translate_files(translator, [image], tmp_path / "steps", interpolate=5)[:-1]
    assert len(steps) == 5
    assert np.abs(pixels(steps[0]).astype(int) - pixels(styles[0])).max() <= 1  # decoded in another batch size
    assert np.abs(pixels(steps[4]).astype(int) - pixels(styles[1])).max() <= 1
    assert len({f.read_bytes() for f in steps}) == 5


def test_reference(translator, image, tmp_path):
    reference = write(tmp_path / "boot.png", 70, 50, seed=9)
    [file, _] = translate_files(translator, [image], tmp_path / "out", reference=reference)
    style = translator.encode(to_tensor(decode(reference))[None], "style", "b")
    y = translator.translate(to_tensor(decode(image))[None], random_style=style)[0]
    assert np.array_equal(pixels(file), to_uint8(y).permute(1, 2, 0).numpy())
    other = write(tmp_path / "other.png", 70, 50, seed=10)
    assert not np.array_equal(pixels(translate_files(translator, [image], tmp_path / "o2", reference=other)[0]), y)
    steps = translate_files(translator, [image], tmp_path / "steps", reference=reference, interpolate=3)[:-1]
    first = translate_files(translator, [image], tmp_path / "first", styles=1)[0]
    assert np.abs(pixels(steps[0]).astype(int) - pixels(first)).max() <= 1
    assert np.abs(pixels(steps[2]).astype(int) - pixels(file)).max() <= 1


@pytest.mark.parametrize(("options", "columns"), [({"styles": 3}, 4), ({"interpolate": 6}, 7), ({"styles": 20}, 13)])
def test_the_sheet_has_a_column_for_the_input_and_each_style(translator, image, tmp_path, options, columns):
    second = write(tmp_path / "in/tall.png", 90, 30)
    sheet = translate_files(translator, [image, second], tmp_path / "out", **options)[-1]
    height, width, _ = pixels(sheet).shape
    assert width == columns * (128 + 4) + 4
    assert height == 27 + 2 * (128 + 4)


@pytest.mark.parametrize("large", [False, True])
def test_tiles_change_nothing_that_can_be_seen(translator, tmp_path, monkeypatch, large):
    image, shown = write(tmp_path / "in/wide.png", 150, 230), []
    whole = translate_files(translator, [image], tmp_path / "whole", styles=2, tile=0)
    monkeypatch.setattr(tiles, "LARGE", 1000)
    monkeypatch.setattr(tiles, "TILE", 64)
    monkeypatch.setattr(translator, "translate_in_tiles", lambda x, *given, translate=translator.translate_in_tiles,
                        **options: shown.append(options["tile"]) or translate(x, *given, **options))  # fmt: skip
    tiled = translate_files(translator, [image], tmp_path / "tiled", styles=2, tile=None if large else 96)
    assert shown == [64 if large else 96] * 2
    for one, other in zip(whole[:-1], tiled[:-1], strict=True):
        assert np.abs(pixels(one).astype(int) - pixels(other)).max() <= 1


def test_a_code_that_is_not_given_is_drawn_once_for_all_tiles(translator):
    draws = (torch.Generator().manual_seed(1) for _ in range(2))
    whole, tiled = picture(80, 96), picture(80, 96)
    whole = translator.translate(whole, generator=next(draws))
    tiled = translator.translate_in_tiles(tiled, tile=64, generator=next(draws))
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-4)


# ---- names -----------------------------------------------------------------------------------------------------


def test_names_of_folders_sort_and_differ(tmp_path):
    root = tmp_path / "images"
    files = ["a.png", "a.jpg", "a-2.png", "b/a.png", "b_a.png", "2.png", "10.png"]
    for number, name in enumerate(files):
        write(root / name, 8, 8, number)
    again = write(tmp_path / "elsewhere/a.png", 8, 8)
    found = find_inputs([root, again, root / "a.png"])
    names = [name for _, name in found]
    assert len(found) == 9 and len(set(names)) == 9
    assert {"a", "a-2", "b_a", "2", "10"} <= set(names)
    assert dict(found)[root / "a-2.png"] == "a-2"  # keeps its own
    assert names.index("2") < names.index("10")


def test_equal_names_are_all_written(translator, tmp_path):
    inputs = [write(tmp_path / folder / "a.png", seed=n) for n, folder in enumerate("xyz")]
    inputs.append(write(tmp_path / "w/a-2.png", seed=7))
    written = translate_files(translator, inputs, tmp_path / "out", styles=1)[:-1]
    assert len({f.name for f in written}) == 4
    assert len({f.read_bytes() for f in written}) == 4
    assert len(list((tmp_path / "out").iterdir())) == 5


def test_file_names_sort_in_the_order_of_the_styles(translator, image, tmp_path):
    names = [f.name for f in translate_files(translator, [image], tmp_path, styles=101, batch=50)[:-1]]
    assert names == sorted(names) and names[0] == "shoe-000.png" and names[-1] == "shoe-100.png"


# ---- the command -----------------------------------------------------------------------------------------------


def test_the_command(call_forge, straight, image, tmp_path):
    code, out, err = call_forge("translate", straight[0], image.parent, "--out", tmp_path / "out", "--device", "cpu")
    assert (code, out) == (0, f"4 images and {tmp_path / 'out/sheet.png'}\n")
    assert "munit_synthetic after 10 steps" in err and "1/1 images" in err
    assert len(list((tmp_path / "out").iterdir())) == 5


@pytest.mark.parametrize("statistics", ["exact", "sample"])
def test_tiles_of_the_command(call_forge, straight, image, tmp_path, statistics):
    options = ["--tile", 64, "--tile-statistics", statistics, "--styles", 1, "--out", tmp_path / "out"]
    code, out, err = call_forge("translate", straight[0], image, *options)
    assert code == 0 and out.startswith("1 images"), err


def test_json(call_forge, straight, image, tmp_path):
    code, out, _ = call_forge("translate", straight[0], image, "--out", tmp_path / "out", "--styles", 2, "--json")
    result = json.loads(out)
    assert code == 0
    assert result["files"] == [str(tmp_path / f"out/shoe-0{n}.png") for n in (0, 1)]
    assert result["sheet"] == str(tmp_path / "out/sheet.png")


def test_export(call_forge, straight, tmp_path):
    code, out, err = call_forge("export", straight[0], "--out", tmp_path / "munit.pt2")
    assert code == 0, err
    assert "source N,3,H,W and random_style N,8; H and W multiples of 4, at least 8" in out
    assert re.search(r"largest difference \d\S+, of 1x3x8x8, ", out)
    facts = json.loads(call_forge("export", straight[0], "--out", tmp_path / "munit.pt2", "--json")[1])
    assert facts["code_dim"] == 8 and facts["difference"] < 1e-4 and facts["step"] == 10
    assert call_forge("export", straight[0], "--out", tmp_path / "no.pt2", "--route", "abc")[0] == 2
    assert call_forge("export", tmp_path / "nothing", "--out", tmp_path / "no.pt2")[0] == 5
    assert call_forge("export", straight[0], "--out", tmp_path / "munit.pt2/no.pt2")[0] == 2
    assert [file.name for file in tmp_path.iterdir()] == ["munit.pt2"]


def test_the_other_route(call_forge, straight, image, tmp_path):
    for route in ("ab", "ba"):
        assert call_forge("translate", straight[0], image, "--out", tmp_path / route, "--route", route)[0] == 0
    assert (tmp_path / "ab/shoe-00.png").read_bytes() != (tmp_path / "ba/shoe-00.png").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("RUN", "nowhere.png"), 4, "nowhere.png: there is no such file or folder"),
        (("nowhere", "IMAGE"), 5, "nowhere: there is no run here"),
        (("IMAGE", "IMAGE"), 5, "there is no run here"),
        (("RUN", "IMAGE", "--reference", "none.png"), 4, "none.png"),
        (("RUN", "IMAGE", "--reference", "TEXT"), 4, "not_an_image.png"),
        (("RUN", "TEXT"), 4, "not_an_image.png"),
        (("RUN", "EMPTY"), 4, "no image in"),
        (("RUN", "IMAGE", "--route", "abc"), 2, "there is no route 'abc'"),
        (("RUN", "IMAGE", "--styles", "2", "--interpolate", "3"), 2, "--styles goes with neither"),
        (("RUN", "IMAGE", "--styles", "0"), 2, "0 is not in the range"),
        (("RUN", "IMAGE", "--interpolate", "1"), 2, "1 is not in the range"),
        (("RUN", "IMAGE", "--device", "gpu7"), 2, "--device gpu7"),
        (("RUN",), 2, "Missing argument 'INPUT...'"),
        (("RUN", "IMAGE", "--out", "IMAGE"), 2, "cannot be written"),
    ],
)
def test_mistakes(call_forge, straight, image, tmp_path, arguments, code, words):
    (tmp_path / "empty").mkdir()
    (tmp_path / "not_an_image.png").write_text("<html>")
    places = {"RUN": straight[0], "IMAGE": image, "EMPTY": tmp_path / "empty", "TEXT": tmp_path / "not_an_image.png"}
    given = [places.get(argument, argument) for argument in arguments]
    out = [] if "--out" in arguments else ["--out", tmp_path / "out"]
    got, stdout, err = call_forge("translate", *given, *out)
    assert (got, stdout) == (code, "")
    assert words in err
    assert "Traceback" not in err and "unexpected" not in err
    assert not (tmp_path / "out").exists()


def test_a_run_without_a_checkpoint(tiny, host, tmp_path):
    tiny.train(tmp_path, "steps=1")
    for file in (tmp_path / "checkpoints").glob("*/*"):
        file.unlink()
    (tmp_path / "checkpoints/step-00000001").rmdir()
    with pytest.raises(CheckpointError, match="has no checkpoint yet") as caught:
        load(tmp_path, catalog=host.catalog)
    assert "train it first" in caught.value.fix


# ---- a method without latents ----------------------------------------------------------------------------------

COPYIST = """
from i2i_forge import ForwardPass, Trainer, hookimpl, tensor

class CopyistForward(ForwardPass):
    @tensor
    def translation(self):
        content = self.src.content_encoder(self.source)
        return self.dst.decoder(content, self.source.new_ones(len(self.source), 8))

class Copyist(Trainer):
    forward_pass = CopyistForward
    routes = {"ab": ("a", "b"), "ba": ("b", "a")}
    roles = {"content_encoder": "encoders", "decoder": "decoders"}

@hookimpl
def register_components(catalog):
    catalog.trainers.add("copyist", Copyist)
"""

COPYIST_RECIPE = """
base: munit_synthetic
trainer: copyist
steps: 2
networks: {style_encoder: ~, discriminator: ~}
phases:
  discriminator: ~
  generator: {trains: [content_encoder, decoder], minimize: ~}
"""


@pytest.fixture(scope="module")
def deterministic(tiny, tmp_path_factory):
    """The --plugins folder and the run of a method with one translation for an image."""
    folder = tmp_path_factory.mktemp("copyist")
    (folder / "plugins").mkdir()
    (folder / "plugins/copyist.py").write_text(COPYIST)
    (folder / "copyist.yaml").write_text(COPYIST_RECIPE)
    ours = [s for s in tiny.settings if not re.search("steps|style_encoder|discriminator", s)]
    term = "phases.generator.minimize.copy=1 * l1(translation, source)"
    recipe = read_recipe(folder / "copyist.yaml", set=[*ours, term])
    Run(recipe, load_plugins([folder / "plugins"]), folder / "run", source=folder / "copyist.yaml").train()
    return folder / "plugins", folder / "run"


def test_a_deterministic_method_has_one_translation(call_forge, deterministic, image, tmp_path):
    plugins, run = deterministic
    code, out, err = call_forge("--plugins", plugins, "translate", run, image, "--out", tmp_path / "out")
    assert code == 0, err
    assert out.startswith("1 images and ")
    assert {f.name for f in (tmp_path / "out").iterdir()} == {"shoe-00.png", "sheet.png"}
    assert pixels(tmp_path / "out/sheet.png").shape[1] == 2 * (128 + 4) + 4


def test_its_sample_grids_show_input_and_translation(deterministic):
    files = sorted((deterministic[1] / "samples").iterdir())
    assert [f.name for f in files] == [f"{r}-step-0000000{s}.png" for r in ("ab", "ba") for s in (0, 2)]
    assert pixels(files[0]).shape[1] == 2 * (128 + 4) + 4


@pytest.mark.parametrize("option", [("--styles", 3), ("--interpolate", 3), ("--reference", "IMAGE")])
def test_it_has_no_styles(call_forge, deterministic, image, tmp_path, option):
    plugins, run = deterministic
    given = [image if part == "IMAGE" else part for part in option]
    code, out, err = call_forge("--plugins", plugins, "translate", run, image, "--out", tmp_path / "out", *given)
    assert (code, out) == (2, "")
    assert "Copyist is deterministic" in err and "leave out --styles" in err


def test_the_sheet_of_many_inputs_is_spread_over_them(translator, tmp_path, monkeypatch):
    """Not the first names, which are variants of one thing in many folders."""
    monkeypatch.setattr(translate_files_module, "ON_SHEET", 3)
    for number in range(6):
        Image.new("RGB", (64, 64), (40 * number, 0, 0)).save(tmp_path / f"{number}.png")
    sheet = pixels(translate_files(translator, [tmp_path], tmp_path / "out")[-1])
    middles = [27 + 132 * row + 64 for row in range(3)]
    assert len(sheet) == 27 + 132 * 3 and [sheet[y, 68, 0] for y in middles] == [0, 80, 160]


def test_images_are_resized_as_in_training(translator, tmp_path):
    """What a run of small images learnt it knows at their size."""
    write(tmp_path / "large.png", 120, 200)
    (whole, _), (small, _) = (
        translate_files(translator, [tmp_path / "large.png"], tmp_path / str(size), resize=size) for size in (None, 60)
    )
    assert pixels(whole).shape == (120, 200, 3) and pixels(small).shape == (60, 100, 3)
    x = Transform(60, test_crop=False)(decode(tmp_path / "large.png"), None)[None]
    draw = generator(0, "styles", 0)
    style = translator.trainer.infer("random_style", {"a": torch.zeros(1, 3, 64, 64)}, "ab", generator=draw)
    expected = to_uint8(translator.translate(x, random_style=style)[0]).permute(1, 2, 0).numpy()
    assert np.abs(pixels(small).astype(int) - expected).max() <= 1
