"""Recipes: YAML text -> a checked, frozen Recipe, and back. Nothing here imports torch.

`base:` names another recipe that this one changes; `~` removes what the base has; `--set a.b=c` and `--drop phase.term`
change the result. All mistakes are reported at once, each with file:line:column.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import PrivateAttr

from i2i_forge.catalog.vocabulary import Vocabulary
from i2i_forge.errors import PluginError, RecipeError, UsageError, suggest
from i2i_forge.recipe.check_components import PluginProblem, mapping
from i2i_forge.recipe.check_names import name_problems
from i2i_forge.recipe.check_shape import shape_problems
from i2i_forge.recipe.inherited import left_over, replaced
from i2i_forge.recipe.names import find_recipe
from i2i_forge.recipe.schema import RecipeModel
from i2i_forge.recipe.terms import Term, parse_term
from i2i_forge.recipe.yaml_source import Keys, parse_scalar, read_yaml
from i2i_forge.recipe.yaml_text import to_yaml
from i2i_forge.system.files import natural_key, one_line

MAX_BASES = 10
MAX_LINES = 20  # mistakes in one message


@dataclass
class Draft:
    """A recipe before it is checked: plain data, where each value was written, and options of replaced components."""

    data: dict[str, Any] = field(default_factory=dict)
    origins: dict[Keys, str] = field(default_factory=dict)
    inherited: set[Keys] = field(default_factory=set)

    def where(self, keys: Keys) -> str:
        """The origin of a value, or of the nearest mapping around it."""
        while keys and keys not in self.origins:
            keys = keys[:-1]
        return self.origins.get(keys, "recipe")

    def overlay(self, data: dict[str, Any], origins: dict[Keys, str], at: Keys = ()) -> None:
        """Merge `data` over this draft; None removes a key."""
        here = self.lookup(at)
        if data.get("use") not in (None, here.get("use")):
            self.inherited |= {(*at, *keys) for keys in replaced(here)}
        for key, value in data.items():
            keys = (*at, key)
            self.inherited.discard(keys)
            if key in here and not (isinstance(value, dict) and isinstance(here[key], dict)):
                self.origins = {k: v for k, v in self.origins.items() if k[: len(keys)] != keys}
            if value is None:
                here.pop(key, None)
                continue
            if isinstance(value, dict) and isinstance(here.get(key), dict):
                self.overlay(value, origins, keys)
                continue
            here[key] = {} if isinstance(value, dict) else value
            self.origins[keys] = origins.get(keys, origins.get((), ""))
            if isinstance(value, dict):
                self.overlay(value, origins, keys)
            elif isinstance(value, list):
                self.origins |= {(*keys, i): origins[*keys, i] for i in range(len(value)) if (*keys, i) in origins}

    def lookup(self, keys: Keys) -> dict[str, Any]:
        """The mapping at `keys`, made where it is missing."""
        here = self.data
        for key in keys:
            here = here.setdefault(str(key), {})
        return here


class Recipe(RecipeModel):
    """An experiment, checked. `name` is its file's stem in a line; `origins` tells where each value was written."""

    _name: str = PrivateAttr(default="recipe")
    _origins: dict[Keys, str] = PrivateAttr(default_factory=dict)
    _left_out: tuple[str, ...] = PrivateAttr(default=())

    @property
    def name(self) -> str:
        """The file's stem."""
        return self._name

    @property
    def origins(self) -> dict[Keys, str]:
        """file:line:column, or the flag, of each value that was written."""
        return self._origins

    @property
    def left_out(self) -> tuple[str, ...]:
        """Options of the base that a component named in place of the base's does not have; each with why."""
        return self._left_out

    def named(self, name: str) -> Recipe:
        """This recipe under another name: what cannot be printed in it, line breaks too, becomes an escape."""
        self._name = one_line(name)
        return self

    def terms(self, phase: str) -> dict[str, dict[str, Term]]:
        """The terms of a phase by name, each by route; the route "*" stands for every route."""
        written = self.phases[phase].minimize
        return {
            name: {route: parse_term(text) for route, text in (line if isinstance(line, dict) else {"*": line}).items()}
            for name, line in written.items()
        }

    def to_data(self) -> dict[str, Any]:
        """Plain data that loads back as a recipe of the same values."""
        described = self.model_dump(include={"domains"}, exclude_unset=True, mode="json")  # with lists for tuples
        return self.model_dump(exclude_unset=True) | described

    def to_yaml(self) -> str:
        """YAML that loads back as a recipe of the same values."""
        return to_yaml(self.to_data())


def without_losses(recipe: Recipe) -> Recipe:
    """Translating needs no objective, and so none of the files that losses may need; nor a compiler."""
    phases = {name: phase.model_copy(update={"minimize": {}, "reuse": {}}) for name, phase in recipe.phases.items()}
    return recipe.model_copy(update={"phases": phases, "run": recipe.run.model_copy(update={"compile": []})})


