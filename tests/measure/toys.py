"""Metrics and samples that are small enough to check by hand."""

from typing import ClassVar

import torch

from i2i_forge.catalog.registry import Catalog
from i2i_forge.measure import BackboneInfo, Batch, ByInput, Metric, Moments, Outcome, Protocol, of_mean
from i2i_forge.measure.samples import Item, Samples, digest
from i2i_forge.system.seeding import generator


class MeanColour:
    """A backbone: the mean of each channel. Counts what it is shown."""

    info = BackboneInfo("mean-colour", "1", "0" * 64)

    def __init__(self):
        self.images = 0

    def __call__(self, images):
        self.images += len(images)
        return images.mean((2, 3))


class Brightness(Metric):
    """The mean of the images' means."""

    direction: ClassVar = "up"
    protocols: ClassVar = (
        Protocol("few/1", "a few", inputs=3, draws=2),
        Protocol("many/2", "many", inputs=None, draws=4),
    )
    needs_several: ClassVar = True

    def __init__(self, protocol, tools):
        super().__init__(protocol, tools)
        self.backbone = tools.built("mean-colour", MeanColour)
        self.sums = ByInput()
        self.accumulators = {"sums": self.sums}

    def update(self, batch):
        self.sums.add(batch.inputs, batch.features(self.backbone).mean(1, keepdim=True))

    def compute(self):
        order, counts, sums = self.sums.table()
        per_input = dict(zip(order, (sums[:, 0] / counts).tolist(), strict=True))
        value = sum(per_input.values()) / len(per_input)
        return [Outcome(value, per_input=per_input, components={"images": float(counts.sum())}, **of_mean(per_input))]


class Distance(Metric):
    """How far the mean colour of the translations is from that of real images."""

    direction: ClassVar = "down"
    protocols: ClassVar = (Protocol("equal/1", "as many real ones", inputs=None, real="test", is_equal=True),)
    real: ClassVar = "needed"

    def __init__(self, protocol, tools):
        super().__init__(protocol, tools)
        self.backbone = tools.built("mean-colour", MeanColour)
        self.accumulators = {"made": Moments(), "real": Moments()}

    def update(self, batch):
        self.accumulators["made"].add(batch.features(self.backbone))

    def update_real(self, batch):
        self.accumulators["real"].add(batch.features(self.backbone))

    def compute(self):
        made, real = self.accumulators["made"], self.accumulators["real"]
        return [Outcome(float((made.mean - real.mean).norm()), real=real.count)]


class Truths(Distance):
    """A metric that wants pairs."""

    wants: ClassVar = frozenset({"truths"})


class Noise(Samples):
    """Random images, a function of (seed, input, draw)."""

    def __init__(self, inputs=5, real=4, size=(8, 6), split="test", **more):
        super().__init__({"name": "noise", "weights_sha256": "ab"}, {"name": "drawn", "split": split}, inputs, **more)
        self.reals, self.size, self.made = real, size, 0

    def image(self, *key):
        return torch.rand(3, *self.size, generator=generator("noise", *key)) * 2 - 1

    def translated(self, numbers, seed, draws, batch):
        for number in numbers:
            self.seen["inputs"][number] = digest(self.image(number))
            for draw in range(draws[number]):
                self.made += 1
                yield Item(self.image(seed, number, draw), number, draw, f"input {number}")

    def real_count(self, split):
        return self.reals

    def real_item(self, split, number):
        self.seen[split][number] = digest(self.image("real", number))
        return Item(self.image(7, 7, number), number, 0, f"real {number}")


def catalog():
    made = Catalog()
    made.metrics.add("brightness", Brightness)
    made.metrics.add("distance", Distance)
    made.metrics.add("truths", Truths)
    return made


def batch(images, inputs=None, draws=None):
    count = len(images)
    return Batch(images, inputs or list(range(count)), draws or [0] * count, ["x"] * count)
