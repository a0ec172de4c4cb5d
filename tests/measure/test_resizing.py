"""The two ways to 299x299, against numbers made by hand, Pillow, and torch-fidelity's function."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from i2i_forge.data.images import to_uint8
from i2i_forge_plugins.backbones.inception import pil_bicubic, tf1_bilinear, to_bytes

SIZES = [(8, 8), (64, 48), (256, 256), (299, 299), (300, 298), (512, 400)]


def noise(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0)).float()


def test_rounding_is_that_of_the_files_we_write() -> None:
    x = torch.linspace(-1.2, 1.2, 3001)
    assert torch.equal(to_bytes(x), to_uint8(x).float())


@pytest.mark.parametrize(
    ("value", "byte"), [(254.9 / 127.5 - 1, 255), (1.02, 255), (-1.3, 0), (0.0, 128), (127.4 / 127.5 - 1, 127)]
)
def test_values_are_rounded_and_cut_not_truncated_or_wrapped(value: float, byte: int) -> None:
    assert to_bytes(torch.tensor(value)).item() == byte


def test_tf1_bilinear_of_four_pixels_by_hand() -> None:
    x = torch.tensor([[0.0, 8.0], [16.0, 24.0]])
    expected = [[0, 4, 8, 8], [8, 12, 16, 16], [16, 20, 24, 24], [16, 20, 24, 24]]
    assert tf1_bilinear(x[None, None], 4)[0, 0].tolist() == expected


def test_tf1_bilinear_smooths_nothing() -> None:
    stripes = torch.tensor([0.0, 255.0]).repeat(8).expand(1, 1, 16, 16)
    assert tf1_bilinear(stripes, 8).unique().tolist() == [0]  # it hits every other column


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_tf1_bilinear_equals_torch_fidelitys(height: int, width: int) -> None:
    oracle = pytest.importorskip("torch_fidelity.interpolate_compat_tensorflow")
    x = noise(2, 3, height, width)
    expected = oracle.interpolate_bilinear_2d_like_tensorflow1x(x, size=(299, 299), align_corners=False)
    assert torch.equal(tf1_bilinear(x, 299), expected)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_pil_bicubic_equals_pillows(height: int, width: int) -> None:
    x = noise(1, 2, height, width)
    for channel, ours in zip(x[0], pil_bicubic(x, 299)[0], strict=True):
        theirs = np.array(Image.fromarray(channel.numpy()).resize((299, 299), Image.Resampling.BICUBIC))
        assert np.abs(ours.numpy() - theirs.clip(0, 255)).max() < 1e-4


def test_the_filters_differ_where_there_is_something_to_alias() -> None:
    board = ((torch.arange(512)[:, None] + torch.arange(512)) % 2 * 255.0)[None, None]
    plain = F.interpolate(board, size=(299, 299), mode="bicubic", align_corners=False)
    clean = pil_bicubic(board, 299)
    assert clean.std() < 0.3 * tf1_bilinear(board, 299).std()
    assert clean.std() < 0.3 * plain.std()
