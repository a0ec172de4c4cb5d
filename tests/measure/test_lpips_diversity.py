"""LPIPS diversity against the mean over its pairs, and under its protocols."""

import dataclasses
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from loaded import CATALOG
from torch import Tensor

from i2i_forge.errors import DataError, UsageError
from i2i_forge.measure import Batch, Moments, Outcome, Tools
from i2i_forge.system.seeding import generator
from i2i_forge_benchmarks.lpips_speed import package_of
from i2i_forge_plugins.backbones.lpips import LpipsNetwork, lpips_backbone, random_lpips
from i2i_forge_plugins.metrics.lpips_diversity import LpipsDiversity
from i2i_forge_plugins.metrics.lpips_pairs import (
    AllPairs,
    Neighbours,
    PairsByInput,
    mean_of_all_pairs,
    moments,
    pair_matrix,
)

PROTOCOLS = {protocol.name: protocol for protocol in LpipsDiversity.protocols}
ALL = "allpairs/1"
NETWORK = random_lpips()  # one for all tests
NETWORK_V0 = random_lpips(version="0.0")


def tools(**changes: Any) -> Tools:
    lent = Tools(torch.device("cpu"), backbone="random", **changes)
    for network in (NETWORK, NETWORK_V0):
        lent.built(f"lpips alex {network.info.version} random", lambda network=network: network)
    return lent


def metric(name: str = ALL, draws: int | None = None, lent: Tools | None = None, **options: Any) -> LpipsDiversity:
    protocol = PROTOCOLS[name]
    changed = dataclasses.replace(protocol, draws=draws or protocol.draws, options={**protocol.options, **options})
    return LpipsDiversity(changed, lent or tools())


def translations(inputs: int, draws: int, spread: float = 0.3, side: int = 32) -> Tensor:
    """Images I,K,3,H,W: variations of one image for each input, input i by (i + 1) times `spread`."""
    noise = generator("translations", inputs, draws)
    base = torch.rand(inputs, 1, 3, side, side, generator=noise) * 2 - 1
    widths = spread * torch.arange(1, inputs + 1)[:, None, None, None, None]
    return (base + widths * torch.randn(inputs, draws, 3, side, side, generator=noise)).clamp(-1, 1)


def batches(images: Tensor, size: int, first: int = 0) -> list[Batch]:
    count, draws = images.shape[:2]
    numbers = [(first + i, k) for i in range(count) for k in range(draws)]
    found = []
    for start in range(0, len(numbers), size):
        part = numbers[start : start + size]
        inputs, of = [i for i, _ in part], [k for _, k in part]
        found.append(Batch(images.flatten(0, 1)[start : start + size], inputs, of, [f"{i}.png" for i in inputs]))
    return found


def measured(found: LpipsDiversity, images: Tensor, size: int = 7, real: Tensor | None = None) -> Outcome:
    for batch in batches(images, size):
        found.update(batch)
    for batch in batches(real[:, None], size) if real is not None else []:
        found.update_real(batch)
    (outcome,) = found.compute()
    return outcome


def by_pairs(images: Tensor, pairs: Callable[[int], list[tuple[int, int]]], network: LpipsNetwork = NETWORK) -> float:
    """The mean over inputs and pairs of squared distances in float64 of the same embeddings."""
    total = []
    for own in images:
        rows = network.embed(own).double()
        total.append(torch.stack([(rows[i] - rows[j]).square().sum() for i, j in pairs(len(own))]).mean())
    return torch.stack(total).mean().item()


def all_pairs(draws: int) -> list[tuple[int, int]]:
    return [(i, j) for j in range(draws) for i in range(j)]


def consecutive(draws: int) -> list[tuple[int, int]]:
    return [(i, i + 1) for i in range(draws - 1)]


def disjoint(draws: int) -> list[tuple[int, int]]:
    return [(i, i + 1) for i in range(0, draws - 1, 2)]


def test_it_is_in_the_catalog() -> None:
    assert CATALOG.metrics.get("lpips-diversity").protocols[0].name == ALL


def test_it_is_the_packages_mean_over_all_pairs() -> None:
    images = translations(2, 5, side=64)
    package = package_of(NETWORK)
    first, second = torch.tensor(all_pairs(5)).T
    expected = torch.stack([package(own[first], own[second]).mean() for own in images]).mean().item()
    assert measured(metric(draws=5), images).value == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "pairs", "network"),
    [
        (ALL, all_pairs, NETWORK), ("allpairs-v0/1", all_pairs, NETWORK_V0), ("munit-2018/1", disjoint, NETWORK_V0),
        ("bicyclegan-2017/1", consecutive, NETWORK_V0), ("starganv2-2020/1", all_pairs, NETWORK),
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [1, 7, 64])
def test_it_is_the_mean_over_its_pairs_whatever_the_batches(name: str, pairs: Any, network: Any, size: int) -> None:
    images = translations(3, 6)
    outcome = measured(metric(name, 6), images, size)
    assert outcome.value == pytest.approx(by_pairs(images, pairs, network), rel=1e-6)  # convolutions see other batches
    assert outcome.pairs == 3 * len(pairs(6))
    assert outcome.per_input is not None and list(outcome.per_input) == [0, 1, 2]
    assert outcome.per_input[0] < outcome.per_input[1] < outcome.per_input[2]
    assert outcome.components == {"min": outcome.per_input[0], "max": outcome.per_input[2]}


