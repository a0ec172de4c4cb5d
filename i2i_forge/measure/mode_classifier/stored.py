"""A classifier as a folder: classifier.safetensors and card.json, both there or neither."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as read_tensors

from i2i_forge.errors import DataError, ResourceError
from i2i_forge.measure.mode_classifier.classifier import CARD_FORMAT, ModeClassifier, described, packed
from i2i_forge.measure.mode_classifier.networks import make_network
from i2i_forge.system.files import LARGEST_TENSORS, made_whole, read_bytes
from i2i_forge.system.outputs import refuse_to_fill
from i2i_forge.system.precision import float32_by_default

WEIGHTS, CARD = "classifier.safetensors", "card.json"


def save_classifier(classifier: ModeClassifier, folder: Path) -> None:
    """Write the folder: it appears whole or not at all.

    Raises:
        UsageError: there is something already.
        ResourceError: the disk does not take it.
    """
    refuse_to_fill(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with made_whole(folder, shared=True) as partial:
            partial.mkdir()
            (partial / WEIGHTS).write_bytes(packed(classifier.network, classifier.trained_on))
            (partial / CARD).write_text(json.dumps(classifier.card, indent=2) + "\n")
    except OSError as error:
        raise ResourceError(
            f"{folder} cannot be written: {error.strerror or error}", fix="free disk space, or name another folder"
        ) from error


def read_card(folder: Path) -> dict[str, Any]:
    """The card of a classifier. Raises DataError when the folder is none, or of a newer i2i_forge."""
    try:
        card: dict[str, Any] = json.loads(read_bytes(folder / CARD))
        version = int(card["format"])
    except FileNotFoundError:
        raise DataError(
            f"{folder} is not a classifier: there is no {CARD}", fix="make one: forge classifier train DATA --out DIR"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder / CARD} cannot be read: {error}", fix="restore the folder from a copy") from None
    if version > CARD_FORMAT:
        raise DataError(
            f"{folder / CARD} has format {version}, this i2i_forge reads up to {CARD_FORMAT}",
            fix="upgrade: pip install -U i2i-forge",
        )
    return card


@float32_by_default()
def load_classifier(folder: str | Path, device: torch.device | str = "cpu") -> ModeClassifier:
    """The classifier in a folder, verified. Raises DataError that says what is wrong with it."""
    folder = Path(folder)
    card = read_card(folder)
    try:
        content = read_bytes(folder / WEIGHTS, LARGEST_TENSORS)
        if (found := hashlib.sha256(content).hexdigest()) != card["weights_sha256"]:
            raise ValueError(f"its SHA-256 is {found[:12]}..., the card says {str(card['weights_sha256'])[:12]}...")
        tensors = read_tensors(content)
        trained_on = tensors.pop("trained_on").tolist()
        if (classes := len(tensors["head.bias"])) != len(card["modes"]):
            raise ValueError(f"it tells {classes} modes apart, the card names {len(card['modes'])}")
        network = make_network(card["network"], len(card["modes"]))
        network.load_state_dict(tensors)
        return ModeClassifier(network.to(device), described(card), tuple(card["modes"]), card, trained_on)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error).splitlines()[-1].strip()[:160]
        raise DataError(
            f"{folder / WEIGHTS} is not what was written: {reason}", fix="restore the folder from a copy, or train anew"
        ) from None
