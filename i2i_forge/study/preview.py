"""What a study would do, before it does it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from i2i_forge.study.commands import classifier_command, eval_command, run_folder, shell_line, train_command
from i2i_forge.study.costs import Cost
from i2i_forge.study.plans import Asked, Plan, Variant


def shell_lines(
    plan: Plan, variants: Sequence[Variant], asked: Asked, out: Path, device: str, plugins: Sequence[Path] = ()
) -> list[str]:
    """A line for each run, for any scheduler; the first line makes the classifier, if one is to be trained."""
    lines = []
    if plan.classifier is not None and asked.classifier == out / "classifier":
        lines.append(shell_line(classifier_command(plan.classifier, asked.classifier, device), plugins=plugins))
    for variant in variants:
        measured = eval_command(run_folder(out, variant), asked, device)
        lines.append(shell_line(train_command(variant, out, device), measured, plugins=plugins))
    return lines


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
