"""A component under test, how it is built and called, and what a check of it finds."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch

from i2i_forge.catalog.loading import Host, Plugin
from i2i_forge.engine.forward_pass import seeded
from i2i_forge.errors import ForgeError, PluginError, suggest

Check = Callable[[Any], Iterator[str]]  # its docstring is the promise, what it yields are the problems
_MACHINERY = tuple(str(Path(file).parent) for file in (torch.__file__, __file__))


@dataclass(frozen=True)
class Result:
    """What a check found.

    Attributes:
        plugin: whose.
        component: "losses: l1"; "" for the plugin itself.
        check: the check's name, which `skip` in CHECKS uses.
        promise: what it makes sure of.
        problems: in plain words; none where the promise is kept.
        skipped: why it was not run; "" where it was.
    """

    plugin: str
    component: str
    check: str
    promise: str
    problems: tuple[str, ...] = ()
    skipped: str = ""

    def __str__(self) -> str:
        where = self.component or f"plugin {self.plugin}"
        return "\n".join(f"{where}: {problem} [{self.check}]" for problem in self.problems)


def run(check: Check, subject: Any, *, plugin: str, component: str, skipped: str = "") -> Result:
    """Run one check, unless there is a reason to skip it; an exception is a problem like any other."""
    promise = (check.__doc__ or "").partition("\n")[0]
    problems: list[str] = []
    if not skipped:
        try:
            problems.extend(check(subject))
        except Exception as error:
            problems.append(described(error))
    return Result(plugin, component, check.__name__, promise, tuple(problems), skipped)


def described(error: Exception) -> str:
    """An exception in one line, with the place in the plugin where it was raised."""
    if isinstance(error, ForgeError):
        return " ".join(f"{error.message}; {error.fix}".rstrip("; ").split())
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith((*_MACHINERY, "<"))]
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    first = (str(error).strip() or "no message").splitlines()[0]
    return f"{type(error).__name__}: {first}{place}"


@dataclass(frozen=True)
class Example:
    """One entry of a plugin's `CHECKS`; every key may be left out.

    Attributes:
        options: of the constructor, for a small component.
        inputs: what `forward`, or a loss, is called with: a function of the built component that gives the positional
            arguments, the same at every call. A batch has two samples or more.
        constant: a loss: the arguments that it has no gradient for on purpose.
        recipe: a trainer: a recipe's file or name; otherwise one is looked for beside the plugin.
        set, drop: changes of that recipe, as for `i2i_forge.load_recipe`.
        skip: check -> why it does not hold here.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    inputs: Callable[[Any], list[Any]] | None = None
    constant: Sequence[str] = ()
    recipe: str | Path | None = None
    set: Sequence[str] = ()
    drop: Sequence[str] = ()
    skip: Mapping[str, str] = field(default_factory=dict)


def example_of(kind: str, name: str, checks: Mapping[str, Mapping[str, Any]]) -> Example:
    """The entry of a component, "name" or, where two kinds share a name, "kind.name".

    Raises:
        PluginError: an unknown key.
    """
    said = checks.get(f"{kind}.{name}", checks.get(name, {}))
    known = [each.name for each in fields(Example)]
    for key in said:
        if key not in known:
            raise PluginError(f"CHECKS: '{name}' has the unknown key '{key}'", fix=suggest(key, known))
    return Example(**said)


SMALL: Mapping[str, Any] = {  # options that make networks small, where they have them
    "width": 4, "blocks": 1, "layers": 3, "levels": 5, "scales": 2, "mlp_dim": 8, "hidden": 8,
}  # fmt: skip


@dataclass(frozen=True)
class Subject:
    """A component under test.

    Attributes:
        kind, name: of the catalog.
        component: the class or function.
        plugin: that brings it.
        host: all plugins, so that recipes work.
        example: how it is built and called.
    """

    kind: str
    name: str
    component: Any
    plugin: Plugin
    host: Host
    example: Example

    def options(self) -> dict[str, Any]:
        """What it is built with: the example's options, and small ones where it has them."""
        known = inspect.signature(self.component).parameters
        return {**{key: value for key, value in SMALL.items() if key in known}, **self.example.options}

    def build(self) -> Any:
        """A new instance, the same every time."""
        with seeded(0, torch.device("cpu")):
            return self.component(**self.options())
