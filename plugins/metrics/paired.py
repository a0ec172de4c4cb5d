"""The output against the true one, where the data are pairs: PSNR, SSIM, LPIPS.

SSIM: Wang, Bovik, Sheikh, Simoncelli 2004, Image Quality Assessment: From Error Visibility to Structural Similarity.
PSNR and SSIM see images as they are saved, rounded to 8 bits; LPIPS sees what the network gave.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from i2i_forge import Catalog, hookimpl
from i2i_forge.errors import DataError
from i2i_forge.measure import Batch, ByInput, Metric, Outcome, Protocol, Tools, of_mean
from i2i_forge_plugins.backbones.lpips import lpips_backbone

ROUNDING = 1 / 12  # variance of the error that rounding to whole levels makes, in levels squared

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


class Paired(Metric):
    """Base of the measures that compare each translation with its input's true output.

    With K translations of an input, its value is their mean, or their best where the protocol says so; the components
    hold both.
    """

    wants = frozenset({"truths"})
    protocols = _protocols()

    def __init__(self, protocol: Protocol, tools: Tools) -> None:
        super().__init__(protocol, tools)
        self.scores = ByInput()  # of each input, a column for each draw
        self.accumulators = {"scores": self.scores}

    def score(self, batch: Batch) -> Tensor:
        """What the measure says of each translation: B."""
        raise NotImplementedError

    def update(self, batch: Batch) -> None:
        draws = F.one_hot(torch.tensor(batch.draws), self.protocol.draws)
        self.scores.add(batch.inputs, self.score(batch).cpu()[:, None] * draws)

    def compute(self) -> list[Outcome]:
        """The mean over inputs."""
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
    """Peak signal-to-noise ratio of the 8-bit images in dB, computed for each image and averaged over images."""

    direction = "up"

    def score(self, batch: Batch) -> Tensor:
        """B, in dB, at most 58.9: see `psnr`."""
        assert batch.truths is not None
        return psnr(levels(batch.images), levels(batch.truths))


class Ssim(Paired):
    """Structural similarity of the 8-bit images: Gaussian window of 11x11, sigma 1.5, mean over R, G and B."""

    direction = "up"

    def score(self, batch: Batch) -> Tensor:
        """B, in [-1, 1]."""
        assert batch.truths is not None
        return ssim(levels(batch.images) / 255, levels(batch.truths) / 255)


class LpipsPaired(Paired):
    """LPIPS to the true output. It depends on the resolution, which is that of the images."""

    direction = "down"
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
    """The mean structural similarity of two batches, N,C,H,W in [0, 1] -> N in [-1, 1], float64 (eq. 13, 17).

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
    similarity = (2 * mu_x * mu_y + C1) * (2 * cov + C2) / ((mu_x**2 + mu_y**2 + C1) * (var_x + var_y + C2))
    return similarity.mean((1, 2, 3))


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
