"""The part of the page that is about one run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from i2i_forge.study.page.computation import computation
from i2i_forge.study.page.curves import run_curves
from i2i_forge.study.page.gallery import gallery
from i2i_forge.study.page.markup import Html, join, section, table, tag
from i2i_forge.study.page.objective import objective
from i2i_forge.study.page.run_report import RunReport


def run_section(run: RunReport, samples: int | None) -> Html:
    """What is known of a run; `samples` is how many pixels its grids are wide at most, None leaves them out."""
    parts = [
        *(tag("p", text, class_="note") for text in run.notes),
        section("Objective", objective(run)),
        section("Samples", gallery([run], samples)) if run.sheets and samples else "",
        section("Losses by route", run_curves(run)),
        section("What a step computes", computation(run, run.trace)) if run.trace else "",
        section("Recipe and environment", _origin(run)),
    ]
    return join(parts)


def _origin(run: RunReport) -> Html:
    """How the run was made, so that it can be made again."""
    command = shlex.join(["forge", "train", str(run.place.folder / "resolved.yaml"), "--run", "runs/again"])
    texts = {"recipe.yaml, as it was written": run.written, "resolved.yaml, all settings": run.recipe.to_yaml()}
    facts = [(name, value) for name, value in _facts(run.environment).items() if value]
    return join([
        tag("p", "Trains the same again: ", tag("code", command)),
        *(tag("details", tag("summary", name), tag("pre", text, tabindex=0)) for name, text in texts.items() if text),
        table(("", ""), facts, "facts") if facts else "",
    ])  # fmt: skip


def _facts(environment: Mapping[str, object]) -> dict[str, str]:
    """Versions and machine; the packages of all plugins, and what the recipe took from which."""
    packages, plugins, components = (_texts(environment.get(key)) for key in ("packages", "plugins", "components"))
    machine = {key: str(environment.get(key, "")) for key in ("python", "platform", "hardware")}
    origins = join((tag("div", f"{name}: {plugin}") for name, plugin in components.items()))
    return {**packages, **machine, "plugins": ", ".join(dict.fromkeys(plugins.values())), "components": origins}


def _texts(found: object) -> dict[str, str]:
    """The entries of a mapping as text; nothing of anything else."""
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, Mapping) else {}
