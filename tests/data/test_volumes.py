"""A file of codes as planes: axes, bands, anatomical planes, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from described import FILES, Codes, described, space, write
from PIL import Image

from i2i_forge.data.case_files import CaseFiles
from i2i_forge.data.cases import Case
from i2i_forge.data.file_checks import BadImage
from i2i_forge.data.orientation import orientation_of
from i2i_forge.data.volumes import Volume
from i2i_forge.errors import DataError
from i2i_forge_plugins.phantom.body import subject

CT = subject(1)["ct"]
ANY = {"range": [-1e9, 1e9]}


def counted(*shape, dtype="int16"):
    return np.arange(np.prod(shape), dtype=dtype).reshape(shape)


def volume(codes, axes=(), plane="axial", said=(), **header):
    return Volume(Codes(Path("file.xyz"), codes, axes, **header), space(**{**ANY, **dict(said)}), plane)


@pytest.mark.parametrize(
    ("shape", "axes", "said", "planes"),
    [
        ((1, 4, 5), (), {}, lambda a: a[None]),
        ((3, 1, 4, 5), ("z",), {}, lambda a: a),
        ((3, 1, 4, 5), ("z",), {"axes": {"z": "channels"}, "channels": 3}, lambda a: a[None, :, 0]),
        ((3, 2, 4, 5), ("z",), {"axes": {"z": "channels"}, "channels": 6}, lambda a: a.reshape(1, 6, 4, 5)),
        ((3, 1, 4, 5), ("z",), {"axes": {"z": 2}}, lambda a: a[2:]),
        ((3, 1, 4, 5), ("z",), {"axes": {"z": "middle"}}, lambda a: a[1:2]),
        ((3, 1, 4, 5), ("z",), {"axes": {"z": "max"}}, lambda a: a.max(0, keepdims=True)),
        ((1, 1, 4, 5), ("t",), {}, lambda a: a),
        ((2, 3, 1, 4, 5), ("t", "z"), {"axes": {"t": "slices"}}, lambda a: a.reshape(6, 1, 4, 5)),
        ((2, 3, 1, 4, 5), ("t", "z"), {"axes": {"t": 1}}, lambda a: a[1]),
        ((2, 3, 1, 4, 5), ("t", "z"), {"axes": {"t": "channels"}, "channels": 2}, lambda a: a[:, :, 0].swapaxes(0, 1)),
        ((2, 3, 1, 4, 5), ("t", "z"), {"axes": {"t": "max", "z": 1}}, lambda a: a.max(0)[1:2]),
        ((7, 1, 4, 5), ("pages",), {"axes": {"pages": "slices"}}, lambda a: a),
    ],
)
def test_an_axis_is_what_its_domain_says(shape, axes, said, planes):
    codes = counted(*shape)
    found, expected = volume(codes, axes, said=said), planes(codes)
    assert (len(found), found.rows, found.columns) == (len(expected), 4, 5)
    for place, plane in enumerate(expected):
        assert np.array_equal(found.quantity(place), plane)


@pytest.mark.parametrize(
    ("codes", "axes", "said", "header", "words"),
    [
        (counted(7, 1, 4, 5), ("pages",), {}, {}, "an axis 'pages' of 7 that nothing explains"),
        (counted(2, 3, 1, 4, 5), ("t", "z"), {}, {}, "an axis 't' of 2 that nothing explains"),
        (counted(3, 1, 4, 5), ("z",), {"axes": {"z": 3}}, {}, "its axis 'z' has 3 places, and 3 is asked for"),
        (counted(3, 4, 5), (), {}, {}, "has 3 channels, and its domain 1 channels"),
        (counted(2, 4, 5), (), {"channels": ["B01", "B02", "B04"]}, {"channels": ("B01", "B02")}, "band B04"),
        (counted(2, 4, 5), (), {"channels": ["B02", "B03"]}, {"channels": ("B01", "B02")}, "band B03"),
        (counted(2, 4, 5), (), {"channels": [{"band": 3}]}, {}, "has 2 channels, and its domain band 3"),
        (counted(2, 4, 5), (), {"channels": [{"band": 1}, {}]}, {}, "band without name or number"),
        (
            counted(2, 4, 5),
            (),
            {"channels": ["A"]},
            {"channels": ("A", "A")},
            "has 2 channels .A, A., and its domain band A",
        ),
        (counted(1, 4, 5), (), {}, {"pixels": "palette"}, "has a palette, which is no measurement"),
        (
            counted(3, 4, 5),
            (),
            {},
            {"pixels": "colour", "channels": ("R", "G", "B")},
            r"is a colour picture \(R, G, B\)",
        ),
        (
            counted(1, 4, 5),
            (),
            {"kind": "grey8", "range": None},
            {},
            "codes of type int16, and kind: grey8 means 8 bits",
        ),
        (counted(1, 4, 5, dtype="float32"), (), {"polarity": "white_is_high"}, {"polarity": "white_is_low"}, "no ends"),
    ],
)
def test_what_has_no_clear_reading_is_refused(codes, axes, said, header, words):
    said = {key: value for key, value in {**ANY, **said}.items() if value is not None}
    with pytest.raises(BadImage, match=words) as error:
        Volume(Codes(Path("file.xyz"), codes, axes, **header), space(**said))
    assert "file.xyz" in error.value.message and error.value.fix


@pytest.mark.parametrize(
    ("channels", "names", "bands"),
    [
        (["B04", "B02"], ("B01", "B02", "B03", "B04"), [3, 1]),
        (["VV", "VH"], ("", ""), [0, 1]),
        (["T1c"], ("Channel:0:0",), [0]),
        ([{"band": 2}], ("", ""), [1]),
        ([{"name": "B03", "band": 1}, "B01"], ("B00", "B01"), [0, 1]),
        (2, ("A", "B"), [0, 1]),
    ],
)
def test_bands_are_picked_by_name_or_number(channels, names, bands):
    codes = counted(len(names), 2, 3)
    found = volume(codes, said={"channels": channels}, channels=names)
    assert np.array_equal(found.quantity(0), codes[bands])


def test_a_palette_of_labels_gives_its_indices():
    codes = np.array([[[0, 3]]], np.uint8)
    labels = Volume(Codes(Path("x.png"), codes, pixels="palette"), space(kind="labels"))
    assert labels.quantity(0).tolist() == [[[0, 3]]]


def test_quantities():
    codes = np.array([[[0, 1, 2, 200]], [[0, 1, 2, 200]]], np.uint8)
    found = volume(codes, said={"channels": 2}, slope=(2.0, 0.5), offset=(1.0, 0.0), nodata=(2.0,)).quantity(0)
    nan = np.nan
    assert np.array_equal(found, [[[1, 3, nan, 401]], [[0, 0.5, nan, 100]]], equal_nan=True)
    without = volume(codes[:1], said={"nodata": []}, nodata=(2.0,)).quantity(0)
    assert without.tolist() == [[[0, 1, 2, 200]]]
    said = volume(codes[:1], said={"nodata": ["file", 5]}, slope=(5.0,), nodata=(200.0,)).quantity(0)  # 5 = 5 * 1
    assert np.array_equal(said, [[[0, nan, 10, nan]]], equal_nan=True)
    own = {"channels": [{"name": "a", "nodata": 1}, {"name": "b", "nodata": 2}]}
    assert np.array_equal(
        volume(codes, said=own).quantity(0)[:, 0], [[0, nan, 2, 200], [0, 1, nan, 200]], equal_nan=True
    )
    floats = volume(np.array([[[np.inf, -np.inf, np.nan, 1]]], np.float32), said={"nodata": []}).quantity(0)
    assert np.array_equal(floats, [[[nan, nan, nan, 1]]], equal_nan=True)
    assert codes[0, 0].tolist() == [0, 1, 2, 200]


@pytest.mark.parametrize(
    ("dtype", "bits", "code", "turned"), [("uint16", 12, 95, 4000), ("uint8", 0, 5, 250), ("int16", 12, 5, -6)]
)
def test_what_is_stored_white_as_low_is_turned_where_that_is_said(dtype, bits, code, turned):
    codes, header = np.array([[[code]]], dtype), {"bits": bits, "polarity": "white_is_low", "slope": (2.0,)}
    assert volume(codes, **header).quantity(0).item() == 2 * code
    assert volume(codes, said={"polarity": "white_is_high"}, **header).quantity(0).item() == 2 * turned


def test_neighbours_are_channels_and_the_outer_slices_repeat():
    codes = counted(4, 2, 1, 1)
    found = volume(codes, ("z",), said={"channels": 2, "neighbours": 1})
    assert [found.quantity(place).flatten().tolist() for place in range(4)] == [
        [0, 1, 0, 1, 2, 3], [0, 1, 2, 3, 4, 5], [2, 3, 4, 5, 6, 7], [4, 5, 6, 7, 6, 7]
    ]  # fmt: skip


ORIENTATIONS = {  # where the axes of a file go, the fastest first: the axis of slices, rows, columns and its direction
    "LPS": ((2, 1), (1, 1), (0, 1)), "RAS": ((2, -1), (1, -1), (0, 1)), "LAS": ((2, 1), (1, -1), (0, 1)),
    "PIR": ((1, 1), (0, -1), (2, -1)), "SAL": ((0, 1), (1, -1), (2, 1)), "AIL": ((1, -1), (0, -1), (2, 1)),
}  # fmt: skip


def files_of_one_subject(folder, ending):
    """CT of one subject, (slices, rows, columns) as S, P, L, written in six orientations."""
    import nibabel
    from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, ornt_transform

    whole = CT.transpose(2, 1, 0)  # x to the left, y to the back, z to the head
    affine = np.diag([-2.0, -2, 5, 1])
    for letters in ORIENTATIONS:
        turn = ornt_transform(axcodes2ornt("LPS"), axcodes2ornt(letters))
        turned, there = apply_orientation(whole, turn), affine @ inv_ornt_aff(turn, whole.shape)
        path = folder / f"{letters}{ending}"
        if ending.startswith(".nii"):
            nibabel.save(nibabel.Nifti1Image(turned, there), path)
        else:
            sitk = pytest.importorskip("SimpleITK")
            image, lps = sitk.GetImageFromArray(turned.transpose(2, 1, 0)), np.diag([-1, -1, 1, 1]) @ there
            steps = np.linalg.norm(lps[:3, :3], axis=0)
            image.SetSpacing(steps.tolist())
            image.SetDirection((lps[:3, :3] / steps).flatten().tolist())
            image.SetOrigin(lps[:3, 3].tolist())
            sitk.WriteImage(image, str(path), True)
        yield path


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".mha"])
def test_six_orientations_of_one_subject_give_the_same_planes(tmp_path, ending):
    pytest.importorskip("nibabel")
    truth = {
        "axial": CT,  # S, P, L
        "coronal": CT[::-1].transpose(1, 0, 2),  # P, from the head down, L
        "sagittal": CT[::-1].transpose(2, 0, 1),  # L, from the head down, P
    }
    grids = set()
    for path in files_of_one_subject(tmp_path, ending):
        stored = FILES.open(path)
        grids.add(stored.header.grid)
        assert stored.header.orientation == path.name[:3] and stored.header.spacing == (5, 2, 2)
        for number, (plane, slices) in enumerate(truth.items()):
            found = Volume(stored, space(range=[-1024, 3071]), plane)
            assert len(found) == len(slices)
            assert all(np.array_equal(found.quantity(place)[0], each) for place, each in enumerate(slices))
            assert Volume(stored, space(range=[-1024, 3071]), number).plane == found.plane
    assert len(grids) == 1


def test_planes_without_names_go_by_number():
    codes = counted(3, 1, 4, 5)
    with pytest.raises(BadImage, match="does not say how it lies, so it has no sagittal planes") as error:
        volume(codes, ("z",), plane="sagittal")
    assert error.value.fix == "say which by number: plane: 2"
    assert np.array_equal(volume(codes, ("z",), plane=2).quantity(1)[0], codes[::-1, 0, :, 1])
    assert len(volume(codes[0], plane="sagittal")) == 1  # a picture has one plane alone


def case_of(tmp_path, domains, *, plane="axial", **files):
    stacks = {name: tuple(stack) if isinstance(stack, list) else (stack,) for name, stack in files.items()}
    return CaseFiles([Case("1", "1", stacks)], list(files), domains, plane)


def test_a_stack_of_files_is_that_of_channels(tmp_path):
    one, two = (write(tmp_path / f"{n}.mha", counted(3, 1, 4, 5) + 100 * n, ("z",)) for n in range(2))
    files = case_of(tmp_path, described(a={"channels": ["T1", "T2"], "range": [0, 500]}), a=[one, two])
    assert files.counts == [3]
    assert np.array_equal(files.quantity(0, "a", 1), np.stack([counted(3, 4, 5)[1], counted(3, 4, 5)[1] + 100]))
    beside = case_of(
        tmp_path, described(a={"channels": ["T1", "T2"], "range": [0, 500], "neighbours": 1}), a=[one, two]
    )
    assert beside.quantity(0, "a", 1)[:, 0, 0].tolist() == [0, 100, 20, 120, 40, 140]


def affine(origin):
    return ((0, 0, 5.0, origin), (0, 2.0, 0, 0), (2.0, 0, 0, 0))


def test_files_of_a_case_lie_on_one_grid(tmp_path):
    def mha(name, *shape, origin=0.0):
        turned = orientation_of(np.array(affine(origin))[:, ::-1][:, [1, 2, 3, 0]], shape)
        said = {"spacing": turned.spacing, "affine": turned.affine, "grid": turned.grid, "orientation": turned.letters}
        return write(tmp_path / f"{name}.mha", counted(shape[0], 1, *shape[1:]), ("z",), **said)

    two = described(a=ANY, b=ANY)
    first = mha("first", 3, 4, 5)
    with pytest.raises(DataError, match=r"case 1: .*first.mha is 3x4x5, .*other.mha 2x4x5"):
        case_of(tmp_path, two, a=first, b=mha("other", 2, 4, 5))
    with pytest.raises(DataError, match=r"have the size 3x4x5 and lie elsewhere: .*first voxel at") as error:
        case_of(tmp_path, two, a=first, b=mha("moved", 3, 4, 5, origin=7))
    assert error.value.fix == "resample them onto one grid first"


def test_slices_as_channels_go_with_a_picture(tmp_path):
    """A z-stack of transmitted light and the channels of fluorescence, as microscopes write them."""
    tifffile = pytest.importorskip("tifffile")
    bright, fluorescent = counted(7, 12, 10, dtype="uint16"), counted(2, 12, 10, dtype="uint16")
    tifffile.imwrite(tmp_path / "bf.ome.tif", bright, ome=True, metadata={"axes": "ZYX"})
    names = {"axes": "CYX", "Channel": {"Name": ["DAPI", "TOM20"]}}
    tifffile.imwrite(tmp_path / "fl.ome.tif", fluorescent, ome=True, metadata=names)
    domains = described(a={"axes": {"z": "channels"}, "channels": 7, "range": [0, 999]},
                        b={"channels": ["TOM20"], "range": [0, 999]})  # fmt: skip
    files = case_of(tmp_path, domains, a=tmp_path / "bf.ome.tif", b=tmp_path / "fl.ome.tif")
    assert np.array_equal(files.quantity(0, "a", 0), bright) and files.counts == [1]
    assert np.array_equal(files.quantity(0, "b", 0), fluorescent[1:])


def test_files_that_show_white_as_high_and_as_low_are_one_domain_only_where_it_says_so(tmp_path):
    codes = counted(1, 4, 5)
    given = {"high": Codes(tmp_path / "high", codes, polarity="white_is_high"),
             "low": Codes(tmp_path / "low", codes, polarity="white_is_low")}  # fmt: skip

    class Given(CaseFiles):
        def stored(self, case, name):
            return [given[path.name] for path in self.cases[case].files[name]]

    cases = [Case(name, name, {"a": (tmp_path / name,)}) for name in given]
    with pytest.raises(DataError, match=r"domains.a: .*high shows white is high, and .*low shows white is low"):
        Given(cases, ["a"], described(a=ANY))
    assert Given(cases, ["a"], described(a={**ANY, "polarity": "white_is_high"})).counts == [1, 1]


def test_headers_are_read_once_and_a_hundred_volumes_take_no_memory(tmp_path, monkeypatch):
    import tracemalloc

    files = [write(tmp_path / f"{n}.npy", counted(16, 1, 64, 64), ("z",)) for n in range(2)]
    cases = [Case(str(n), str(n), {"a": (files[n % 2],)}) for n in range(300)]
    opened = []
    real = FILES.open
    monkeypatch.setattr(FILES, "open", lambda path: opened.append(path) or real(path))
    domains = described(a={**ANY, "axes": {"axis0": "slices"}})
    source = CaseFiles(cases, ["a"], domains)
    tracemalloc.start()
    for case in range(300):
        source.quantity(case, "a", 3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(opened) == 300 and peak < 100 * 16 * 64 * 64 * 2 / 2
    assert source.volumes.cache_info().currsize <= 128


def test_a_colour_picture_in_a_grey_domain_is_pillow_s_grey(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    picture.save(tmp_path / "1.png")
    found = Volume(FILES.open(tmp_path / "1.png"), space(kind="grey8"))
    assert np.array_equal(found.quantity(0)[0], np.asarray(picture.convert("L")))
    Image.fromarray(pixels[:, :, 0]).save(tmp_path / "2.png")
    assert np.array_equal(Volume(FILES.open(tmp_path / "2.png"), space(kind="grey8")).quantity(0)[0], pixels[:, :, 0])