def read_recipe(
    source: str | Path, *, set: Sequence[str] = (), drop: Sequence[str] = (), vocabulary: Vocabulary | None = None
) -> Recipe:
    """Read a recipe file, or an installed recipe by name, and check it.

    Args:
        source: a path, or the name of an installed recipe: "munit_edge2shoes", "my-package:my_recipe".
        set: changes, "data.size=64"; the value is YAML, `~` removes.
        drop: terms to leave out, "generator.style".
        vocabulary: the known components; without it their names and options are not checked.

    Raises:
        RecipeError: with every mistake, each with file:line:column.
        PluginError: the only mistakes are plugins that cannot be used, or that bring the same name.
        UsageError: a `set` or `drop` that cannot be read.
    """
    file = find_recipe(source)
    draft = Draft()
    for data, origins in reversed(list(_with_bases(file))):
        draft.overlay(data, origins)
    draft.origins[()] = f"{file}:1:1"
    for change in set:
        _apply_set(draft, change)
    for term in drop:
        _apply_drop(draft, term)
    return _checked(draft, file, vocabulary)


def _with_bases(file: Path) -> Iterator[tuple[dict[str, Any], dict[Keys, str]]]:
    """The data and origins of a recipe and of its bases, nearest first."""
    chain: list[Path] = []
    while True:
        shown = " -> ".join(str(f) for f in [*chain, file])
        if any(file.resolve() == seen.resolve() for seen in chain):
            raise RecipeError(f"base: goes round in a circle: {shown}", fix="remove one of these `base:` lines")
        if len(chain) >= MAX_BASES:
            raise RecipeError(f"base: more than {MAX_BASES} recipes deep: {shown}", fix="merge some of them")
        chain.append(file)
        source = read_yaml(file)
        origins = {keys: str(position) for keys, position in source.positions.items()}
        base = source.data.pop("base", None)
        yield source.data, origins
        if base is None:
            return
        where = origins[("base",)]
        if not isinstance(base, str) or "\n" in base:
            raise RecipeError(f"{where}: base: is {base!r:.60}", fix="write one recipe's file or name")
        try:
            file = find_recipe(base, beside=file.parent)
        except RecipeError as error:
            raise RecipeError(f"{where}: base: {error.message}", fix=error.fix) from None


def _apply_set(draft: Draft, change: str) -> None:
    path, equals, text = change.partition("=")
    keys = tuple(path.strip().split("."))
    if not equals or not all(keys):
        raise UsageError(f"--set {change}: this is not KEY=VALUE", fix="write it as --set data.size=64")
    if keys == ("base",):
        raise UsageError(f"--set {change}: the base is not a value of the recipe", fix="write `base:` into a file")
    nested: Any = parse_scalar(text)
    removes = nested is None
    here: Any = draft.data
    for depth, key in enumerate(keys):
        if not isinstance(here, dict):
            raise UsageError(
                f"--set {change}: {'.'.join(keys[:depth])} is {here!r}, it has no keys of its own",
                fix="`forge show` prints the recipe with its keys",
            )
        if removes and key not in here:
            raise UsageError(f"--set {change}: there is no such key to remove", fix=suggest(key, here, what="key"))
        here = here.get(key, {})
    for key in reversed(keys[1:]):
        nested = {key: nested}
    draft.overlay({keys[0]: nested}, {(): f"--set {change}"})


def _apply_drop(draft: Draft, term: str) -> None:
    phase, _, name = term.partition(".")
    known = [f"{key}.{t}" for key, phase in mapping(draft.data, "phases").items() for t in mapping(phase, "minimize")]
    if term not in known:
        raise UsageError(f"--drop {term}: the recipe has no such term", fix=suggest(term, known, what="term"))
    draft.overlay({"phases": {phase: {"minimize": {name: None}}}}, {})


def _checked(draft: Draft, file: Path, vocabulary: Vocabulary | None) -> Recipe:
    left_out = _leave_out(draft, vocabulary) if vocabulary else ()
    problems = [*shape_problems(draft.data), *name_problems(draft.data, vocabulary or Vocabulary(complete=False))]
    if problems:
        found = {
            f"{draft.where(keys)}: {_one_line(keys, text)}"
            + (f"; `{keys[-1]}: ~` in {file.name} removes it" if keys in draft.inherited else "")
            for keys, text in problems
        }
        lines = sorted(found, key=natural_key)
        more = [f"... and {len(lines) - MAX_LINES} more"] if len(lines) > MAX_LINES else []
        shown = "\n".join([*lines[:MAX_LINES], *more])
        if all(isinstance(text, PluginProblem) for _, text in problems):
            raise PluginError(shown, fix="`forge plugins` lists the plugins and what is wrong with them")
        count = f"{len(lines)} mistakes" if len(lines) > 1 else "1 mistake"
        raise RecipeError(shown, fix=f"{count} in the recipe; `forge show` prints the keys and their origin")
    recipe = Recipe.model_validate(draft.data)
    recipe._origins, recipe._left_out = draft.origins, left_out
    return recipe.named(file.stem)


def _leave_out(draft: Draft, vocabulary: Vocabulary) -> tuple[str, ...]:
    """Remove options of components that were replaced; says which."""
    found = left_over(draft.data, draft.inherited, vocabulary)
    for keys, _ in found:
        draft.lookup(keys[:-1]).pop(str(keys[-1]))
    return tuple(f"{'.'.join(map(str, keys))} ({draft.where(keys)}): {by} has no such option" for keys, by in found)


def _one_line(keys: Keys, text: str) -> str:
    """A problem without the line ends and the length that a recipe may give its texts."""
    return " ".join(f"{'.'.join(map(str, keys))}: {text}".split())[:500]
