"""TIFFs that tifffile wrote: every code as stored, axes and names as the file says them."""

import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image
from stored_files import FILES, U, held, refused, written_like
from tifffile import TiffFile, TiffWriter
from tifffile import imwrite as W

from i2i_forge.data import Header
from i2i_forge.errors import DataError

STACK = np.stack([U // k for k in range(1, 8)])
FIVE = np.arange(2 * 3 * 4 * 16 * 20).reshape(2, 3, 4, 16, 20).astype(np.uint16)
RGB = np.stack([U, U // 2, U // 3], -1)
LAST = (0, 3, 1, 2)


@pytest.mark.parametrize(
    ("codes", "options"),
    [
        (U, {}),
        (U.astype("u4") * 65537, {}),  # 1,245,203..4,292,870,111
        ((U / 65535).astype("f2"), {}),
        ((U / 65535).astype("f8"), {}),
        ((U / 65535).astype("f4"), {"compression": "deflate", "predictor": 3}),
        (U.astype("i2"), {}),
        ((U > 30000), {"photometric": "minisblack"}),
        (U, {"byteorder": ">"}),
        (U, {"bigtiff": True}),
        (U, {"tile": (32, 16)}),
        (U, {"tile": (128, 128), "compression": "deflate", "predictor": 2}),
        (U, {"rowsperstrip": 4}),
        (U, {"rowsperstrip": 4, "compression": "lzma"}),
        (U, {"compression": "packbits"}),
        (U, {"compression": "lzw", "predictor": True, "byteorder": ">"}),
        (U, {"compression": "zstd"}),
        (U, {"photometric": "miniswhite"}),
    ],
)
def test_codes_of_one_plane_are_as_stored(tmp_path, codes, options):
    W(tmp_path / "u.tif", codes, **options)
    header, found = held(tmp_path / "u.tif")
    assert np.array_equal(found, codes[None]) and found.dtype == codes.dtype
    assert header.channels == ("",) and header.axes == () and header.pixels == "numbers" and not header.slope[1:]
    assert header.is_raw == (not {"tile", "compression", "byteorder"} & set(options) and codes.dtype != bool)
    assert header.polarity == ("white_is_low" if "miniswhite" in options.values() else "white_is_high")
    assert bool(header.notes) == ("miniswhite" in options.values())


@pytest.mark.parametrize(
    ("codes", "options", "expected", "axes", "names"),
    [
        (RGB, {"photometric": "rgb"}, RGB.transpose(2, 0, 1), (), "RGB"),
        (STACK[:5], {"planarconfig": "separate", "photometric": "minisblack"}, STACK[:5], (), None),
        (STACK[:5].transpose(1, 2, 0), {"planarconfig": "contig", "photometric": "minisblack"}, STACK[:5], (), None),
        (STACK, {"photometric": "minisblack"}, STACK[:, None], (("pages", 7),), None),
        (STACK, {"photometric": "minisblack", "metadata": None}, STACK[:, None], (("pages", 7),), None),
        (STACK[:3], {"photometric": "minisblack"}, STACK[:3, None], (("pages", 3),), None),
        (STACK, {"photometric": "minisblack", "compression": "deflate"}, STACK[:, None], (("pages", 7),), None),
        (FIVE, {"ome": True, "metadata": {"axes": "TCZYX"}}, FIVE.transpose(0, 2, 1, 3, 4), (("t", 2), ("z", 4)), None),
        (FIVE, {"ome": True, "compression": "deflate", "metadata": {"axes": "TCZYX"}}, FIVE.transpose(0, 2, 1, 3, 4),
         (("t", 2), ("z", 4)), None),
        (FIVE[0], {"imagej": True, "metadata": {"axes": "ZCYX"}}, FIVE[0], (("z", 3),), None),
        (FIVE[0, 0], {"ome": True, "metadata": {"axes": "CYX", "Channel": {"Name": ["a", "b", "DAPI", "TOM20"]}}},
         FIVE[0, 0], (), ("a", "b", "DAPI", "TOM20")),
        (RGB[None].repeat(2, 0), {"ome": True, "photometric": "rgb", "metadata": {"axes": "ZYXS"}},
         RGB[None].repeat(2, 0).transpose(LAST), (("z", 2),), "RGB"),
        (STACK[:, :32, :32], {"volumetric": True, "tile": (16, 16, 16)}, STACK[:, None, :32, :32], (("z", 7),), None),
        (FIVE, {"photometric": "minisblack"}, FIVE[:, :, :, None],
         (("pages", 2), ("pages2", 3), ("pages3", 4)), None),
    ],
)  # fmt: skip
def test_channels_are_told_from_other_axes(tmp_path, codes, options, expected, axes, names):
    W(tmp_path / "u.tif", codes, **options)
    header, found = held(tmp_path / "u.tif")
    assert np.array_equal(found, expected) and header.axes == axes
    assert header.channels == (tuple(names) if names else ("",) * expected.shape[-3])
    assert header.pixels == ("colour" if names == "RGB" else "numbers")


def test_physical_sizes_are_in_millimetres(tmp_path):
    metadata = {"axes": "ZYX", "PhysicalSizeX": 0.108, "PhysicalSizeY": 0.216, "PhysicalSizeZ": 500.0,
                "PhysicalSizeZUnit": "nm"}  # fmt: skip
    W(tmp_path / "u.ome.tif", STACK, ome=True, metadata=metadata)
    assert held(tmp_path / "u.ome.tif")[0].spacing == pytest.approx((500e-6, 216e-6, 108e-6), rel=1e-12)
    copy = written_like(tmp_path / "u.ome.tif")
    with TiffFile(copy) as file:
        assert file.is_ome and file.series[0].axes == "ZYX"
    header, codes = held(copy)
    assert header.spacing == pytest.approx((500e-6, 216e-6, 108e-6), rel=1e-12) and header.axes == (("z", 7),)
    assert np.array_equal(codes[:, 0], STACK)


TURNED = {2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: np.transpose, 6: lambda a: np.rot90(a, -1),
          7: lambda a: np.rot90(a, 2).T, 8: np.rot90}  # fmt: skip


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("compression", [None, "deflate"])
def test_an_orientation_is_turned_exactly_and_back(tmp_path, orientation, compression):
    tag = [(274, 3, 1, orientation, True)]
    W(tmp_path / "u.tif", U, compression=compression, extratags=tag)
    _, found = held(tmp_path / "u.tif")
    assert np.array_equal(found[0], TURNED[orientation](U))
    with TiffFile(written_like(tmp_path / "u.tif")) as file:
        assert file.pages[0].tags[274].value == orientation and np.array_equal(file.asarray(), U)
        assert bool(file.pages[0].compression == 1) == (compression is None)


def test_a_palette_is_said_to_be_one_and_ycbcr_of_jpeg_is_rgb(tmp_path):
    colours = np.arange(3 * 256, dtype=np.uint16).reshape(3, 256)
    W(tmp_path / "u.tif", (U % 256).astype("u1"), photometric="palette", colormap=colours)
    header, found = held(tmp_path / "u.tif")
    assert header.pixels == "palette" and np.array_equal(found[0], U % 256)
    grey = np.full((64, 48, 3), 100, "u1")
    W(tmp_path / "j.tif", grey, photometric="rgb", compression="jpeg")  # tifffile makes YCbCr of it
    header, found = held(tmp_path / "j.tif")
    assert header.pixels == "colour" and header.channels == ("R", "G", "B") and abs(found.astype(int) - 100).max() <= 1
    Image.fromarray(np.zeros((8, 8, 4), "u1"), "CMYK").save(tmp_path / "c.tif")
    refused(tmp_path / "c.tif", "SEPARATED colours", "convert")
    W(tmp_path / "y.tif", grey, photometric="ycbcr", subsampling=(1, 1))
    refused(tmp_path / "y.tif", "YCBCR colours", "convert")


def test_pyramids_and_further_series_are_noted_not_read(tmp_path):
    with_levels, with_others = tmp_path / "p.ome.tif", tmp_path / "s.tif"
    with TiffWriter(with_levels, ome=True) as file:
        file.write(FIVE[0, 0], subifds=1, metadata={"axes": "CYX"})
        file.write(FIVE[0, 0, :, ::2, ::2], subfiletype=1)
    header, codes = held(with_levels)
    assert np.array_equal(codes, FIVE[0, 0]) and header.notes == (
        "holds 1 smaller copies of its image, which are not read",
    )
    with TiffWriter(with_others) as file:
        for page in (U, U[:5, :5]):
            file.write(page, metadata=None)
    header, codes = held(with_others)
    assert np.array_equal(codes, U[None]) and header.notes == ("holds 1 more series of images, which are not read",)


@pytest.mark.parametrize("options", [{}, {"compression": "deflate"}, {"rowsperstrip": 4, "compression": "deflate"},
                                     {"tile": (16, 16)}, {"compression": "lzw"}])  # fmt: skip
@pytest.mark.parametrize("codes", [U, STACK], ids=["page", "pages"])
def test_what_is_cut_off_is_no_image(tmp_path, codes, options):
    W(tmp_path / "u.tif", codes, photometric="minisblack", **options)
    whole, _ = (tmp_path / "u.tif").read_bytes(), held(tmp_path / "u.tif")
    with TiffFile(tmp_path / "u.tif") as file:
        last = max(sum(each) for page in file.pages for each in zip(page.dataoffsets, page.databytecounts, strict=True))
    for kept in (last - 1, last - 100, len(whole) // 2, 300, 12):  # what lies behind may be directories of raw pages
        (tmp_path / "u.tif").write_bytes(whole[:kept])
        refused(tmp_path / "u.tif", "truncated|damaged|cannot be read|pages of|holds no image|no format", read=True)


def test_damage_inside_a_strip_is_never_zeros(tmp_path):
    W(tmp_path / "u.tif", U, compression="deflate")
    with TiffFile(tmp_path / "u.tif") as file:
        at, count = file.pages[0].dataoffsets[0], file.pages[0].databytecounts[0]
    whole = bytearray((tmp_path / "u.tif").read_bytes())
    whole[at + count // 2 : at + count] = bytes(count - count // 2)
    (tmp_path / "u.tif").write_bytes(whole)
    refused(tmp_path / "u.tif", "cannot be read", read=True)


def test_missing_strips_and_pages_are_no_zeros(tmp_path):
    W(tmp_path / "u.tif", U, rowsperstrip=4, compression="deflate")
    with TiffFile(tmp_path / "u.tif", mode="r+") as file:
        counts = list(file.pages[0].databytecounts)
        file.pages[0].tags[279].overwrite([0, *counts[1:]])
    refused(tmp_path / "u.tif", "lacks strips or tiles")
    W(tmp_path / "o.ome.tif", STACK, ome=True, compression="deflate", metadata={"axes": "ZYX"})
    with TiffFile(tmp_path / "o.ome.tif", mode="r+") as file:
        text = (
            file.pages[0].tags[270].value.replace('SizeZ="7"', 'SizeZ="9"').replace('PlaneCount="7"', 'PlaneCount="9"')
        )
        file.pages[0].tags[270].overwrite(text)
    refused(tmp_path / "o.ome.tif", "lacks 2 of its 9 pages|pages of")


@pytest.mark.parametrize(("said", "lie"), [
    ('SizeZ="7"', 'SizeZ="400000000"'), ('SizeC="1"', 'SizeC="400000000"'), ('IFD="0"', 'IFD="2000000000"'),
    ('PlaneCount="7"', 'PlaneCount="400000000"'), ("<LightPath/>", '<AlongZ Start="0" End="1e12" Step="1"/>'),
])  # fmt: skip
def test_numbers_of_pages_that_cannot_be_true_are_refused_before_memory_is_taken(tmp_path, said, lie):
    W(tmp_path / "u.ome.tif", STACK, ome=True, metadata={"axes": "ZYX"})
    with TiffFile(tmp_path / "u.ome.tif", mode="r+") as file:
        text = file.pages[0].tags[270].value
        assert said in text
        file.pages[0].tags[270].overwrite(text.replace(said, lie))
    refused(tmp_path / "u.ome.tif", "more than 1,000,000 pages")


WITHOUT = """
import sys
sys.modules["imagecodecs"] = None
import numpy as np, pathlib
from i2i_forge.catalog.loading import load_plugins
from i2i_forge.data.file_formats import Files
files = Files(load_plugins().catalog.files)
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.tif")):
    try:
        np.save(path.with_suffix(".npy"), files.open(path).array())
    except Exception as error:
        path.with_suffix(".txt").write_text(f"{type(error).__name__}: {error.message} / {error.fix}")
"""


def test_without_imagecodecs_pillow_is_the_second_try_and_bombs_are_refused(tmp_path, monkeypatch):
    eight = (U % 251).astype("u1")
    bomb = tmp_path / "bomb.tif"
    W(tmp_path / "lzw.tif", U, compression="lzw")
    W(tmp_path / "lzw8.tif", eight, compression="lzw", predictor=True, byteorder=">")
    W(tmp_path / "float.tif", (U / 7).astype("f4"), compression="deflate", predictor=3)
    W(tmp_path / "deflate.tif", U, compression="deflate", predictor=2, rowsperstrip=4)
    W(tmp_path / "lzma.tif", STACK, compression="lzma", photometric="minisblack")
    W(tmp_path / "zstd.tif", U, compression="zstd")
    W(tmp_path / "two.tif", STACK[:2], compression="lzw", photometric="minisblack")
    W(bomb, np.zeros((16, 16), "u1"), compression="deflate", metadata=None)
    with TiffFile(bomb, mode="r+") as file:
        packed = zlib.compress(bytes(50_000_000))
        file.pages[0].tags[273].overwrite([bomb.stat().st_size])
        file.pages[0].tags[279].overwrite([len(packed)])
    with bomb.open("ab") as opened:
        opened.write(packed)
    refused(bomb, "cannot be read", read=True)  # with imagecodecs too
    monkeypatch.setenv("FORGE_PLUGINS", "image_files")
    subprocess.run([sys.executable, "-W", "error", "-c", WITHOUT, str(tmp_path)], check=True)
    found = {path.stem: np.load(path) for path in tmp_path.glob("*.npy")}
    expected = {"lzw": U, "lzw8": eight, "float": (U / 7).astype("f4"), "deflate": U, "lzma": STACK[:, None]}
    assert set(found) == set(expected)
    for name, codes in found.items():
        assert np.array_equal(codes, expected[name].reshape(codes.shape)) and codes.dtype == expected[name].dtype
    said = {path.stem: path.read_text() for path in tmp_path.glob("*.txt")}
    assert set(said) == {"zstd", "two", "bomb"} and said["bomb"].startswith("BadImage")
    assert all(
        said[name].startswith("DataError") and "pip install 'i2i-forge[tiff]'" in said[name] for name in ("zstd", "two")
    )
    assert "more than its place" in said["bomb"]


@pytest.mark.parametrize("axes", [(), (("z", 3),), (("t", 2), ("z", 3)), (("pages", 3),)])
@pytest.mark.parametrize("names", [("",), ("a", "b"), ("µ", "é", "c", "d"), ("R", "G", "B")])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32"])
def test_what_is_written_says_the_same_of_itself(tmp_path, axes, names, dtype):
    header = Header(5, 7, channels=names, axes=axes, dtype=dtype, nodata=(3.0,), unit="µg", slope=(0.5,),
                    offset=(-2.0,), pixels="colour" if "R" in names else "numbers")  # fmt: skip
    codes = np.random.default_rng(0).integers(0, 200, header.shape).astype(dtype)
    FILES.format("tiff").write(tmp_path / "w.tif", codes, header, None)
    for path in (tmp_path / "w.tif", written_like(tmp_path / "w.tif")):
        found, again = held(path)
        assert np.array_equal(again, codes) and {*found.slope} == {0.5} and {*found.offset} == {-2.0}
        for name in ("rows", "columns", "channels", "axes", "dtype", "nodata", "unit", "pixels"):
            assert getattr(found, name) == getattr(header, name), name


@pytest.mark.parametrize("header", [Header(2, 2, axes=(("z", 2),), dtype="float16"), Header(2, 2, axes=(("y", 2),))])
def test_what_tiff_cannot_say_is_not_written(tmp_path, header):
    with pytest.raises(DataError, match=r"TIFF has no (type float16|axes y)") as caught:
        FILES.format("tiff").write(tmp_path / "w.tif", np.zeros(header.shape, header.dtype), header, None)
    assert caught.value.fix and not (tmp_path / "w.tif").exists()


@pytest.mark.parametrize(("tag", "value", "cause"), [
    (322, 1 << 30, "larger than its image"), (257, 1 << 30, "more than"), (256, 0, "1x33x0 values"),
])  # fmt: skip
def test_sizes_that_cannot_be_true_are_refused(tmp_path, tag, value, cause):
    W(tmp_path / "u.tif", U, tile=(16, 16), compression="lzw", metadata=None)
    with TiffFile(tmp_path / "u.tif", mode="r+") as file:
        file.pages[0].tags[tag].overwrite(value)
    refused(tmp_path / "u.tif", cause)


def test_tiles_and_the_size_of_pixels_are_those_of_the_source(tmp_path):
    size = {"resolution": ((400000, 13), (400000, 13)), "resolutionunit": 3}
    W(tmp_path / "a.tif", U, tile=(16, 32), **size)
    with TiffFile(written_like(tmp_path / "a.tif")) as found:
        page = found.pages[0]
        tags = [page.tags.valueof(tag) for tag in (282, 283, 296)]
        assert (page.tile, tags) == ((16, 32), [(400000, 13), (400000, 13), 3])
        assert np.array_equal(page.asarray(), U)
