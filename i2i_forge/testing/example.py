"""How the kit builds and calls a component that it cannot guess: what a plugin says in `CHECKS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from i2i_forge.errors import PluginError, suggest


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
