"""Which metric is measured how: the protocol, and the counts that there really are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from i2i_forge.catalog.registry import Catalog
from i2i_forge.data.space import RGB8, ImageSpace
from i2i_forge.errors import UsageError, suggest
from i2i_forge.measure.metric import Metric, Protocol, Sees
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

    @property
    def sees(self) -> Sees:
        """What the metric sees of images under this protocol."""
        return seen(self.metric, self.protocol)


def seen(metric: type[Metric], protocol: Protocol) -> Sees:
    """What a metric sees of images under a protocol."""
    return protocol.sees or metric.sees


def choose(
    catalog: Catalog, metrics: Sequence[str], protocols: Sequence[str] = (), space: ImageSpace = RGB8
) -> dict[str, Protocol]:  # fmt: skip
    """Metric -> protocol.

    Args:
        metrics: names of the catalog.
        protocols: "munit-2018" (for every metric that has it), or "METRIC=NAME"; a version may follow: "munit-2018/1".
            A metric that is not spoken of gets its first protocol; of images that are not 8-bit RGB the first that
            is for such.
        space: what the images are.

    Raises:
        PluginError: there is no such metric.
        UsageError: no metric has such a protocol.
    """
    first = {name: _default(catalog.metrics.get(name), space) for name in metrics}
    known = {
        name: {called: p for p in catalog.metrics.get(name).protocols for called in (p.name, p.name.partition("/")[0])}
        for name in metrics
    }
    return first | _assigned("protocol", protocols, known)


def _default(metric: type[Metric], space: ImageSpace) -> Protocol:
    able = (protocol for protocol in metric.protocols if space.is_rgb8 or seen(metric, protocol) != "rgb8")
    return next(able, metric.protocols[0])


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
        UsageError: the samples lack what a metric needs, or are images that it makes no sense of.
    """
    if not (samples.space.is_rgb8 and samples.source_space.is_rgb8):
        for name, protocol in chosen.items():
            _need_sense(catalog, name, protocol, samples, (backbones or {}).get(name, ""))
    instead = backbones or {}
    return [
        _plan(name, catalog.metrics.get(name), protocol, instead.get(name, ""), samples, inputs, draws)
        for name, protocol in chosen.items()
    ]


def _need_sense(catalog: Catalog, name: str, protocol: Protocol, samples: Samples, backbone: str) -> None:
    """Refuse a metric that would see other images than those it is for."""
    metric, space, sources = catalog.metrics.get(name), samples.space, samples.source_space
    sees = seen(metric, protocol)
    is_odd = sees != "values" and "sources" in metric.wants and not sources.is_rgb8
    if not space.is_rgb8:
        is_odd |= sees == "rgb8" or (sees == "rgb" and (backbone == "classifier" or space.kind == "labels"))
    if is_odd:
        able = {e.name: f"--metric {e.name} --protocol {e.name}={p.name}" for e in catalog.metrics.entries()
                for p in e.component.protocols if seen(e.component, p) == "values"}  # fmt: skip
        raise UsageError(
            f"{name} {protocol.name} is for 8-bit RGB images, and these are {sources if space.is_rgb8 else space}",
            fix=able.get(name) or f"of their values there are: {', '.join(able)}",
        )
    if sees == "rgb" and space.kind == "measure":
        _need_display(name, space)


def _need_display(name: str, space: ImageSpace) -> None:
    """Refuse measured images that nobody said how to show."""
    display, names = space.domain.display, space.names
    is_coloured = len(names) == 1 or isinstance(display.colour, tuple)
    if "display" in space.domain.model_fields_set and is_coloured:
        return
    low, high = display.window or (space.bands[0].low, space.bands[0].high)
    colour = "" if len(names) == 1 else f", colour: [{', '.join((*names, *3 * ['~'])[:3])}]"
    raise UsageError(
        f"{name} compares what a network made for photographs sees, and nothing says how {space} is shown to it",
        fix="add to the description of the images, in `domains` of the recipe or in the file of --domain: display: "
        f"{{window: [{low:g}, {high:g}]{colour}}}",
    )


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
