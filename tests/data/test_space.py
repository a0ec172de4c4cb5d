"""What numbers mean: every code comes back, and what is shown, filled and refused."""

import numpy as np
import pytest
import torch
from described import described, space
from PIL import Image

from i2i_forge.data.images import to_uint8
from i2i_forge.data.space import RGB8
from i2i_forge.data.transforms import to_tensor
from i2i_forge.errors import DataError


def codes_of(dtype, bits=None):
    ends = np.iinfo(dtype)
    return np.arange(ends.min if bits is None else 0, (ends.max if bits is None else 2**bits - 1) + 1, dtype=dtype)


def returned(domain, codes, slope=1.0, offset=0.0):
    """Codes of one row as they come back from what a network sees."""
    quantity = codes.astype(np.float64)[None, None] * slope + offset
    seen = domain.to_tensor(quantity)
    assert seen.dtype == torch.float32 and seen.abs().max() <= 1
    back, saturated = domain.to_codes(seen, codes.dtype.name, slope, offset)
    assert back.dtype == codes.dtype and saturated == 0
    return back[0, 0]


@pytest.mark.parametrize(
    ("codes", "slope", "offset", "said"),
    [
        (codes_of("uint8"), 1, 0, {"range": [0, 255]}),
        (codes_of("uint16"), 1, 0, {"range": [0, 65535]}),
        (codes_of("int16"), 1, 0, {"range": [-32768, 32767]}),
        (codes_of("uint16", 12), 1, 0, {"range": [0, 4095]}),
        (codes_of("uint16", 12), 1, -1024, {"range": [-1024, 3071], "unit": "HU"}),
        (codes_of("int16"), 0.0754, 3100.76, {"range": [-32768 * 0.0754 + 3100.76, 32767 * 0.0754 + 3100.76]}),
        (codes_of("uint16"), 1, 0, {"range": [0, 65535], "curve": "log1p"}),
        (codes_of("uint16"), 1, 0, {"range": [0, 65535], "curve": {"asinh": 200}}),
        (codes_of("uint16"), 1, 0, {"range": [-27315, 38220], "convert": {"plus": -27315}}),
        (codes_of("uint16"), 1, 0, {"range": [0, 655.35], "convert": {"times": 0.01}, "unit": "K"}),
        (codes_of("uint8"), 1, 0, {"kind": "grey8"}),
        (codes_of("uint8"), 1, 0, {"range": [0, 255], "curve": "sqrt"}),
        (codes_of("uint8"), 1, 0, {"range": [0, 255], "curve": {"gamma": 0.5}}),
    ],
)  # fmt: skip
def test_every_code_comes_back(codes, slope, offset, said):
    assert np.array_equal(returned(space(**said), codes, slope, offset), codes)


def test_floats_come_back_within_their_span_times_two_to_minus_24():
    values = np.linspace(-30, 5, 100_003)[None, None]
    domain = space(range=[-30, 5], unit="dB")
    assert np.abs(domain.to_values(domain.to_tensor(values)).numpy() - values).max() <= 35 * 2.0**-24


def test_8_bit_pictures_keep_their_own_formula():
    pixels = np.stack([np.arange(256, dtype=np.uint8)[None]] * 3, -1)
    seen = to_tensor(Image.fromarray(pixels))
    assert np.array_equal(RGB8.to_codes(seen, "uint8")[0], pixels.transpose(2, 0, 1))
    assert torch.equal(space(kind="grey8").to_tensor(pixels[None, :, :, 0].astype(float))[0], seen[0])
    general = torch.from_numpy(np.arange(256) / 255 * 2 - 1).float()
    assert (general != seen[0, 0]).sum() == 128  # a formula for all would move them


def test_the_ends_of_a_range_are_minus_one_and_one_under_every_curve():
    for curve in ("linear", "log1p", "sqrt", {"asinh": 3}, {"gamma": 0.3}):
        domain = space(range=[-7, 1200], curve=curve)
        assert domain.to_tensor(np.array([[[-7.0, 1200]]])).flatten().tolist() == [-1, 1]
        middle = domain.to_tensor(np.array([[[300.0]]])).double()
        assert domain.to_values(middle).item() == pytest.approx(300, abs=1e-3)
        assert np.diff(domain.to_tensor(np.arange(-7.0, 1200)[None, None]).numpy()).min() > 0


