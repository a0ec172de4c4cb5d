"""A trained classifier as metrics use it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import Any

import torch
from safetensors.torch import save as tensor_bytes
from torch import Tensor

from i2i_forge.data.images import to_uint8
from i2i_forge.engine.forward_pass import seeded
from i2i_forge.errors import UsageError
from i2i_forge.measure import BackboneInfo, Classifier, exact
from i2i_forge.measure.mode_classifier.networks import Network, SmallNetwork, resized
from i2i_forge.system.precision import float32_by_default
from i2i_forge.system.seeding import seed_of

CARD_FORMAT = 1
FLOOR = 0.9  # of the accuracy, below which modes say little


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
        """B,3,H,W in [-1, 1] -> logits B,M, divided by the calibrated temperature."""
        with exact():
            logits: Tensor = self.network.head(self.penultimate(images)) / self.card["temperature"]
            return logits

    def penultimate(self, images: Tensor) -> Tensor:
        """B,3,H,W in [-1, 1] -> the features before the last layer, B,D."""
        with exact():
            return self.network.features(resized(images, self.card["size"]))

    def seen(self, images: Tensor) -> list[bool]:
        """Which of B,3,H,W in [-1, 1] it has learned from, by their exact 8-bit pixels."""
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


def refuse_if_inaccurate(classifier: Classifier, floor: float = FLOOR) -> None:
    """Raise UsageError when a trained classifier's accuracy on held-out images is below the floor."""
    accuracy = classifier.card.get("accuracy")
    if classifier.info.is_calibrated and not (isinstance(accuracy, float) and accuracy >= floor):
        found = f"{accuracy:.1%}" if isinstance(accuracy, float) else "not known"
        raise UsageError(
            f"the classifier's accuracy on held-out images is {found}, below {floor:.0%}: its modes say little",
            fix="train it longer or on more images (forge classifier train --steps), or give --force",
        )
