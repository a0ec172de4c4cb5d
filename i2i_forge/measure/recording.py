"""From outcomes to records: the model, the data, the network and the machine that a number belongs to."""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch

from i2i_forge.errors import disk_error
from i2i_forge.measure.batch import BackboneInfo
from i2i_forge.measure.evaluate import Evaluation
from i2i_forge.measure.metric import Metric, Outcome
from i2i_forge.measure.plans import MetricPlan
from i2i_forge.measure.records import (
    BackboneRecord,
    Counts,
    Data,
    Environment,
    Model,
    Preprocess,
    Record,
    Side,
    append,
)  # fmt: skip
from i2i_forge.measure.samples import Samples, list_digest
from i2i_forge.system.files import one_line, write_whole

PIXELS = BackboneRecord(id="pixels", weights_sha256="", version="")


def write_records(
    evaluation: Evaluation, outcomes: Sequence[Sequence[Outcome]], folder: Path, timing: Mapping[str, float]
) -> list[Record]:
    """Append what `evaluation.run()` gave to folder/results.jsonl; per-input values go to folder/results/.

    Raises:
        UsageError: the folder cannot be written.
        ResourceError: the disk is full.
    """
    records = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for plan, metric, found in zip(evaluation.plans, evaluation.metrics[0], outcomes, strict=True):
            for outcome in found:
                records.append(_record(evaluation, plan, metric, outcome, _side(outcome, folder), timing))
                append(records[-1], folder)
    except OSError as error:
        raise disk_error(folder, error, refused="name another with --out") from error
    return records


def _record(
    evaluation: Evaluation, plan: MetricPlan, metric: Metric, outcome: Outcome, side: Side | None,
    timing: Mapping[str, float],
) -> Record:  # fmt: skip
    samples, info = evaluation.samples, getattr(metric.backbone, "info", None)
    inputs = {n: d for n, d in samples.seen["inputs"].items() if n < plan.inputs}
    real = {n: d for n, d in samples.seen.get(plan.protocol.real, {}).items() if n < plan.real}
    found = ("value", "se", "ci95", "ci_method", "bias_corrected", "components")
    return Record(
        metric=outcome.metric or plan.name.replace("-", "_"),
        protocol=plan.protocol.name,
        unit=samples.space.unit if metric.unit == "values" else metric.unit,
        direction=metric.direction,
        **{name: getattr(outcome, name) for name in found},
        n=Counts(
            inputs=plan.inputs,
            outputs_per_input=plan.draws,
            pairs=outcome.pairs,
            real=outcome.real,
            groups=len(outcome.per_group) if outcome.per_group else None,
        ),
        seeds=list(evaluation.seeds),
        per_seed=list(outcome.per_seed or [outcome.value]),
        per_input=side,
        model=Model(**_one_lines(samples.model)),
        data=Data(
            **_one_lines(samples.data),
            list_sha256=list_digest(inputs),
            reference_list_sha256=list_digest(real) if real else "",
        ),
        preprocess=Preprocess(
            size=evaluation.size,
            resize=info.resize if info else "none",
            antialias=info.antialias if info else False,
            quantised=_quantised(plan, samples, info),
            codec=samples.codec,
            **_seen(plan, samples),
        ),
        backbone=BackboneRecord.model_validate(info, from_attributes=True) if info else PIXELS,
        classifier=_classifier(metric),
        env=_environment(evaluation.tools.device),
        timing=dict(timing),
        warnings=list(dict.fromkeys(map(one_line, _warnings(evaluation, plan, metric, outcome)))),
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _seen(plan: MetricPlan, samples: Samples) -> dict[str, Any]:
    """What a metric sees of images that are not 8-bit RGB, and where."""
    space, mask = samples.space, {"mask": "mask"} if "mask" in samples.has and plan.sees == "values" else {}
    if space.is_rgb8:
        return mask
    if plan.sees == "values":
        return {"range": str(space), **mask}
    colour = space.domain.display.colour
    shown = colour if isinstance(colour, str) else ", ".join(name or "black" for name in colour)
    black_and_white = space.shown_as().strip() or "0..255"
    return {"range": f"display {black_and_white} as {shown}", "space_sha256": space.sha256}


def _quantised(plan: MetricPlan, samples: Samples, info: BackboneInfo | None) -> bool:
    """Whether the images were rounded to 8 bits."""
    if plan.sees == "values" or not samples.space.is_rgb8:
        return info is not None and info.quantised
    return samples.codec != "none" or (info.quantised if info else True)


def _one_lines(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Names of folders may hold anything, a record only text."""
    return {key: one_line(value) if isinstance(value, str) else value for key, value in facts.items()}


def _warnings(evaluation: Evaluation, plan: MetricPlan, metric: Metric, outcome: Outcome) -> Iterator[str]:
    if metric.backbone is not None and not (info := metric.backbone.info).is_calibrated:
        yield f"uncalibrated: the weights of {info.id} are random, the number means nothing elsewhere"
    if plan.deviations:
        yield f"not {plan.protocol.name} as it is meant: {', '.join(plan.deviations)}"
    if plan.sees == "rgb" and not (space := evaluation.samples.space).is_rgb8:
        what = "measured values" if space.unit == "none" else space.unit
        yield (
            f"features of networks made for photographs on a display of {what}: for ranking runs of one table, not "
            "for comparison with papers"
        )
    yield from evaluation.samples.warnings
    yield from outcome.warnings


def _classifier(metric: Metric) -> dict[str, Any] | None:
    """What is known of the classifier, where the metric used it."""
    classifier, info = metric.tools.classifier, getattr(metric.backbone, "info", None)
    if classifier is None or info is None or info.weights_sha256 != classifier.info.weights_sha256:
        return None
    return {"modes": list(classifier.modes)} | {
        key: value for key, value in classifier.card.items() if isinstance(value, int | float | str)
    }


def _side(outcome: Outcome, folder: Path) -> Side | None:
    """The arrays of an outcome in a file named by its content."""
    arrays = {name: np.asarray(value) for name, value in outcome.arrays.items()}
    if outcome.per_input:
        order = sorted(outcome.per_input)
        arrays |= {"inputs": np.array(order), "values": np.array([outcome.per_input[n] for n in order])}
    if outcome.per_group:
        names, values = zip(*outcome.per_group.items(), strict=True)
        arrays |= {"groups": np.array([one_line(name) for name in names]), "per_group": np.array(values)}
    if not arrays:
        return None
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    file = folder / "results" / f"{digest[:16]}.npz"
    file.parent.mkdir(exist_ok=True)
    write_whole(file, buffer.getvalue())
    return Side(path=f"results/{file.name}", sha256=digest)


def _environment(device: torch.device) -> Environment:
    versions = {name: importlib.metadata.version(name) for name in ("torch", "torchvision")}
    return Environment(
        package=importlib.metadata.version("i2i-forge"),
        **versions,
        device=torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        deterministic=torch.are_deterministic_algorithms_enabled(),
    )
