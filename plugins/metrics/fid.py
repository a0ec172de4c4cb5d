"""FID (Heusel et al. 2017), and FID with clean resizing (Parmar et al. 2022, On Aliased Resizing)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from i2i_forge import Catalog, hookimpl
from i2i_forge.measure import Batch, Metric, Moments, Outcome, Protocol, Tools
from i2i_forge_plugins.backbones.choice import choose_backbone
from i2i_forge_plugins.backbones.inception import Resize
from i2i_forge_plugins.metrics.two_samples import I2I_TEST, require

FEW = 2048  # images: as many as there are features; with fewer no covariance matrix has full rank


class Fid(Metric):
    """FID: the Frechet distance between normal distributions with the features' means and covariances.

    Memory does not grow with the number of images. Covariances are divided by N - 1.
    """

    direction = "down"
    sees = "rgb"
    real = "needed"
    backbones = ("random", "classifier")
    protocols = (
        I2I_TEST,
        Protocol(
            "starganv2-2020/1",
            "ten translations of each test input against the target's training images, as StarGAN v2 pairs them; but "
            "its network is torchvision's Inception-v3, whose numbers are others",
            inputs=None,
            draws=10,
            real="train",
        ),
    )
    resize: ClassVar[Resize] = "tf1"

    def __init__(self, protocol: Protocol, tools: Tools) -> None:
        super().__init__(protocol, tools)
        self.network = self.backbone = choose_backbone(tools, self.resize)
        self.fakes, self.reals = Moments(covariance=True), Moments(covariance=True)
        self.accumulators = {"translations": self.fakes, "real": self.reals}

    def update(self, batch: Batch) -> None:
        self.fakes.add(batch.features(self.network))

    def update_real(self, batch: Batch) -> None:
        self.reals.add(batch.features(self.network))

    def compute(self) -> list[Outcome]:
        """One distance. Raises DataError for fewer than two images of a kind."""
        fewest = min(self.fakes.count, self.reals.count)
        require(2, self.fakes.count, self.reals.count, of="FID")
        outcome = Outcome(frechet_distance(self.fakes, self.reals), real=self.reals.count)
        if fewest < FEW:
            outcome.warnings.append(
                f"{fewest} images: FID's bias is upwards and about proportional to 1/N; compare it only at equal N and "
                "with the same real images"
            )
        return [outcome]


class FidClean(Fid):
    """FID on images that Pillow's antialiased bicubic filter resizes."""

    resize = "clean"


def frechet_distance(a: Moments, b: Moments) -> float:
    """|mu_a - mu_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2)).

    With S = F F^T, tr (S_a S_b)^(1/2) is the sum of the singular values of F_a^T F_b. Unlike the eigenvalues of S_a S_b
    they are exact where N is below the number of features, so that most of the spectrum is 0.
    """
    assert a.mean is not None and a.spread is not None and b.mean is not None and b.spread is not None
    device = a.mean.device
    cov_a, cov_b = a.spread / (a.count - 1), b.spread.to(device) / (b.count - 1)
    means = (a.mean - b.mean.to(device)).square().sum()
    root = torch.linalg.svdvals(_factor(cov_a).T @ _factor(cov_b)).sum()
    return max(0.0, float(means + cov_a.trace() + cov_b.trace() - 2 * root))  # below 0 by rounding only


def _factor(covariance: Tensor) -> Tensor:
    """F with F F^T = covariance, without the columns that are rounding errors: D,rank."""
    values, vectors = torch.linalg.eigh(covariance)
    kept = values > values.max() * len(values) * torch.finfo(values.dtype).eps
    factor: Tensor = vectors[:, kept] * values[kept].sqrt()
    return factor


@hookimpl
def register_components(catalog: Catalog) -> None:
    catalog.metrics.add("fid", Fid)
    catalog.metrics.add("fid-clean", FidClean)
