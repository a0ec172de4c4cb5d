"""forge recipes"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import takewhile
from typing import Any

import click

from i2i_forge.cli import json_option
from i2i_forge.cli.common import note, print_json, print_table, say, warn
from i2i_forge.errors import RecipeError, UsageError, suggest
from i2i_forge.recipe.names import NamedRecipe, named_recipes
from i2i_forge.recipe.reading import read_recipe
from i2i_forge.system.files import read_text


@click.command("recipes")
@click.argument("word", default="")
@click.option("--long", "in_full", is_flag=True, help="Print sizes, costs and what each recipe is about.")
@json_option
def command(word: str, in_full: bool, as_json: bool) -> None:
    """List the recipes that are known by name, or those that have WORD in it; or tell all about one by its whole name.

    They come with i2i_forge, or with the package of a plugin.
    """
    named = named_recipes()
    found = {name: recipe for name, recipe in named.items() if word in name}
    if as_json:
        print_json(list(_rows(found)))
        return
    if not found:
        raise UsageError(f"no recipe has '{word}' in its name", fix=suggest(word, named, what="recipe"))
    if in_full or word in named:
        _print_in_full(_rows({word: named[word]} if word in named else found))
        return
    for row in _rows(found):
        data = "no files" if row["needs"].startswith("no files") else row["data"].replace("_", " ")
        owner = "" if row["package"] == "i2i-forge" else f" ({row['package']})"
        say(f"{row['name']:<41} {row['method']:<18} {data}{owner}")
    note("`forge recipes NAME` tells all about one of them")


def _print_in_full(rows: Iterable[dict[str, Any]]) -> None:
    from rich.table import Column

    shown = [
        (
            row["name"], row["package"], row["method"], f"{row['data']} {row['size'] or ''}",
            f"{row['steps']:,} x {row['batch']}",
            f"{row['about']} ({row['needs']})" if row["needs"] else row["about"],
        )
        for row in rows
    ]  # fmt: skip
    headings = ("package", "method", "data", "cost: steps x batch", "about")
    print_table(Column("name", no_wrap=True), *headings, rows=shown)


def _rows(found: dict[str, NamedRecipe]) -> Iterator[dict[str, Any]]:
    """What there is to know of each recipe; one that has mistakes is named on stderr."""
    for name, named in found.items():
        try:
            recipe = read_recipe(named.file)
        except RecipeError as error:
            warn(f"recipe '{name}' of {named.package} has mistakes: {error.message.splitlines()[0]}")
            continue
        needs, about = _head(read_text(named.file))
        yield {
            "name": name, "package": named.package, "method": recipe.trainer, "data": recipe.data.use,
            "size": recipe.data.options.get("size"), "steps": recipe.steps, "batch": recipe.data.batch,
            "needs": needs, "about": about,
        }  # fmt: skip


def _head(text: str) -> tuple[str, str]:
    """What a recipe's opening comment says: behind the command, where there is one, what it needs; else what it is."""
    head = [line.lstrip("# ") for line in takewhile(lambda line: line.startswith("#"), text.splitlines())]
    if not head or not head[0].startswith("forge "):
        return "", " ".join(head)
    return head[0].partition("  ")[2].strip(), " ".join(head[1:])
