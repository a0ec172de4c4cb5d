"""Promises of metrics."""

from __future__ import annotations

import math
import pickle
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache

import torch

from i2i_forge.measure import Batch, Metric, Outcome, Tools
from i2i_forge.measure.mode_classifier import random_classifier
from i2i_forge.testing.inputs import images
from i2i_forge.testing.subject import Subject, described

PROTOCOL = re.compile(r"[a-z0-9][a-z0-9.-]*/[1-9][0-9]*")
INPUTS, DRAWS, SIDE = 24, 2, 32
CLOSE = 1e-4  # relative: backbones work in float32, and a batch of another size may round differently


def protocols(subject: Subject) -> Iterator[str]:
    """What it says of itself is complete, and its protocols have names with versions."""
    metric = subject.component
    if not (isinstance(metric, type) and issubclass(metric, Metric)):
        yield "it is no subclass of i2i_forge.measure.Metric"
        return
    if getattr(metric, "direction", None) not in ("up", "down"):
        yield "`direction` is neither 'up' (more is better) nor 'down'"
    if metric.real not in ("no", "optional", "needed"):
        yield f"`real` is {metric.real!r}: write no, optional or needed"
    for want in sorted(metric.wants - {"sources", "truths"}):
        yield f"`wants` has '{want}': there are sources and truths"
    found = getattr(metric, "protocols", ())
    if not found:
        yield "it has no protocol: say how it is measured, protocols = (Protocol(name, about), )"
    for protocol in found:
        if not PROTOCOL.fullmatch(protocol.name):
            yield f"a protocol is called '{protocol.name}': write a lower-case name and a version, 'name/1'"
        if not protocol.about.strip():
            yield f"protocol '{protocol.name}' does not say what is particular about it (`about`)"
    if len({protocol.name for protocol in found}) < len(found):
        yield "two of its protocols have one name"


def new(subject: Subject) -> Metric:
    """The metric under its first protocol at a small size, with features that need no files."""
    metric: type[Metric] = subject.component
    offered = getattr(metric, "backbones", ())
    backbone = next((name for name in ("classifier", "random") if name in offered), "")
    protocol = replace(metric.protocols[0], inputs=INPUTS, draws=DRAWS if metric.protocols[0].draws > 1 else 1)
    return metric(protocol, Tools(torch.device("cpu"), backbone, random_classifier(8)))


@cache
def _all(kind: str) -> torch.Tensor:
    return images(INPUTS * DRAWS, SIDE, SIDE, seed=len(kind))


def _batch(inputs: Sequence[int], draws: Sequence[int], kind: str = "translations") -> Batch:
    """Images of some inputs' draws: translations and all that a metric may want, or real ones."""
    at = [number * DRAWS + draw for number, draw in zip(inputs, draws, strict=True)]
    sources, truths = (_all(each)[[n * DRAWS for n in inputs]] for each in ("sources", "truth"))
    names = [f"{kind} {number}" for number in inputs]
    is_real = kind == "real"
    return Batch(
        _all(kind)[at].clone(), list(inputs), list(draws), names,
        None if is_real else sources, None if is_real else truths,
    )  # fmt: skip


def show(metric: Metric, inputs: Sequence[int], size: int) -> Metric:
    """The metric after it has seen the inputs, their draws and as many real images, in batches of a size."""
    items = [(number, draw) for number in inputs for draw in range(metric.protocol.draws)]
    for start in range(0, len(items), size):
        numbers, draws = zip(*items[start : start + size], strict=True)
        metric.update(_batch(numbers, draws))
    for start in range(0, len(inputs) if metric.real != "no" else 0, size):
        part = inputs[start : start + size]
        metric.update_real(_batch(part, [0] * len(part), "real"))
    return metric


def outcomes(subject: Subject, size: int) -> list[Outcome]:
    """What it finds of everything, in batches of a size."""
    return show(new(subject), range(INPUTS), size).compute()


def runs(subject: Subject) -> Iterator[str]:
    """It is built, fed and gives finite numbers."""
    try:
        found = outcomes(subject, 8)
    except Exception as error:
        yield f"it cannot be fed {INPUTS} inputs with {DRAWS} translations of {SIDE}x{SIDE}: {described(error)}"
        return
    if not found or not all(isinstance(outcome, Outcome) for outcome in found):
        yield "`compute` does not return a list of Outcomes"
        return
    for outcome in found:
        if not math.isfinite(outcome.value):
            yield f"its value is {outcome.value}"
        if outcome.per_input is not None and not set(outcome.per_input) <= set(range(INPUTS)):
            yield "`per_input` names inputs that it was not shown"


def deterministic(subject: Subject) -> Iterator[str]:
    """The same images give the same number."""
    first, second = (_values(outcomes(subject, 8)) for _ in range(2))
    if first != second:
        yield f"the same images give {first} and {second}: draw from a generator of a fixed seed"


def batches_do_not_matter(subject: Subject) -> Iterator[str]:
    """How images are grouped into batches changes nothing."""
    expected = _values(outcomes(subject, 8))
    for size in (1, 5):
        if _far(found := _values(outcomes(subject, size)), expected):
            yield f"in batches of {size} it gives {found}, in batches of 8 {expected}"


def halves_merge(subject: Subject) -> Iterator[str]:
    """Two ranks that each see half of the inputs find together what one finds."""
    expected = _values(outcomes(subject, 8))
    one = show(new(subject), range(0, INPUTS, 2), 8)
    other = show(new(subject), range(1, INPUTS, 2), 8)
    one.merge(pickle.loads(pickle.dumps(other.state())))
    if _far(found := _values(one.compute()), expected):
        yield f"two halves merge to {found}, all together gives {expected}: `accumulators` must hold all it remembers"


def leaves_images_alone(subject: Subject) -> Iterator[str]:
    """It does not change the images, which other metrics see too."""
    metric, batch = new(subject), _batch([0, 1], [0, 0])
    before = batch.images.clone()
    metric.update(batch)
    if not torch.equal(batch.images, before):
        yield "it changes the images of a batch in place"


def _values(found: Sequence[Outcome]) -> list[float]:
    return [outcome.value for outcome in found]


def _far(found: list[float], expected: list[float]) -> bool:
    return len(found) != len(expected) or any(
        not math.isclose(one, other, rel_tol=CLOSE, abs_tol=1e-7) for one, other in zip(found, expected, strict=True)
    )


STATIC = (protocols,)
CHECKS = (deterministic, batches_do_not_matter, halves_merge, leaves_images_alone)
