"""Normalisation layers. Statistics are accumulated in fp32 whatever the input's type."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EPS = 1e-5


class InstanceNorm(nn.Module):
    """Zero mean and unit variance for each sample and channel; no parameters, no running statistics."""

    def forward(self, x: Tensor) -> Tensor:
        """N,C,H,W -> N,C,H,W; more than one pixel is needed."""
        return _normalised(x)


class LayerNorm(nn.Module):
    """Normalisation of each sample over all of C,H,W, then an affine map per channel (MUNIT's decoder).

    y = (x - mean) / (std + eps) * gamma + beta with the unbiased std. gamma starts uniform in [0, 1).

    Args:
        channels: C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.rand(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """N,C,H,W -> N,C,H,W, or N,C -> N,C."""
        kept = x if x.dtype == torch.float64 else x.float()
        sample, per_channel = tuple(range(1, x.dim())), (-1, *[1] * (x.dim() - 2))
        gamma, beta = self.gamma.view(per_channel), self.beta.view(per_channel)
        if x.is_cuda or not x.requires_grad:  # `whole_statistics` has to see the statistics
            std, mean = torch.std_mean(kept, dim=sample, keepdim=True)
            scale = gamma / (std + EPS)
            return torch.addcmul(beta - mean * scale, kept, scale).to(x.dtype)
        centred = kept - kept.mean(dim=sample, keepdim=True)  # on a processor std_mean is slower than all of this
        squares = centred.square().mean(dim=sample, keepdim=True).clamp_min(torch.finfo(kept.dtype).tiny)
        count = kept[0].numel()
        std = (squares * (count / (count - 1))).sqrt()
        return torch.addcmul(beta, centred, gamma / (std + EPS)).to(x.dtype)


def adain(x: Tensor, affine: Tensor) -> Tensor:
    """Adaptive instance normalisation (Huang & Belongie 2017, eq. 8, with the statistics given as parameters).

    Args:
        x: N,C,H,W; with N = 1 one content may meet K affine maps.
        affine: N,2C (or K,2C): the C shifts, then the C scales.

    Returns:
        normalised(x) * scale + shift, N,C,H,W (or K,C,H,W).
    """
    shift, scale = affine.to(x.dtype).chunk(2, dim=1)
    return _affine(x, scale, shift)


class AffineInstanceNorm(nn.Module):
    """Instance normalisation with the biased variance, then an affine map per channel: normalised(x) * scale + shift.

    Args:
        channels: C.
        std: of the scales' start, N(0, std): around zero, so that what follows begins small.
    """

    def __init__(self, channels: int, std: float = 0.02) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.randn(channels) * std)
        self.shift = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """N,C,H,W -> N,C,H,W; more than one pixel is needed."""
        return _affine(x, self.scale, self.shift)


class ConditionalInstanceNorm(nn.Module):
    """Instance normalisation with the unbiased variance; a code gives its affine map (Almahairi et al. 2018).

    normalised(x) * relu(scale(code)) + relu(shift(code)): both are >= 0.

    Args:
        channels: C.
        code_dim: length of the code.
    """

    def __init__(self, channels: int, code_dim: int) -> None:
        super().__init__()
        self.shift = nn.Linear(code_dim, channels)
        self.scale = nn.Linear(code_dim, channels)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """N,C,H,W and N,code_dim (or 1,C,H,W and K,code_dim) -> N,C,H,W (K,C,H,W); more than one pixel is needed."""
        scale, shift = F.relu(self.scale(code)), F.relu(self.shift(code))
        count = x.shape[2] * x.shape[3]
        if self.training:  # torch's kernel divides by the biased variance; its backward takes half the time
            biased = (count - 1) / count
            return _affine(x, scale * math.sqrt(biased), shift, EPS * biased)
        if count == 1:
            raise ValueError(f"an instance norm needs more than 1 spatial element, the features are {tuple(x.shape)}")
        kept = x if x.dtype == torch.float64 else x.float()  # nothing but the statistics depends on the image's size
        variance, mean = torch.var_mean(kept, dim=(2, 3), keepdim=True)
        scale = scale.to(kept.dtype)[..., None, None] * (variance + EPS).rsqrt()
        return torch.addcmul(shift.to(kept.dtype)[..., None, None] - mean * scale, kept, scale).to(x.dtype)


def _normalised(x: Tensor, eps: float = EPS, scale: Tensor | None = None, shift: Tensor | None = None) -> Tensor:
    """Zero mean and unit variance for each sample and channel, N,C,H,W, whatever the memory format of the gradient;
    times scale plus shift, N*C values each, where they are given.

    torch's backward on the CPU (2.15) is wrong for one image whose gradient is channels_last. With all places on one
    axis there is no such format, and the values are the same to the bit. On CUDA one image keeps its format: to a batch
    norm it is a batch.
    """
    if not x.requires_grad:  # `whole_statistics` has to see height and width
        return F.instance_norm(x, eps=eps)
    if x.is_cuda and len(x) == 1 and not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last):
        return F.batch_norm(x, None, None, scale, shift, training=True, eps=eps)
    if scale is None:
        y = F.instance_norm(x.flatten(2), eps=eps)
    else:
        y = F.batch_norm(x.reshape(1, len(scale), -1), None, None, scale, shift, training=True, eps=eps)
    return cast(Tensor, torch.ops.aten._unsafe_view(y, x.shape))  # backward copies what is changed in place in a view


def _affine(x: Tensor, scale: Tensor, shift: Tensor, eps: float = EPS) -> Tensor:
    """normalised(x) * scale + shift, each C or N,C (or K,C of one image): in training by one kernel."""
    scale, shift = scale.to(x.dtype), shift.to(x.dtype)
    if x.requires_grad and (scale.dim() == 1 or len(scale) == len(x)):
        each = x.shape[:2]
        return _normalised(x, eps, scale.expand(each).flatten(), shift.expand(each).flatten())
    return torch.addcmul(shift[..., None, None], _normalised(x, eps), scale[..., None, None])


def norm_layer(name: str, channels: int, *, dims: int = 2) -> nn.Module | None:
    """The layer called `name`: none, instance, layer, batch; spectral is not a layer (see blocks).

    Args:
        name: the norm.
        channels: C.
        dims: 2 for feature maps, 0 for vectors.
    """
    match name:
        case "none" | "spectral":
            return None
        case "instance" if dims:  # a vector has one value for each channel: nothing to normalise
            return InstanceNorm()
        case "layer":
            return LayerNorm(channels)
        case "batch":
            return nn.BatchNorm2d(channels) if dims else nn.BatchNorm1d(channels)
    raise ValueError(f"norm '{name}' is not one of none, {'instance, ' if dims else ''}layer, batch, spectral")