@given(
    draws=st.integers(2, 12), cuts=st.sets(st.integers(1, 11)), log_spread=st.floats(-5, 0),
    seed=st.integers(0, 1000), kind=st.sampled_from(["all", "consecutive", "disjoint"]),
)  # fmt: skip
def test_groups_are_exact_for_any_cut(draws: int, cuts: set[int], log_spread: float, seed: int, kind: str) -> None:
    noise = torch.Generator().manual_seed(seed)
    rows = torch.randn(1, 9000, generator=noise) + 10**log_spread * torch.randn(draws, 9000, generator=noise)
    group = {"all": AllPairs, "consecutive": lambda: Neighbours(1), "disjoint": lambda: Neighbours(2)}[kind]
    pairs = {"all": all_pairs, "consecutive": consecutive, "disjoint": disjoint}[kind](draws)
    memory = PairsByInput(group, draws)
    edges = [0, *sorted(cut for cut in cuts if cut < draws), draws]
    for start, end in pairwise(edges):
        memory.add([5] * (end - start), list(range(start, end)), rows[start:end])
    wide = rows.double()
    expected = sum((wide[i] - wide[j]).square().sum().item() for i, j in pairs) / len(pairs)
    assert not memory.open
    found = memory.table()[5]
    assert found.pairs == len(pairs)
    assert found.mean == pytest.approx(expected, rel=1e-9)


def test_a_collapsed_generator_is_measured_to_a_thousandth() -> None:
    images = translations(1, 8, spread=2e-3, side=64)
    exact = package_of(random_lpips().double()).double()
    first, second = torch.tensor(all_pairs(8)).T
    expected = exact(images[0, first].double(), images[0, second].double()).mean().item()
    assert 1e-7 < expected < 1e-5
    assert measured(metric(draws=8), images).value == pytest.approx(expected, rel=1e-3)
    rows = NETWORK.embed(images[0])
    squares = rows.square().sum(1)
    plain = (squares[:, None] + squares - 2 * rows @ rows.T)[first, second].mean().item()
    assert abs(plain / expected - 1) > 1e-3  # what it is about
    assert pair_matrix(rows)[first, second].mean().item() == pytest.approx(expected, rel=1e-3)


def test_the_order_of_draws_matters_to_neighbours_only() -> None:
    images = translations(2, 6)
    shuffled = images[:, [3, 0, 5, 1, 4, 2]]
    for name, is_same in ((ALL, True), ("munit-2018/1", False), ("bicyclegan-2017/1", False)):
        one, two = measured(metric(name, 6), images).value, measured(metric(name, 6), shuffled).value
        assert (one == pytest.approx(two, rel=1e-6)) is is_same


def test_every_image_passes_the_network_once() -> None:
    seen: list[int] = []
    hook = NETWORK_V0.trunk[0].register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    real = translations(5, 1)[:, 0]
    measured(metric("munit-2018/1"), translations(2, 38), 8, real)
    hook.remove()
    assert sum(seen) == 2 * 38 + 5
    assert {name: p.draws * (p.inputs or 0) for name, p in PROTOCOLS.items()} == {
        "allpairs/1": 2000, "allpairs-v0/1": 2000, "munit-2018/1": 3800, "bicyclegan-2017/1": 2000,
        "starganv2-2020/1": 0, "drit-2018/1": 100,
    }  # fmt: skip


@pytest.mark.parametrize("name", [ALL, "munit-2018/1"])
def test_memory_does_not_grow_with_the_inputs(name: str) -> None:
    found = metric(name, 4)
    for batch in batches(translations(5, 4), 6):
        found.update(batch)
        assert len(found.translations.open) <= 1
    assert not found.translations.open
    assert all(one.matrix is None for one in found.translations.state()["found"].values())


def test_real_images_are_compared_over_all_their_pairs() -> None:
    images, real = translations(3, 4), translations(9, 1)[:, 0]
    images[0] = images[0, 0]  # an input whose translations are all the same
    outcome = measured(metric(draws=4), images, 7, real)
    expected = by_pairs(real[None], all_pairs)
    assert outcome.components["real"] == pytest.approx(expected, rel=1e-6)
    assert outcome.components["ratio"] == pytest.approx(outcome.value / expected, rel=1e-6)
    assert outcome.components["collapsed_rate"] == pytest.approx(1 / 3)
    assert outcome.components["min"] == 0
    assert outcome.real == 9


