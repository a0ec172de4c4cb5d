"""forge check"""

from __future__ import annotations

from typing import Any

import click

from i2i_forge.cli import json_option
from i2i_forge.cli.common import checked_recipe, loaded_host, print_json, recipe_options, say, warn
from i2i_forge.cli.progress import Counted
from i2i_forge.recipe.reading import Recipe


@click.command("check")
@recipe_options
@click.option("--no-step", is_flag=True, help="Only read the recipe; torch is not imported.")
@click.option("--data", "opens_data", is_flag=True, help="Open the data set too, and compare training with test.")
@json_option
def command(
    recipe: str, changes: tuple[str, ...], drop: tuple[str, ...], no_step: bool, opens_data: bool, as_json: bool
) -> None:
    """Report every mistake in RECIPE, each with file:line:column; then take one step on tensors without data.

    With --data its files are read: whether some are missing, damaged or on another grid than their partners, and
    whether a group, or an image under another name, is both in training and in test.

    Warnings name settings that are allowed and are probably a mistake.
    """
    checked = checked_recipe(recipe, changes, drop)
    facts = {} if no_step else _facts(checked)
    data = _data(checked) if opens_data else {}
    if as_json:
        print_json({"recipe": checked.name, "ok": True, **facts, **({"data": data} if data else {})})
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
    if data:
        shared = data["shared"]
        said = [
            f"{count:,} images of {data['groups'][split]:,} groups in {split}"
            for split, count in data["images"].items()
        ]
        say(f"  data: {', '.join(said)}{'' if shared else '; no group and no image is in both'}")
        if shared:
            warn(f"there is no test set of {' and '.join(shared)}: training images take its place")


def _data(recipe: Recipe) -> dict[str, Any]:
    from i2i_forge.data.leaks import check_data

    return check_data(recipe, loaded_host().catalog, Counted())


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
