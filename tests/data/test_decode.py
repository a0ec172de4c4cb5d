import io
import os
import resource
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from i2i_forge.data.decode import check_header, decode
from i2i_forge.data.file_checks import MAX_PIXELS
from i2i_forge.errors import DataError


def ramp(height=12, width=16):
    return np.linspace(0, 255, height * width * 3).reshape(height, width, 3).astype(np.uint8)


def save(path: Path, image: Image.Image | np.ndarray, **options) -> Path:
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(path, **options)
    return path


def refused(path: Path, cause: str, *, by_header: bool = True) -> DataError:
    for read in (decode, check_header) if by_header else (decode,):
        with pytest.raises(DataError, match=cause) as caught:
            read(path)
        assert str(path) in caught.value.message and caught.value.fix
    return caught.value


def png_header(width: int, height: int) -> bytes:
    """A PNG of one short row that claims a size."""
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)), (b"IDAT", zlib.compress(b"\0" * 9)))
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in (*chunks, (b"IEND", b""))
    )
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("name", ["x.png", "x.bmp", "x.tif", "x.ppm", "x.webp"])
def test_lossless_formats(tmp_path, name):
    path = save(tmp_path / name, ramp(), **({"lossless": True} if name.endswith("webp") else {}))
    assert np.array_equal(np.asarray(decode(path)), ramp())
    assert check_header(path) == (16, 12)


def test_16_bit_is_scaled_not_clipped(tmp_path):
    values = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)
    ppm = tmp_path / "x.ppm"
    ppm.write_bytes(b"P5 64 64 65535\n" + values.astype(">u2").tobytes())
    for path in (save(tmp_path / "x.png", values), save(tmp_path / "x.tif", values), ppm):
        got = np.asarray(decode(path))
        assert got.shape == (64, 64, 3)
        assert np.abs(got[..., 0] / 255 - values / 65535).max() <= 1 / 255


def test_16_bit_transparent_value_is_white(tmp_path):
    path = save(tmp_path / "x.png", np.array([[300, 40000]], dtype=np.uint16), transparency=300)
    assert np.asarray(decode(path))[0, :, 0].tolist() == [255, 156]


@pytest.mark.parametrize("values", [[0, 2], [-0.1, 1], [0, float("nan")]])
def test_other_floats_are_refused_by_the_header_scan(tmp_path, values):
    refused(save(tmp_path / "x.tif", np.array([values], dtype=np.float32)), r"float values outside \[0, 1\]")


def test_32_bit_integers_are_refused(tmp_path):
    refused(save(tmp_path / "x.tif", np.array([[0, 70000]], dtype=np.int32)), "32-bit or signed integer")


def test_alpha_is_composited_on_white(tmp_path):
    rgba = np.array([[[255, 0, 0, 0], [255, 0, 0, 255], [0, 0, 0, 51]]], dtype=np.uint8)
    got = np.asarray(decode(save(tmp_path / "rgba.png", rgba)))
    assert got.tolist() == [[[255, 255, 255], [255, 0, 0], [204, 204, 204]]]
    la = Image.new("LA", (2, 1), (0, 0))
    la.putpixel((1, 0), (10, 255))
    assert np.asarray(decode(save(tmp_path / "la.png", la)))[0, :, 0].tolist() == [255, 10]


def palette_image() -> Image.Image:
    image = Image.new("P", (2, 1))
    image.putpalette([9, 8, 7, 200, 100, 50])
    image.putpixel((1, 0), 1)
    return image


def test_palette_with_and_without_transparency(tmp_path):
    opaque = np.asarray(decode(save(tmp_path / "p.png", palette_image())))
    assert opaque.tolist() == [[[9, 8, 7], [200, 100, 50]]]
    for transparency in (0, b"\x00\xff"):
        path = save(tmp_path / "t.png", palette_image(), transparency=transparency)
        assert np.asarray(decode(path)).tolist() == [[[255, 255, 255], [200, 100, 50]]]


def test_transparent_colour_of_rgb(tmp_path):
    image = Image.new("RGB", (2, 1), (1, 2, 3))
    image.putpixel((1, 0), (4, 5, 6))
    path = save(tmp_path / "x.png", image, transparency=(1, 2, 3))
    assert np.asarray(decode(path)).tolist() == [[[255, 255, 255], [4, 5, 6]]]


@pytest.mark.parametrize("name", ["x.jpg", "x.png", "x.tif", "x.webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, name, orientation):
    upright = np.kron(np.array([[0, 80, 160], [255, 30, 200]], dtype=np.uint8), np.ones((8, 8), dtype=np.uint8))
    undo = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]  # the inverse of what a viewer does
    stored = Image.fromarray(upright) if undo is None else Image.fromarray(upright).transpose(Image.Transpose(undo))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if name.endswith("webp") else {}
    path = save(tmp_path / name, stored.convert("RGB"), exif=exif, **options)
    assert np.abs(np.asarray(decode(path))[..., 0].astype(int) - upright).max() <= (4 if name == "x.jpg" else 0)
    assert check_header(path) == (24, 16)


def test_damaged_exif_does_not_cost_the_image(tmp_path):
    path = save(tmp_path / "x.png", ramp(), exif=b"Exif\0\0nonsense")
    assert decode(path).size == check_header(path) == (16, 12)


def test_empty_truncated_and_text(tmp_path):
    (tmp_path / "empty.jpg").touch()
    refused(tmp_path / "empty.jpg", "is empty")
    (tmp_path / "page.jpg").write_text("<!DOCTYPE html>\n<html>404</html>")
    refused(tmp_path / "page.jpg", "holds text: '<!DOCTYPE html>")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for kind in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM"):
        buffer = io.BytesIO()
        Image.fromarray(noise).save(buffer, format=kind)
        path = tmp_path / f"half.{kind.lower()}"
        path.write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])
        refused(path, "cannot be read|is not a readable", by_header=False)
        path.write_bytes(buffer.getvalue()[:5])
        refused(path, "cannot be read|is not a readable")


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("side", [8200, 12288, 20480])
def test_bombs_are_refused_before_they_are_decoded(tmp_path, side, recwarn):
    assert side**2 > MAX_PIXELS
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(side, side))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(path, "pixels, more than")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB


def test_a_sliver_is_refused(tmp_path):
    refused(save(tmp_path / "x.png", Image.new("RGB", (65, 1))), "longer than 64 times")
    assert decode(save(tmp_path / "y.png", Image.new("RGB", (64, 1)))).size == (64, 1)


def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "fifo.jpg")
    refused(tmp_path / "fifo.jpg", "is not a regular file")  # would hang if it were opened
    refused(Path("/dev/zero"), "is not a regular file")
    refused(tmp_path, "is not a regular file")
    (tmp_path / "broken.jpg").symlink_to(tmp_path / "nowhere")
    refused(tmp_path / "broken.jpg", "link to a missing file")
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    refused(tmp_path / "loop.jpg", "cannot be read")
    refused(tmp_path / "none.jpg", "does not exist")


def test_a_name_cannot_break_the_message(tmp_path):
    (tmp_path / "a\n\x1b[2J\n.jpg").touch()
    with pytest.raises(DataError) as caught:
        decode(tmp_path / "a\n\x1b[2J\n.jpg")
    assert caught.value.message == f"{tmp_path}/a\\n\\x1b[2J\\n.jpg: is empty (0 bytes)"
