"""The order and the choice of files are those of a plain walk with Path objects, which is here."""

import os
import random
import re
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from i2i_forge.data.folders import EXTENSIONS, list_images
from i2i_forge.errors import DataError
from i2i_forge.system.files import natural_key


def natural(path):
    """A sort key that compares runs of digits as numbers; the part itself orders "1" and "01"."""
    return [([int(run) if run.isdecimal() and run.isascii() else run for run in re.split("([0-9]+)", part)], part)
            for part in path.parts]  # fmt: skip


def plainly(root):
    """Every entry is asked what it is, and every path is kept."""
    paths, seen, waiting = [], set(), [root]
    while waiting:
        path = waiting.pop()
        real = os.path.realpath(path)
        mode = os.stat(real).st_mode if os.path.exists(real) else 0  # noqa: PTH110, PTH116
        if real in seen:
            continue
        if stat.S_ISDIR(mode):
            seen.add(real)
            waiting += sorted((each for each in path.iterdir() if not each.name.startswith(".")), reverse=True)
        elif stat.S_ISREG(mode) and path.suffix.lower()[1:] in EXTENSIONS:
            seen.add(real)
            paths.append(path)
    return sorted(paths, key=lambda path: natural(path.relative_to(root)))


@given(st.lists(st.text("019ab.-² \n", max_size=6).filter(lambda text: text.strip(".")), unique=True))
def test_names_in_natural_order(names):
    assert sorted(names, key=natural_key) == sorted(names, key=lambda name: natural(Path(name)))


def test_numbers_are_compared_as_numbers():
    ordered = ["9", "10", "a", "a0", "a00", "a01", "a1", "a2", "a10", "a10b", "a10b2", "a10b10", "aa", "b"]
    names = ordered[::-1]
    assert sorted(names, key=natural_key) == ordered


@pytest.mark.parametrize("seed", range(12))
def test_trees_with_links_are_listed_as_by_a_plain_walk(tmp_path, seed):
    draw = random.Random(seed)
    root, outside = tmp_path / "root", tmp_path / "outside"
    folders = [root, outside]
    for folder in folders:
        folder.mkdir()
    for number in range(90):
        folders.append(draw.choice(folders) / f"{draw.choice('ab')}{draw.randrange(12)}")
        folders[-1].mkdir(parents=True, exist_ok=True)
        name = f"{draw.choice(['x', '', '.h', '0'])}{number}.{draw.choice(['png', 'JPG', 'txt'])}"
        (draw.choice(folders) / name).write_bytes(b"x")
    for number in range(12 * (seed > 0)):
        target = draw.choice([*folders, *outside.rglob("*.*"), *root.rglob("*.*"), tmp_path / "nowhere"])
        (draw.choice(folders) / f"{draw.choice('0az')}link{number}{draw.choice(['', '.png'])}").symlink_to(target)
    (root / "a.png").write_bytes(b"x")
    found = list_images(root)
    assert list(found) == plainly(root)
    assert found == plainly(root) and len(found) > 5


def test_a_folder_may_be_a_link_or_the_working_one(tmp_path, monkeypatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "1.png").write_bytes(b"x")
    (tmp_path / "link").symlink_to("real")
    assert list_images(tmp_path / "link") == [tmp_path / "link" / "1.png"]
    monkeypatch.chdir(tmp_path / "real")
    assert list_images(".") == [Path("1.png")]
    assert list(list_images("").texts()) == ["1.png"]


def test_an_unreadable_folder_by_call(tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    scandir = os.scandir

    def refusing(path):
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(DataError, match="sub: cannot be listed: Permission denied") as caught:
        list_images(tmp_path)
    assert caught.value.fix


def test_names_that_are_no_text(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    (tmp_path / name).write_bytes(b"x")
    assert list_images(tmp_path) == [tmp_path / name]
