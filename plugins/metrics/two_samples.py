"""Base of metrics that compare the features of translations with those of real images, all kept up to a limit."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from i2i_forge.errors import DataError
from i2i_forge.measure import Batch, Metric, Protocol, Sample, Tools
from i2i_forge_plugins.backbones.choice import choose_backbone

I2I_TEST = Protocol(
    "i2i-test/1",
    "one translation of each test input against as many real test images",
    inputs=None,
    real="test",
    is_equal=True,
)


class TwoSamples(Metric):
    """Keeps a sample of each side; a subclass compares them in `compute`.

    Attributes:
        least: how many images it needs of each side.
    """

    real = "needed"
    backbones = ("random", "classifier")
    least: ClassVar[int] = 2

    def __init__(self, protocol: Protocol, tools: Tools) -> None:
        super().__init__(protocol, tools)
        self.network = self.backbone = choose_backbone(tools)
        self.fakes, self.reals = Sample(), Sample()
        self.accumulators = {"translations": self.fakes, "real": self.reals}

    def update(self, batch: Batch) -> None:
        self.fakes.add(batch.inputs, batch.draws, batch.features(self.network))

    def update_real(self, batch: Batch) -> None:
        self.reals.add(batch.inputs, batch.draws, batch.features(self.network))

    def features(self) -> tuple[Tensor, Tensor]:
        """Rows of translations and of real images, float64, on the device. Raises DataError when they are too few."""
        fakes, reals = (sample.table()[1].to(self.tools.device).double() for sample in (self.fakes, self.reals))
        require(self.least, len(fakes), len(reals), of=type(self).__name__.upper())
        return fakes, reals


def require(least: int, fakes: int, reals: int, *, of: str) -> None:
    """Raise DataError unless there are so many translations and so many real images."""
    if min(fakes, reals) < least:
        raise DataError(
            f"{of} needs {least} translations and {least} real images at least; there are {fakes} and {reals}",
            fix="give more images",
        )
