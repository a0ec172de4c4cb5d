"""mha, mhd, nrrd and nhdr that SimpleITK wrote, and what is written like them, read by SimpleITK."""

import gzip
import os
import tracemalloc
import zlib

import numpy as np
import pytest
from stored_files import held, refused, written_like

itk = pytest.importorskip("SimpleITK")

VOLUME = np.random.default_rng(1).integers(-1024, 3072, (4, 5, 6)).astype(np.int16)  # k,j,i
VALUES = VOLUME.tobytes()
COS, SIN = np.cos(np.radians(12)), np.sin(np.radians(12))
OBLIQUE = (COS, -SIN, 0, SIN, COS, 0, 0, 0, 1)
RAS = (-1, 0, 0, 0, -1, 0, 0, 0, 1)
PIR = (0, 0, -1, 1, 0, 0, 0, -1, 0)  # i goes to P, j to I, k to R; columns are directions
ENDINGS = (".mha", ".mhd", ".nrrd", ".nhdr")


def save(path, codes=VOLUME, *, direction=OBLIQUE, spacing=(0.9, 1.1, 3.0), packed=False, vector=False):
    image = itk.GetImageFromArray(codes, isVector=vector)
    count = image.GetDimension()
    image.SetSpacing(spacing[:count])
    image.SetOrigin((-12.5, 7.25, 1 / 3)[:count])
    if count == 3:
        image.SetDirection(direction)
    itk.WriteImage(image, str(path), useCompression=packed)
    return path


def told(path):
    """What SimpleITK says of a file, and its values."""
    image = itk.ReadImage(str(path))
    return (image.GetSpacing(), image.GetOrigin(), image.GetDirection()), itk.GetArrayFromImage(image)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(("direction", "letters", "turned"), [
    (OBLIQUE, "LPS", lambda a: a), (RAS, "RAS", lambda a: a[:, ::-1, ::-1]),
    (PIR, "PIR", lambda a: a.transpose(1, 2, 0)[::-1, :, ::-1]),
])  # fmt: skip
def test_a_volume_comes_to_one_orientation_and_back(tmp_path, ending, packed, direction, letters, turned):
    path = save(tmp_path / f"v{ending}", direction=direction, packed=packed)
    header, codes = held(path)
    assert np.array_equal(codes[:, 0], turned(VOLUME)) and header.orientation == letters
    assert header.axes == (("z", len(codes)),) and header.is_raw != packed
    image = itk.DICOMOrient(itk.ReadImage(str(path)), "LPS")
    assert np.array_equal(itk.GetArrayFromImage(image), codes[:, 0])
    assert header.spacing == pytest.approx(image.GetSpacing()[::-1])
    affine = np.array(header.affine)
    assert affine[:, 3] == pytest.approx(image.GetOrigin(), abs=1e-12)
    steps = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    assert affine[:, 2::-1] == pytest.approx(steps, abs=1e-12)
    same = written_like(path)
    where, values = told(same)
    assert where == told(path)[0] and np.array_equal(values, VOLUME)
    assert held(same)[0] == header


