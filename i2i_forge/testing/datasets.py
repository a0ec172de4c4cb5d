"""Promises of data sets."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from i2i_forge.system.seeding import generator
from i2i_forge.testing.inputs import differ
from i2i_forge.testing.subject import Subject, described

SPLITS = ("train", "test")
TRIED = 3  # examples of each source


def _sources(subject: Subject) -> Iterator[tuple[str, Any]]:
    """Every source with the name that messages give it."""
    made = subject.build()
    for split in SPLITS:
        for number, source in enumerate(made.sources(split)):
            yield f"source {number} of '{split}'", source


def _indices(source: Any) -> list[int]:
    return sorted({*range(min(TRIED, len(source))), len(source) - 1})


def _example(source: Any, index: int, seed: int | None) -> list[Tensor]:
    """The images of an example, augmented from a seed or not at all."""
    found: dict[str, Tensor] = source.example(index, None if seed is None else generator("example", seed))
    return list(found.values())


def runs(subject: Subject) -> Iterator[str]:
    """It has a train and a test split, and neither is empty."""
    try:
        sources = list(_sources(subject))
    except Exception as error:
        yield (
            f"its sources cannot be made: {described(error)}; where it needs files, let the test write some and give "
            f"their folder: check_plugin(..., checks={{'{subject.name}': {{'options': {{'root': ...}}}}}})"
        )
        return
    for split in SPLITS:
        if not any(f"'{split}'" in where for where, _ in sources):
            yield f"sources('{split}') is empty"
    for where, source in sources:
        if len(source) == 0:
            yield f"{where} has no examples"


def examples(subject: Subject) -> Iterator[str]:
    """An example holds images by domain: float32, 3,H,W, in [-1, 1]."""
    for where, source in _sources(subject):
        for index in _indices(source):
            found = source.example(index, generator("example", index))
            if not isinstance(found, dict) or not found or not all(isinstance(x, Tensor) for x in found.values()):
                yield f"example {index} of {where} is not a mapping of domains to tensors"
                return
            for domain, x in found.items():
                if x.dtype != torch.float32 or x.dim() != 3 or x.shape[0] != 3:
                    yield f"{where}: an image of domain '{domain}' is {x.dtype} {tuple(x.shape)}, not float32 3,H,W"
                elif not x.isfinite().all() or x.min() < -1 or x.max() > 1:
                    low, high = float(x.min()), float(x.max())
                    yield f"{where}: an image of domain '{domain}' has values from {low:.3g} to {high:.3g}, not [-1, 1]"


def deterministic(subject: Subject) -> Iterator[str]:
    """An example is a function of its index and its generator, and of no other randomness."""
    for where, source in _sources(subject):
        for seed in (None, 1):
            before = torch.get_rng_state()
            first = _example(source, 0, seed)
            if not torch.equal(torch.get_rng_state(), before):
                torch.set_rng_state(before)
                yield f"{where} draws from torch's global generator: draw from the one that `example` is given"
            elif differ(_example(source, 0, seed), first):
                how = "without a generator" if seed is None else "with generators of one seed"
                yield f"example 0 of {where} differs from call to call {how}"


def goes_to_workers(subject: Subject) -> Iterator[str]:
    """It can be pickled for the processes that prepare batches, and gives the same there."""
    for where, source in _sources(subject):
        try:
            sent = pickle.loads(pickle.dumps(source))
        except Exception as error:
            yield f"{where} cannot be pickled, so it works with data.workers=0 only: {described(error)}"
            continue
        if differ(_example(sent, 0, 1), _example(source, 0, 1)):
            yield f"{where} gives other images after pickling"


def named(subject: Subject) -> Iterator[str]:
    """Each example has a name of its own for error messages."""
    for where, source in _sources(subject):
        names = [source.name(index) for index in _indices(source)]
        if not all(isinstance(name, str) and name for name in names) or len(set(names)) < len(names):
            yield f"{where} calls its examples {names}"


def modes(subject: Subject) -> Iterator[str]:
    """If it knows modes (MODES), LABELLED is a domain and `mode` an index of MODES."""
    known = getattr(subject.build(), "MODES", None)
    if known is None:
        return
    labelled = getattr(subject.build(), "LABELLED", None)
    with_it = [(w, s) for w, s in _sources(subject) if labelled in s.example(0, None)]
    if not with_it:
        yield f"it has MODES, but LABELLED ({labelled!r}) is no domain of any source"
    for where, source in with_it:
        found = [source.mode(index) if hasattr(source, "mode") else None for index in _indices(source)]
        if not all(isinstance(mode, int) and 0 <= mode < len(known) for mode in found):
            yield f"{where} has the modes {found}, which are no indices of MODES"


CHECKS = (examples, deterministic, goes_to_workers, named, modes)
