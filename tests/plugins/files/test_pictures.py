"""PNG, JPEG, WebP, BMP and PPM that Pillow, imagecodecs and hands wrote: codes as they are in the file."""

import io
import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps
from stored_files import FILES, U, held, refused, written_like

from i2i_forge.data import Header
from i2i_forge.errors import DataError

EIGHT = (U % 251).astype(np.uint8)
COLOUR = np.stack([EIGHT, EIGHT // 2, EIGHT // 3], -1)
ALPHA = np.concatenate([COLOUR, EIGHT[..., None]], -1)


def png(path, rows, width, bits, kind, *chunks):
    """A PNG by hand: rows of bytes, and chunks before its pixels."""
    body = [(b"IHDR", struct.pack(">IIBBBBB", width, len(rows), bits, kind, 0, 0, 0)), *chunks,
            (b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))), (b"IEND", b"")]  # fmt: skip
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in body
    ))  # fmt: skip
    return path


@pytest.mark.parametrize(("codes", "options", "pixels", "names"), [
    (EIGHT, {"format": "PNG"}, "numbers", ("",)), (U, {"format": "PNG"}, "numbers", ("",)),
    (COLOUR, {"format": "PNG"}, "colour", ("R", "G", "B")), (ALPHA, {"format": "PNG"}, "colour", ("R", "G", "B", "A")),
    (ALPHA[..., 2:], {"format": "PNG"}, "numbers", ("", "A")), (COLOUR, {"format": "BMP"}, "colour", ("R", "G", "B")),
    (COLOUR, {"format": "WEBP", "lossless": True}, "colour", ("R", "G", "B")),
    (EIGHT, {"format": "PPM"}, "numbers", ("",)),
    (COLOUR, {"format": "PPM"}, "colour", ("R", "G", "B")), (U, {"format": "PPM"}, "numbers", ("",)),
    ((U / 7).astype("f4"), {"format": "PPM"}, "numbers", ("",)),
])  # fmt: skip
def test_codes_are_as_stored(tmp_path, codes, options, pixels, names):
    path = tmp_path / f"p.{options['format'].lower()}"
    Image.fromarray(codes).save(path, **options)
    header, found = held(path)
    assert np.array_equal(found, np.atleast_3d(codes).transpose(2, 0, 1)) and found.dtype == codes.dtype
    assert header.pixels == pixels and header.channels == names and header.notes == ()
    assert header.bits == 8 * codes.dtype.itemsize and not header.is_raw


@pytest.mark.parametrize(("bits", "byte", "expected"), [(1, 0b10110001, [1, 0, 1, 1, 0, 0, 0, 1]),
                                                       (2, 0b00011011, [0, 1, 2, 3]), (4, 0x0F, [0, 15])])  # fmt: skip
@pytest.mark.parametrize("kind", [0, 3])
def test_few_bits_are_not_scaled(tmp_path, bits, byte, expected, kind):
    palette = [(b"PLTE", bytes(range(3 * 2**bits)))] if kind == 3 else []
    path = png(tmp_path / "p.png", [bytes([byte])] * 3, len(expected), bits, kind, *palette)
    header, codes = held(path)
    assert codes.tolist() == [[expected] * 3] and codes.dtype == np.uint8 and header.bits == bits
    assert header.pixels == ("palette" if kind == 3 else "numbers")


@pytest.mark.parametrize("all_values", [np.arange(2), np.arange(4), np.arange(16), np.arange(256)])
def test_every_code_of_grey_comes_back(tmp_path, all_values):
    bits = len(all_values).bit_length() - 1
    packed = np.packbits(np.unpackbits(all_values.astype("u1")[:, None], axis=1)[:, -bits:].ravel()).tobytes()
    assert held(png(tmp_path / "p.png", [packed], len(all_values), bits, 0))[1].ravel().tolist() == all_values.tolist()


def test_chunks_that_change_no_code_are_noted(tmp_path):
    row = np.array([0, 4095, 17], ">u2").tobytes()
    for name, data in ((b"sBIT", b"\x0c"), (b"gAMA", struct.pack(">I", 45455)), (b"sRGB", b"\0")):
        header, codes = held(png(tmp_path / "p.png", [row], 3, 16, 0, (name, data)))
        assert codes.ravel().tolist() == [0, 4095, 17] and header.bits == 16 and name.decode() in header.notes[0]
    header, codes = held(png(tmp_path / "p.png", [row], 3, 16, 0, (b"tRNS", struct.pack(">H", 4095))))
    assert header.nodata == (4095,) and codes.ravel().tolist() == [0, 4095, 17]
    assert held(written_like(tmp_path / "p.png"))[0] == header