@pytest.mark.parametrize("ending", ENDINGS)
def test_channels_types_and_byte_orders(tmp_path, ending):
    for kind in ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"):
        codes = VOLUME.astype(kind)
        header, found = held(save(tmp_path / f"v{ending}", codes))
        assert np.array_equal(found[:, 0], codes) and header.dtype == codes.dtype.name
        assert np.array_equal(told(written_like(tmp_path / f"v{ending}"))[1], codes)
    two = np.stack([VOLUME, VOLUME // 2], -1)
    path = save(tmp_path / f"c{ending}", two, direction=RAS, vector=True)
    header, found = held(path)
    assert header.channels == ("", "") and np.array_equal(found, two[:, ::-1, ::-1].transpose(0, 3, 1, 2))
    where, values = told(written_like(path))
    assert where == told(path)[0] and np.array_equal(values, two)
    plane = save(tmp_path / f"p{ending}", VOLUME[0])
    header, found = held(plane)
    assert np.array_equal(found[0], VOLUME[0]) and header.axes == () and header.spacing == (0, 1.1, 0.9)
    where, values = told(written_like(plane))
    assert where == told(plane)[0] and np.array_equal(values, VOLUME[0])


@pytest.mark.parametrize("ending", [".mha", ".nrrd"])
def test_other_numbers_at_the_same_place_and_a_place_of_its_own(tmp_path, ending):
    path = save(tmp_path / f"v{ending}", direction=PIR, packed=True)
    header, codes = held(path)
    values = (np.stack([codes[:, 0], codes[:, 0] * 2], 1) / 7).astype("f4")
    copy = written_like(path, values, channels=("a", "b"), dtype="float32")
    where, found = told(copy)
    assert where == told(path)[0] and found.shape == (*VOLUME.shape, 2)
    assert np.array_equal(held(copy)[1], values)
    alone = written_like(path, like=False)
    where, found = told(alone)
    assert np.array_equal(found, codes[:, 0]) and np.allclose(where[0], header.spacing[::-1])
    assert np.allclose(where[1], np.array(header.affine)[:, 3]) and held(alone)[0].grid == header.grid


def nrrd(path, lines, values=VOLUME):
    text = ["NRRD0005", "type: short", "dimension: 3", "sizes: 6 5 4", "encoding: raw", "endian: little"]
    kept = [line for line in text if not any(line.partition(":")[0] == other.partition(":")[0] for other in lines)]
    data = values if isinstance(values, bytes) else values.tobytes()
    path.write_bytes("\n".join([*kept, *lines, "", ""]).encode() + data)
    return path


AXES = "space directions: (2,0,0) (0,3,0) (0,0,5)"


@pytest.mark.parametrize(("lines", "values", "expected", "orientation"), [
    (["space: right-anterior-superior", AXES], VOLUME, VOLUME[:, None, ::-1, ::-1], "RAS"),
    (["space: LPS", AXES], VOLUME, VOLUME[:, None], "LPS"),
    (["space: 3D-right-handed", AXES], VOLUME, VOLUME[:, None], ""),
    (["spacings: 2 3 5"], VOLUME, VOLUME[:, None], ""),
    (["endian: big", "spacings: 2 3 5"], VOLUME.astype(">i2"), VOLUME[:, None], ""),
    (["byte skip: -1", "spacings: 2 3 5"], b"junk" + VALUES, VOLUME[:, None], ""),
    (["encoding: gzip", "spacings: 2 3 5"], gzip.compress(VOLUME.tobytes()), VOLUME[:, None], ""),
    (["kinds: vector domain domain", "spacings: nan 3 5"], VOLUME, VOLUME.transpose(2, 0, 1), ""),
    (["kinds: domain domain vector", "spacings: 3 5 nan"], VOLUME, VOLUME, ""),
    (["dimension: 4", "sizes: 6 5 2 2", "kinds: domain domain domain time", "space: LPS", AXES + " none"],
     VOLUME, VOLUME.reshape(2, 2, 1, 5, 6), "LPS"),
])  # fmt: skip
def test_headers_of_nrrd(tmp_path, lines, values, expected, orientation):
    path = nrrd(tmp_path / "v.nrrd", lines, values)
    header, codes = held(path)
    assert np.array_equal(codes, expected) and header.orientation == orientation
    spacing = (5, 3, 2) if expected.ndim > 3 else (0, 5, 3)
    assert header.spacing == spacing
    assert np.array_equal(held(written_like(path))[1], codes) and held(written_like(path))[0].spacing == spacing


def meta(path, values=VALUES, **fields):
    said = {"ObjectType": "Image", "NDims": 3, "DimSize": "6 5 4", "ElementType": "MET_SHORT",
            "ElementDataFile": "LOCAL", **fields}  # fmt: skip
    said["ElementDataFile"] = said.pop("ElementDataFile")  # the last line
    path.write_bytes("".join(f"{name} = {value}\n" for name, value in said.items()).encode() + values)
    return path


@pytest.mark.parametrize(("fields", "values", "expected"), [
    ({}, VALUES, VOLUME),
    ({"BinaryDataByteOrderMSB": "True"}, VOLUME.astype(">i2").tobytes(), VOLUME),
    ({"CompressedData": "True"}, zlib.compress(VOLUME.tobytes()), VOLUME),
    ({"ElementSize": "2 3 5"}, VALUES, VOLUME),
    ({"NDims": 4, "DimSize": "6 5 2 2"}, VALUES, VOLUME.reshape(2, 2, 5, 6)),
])  # fmt: skip
def test_headers_of_meta_image(tmp_path, fields, values, expected):
    header, codes = held(meta(tmp_path / "v.mha", values, **fields))
    assert np.array_equal(codes[..., 0, :, :], expected) and header.orientation == "LPS"
    assert header.spacing == ((5, 3, 2) if "ElementSize" in fields else (1, 1, 1))
    assert np.array_equal(held(written_like(tmp_path / "v.mha"))[1], codes)


@pytest.mark.parametrize(("lines", "cause"), [
    (["encoding: ascii"], "encoding ascii"), (["encoding: hex"], "encoding hex"), (["type: block"], "type block"),
    (["kinds: domain domain complex"], "kinds"), (["kinds: domain domain ???"], "kinds"), (["line skip: 3"], "skips"),
    (["sizes: 6 5 5"], "truncated"), (["sizes: 6 5"], "sizes"), (["sizes: 6 5 0"], "0 values|6x5|header says"),
    (["sizes: 60000 60000 60000"], "more than"), (["endian: middle"], "endian"),
    (["space: LPS", "space directions: (1,0,0) (1,0,0) (0,0,1)"], "do not span"),
    (["space: LPS", "space directions: (1,0,0) (nan,0,0) (0,0,1)"], "do not span"),
    (["dimension: 99999999999"], "axes of the kinds"), (["byte skip: -9"], "begin at byte"),
    (["sizes: 99999999999 5 4", "kinds: vector domain domain"], "more than 65,535"),
    (["data file: ../x.raw"], "no plain name"), (["data file: /etc/passwd"], "no plain name"),
    (["data file: LIST"], "list of files"), (["data file: x%03d.raw 1 4 1"], "no plain name"),
])  # fmt: skip
def test_what_nrrd_is_refused(tmp_path, lines, cause):
    path = nrrd(tmp_path / "v.nrrd", lines)
    refused(path, cause, kind=Exception)


@pytest.mark.parametrize(("fields", "cause"), [
    ({"ElementDataFile": "LIST"}, "list of files"), ({"ElementDataFile": "../x.raw"}, "no plain name"),
    ({"ElementDataFile": "/etc/passwd"}, "no plain name"), ({"ElementDataFile": "x%d.raw 1 4 1"}, "no plain name"),
    ({"ElementDataFile": ".."}, "no plain name"), ({"ElementDataFile": "link.raw"}, "link to another folder"),
    ({"ElementDataFile": "pipe.raw"}, "not a regular file"), ({"ElementDataFile": "missing.raw"}, "does not exist"),
    ({"DimSize": "6 5 5"}, "truncated"),
    ({"DimSize": "6 5"}, "has 2 numbers"), ({"DimSize": "99999 9999 99999"}, "more than"),
    ({"DimSize": "6 5 -4"}, "header says"), ({"ElementType": "MET_OTHER"}, "MET_OTHER"), ({"NDims": "9"}, "9 axes"),
    ({"ElementNumberOfChannels": "99999999999"}, "more than 65,535"), ({"NDims": "99999999999"}, "axes of"),
    ({"ElementDataFile": "v.mhd", "HeaderSize": "-5"}, "begin at byte -5"),
    ({"BinaryData": "False"}, "BinaryData False"), ({"TransformMatrix": "1 0 0 1 0 0 0 0 1"}, "do not span"),
])  # fmt: skip
def test_what_meta_image_is_refused(tmp_path, fields, cause):
    folder = tmp_path / "inner"
    folder.mkdir()
    (tmp_path / "x.raw").write_bytes(VOLUME.tobytes())
    (folder / "link.raw").symlink_to(tmp_path / "x.raw")
    os.mkfifo(folder / "pipe.raw")
    refused(meta(folder / "v.mhd", **fields), cause, kind=Exception)


@pytest.mark.parametrize("wanted", [VOLUME.nbytes - 1, VOLUME.nbytes + 1, 1 << 27])
def test_compressed_values_are_exactly_those_of_the_header(tmp_path, wanted):
    """The last is a bomb: 130 kB that become 128 MB."""
    deflated = zlib.compressobj()
    data = b"".join(deflated.compress(bytes(min(1 << 20, wanted - at))) for at in range(0, wanted, 1 << 20))
    data += deflated.flush()
    path = meta(tmp_path / "v.mha", data, CompressedData="True")
    packed = nrrd(
        tmp_path / "v.nrrd", ["encoding: gzip"], gzip.compress(zlib.decompress(data)) if wanted < 9999 else b"\x1f\x8b"
    )
    tracemalloc.start()
    refused(path, "holds (more|less) than the 240 bytes", read=True)
    refused(packed, "holds (more|less) than the 240 bytes|cannot be read", read=True)
    assert tracemalloc.get_traced_memory()[1] < 50_000_000
    tracemalloc.stop()
