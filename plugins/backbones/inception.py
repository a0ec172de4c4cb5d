"""TensorFlow's Inception-v3 as a backbone: images are rounded to 8 bits, resized to 299 and give 2048 features."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from i2i_forge.errors import CheckpointError
from i2i_forge.measure import BackboneInfo
from i2i_forge.run.foreign import read_foreign, state_dict
from i2i_forge.system import generator
from i2i_forge.system.weights import required
from i2i_forge_plugins.backbones.inception_tf import SIZE, InceptionTf
from i2i_forge_plugins.backbones.rgb import need_rgb

Resize = Literal["tf1", "clean"]


def to_bytes(images: Tensor) -> Tensor:
    """[-1, 1] -> the whole numbers in [0, 255] that an 8-bit file would hold, float32, on the images' device."""
    return ((images.float() + 1) * 127.5).round().clamp(0, 255)


def tf1_bilinear(images: Tensor, size: int) -> Tensor:
    """B,C,H,W -> B,C,size,size as TensorFlow 1 resizes: output pixel i lies at input place i * H / size.

    Corners are aligned at the top left only, pixels have no centres, and nothing is smoothed before it is made smaller.
    """
    for axis in (3, 2):  # TensorFlow's order: along the rows first
        last = images.shape[axis] - 1
        place = torch.arange(size, device=images.device, dtype=torch.float32) * ((last + 1) / size)
        low = place.long()
        part = (place - low).view(-1, *[1] * (3 - axis))
        before, after = images.index_select(axis, low), images.index_select(axis, (low + 1).clamp(max=last))
        images = before + (after - before) * part
    return images


def pil_bicubic(images: Tensor, size: int) -> Tensor:
    """B,C,H,W in [0, 255] -> B,C,size,size as Pillow resizes float32 channels: bicubic, smoothed, then cut to [0, 255].

    The weights are float64, as in Pillow: in float32 the result is off by up to 0.007.
    """
    resized = F.interpolate(images.double(), size=(size, size), mode="bicubic", antialias=True, align_corners=False)
    return resized.clamp(0, 255).float()


RESIZES: Mapping[Resize, Callable[[Tensor, int], Tensor]] = {"tf1": tf1_bilinear, "clean": pil_bicubic}


class Inception:
    """B,3,H,W in [-1, 1] -> B,2048 features (the `pool3` of FID).

    Args:
        network: with its weights; it is frozen and set to eval.
        weights_sha256: of the weights.
        resize: tf1, as FID was defined; clean, with Pillow's antialiased bicubic filter (Parmar et al. 2022).
        is_calibrated: whether the weights are the published ones.
        device: where it works.
    """

    def __init__(
        self,
        network: InceptionTf,
        weights_sha256: str,
        resize: Resize = "tf1",
        *,
        is_calibrated: bool = True,
        device: torch.device | str = "cpu",
    ) -> None:
        self.network = network.requires_grad_(False).eval().to(device)
        self.resize = RESIZES[resize]
        self.info = BackboneInfo(
            id="inception-tf-2015" + "-clean" * (resize == "clean") + "-random" * (not is_calibrated),
            version="2015-12-05" if is_calibrated else "random",
            weights_sha256=weights_sha256,
            resize=f"{SIZE}x{SIZE} {self.resize.__name__}",
            antialias=resize == "clean",
            quantised=True,
            is_calibrated=is_calibrated,
        )

    def __call__(self, images: Tensor) -> Tensor:
        """B,3,H,W in [-1, 1] -> B,2048. Raises DataError for other than three channels."""
        need_rgb(images, self.info.id)
        features: Tensor = self.network((self.resize(to_bytes(images), SIZE) - 128) / 128)
        return features

    def logits(self, features: Tensor) -> Tensor:
        """B,2048 -> B,1008 without the bias, which the Inception Score was defined without."""
        return features @ self.network.fc.weight.T


def published_inception(resize: Resize = "tf1", device: torch.device | str = "cpu") -> Inception:
    """With the published weights. Raises DataError when they are not in the cache."""
    file = required("inception_tf", by="the Inception network")
    return Inception(read_inception(file), hashlib.sha256(file.read_bytes()).hexdigest(), resize, device=device)


def random_inception(resize: Resize = "tf1", device: torch.device | str = "cpu") -> Inception:
    """With random weights, always the same: for tests, and for trying an evaluation out without the published ones."""
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in InceptionTf().state_dict().items()}
    tensors = {name: _drawn(name, shape) for name, shape in shapes.items()}
    values = hashlib.sha256()
    for value in tensors.values():
        values.update(value.numpy().tobytes())
    return Inception(_network(tensors), values.hexdigest(), resize, is_calibrated=False, device=device)


def read_inception(file: Path) -> InceptionTf:
    """The network in a file. Raises CheckpointError when it is damaged, or another network."""
    tensors = state_dict(read_foreign(file), f"{file} is not a file of weights")
    try:
        return _network(tensors)
    except RuntimeError as error:
        raise CheckpointError(
            f"{file} is not TensorFlow's Inception-v3 ({str(error).splitlines()[-1].strip()[:120]})",
            fix="forge weights get inception_tf",
        ) from None


def _network(tensors: Mapping[str, Tensor]) -> InceptionTf:
    with torch.device("meta"):
        network = InceptionTf()
    missing = torch.tensor(0)  # the right value for one thing that old files lack: the number of batches in training
    network.load_state_dict({name: tensors.get(name, missing) for name in network.state_dict()}, assign=True)
    return network


def _drawn(name: str, shape: torch.Size) -> Tensor:
    """Weights of mean 0 and variance 2 / inputs, so that features neither vanish nor grow (He et al. 2015)."""
    if len(shape) > 1:
        return torch.randn(shape, generator=generator("inception", name)) * math.sqrt(2 / shape[1:].numel())
    return torch.ones(shape) if name.endswith(("bn.weight", "running_var")) else torch.zeros(shape)