@pytest.mark.parametrize(("channels", "kind"), [(2, 4), (3, 2), (4, 6)])
def test_deep_colour_takes_imagecodecs(tmp_path, monkeypatch, channels, kind):
    imagecodecs = pytest.importorskip("imagecodecs")
    codes = np.stack([U // (k + 1) for k in range(channels)], -1)
    (tmp_path / "p.png").write_bytes(imagecodecs.png_encode(codes))
    header, found = held(tmp_path / "p.png")
    assert np.array_equal(found, codes.transpose(2, 0, 1)) and header.bits == 16 and len(header.channels) == channels
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    refused(tmp_path / "p.png", "colour of 16 bits, which Pillow cuts to 8", r"i2i-forge\[tiff\]", DataError)
    (tmp_path / "p.ppm").write_bytes(b"P6\n2 1\n65535\n" + bytes(12))
    refused(tmp_path / "p.ppm", "colour of 16 bits", "PNG or TIFF", DataError)


@pytest.mark.parametrize("white", [15, 255, 1023, 4095, 65535])
def test_grey_of_pgm_is_not_stretched(tmp_path, white):
    codes = np.arange(white + 1).reshape(-1, min(white + 1, 256))
    rows, columns = codes.shape
    dtype = "u1" if white < 256 else ">u2"
    (tmp_path / "p.pgm").write_bytes(b"P5\n%d %d\n%d\n" % (columns, rows, white) + codes.astype(dtype).tobytes())
    header, found = held(tmp_path / "p.pgm")
    assert np.array_equal(found[0], codes) and header.bits == white.bit_length()


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_is_applied(tmp_path, format, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    options = {"lossless": True} if format == "WEBP" else {"quality": 100} if format == "JPEG" else {}
    Image.fromarray(COLOUR).save(tmp_path / "p.img", format, exif=exif, **options)
    with Image.open(tmp_path / "p.img") as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(held(tmp_path / "p.img")[1], expected.transpose(2, 0, 1))


def test_frames_and_inks(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "a.webp", save_all=True, append_images=[Image.fromarray(COLOUR // 2)])
    assert held(tmp_path / "a.webp")[0].notes == ("the first of 2 frames is read",)
    Image.fromarray(ALPHA, "CMYK").save(tmp_path / "c.jpg")
    refused(tmp_path / "c.jpg", "CMYK colours", "convert")


@pytest.mark.parametrize("codes", [EIGHT, U, COLOUR], ids=["8", "16", "rgb"])
@pytest.mark.parametrize("kept", [-1, 0.5, 30])
def test_what_is_cut_off_is_no_image(tmp_path, codes, kept):
    content = io.BytesIO()
    Image.fromarray(codes).save(content, "PNG")
    data = content.getvalue()
    cut = {-1: len(data) - 100, 0.5: len(data) // 2}.get(kept, kept)
    (tmp_path / "p.png").write_bytes(data[:cut])
    refused(tmp_path / "p.png", "cannot be read", read=True)


@pytest.mark.parametrize(("codes", "header"), [
    (EIGHT, {"dtype": "uint8"}), (U, {"dtype": "uint16"}), (U, {"dtype": "uint16", "nodata": (65535.0,)}),
    (COLOUR, {"dtype": "uint8", "channels": ("R", "G", "B"), "pixels": "colour"}),
    (ALPHA, {"dtype": "uint8", "channels": ("R", "G", "B", "A"), "pixels": "colour"}),
])  # fmt: skip
def test_a_png_is_written_exactly(tmp_path, codes, header):
    planes = np.atleast_3d(codes).transpose(2, 0, 1)
    FILES.format("picture").write(tmp_path / "p.png", planes, Header(33, 47, **header), None)
    with Image.open(tmp_path / "p.png") as image:
        assert image.format == "PNG" and np.array_equal(np.asarray(image), codes)
    found, again = held(tmp_path / "p.png")
    assert np.array_equal(again, planes) and found.nodata == header.get("nodata", ())


@pytest.mark.parametrize("header", [
    {"dtype": "float32"}, {"dtype": "uint16", "channels": ("R", "G", "B"), "pixels": "colour"}, {"dtype": "int16"},
    {"channels": ("a", "b", "c")}, {"axes": (("z", 2),)}, {"slope": (2.0,)}, {"offset": (-1024.0,)},
])  # fmt: skip
def test_a_png_holds_nothing_else(tmp_path, header):
    about = Header(2, 2, **header)
    with pytest.raises(DataError, match="PNG") as caught:
        FILES.format("picture").write(tmp_path / "p.png", np.zeros(about.shape, about.dtype), about, None)
    assert caught.value.fix and not (tmp_path / "p.png").exists()
