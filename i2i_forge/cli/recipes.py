"""forge recipes"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from typing import Any

import click

from i2i_forge.cli.common import console, json_option, print_json, warn
from i2i_forge.errors import RecipeError, UsageError, suggest
from i2i_forge.files import read_text
from i2i_forge.recipe import read_recipe
from i2i_forge.recipe_names import NamedRecipe, named_recipes


@click.command("recipes")
@click.argument("word", default="")
@json_option
def command(word: str, as_json: bool) -> None:
    """List the recipes that are known by name, or those that have WORD in it.

    They come with i2i_forge, or with the package of a plugin.
    """
    named = named_recipes()
    found = {name: recipe for name, recipe in named.items() if word in name}
    rows = list(_rows(found))
    if as_json:
        print_json(rows)
        return
    if not found:
        raise UsageError(f"no recipe has '{word}' in its name", fix=suggest(word, named, what="recipe"))
    from rich.table import Table

    table = Table("name", "package", "method", "data", "cost: steps x batch", "about")
    for row in rows:
        table.add_row(
            row["name"], row["package"], row["method"], f"{row['data']} {row['size'] or ''}",
            f"{row['steps']:,} x {row['batch']}",
            f"{row['about']} ({row['needs']})" if row["needs"] else row["about"],
        )  # fmt: skip
    console().print(table)


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
