"""Runs side by side: what each is, and the settings in which they differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from i2i_forge.study.page.markup import Html, join, table, tag
from i2i_forge.study.page.run_report import RunReport

MANY = 12  # settings above which one has to ask to see them
ABSENT = "\N{EN DASH}"


def overview(runs: Sequence[RunReport]) -> Html:
    """A row for each run; its name leads to its section."""
    rows = []
    for number, run in enumerate(runs, 1):
        calls = run.trace.network_calls if run.trace else ABSENT
        parameters = f"{sum(run.trace.parameters.values()):,}" if run.trace else ABSENT
        speed = f"{run.speed:.3g}" if run.speed is not None else ABSENT
        name = tag("a", run.place.name, href=f"#run-{number}")
        rows.append((name, run.recipe.trainer, f"{run.steps:,}", calls, parameters, speed))
    head = ("run", "method", "steps", "network calls in a step", "parameters", "steps per second")
    return table(head, rows, "numbers")


def differences(runs: Sequence[RunReport]) -> Html:
    """A row for each setting that is not the same in all runs; the runs of a group share a column."""
    settings = [(run.place.column, dict(_settings(run))) for run in runs]
    names = list(dict.fromkeys(name for name, _ in settings))
    rows = []
    for key in dict.fromkeys(key for _, values in settings for key in values):
        if len({values.get(key, ABSENT) for _, values in settings}) > 1:
            cells = {name: [v.get(key, ABSENT) for n, v in settings if n == name] for name in names}
            rows.append((tag("code", key), *(_cell(cells[name]) for name in names)))
    if not rows:
        return tag("p", "They are made with the same settings, in the same environment.", class_="note")
    shown = table(("", *names), rows, "settings")
    return shown if len(rows) <= MANY else tag("details", tag("summary", f"{len(rows)} settings"), shown)


def _cell(values: Sequence[str]) -> Html:
    """The values of a group, each once."""
    return join((value if value == ABSENT else tag("code", value) for value in dict.fromkeys(values)), ", ")


def _settings(run: RunReport) -> Iterator[tuple[str, str]]:
    """The objective, the rest of the recipe, and the environment, flat. What a run writes and how often is left out."""
    data = run.recipe.model_dump(mode="json", exclude={"run"})
    for phase, written in data["phases"].items():
        yield from _flat(written.pop("minimize"), phase)
    yield from _flat(data)
    for key in ("packages", "python", "platform", "hardware"):
        yield from _flat(run.environment.get(key, {}), "" if key == "packages" else key)


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, str(value)
