"""Ranges that are found in images: order statistics, of all training cases or of each case by itself."""

import numpy as np
import pytest
import torch
from described import described, write

from i2i_forge.data import CaseSource, case_transform
from i2i_forge.data.cases import Case
from i2i_forge.data.ranges import order_statistics
from i2i_forge.errors import DataError
from i2i_forge_plugins.phantom import Phantom
from i2i_forge_plugins.phantom.body import subject

PERCENTILES = (0, 0.5, 25, 50, 99.5, 99.99, 100)


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(0).normal(0, 900, 20_001).astype(np.float32),
        np.random.default_rng(0).integers(-1024, 3071, 9999).astype(np.float32),
        np.array([0.0, -0.0, -1e-45, 1e38, -3e38, 5, 5, 5], np.float32),
        np.array([7.0], np.float32),
    ],
)
def test_order_statistics_are_numpy_s_in_any_order_and_parts(values):
    truth = np.percentile(values, PERCENTILES, method="inverted_cdf").tolist()
    assert order_statistics(lambda: [values], PERCENTILES) == truth
    shuffled = np.random.default_rng(1).permutation(values)
    parts = [*np.array_split(shuffled, 7), np.array([np.nan, np.inf, -np.inf], np.float32)]
    assert order_statistics(lambda: iter(parts), PERCENTILES) == truth
    with pytest.raises(DataError, match="there are no values"):
        order_statistics(lambda: [values[:0]], (0, 1))


def mr(number, inside="all"):
    body = subject(number)
    chosen = {"all": body["mr"] >= 0, "nonzero": body["mr"] != 0, "mask": body["mask"] == 1}[inside]
    return body["mr"][chosen]


@pytest.mark.parametrize("inside", ["all", "nonzero", "mask"])
@pytest.mark.parametrize("over", ["training", "case"])
def test_ranges_of_the_phantom(over, inside):
    range = {"percentile": [0.5, 99.5], "over": over, "in": inside}
    domains = described(a={"range": range}, b={"range": [-1024, 3071]}, mask={"kind": "labels"})
    source = Phantom(domains=domains).sources("train")[0]
    if over == "training":
        (found,) = source.ranges("a")
        truth = np.concatenate([mr(n, inside) for n in np.arange(6)])
        assert list(found["range"]) == np.percentile(truth, [0.5, 99.5], method="inverted_cdf").tolist()
        assert (found["range_from"].cases, found["range_from"].within) == (6, inside)
        assert inside != "mask" or found["range"] == (6, 1186)
    else:
        assert source.ranges("a") == [{}]
        for case in (0, 3):
            band = source.space(case, "a").bands[0]
            truth = np.percentile(mr(case, inside), [0.5, 99.5], method="inverted_cdf")
            assert [band.low, band.high] == truth.tolist()
        seen = source.example(3 * 16 + 8, None)["a"].double()
        values = (seen + 1) / 2 * (band.high - band.low) + band.low
        assert np.abs(values[0].numpy() - subject(3)["mr"][8].clip(band.low, band.high)).max() < 1e-3


def source_of(tmp_path, said, arrays):
    cases = []
    for number, array in enumerate(arrays):
        path = write(tmp_path / f"{number}.mha", np.asarray(array), ("z",))
        cases.append(Case(str(number), str(number), {"a": (path,)}))
    domains = described(a=said)
    return CaseSource(cases, ["a"], domains, case_transform(
        domains, "a", size=4, resize=None, flip=False, test_crop=False, augment=None))  # fmt: skip


TWO = np.stack([np.arange(32).reshape(2, 4, 4), 100 * np.arange(32).reshape(2, 4, 4)], 1).astype(np.int16)


def test_each_channel_has_its_own_range_or_all_share_one(tmp_path):
    for over in ("training", "case"):
        said = {"channels": ["T1", "T2"], "range": {"percentile": [0, 100], "over": over}}
        for share, ranges in ((False, [(0, 31), (0, 3100)]), (True, [(0, 3100)] * 2)):
            source = source_of(tmp_path / over / str(share), {**said, "share": share}, [TWO, TWO[::-1]])
            found = source.ranges("a")
            space = source.domains["a"].with_ranges(found) if over == "training" else source.space(1, "a")
            assert [(band.low, band.high) for band in space.bands] == ranges and space.names == ("T1", "T2")


def test_a_range_is_in_the_unit_after_convert(tmp_path):
    source = source_of(
        tmp_path, {"convert": {"times": -0.5, "plus": 1}, "range": {"percentile": [0, 100]}}, [TWO[:, :1]]
    )
    assert source.ranges("a")[0]["range"] == (-14.5, 1)


def test_neighbours_are_not_counted_twice(tmp_path):
    array = np.zeros((3, 1, 4, 4), np.int16)
    array[0] = 9
    for neighbours in (0, 1):
        said = {"neighbours": neighbours, "range": {"percentile": [0, 67]}}
        assert source_of(tmp_path / str(neighbours), said, [array]).ranges("a")[0]["range"] == (0, 9)


@pytest.mark.parametrize(
    ("range", "array", "words"),
    [
        ({"percentile": [10, 90]}, np.zeros((2, 1, 4, 4)), "domains.a.range: .* per cent are both 0"),
        ({"percentile": [10, 90], "in": "nonzero"}, np.zeros((2, 1, 4, 4)), "no values"),
        ({"percentile": [10, 90]}, np.full((2, 1, 4, 4), np.nan), "no values"),
        ({"percentile": [10, 90], "in": "mask"}, np.zeros((2, 1, 4, 4)), "values are taken in 'mask', and 0 has none"),
    ],
)
def test_what_gives_no_range_is_refused(tmp_path, range, array, words):
    source = source_of(tmp_path, {"range": range}, [array.astype(np.float32)])
    with pytest.raises(DataError, match=words) as error:
        source.ranges("a")
    assert error.value.fix
    with pytest.raises(DataError, match="the range of the images is not known yet"):
        source.example(0, None)


def test_a_case_s_range_is_found_anew_when_its_mask_changes_alone(tmp_path):
    domains = described(a={"range": {"percentile": [0, 100], "over": "case", "in": "mask"}}, mask={"kind": "labels"})
    a = write(tmp_path / "a.mha", TWO[:, :1], ("z",))
    plain = {"size": 4, "resize": None, "flip": False, "test_crop": False, "augment": None}
    highs = []
    for last in (5, 9):
        mask = np.arange(32, dtype=np.uint8).reshape(2, 1, 4, 4) <= last
        (tmp_path / "mask.mha").unlink(missing_ok=True)
        file = write(tmp_path / "mask.mha", mask.astype(np.uint8), ("z",))
        source = CaseSource([Case("1", "1", {"a": (a,), "mask": (file,)})], ["a", "mask"], domains,
                            case_transform(domains, "a", **plain))  # fmt: skip
        highs.append(source.space(0, "a").bands[0].high)
    assert highs == [5, 9] and torch.is_tensor(source.example(0, None)["mask"])
