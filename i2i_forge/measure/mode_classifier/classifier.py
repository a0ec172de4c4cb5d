"""A trained classifier: as metrics use it, as a folder, and how good its probabilities are.

The folder holds classifier.safetensors and card.json, both or neither. Calibration is that of Guo et al. 2017.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as tensor_bytes
from torch import Tensor
from torch.nn import functional

from i2i_forge.data.images import to_uint8
from i2i_forge.engine.forward_pass import seeded
from i2i_forge.errors import DataError, ResourceError, UsageError
from i2i_forge.measure.batch import BackboneInfo, Classifier, exact
from i2i_forge.measure.mode_classifier.networks import Network, SmallNetwork, make_network, resized
from i2i_forge.system.files import LARGEST_TENSORS, made_whole, read_bytes
from i2i_forge.system.outputs import refuse_to_fill
from i2i_forge.system.precision import float32_by_default
from i2i_forge.system.seeding import seed_of
from i2i_forge.system.tensor_files import read_tensors

CARD_FORMAT = 1
FLOOR = 0.9  # of the accuracy, below which modes say little
WEIGHTS, CARD = "classifier.safetensors", "card.json"
BINS = 15
COLDEST, HOTTEST = 1e-3, 1e3


class ModeClassifier:
    """See i2i_forge.measure.Classifier.

    Args:
        network: what gives the logits.
        info, modes, card: see Classifier; the card has `size` (None: images are not resized) and `temperature`.
        trained_on: fingerprints of the images it has learned from.
    """

    def __init__(
        self,
        network: Network,
        info: BackboneInfo,
        modes: tuple[str, ...],
        card: Mapping[str, Any],
        trained_on: Collection[int] = (),
    ) -> None:
        self.network = network.eval().requires_grad_(False)
        self.info, self.modes, self.card, self.trained_on = info, modes, dict(card), frozenset(trained_on)

    def __call__(self, images: Tensor) -> Tensor:
        with exact():
            logits: Tensor = self.network.head(self.penultimate(images)) / self.card["temperature"]
            return logits

    def penultimate(self, images: Tensor) -> Tensor:
        with exact():
            return self.network.features(resized(images, self.card["size"]))

    def seen(self, images: Tensor) -> list[bool]:
        return [fingerprint(image) in self.trained_on for image in to_uint8(images)]


def fingerprint(pixels: Tensor) -> int:
    """64 bits of BLAKE2b of an image's shape and pixels, uint8 3,H,W."""
    content = f"{tuple(pixels.shape)}".encode() + pixels.contiguous().numpy().tobytes()
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big", signed=True)


def packed(network: Network, trained_on: Collection[int]) -> bytes:
    """The content of classifier.safetensors; equal networks and images, in any order and number, give equal bytes."""
    state = {name: value.detach().cpu().contiguous() for name, value in network.state_dict().items()}
    return tensor_bytes(state | {"trained_on": torch.tensor(sorted(set(trained_on)), dtype=torch.int64)})


def described(card: Mapping[str, Any], *, random: bool = False) -> BackboneInfo:
    """What identifies the classifier of a card."""
    return BackboneInfo(
        id=f"classifier-{card['network']}-{len(card['modes'])}modes{'-random' * random}",
        version=str(card["format"]),
        weights_sha256=card["weights_sha256"],
        resize=f"{card['size']}x{card['size']} bilinear" if card["size"] else "none",
        antialias=bool(card["size"]),
        is_calibrated=not random,
    )


@float32_by_default()
def random_classifier(
    modes: int, size: int | None = None, seed: int = 0, device: torch.device | str = "cpu"
) -> ModeClassifier:
    """An untrained small network: numbers to test the machinery with, of no meaning.

    Args:
        modes: how many.
        size: to which images are resized; None: they are not.
    """
    with seeded(seed_of(seed, "random classifier"), torch.device("cpu")):
        network = SmallNetwork(modes)
    names = tuple(f"mode{index}" for index in range(modes))
    card = {
        "format": CARD_FORMAT, "network": "small", "modes": list(names), "size": size, "temperature": 1.0,
        "weights_sha256": hashlib.sha256(packed(network, [])).hexdigest(),
    }  # fmt: skip
    return ModeClassifier(network.to(device), described(card, random=True), names, card)


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
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error).splitlines()[-1].strip()[:160]
        raise DataError(
            f"{folder / WEIGHTS} is not what was written: {reason}", fix="restore the folder from a copy, or train anew"
        ) from None


def refuse_if_inaccurate(classifier: Classifier, floor: float = FLOOR) -> None:
    """Raise UsageError when a trained classifier's accuracy on held-out images is below the floor."""
    accuracy = classifier.card.get("accuracy")
    if classifier.info.is_calibrated and not (isinstance(accuracy, float) and accuracy >= floor):
        found = f"{accuracy:.1%}" if isinstance(accuracy, float) else "not known"
        raise UsageError(
            f"the classifier's accuracy on held-out images is {found}, below {floor:.0%}: its modes say little",
            fix="train it longer or on more images (forge classifier train --steps), or give --force",
        )


def quality(logits: Tensor, modes: Tensor) -> dict[str, float]:
    """Of logits N,M and true modes N: "accuracy"; "nll", the mean negative log-likelihood in nats; "ece".

    ECE is the mean over images of |share of right answers - mean confidence| of the image's bin, in 15 bins of
    confidence of equal width (Guo et al. 2017, eq. 3).
    """
    logits = logits.double()
    confidence, answers = logits.softmax(1).max(1)
    right = (answers == modes).double()
    bins = (confidence * BINS).long().clamp(max=BINS - 1)
    gaps = torch.zeros(BINS, dtype=torch.float64).scatter_add_(0, bins, right - confidence)
    nll = float(functional.cross_entropy(logits, modes))
    return {"accuracy": float(right.mean()), "nll": nll, "ece": float(gaps.abs().sum()) / len(modes)}


def fitted_temperature(logits: Tensor, modes: Tensor) -> float:
    """The T for which softmax(logits / T) has the least negative log-likelihood; logits N,M, true modes N.

    The likelihood is concave in 1 / T, so the root of its slope is bisected. Where every answer is right it grows for
    ever as T falls to 0: such images say nothing about confidence, and T stays 1.
    """
    if bool((logits.argmax(1) == modes).all()):
        return 1.0
    logits = logits.double()
    true = logits.gather(1, modes[:, None])
    low, high = math.log(1 / HOTTEST), math.log(1 / COLDEST)  # of 1 / T
    for _ in range(60):
        middle = (low + high) / 2
        slope = ((logits * math.exp(middle)).softmax(1) * logits).sum() - true.sum()
        low, high = (middle, high) if slope < 0 else (low, middle)
    return math.exp(-(low + high) / 2)
