"""A study's folder, what is measured of its runs, and how far each is.

    OUT/table.md  table.json  classifier/
    OUT/<row>/<row>.yaml  seed-0/  seed-0.log        the row's recipe, its runs, what their commands printed

Nothing else is remembered: a run is done when its checkpoint has all steps and its records are of these weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from i2i_forge.catalog.registry import Catalog
from i2i_forge.data.domains import Domains
from i2i_forge.errors import CheckpointError, ForgeError, disk_error
from i2i_forge.measure.metric import Metric, Protocol, Tools
from i2i_forge.measure.mode_classifier import load_classifier, refuse_if_inaccurate
from i2i_forge.measure.plans import MetricPlan, choose, choose_backbones, plan
from i2i_forge.measure.records import FILE, Record, read
from i2i_forge.measure.run_samples import RunSamples
from i2i_forge.recipe.yaml_source import parse_options
from i2i_forge.run.folder import RunFolder
from i2i_forge.run.identity import differences, settings_of
from i2i_forge.study.variants import Asked, Variant, run_folder
from i2i_forge.system.files import one_line, write_whole
from i2i_forge.system.outputs import refuse_special
from i2i_forge.translate.loading import load
from i2i_forge.translate.translator import Translator

ROUTE = "ab"
CPU = torch.device("cpu")


class Measures:
    """The metrics of a study, with their protocols and networks.

    Args:
        asked: by the user.
        catalog: where the metrics come from.
        variants: what is measured; the images of the first say which protocols are meant.

    Raises:
        PluginError, UsageError: there is no such metric, protocol or backbone; the classifier is inaccurate.
    """

    def __init__(self, asked: Asked, catalog: Catalog, variants: Sequence[Variant]) -> None:
        self.asked, self.catalog = asked, catalog
        recipe = variants[0].recipe
        entered = catalog.trainers.get(recipe.trainer).routes[ROUTE][1]
        self.protocols = choose(catalog, asked.metrics, asked.protocols, Domains.of(recipe, catalog)[entered])
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

    def _of(self, wanted: MetricPlan, records: Sequence[Record], is_deterministic: bool) -> list[Record]:
        """The newest of each name; a metric may call its records otherwise than itself, but not as another metric."""
        info = getattr(self._built(wanted.name, wanted.protocol, is_deterministic).backbone, "info", None)
        network = (info.id, info.weights_sha256) if info else ("pixels", "")
        others = {name.replace("-", "_") for name in self.catalog.metrics} - {wanted.name.replace("-", "_")}
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


def _identity(record: Record) -> tuple[object, ...]:
    """Which weights were measured, in which direction, on what."""
    model, data = record.model.model_extra or {}, record.data.model_extra or {}
    return record.model.weights_sha256, model.get("route"), data.get("options")


@dataclass
class State:
    """A run of the study as it is now.

    Attributes:
        is_trained: its newest checkpoint verifies and has all steps.
        records: metric -> what was measured of these weights.
        failure: why it is not further, after it was tried; "" otherwise.
    """

    variant: Variant
    folder: Path
    is_trained: bool = False
    records: Mapping[str, list[Record]] = field(default_factory=dict)
    failure: str = ""


def write_recipes(variants: Sequence[Variant], out: Path) -> None:
    """Write each row's recipe.

    Raises:
        CheckpointError: a run in the folder is of another recipe.
        UsageError: the folder cannot be written.
    """
    for variant in variants:
        folder = run_folder(out, variant)
        if not RunFolder(folder).resolved.is_file():
            continue
        before, now = (settings_of(recipe, places=True) for recipe in (RunFolder(folder).recipe(), variant.recipe))
        if changed := differences(before, now):  # a run that is done is not resumed, and would not see other images
            raise CheckpointError(
                f"{folder} is a run of another recipe than '{variant.name}' is now: {changed}",
                fix="choose another folder with --out, or remove that run",
            )
    folders = [out, *(out / variant.name for variant in variants)]
    inside = (path for folder in folders if folder.is_dir() for path in folder.iterdir())
    refuse_special(path for path in inside if not path.is_dir())  # a run may lie elsewhere
    for variant in variants:
        file = recipe_file(out, variant)
        text = f"# row '{one_line(variant.name)}' of a study; each run sets its seed\n{variant.recipe.to_yaml()}"
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file, text)
        except OSError as error:
            raise disk_error(file, error, refused="choose another --out") from error


def recipe_file(out: Path, variant: Variant) -> Path:
    """Where the row's recipe is."""
    return out / variant.name / f"{variant.name}.yaml"


def state_of(variant: Variant, out: Path, measures: Measures, catalog: Catalog) -> State:
    """How far a run is. Raises CheckpointError when it has taken more steps than the study has."""
    state = State(variant, run_folder(out, variant))
    try:
        translator = load(state.folder, catalog=catalog)
    except CheckpointError:  # none yet; or all damaged, which the training command will say
        return state
    if translator.step > variant.recipe.steps:
        raise CheckpointError(
            f"{state.folder} has taken {translator.step:,} steps, the study has {variant.recipe.steps:,}",
            fix=f"use --steps {translator.step}, or another folder with --out",
        )
    state.is_trained = translator.step == variant.recipe.steps
    if state.is_trained:
        try:
            state.records = measures.recorded(state.folder, translator)
        except ForgeError as error:
            state.failure = error.message
    return state
