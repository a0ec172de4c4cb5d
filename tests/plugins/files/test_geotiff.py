"""GeoTIFFs that rasterio wrote: nodata, scales and names of bands, and the same place for what is written like them."""

import numpy as np
import pytest
from stored_files import U, held, refused, written_like

rasterio = pytest.importorskip("rasterio")
from affine import Affine  # noqa: E402

BANDS = np.stack([U, U // 2, U // 3])
ROTATED = Affine(10, 0.5, 5e5, 0.3, -10, 5.1e6)
NORTH_UP = Affine(10, 0, 5e5, 0, -10, 5.1e6)


def save(path, bands=BANDS, **options):
    about = {"scales": (), "offsets": (), "descriptions": (), **options}
    profile = {"crs": "EPSG:32632", "transform": NORTH_UP} | {k: v for k, v in options.items() if k not in
               ("scales", "offsets", "descriptions", "units")}  # fmt: skip
    count, height, width = bands.shape
    with rasterio.open(path, "w", "GTiff", width, height, count, dtype=bands.dtype, **profile) as file:
        file.write(bands)
        for name in ("scales", "offsets", "descriptions"):
            if about[name]:
                setattr(file, name, about[name])
    return path


@pytest.mark.parametrize("options", [{}, {"compress": "lzw", "tiled": True, "blockxsize": 16, "blockysize": 16},
                                     {"interleave": "band", "compress": "deflate", "predictor": 2},
                                     {"compress": "zstd"}, {"bigtiff": "yes"}, {"endianness": "big"}])  # fmt: skip
def test_bands_are_channels(tmp_path, options):
    header, codes = held(save(tmp_path / "g.tif", **options))
    assert np.array_equal(codes, BANDS) and header.axes == () and header.channels == ("", "", "")
    assert "EPSG:32632" in header.notes[0] and "(500000, 5100000)" in header.notes[0]


@pytest.mark.parametrize(("nodata", "expected"), [(0, (0.0,)), (65535, (65535.0,)), (None, ())])
def test_nodata_is_what_the_file_says(tmp_path, nodata, expected):
    bands = BANDS.copy()
    bands[bands == 0] = 1
    bands[:, :5, :5] = 0
    header, codes = held(save(tmp_path / "g.tif", bands, nodata=nodata))
    assert header.nodata == expected and (codes == 0).sum(axis=(1, 2)).tolist() == [25, 25, 25]


def test_nan_is_nodata_where_the_file_says_so(tmp_path):
    bands = (BANDS / 7).astype("f4")
    bands[0, 0, 0] = np.nan
    header, codes = held(save(tmp_path / "g.tif", bands, nodata=np.nan))
    assert np.isnan(header.nodata) and np.isnan(codes).sum() == 1


def test_scales_offsets_and_names_of_bands(tmp_path):
    names = ("B02", "B03", "B04")
    path = save(tmp_path / "g.tif", scales=(1e-4, 1e-4, 2e-4), offsets=(-0.1, -0.1, 0), descriptions=names)
    header, codes = held(path)
    assert header.slope == (1e-4, 1e-4, 2e-4) and header.offset == (-0.1, -0.1, 0) and header.channels == names
    assert np.array_equal(codes, BANDS)
    eight = save(tmp_path / "e.tif", (BANDS // 256).astype("u1"), descriptions=names, photometric="rgb")
    assert held(eight)[0].channels == names and held(eight)[0].pixels == "numbers"  # GDAL calls it RGB


@pytest.mark.parametrize("transform", [NORTH_UP, ROTATED])
def test_another_image_at_the_same_place(tmp_path, transform):
    path = save(tmp_path / "g.tif", transform=transform, nodata=0, descriptions=("a", "b", "c"), scales=(2, 2, 2))
    codes = np.linspace(-1, 1, 4 * U.size).reshape(4, *U.shape).astype("f4")
    copy = written_like(path, codes, channels=("VV", "", "", "VH"), dtype="float32", nodata=(-9999.0,), slope=(1.0,),
                        offset=(0.0,), unit="dB", pixels="numbers")  # fmt: skip
    with rasterio.open(path) as source, rasterio.open(copy) as file:
        assert file.crs == source.crs and file.transform == source.transform == transform
        assert file.nodatavals == (-9999,) * 4 and file.descriptions == ("VV", None, None, "VH")
        assert file.scales == (1,) * 4 and file.units == ("dB",) * 4 and np.array_equal(file.read(), codes)
    header, found = held(copy)
    assert np.array_equal(found, codes) and header.unit == "dB" and header.grid == held(path)[0].grid
    scaled = written_like(path, slope=(1e-4, 2e-4, 3e-4), offset=(-0.1, 0.0, 0.1))
    with rasterio.open(scaled) as file:
        assert file.scales == (1e-4, 2e-4, 3e-4) and file.offsets == (-0.1, 0, 0.1)


def test_other_places_are_other_grids(tmp_path):
    grids = {held(save(tmp_path / "g.tif", **each))[0].grid for each in (
        {}, {"transform": NORTH_UP @ Affine.translation(1, 0)}, {"crs": "EPSG:32633"}, {"transform": ROTATED},
    )}  # fmt: skip
    assert len(grids) == 4
    same = save(tmp_path / "same.tif", BANDS[:1].astype("f4"), compress="lzw", nodata=3)
    assert held(same)[0].grid == held(save(tmp_path / "g.tif"))[0].grid


def test_overviews_masks_and_tiles_that_are_left_out(tmp_path):
    grey = np.random.default_rng(2).integers(0, 4096, (600, 700)).astype(np.uint16)
    with rasterio.open(
        tmp_path / "c.tif", "w", "COG", 700, 600, 1, "EPSG:4326", NORTH_UP, "uint16", blocksize=256
    ) as file:
        file.write(grey[None])
    header, codes = held(tmp_path / "c.tif")
    assert np.array_equal(codes[0], grey) and "smaller copies" in header.notes[1]
    path = save(tmp_path / "m.tif", grey[None], nbits=12)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as file:
        file.write_mask(grey > 99)
    header, codes = held(path)
    assert np.array_equal(codes[0], grey) and header.bits == 12 and "1 more series" in header.notes[1]
    sparse = {"tiled": True, "blockxsize": 256, "blockysize": 256, "SPARSE_OK": True, "compress": "deflate"}
    for nodata in (7, None):
        profile = {"crs": "EPSG:4326", "transform": NORTH_UP, "nodata": nodata, "dtype": "uint16", **sparse}
        with rasterio.open(tmp_path / "s.tif", "w", "GTiff", 700, 600, 1, **profile) as file:
            file.write(grey[:256, :256], 1, window=((0, 256), (0, 256)))
        if nodata is None:
            refused(tmp_path / "s.tif", "says no nodata")
        else:
            codes = held(tmp_path / "s.tif")[1][0]
            assert (codes[256:] == 7).all() and np.array_equal(codes[:256, :256], grey[:256, :256])
