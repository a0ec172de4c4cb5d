"""A classifier of the modes of a domain, as metrics use it; `forge classifier train` makes one."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from i2i_forge.measure.batch import BackboneInfo


class Classifier(Protocol):
    """A frozen classifier in eval mode: a Backbone whose features are logits.

    Attributes:
        info: what identifies it.
        modes: the names of its classes.
        card: what is known of it: {"accuracy", "nll", "ece", "temperature", "preprocess", "train_list_sha256", ...};
            accuracy, nll (nats) and ece are of held-out images.
    """

    info: BackboneInfo
    modes: tuple[str, ...]
    card: dict[str, object]

    def __call__(self, images: Tensor) -> Tensor:
        """B,3,H,W in [-1, 1] -> logits B,M, divided by the calibrated temperature."""

    def penultimate(self, images: Tensor) -> Tensor:
        """B,3,H,W in [-1, 1] -> the features before the last layer, B,D: for FID and KID on classifier features."""

    def seen(self, images: Tensor) -> list[bool]:
        """Which of B,3,H,W in [-1, 1] it has learned from, by their exact 8-bit pixels."""
