"""forge show"""

from __future__ import annotations

from typing import Any

import click

from i2i_forge.cli import json_option
from i2i_forge.cli.common import checked_recipe, loaded_host, print_json, print_table, recipe_options, say
from i2i_forge.recipe.reading import Recipe
from i2i_forge.recipe.yaml_text import to_inline_yaml


@click.command("show")
@recipe_options
@click.option("--graph", is_flag=True, help="Print each term with the tensors it needs, and what is not computed.")
@json_option
def command(recipe: str, changes: tuple[str, ...], drop: tuple[str, ...], graph: bool, as_json: bool) -> None:
    """Print RECIPE as it is after base, --set and --drop, with the origin of each value."""
    checked = checked_recipe(recipe, changes, drop)
    if graph:
        _graph(checked, as_json)
    elif as_json:
        print_json(checked.to_data())
    else:
        said = checked.to_data().get("domains", {})  # what they leave out is usual: a line for each says nothing
        lines = _lines({**checked.model_dump(exclude_none=True), "domains": said}, (), checked)
        width = min(max(len(line) for line, _ in lines), 72)
        for line, origin in lines:
            say(f"{line:<{width}} # {origin}" if origin else line)
        for text in checked.left_out:
            say(f"# left out of the base: {text}")


def _lines(data: Any, keys: tuple[str, ...], recipe: Recipe) -> list[tuple[str, str]]:
    """YAML lines, each with where its value was written."""
    found = []
    for key, value in data.items():
        here, start = (*keys, key), "  " * len(keys) + to_inline_yaml(key) + ":"
        if isinstance(value, dict) and value:
            found += [(start, ""), *_lines(value, here, recipe)]
        elif value != {} or here in recipe.origins:
            found.append((f"{start} {to_inline_yaml(value)}", recipe.origins.get(here, "default")))
    return found


def _graph(recipe: Recipe, as_json: bool) -> None:
    """Each term with its tensors in order of computation; network calls in brackets; what no term needs."""
    from i2i_forge.engine.build import trace_recipe
    from i2i_forge.study.costs import computations

    traced = trace_recipe(recipe, loaded_host().catalog)
    if as_json:
        terms = {name: [n[2] for node in nodes for n in traced.closure(node)] for name, nodes in traced.terms.items()}
        print_json({"terms": terms, "pruned": traced.pruned, "network_calls": traced.network_calls})
        return
    for phase, found in computations(recipe.phases, traced):
        rows = []
        for term, route, computed in found:
            line = recipe.phases[phase].minimize[term]
            calls = [_computation(node, phase, traced.calls.get(node, [])) for node in computed]
            equation = line if isinstance(line, str) else line[route]
            rows.append((f"{term} {route}", equation, ", ".join(calls) or "nothing new"))
        print_table(
            "term", "objective", "computes for it (networks)", rows=rows, title=f"phase {phase}", title_justify="left",
            caption=f"pruned: {', '.join(traced.pruned[phase]) or 'nothing'}", caption_justify="left",
        )  # fmt: skip
    click.echo(f"{traced.network_calls} network calls in a step")


def _computation(node: tuple[str, str, str], phase: str, networks: list[str]) -> str:
    """`translation (decoder.b)`; a tensor of another phase's pass with that phase's name."""
    owner, _, tensor = node
    name = tensor if owner == phase else f"{owner}'s {tensor}"
    return f"{name} ({', '.join(networks)})" if networks else name
