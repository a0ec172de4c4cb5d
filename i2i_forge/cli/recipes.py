"""forge recipes"""

from __future__ import annotations

import click

from i2i_forge.cli.common import console, json_option, print_json
from i2i_forge.recipe import read_recipe, shipped_recipes


@click.command("recipes")
@json_option
def command(as_json: bool) -> None:
    """List the recipes that come with i2i_forge."""
    rows = []
    for name, file in shipped_recipes().items():
        recipe = read_recipe(file)
        rows.append({
            "name": name, "method": recipe.trainer, "data": recipe.data.use, "size": recipe.data.options.get("size"),
            "steps": recipe.steps, "about": _about(file.read_text()),
        })  # fmt: skip
    if as_json:
        print_json(rows)
        return
    from rich.table import Table

    table = Table("name", "method", "data", "size", "steps", "about")
    for row in rows:
        table.add_row(*(f"{value:,}" if isinstance(value, int) else str(value) for value in row.values()))
    console().print(table)


def _about(text: str) -> str:
    """The comment lines after the first, which is the command."""
    lines = text.splitlines()[1:]
    head = []
    for line in lines:
        if not line.startswith("#"):
            break
        head.append(line.lstrip("# "))
    return " ".join(head)
