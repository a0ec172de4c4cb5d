"""The loop: every translation is made once and shown to every metric; ranks share the inputs and merge exactly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch

from i2i_forge.errors import DataError
from i2i_forge.measure.batch import Batch
from i2i_forge.measure.bootstrap import of_groups, of_mean
from i2i_forge.measure.metric import Outcome, Tools
from i2i_forge.measure.plans import MetricPlan
from i2i_forge.measure.samples import Samples
from i2i_forge.system import distributed

Progress = Callable[[int, int], None]  # images seen, images in all


class Evaluation:
    """Some metrics on some samples.

    Args:
        samples: what is measured.
        plans: how.
        tools: what the metrics may use.
        seeds: of the noise; each gives its own value.
        batch: images at once.
    """

    def __init__(
        self, samples: Samples, plans: Sequence[MetricPlan], tools: Tools, *,
        seeds: Sequence[int] = (0,), batch: int = 32,
    ) -> None:  # fmt: skip
        self.samples, self.plans, self.tools, self.seeds, self.batch = samples, plans, tools, seeds, batch
        self.share = distributed.rank(), distributed.world_size()
        self.sizes: set[tuple[int, ...]] = set()  # height, width of the images
        self.groups: dict[int, str] = {}  # input -> what it must not be parted from, of measured images
        self.metrics = [
            [plan.metric(plan.protocol, replace(tools, backbone=plan.backbone)) for plan in plans] for _ in seeds
        ]

    @property
    def size(self) -> list[int]:
        """Height and width of the images; [] where they differ."""
        return list(next(iter(self.sizes))) if len(self.sizes) == 1 else []

    def run(self, progress: Progress = lambda done, total: None) -> list[list[Outcome]]:
        """The outcomes of each plan, over all seeds; on ranks other than the first an empty list.

        Raises:
            DataError: images differ in size; a translation is one of the real images.
        """
        draws = self._draws()
        total, done = sum(draws) * len(self.seeds) + sum(self._real_counts().values()), 0
        for metrics, seed in zip(self.metrics, self.seeds, strict=True):
            for batch in self.samples.translations(seed, draws, self.batch, self.share):
                self._check(batch)
                if not batch.space.is_rgb8:
                    self.groups |= zip(batch.inputs, batch.groups, strict=True)
                for plan, metric in zip(self.plans, metrics, strict=True):
                    if len(part := batch.first(plan.inputs, plan.draws)):
                        metric.update(part.shown() if plan.sees == "rgb" else part)
                done += len(batch) * self.share[1]
                progress(min(done, total), total)
        for split, count in self._real_counts().items():
            for batch in self.samples.real(split, count, self.batch, self.share):
                self._check(batch)
                self._show_real(split, batch)
                done += len(batch) * self.share[1]
                progress(min(done, total), total)
        if not self._merge():
            return []
        self._check_leak()
        each = [[metric.compute() for metric in metrics] for metrics in self.metrics]  # seed, plan, outcome
        several = [[over_seeds(same) for same in zip(*found, strict=True)] for found in zip(*each, strict=True)]
        return [[over_groups(outcome, self.groups) for outcome in found] for found in several]

    def _draws(self) -> list[int]:
        """How many translations of each input some metric wants."""
        return [
            max(1 if self.samples.is_deterministic else plan.draws for plan in self.plans if plan.inputs > number)
            for number in range(max(plan.inputs for plan in self.plans))
        ]

    def _real_counts(self) -> dict[str, int]:
        """Split -> how many real images some metric wants."""
        counts: dict[str, int] = {}
        for plan in self.plans:
            if plan.real:
                counts[plan.protocol.real] = max(counts.get(plan.protocol.real, 0), plan.real)
        return counts

    def _show_real(self, split: str, batch: Batch) -> None:
        for metrics in self.metrics:
            for plan, metric in zip(self.plans, metrics, strict=True):
                if plan.protocol.real == split and len(part := batch.first(plan.real, 1)):
                    metric.update_real(part.shown() if plan.sees == "rgb" else part)

    def _check(self, batch: Batch) -> None:
        """Raise DataError for images that no metric can make sense of."""
        if not bool(batch.images.isfinite().all()):
            broken = [name for name, x in zip(batch.names, batch.images, strict=True) if not bool(x.isfinite().all())]
            raise DataError(
                f"the translation of {broken[0]} is not finite",
                fix="look at the run: something in it overflows",
            )
        size = tuple(batch.images.shape[2:])
        other = next((known for known in self.sizes if known != size), size)
        self.sizes.add(size)
        if size != other and any(plan.sees != "values" for plan in self.plans):
            raise DataError(
                f"images differ in size: {batch.names[0]} is {size[1]}x{size[0]}, others are {other[1]}x{other[0]}",
                fix="bring all images to one size; for a run, set data.test_crop=true in its recipe",
            )
        for what, beside in (("input", batch.sources), ("true output", batch.truths)):
            if beside is not None and beside.shape[2:] != size:
                raise DataError(
                    f"the {what} of {batch.names[0]} is {beside.shape[3]}x{beside.shape[2]}, its translation is "
                    f"{size[1]}x{size[0]}",
                    fix="bring them to one size",
                )
        if batch.truths is not None and batch.truths.shape != batch.images.shape:
            raise DataError(
                f"the true output of {batch.names[0]} has {batch.truths.shape[1]} channels, its translation "
                f"{batch.images.shape[1]}",
                fix="see `channels` in the description of the images",
            )

    def _merge(self) -> bool:
        """Bring what the ranks saw together; whether this is the rank that has it."""
        rank, ranks = self.share
        if ranks == 1:
            return True
        states = [[metric.state() for metric in metrics] for metrics in self.metrics]
        gathered = distributed.everyone((states, self.samples.seen, self.sizes, self.groups, self.samples.warnings))
        for states, seen, sizes, groups, warnings in gathered[1:] if rank == 0 else []:
            for metrics, theirs in zip(self.metrics, states, strict=True):
                for metric, state in zip(metrics, theirs, strict=True):
                    metric.merge(state)
            for what, digests in seen.items():
                self.samples.seen[what] |= digests
            self.sizes |= sizes
            self.groups |= groups
            self.samples.warnings += [text for text in warnings if text not in self.samples.warnings]
        return rank == 0

    def _check_leak(self) -> None:
        """A real image among the translations makes every distance to the real ones too small."""
        real = {d for split in ("test", "train") for d in self.samples.seen[split].values()}
        copies = [key for key, d in self.samples.seen["translations"].items() if d in real]
        if copies:
            raise DataError(
                f"{len(copies)} translations are pixel for pixel one of the real images (the first is of input "
                f"{copies[0][0]})",
                fix="take them out of one of the two folders",
            )


def over_seeds(outcomes: Sequence[Outcome]) -> Outcome:
    """One outcome of several seeds: the mean, its values by seed and their deviation among the components."""
    first = outcomes[0]
    if len(outcomes) == 1:
        return first
    values = torch.tensor([outcome.value for outcome in outcomes], dtype=torch.float64)
    result = replace(
        first,
        value=float(values.mean()),
        se=_mean([outcome.se for outcome in outcomes]),
        bias_corrected=_mean([outcome.bias_corrected for outcome in outcomes]),
        components={key: _mean([o.components[key] for o in outcomes]) or 0.0 for key in first.components}
        | {"seed_std": float(values.std())},
        warnings=list(dict.fromkeys(text for outcome in outcomes for text in outcome.warnings)),
        per_seed=tuple(values.tolist()),
    )
    if first.ci95:
        low, high = zip(*(o.ci95 for o in outcomes if o.ci95), strict=True)
        result.ci95 = sum(low) / len(low), sum(high) / len(high)
    if first.per_input:
        per_input = {n: sum((o.per_input or {})[n] for o in outcomes) / len(outcomes) for n in first.per_input}
        result = replace(result, per_input=per_input, **of_mean(per_input))
    if first.per_group:
        per_group = {n: sum((o.per_group or {})[n] for o in outcomes) / len(outcomes) for n in first.per_group}
        result = replace(result, per_group=per_group, **of_groups(per_group))
    return result


def over_groups(outcome: Outcome, groups: Mapping[int, str]) -> Outcome:
    """The outcome with a mean over inputs made one over groups, where there are any: each the mean of its inputs."""
    if not groups or not outcome.per_input:
        return outcome
    found: dict[str, list[float]] = {}
    for number, value in outcome.per_input.items():
        found.setdefault(groups[number], []).append(value)
    per_group = {name: sum(values) / len(values) for name, values in found.items()}
    value = sum(per_group.values()) / len(per_group)
    interval = {"se": None, "ci95": None, "ci_method": "none", **of_groups(per_group)}
    return replace(outcome, value=value, per_group=per_group, **interval)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
