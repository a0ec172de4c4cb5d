"""Images that are not 8-bit RGB: what is measured of their values, and what refuses them."""

import pickle

import numpy as np
import pytest
import torch
from loaded import CATALOG

import i2i_forge
from i2i_forge.data import ImageSpace
from i2i_forge.errors import DataError, UsageError
from i2i_forge.measure import Batch, Outcome, Tools, of_mean
from i2i_forge.measure.comparison import column_key, columns, difference, per_input, row_key, unlike
from i2i_forge.measure.evaluate import Evaluation, over_groups
from i2i_forge.measure.plans import choose, plan
from i2i_forge.measure.recording import write_records
from i2i_forge.measure.records import FILE, read
from i2i_forge.measure.tensors import TensorSamples
from i2i_forge.measure.value_folders import described

HU = {"unit": "HU", "range": [-1024, 3071]}
BANDS = {"channels": ["B02", "B03", "B04", "B08"], "unit": "reflectance", "range": [0, 0.6]}
GROUPS = ["one", "two", "one", "two", "two", "one"]
CPU = torch.device("cpu")


def drawn(channels=1, low=-1024.0, high=3071.0, count=6, side=24):
    """Images, true outputs and masks of unequal size: N,C,H,W; N,C,H,W; N,1,H,W."""
    draws = np.random.default_rng(3)
    truths = draws.uniform(low, high, (count, channels, side, side))
    images = (truths + draws.normal(0, (high - low) / 20, truths.shape)).clip(low, high)
    masks = draws.random((count, 1, side, side)) < np.linspace(0.1, 0.9, count)[:, None, None, None]
    return torch.from_numpy(images), torch.from_numpy(truths), torch.from_numpy(masks)


def pooled(formula, channels, low, high):
    """The mean over groups and channels of what a formula says of all of a group's pixels."""
    images, truths, masks = (each.numpy() for each in drawn(channels, low, high))
    found = []
    for group in ("one", "two"):
        mine = [i for i, name in enumerate(GROUPS) if name == group]
        each = [
            [np.concatenate([x[i, c][masks[i, 0]] for i in mine]) for x in (images, truths)] for c in range(channels)
        ]
        found.append(np.mean([formula(x, y) for x, y in each]))
    return np.mean(found)


@pytest.mark.parametrize(("space", "low", "high"), [(HU, -1024.0, 3071.0), (BANDS, 0.0, 0.6)], ids=["HU", "bands"])
@pytest.mark.parametrize(
    ("metric", "formula"),
    [
        ("mae", lambda span: lambda x, y: np.abs(x - y).mean()),
        ("rmse", lambda span: lambda x, y: np.sqrt(((x - y) ** 2).mean())),
        ("psnr", lambda span: lambda x, y: 10 * np.log10(span**2 / ((x - y) ** 2).mean())),
        ("pearson", lambda span: lambda x, y: np.corrcoef(x, y)[0, 1]),
    ],
)
def test_each_is_numpys_over_the_masked_pixels_of_a_group(metric, formula, space, low, high):
    channels = len(described(space, "space"))
    images, truths, mask = drawn(channels, low, high)
    (outcome,) = i2i_forge.measure(metric, images, truths=truths, mask=mask, groups=GROUPS, space=space)
    assert outcome.value == pytest.approx(pooled(formula(high - low), channels, low, high), rel=1e-12)
    assert list(outcome.per_group) == ["one", "two"] and outcome.ci_method == "group-bootstrap"
    assert outcome.ci95[0] <= outcome.value <= outcome.ci95[1]
    assert outcome.components["pixels"] == int(mask.sum())


def test_ssim_is_scikit_images_over_the_windows_in_the_mask():
    metrics = pytest.importorskip("skimage.metrics")
    images, truths, mask = drawn()
    (outcome,) = i2i_forge.measure("ssim", images, truths=truths, mask=mask, space=HU)
    for number, (x, y, m) in enumerate(zip(images.numpy(), truths.numpy(), mask.numpy(), strict=True)):
        _, each = metrics.structural_similarity(
            x[0] + 1024,
            y[0] + 1024,
            data_range=4095,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            full=True,
        )
        expected = each[5:-5, 5:-5][m[0, 5:-5, 5:-5]].mean()
        assert outcome.per_group[f"input {number}"] == pytest.approx(expected, abs=1e-9)


def batches(order, size):
    images, truths, mask = drawn()
    space = described(HU, "space")
    x, y = (torch.stack([space.to_tensor(each.numpy()) for each in some]) for some in (images, truths))
    for start in range(0, len(order), size):
        part = order[start : start + size]
        yield Batch(
            x[part], part, [0] * len(part), [str(n) for n in part], None, y[part], mask[part],
            [GROUPS[n] for n in part], space,
        )  # fmt: skip


