"""`on_bad`: what happens with images that cannot be read."""

import errno
import logging

import pytest
import torch
from PIL import Image

from i2i_forge.data import (
    HalfSource,
    ImageSource,
    PairSource,
    Transform,
    check_halves,
    check_images,
    check_pairs,
    tolerant,
)
from i2i_forge.data.decode import Encoded, _Clamped
from i2i_forge.data.source import Replacing
from i2i_forge.data.stream import Stream, batches
from i2i_forge.errors import DataError

TRANSFORM = Transform(8)


@pytest.fixture
def files(tmp_path):
    """Six images; 2 is empty, 3 is cut behind its header."""
    paths = [tmp_path / f"{number}.png" for number in range(6)]
    for number, path in enumerate(paths):
        Image.new("RGB", (16, 8), (40 * number, 0, 0)).save(path)
    paths[2].write_bytes(b"")
    paths[3].write_bytes(paths[3].read_bytes()[:45])
    return paths


def red(example):
    return round(float((example["a"][0].mean() + 1) * 127.5 / 40), 2)


def test_skipping_notes_what_the_header_shows(files, caplog):
    with pytest.raises(DataError, match=r"1 of 6 images cannot be used: .*2\.png: is empty") as caught:
        check_images(files, "error")
    assert "on_bad: skip" in caught.value.fix
    with pytest.raises(DataError) as caught:
        check_images(files)  # whoever has no choice is not told of one
    assert "on_bad" not in caught.value.fix
    assert list(check_images(files, "skip")) == [*files[:2], *files[3:]]
    assert [record.getMessage() for record in caplog.records] == [
        f"1 of 6 images cannot be used: {files[2]}: is empty (0 bytes)"
    ]
    with pytest.raises(DataError, match="1 of 1 images"):
        check_images(files[2:3], "skip")


def test_pairs_and_halves_go_without_the_bad_ones(files):
    pairs = list(zip(files, reversed(files), strict=True))
    assert check_pairs(pairs, "skip") == [pair for pair in pairs if files[2] not in pair]
    assert check_halves(files, "skip") == [*files[:2], *files[3:]]


def test_the_next_image_is_taken_and_each_bad_one_noted_once(files, caplog):
    source = tolerant(ImageSource("a", files, TRANSFORM), "skip")
    assert isinstance(source, Replacing) and len(source) == 6
    assert [red(source.example(index, None)) for index in range(6)] == [0, 1, 4, 4, 4, 5]
    assert [red(source.example(index, None)) for index in range(6)] == [0, 1, 4, 4, 4, 5]
    assert [source.name(index) for index in range(6)] == [str(files[n]) for n in (0, 1, 4, 4, 4, 5)]
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "the next image is taken instead (1 so far)",
        "the next image is taken instead (2 so far)",
    ]
    last = tolerant(ImageSource("a", [*files[:2], files[3]], TRANSFORM), "skip")
    assert red(last.example(2, None)) == 0  # the list goes round


def test_what_was_not_read_is_not_replaced(files):
    def broken():
        raise DataError("the connection ended", fix="check it")

    images = [Encoded("x", broken), Encoded("y", files[0].read_bytes), Encoded("z", files[3].read_bytes)]
    source = tolerant(ImageSource("a", images, TRANSFORM), "skip")
    with pytest.raises(DataError, match="the connection ended"):
        source.example(0, None)
    with pytest.raises(DataError, match="the connection ended"):
        source.example(2, None)  # what would be taken instead
    files[1].unlink()
    source = tolerant(ImageSource("a", files, TRANSFORM), "skip")
    with pytest.raises(DataError, match="does not exist"):
        source.example(1, None)


def test_a_disk_that_fails_is_no_bad_image(files, monkeypatch):
    read = _Clamped.read

    def fails(file, size=-1):
        if str(file.name) == str(files[0]):
            raise OSError(errno.EIO, "Input/output error")
        return read(file, size)

    source = tolerant(ImageSource("a", files[:2], TRANSFORM), "skip")
    monkeypatch.setattr(_Clamped, "read", fails)
    with pytest.raises(DataError, match="Input/output error"):
        source.example(0, None)


def test_a_name_is_told_without_decoding(files):
    class Counting(ImageSource):
        decoded = 0

        def example(self, index, random):
            self.decoded += 1
            return super().example(index, random)

    source = tolerant(plain := Counting("a", files, TRANSFORM), "skip")
    assert source.name(2) == str(files[2]) and plain.decoded == 0
    source.example(2, None)
    assert source.name(2) == str(files[4]) and plain.decoded == 3


def test_without_skipping_and_without_any_good_image_it_is_an_error(files):
    plain = ImageSource("a", files, TRANSFORM)
    assert tolerant(plain, "error") is plain
    with pytest.raises(DataError, match=r"2\.png: is empty"):
        tolerant(ImageSource("a", [files[3], files[2]], TRANSFORM), "skip").example(0, None)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_a_function_of_the_seed_and_the_step(files, workers, monkeypatch):
    monkeypatch.setattr(logging.getLogger("i2i_forge"), "disabled", True)
    sources = [
        tolerant(PairSource(list(zip(files, files, strict=True)), TRANSFORM), "skip"),
        tolerant(HalfSource("c", files, TRANSFORM, 0), "skip"),
    ]
    stream = Stream(sources, batch=2, seed=3)
    straight = [stream.batch(step) for step in range(8)]
    resumed = list(batches({"main": Stream(sources, batch=2, seed=3)}, 3, 8, workers, pin=False))
    for one, other in zip(straight[3:], resumed, strict=True):
        assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
