"""forge classifier"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from i2i_forge.cli.common import (
    chosen_device,
    console,
    device_option,
    json_option,
    loaded_host,
    note,
    print_json,
    say,
)  # fmt: skip
from i2i_forge.cli.file_path import FilePath
from i2i_forge.recipe.yaml_source import parse_options
from i2i_forge.system.outputs import refuse_to_fill


@click.group("classifier")
def command() -> None:
    """Train a classifier of the modes of a domain, and look at it."""


@command.command("train")
@click.argument("data")
@click.option("--out", required=True, metavar="DIR", type=FilePath(), help="The folder to write.")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="An option of a data set: size=128.")
@click.option("--network", default="small", show_default=True, type=click.Choice(["small", "inception_v3"]),
              help="The network to train: a small one, or torchvision's Inception-v3.")  # fmt: skip
@click.option("--from-scratch", is_flag=True, help="Train Inception-v3 without the weights of ImageNet.")
@click.option("--steps", type=click.IntRange(1, 10**9), help="How many steps at most  [400; inception_v3: 2000]")
@click.option("--size", type=click.IntRange(1, 4096), help="Images are resized to SIZE x SIZE  [64; inception_v3: 299]")
@click.option("--seed", default=0, show_default=True, help="The seed of the training.")
@device_option
@json_option
@click.pass_obj
def train(
    folders: tuple[Path, ...], data: str, out: Path, changes: tuple[str, ...], network: str, from_scratch: bool,
    steps: int | None, size: int | None, seed: int, device: str, as_json: bool,
) -> None:  # fmt: skip
    """Train a classifier of the modes of DATA; metrics of modes (cis, mode-coverage) need one.

    DATA is a folder with a sub-folder for each mode, perhaps under train/ and test/; a folder that `forge data make
    procedural_shoes` wrote; or a data set that knows its modes, with its options: procedural_shoes --set count=4000.
    Give it images of the target domain that the translation method was not evaluated on.
    """
    from i2i_forge.measure.mode_classifier import read_labelled, save_classifier, settings_for, train_classifier

    refuse_to_fill(out)
    settings = settings_for(network, size, steps, seed, from_scratch=from_scratch)
    labelled = read_labelled(data, parse_options(changes), loaded_host(folders).catalog.datasets)
    classifier = train_classifier(labelled, settings, chosen_device(device), note)
    save_classifier(classifier, out)
    if as_json:
        print_json(classifier.card)
        return
    _print(classifier.card)
    say(f"{out}")


@command.command("show")
@click.argument("folder", metavar="DIR", type=FilePath())
@json_option
def show(folder: Path, as_json: bool) -> None:
    """Print what is known of the classifier in DIR, after verifying it."""
    from i2i_forge.measure.mode_classifier import load_classifier

    card = load_classifier(folder).card
    if as_json:
        print_json(card)
    else:
        _print(card)


def _print(card: dict[str, Any]) -> None:
    from rich.table import Table

    facts = Table("fact", "value", show_header=False, box=None)
    facts.add_row("network", f"{card['network']}, images resized to {card['preprocess']['resize']}")
    facts.add_row("modes", f"{len(card['modes'])}: {', '.join(card['modes'])}")
    facts.add_row("data", ", ".join(f"{key} {value}" for key, value in card["data"].items()))
    facts.add_row("images", ", ".join(f"{count} {name}" for name, count in card["images"].items()))
    facts.add_row("trained", f"{card['steps']} steps, seed {card['settings']['seed']}, {card['created_utc']}")
    facts.add_row("temperature", f"{card['temperature']:.3f}")
    facts.add_row("weights", f"sha256 {card['weights_sha256'][:16]}...")
    table = Table("images", "accuracy", "nll", "ece", "nll before", "ece before", title="calibration")
    for name in ("val", "test"):
        after, before = card[name], card[name]["uncalibrated"]
        numbers = (after["nll"], after["ece"], before["nll"], before["ece"])
        table.add_row(name, f"{after['accuracy']:.1%}", *(f"{number:.4f}" for number in numbers))
    shown = console()
    shown.print(facts)
    shown.print(table)
