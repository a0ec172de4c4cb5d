"""Promises of data sets."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from i2i_forge.data.domains import LABELS
from i2i_forge.data.source import without_tests
from i2i_forge.data.space import RGB8, ImageSpace
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
    """An example holds images by domain: float32, C,H,W, in [-1, 1]; labels are whole numbers on the same grid."""
    for where, source in _sources(subject):
        for index in _indices(source):
            found = source.example(index, generator("example", index))
            if not isinstance(found, dict) or not found or not all(isinstance(x, Tensor) for x in found.values()):
                yield f"example {index} of {where} is not a mapping of domains to tensors"
                return
            for domain, x in found.items():
                if problem := _image_problem(x, _space(subject, domain)):
                    yield f"{where}: an image of domain '{domain}' {problem}"
            if len({x.shape[-2:] for x in found.values()}) > 1 and not all(
                x.is_floating_point() for x in found.values()
            ):
                said = ", ".join(f"{domain} {tuple(x.shape)}" for domain, x in found.items())
                yield f"example {index} of {where} has images and labels of other grids: {said}"


def _space(subject: Subject, name: str) -> ImageSpace:
    """What the images of a name are: as the data set's `spaces` say, or as it was told; else 8-bit RGB."""
    told = getattr(subject.build(), "spaces", None) or subject.options().get("domains", {})
    if name.removeprefix("valid_") in told and name not in told:
        return ImageSpace(LABELS)
    found: ImageSpace = told.get(name, RGB8)
    return found


def _image_problem(x: Tensor, space: ImageSpace) -> str:
    is_whole = space.kind == "labels" and (len(space) == 0 or not x.is_floating_point())
    count = space.count if is_whole or space.kind == "weight" else len(space)
    is_of_type = not x.is_floating_point() if is_whole else x.dtype == torch.float32
    if x.dim() != 3 or x.shape[0] != count or not is_of_type:
        return f"is {x.dtype} {tuple(x.shape)}, not {'whole numbers' if is_whole else 'float32'} {count},H,W"
    if not x.isfinite().all() or (not is_whole and space.kind != "weight" and (x.min() < -1 or x.max() > 1)):
        return f"has values from {float(x.min()):.3g} to {float(x.max()):.3g}, not [-1, 1]"
    return ""


def groups(subject: Subject) -> Iterator[str]:
    """If its sources know groups, each is a text, and the train and test examples of a source share none."""
    made = subject.build()
    for number, (train, test) in enumerate(zip(*map(made.sources, SPLITS), strict=False)):
        if not (hasattr(train, "group") and hasattr(test, "group")):
            continue
        found = [{source.group(index) for index in range(len(source))} for source in (train, test)]
        if odd := [group for group in set.union(*found) if not (isinstance(group, str) and group)]:
            yield f"source {number} has the group {odd[0]!r}, which is no text"
        elif (both := sorted(set.intersection(*found))) and not without_tests(made):
            yield f"source {number} has the group {both[0]!r} in both splits: what it learns would be measured"


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


CHECKS = (examples, groups, deterministic, goes_to_workers, named, modes)
