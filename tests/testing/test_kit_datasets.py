"""Data sets that are wrong in one way each, and what the kit says of them."""

import pickle

import pytest
import torch


class Source:
    """Noise; correct."""

    def __init__(self, domain, split):
        self.domain, self.split = domain, split

    def __len__(self):
        return 4

    def example(self, index, random):
        draws = torch.Generator().manual_seed(index)
        shift = torch.rand((), generator=random) if random else 0
        return {self.domain: torch.rand(3, 8, 8, generator=draws) - shift}

    def name(self, index):
        return f"{self.domain}{index}"


class Dataset:
    """Noise; correct."""

    source = Source

    def sources(self, split):
        return [self.source("a", split), self.source("b", split)]


class NoTest(Dataset):
    """Has no test images."""

    def sources(self, split):
        return super().sources(split) if split == "train" else []


class Empty(Source):
    """Has no examples."""

    def __len__(self):
        return 0


class Bare(Source):
    """Gives a tensor without its domain."""

    def example(self, index, random):
        return super().example(index, random)[self.domain]


class Bytes(Source):
    """Gives bytes."""

    def example(self, index, random):
        return {self.domain: torch.zeros(3, 8, 8, dtype=torch.uint8)}


class Bright(Source):
    """Is in [0, 255]."""

    def example(self, index, random):
        return {self.domain: torch.full((3, 8, 8), 255.0)}


class Global(Source):
    """Draws from the global generator."""

    def example(self, index, random):
        return {self.domain: torch.rand(3, 8, 8)}


class Own(Source):
    """Draws from a generator of its own."""

    draws = torch.Generator().manual_seed(0)

    def example(self, index, random):
        return {self.domain: torch.rand(3, 8, 8, generator=self.draws)}


class Unpicklable(Source):
    """Holds a function."""

    def __init__(self, domain, split):
        super().__init__(domain, split)
        self.change = lambda x: x


class Lossy(Source):
    """Forgets its domain's brightness on the way."""

    brightness = 0.0

    def __init__(self, domain, split):
        super().__init__(domain, split)
        self.brightness = -0.5

    def __getstate__(self):
        return {"domain": self.domain, "split": self.split}

    def example(self, index, random):
        return {self.domain: super().example(index, random)[self.domain] * 0.1 + self.brightness}


class Nameless(Source):
    """Calls all alike."""

    def name(self, index):
        return "image"


class Moded(Source):
    """Has a mode that does not exist."""

    def mode(self, index):
        return 7


def dataset(source, **attributes):
    """A data set of such sources."""
    return type("Changed", (Dataset,), {"__doc__": "Changed.", "source": source, **attributes})


BROKEN_DATASETS = [
    (NoTest, "runs", "sources('test') is empty"),
    (dataset(Empty), "runs", "source 0 of 'train' has no examples"),
    (dataset(None), "runs", "its sources cannot be made: TypeError"),
    (dataset(Bare), "examples", "not a mapping of domains to tensors"),
    (dataset(Bytes), "examples", "torch.uint8 (3, 8, 8), not float32 3,H,W"),
    (dataset(Bright), "examples", "has values from 255 to 255, not [-1, 1]"),
    (dataset(Global), "deterministic", "draws from torch's global generator"),
    (dataset(Own), "deterministic", "differs from call to call without a generator"),
    (dataset(Unpicklable), "goes_to_workers", "cannot be pickled"),
    (dataset(Lossy), "goes_to_workers", "other images after pickling"),
    (dataset(Nameless), "named", "calls its examples ['image', 'image', 'image', 'image']"),
    (dataset(Moded, MODES=("one", "two"), LABELLED="b"), "modes", "has the modes [7, 7, 7, 7]"),
    (dataset(Moded, MODES=("one", "two")), "modes", "LABELLED (None) is no domain"),
]  # fmt: skip


def test_a_correct_data_set_passes(failures):
    assert failures("datasets", Dataset) == {}
    assert pickle.loads(pickle.dumps(Source("a", "train"))).domain == "a"


@pytest.mark.parametrize(("component", "check", "says"), BROKEN_DATASETS, ids=[row[1] for row in BROKEN_DATASETS])
def test_a_broken_data_set_is_found(failures, component, check, says):
    assert says in failures("datasets", component).get(check, "")
