"""forge recipes"""

from __future__ import annotations

import click

from i2i_forge.cli.common import console, json_option, print_json
from i2i_forge.errors import UsageError, suggest
from i2i_forge.recipe import read_recipe, shipped_recipes


@click.command("recipes")
@click.argument("word", default="")
@json_option
def command(word: str, as_json: bool) -> None:
    """List the recipes that come with i2i_forge, or those that have WORD in their name."""
    rows = []
    for name, file in shipped_recipes().items():
        if word not in name:
            continue
        recipe = read_recipe(file)
        needs, about = _head(file.read_text())
        rows.append({
            "name": name, "method": recipe.trainer, "data": recipe.data.use, "size": recipe.data.options.get("size"),
            "steps": recipe.steps, "batch": recipe.data.batch, "needs": needs, "about": about,
        })  # fmt: skip
    if as_json:
        print_json(rows)
        return
    if not rows:
        raise UsageError(f"no recipe has '{word}' in its name", fix=suggest(word, shipped_recipes(), what="recipe"))
    from rich.table import Table

    table = Table("name", "method", "data", "cost: steps x batch", "about")
    for row in rows:
        table.add_row(
            str(row["name"]), str(row["method"]), f"{row['data']} {row['size']}", f"{row['steps']:,} x {row['batch']}",
            f"{row['about']} ({row['needs']})" if row["needs"] else str(row["about"]),
        )  # fmt: skip
    console().print(table)


def _head(text: str) -> tuple[str, str]:
    """What a recipe's opening comment says: after the command, what it needs; in the lines below, what it is."""
    head = [line.lstrip("# ") for line in text.splitlines()[: _comment_lines(text)]]
    return head[0].partition("  ")[2].strip() if head else "", " ".join(head[1:])


def _comment_lines(text: str) -> int:
    lines = text.splitlines()
    return next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
