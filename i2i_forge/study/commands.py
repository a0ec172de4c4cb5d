"""The commands that train and measure a variant: arguments of `forge`, for us and for any scheduler."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from i2i_forge.study.plans import Asked, ClassifierData, Variant


def run_folder(out: Path, variant: Variant) -> Path:
    """Where a variant's run is."""
    return out / variant.name / f"seed-{variant.seed}"


def train_command(variant: Variant, out: Path, device: str, source: str | Path = "") -> list[str]:
    """Train a variant.

    Args:
        source: a file that holds the row's recipe, changed already; by default the changes are spelt out.
    """
    spelt = [*_options("--set", variant.changes), *_options("--drop", variant.drops)]
    chosen = [str(source)] if source else [variant.source, *spelt]
    seed = ["--set", f"seed={variant.seed}"] if f"seed={variant.seed}" not in variant.changes else []
    return ["train", *chosen, *seed, "--run", str(run_folder(out, variant)), *_device(device)]


def eval_command(run: Path, asked: Asked, device: str) -> list[str]:
    """Measure a run."""
    return [
        "eval", str(run), *_options("--metric", asked.metrics), *_options("--protocol", asked.protocols),
        *_options("--backbone", asked.backbones), *_options("--data", asked.data),
        *(["--inputs", str(asked.inputs)] if asked.inputs else []),
        *(["--samples", str(asked.samples)] if asked.samples else []),
        *(["--classifier", str(asked.classifier)] if asked.classifier else []), *_device(device),
    ]  # fmt: skip


def classifier_command(data: ClassifierData, folder: Path, device: str) -> list[str]:
    """Train the study's classifier of modes."""
    return [
        "classifier", "train", data.data, *_options("--set", data.options), "--out", str(folder), *_device(device)
    ]  # fmt: skip


def shell_line(*commands: Sequence[str], plugins: Sequence[Path] = ()) -> str:
    """A line for a shell: the commands one after the other, as long as each succeeds."""
    forge = ["forge", *_options("--plugins", [str(folder) for folder in plugins])]
    return " && ".join(shlex.join([*forge, *command]) for command in commands)


def _options(name: str, values: Sequence[str]) -> list[str]:
    return [word for value in values for word in (name, value)]


def _device(device: str) -> list[str]:
    return ["--device", device] if device != "auto" else []