@pytest.mark.parametrize("name", ["mae", "rmse", "psnr", "ssim", "pearson"])
def test_batches_order_and_ranks_change_no_bit(name):
    kind = CATALOG.metrics.get(name)

    def shown(order, size):
        metric = kind(kind.protocols[-1], Tools(CPU))
        for batch in batches(order, size):
            metric.update(batch)
        return metric

    def told(metric):
        (outcome,) = metric.compute()
        return {**vars(outcome), "arrays": outcome.arrays["by_channel"].tolist()}

    one, other = shown([4, 0, 2], 1), shown([5, 3, 1], 2)
    one.merge(pickle.loads(pickle.dumps(other.state())))
    assert told(one) == told(shown([0, 1, 2, 3, 4, 5], 6))


def test_without_a_mask_the_share_of_background_is_said():
    truths = torch.full((2, 1, 12, 12), -1000.0)
    truths[0, 0, :3] = 40.0
    (outcome,) = i2i_forge.measure("mae", truths + 5, truths=truths, space=HU)
    assert outcome.value == pytest.approx(5, abs=1e-9)
    assert outcome.components["background"] == 1 - 36 / 288


def test_a_group_without_pixels_is_left_out_and_said_and_none_at_all_is_an_error():
    images, truths, mask = drawn()
    mask[[0, 2, 5]] = False  # all of the group "one"
    (outcome,) = i2i_forge.measure("mae", images, truths=truths, mask=mask, groups=GROUPS, space=HU)
    assert list(outcome.per_group) == ["two"] and outcome.ci95 is None
    assert outcome.warnings[0].startswith("1 of 2 groups have no value")
    with pytest.raises(DataError, match="no image has pixels"):
        i2i_forge.measure("mae", images, truths=truths, mask=torch.zeros_like(mask), space=HU)


def test_a_mean_over_inputs_becomes_one_over_groups_and_one_group_has_no_interval():
    values = {0: 1.0, 1: 2.0, 2: 6.0}
    outcome = Outcome(3.0, per_input=values, **of_mean(values))
    found = over_groups(outcome, {0: "one", 1: "one", 2: "two"})
    assert (found.value, found.per_group, found.ci_method) == (3.75, {"one": 1.5, "two": 6.0}, "group-bootstrap")
    alone = over_groups(outcome, dict.fromkeys(values, "one"))
    assert (alone.value, alone.se, alone.ci95, alone.ci_method) == (3.0, None, None, "none")
    each = over_groups(outcome, {n: str(n) for n in values})
    assert (each.value, each.se, each.ci95) == (outcome.value, outcome.se, outcome.ci95)
    assert over_groups(outcome, {}) is outcome


def samples(space, source=None, channels=1):
    made = TensorSamples(torch.zeros(3, 1, channels, 40, 40), real=torch.zeros(3, channels, 40, 40),
                         truths=torch.zeros(3, channels, 40, 40), space=described(space, "space"))  # fmt: skip
    made.has |= {"sources"}
    made.source_space = made.space if source is None else source
    return made


WINDOW = {"display": {"window": [-160, 240]}}


