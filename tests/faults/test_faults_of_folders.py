"""Folders of images: 52 and 53."""

import pytest
from image_files import folder_of, noise
from PIL import Image

from i2i_forge.errors import DataError
from i2i_forge.plugins import load_plugins


def dataset(name, **options):
    return load_plugins().catalog.datasets.get(name)(size=64, **options)


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


FIRST_FIVE = [f"alone-{number}.png" for number in range(5)]


def test_53_names_that_do_not_pair_by_call(tmp_path):
    unmatched(tmp_path / "data")
    with pytest.raises(DataError, match="8 without a partner") as caught:
        dataset("paired_folders", root=str(tmp_path / "data"), layout="two_folders").sources("train")
    assert all(name in caught.value.message for name in FIRST_FIVE) and "alone-5.png" not in caught.value.message


def test_53_names_that_do_not_pair(forge_watch, tmp_path):
    unmatched(tmp_path / "data")
    data = f"data={{use: paired_folders, layout: two_folders, root: {tmp_path / 'data'}, size: 64, paired: ~}}"
    ended = forge_watch.call("train", "pix2pix_synthetic", "--run", tmp_path / "run", "--device", "cpu", "--set", data)
    ended.refused(4, *FIRST_FIVE)
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_53_without_pairs_the_numbers_may_differ_and_are_shown(forge_watch, tmp_path):
    folder_of(tmp_path / "data", good=3)
    a, b = dataset("unpaired_folders", root=str(tmp_path / "data")).sources("train")
    assert (len(a), len(b)) == (3, 6)
    shown = forge_watch.call("data", "check", tmp_path / "data")
    assert [line.split()[1:4:2] for line in shown.out.splitlines() if " train" in line] == [
        ["trainA", "3"],
        ["trainB", "6"],
    ]