@pytest.mark.parametrize(
    ("convert", "stored", "value"),
    [("db", 100.0, 20), ("db20", 100.0, 40), ({"times": 2.0, "plus": 1}, 3.0, 7), ("none", 5.0, 5)],
)
def test_conversions_and_back(convert, stored, value):
    domain = space(range=[0, 50], convert=convert)
    seen = domain.to_tensor(np.array([[[stored]]]))
    assert seen.item() == pytest.approx(value / 25 - 1, abs=1e-6)
    assert domain.to_values(seen).item() == pytest.approx(value, abs=1e-5)
    assert domain.to_codes(seen, "float64")[0].item() == pytest.approx(stored, rel=1e-5)


def test_what_is_no_value_is_filled_and_marked():
    stored = np.array([[[np.nan, 0.0, -1.0, 1000.0]]])
    quantity, valid, fills = space(range=[-20, 30], convert="db").filled(stored)
    assert valid.tolist() == [[False, False, False, True]]  # of values <= 0 there are no decibels
    assert quantity.flatten().tolist() == pytest.approx([0.01, 0.01, 0.01, 1000]) and fills == pytest.approx([0.01])
    assert np.isnan(stored[0, 0, 0])
    assert space(range=[-5, 5], fill="mean").filled(np.array([[[np.nan, 1.0, 4.0]]]))[2] == [2.5]
    assert space(range=[-5, 5], fill=3).filled(np.array([[[np.nan, 1.0]]]))[0].tolist() == [[[3, 1]]]
    assert space(range=[-5, 5], fill="mean").filled(np.full((1, 1, 2), np.nan))[2] == [-5]


def test_a_pixel_is_valid_if_every_band_is():
    quantity, valid, _ = space(channels=2, range=[0, 9]).filled(np.array([[[1, np.nan]], [[np.nan, 2]]]))
    assert not valid.any() and quantity.tolist() == [[[1, 0]], [[0, 2]]]


def test_labels_are_one_hot_or_one_channel_for_two():
    labels = np.array([[[0.0, 3, 7]]])
    three = space(kind="labels", values=[0, 3, 7])
    assert (len(three), three.count) == (3, 1)
    assert three.to_tensor(labels)[:, 0].tolist() == [[1, -1, -1], [-1, 1, -1], [-1, -1, 1]]
    assert three.to_values(three.to_tensor(labels)).tolist() == labels.tolist()
    two = space(kind="labels", values=[2, 5])
    assert two.to_tensor(np.array([[[2.0, 5]]])).tolist() == [[[-1, 1]]]
    assert two.to_codes(torch.tensor([[[-0.2, 0.1]]]), "uint8")[0].tolist() == [[[2, 5]]]
    with pytest.raises(DataError, match="label 4 is not among"):
        three.to_tensor(np.array([[[4.0]]]))


def test_a_channel_may_differ_in_everything():
    domain = space(range=[0, 10], channels=["MR", {"name": "mask", "kind": "labels", "values": [0, 1]},
                                            {"name": "ADC", "range": [0, 3], "unit": "um2/ms"}])  # fmt: skip
    assert (len(domain), domain.names, domain.span()) == (3, ("MR", "mask", "ADC"), (10, 1, 3))
    seen = domain.to_tensor(np.array([[[5.0]], [[1.0]], [[3.0]]]))
    assert seen.flatten().tolist() == [0, 1, 1] and domain.to_values(seen).flatten().tolist() == [5, 1, 3]
    assert domain.are_labels == [False, True, False] and domain.units == ("um2/ms",)


def test_values_outside_are_clipped_or_refused():
    outside = np.array([[[-1.0, 5, 12]]])
    assert space(range=[0, 10]).to_tensor(outside).tolist() == [[[-1, 0, 1]]]
    with pytest.raises(DataError, match=r"the value 12 is outside of 0\.\.10"):
        space(range=[0, 10], clip="refuse").to_tensor(outside[:, :, 1:])


