"""A data set that a classifier learns in seconds: noisy squares of a colour for each mode."""

import pytest
import torch

from i2i_forge.measure.mode_classifier import Labelled, LabelledData, settings_for, train_classifier
from i2i_forge.system.seeding import generator

COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (40, 60, 220)}


def coloured(split, count, size=20):
    modes = [index % len(COLOURS) for index in range(count)]

    def load(index):
        noise = torch.randint(-30, 31, (3, size, size), generator=generator(split, index))
        return (torch.tensor(list(COLOURS.values())[modes[index]])[:, None, None] + noise).clamp(0, 255).byte()

    return Labelled(load, modes)


@pytest.fixture(scope="session")
def data():
    return LabelledData(tuple(COLOURS), coloured("train", 90), coloured("test", 30), {"dataset": "colours"})


@pytest.fixture(scope="session")
def classifier(data):
    return train_classifier(data, settings_for(size=16, steps=60))
