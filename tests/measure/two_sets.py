"""Metrics on features that are chosen by hand: an image of the tests is a row of features."""

from collections.abc import Sequence

import torch
from torch import Tensor

from i2i_forge.measure import BackboneInfo, Batch, Metric, Outcome, Tools


class PixelClassifier:
    """A classifier whose features are the pixels."""

    info = BackboneInfo("classifier-pixels", "1", "0" * 64)
    modes = ("a",)
    card: dict[str, object] = {}  # noqa: RUF012

    def __call__(self, images: Tensor) -> Tensor:
        return images.mean((1, 2, 3))[:, None]

    def penultimate(self, images: Tensor) -> Tensor:
        return images.flatten(1)


def tools() -> Tools:
    return Tools(torch.device("cpu"), backbone="classifier", classifier=PixelClassifier())


def normal(count: int, dim: int, seed: int, shift: float = 0.0, scale: float = 1.0) -> Tensor:
    """Rows of a normal distribution; float32, as features are."""
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed)) * scale + shift


def batch(rows: Tensor, first: int) -> Batch:
    """Rows as images, numbered from `first`."""
    numbers = list(range(first, first + len(rows)))
    return Batch(rows[:, None, None, :], numbers, [0] * len(rows), [str(n) for n in numbers])


def feed(metric: Metric, fakes: Tensor, reals: Tensor, size: int = 64, first: int = 0) -> None:
    """Show it all rows, numbered from `first`, in batches of a size."""
    for start in range(0, len(fakes), size):
        metric.update(batch(fakes[start : start + size], first + start))
    for start in range(0, len(reals), size):
        metric.update_real(batch(reals[start : start + size], first + start))


def measure(metric: type[Metric], fakes: Tensor, reals: Tensor, protocol: int = 0, size: int = 64) -> Sequence[Outcome]:
    """What a metric finds under one of its protocols."""
    made = metric(metric.protocols[protocol], tools())
    feed(made, fakes, reals, size)
    return made.compute()
