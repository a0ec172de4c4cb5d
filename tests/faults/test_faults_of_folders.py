"""Folders of images, and what else lies in them: 52 to 54, 78, 79 and 83."""

import builtins
import io
import json

import pytest
import torch
from image_files import folder_of, noise, saved, write_odd_entries
from loaded import CATALOG
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from i2i_forge.data import check_images, decode, list_images
from i2i_forge.data.packs import pack, plan_pack
from i2i_forge.errors import DataError
from i2i_forge.measure.image_folders import FolderSamples
from i2i_forge.measure.mode_classifier import (
    load_classifier,
    read_labelled,
    save_classifier,
    settings_for,
    train_classifier,
)
from i2i_forge.measure.run_samples import RunSamples
from i2i_forge.recipe.reading import read_recipe
from i2i_forge.run.streams import build_streams
from i2i_forge.translate.loading import load


def dataset(name, **options):
    return CATALOG.datasets.get(name)(size=64, **options)


def empty(root):
    folder = folder_of(root) / "trainA"
    for file in folder.iterdir():
        file.unlink()


def hidden(root):
    """Only what a Mac leaves beside images."""
    empty(root)
    (root / "trainA" / "._0.png").write_bytes(b"\0\5\x16\7" + bytes(100))
    (root / "trainA" / ".DS_Store").write_bytes(bytes(100))


def missing(root):
    empty(root)
    (root / "trainA").rmdir()


FOLDERS = pytest.mark.parametrize("make", [empty, hidden, missing])


@FOLDERS
def test_52_no_images_by_call(tmp_path, make):
    make(tmp_path / "data")
    with pytest.raises(DataError, match=r"data/trainA") as caught:
        dataset("unpaired_folders", root=str(tmp_path / "data")).sources("train")
    tried = "does not exist" if make is missing else "looked for *.{bmp,jpeg,"
    assert tried in caught.value.message and caught.value.fix


@pytest.mark.slow
@FOLDERS
def test_52_no_images(watch, tmp_path, make):
    make(tmp_path / "data")
    ended = watch.train(tmp_path / "run", steps=3, every=3, data=tmp_path / "data")
    ended.refused(4, "trainA")


def unmatched(root):
    """Seven of a without a partner in b, one of b."""
    folder_of(root)
    for number in range(7):
        Image.fromarray(noise()).save(root / "trainA" / f"alone-{number}.png")


def test_53_names_that_do_not_pair(forge_watch, tmp_path):
    unmatched(tmp_path / "data")
    data = f"data={{use: paired_folders, layout: two_folders, root: {tmp_path / 'data'}, size: 64, paired: ~}}"
    ended = forge_watch.call("train", "pix2pix_synthetic", "--run", tmp_path / "run", "--device", "cpu", "--set", data)
    ended.refused(4, "8 without a partner", *(f"alone-{number}.png" for number in range(5)))
    assert "alone-5.png" not in ended.err
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_53_without_pairs_the_numbers_may_differ_and_are_shown(forge_watch, tmp_path):
    folder_of(tmp_path / "data", good=3)
    a, b = dataset("unpaired_folders", root=str(tmp_path / "data")).sources("train")
    assert (len(a), len(b)) == (3, 6)
    shown = forge_watch.call("data", "check", tmp_path / "data")
    lines = [line.split() for line in shown.out.splitlines() if " train" in line]
    assert [(line[1], line[3]) for line in lines] == [("trainA", "3"), ("trainB", "6")]


def test_54_fifos_links_and_loops_by_call(tmp_path):
    folder = folder_of(tmp_path / "data")
    write_odd_entries(folder / "trainA")
    names = [path.relative_to(folder / "trainA").as_posix() for path in list_images(folder / "trainA")]
    assert len(names) == 11 and names[:4] == ["0.png", "1.png", "2.png", "3.png"]  # `up` shows trainB's six too


def test_54_links_are_no_way_into_a_fifo(tmp_path):
    write_odd_entries(folder_of(tmp_path / "data") / "trainA")
    for name in ("fifo.jpg", "device.jpg", "broken.png", "self.png", "loop"):
        with pytest.raises(DataError, match=name):
            decode(tmp_path / "data/trainA" / name)


UNREADABLE = """
import builtins, io
_open = builtins.open
def open_(file, *arguments, **options):
    if str(file).endswith("secret.png"):
        raise PermissionError(13, "Permission denied", str(file))
    return _open(file, *arguments, **options)
builtins.open = io.open = open_
"""


