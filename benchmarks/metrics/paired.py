"""The output against the true one, where the data are pairs: PSNR, SSIM, LPIPS.

PSNR and SSIM see images as they are saved, rounded to 8 bits; LPIPS sees what the network gave.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from i2i_forge import Catalog, hookimpl
from i2i_forge.measure import Batch, ByInput, Metric, Outcome, Protocol, Tools, of_mean
from i2i_forge.measure.lpips import lpips_backbone

from .ssim import ssim

ROUNDING = 1 / 12  # variance of the error that rounding to whole levels makes, in levels squared


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
        """Translations."""
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


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.metrics.add("psnr", Psnr)
    catalog.metrics.add("ssim", Ssim)
    catalog.metrics.add("lpips-paired", LpipsPaired)
