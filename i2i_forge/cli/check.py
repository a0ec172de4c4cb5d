"""forge check"""

from __future__ import annotations

from typing import Any

import click

from i2i_forge.cli import json_option
from i2i_forge.cli.common import checked_recipe, loaded_host, print_json, recipe_options, say, warn
from i2i_forge.recipe.reading import Recipe


@click.command("check")
@recipe_options
@click.option("--no-step", is_flag=True, help="Only read the recipe; torch is not imported.")
@json_option
def command(recipe: str, changes: tuple[str, ...], drop: tuple[str, ...], no_step: bool, as_json: bool) -> None:
    """Report every mistake in RECIPE, each with file:line:column; then take one step on tensors without data.

    Warnings name settings that are allowed and are probably a mistake.
    """
    checked = checked_recipe(recipe, changes, drop)
    facts = {} if no_step else _facts(checked)
    if as_json:
        print_json({"recipe": checked.name, "ok": True, **facts})
        return
    say(f"{checked.name}: no mistakes")
    for text in checked.left_out:
        say(f"  left out of the base: {text}")
    if facts:
        memory, activations = (facts[key] / 2**30 for key in ("bytes", "bytes_of_activations"))
        say(f"  parameters: {facts['parameters']:,}")
        say(f"  network calls per step: {facts['network_calls']}")
        say(f"  memory of a step: about {memory:.2f} GiB, {activations:.2f} of it activations")
        for name, shape in facts["shapes"].items():
            say(f"  shape of {name}: {shape}")
        for text in facts["warnings"]:
            warn(text)


def _facts(recipe: Recipe) -> dict[str, Any]:
    """Parameters, network calls, shapes, memory and warnings of one step, from a step without data."""
    from i2i_forge.engine.build import trace_recipe
    from i2i_forge.run.cautions import cautions, unread

    catalog = loaded_host().catalog
    traced = trace_recipe(recipe, catalog)
    # weights, their gradients, and two moments of Adam; activations of the largest phase, kept for its backward
    memory = 4 * traced.bytes_parameters + traced.bytes_activations
    shapes = {name: shape for (_, _, name), shape in traced.shapes.items()}
    return {
        "parameters": sum(traced.parameters.values()),
        "network_calls": traced.network_calls,
        "bytes": memory,
        "bytes_of_activations": traced.bytes_activations,
        "warnings": [*cautions(recipe, catalog, traced), *unread(recipe, catalog)],
        "shapes": {name: shapes[name] for name in ("source", "content", "translation") if name in shapes},
    }
