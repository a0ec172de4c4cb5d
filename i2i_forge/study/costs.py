"""What a step computes: its network calls, the tensors of each term, and what it saves of another's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from i2i_forge.catalog.registry import Catalog
from i2i_forge.engine.build import trace_recipe
from i2i_forge.engine.trace import Trace
from i2i_forge.engine.watcher import Node
from i2i_forge.errors import RecipeError
from i2i_forge.recipe.reading import Recipe
from i2i_forge.study.variants import Variant


@dataclass(frozen=True)
class Cost:
    """What one step of a recipe runs.

    Attributes:
        trainer: whose step it is.
        calls: network, with domain -> how often it runs forward.
        tensors: "phase.tensor" of those that are computed.
    """

    trainer: str
    calls: Mapping[str, int]
    tensors: frozenset[str]

    @property
    def total(self) -> int:
        """Network calls in a step."""
        return sum(self.calls.values())

    def saved(self, full: Cost) -> dict[str, int]:
        """Network -> how many calls fewer than in `full`; more are negative. Empty for another method's step."""
        if self.trainer != full.trainer:
            return {}
        names = sorted({*self.calls, *full.calls})
        gaps = {name: full.calls.get(name, 0) - self.calls.get(name, 0) for name in names}
        return {name: gap for name, gap in gaps.items() if gap}

    def pruned(self, full: Cost) -> list[str]:
        """The tensors of `full` that this does not compute. Empty for another method's step."""
        return sorted(full.tensors - self.tensors) if self.trainer == full.trainer else []


def costs_of(variants: Sequence[Variant], catalog: Catalog) -> dict[str, Cost]:
    """Row -> what a step of it runs. Raises RecipeError when a row's networks do not fit together."""
    costs = {}
    for name, recipe in {variant.name: variant.recipe for variant in variants}.items():
        try:
            costs[name] = cost_of(recipe, catalog)
        except (RecipeError, RuntimeError, ValueError) as error:  # the last two are torch's, of shapes
            first = str(error).splitlines()[0]
            raise RecipeError(
                f"row '{name}' does not fit together: {first}", fix="leave it out, or change its sizes"
            ) from error
    return costs


def cost_of(recipe: Recipe, catalog: Catalog) -> Cost:
    """Traced on tensors without data."""
    traced = trace_recipe(recipe, catalog)
    calls = Counter(name for networks in traced.calls.values() for name in networks)
    return Cost(recipe.trainer, dict(calls), frozenset(f"{phase}.{tensor}" for phase, _, tensor in traced.shapes))


def computations(phases: Iterable[str], trace: Trace) -> Iterator[tuple[str, list[tuple[str, str, list[Node]]]]]:
    """Each phase with its terms, their routes, and the tensors that no term before it has needed."""
    seen = set[Node]()
    for phase in phases:
        rows = []
        for name, nodes in trace.terms.items():
            owner, term, route = name.split("/")
            if owner == phase:
                new = list(dict.fromkeys(n for node in nodes for n in trace.closure(node) if n not in seen))
                seen.update(new)
                rows.append((term, route, new))
        yield phase, rows


def facts(variants: Sequence[Variant], costs: Mapping[str, Cost], baseline: str) -> list[dict[str, Any]]:
    """Each run with its recipe, and what of the baseline's step it does not compute."""
    full = costs[baseline]
    return [
        {
            "name": variant.name, "seed": variant.seed, "recipe": variant.source, "changes": list(variant.changes),
            "drops": list(variant.drops), "network_calls": costs[variant.name].total,
            "calls_saved": full.total - costs[variant.name].total,
            "calls_saved_by_network": costs[variant.name].saved(full),
            "tensors_pruned": costs[variant.name].pruned(full),
            "resolved": variant.recipe.to_data(),
        }
        for variant in variants
    ]  # fmt: skip


def saved_in_words(fact: Mapping[str, Any]) -> str:
    """`4: decoder.a 2, style_encoder.b 2`; what is called more often has a minus."""
    saved, networks = fact["calls_saved"], fact["calls_saved_by_network"]
    return f"{saved}{': ' * bool(networks)}{', '.join(f'{name} {count}' for name, count in networks.items())}"