def test_54_an_unreadable_file_by_call(tmp_path, monkeypatch):
    folder = folder_of(tmp_path / "data", lambda path: path.write_bytes(saved("PNG")), "secret.png")
    for module in (builtins, io):
        monkeypatch.setattr(module, "open", open)  # put back at the end
    exec(UNREADABLE, {})
    with pytest.raises(DataError, match=r"1 of 6 images .*secret\.png: cannot be read: .*Permission denied"):
        check_images(list_images(folder / "trainA"))


@pytest.mark.slow
def test_54_fifos_links_and_loops(watch, tmp_path):
    folder = folder_of(tmp_path / "data", good=6)
    write_odd_entries(folder / "trainA")
    (folder / "trainA" / "up").unlink()
    ended = watch.train(tmp_path / "run", steps=3, every=3, data=folder)
    assert ended.code == 0, ended.err[-2000:]


@pytest.mark.slow
def test_54_an_unreadable_file(watch, tmp_path):
    folder = folder_of(tmp_path / "data", lambda path: path.write_bytes(saved("PNG")), "secret.png")
    ended = watch.train(tmp_path / "run", steps=3, every=3, data=folder, inject=UNREADABLE)
    ended.refused(4, "secret.png")


CASES = [f"case{case}_00{number}" for case in range(3) for number in range(4)]


def written(folder, names, seed):
    """Images of these names; no two are equal."""
    for place, name in enumerate(names):
        file = folder / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(seed * 100 + place)).save(file)
    return folder


@pytest.mark.parametrize("beside", ["truths", "sources", "real"])
@pytest.mark.parametrize("names", [CASES, [name.replace("_", "/") for name in CASES]], ids=["numbers", "sub-folders"])
def test_78_files_named_as_those_beside_them_are_inputs(tmp_path, names, beside):
    out, other = written(tmp_path / "out", names, 1), written(tmp_path / "other", [*names, "one_more"], 2)
    samples = FolderSamples(out, torch.device("cpu"), **{beside: other})
    assert (samples.inputs, samples.draws, samples.names) == (12, 1, names)
    assert samples.data["grouping"] == "12 files of 12 inputs"
    if beside != "real":
        (part,) = samples.translations(0, [1] * 12, 12)
        expected = torch.tensor([noise(200 + place)[0, 0, 0] for place in range(12)])
        assert torch.equal(((getattr(part, beside)[:, 0, 0, 0] + 1) * 127.5).round(), expected)


def test_78_otherwise_the_grouping_is_said_and_an_option_decides(tmp_path):
    out, numbered = written(tmp_path / "out", CASES, 1), "12 files of 3 inputs, by their names: 4 of each"
    cpu, cases = torch.device("cpu"), written(tmp_path / "cases", ["case0", "case1", "case2"], 2)
    for options in ({}, {"truths": cases}, {"real": cases}, {"draws": "by-name", "real": out}):
        samples = FolderSamples(out, cpu, **options)
        assert (samples.inputs, samples.draws, samples.data["grouping"]) == (3, 4, numbered)
    assert FolderSamples(out, cpu, draws="none").names == CASES
    (out / "sheet.png").write_bytes((out / "case0_000.png").read_bytes())  # as forge translate leaves it
    assert FolderSamples(out, cpu, real=written(tmp_path / "real", CASES, 3)).draws == 4


def test_78_two_images_of_one_name_beside_an_input_are_refused(tmp_path):
    out, truths = written(tmp_path / "out", ["a-0", "a-1"], 1), written(tmp_path / "truths", ["x/a", "y/a"], 2)
    with pytest.raises(DataError, match=r"x/a\.png and .*y/a\.png: no telling which is meant"):
        FolderSamples(out, torch.device("cpu"), truths=truths)


LAYOUTS = {
    "two folders": ("unpaired_folders", {}, ["trainA", "trainB"]),
    "side by side": ("unpaired_folders", {}, ["train"]),
    "pairs in two folders": ("paired_folders", {"layout": "two_folders"}, ["trainA", "trainB"]),
    "pairs side by side": ("paired_folders", {}, ["train"]),
}


@pytest.mark.parametrize(("name", "options", "folders"), LAYOUTS.values(), ids=LAYOUTS)
def test_79_val_is_a_test_set_and_none_is_said(tmp_path, name, options, folders):
    for folder in folders:
        written(tmp_path / folder, ["0", "1"], 1)
    data = dataset(name, root=str(tmp_path), **options)
    assert data.without_tests() == ("a", "b")
    for folder in folders:
        written(tmp_path / folder.replace("train", "val"), ["0"], 2)
    assert data.without_tests() == () and "/val" in data.sources("test")[0].name(0)
    for folder in folders:
        written(tmp_path / folder.replace("train", "test"), ["0"], 3)
    assert data.without_tests() == () and "/test" in data.sources("test")[0].name(0)


