"""npy and npz: any real numbers, nothing unpickled, and axes that only a domain can name."""

import zipfile

import numpy as np
import pytest
from stored_files import FILES, U, held, refused, written_like

from i2i_forge.data import Header
from i2i_forge.errors import DataError

CUBE = np.arange(2 * 3 * 4, dtype=np.float64).reshape(2, 3, 4) - 7
FOUR = np.arange(2 * 2 * 3 * 4, dtype=np.int16).reshape(2, 2, 3, 4)


@pytest.mark.parametrize("save", [np.save, np.savez, np.savez_compressed])
@pytest.mark.parametrize(("codes", "axes"), [
    (U, ()), (U > 9, ()), (U.astype(">i4"), ()), (U.astype("f2"), ()), (np.asfortranarray(U), ()),
    (U.astype("u8") * 2**48, ()), (CUBE, (("axis0", 2),)), (np.asfortranarray(CUBE), (("axis0", 2),)),
    (FOUR.astype(">i2"), (("axis0", 2), ("axis1", 2))), (CUBE[:1], (("axis0", 1),)),
])  # fmt: skip
def test_values_are_as_saved(tmp_path, save, codes, axes):
    path = tmp_path / ("a.npy" if save is np.save else "a.npz")
    save(path, codes)
    header, found = held(path)
    assert np.array_equal(found[..., 0, :, :], codes) and header.axes == axes and header.channels == ("",)
    assert header.is_raw == (save is np.save and codes.dtype.isnative)
    again = np.load(written_like(path))
    assert np.array_equal(again if save is np.save else again["arr_0"], codes)


def test_channels_come_back_as_an_axis(tmp_path):
    header = Header(3, 4, channels=("a", "b"), dtype="float64")
    FILES.format("npy").write(tmp_path / "a.npy", CUBE, header, None)
    assert np.array_equal(np.load(tmp_path / "a.npy"), CUBE)
    with pytest.raises(DataError, match="npy has no place for slope"):
        FILES.format("npy").write(tmp_path / "b.npy", CUBE, Header(3, 4, slope=(2.0,)), None)


@pytest.mark.parametrize("save", [np.save, np.savez])
@pytest.mark.parametrize(("codes", "cause"), [
    (np.array([[{}, 1]], object), "object"), (np.zeros((2, 2), "c8"), "complex64"), (np.array([["a", "b"]]), "<U1"),
    (np.zeros((2, 2), "M8[s]"), "datetime64"), (np.zeros((2, 2), [("r", "u1"), ("g", "u1")]), "no real numbers"),
    (np.zeros(5), "no image"), (np.float64(3), "no image"), (np.zeros((0, 5)), "0x5 values|says"),
    (np.zeros((2, 2), "g"), "no real numbers"),
])  # fmt: skip
def test_what_is_no_image_of_numbers_is_refused(tmp_path, save, codes, cause):
    path = tmp_path / ("a.npy" if save is np.save else "a.npz")
    save(path, codes)
    refused(path, cause)


def claiming(shape, values=b"\0" * 64):
    """An npy whose header claims a shape."""
    text = f"{{'descr': '<u2', 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + values


@pytest.mark.parametrize(
    "shape", ["(99999, 999999)", "(99999999999, 4, 4)", "(4, 4, 99999999999)", "(4, 9)", "(-4, -8)"]
)
def test_a_header_that_lies_is_refused_before_memory_is_taken(tmp_path, shape):
    (tmp_path / "a.npy").write_bytes(claiming(shape))
    refused(tmp_path / "a.npy", "more than|truncated|header says|cannot be read")
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("arr_0.npy", claiming(shape))
    refused(tmp_path / "a.npz", "more than|header says|more or less|cannot be read", read=True)


def test_an_archive_holds_one_array_and_no_more_than_it_says(tmp_path):
    np.savez(tmp_path / "a.npz", image=U, mask=U > 3)
    refused(tmp_path / "a.npz", "holds 2 arrays: image, mask", "one array")
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("arr_0.npy", claiming("(4, 8)", bytes(50_000_000)))
    refused(tmp_path / "bomb.npz", "more or less than the 64 bytes", read=True)
    whole = (tmp_path / "bomb.npz").read_bytes()
    (tmp_path / "bomb.npz").write_bytes(whole[:-200])
    refused(tmp_path / "bomb.npz", "cannot be read")
