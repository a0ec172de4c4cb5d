"""Which metric is measured how: the protocol, and the counts that there really are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from i2i_forge.catalog.registry import Catalog
from i2i_forge.errors import UsageError, suggest
from i2i_forge.measure.metric import Metric, Protocol
from i2i_forge.measure.samples import Samples

T = TypeVar("T")
MISSING = {
    "sources": ("the inputs", "--sources DIR"),
    "truths": ("the true outputs", "--truths DIR, or a run on a paired data set"),
}


@dataclass(frozen=True)
class MetricPlan:
    """A metric under a protocol.

    Attributes:
        name: of the metric.
        metric: its class.
        protocol: with the counts that are used in place of those that were meant.
        backbone: asked for instead of the metric's own, "" for that.
        inputs, draws, real: how many inputs, translations of each, and real images.
        deviations: where the counts differ from the protocol's.
    """

    name: str
    metric: type[Metric]
    protocol: Protocol
    backbone: str
    inputs: int
    draws: int
    real: int
    deviations: tuple[str, ...]


def choose(catalog: Catalog, metrics: Sequence[str], protocols: Sequence[str] = ()) -> dict[str, Protocol]:
    """Metric -> protocol.

    Args:
        metrics: names of the catalog.
        protocols: "munit-2018" (for every metric that has it), or "METRIC=NAME"; a version may follow: "munit-2018/1".
            A metric that is not spoken of gets its first protocol.

    Raises:
        PluginError: there is no such metric.
        UsageError: no metric has such a protocol.
    """
    first = {name: catalog.metrics.get(name).protocols[0] for name in metrics}
    known = {
        name: {called: p for p in catalog.metrics.get(name).protocols for called in (p.name, p.name.partition("/")[0])}
        for name in metrics
    }
    return first | _assigned("protocol", protocols, known)


def choose_backbones(catalog: Catalog, metrics: Sequence[str], backbones: Sequence[str] = ()) -> dict[str, str]:
    """Metric -> backbone, for those that are not to use their own.

    Args:
        metrics: names of the catalog.
        backbones: "random" (for every metric that takes it), or "METRIC=NAME".

    Raises:
        UsageError: no metric takes such a backbone.
    """
    known = {name: {backbone: backbone for backbone in catalog.metrics.get(name).backbones} for name in metrics}
    return _assigned("backbone", backbones, known)


def _assigned(what: str, texts: Sequence[str], known: Mapping[str, Mapping[str, T]]) -> dict[str, T]:
    """Metric -> what the texts, NAME or METRIC=NAME, say of it; `known` is metric -> name -> what it stands for."""
    found: dict[str, T] = {}
    for text in texts:
        metric, _, wanted = text.rpartition("=")
        if metric and metric not in known:
            raise UsageError(f"--{what} {text}: '{metric}' is not evaluated", fix=f"add --metric {metric}")
        among = [metric] if metric else list(known)
        here = {name: known[name][wanted] for name in among if wanted in known[name]}
        if not here:
            there = {str(getattr(value, "name", value)) for metric in among for value in known[metric].values()}
            raise UsageError(
                f"{' and '.join(among)}: there is no {what} '{wanted}'", fix=suggest(wanted, there, what=what)
            )
        found |= here
    return found


def plan(
    catalog: Catalog, chosen: Mapping[str, Protocol], samples: Samples, *, inputs: int | None = None,
    draws: int | None = None, backbones: Mapping[str, str] | None = None,
) -> list[MetricPlan]:  # fmt: skip
    """What will be measured on these samples.

    Args:
        inputs, draws: in place of the protocols'.
        backbones: from `choose_backbones`.

    Raises:
        UsageError: the samples lack what a metric needs.
    """
    instead = backbones or {}
    return [
        _plan(name, catalog.metrics.get(name), protocol, instead.get(name, ""), samples, inputs, draws)
        for name, protocol in chosen.items()
    ]


def _plan(
    name: str, metric: type[Metric], protocol: Protocol, backbone: str, samples: Samples, inputs: int | None,
    draws: int | None,
) -> MetricPlan:  # fmt: skip
    for what in sorted(metric.wants - samples.has):
        there, how = MISSING[what]
        raise UsageError(f"{name} needs {there}, and these samples have none", fix=f"give {how}")
    count = min(inputs or protocol.inputs or samples.inputs, samples.inputs)
    each = min(draws or protocol.draws, samples.draws or 10**9)
    if each < 2 <= protocol.draws and metric.needs_several and not samples.is_deterministic:
        raise UsageError(
            f"{name} compares translations of one input, and here each has one",
            fix="use --samples 2 or more; folders need sub-folders of images, one for each input",
        )
    real = samples.real_count(protocol.real) if metric.real != "no" and protocol.real else 0
    if metric.real == "needed" and not real:
        raise UsageError(f"{name} needs real images of the target domain", fix="give --real DIR")
    if protocol.is_equal:
        count = min(count, real // each)
        real = count * each
    used = replace(protocol, inputs=count, draws=each)
    meant = (protocol.inputs or samples.inputs, count, "inputs"), (protocol.draws, each, "outputs per input")
    deviations = tuple(f"{here} {what} instead of {there}" for there, here, what in meant if there != here)
    return MetricPlan(name, metric, used, backbone, count, each, real, deviations)
