"""Sources whose images are numbers, so that a test can tell which example it sees."""

import torch

from i2i_forge.data.stream import Stream
from i2i_forge.errors import DataError


class Numbers:
    """Example i is the image of the number i in domain a, plus a draw in a second channel."""

    def __init__(self, count, domain="a"):
        self.count, self.domain = count, domain

    def __len__(self):
        return self.count

    def example(self, index, random):
        draw = 0.0 if random is None else torch.rand((), generator=random)
        image = torch.zeros(3, 2, 2)
        image[0], image[1] = index, draw
        return {self.domain: image}

    def name(self, index):
        return f"{self.domain}{index}"


class Failing(Numbers):
    """Example 3 cannot be read."""

    def example(self, index, random):
        if index == 3:
            raise DataError("broken.png: it is truncated", fix="remove it")
        return super().example(index, random)


def make(*sources, batch=2, seed=0, **options):
    return Stream(sources or [Numbers(7), Numbers(5, "b")], batch=batch, seed=seed, **options)


def indices(stream, steps, domain="a"):
    return [int(i) for step in steps for i in stream.batch(step)[domain][:, 0, 0, 0]]
