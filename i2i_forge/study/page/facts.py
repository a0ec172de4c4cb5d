"""What the page says in words and tables: settings that differ, what a step computes, how a run was made."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence

from i2i_forge.recipe.schema import Phase, flattened
from i2i_forge.study.page.run_report import RunReport

MANY = 12  # settings above which one has to ask to see them
MACHINE = ("python", "platform", "hardware")  # of env.json
ABSENT = "\N{EN DASH}"


def differences(runs: Sequence[RunReport]) -> tuple[list[str], list[tuple[str, list[list[str]]]]]:
    """The columns' names, and each setting that is not the same in all runs, with its values in each column.

    The runs of a group share a column, where a value stands once.
    """
    settings = [(run.place.column, dict(_settings(run))) for run in runs]
    names = list(dict.fromkeys(name for name, _ in settings))
    rows = []
    for key in dict.fromkeys(key for _, values in settings for key in values):
        if len({values.get(key, ABSENT) for _, values in settings}) > 1:
            found = [dict.fromkeys(values.get(key, ABSENT) for n, values in settings if n == name) for name in names]
            rows.append((key, [list(values) for values in found]))
    return names, rows


def _settings(run: RunReport) -> Iterator[tuple[str, str]]:
    """The objective, the rest of the recipe, and the environment, flat. What a run writes and how often is left out."""
    data = run.recipe.model_dump(mode="json", exclude={"run"})
    terms = {phase: written.pop("minimize") for phase, written in data["phases"].items()}
    machine = {key: run.environment.get(key, {}) for key in MACHINE}
    for part in (terms, data, run.environment.get("packages", {}), machine):
        yield from ((key, str(value)) for key, value in flattened(part) if value != {})


def asides(phase: Phase) -> list[str]:
    """What is said beside a phase's name: how often it takes its turn, on which images, with whose tensors."""
    said = [f"every {phase.every} steps"] if phase.every > 1 else []
    said += [f"on the stream {phase.stream}"] if phase.stream != "main" else []
    return said + [f"{tensor} from the {owner} phase" for tensor, owner in phase.reuse.items()]


def again(run: RunReport) -> str:
    """The command that trains the same again."""
    return shlex.join(["forge", "train", str(run.place.folder / "resolved.yaml"), "--run", "runs/again"])


def facts(environment: Mapping[str, object]) -> dict[str, list[str]]:
    """Versions and machine; the packages of all plugins, and what the recipe took from which. Each is some lines."""
    packages, plugins, components = (_texts(environment.get(key)) for key in ("packages", "plugins", "components"))
    machine = {key: str(environment.get(key, "")) for key in MACHINE}
    one_line = {**packages, **machine, "plugins": ", ".join(dict.fromkeys(plugins.values()))}
    origins = [f"{name}: {plugin}" for name, plugin in components.items()]
    return {name: [text] for name, text in one_line.items() if text} | ({"components": origins} if origins else {})


def _texts(found: object) -> dict[str, str]:
    """The entries of a mapping as text; nothing of anything else."""
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, Mapping) else {}