def test_79_lists_shards_and_packs_without_tests(tmp_path):
    assert dataset("image_lists", train_a="a.txt", train_b="b.txt", test_b="c.txt").without_tests() == ("a",)
    assert dataset("webdataset", shards_a="a.tar", shards_b="b.tar", test_shards_a="c.tar").without_tests() == ("b",)
    assert dataset("webdataset", shards="a.tar").without_tests() == ("a", "b")
    for folder in ("trainA", "trainB", "valB"):
        written(tmp_path / "folder" / folder, ["0", "1"], len(folder))
    pack(plan_pack(tmp_path / "folder", pairs=False), tmp_path / "pack")
    assert dataset("packed", root=str(tmp_path / "pack")).without_tests() == ("a",)


def test_79_a_run_without_a_test_set_says_so_and_so_do_its_records(munit_run, tmp_path, caplog):
    written(tmp_path / "data/trainA", ["0", "1"], 1)
    written(tmp_path / "data/trainB", ["0", "1"], 2)
    catalog, translator = CATALOG, load(munit_run)
    data = f"data={{use: unpaired_folders, root: {tmp_path / 'data'}, size: 64}}"
    translator.recipe = read_recipe("munit_synthetic", set=[data])
    build_streams(translator.recipe, catalog)  # as training does
    assert "there is no test set of a and b: training images take its place" in caplog.text
    samples = RunSamples(translator, catalog, "ab", torch.device("cpu"))
    assert (samples.data["split"], len(samples.warnings)) == ("train", 2)
    written(tmp_path / "data/valA", ["0"], 3)
    samples = RunSamples(translator, catalog, "ab", torch.device("cpu"))
    assert (samples.data["split"], samples.inputs) == ("test", 1)
    assert samples.warnings == ["there is no test set of b: the images are training images"]


def test_79_training_from_a_pack_is_training_from_its_folder_and_records_say_from_what(forge, forge_watch, tmp_path):
    for domain in "AB":
        written(tmp_path / f"mine/train{domain}", "012", ord(domain))
    assert forge("data", "pack", tmp_path / "mine", "--out", tmp_path / "packed", "--shard-size", 1)[0] == 0
    settings = {"steps": 2, "data": tmp_path / "mine"}
    packed = ("data.use=packed", f"data.root={tmp_path / 'packed'}", "data.paired=false")
    assert forge_watch.train(tmp_path / "run", **settings).code == 0
    assert forge_watch.train(tmp_path / "again", changes=packed, **settings).code == 0
    forge_watch.same_weights(tmp_path / "again", forge_watch.left(tmp_path / "run"))
    options = ("--metric", "structure", "--inputs", 2, "--samples", 2, "--device", "cpu", "--json")
    code, out, err = forge("eval", tmp_path / "run", *options)
    assert code == 0, err
    assert {record["data"]["split"] for record in json.loads(out)} == {"train"}


def test_79_twins_between_splits_are_found_by_pixels(forge_watch, tmp_path):
    written(tmp_path / "trainA", ["0", "1", "2"], 1)
    written(tmp_path / "trainB", ["0"], 2)
    (tmp_path / "valA").mkdir()
    about = PngInfo()
    about.add_text("Comment", "another file, the same picture")
    kinds = {"0.webp": {"lossless": True}, "1.tif": {"compression": "tiff_lzw"}, "2.png": {"pnginfo": about}}
    for number, (name, options) in enumerate(kinds.items()):
        Image.fromarray(noise(100 + number)).save(tmp_path / "valA" / name, **options)
    Image.fromarray(noise(7)).save(tmp_path / "valA/new.png")
    shown = forge_watch.call("data", "check", tmp_path)
    assert "both in training and in test: 3, for example" in shown.err and "fix: remove one of each two" in shown.err
    assert "the pixels of 8 images were compared" in shown.out
    assert "trainB has no test set beside it" in shown.out and "put others in testB or valB" in shown.out
    found = json.loads(forge_watch.call("data", "check", tmp_path, "--json").out)
    assert found["in_training_and_test"] == [
        [f"{tmp_path}/trainA/{number}.png", f"{tmp_path}/valA/{name}"] for number, name in enumerate(kinds)
    ]


def test_83_a_classifier_of_equal_images_can_be_loaded(tmp_path):
    for mode in range(2):
        for number in range(5):
            written(tmp_path / f"images/{mode}", [f"{number}"], mode)  # the same picture five times
    data = read_labelled(str(tmp_path / "images"), {}, CATALOG.datasets)
    save_classifier(train_classifier(data, settings_for(size=16, steps=1)), tmp_path / "made")
    loaded = load_classifier(tmp_path / "made")
    assert len(loaded.trained_on) == 2
    assert loaded.seen(torch.from_numpy(noise(100)).permute(2, 0, 1)[None] / 127.5 - 1) == [True]
