"""forge classifier"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from i2i_forge.cli import FilePath, device_option, json_option
from i2i_forge.cli.common import chosen_device, loaded_host, note, print_json, print_table, say
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
def train(
    data: str, out: Path, changes: tuple[str, ...], network: str, from_scratch: bool,
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
    labelled = read_labelled(data, parse_options(changes), loaded_host().catalog.datasets)
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
    facts = {
        "network": f"{card['network']}, images resized to {card['preprocess']['resize']}",
        "modes": f"{len(card['modes'])}: {', '.join(card['modes'])}",
        "data": ", ".join(f"{key} {value}" for key, value in card["data"].items()),
        "images": ", ".join(f"{count} {name}" for name, count in card["images"].items()),
        "trained": f"{card['steps']} steps, seed {card['settings']['seed']}, {card['created_utc']}",
        "temperature": f"{card['temperature']:.3f}",
        "weights": f"sha256 {card['weights_sha256'][:16]}...",
    }
    print_table("fact", "value", rows=facts.items(), show_header=False, box=None)
    rows = []
    for name in ("val", "test"):
        after, before = card[name], card[name]["uncalibrated"]
        numbers = (after["nll"], after["ece"], before["nll"], before["ece"])
        rows.append((name, f"{after['accuracy']:.1%}", *(f"{number:.4f}" for number in numbers)))
    print_table("images", "accuracy", "nll", "ece", "nll before", "ece before", rows=rows, title="calibration")