def test_moments_of_real_images_need_one_mean() -> None:
    seen = Moments()
    rows = torch.randn(200, 50, generator=generator("rows")) + 100
    for part in rows.split(17):
        seen.merge(moments(part))
    expected = torch.nn.functional.pdist(rows.double()).square().mean().item()
    assert mean_of_all_pairs(seen) == pytest.approx(expected, rel=1e-9)
    assert seen.mean is not None and seen.mean.shape == (50,)


def test_uncertainty_is_over_inputs() -> None:
    images = translations(8, 6)
    outcome = measured(metric(draws=6), images, 12)
    assert outcome.per_input is not None and outcome.se is not None and outcome.ci95 is not None
    matrices = [pair_matrix(NETWORK.embed(own))[tuple(torch.tensor(all_pairs(6)).T)] for own in images]
    over_pairs = torch.cat(matrices)
    assert outcome.se > 2 * (over_pairs.std() / len(over_pairs) ** 0.5).item()  # pairs are not independent
    assert outcome.ci95[0] < outcome.value < outcome.ci95[1]
    assert outcome.ci_method == "input-bootstrap"


def test_distances_on_request() -> None:
    images = translations(2, 4)
    outcome = measured(metric(draws=4, matrix=True), images, 3)
    assert list(outcome.arrays) == ["input_0", "input_1"]
    assert outcome.value == pytest.approx(by_pairs(images, all_pairs), rel=1e-6)
    for number, own in enumerate(images):
        rows = NETWORK.embed(own).double()
        expected = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist").square()
        found = torch.from_numpy(outcome.arrays[f"input_{number}"])
        assert torch.allclose(found, expected, rtol=1e-5, atol=0)
        assert found.diagonal().abs().max() == 0
        assert found.sum().item() / 12 == pytest.approx(outcome.per_input[number], rel=1e-12)
    assert not measured(metric(draws=4), images).arrays


def test_a_deterministic_method_has_none() -> None:
    images, real = translations(3, 1), translations(4, 1)[:, 0]
    outcome = measured(metric(lent=tools(is_deterministic=True)), images, 2, real)
    assert outcome.value == 0
    assert outcome.per_input == {0: 0.0, 1: 0.0, 2: 0.0}
    assert outcome.components["ratio"] == 0
    assert outcome.components["collapsed_rate"] == 1
    assert "by construction" in outcome.warnings[0]
    same = translations(1, 1).expand(-1, 5, -1, -1, -1)  # one that says nothing of it
    assert measured(metric(draws=5), same, 5).value == pytest.approx(0, abs=1e-9)


def test_random_pairs_over_the_set() -> None:
    images, spread = translations(6, 1), {}
    for lent in (tools(), tools(is_deterministic=True)):
        outcome = measured(metric("drit-2018/1", lent=lent), images, 4)
        assert (outcome.pairs, outcome.per_input, outcome.warnings) == (1000, None, [])
        spread[lent.is_deterministic] = outcome
    assert spread[False] == spread[True]
    expected = by_pairs(images[:, 0][None], all_pairs, NETWORK_V0)
    assert outcome.value == pytest.approx(expected, rel=0.05)  # 1000 of 15 pairs with replacement
    assert outcome.se is not None and outcome.se > 0
    two = measured(metric("drit-2018/1"), images[:2])
    assert two.value == pytest.approx(by_pairs(images[:2, 0][None], all_pairs, NETWORK_V0), rel=1e-5)
    with pytest.raises(UsageError, match="no pair of inputs"):
        measured(metric("drit-2018/1"), images[:1])


def test_too_few_translations() -> None:
    with pytest.raises(UsageError) as caught:
        measured(metric(), translations(2, 1))
    assert "input 0 has 1 translation" in caught.value.message
    assert "at least 2 translations; allpairs/1 has 20" in caught.value.fix
    outcome = measured(metric(), translations(2, 3))
    assert outcome.value == pytest.approx(by_pairs(translations(2, 3), all_pairs), rel=1e-6)
    assert outcome.warnings == ["inputs have 3 translations, not 20"]


def test_images_of_several_sizes_are_refused() -> None:
    found = metric(draws=2)
    found.update(batches(translations(1, 2), 2)[0])
    with pytest.raises(DataError, match=r"'1\.png' is not of the size"):
        found.update(batches(translations(1, 2, side=64), 2, first=1)[0])


def test_neither_autocast_nor_training_mode_reaches_it() -> None:
    images = translations(2, 3)
    expected = measured(metric(draws=3), images).value
    with torch.autocast("cpu", dtype=torch.bfloat16):
        NETWORK.train()
        assert measured(metric(draws=3), images).value == expected
    NETWORK.eval()


def test_metrics_of_one_version_share_the_network() -> None:
    lent = Tools(torch.device("cpu"), backbone="random")
    one, two = metric("munit-2018/1", lent=lent), metric("bicyclegan-2017/1", lent=lent)
    assert one.backbone is two.backbone is lpips_backbone(lent, version="0.0")
    assert one.backbone.info.id == "lpips-alex-v0.0-random"
