"""forge check"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from i2i_forge.cli.common import checked_recipe, json_option, loaded_host, print_json, recipe_options
from i2i_forge.recipe import Recipe


@click.command("check")
@recipe_options
@click.option("--no-step", is_flag=True, help="Only read the recipe; torch is not imported.")
@json_option
@click.pass_obj
def command(
    folders: tuple[Path, ...],
    recipe: str,
    changes: tuple[str, ...],
    drop: tuple[str, ...],
    no_step: bool,
    as_json: bool,
) -> None:
    """Report every mistake in RECIPE, each with file:line:column; then take one step on tensors without data."""
    checked = checked_recipe(recipe, changes, drop, folders)
    facts = {"recipe": checked.name, "ok": True} | ({} if no_step else _facts(checked, folders))
    if as_json:
        print_json(facts)
        return
    click.echo(f"{checked.name}: no mistakes")
    for key, value in facts.items():
        if key not in ("recipe", "ok"):
            click.echo(f"  {key.replace('_', ' ')}: {value}")


def _facts(recipe: Recipe, folders: tuple[Path, ...]) -> dict[str, Any]:
    """Parameters, shapes and memory of one step, from a step without data."""
    from i2i_forge.build import trace_recipe

    traced = trace_recipe(recipe, loaded_host(folders).catalog)
    # weights, their gradients, and two moments of Adam; activations of the largest phase, kept for its backward
    memory = 4 * traced.bytes_parameters + traced.bytes_activations
    shapes = {name: shape for (_, _, name), shape in traced.shapes.items()}
    return {
        "parameters": f"{sum(traced.parameters.values()):,}",
        "network_calls_per_step": traced.network_calls,
        "memory_of_a_step_about": f"{memory / 2**30:.2f} GiB, {traced.bytes_activations / 2**30:.2f} of it activations",
        **{f"shape of {name}": shape for name, shape in shapes.items() if name in ("source", "translation", "content")},
    }
