"""Decoded volumes in the user's cache: what is lost or damaged there changes nothing but the time."""

import errno
import os
import shutil
from collections import namedtuple
from itertools import pairwise

import numpy as np
import pytest
import torch
from described import FILES, described, write

from i2i_forge.data import CaseByCase, CaseSource, case_transform
from i2i_forge.data.cases import Case
from i2i_forge.data.stream import Stream
from i2i_forge.data.volume_cache import kept
from i2i_forge.errors import ResourceError
from i2i_forge.system.seeding import generator

DOMAINS = described(a={"range": {"percentile": [1, 99], "over": "case", "in": "mask"}}, mask={"kind": "labels"})
FLAT = {"size": 4, "resize": None, "flip": True, "test_crop": False, "augment": None}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The folder of decoded volumes."""
    monkeypatch.setenv("FORGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache/volumes"


@pytest.fixture
def cases(tmp_path):
    """Three compressed volumes with masks, of 5, 6 and 7 slices."""
    pytest.importorskip("nibabel")
    random, found = np.random.default_rng(0), []
    for number in range(3):
        shape = (5 + number, 1, 6, 7)
        a = write(tmp_path / f"{number}/a.nii.gz", random.integers(0, 900, shape, "int16"), ("z",))
        mask = write(tmp_path / f"{number}/mask.nii.gz", random.integers(0, 2, shape, "uint8"), ("z",))
        found.append(Case(str(number), str(number), {"a": (a,), "mask": (mask,)}))
    return found


def batches(cases, kind=CaseSource, cache="disk", count=9):
    source = kind(cases, ["a", "mask"], DOMAINS, case_transform(DOMAINS, "a", **FLAT), keep="mask > 0.45", cache=cache)
    stream = Stream([source], batch=2, seed=3)
    return [stream.batch(step) for step in range(count)]


def same(one, other):
    return all(torch.equal(a[name], b[name]) for a, b in zip(one, other, strict=True) for name in a)


def shorten(file):
    os.truncate(file, file.stat().st_size // 2)


def turn(file):
    """Another order of axes: a header that lies and has the right length."""
    file.write_bytes(file.read_bytes().replace(b"'fortran_order': False", b"'fortran_order': True ", 1))


@pytest.mark.parametrize(
    "harm", [os.unlink, shorten, turn, lambda file: file.write_bytes(b""), lambda file: file.write_bytes(b"x" * 999)]
)
def test_what_happens_to_the_cache_changes_no_batch(cases, cache, harm):
    first = batches(cases)
    files = sorted(cache.glob("*.npy"))
    volumes = [file for file in files if ".facts" not in file.name]
    assert (len(volumes), len(files)) == (6, 6 + 3 + 3)  # shares of masks and ranges of cases
    for file in files:
        harm(file)
    assert same(first, batches(cases))
    assert sorted(cache.glob("*.npy")) == files
    again = [file.stat().st_mtime_ns for file in files]
    assert same(first, batches(cases)) and [file.stat().st_mtime_ns for file in files] == again


def test_a_file_that_changes_is_decoded_again(cases, cache):
    before = batches(cases)
    codes = np.zeros((5, 1, 6, 7), np.uint8)
    codes[:3] = 1
    cases[0].files["mask"][0].unlink()
    write(cases[0].files["mask"][0], codes, ("z",))
    assert not same(before, batches(cases)) and same(batches(cases), batches(cases, cache="none"))


def test_without_a_cache_examples_are_the_same_and_come_case_by_case(cases, cache):
    one = CaseSource(cases, ["a", "mask"], DOMAINS, case_transform(DOMAINS, "a", **FLAT))
    none = CaseByCase(cases, ["a", "mask"], DOMAINS, case_transform(DOMAINS, "a", **FLAT), cache="none")
    assert all(same([one.example(i, None)], [none.example(i, None)]) for i in range(len(one)))
    order = none.order(generator(1))
    followed = [none.place(index)[0] for index in order]
    assert sorted(order) == list(range(18)) and followed != sorted(followed)
    assert [followed.count(case) for case in dict.fromkeys(followed)] == [5 + c for c in dict.fromkeys(followed)]
    assert sum(a != b for a, b in pairwise(followed)) == 2
    assert order == none.order(generator(1)) != none.order(generator(2))


def test_without_a_cache_each_volume_is_decoded_once_in_an_epoch(cases, cache, monkeypatch):
    source = CaseByCase(
        cases, ["a"], described(a={"range": [0, 900]}), case_transform(DOMAINS, "a", **FLAT), cache="none"
    )
    kind, decoded = type(source.opened(0, "a")[0]), []
    real = kind.array
    monkeypatch.setattr(kind, "array", lambda self: decoded.append(self.path.parent.name) or real(self))
    for index in source.order(generator(1)):
        source.example(index, None)
    assert sorted(decoded) == ["0", "1", "2"] and not cache.exists()


def test_a_full_disk_says_so(cases, cache, monkeypatch):
    stored, free = FILES.open(cases[0].files["a"][0]), namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free(100))
    with pytest.raises(ResourceError, match=r"a.nii.gz cannot be kept uncompressed in .*volumes: .* free") as error:
        kept(stored, "disk")
    assert "FORGE_CACHE" in error.value.fix and "data.cache: none" in error.value.fix
    assert kept(stored, "none").shape == (5, 1, 6, 7)

    def full(*given, **more):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "disk_usage", lambda path: free(10**9))
    monkeypatch.setattr(np, "save", full)
    with pytest.raises(ResourceError, match="No space left on device"):
        kept(stored, "disk")
    assert not list(cache.iterdir())


def test_raw_files_and_pictures_are_not_copied(tmp_path, cache):
    raw = write(tmp_path / "raw.npy", np.zeros((3, 1, 4, 5), np.int16), ("z",))
    picture = write(tmp_path / "picture.png", np.zeros((1, 4, 5), np.uint16))
    assert isinstance(kept(FILES.open(raw), "disk"), np.memmap)
    assert kept(FILES.open(picture), "disk").shape == (1, 4, 5) and not cache.exists()
