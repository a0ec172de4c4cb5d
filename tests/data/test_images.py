import errno
import os

import numpy as np
import pytest
import torch
from PIL import Image

from i2i_forge.data.images import GAP, save_png, sheet, to_pil, to_uint8
from i2i_forge.data.transforms import to_tensor
from i2i_forge.errors import ResourceError, UsageError


def plain(value, height=4, width=6):
    return torch.full((3, height, width), float(value))


# ---- numbers ---------------------------------------------------------------------------------------------------


def test_every_byte_survives_the_way_to_a_tensor_and_back():
    values = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16).expand(3, 16, 16)
    image = Image.fromarray(values.permute(1, 2, 0).contiguous().numpy())
    assert torch.equal(to_uint8(to_tensor(image)), values)


@pytest.mark.parametrize(
    ("value", "byte"),
    [(-1, 0), (1, 255), (0, 128), (-3, 0), (7.5, 255), (float("inf"), 255), (float("-inf"), 0),
     (-1 + 0.49 / 127.5, 0), (-1 + 0.51 / 127.5, 1), (1 - 0.51 / 127.5, 254), (1 - 0.49 / 127.5, 255)],
)  # fmt: skip
def test_rounded_and_clamped(value, byte):
    assert to_uint8(plain(value)).unique().tolist() == [byte]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_any_float_type_and_gradient(dtype):
    image = plain(0.5).to(dtype).requires_grad_()
    assert to_uint8(image).unique().tolist() == [191]


def test_nothing_is_stretched():
    """A dark image stays dark: the range is that of [-1, 1], not that of the image."""
    image = plain(-0.9)
    image[:, 0] = -0.6
    assert to_uint8(image).unique().tolist() == [13, 51]


def test_channels_and_axes():
    image = torch.stack([plain(-1)[0], plain(0)[0], plain(1)[0]])
    picture = to_pil(image)
    assert (picture.size, picture.mode) == ((6, 4), "RGB")
    assert picture.getpixel((5, 3)) == (0, 128, 255)


# ---- files -----------------------------------------------------------------------------------------------------


def test_a_file_is_exact_and_its_folder_is_made(tmp_path):
    image = torch.rand(3, 5, 7, generator=torch.Generator().manual_seed(0)) * 2.2 - 1.1
    save_png(image, tmp_path / "a/b/x.png")
    with Image.open(tmp_path / "a/b/x.png") as read:
        assert read.format == "PNG"
        assert np.array_equal(np.array(read), to_uint8(image).permute(1, 2, 0).numpy())
    assert [p.name for p in (tmp_path / "a/b").iterdir()] == ["x.png"]


def test_a_file_is_there_whole_or_as_it_was(tmp_path, monkeypatch):
    file = tmp_path / "x.png"
    save_png(plain(0), file)
    before = file.read_bytes()

    def full(self, target, **options):
        target.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(ResourceError, match=r"x.png cannot be written: No space left on device") as caught:
        save_png(plain(1), file)
    assert caught.value.exit_code == 8
    assert file.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["x.png"]


def test_a_place_that_is_no_folder(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "x.png").mkdir()
    for place in ("file/x.png", "file/a/x.png", "x.png"):
        with pytest.raises(UsageError, match="cannot be written"):
            save_png(plain(0), tmp_path / place)


# ---- sheets ----------------------------------------------------------------------------------------------------


def bytes_at(picture, x, y):
    return picture.getpixel((x, y))


def test_cells_lie_side_by_side_under_their_labels():
    red, blue = (
        torch.stack([plain(v, 64, 64)[0] for v in (1, -1, -1)]),
        torch.stack([plain(v, 64, 64)[0] for v in (-1, -1, 1)]),
    )
    picture = sheet([[red, blue], [blue, None]], ["input", "style"], cell=64)
    head = round(64 / 9 * 1.6) + GAP
    assert picture.size == (2 * (64 + GAP) + GAP, head + 2 * (64 + GAP))
    for column, row, colour in [(0, 0, (255, 0, 0)), (1, 0, (0, 0, 255)), (0, 1, (0, 0, 255)), (1, 1, (255,) * 3)]:
        x, y = GAP + column * (64 + GAP), head + row * (64 + GAP)
        for dx, dy in [(0, 0), (63, 0), (0, 63), (63, 63)]:
            assert picture.getpixel((x + dx, y + dy)) == colour
        assert picture.getpixel((x - 1, y)) == (255, 255, 255)
    for column in range(2):  # there is writing above each column
        x = GAP + column * (64 + GAP)
        assert np.array(picture)[:head, x : x + 64].min() < 128


def test_images_keep_their_aspect_and_are_centred():
    picture = sheet([[plain(-1, 100, 50)]], ["x"], cell=50)
    dark = np.argwhere(np.array(picture)[round(50 / 9 * 1.6) + GAP :].max(2) == 0)
    (top, left), (bottom, right) = dark.min(0), dark.max(0)
    assert (bottom - top + 1, right - left + 1) == (50, 25)
    assert (top, left) == (0, GAP + 12)


def test_an_image_of_the_size_of_a_cell_is_not_resampled():
    image = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    picture = np.array(sheet([[image]], ["x"], cell=64))
    head = round(64 / 9 * 1.6) + GAP
    assert np.array_equal(picture[head : head + 64, GAP : GAP + 64], to_uint8(image).permute(1, 2, 0).numpy())


@pytest.mark.parametrize(("side", "cell"), [(16, 128), (64, 128), (200, 200), (256, 256), (1024, 256)])
def test_the_default_cell_is_near_the_images(side, cell):
    picture = sheet([[plain(0, side, side // 2), plain(0, 8, 8)]], ["x", "y"])
    assert picture.width == 2 * (cell + GAP) + GAP


def test_extreme_aspects_do_not_vanish():
    assert sheet([[plain(0, 1, 1000), plain(0, 1000, 1)]], ["x", "y"]).height > 0
