"""What several commands share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from i2i_forge.catalog.loading import Host, Plugin, find_plugins, load_plugins, read_vocabulary
from i2i_forge.cli import completion
from i2i_forge.errors import DataError, UsageError
from i2i_forge.recipe.reading import Recipe, read_recipe
from i2i_forge.system.files import one_line, printable

if TYPE_CHECKING:
    import torch
    from rich.console import Console
    from rich.segment import Segment
    from rich.table import Column

    from i2i_forge.translate.translator import Translator

F = TypeVar("F", bound=Callable[..., Any])


def recipe_options(command: F) -> F:
    """RECIPE, --set and --drop."""
    command = click.option("--drop", multiple=True, metavar="PHASE.TERM", help="Leave this term of the objective out.",
                           shell_complete=completion.terms)(command)  # fmt: skip
    command = click.option("--set", "changes", multiple=True, metavar="KEY=VALUE",
                           help="Change a value of the recipe: data.size=64. The value `~` removes the key.",
                           shell_complete=completion.changes)(command)  # fmt: skip
    return click.argument("recipe", metavar="RECIPE", shell_complete=completion.recipes)(command)


def plugin_folders() -> Sequence[Path]:
    """What --plugins names before the command."""
    return click.get_current_context().find_root().params.get("folders") or ()


def checked_recipe(recipe: str, changes: Sequence[str], drop: Sequence[str]) -> Recipe:
    """The recipe, checked without importing torch."""
    return read_recipe(recipe, set=changes, drop=drop, vocabulary=read_vocabulary(found_plugins()))


def found_plugins() -> list[Plugin]:
    """The plugins, not imported; what cannot be used is named on stderr."""
    plugins = find_plugins(plugin_folders())
    complain_about(plugins)
    return plugins


def loaded_host() -> Host:
    """The plugins, imported; what cannot be used is named on stderr."""
    host = load_plugins(plugin_folders())
    complain_about(host.plugins)
    for registry in host.catalog.registries():
        for entries in registry.clashes():
            owners = " and ".join(f"plugin {entry.plugin}" for entry in entries)
            warn(f"{registry.kind}: '{entries[0].name}' comes from {owners}; a recipe must write {entries[0].plugin}:"
                 f"{entries[0].name} or {entries[1].plugin}:{entries[1].name}")  # fmt: skip
    return host


def complain_about(plugins: Sequence[Plugin]) -> None:
    """One line on stderr for each plugin that cannot be used, once in a command."""
    said: set[str] = click.get_current_context().meta.setdefault("i2i_forge.said", set())
    for plugin in plugins:
        if plugin.status in ("broken", "skipped") and plugin.name not in said:
            said.add(plugin.name)
            warn(f"plugin '{plugin.name}' is set aside: {plugin.reason.splitlines()[0]}")


def chosen_device(name: str) -> torch.device:
    """The device; "auto" takes a GPU when there is one. Raises UsageError when it is not there."""
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # "meta" holds no values
    except (RuntimeError, AssertionError, ImportError) as error:
        cause = str(error).partition("\n")[0]
        raise UsageError(
            f"--device {name}: {cause:.200}", fix="use --device cpu, or a device of this machine"
        ) from None
    return device


def say(text: str, *, err: bool = False, nl: bool = True) -> None:
    """A line of the result on stdout; what a text holds of files, names and servers moves no cursor."""
    click.echo(printable(text), err=err, nl=nl)


def warn(text: str) -> None:
    """A line on stderr."""
    say(f"warning: {text}", err=True)


def note(text: str) -> None:
    """A line of progress on stderr."""
    say(text, err=True)


def note_loaded(run: Path, translator: Translator) -> None:
    """Say which run is used."""
    note(f"{one_line(str(run))}: {translator.recipe.name} after {translator.step} steps")


def print_json(data: Any) -> None:
    """The result, on stdout."""
    click.echo(json.dumps(data, indent=2))


def print_table(*headings: str | Column, rows: Iterable[Sequence[object]], **options: Any) -> None:
    """A table on stdout; `options` are rich's."""
    from rich.table import Table

    table = Table(*headings, **options)
    for row in rows:
        table.add_row(*map(str, row))
    console().print(table)


def console(**options: Any) -> Console:
    """Rich output that shows a stranger's texts as they are: no markup, what is not printable as an escape.

    It is wide when nobody watches, so that lines are not cut; `options` are rich's.
    """
    from rich.console import Console

    class Plain(Console):
        def render(self, *given: Any, **more: Any) -> Iterator[Segment]:
            for segment in super().render(*given, **more):
                yield segment if segment.control else segment._replace(text=printable(segment.text))

    found = Plain(highlight=False, markup=False, emoji=False, **options)
    if not found.is_terminal:
        found.width = 160
    return found


def refuse_damaged(found: Any, total: int, folder: Path) -> None:
    """Raise DataError where files of a survey are damaged."""
    if damaged := found.damaged:
        raise DataError(
            f"{len(damaged)} of {total} images in {folder} cannot be used",
            fix=next(iter(damaged.values())).fix if len(damaged) == 1 else "repair or remove these files",
        )


def say_damaged_and_noted(found: Any) -> None:
    """Which files of a survey cannot be used, and what is to be known of others."""
    for error in found.damaged.values():
        say(error.message)
    for what, paths in found.noted.items():
        say(f"{len(paths):,} of the images: {what}; for example {paths[0]}")
