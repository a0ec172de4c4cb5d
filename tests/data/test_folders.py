import inspect
import os
import sys
from pathlib import Path

import pytest
from PIL import Image

from i2i_forge.data.checks import check_halves, check_images, check_pairs, match_stems
from i2i_forge.data.folders import list_images, read_list, split_folder
from i2i_forge.errors import DataError


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


def names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in list_images(folder)]


def test_what_is_not_listed(tmp_path):
    fill(tmp_path, "a.png", ".hidden.png", ".git/b.png", "notes.txt", "png", "c.gif", "folder.jpg/d.png")
    os.mkfifo(tmp_path / "fifo.png")
    (tmp_path / "broken.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "self.png").symlink_to(tmp_path / "self.png")
    assert names(tmp_path) == ["a.png", "folder.jpg/d.png"]


def test_links_are_followed_and_each_file_is_listed_once(tmp_path):
    elsewhere = fill(tmp_path / "elsewhere", "x.png", "y.png")
    folder = fill(tmp_path / "images", "a.png", "sub/b.png")
    (folder / "sub" / "loop").symlink_to(folder)
    (folder / "again.png").symlink_to(folder / "a.png")
    (folder / "linked").symlink_to(elsewhere)
    (folder / "linked2").symlink_to(elsewhere)
    (folder / "z.png").symlink_to(elsewhere / "x.png")
    assert names(folder) == ["a.png", "linked/x.png", "linked/y.png", "sub/b.png"]


def test_empty_and_missing_folders_say_what_was_tried(tmp_path):
    fill(tmp_path, "photos/.only_hidden.png", "file.png")
    with pytest.raises(DataError, match=r"no image in .*photos \(looked for \*\.\{bmp,jpeg,jpg,") as caught:
        list_images(tmp_path / "photos")
    assert caught.value.fix
    with pytest.raises(DataError, match=r"trainA does not exist") as caught:
        list_images(tmp_path / "trainA")
    assert "there is: photos" in caught.value.fix
    with pytest.raises(DataError, match="is not a folder"):
        list_images(tmp_path / "file.png")


def test_the_folder_of_a_split(tmp_path):
    usual = ("trainA", "testA")
    root = str(tmp_path)
    assert split_folder(root, "train", "", "", usual) == tmp_path / "trainA"
    assert split_folder(root, "test", "", "", usual) == tmp_path / "trainA"
    assert split_folder(root, "test", "other", "", usual) == tmp_path / "other"
    (tmp_path / "testA").mkdir()
    assert split_folder(root, "test", "", "", usual) == tmp_path / "testA"
    assert split_folder(root, "test", "", "mine", usual) == tmp_path / "mine"
    assert split_folder("", "train", "/abs", "", usual) == Path("/abs")


def test_lists_are_one_stripped_path_a_line(tmp_path):
    file = tmp_path / "list.txt"
    file.write_bytes(b"\xef\xbb\xbf./b c.jpg \r\n\r\n  a.jpg 3\n/abs.jpg")
    assert read_list(file, "in") == [Path("in/b c.jpg"), Path("in/a.jpg 3"), Path("/abs.jpg")]


def test_folders_may_be_nested_deeper_than_the_stack(tmp_path):
    deep = tmp_path / "/".join("d" * 200)
    deep.mkdir(parents=True)
    (deep / "x.png").touch()
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 100)
    try:
        found = list_images(tmp_path)
    finally:
        sys.setrecursionlimit(limit)
    assert found == [deep / "x.png"]


def test_what_is_no_list_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "fifo")  # would hang if it were opened
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(2 * 10**9)
    for name in ("fifo", "huge", "no\0name"):
        with pytest.raises(
            DataError, match=r"cannot be read: .*(not a regular file|at most 1,000,000,000 are read|null byte)"
        ):
            read_list(tmp_path / name, "")


def test_lists_that_cannot_be_read(tmp_path):
    (tmp_path / "blank.txt").write_text(" \n\n")
    (tmp_path / "image.txt").write_bytes(b"\xff\xd8\xff")
    for name, cause in (("blank.txt", "is empty"), ("image.txt", "not UTF-8"), ("none.txt", "No such file")):
        with pytest.raises(DataError, match=rf"{name}: .*{cause}") as caught:
            read_list(tmp_path / name, "")
        assert caught.value.fix


def test_one_error_names_the_bad_files(tmp_path):
    for i in range(9):
        (tmp_path / f"{i}.png").touch()
    Image.new("RGB", (6, 4)).save(tmp_path / "good.png")
    paths = list_images(tmp_path)
    with pytest.raises(DataError, match="9 of 10 images cannot be used") as caught:
        check_images(paths)
    text = str(caught.value)
    assert all((f"{i}.png: is empty" in text) == (i < 5) for i in range(9))
    assert len(text.splitlines()) <= 6
    assert check_images(paths[-1:]) == {tmp_path / "good.png": (6, 4)}


def test_stems_that_do_not_pair(tmp_path):
    a = fill(tmp_path / "a", "1.png", "sub/2.png", *(f"only{i}.png" for i in range(6)))
    b = fill(tmp_path / "b", "1.jpg", "sub/2.jpg", "2.jpg")
    with pytest.raises(DataError, match="7 without a partner") as caught:
        match_stems(list_images(a), list_images(b), a, b)
    assert all(f"only{i}.png" in caught.value.message for i in range(5))
    assert "only5" not in caught.value.message and "(8 images)" in caught.value.message
    for path in [*a.glob("only*"), b / "2.jpg"]:
        path.unlink()
    pairs = match_stems(list_images(a), list_images(b), a, b)
    assert pairs == [(a / "1.png", b / "1.jpg"), (a / "sub/2.png", b / "sub/2.jpg")]
    fill(b, "1.png")
    with pytest.raises(DataError, match="only in extension"):
        match_stems(list_images(a), list_images(b), a, b)


def test_sizes_of_pairs_and_halves(tmp_path):
    files = [tmp_path / f"{i}.png" for i in range(3)]
    for file, size in zip(files, ((8, 4), (8, 4), (5, 4)), strict=True):
        Image.new("RGB", size).save(file)
    check_pairs([(files[0], files[1])])
    check_halves(files[:2])
    with pytest.raises(DataError, match=r"1 of 2 pairs differ in size: .*0.png is 8x4, .*2.png is 5x4"):
        check_pairs([(files[0], files[1]), (files[0], files[2])])
    with pytest.raises(DataError, match=r"1 of 3 side-by-side images have an odd width: .*2.png is 5x4"):
        check_halves(files)