def test_codes_that_do_not_fit_saturate_and_are_counted():
    domain = space(range=[-1024, 3071])
    codes, saturated = domain.to_codes(torch.tensor([[[-1.0, 1, 0]]]), "uint8")
    assert (codes.tolist(), saturated) == ([[[0, 255, 255]]], 3)
    half = space(range=[0, 2]).to_codes(torch.tensor([[[-0.5, 0.5]]]), "uint8")[0]
    assert half.tolist() == [[[0, 2]]]  # 0.5 and 1.5: half to even


def shown(domain, *seen):
    return [round(v, 5) for v in domain.to_rgb(torch.tensor(seen)[:, None, None]).flatten().tolist()]


def test_what_is_shown():
    assert shown(space(range=[0, 10]), 0.2) == [0.2] * 3
    window = space(range=[0, 100], display={"window": [20, 40]})
    assert shown(window, -0.4) == [0] * 3 and shown(window, 1.0) == [1] * 3  # 30 lies in its middle
    two = {"channels": [{"name": "DAPI", "range": [0, 10]}, {"name": "TOM", "range": [0, 1000]}], "curve": "sqrt",
           "display": {"colour": ["TOM", None, "DAPI"]}}  # fmt: skip
    seen = space(**two).to_tensor(np.array([[[5.0]], [[250.0]]])).flatten().tolist()
    assert shown(space(**two), *seen) == [-0.5, -1, 0]  # each in its own range, without the curve
    beside = space(range=[0, 1], neighbours=1)
    assert len(beside) == 3 and shown(beside, 0.1, 0.2, 0.3) == [0.2] * 3  # the middle slice
    three = space(kind="labels", values=[0, 1, 2])
    assert shown(three, -1.0, 1.0, -1.0) == [0] * 3  # 1 lies between 0 and 2
    magma = space(range=[0, 1], display={"colour": "magma"})
    assert to_uint8(magma.to_rgb(torch.tensor([-1.0, 1])[:, None, None, None])).flatten(1).tolist() == [
        [0, 0, 4], [252, 253, 191]
    ]  # fmt: skip


def test_what_identifies_an_image():
    domain, hu = space(range=[-1024, 3071]), 2 / 4095
    one = torch.zeros(1, 4, 4)
    assert domain.digest(one) == domain.digest(one.clone()) != domain.digest(one.reshape(1, 2, 8))
    assert domain.digest(one) != domain.digest(one + 10 * hu)  # the same in 8 bits
    assert RGB8.digest(one.expand(3, -1, -1)) == RGB8.digest(one.expand(3, -1, -1) + 1e-4)


def test_in_words():
    assert str(RGB8) == "8-bit RGB" and str(space(range=[-1024, 3071], unit="HU")) == "-1024..3071 HU"
    assert str(space(range=[0, 0.6], unit="r", channels=["B02", "B03"])) == "2 channels (B02, B03), 0..0.6 r"
    assert str(space(range={"percentile": [0, 99], "over": "case"})) == "a range for each case"
    assert space(range=[0, 1], display={"window": [0, 0.5]}, unit="r").shown_as() == "\n0..0.5 r"


def test_a_stack_has_a_file_for_each_channel():
    domain = space(range=[0, 9], channels=["T1", "T2"])
    assert [part.names for part in domain.parts(2)] == [("T1",), ("T2",)] and domain.parts(1) == [domain]
    with pytest.raises(DataError, match="3 files are stacked, and the domain has 2 channels"):
        domain.parts(3)


def test_a_description_is_plain_data_that_gives_it_back():
    said = {"channels": [{"name": "T1", "nodata": [0.0, "nan"]}, "T2"], "range": [0.0, 9.0], "curve": {"asinh": 2.0}}
    assert space(**said).data() == said and space(**space(**said).data()).sha256 == space(**said).sha256
    assert RGB8.data() == {} and RGB8.sha256 == ""
    assert space(**said, write={"dtype": "int16"}).sha256 == space(**said).sha256
    known = space(range={"percentile": [1, 99]}, channels=["T1", "T2"]).with_ranges(
        [{"range": (0, 1)}, {"range": (2, 3)}]
    )
    assert known.is_known and known.span() == (1, 1) and known.names == ("T1", "T2")


def test_names_that_nobody_described_are_8_bit_rgb():
    domains = described(b={"range": [0, 1]})
    assert domains["a"].is_rgb8 and "a" not in domains and list(domains) == ["b"] and not domains.are_rgb8
