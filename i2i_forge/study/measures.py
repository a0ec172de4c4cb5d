"""What is measured of every run of a study, and which of it stands in a run's records already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from i2i_forge.catalog.registry import Catalog
from i2i_forge.measure.metric import Metric, Protocol, Tools
from i2i_forge.measure.mode_classifier import load_classifier, refuse_if_inaccurate
from i2i_forge.measure.plans import Plan, choose, choose_backbones, plan
from i2i_forge.measure.records import FILE, Record, read
from i2i_forge.measure.run_samples import RunSamples
from i2i_forge.recipe.yaml_source import parse_options
from i2i_forge.study.plans import Asked
from i2i_forge.translate.translator import Translator

ROUTE = "ab"
CPU = torch.device("cpu")


class Measures:
    """The metrics of a study, with their protocols and networks.

    Args:
        asked: by the user.
        catalog: where the metrics come from.

    Raises:
        PluginError, UsageError: there is no such metric, protocol or backbone; the classifier is inaccurate.
    """

    def __init__(self, asked: Asked, catalog: Catalog) -> None:
        self.asked, self.catalog = asked, catalog
        self.protocols = choose(catalog, asked.metrics, asked.protocols)
        self.backbones = choose_backbones(catalog, asked.metrics, asked.backbones)
        classifier = load_classifier(asked.classifier) if asked.classifier else None
        if classifier is not None:
            refuse_if_inaccurate(classifier)
        self.tools = Tools(CPU, "", classifier)

    def build(self) -> None:
        """Build every metric once, so that what is missing is said before anything is trained.

        Raises:
            DataError: weights are not in the cache.
            UsageError: a metric needs a classifier.
        """
        for name, protocol in self.protocols.items():
            self._built(name, protocol)

    def asked_for(self, metrics: Sequence[str]) -> Asked:
        """The same for some of the metrics."""
        return replace(
            self.asked,
            metrics=tuple(metrics),
            protocols=tuple(f"{name}={self.protocols[name].name}" for name in metrics),
            backbones=tuple(f"{name}={self.backbones[name]}" for name in metrics if name in self.backbones),
        )

    def recorded(self, run: Path, translator: Translator) -> dict[str, list[Record]]:
        """Metric -> its records in the run's folder that are of these weights, this protocol, counts and network.

        Raises:
            UsageError: the run's data set lacks what a metric needs.
            DataError: the records cannot be read.
        """
        samples = RunSamples(translator, self.catalog, ROUTE, CPU, data=parse_options(self.asked.data))
        plans = plan(
            self.catalog, self.protocols, samples, inputs=self.asked.inputs, draws=self.asked.samples,
            backbones=self.backbones,
        )  # fmt: skip
        records = read(run / FILE) if (run / FILE).exists() else []
        mine = [r for r in records if _identity(r) == (translator.weights_sha256, ROUTE, samples.data["options"])]
        return {one.name: self._of(one, mine, samples.is_deterministic) for one in plans}

    def _of(self, wanted: Plan, records: Sequence[Record], is_deterministic: bool) -> list[Record]:
        """The newest of each name; a metric may call its records otherwise than itself, but not as another metric."""
        info = getattr(self._built(wanted.name, wanted.protocol, is_deterministic).backbone, "info", None)
        network = (info.id, info.weights_sha256) if info else ("pixels", "")
        others = {_record_name(name) for name in self.catalog.metrics} - {_record_name(wanted.name)}
        found = {
            r.metric: r
            for r in records
            if r.metric not in others
            and (r.protocol, r.n.inputs, r.n.outputs_per_input, len(r.seeds))
            == (wanted.protocol.name, wanted.inputs, wanted.draws, 1)
            and (r.backbone.id, r.backbone.weights_sha256) == network
        }
        return list(found.values())

    def _built(self, name: str, protocol: Protocol, is_deterministic: bool = False) -> Metric:
        """The metric; its network is built once and shared."""
        tools = replace(self.tools, backbone=self.backbones.get(name, ""), is_deterministic=is_deterministic)
        metric: Metric = self.catalog.metrics.get(name)(protocol, tools)
        return metric


def _record_name(metric: str) -> str:
    return metric.replace("-", "_")


def _identity(record: Record) -> tuple[object, ...]:
    """Which weights were measured, in which direction, on what."""
    model, data = record.model.model_extra or {}, record.data.model_extra or {}
    return record.model.weights_sha256, model.get("route"), data.get("options")