@pytest.mark.parametrize(
    ("metric", "protocol", "backbone", "space", "cause", "fix"),
    [
        ("structure", "", "", HU, "structure edges/1 is for 8-bit RGB images, and these are -1024..3071 HU", "mae"),
        ("cis", "", "random", HU | WINDOW, "is for 8-bit RGB", "rmse"),
        ("mode-coverage", "", "random", HU | WINDOW, "is for 8-bit RGB", "pearson"),
        ("ndb", "", "random", HU | WINDOW, "is for 8-bit RGB", "psnr"),
        ("fid", "", "classifier", HU | WINDOW, "is for 8-bit RGB", "ssim"),
        ("psnr", "one", "", HU, "psnr one/1 is for 8-bit RGB", "--metric psnr --protocol psnr=values/1"),
        ("lpips-paired", "", "random", HU, "nothing says how -1024..3071 HU", "display: {window: [-1024, 3071]}"),
        ("kid", "", "random", BANDS | {"display": {"window": [0, 0.3]}}, "nothing says how 4 channels",
         "display: {window: [0, 0.3], colour: [B02, B03, B04]}"),
        ("mae", "", "", {"channels": [{"name": "t", "unit": "K"}, {"name": "p", "unit": "Pa"}], "range": [0, 9]},
         "errors in K and Pa have no mean", "psnr, ssim or pearson"),
        ("mae", "", "", {"kind": "labels", "values": [0, 1, 2]}, "labels have no distances", "another kind"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_of_them_is_refused(metric, protocol, backbone, space, cause, fix):
    made = described(space, "space")
    chosen = choose(CATALOG, [metric], [protocol] if protocol else [], made)
    with pytest.raises(UsageError) as refused:
        found = plan(CATALOG, chosen, samples(space, channels=made.count), backbones={metric: backbone})
        Evaluation(samples(space, channels=made.count), found, Tools(CPU)).run()
    assert cause in refused.value.message and fix in refused.value.fix


@pytest.mark.parametrize(
    ("metric", "space"),
    [
        ("lpips-paired", HU | WINDOW), ("kid", {"kind": "grey8"}), ("mae", HU), ("pearson", BANDS),
        ("prdc", BANDS | {"display": {"colour": ["B04", None, "B02"]}}),
    ],
)  # fmt: skip
def test_what_makes_sense_of_them_is_not(metric, space):
    made = described(space, "space")
    (found,) = plan(CATALOG, choose(CATALOG, [metric], space=made), samples(space, channels=made.count))
    assert found.sees == ("values" if metric in ("mae", "pearson") else "rgb")


def test_a_metric_of_inputs_in_rgb_refuses_measured_inputs_of_rgb_outputs():
    made = TensorSamples(torch.zeros(3, 1, 3, 40, 40), sources=torch.zeros(3, 3, 40, 40) - 0.1, range=(-1, 1))
    made.source_space = described(HU, "space")
    with pytest.raises(UsageError, match=r"structure edges/1 is for 8-bit RGB images, and these are -1024..3071 HU"):
        plan(CATALOG, choose(CATALOG, ["structure"]), made)


def records(folder, space, metric="lpips-paired", **more):
    images, truths, _ = drawn(side=40)
    made = TensorSamples(images[:, None], truths=truths, groups=GROUPS, space=described(space, "space"), **more)
    plans = plan(CATALOG, choose(CATALOG, [metric], space=made.space), made, backbones={"lpips-paired": "random"})
    evaluation = Evaluation(made, plans, Tools(CPU))
    return write_records(evaluation, evaluation.run(), folder, {})


def test_networks_made_for_photographs_see_the_display_and_the_record_says_so(tmp_path):
    (record,) = records(tmp_path, HU | WINDOW)
    assert record.preprocess.range == "display -160..240 HU as grey"
    assert record.preprocess.space_sha256 == described(HU | WINDOW, "space").sha256
    assert not record.preprocess.quantised and record.preprocess.mask is None
    assert "on a display of HU: for ranking runs of one table" in record.warnings[-1]
    images, truths, _ = drawn(side=40)
    shown = [((x.clamp(-160, 240) + 160) / 200 - 1).expand(-1, 3, -1, -1) for x in (images, truths)]
    (rgb,) = i2i_forge.measure("lpips-paired", shown[0], truths=shown[1], range=(-1, 1), backbone="random")
    assert record.value == pytest.approx(rgb.value, rel=1e-4)
    assert (record.n.groups, record.ci_method) == (2, "group-bootstrap")
    values = per_input(tmp_path, record.per_input)
    assert values["one"] == pytest.approx(np.mean([rgb.per_input[n] for n in (0, 2, 5)]), rel=1e-4)


def test_numbers_of_other_windows_units_ranges_and_masks_stand_in_columns_of_their_own(tmp_path):
    mask = drawn(side=40)[2]
    displays = [HU | WINDOW, HU | {"display": {"window": [-100, 240]}}]
    found = [records(tmp_path, space)[0] for space in displays]
    assert len({column_key(record) for record in found}) == 2
    spaces = [(HU, {}), ({**HU, "range": [-1024, 2000]}, {}), ({"range": [-1024, 3071]}, {}), (HU, {"mask": mask})]
    found = [records(tmp_path, space, "mae", **more)[0] for space, more in spaces]
    assert len({column_key(record) for record in found}) == 4
    assert [(r.unit, r.preprocess.range, r.preprocess.mask) for r in found] == [
        ("HU", "-1024..3071 HU", None), ("HU", "-1024..2000 HU", None), ("none", "-1024..3071", None),
        ("HU", "-1024..3071 HU", "mask"),
    ]  # fmt: skip
    assert read(tmp_path / FILE)[-1] == found[-1]
    told = unlike(columns([(record, tmp_path) for record in found]))
    assert told == ["mae: 4 columns, because they differ in values seen, mask"]


def test_rows_of_one_column_are_paired_by_group(tmp_path):
    images, truths, _ = drawn()
    found = []
    for name, shift in (("one", 0.0), ("other", 100.0)):
        made = TensorSamples(images[:, None].clamp(-900, 900), truths=truths.clamp(-900, 900) + shift, groups=GROUPS,
                             space=described(HU, "space"))  # fmt: skip
        made.model["name"] = name
        evaluation = Evaluation(made, plan(CATALOG, choose(CATALOG, ["mae"], space=made.space), made), Tools(CPU))
        found += [
            (record, tmp_path / name) for record in write_records(evaluation, evaluation.run(), tmp_path / name, {})
        ]
    (column,) = columns(found)
    one, other = (row_key(record) for record, _ in found)
    values = [per_input(folder, record.per_input) for record, folder in found]
    by_group = [values[1][group] - values[0][group] for group in ("one", "two")]
    mean, interval = difference(column, other, one)
    assert mean == pytest.approx(np.mean(by_group)) and interval == pytest.approx(sorted(by_group))


def test_two_slices_of_one_8_bit_level_are_two_images():
    space = described(HU, "space")
    one, other = (space.to_tensor(np.full((1, 4, 4), value)) for value in (50.0, 60.0))
    assert space.digest(one) != space.digest(other)
    made = TensorSamples(torch.tensor([50.0, 60.0])[:, None, None, None, None].expand(2, 1, 1, 4, 4), space=space)
    assert len({d for b in made.translations(0, [1, 1], 2) for d in made.seen["inputs"].values() if b}) == 2


def test_inputs_may_have_other_channels_and_true_outputs_may_not():
    images, truths, _ = drawn()
    made = TensorSamples(images[:, None], truths=truths, space=described(HU, "space"))
    made.beside["source"], made.has = torch.zeros(6, 2, 24, 24), made.has | {"sources"}
    plans = plan(CATALOG, choose(CATALOG, ["mae"], space=made.space), made)
    assert Evaluation(made, plans, Tools(CPU)).run()[0][0].value > 0
    made.beside["source"] = torch.zeros(6, 2, 12, 24)
    with pytest.raises(DataError, match="the input of input 0 is 24x12, its translation is 24x24"):
        Evaluation(made, plans, Tools(CPU)).run()
    del made.beside["source"]
    made.beside["truth"] = torch.zeros(6, 2, 24, 24)
    with pytest.raises(DataError, match="the true output of input 0 has 2 channels, its translation 1"):
        Evaluation(made, plans, Tools(CPU)).run()


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"images": torch.zeros(6, 3, 24, 24)}, r"images: the shape is \(6, 1, 3, 24, 24\)"),
        ({"truths": torch.full((6, 1, 24, 24), torch.nan)}, "truths: some values are not finite"),
        ({"range": (0, 1)}, "range and space are both given"),
        ({"mask": torch.ones(6, 24, 24)}, r"mask: the shape is \(6, 24, 24\)"),
        ({"mask": torch.ones(5, 1, 24, 24)}, "masks: 5 for 6 inputs"),
        ({"groups": ["one"]}, "groups: 1 for 6 inputs"),
        ({"space": {"unit": "HU"}}, "space: it should be described with a `range`"),
        ({"space": {"range": [-1024, 3071], "units": "HU"}}, "space: units there is no such key"),
        ({"space": {"range": {"percentile": [0, 99]}}}, "nothing says which values the images have"),
    ],
)
def test_what_is_wrong_with_tensors_of_values_is_said(change, cause):
    images, truths, _ = drawn()
    given = {"images": images, "truths": truths, "space": HU} | change
    with pytest.raises(UsageError, match=cause):
        i2i_forge.measure("mae", given.pop("images"), **given)


def test_codes_of_files_are_values_too_and_what_is_outside_counts_as_the_end():
    truths = torch.tensor([[-1024, 100], [3071, 0]], dtype=torch.int16).reshape(1, 1, 2, 2)
    images = torch.tensor([[-2000, 90], [3071, 0]], dtype=torch.int16).reshape(1, 1, 2, 2)
    (outcome,) = i2i_forge.measure("mae", images, truths=truths, space=ImageSpace(described(HU, "space").domain))
    assert outcome.value == pytest.approx(10 / 4, abs=1e-9)


def test_rgb8_is_measured_in_levels_of_255_too():
    draws = torch.Generator().manual_seed(0)
    one, other = (torch.randint(256, (2, 3, 16, 16), generator=draws, dtype=torch.uint8) for _ in range(2))
    (outcome,) = i2i_forge.measure("mae", one, truths=other)
    assert outcome.value == pytest.approx(float((one.double() - other.double()).abs().mean()), abs=1e-4)
    assert not outcome.warnings and list(outcome.per_group) == ["input 0", "input 1"]
