"""openmoji: lines on white and their colours, tones as modes, and no drawing on both sides of a split."""

import sys

import numpy as np
import pytest
import torch

from i2i_forge.errors import DataError
from i2i_forge_plugins import openmoji
from i2i_forge_plugins.openmoji import OpenMoji, OpenMojiHands


def images(drawings, *, coloured):
    return {drawing.name: drawing.image(48, coloured=coloured).tobytes() for drawing in drawings}


def test_hands_come_in_six_tones_that_their_lines_do_not_tell():
    train, test = (OpenMojiHands(paired=True).sources(split)[0] for split in ("train", "test"))
    assert (len(train), len(test)) == (270, 24)
    counts = np.bincount([train.mode(i) for i in range(len(train))], minlength=6)
    assert set(counts) == {45} and len(OpenMojiHands.MODES) == 6
    waving = [i for i in range(len(train)) if train.name(i).startswith("1F44B")]
    examples = [train.example(i) for i in waving]
    assert all(torch.equal(each["a"], examples[0]["a"]) for each in examples)
    assert len({each["b"].numpy().tobytes() for each in examples}) == 6
    means = {train.mode(i): each["b"].mean().item() for i, each in zip(waving, examples, strict=True)}
    assert list(means) == [1, 2, 3, 4, 5, 0]
    assert [*means.values()][:5] == sorted([*means.values()][:5], reverse=True)  # light to dark


def test_no_drawing_is_in_training_and_in_test():
    dataset = OpenMoji(paired=True)
    train, test = (dataset.sources(split)[0].drawings for split in ("train", "test"))
    assert len(train) + len(test) == len(dataset.drawings) > 3_600 and len(test) > 300
    assert {each.group for each in train}.isdisjoint(each.group for each in test)
    for coloured in (False, True):
        shown = set(images(train[::5], coloured=coloured).values())
        assert shown.isdisjoint(images(test, coloured=coloured).values())


def test_lines_are_grey_on_white_and_lie_where_the_colours_are():
    (source,) = OpenMoji(size=72, paired=True).sources("test")
    for index in range(0, len(source), 40):
        example = source.example(index)
        a, b = example["a"], example["b"]
        assert a.shape == b.shape == (3, 72, 72) and a.dtype == torch.float32
        assert torch.equal(a[0], a[1]) and torch.equal(a[0], a[2]) and a.min() < 0 and a.max() == 1
        assert not torch.equal(a, b)
        assert (b[:, :, 0] == 1).all()  # a margin
        dark = a[0] < -0.5
        assert b.mean(0)[dark].mean() < b.mean()


def test_both_domains_are_mirrored_together_or_not_at_all():
    (source,) = OpenMojiHands(paired=True).sources("train")
    plain, random = source.example(3), torch.Generator().manual_seed(0)
    seen = set()
    for _ in range(8):
        drawn = source.example(3, random)
        mirrored = {domain: torch.equal(drawn[domain], plain[domain].flip(2)) for domain in "ab"}
        kept = {domain: torch.equal(drawn[domain], plain[domain]) for domain in "ab"}
        assert mirrored["a"] == mirrored["b"] != kept["a"] == kept["b"]
        seen.add(mirrored["a"])
    assert seen == {True, False}


def test_unpaired_domains_are_sources_of_their_own():
    a, b = OpenMojiHands().sources("test")
    assert set(a.example(0)) == {"a"} and set(b.example(0)) == {"b"}


def test_what_is_wrong_is_told(monkeypatch):
    with pytest.raises(DataError, match="there is no split 'val'"):
        OpenMoji().sources("val")
    with pytest.raises(DataError, match="size is 8"):
        OpenMoji(size=8)
    openmoji._drawings.cache_clear()
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(
        DataError, match=r"openmoji needs the package resvg_py\nfix: pip install 'i2i-forge\[openmoji\]'"
    ):
        OpenMoji()
