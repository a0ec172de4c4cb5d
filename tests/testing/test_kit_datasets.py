"""Data sets that are wrong in one way each, and what the kit says of them."""

import pickle

import pytest
import torch

from i2i_forge.data import ImageSpace
from i2i_forge.recipe.domains import Domain


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


def dataset(source=Source, **attributes):
    """A data set of such sources."""
    return type("Changed", (Dataset,), {"__doc__": "Changed.", "source": source, **attributes})


def with_(**methods):
    """A data set whose sources have other methods."""
    return dataset(type("ChangedSource", (Source,), methods))


SPACES = {"a": ImageSpace(Domain(channels=2, range=(0, 100))), "mask": ImageSpace(Domain(kind="labels"))}


def measured(**images):
    """A data set of two channels and a mask, and what its examples hold."""
    source = type("Measured", (Source,), {"example": lambda self, index, random: dict(images)})
    return dataset(source, spaces=SPACES, sources=lambda self, split: [source("a", split)])


OWN = torch.Generator().manual_seed(0)
MODED = type("Moded", (Source,), {"mode": lambda self, index: 7})
BROKEN_DATASETS = [
    (dataset(sources=lambda self, split: [Source("a", split)] if split == "train" else []), "runs",
     "sources('test') is empty"),
    (with_(__len__=lambda self: 0), "runs", "source 0 of 'train' has no examples"),
    (dataset(None), "runs", "its sources cannot be made: TypeError"),
    (with_(example=lambda self, index, random: torch.rand(3, 8, 8)), "examples", "not a mapping of domains to tensors"),
    (with_(example=lambda self, index, random: {"a": torch.zeros(3, 8, 8, dtype=torch.uint8)}), "examples",
     "torch.uint8 (3, 8, 8), not float32 3,H,W"),
    (with_(example=lambda self, index, random: {"a": torch.full((3, 8, 8), 255.0)}), "examples",
     "has values from 255 to 255, not [-1, 1]"),
    (with_(example=lambda self, index, random: {"a": torch.rand(3, 8, 8)}), "deterministic",
     "draws from torch's global generator"),
    (with_(example=lambda self, index, random: {"a": torch.rand(3, 8, 8, generator=OWN)}), "deterministic",
     "differs from call to call without a generator"),
    (dataset(Unpicklable), "goes_to_workers", "cannot be pickled"),
    (dataset(Lossy), "goes_to_workers", "other images after pickling"),
    (with_(name=lambda self, index: "image"), "named", "calls its examples ['image', 'image', 'image', 'image']"),
    (with_(group=lambda self, index: 3), "groups", "source 0 has the group 3, which is no text"),
    (with_(group=lambda self, index: "patient 7"), "groups", "source 0 has the group 'patient 7' in both splits"),
    (with_(example=lambda self, index, random: {"a": torch.zeros(2, 8, 8)}), "examples", "not float32 3,H,W"),
    (measured(a=torch.zeros(3, 8, 8)), "examples", "(3, 8, 8), not float32 2,H,W"),
    (measured(a=torch.full((2, 8, 8), 40.0)), "examples", "has values from 40 to 40, not [-1, 1]"),
    (measured(a=torch.zeros(2, 8, 8), mask=torch.zeros(1, 8, 8)), "examples", "(1, 8, 8), not whole numbers 1,"),
    (measured(a=torch.zeros(2, 8, 8), mask=torch.zeros(1, 4, 4).byte()), "examples", "labels of other grids"),
    (measured(a=torch.zeros(2, 8, 8), mask=torch.zeros(3, 8, 8, dtype=torch.uint8)), "examples",
     "(3, 8, 8), not whole numbers 1,H,W"),
    (dataset(MODED, MODES=("one", "two"), LABELLED="b"), "modes", "has the modes [7, 7, 7, 7]"),
    (dataset(MODED, MODES=("one", "two")), "modes", "LABELLED (None) is no domain"),
]  # fmt: skip


def test_a_correct_data_set_passes(failures):
    assert failures("datasets", Dataset) == {}
    grouped = with_(group=lambda self, index: f"{self.split} {index}")
    assert failures("datasets", grouped, skip={"goes_to_workers": "its class is made here"}) == {}
    whole = measured(
        a=torch.zeros(2, 8, 8), mask=torch.ones(1, 8, 8, dtype=torch.uint8), valid_a=torch.ones(1, 8, 8).byte()
    )
    assert failures("datasets", whole, skip={"goes_to_workers": "its class is made here"}) == {}
    assert pickle.loads(pickle.dumps(Source("a", "train"))).domain == "a"


@pytest.mark.parametrize(("component", "check", "says"), BROKEN_DATASETS, ids=[row[1] for row in BROKEN_DATASETS])
def test_a_broken_data_set_is_found(failures, component, check, says):
    assert says in failures("datasets", component).get(check, "")
