"""Images as metrics get them: some translations, or some real images, with their features computed once for all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
class BackboneInfo:
    """What identifies a network that gives features; records hold it.

    Attributes:
        id: "lpips-alex-v0.1", "inception-tf-2015".
        version: of the weights.
        weights_sha256: of the weights' file, or of the values where there is no file.
        resize: what images are resized to and how, "none".
        antialias, quantised: of that resize; whether images are rounded to 8 bits first.
        is_calibrated: False for random weights: the numbers have no meaning outside the run that made them.
    """

    id: str
    version: str
    weights_sha256: str
    resize: str = "none"
    antialias: bool = False
    quantised: bool = False
    is_calibrated: bool = True


class Backbone(Protocol):
    """A network that gives features, in eval mode and frozen."""

    info: BackboneInfo

    def __call__(self, images: Tensor) -> Any:
        """B,3,H,W in [-1, 1] -> features, the first axis B."""


class Classifier(Backbone, Protocol):
    """A frozen classifier of the modes of a domain, in eval mode, whose features are logits.

    Attributes:
        modes: the names of its classes.
        card: what is known of it: {"accuracy", "nll", "ece", "temperature", "preprocess", "train_list_sha256", ...};
            accuracy, nll (nats) and ece are of held-out images.
    """

    modes: tuple[str, ...]
    card: dict[str, object]

    def __call__(self, images: Tensor) -> Tensor:
        """B,3,H,W in [-1, 1] -> logits B,M, divided by the calibrated temperature."""

    def penultimate(self, images: Tensor) -> Tensor:
        """B,3,H,W in [-1, 1] -> the features before the last layer, B,D: for FID and KID on classifier features."""

    def seen(self, images: Tensor) -> list[bool]:
        """Which of B,3,H,W in [-1, 1] it has learned from, by their exact 8-bit pixels."""


@contextmanager
def exact() -> Iterator[None]:
    """fp32 as it is written: no autocast, no TF32 or bf16 inside products, no gradients, whatever surrounds it."""
    b: Any = torch.backends
    places = (b.cuda.matmul, b.cudnn.conv, b.cudnn.rnn, b.mkldnn.matmul, b.mkldnn.conv, b.mkldnn.rnn)
    before = [place.fp32_precision for place in places]
    # The older settings of the same: torch refuses products while the two disagree, and to tell them.
    products, convolutions = "highest", True
    with suppress(RuntimeError):
        products = torch.get_float32_matmul_precision()
    with suppress(RuntimeError):
        convolutions = b.cudnn.allow_tf32
    try:
        torch.set_float32_matmul_precision("highest")
        b.cudnn.allow_tf32 = False
        for place in places:
            place.fp32_precision = "ieee"
        with torch.no_grad(), torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
            yield
    finally:
        torch.set_float32_matmul_precision(products)
        b.cudnn.allow_tf32 = convolutions
        for place, precision in zip(places, before, strict=True):
            place.fp32_precision = precision


@dataclass
class Batch:
    """Images with where they belong.

    Attributes:
        images: B,3,H,W in [-1, 1], on the device of the evaluation.
        inputs: for each image the number of the input it is a translation of; of a real image its own number.
        draws: for each image which of that input's translations it is, from 0; 0 for real images.
        names: for each image the name of its input's file.
        sources: the inputs, B,3,H,W in [-1, 1] (repeated for several translations of one); None where unknown.
        truths: the true outputs, likewise; None where there are no pairs.
    """

    images: Tensor
    inputs: list[int]
    draws: list[int]
    names: list[str]
    sources: Tensor | None = None
    truths: Tensor | None = None
    _known: dict[str, Any] = field(default_factory=dict, repr=False)  # what was computed of these images
    _parts: dict[tuple[int, int], Batch] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.inputs)

    def features(self, backbone: Backbone) -> Any:
        """The backbone's features of the images, computed for the first metric that asks."""
        return self._of(f"images {backbone.info.id}", backbone, self.images)

    def features_of_truths(self, backbone: Backbone) -> Any:
        """The same of the true outputs."""
        assert self.truths is not None
        return self._of(f"truths {backbone.info.id}", backbone, self.truths)

    def first(self, inputs: int, draws: int) -> Batch:
        """The images of inputs 0 to `inputs` - 1 and draws 0 to `draws` - 1."""
        kept = [i for i, (n, k) in enumerate(zip(self.inputs, self.draws, strict=True)) if n < inputs and k < draws]
        if len(kept) == len(self):
            return self
        if (inputs, draws) not in self._parts:
            self._parts[inputs, draws] = Batch(
                self.images[kept],
                [self.inputs[i] for i in kept],
                [self.draws[i] for i in kept],
                [self.names[i] for i in kept],
                self.sources[kept] if self.sources is not None else None,
                self.truths[kept] if self.truths is not None else None,
            )
        return self._parts[inputs, draws]

    def _of(self, key: str, backbone: Backbone, images: Tensor) -> Any:
        if key not in self._known:
            with exact():
                self._known[key] = backbone(images)
        return self._known[key]
