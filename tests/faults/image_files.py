"""Image files as the faults need them, and what a subject makes of them."""

import os
import struct
import zlib
from io import BytesIO

import numpy as np
from PIL import Image

SIDE = 64  # pixels: no subject resizes an image of this size


def noise(seed=0):
    """64,64,3 of 0..255."""
    return np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


def ramp():
    """64,64 from 0 to 1, smooth, so that JPEG hardly changes it."""
    return np.linspace(0, 1, SIDE * SIDE).reshape(SIDE, SIDE)


def folder_of(root, write=None, name="", *, good=5):
    """A folder with `good` images in trainA and one more that is written by write(path); six in trainB.

    With batches of two, three steps see every image.
    """
    for domain, count in (("trainA", good), ("trainB", 6)):
        (root / domain).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(noise(number)).save(root / domain / f"{number}.png")
    if write:
        write(root / "trainA" / name)
    return root


def saved(kind, image=None, **options):
    """The bytes of an image file."""
    file = BytesIO()
    (Image.fromarray(noise()) if image is None else image).save(file, format=kind, **options)
    return file.getvalue()


def half(kind):
    """The first half of an image file: its header is whole."""
    whole = saved(kind)
    return whole[: len(whole) // 2]


def bomb(side):
    """A PNG of a few kilobytes that unpacks to side * side pixels."""
    packer = zlib.compressobj(9)
    row = bytes(1 + side // 8)
    pixels = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    return _png((side, side, 1, 0, 0, 0, 0), pixels)


def _png(header, data):
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", *header)), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def tiff(pixels, photometric=1, extra=(), *, order="<", planar=False):
    """The bytes of an uncompressed TIFF of H,W or H,W,bands of any number type, which Pillow could not write."""
    pixels = np.atleast_3d(pixels)
    height, width, bands = pixels.shape
    stored = np.moveaxis(pixels, 2, 0) if planar else pixels
    data = stored.astype(pixels.dtype.newbyteorder(order)).tobytes()
    form = {"u": 1, "i": 2, "f": 3, "c": 6}[pixels.dtype.kind]
    planes = bands if planar else 1
    tags = {  # all SHORT
        256: (width,), 257: (height,), 258: (8 * pixels.dtype.itemsize,) * bands, 259: (1,), 262: (photometric,),
        273: [8 + plane * len(data) // planes for plane in range(planes)], 277: (bands,), 278: (height,),
        279: (len(data) // planes,) * planes, 284: (2 if planar else 1,), 338: extra, 339: (form,) * bands,
    }  # fmt: skip
    tags = {tag: values for tag, values in tags.items() if values}
    after = 8 + len(data) + 2 + 12 * len(tags) + 4
    entries, longer = b"", b""
    for tag, values in tags.items():
        value = struct.pack(f"{order}{len(values)}H", *values)
        if len(value) > 4:
            value, longer = struct.pack(f"{order}L", after + len(longer)), longer + value
        entries += struct.pack(f"{order}HHL", tag, 3, len(values)) + value.ljust(4, b"\0")
    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HL", 42, 8 + len(data))
    return head + data + struct.pack(f"{order}H", len(tags)) + entries + bytes(4) + longer


def png16(pixels, colour):
    """The bytes of a PNG of 16 bits, H,W,bands, of a colour type."""
    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    return _png((width, height, 16, colour, 0, 0, 0), zlib.compress(rows))


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\nshowpage\n%%EOF\n"

# name -> bytes; each must be refused, with exit code 4 and its name
REFUSED = {
    "empty.jpg": lambda: b"",
    "cut.jpg": lambda: half("JPEG"),
    "cut.png": lambda: half("PNG"),
    "page.jpg": lambda: b"<!DOCTYPE html>\n<html><body>404 Not Found</body></html>",
    "bomb-20480.png": lambda: bomb(20480),
    "bomb-12288.png": lambda: bomb(12288),
    "eps.jpg": lambda: EPS,
    "psd.jpg": lambda: b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 64, 64, 8, 3) + bytes(12 + 2 + 3 * 64 * 64),
    "fits.jpg": lambda: b"SIMPLE  =                    T".ljust(2880),
    "gif.jpg": lambda: saved("GIF"),
}


def write_refused(name):
    """A function that writes the file of a name."""
    return lambda path: path.write_bytes(REFUSED[name]())


def write_odd_entries(folder):
    """What is no image file, under names of such: a fifo, a device, links to nothing, to themselves and to parents."""
    os.mkfifo(folder / "fifo.jpg")
    (folder / "device.jpg").symlink_to("/dev/zero")
    (folder / "broken.png").symlink_to(folder / "nowhere.png")
    (folder / "self.png").symlink_to(folder / "self.png")
    (folder / "loop").symlink_to(folder)
    (folder / "up").symlink_to(folder.parent)
    (folder / "again.png").symlink_to(folder / "0.png")


def fed(subject, path):
    """What a subject's network is given for the only image of a folder: 64,64,3 of 0..255."""
    if subject.name == "forge":
        from i2i_forge.data import ImageSource, Transform, list_images

        example = ImageSource("a", list_images(path.parent), Transform(SIDE)).example(0, None)["a"] / 2 + 0.5
    else:
        example = subject.module.Images(path.parent)[0]
    return 255 * example.permute(1, 2, 0).numpy()
