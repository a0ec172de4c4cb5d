"""Images as metrics get them: some translations, or some real images, with their features computed once for all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from i2i_forge.data.space import RGB8, ImageSpace


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
        images: B,C,H,W in [-1, 1], on the device of the evaluation; of three channels unless `space` says otherwise.
        inputs: for each image the number of the input it is a translation of; of a real image its own number.
        draws: for each image which of that input's translations it is, from 0; 0 for real images.
        names: for each image the name of its input's file.
        sources: the inputs, B,C,H,W in [-1, 1] (repeated for several translations of one); None where unknown.
        truths: the true outputs, likewise; None where there are no pairs.
        mask: B,1,H,W, not 0 where the images are measured; None where everywhere.
        groups: for each image what its input must not be parted from, a subject of several slices; by default its name.
        space, source_space: what the numbers of the images and true outputs are, and those of the inputs.
    """

    images: Tensor
    inputs: list[int]
    draws: list[int]
    names: list[str]
    sources: Tensor | None = None
    truths: Tensor | None = None
    mask: Tensor | None = None
    groups: list[str] = field(default_factory=list)
    space: ImageSpace = RGB8
    source_space: ImageSpace = RGB8
    _known: dict[str, Any] = field(default_factory=dict, repr=False)  # what was computed of these images
    _parts: dict[tuple[int, int], Batch] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.groups = self.groups or self.names

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
            tensors = {"images": self.images, "sources": self.sources, "truths": self.truths, "mask": self.mask}
            lists: dict[str, list[Any]] = {
                "inputs": self.inputs,
                "draws": self.draws,
                "names": self.names,
                "groups": self.groups,
            }
            taken: dict[str, Any] = {what: None if x is None else x[kept] for what, x in tensors.items()}
            taken |= {what: [some[i] for i in kept] for what, some in lists.items()}
            self._parts[inputs, draws] = replace(self, **taken, _known={}, _parts={})
        return self._parts[inputs, draws]

    def shown(self) -> Batch:
        """The images and true outputs as their space is displayed, in RGB: for networks made for photographs."""
        if self.space.is_rgb8:
            return self
        if "shown" not in self._known:
            images = self.space.to_rgb(self.images).float()
            truths = None if self.truths is None else self.space.to_rgb(self.truths).float()
            self._known["shown"] = replace(self, images=images, truths=truths, space=RGB8, _known={}, _parts={})
        return self._known["shown"]  # type: ignore[no-any-return]

    def _of(self, key: str, backbone: Backbone, images: Tensor) -> Any:
        if key not in self._known:
            with exact():
                self._known[key] = backbone(images)
        return self._known[key]
