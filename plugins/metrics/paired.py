"""The output against the true one, where the data are pairs: PSNR, SSIM, LPIPS.

SSIM: Wang, Bovik, Sheikh, Simoncelli 2004, Image Quality Assessment: From Error Visibility to Structural Similarity.
PSNR and SSIM see 8-bit images as they are saved, rounded, and others by their values; LPIPS sees what the network gave.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from i2i_forge import Catalog, hookimpl
from i2i_forge.errors import DataError
from i2i_forge.measure import Batch, ByInput, Outcome, Protocol, Tools, of_mean
from i2i_forge_plugins.backbones.lpips import lpips_backbone
from i2i_forge_plugins.metrics.values import VALUES, InValues, added

ROUNDING = 1 / 12  # variance of the error that rounding to whole levels makes, in levels squared
FLOAT_ROUNDING = 2.0**-48  # squared error that images in float32 may have, in parts of the range squared

WINDOW, SIGMA = 11, 1.5  # of SSIM
C1, C2 = 0.01**2, 0.03**2  # (K L)^2 with the paper's K and L = 1


def _protocols(**options: Any) -> tuple[Protocol, Protocol]:
    return (
        Protocol("one/1", "every input, one translation", inputs=None, options={"of": "mean", **options}),
        Protocol(
            "best-of-10/1",
            "every input, the best of ten translations, chosen by this measure with the truth in hand: it shows "
            "whether the truth is among what the method can give, not what one gets",
            inputs=None,
            draws=10,
            options={"of": "best", **options},
        ),
    )


class Paired(InValues):
    """Base of the measures that compare each translation with its input's true output.

    Images that are not 8-bit RGB are measured by their values, see `InValues`. With K translations of an input, its
    value is their mean, or their best where the protocol says so; the components hold both.
    """

    protocols: ClassVar[Sequence[Protocol]] = _protocols()

    def __init__(self, protocol: Protocol, tools: Tools) -> None:
        super().__init__(protocol, tools)
        self.scores = ByInput()  # of each input, a column for each draw
        self.accumulators["scores"] = self.scores

    def score(self, batch: Batch) -> Tensor:
        """What the measure says of each translation: B."""
        raise NotImplementedError

    def update(self, batch: Batch) -> None:
        if self.protocol.sees == "values":
            super().update(batch)
            return
        draws = F.one_hot(torch.tensor(batch.draws), self.protocol.draws)
        self.scores.add(batch.inputs, self.score(batch).cpu()[:, None] * draws)

    def compute(self) -> list[Outcome]:
        """The mean over inputs."""
        if self.protocol.sees == "values":
            return super().compute()
        wanted, (inputs, counts, scores) = self.protocol.options["of"], self.scores.table()
        sign = 1 if self.direction == "up" else -1
        missing = torch.arange(scores.shape[1]) >= counts[:, None]  # a deterministic method has one translation
        values = {
            "mean": scores.sum(1) / counts,
            "best": sign * (sign * scores).masked_fill(missing, -torch.inf).amax(1),
        }
        per_input = dict(zip(inputs, values[wanted].tolist(), strict=True))
        components = {f"{of}_of_K": float(scores.mean()) for of, scores in values.items()}
        value = components[f"{wanted}_of_K"]
        components["K"] = float(self.protocol.draws)
        return [Outcome(value, per_input=per_input, components=components, **of_mean(per_input))]


class Psnr(Paired):
    """Peak signal-to-noise ratio of the 8-bit images in dB, computed for each image and averaged over images.

    Of values it is 10 log10(span^2 / MSE), the MSE being that of a group and the span that of the range; at most 144.5.
    """

    direction = "up"
    protocols = (*_protocols(), VALUES)

    def score(self, batch: Batch) -> Tensor:
        """B, in dB, at most 58.9: see `psnr`."""
        assert batch.truths is not None
        return psnr(levels(batch.images), levels(batch.truths))

    def sums(self, x: Tensor, y: Tensor, inside: Tensor, low: Tensor, high: Tensor) -> Tensor:
        return added(((x - y) / (high - low)).square(), inside=inside)

    def of_sums(self, sums: Tensor) -> Tensor:
        return -10 * torch.log10((sums[..., 1] / sums[..., 0]).clamp(min=FLOAT_ROUNDING))


class Ssim(Paired):
    """Structural similarity of the 8-bit images: Gaussian window of 11x11, sigma 1.5, mean over R, G and B.

    Values count from the low end of their range, so that none is negative, and the data range is its span; the windows
    whose middle lies in the mask count.
    """

    direction = "up"
    protocols = (*_protocols(), VALUES)

    def score(self, batch: Batch) -> Tensor:
        """B, in [-1, 1]."""
        assert batch.truths is not None
        return ssim(levels(batch.images) / 255, levels(batch.truths) / 255)

    def sums(self, x: Tensor, y: Tensor, inside: Tensor, low: Tensor, high: Tensor) -> Tensor:
        (similarity,) = similarities(*((each[None] - low) / (high - low) for each in (x, y)))
        border = WINDOW // 2
        return added(similarity, inside=inside[border:-border, border:-border])

    def of_sums(self, sums: Tensor) -> Tensor:
        return sums[..., 1] / sums[..., 0]


class LpipsPaired(Paired):
    """LPIPS to the true output. It depends on the resolution, which is that of the images."""

    direction = "down"
    sees = "rgb"
    protocols = _protocols(net="alex", version="0.1")
    backbones = ("random",)

    def __init__(self, protocol: Protocol, tools: Tools) -> None:
        super().__init__(protocol, tools)
        self.backbone = self.network = lpips_backbone(tools, protocol.options["net"], protocol.options["version"])

    def score(self, batch: Batch) -> Tensor:
        """B, from 0."""
        return (batch.features(self.network) - batch.features_of_truths(self.network)).square().sum(1)

    def compute(self) -> list[Outcome]:
        """The mean over inputs, named `lpips_gt`."""
        (outcome,) = super().compute()
        outcome.metric = "lpips_gt"
        return [outcome]


def levels(images: Tensor) -> Tensor:
    """[-1, 1] -> whole numbers in [0, 255], float64: rounded as in a PNG file, values outside clamped."""
    return ((images.float() + 1) * 127.5).round().clamp(0, 255).double()


def psnr(x: Tensor, y: Tensor) -> Tensor:
    """10 log10(255^2 / MSE) of two batches, N,C,H,W in [0, 255] -> N, in dB.

    An MSE below 1/12, which rounding to whole levels alone would make, counts as 1/12: equal images have 58.9 dB, and
    not infinitely many.
    """
    mse = (x - y).square().mean((1, 2, 3))
    return 10 * torch.log10(255**2 / mse.clamp(min=ROUNDING))


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """The mean structural similarity of two batches, N,C,H,W in [0, 1] -> N in [-1, 1]: of `similarities`."""
    return similarities(x, y).mean((1, 2, 3))


def similarities(x: Tensor, y: Tensor) -> Tensor:
    """The structural similarity at each window of two batches, N,C,H,W in [0, 1] -> N,C,H-10,W-10 float64 (eq. 13, 17).

    Moments are weighted by a Gaussian window; only windows that lie inside the image count, and each channel counts
    alike. float64, because the variances are differences of nearly equal numbers: in fp32 they cost 3e-6 on white.

    Raises:
        DataError: the images are smaller than the window.
    """
    height, width = x.shape[-2:]
    if min(height, width) < WINDOW:
        raise DataError(
            f"ssim: images of {width}x{height} pixels are smaller than its window of {WINDOW}x{WINDOW}",
            fix="measure larger images, or leave ssim out",
        )
    x, y = x.double(), y.double()
    rows, columns = _windows(height).to(x), _windows(width).to(x)
    mu_x, mu_y, xx, yy, xy = rows @ torch.stack([x, y, x * x, y * y, x * y]) @ columns.T
    var_x, var_y, cov = xx - mu_x**2, yy - mu_y**2, xy - mu_x * mu_y
    similarity: Tensor = (2 * mu_x * mu_y + C1) * (2 * cov + C2) / ((mu_x**2 + mu_y**2 + C1) * (var_x + var_y + C2))
    return similarity


def _windows(size: int) -> Tensor:
    """The Gaussian window at each of its places along a side: size - 10,size; a product with it is a convolution."""
    window = torch.exp(-((torch.arange(WINDOW).double() - WINDOW // 2) ** 2) / (2 * SIGMA**2))
    places = torch.zeros(size - WINDOW + 1, size, dtype=torch.float64)
    for offset, weight in enumerate(window / window.sum()):
        places.diagonal(offset).fill_(weight)
    return places


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.metrics.add("psnr", Psnr)
    catalog.metrics.add("ssim", Ssim)
    catalog.metrics.add("lpips-paired", LpipsPaired)
