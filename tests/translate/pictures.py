"""Images for translators, and what was written."""

import numpy as np
import torch
from PIL import Image

from i2i_forge.data.images import to_uint8


def picture(height, width, seed=0):
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def write(file, height=48, width=56, seed=0):
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = to_uint8(picture(height, width, seed)[0]).permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(file)
    return file


def pixels(file):
    with Image.open(file) as image:
        return np.array(image)
