"""forge schema"""

from __future__ import annotations

import json
from pathlib import Path

import click

from i2i_forge.cli import FilePath
from i2i_forge.cli.common import found_plugins, note
from i2i_forge.errors import disk_error
from i2i_forge.recipe.json_schema import TITLE, recipe_schema
from i2i_forge.system.files import write_whole
from i2i_forge.system.outputs import marked, refuse_to_replace


@click.command("schema")
@click.option("--out", metavar="FILE", type=FilePath(dir_okay=False), help="The file to write it to.")
def command(out: Path | None) -> None:
    """Print the JSON Schema of recipes: editors then complete and check them while you type.

    It is made from the plugins that are installed; make it again when they change. In VS Code with the extension
    "YAML" (redhat.vscode-yaml), or any editor with yaml-language-server: write the schema beside the recipes

    \b
    forge schema --out recipe.schema.json

    and begin each recipe with the line

    \b
    # yaml-language-server: $schema=recipe.schema.json

    or set it for a whole folder in .vscode/settings.json:

    \b
    {"yaml.schemas": {"recipe.schema.json": "recipes/*.yaml"}}

    What the schema cannot say, such as whether a network fits another one, `forge check` does.
    """
    if out is not None:
        refuse_to_replace([out], marked(f'"title": "{TITLE}"'))
    text = json.dumps(recipe_schema(found_plugins()), indent=1, ensure_ascii=False)
    if out is None:
        click.echo(text)
        return
    try:
        write_whole(out, text + "\n")
    except OSError as error:
        raise disk_error(out, error, refused="choose another --out") from None
    note(f"begin a recipe beside {out} with the line:\n# yaml-language-server: $schema={out.name}")
