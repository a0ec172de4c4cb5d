"""Structure: edges by hand, and drawings against their photographs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from i2i_forge.measure import Batch, Outcome, Tools
from i2i_forge_plugins.metrics import structure as plugin
from i2i_forge_plugins.metrics.structure import Structure, agreement, find_edges
from i2i_forge_plugins.procedural_shoes import ProceduralShoes


def metric() -> Structure:
    return Structure(Structure.protocols[0], Tools(torch.device("cpu")))


def of(images: Tensor, sources: Tensor, truths: Tensor | None = None, draws: int = 1) -> Batch:
    """`draws` translations in a row are of one input."""
    numbers = [i // draws for i in range(len(images))]
    return Batch(images, numbers, [i % draws for i in range(len(images))], [""] * len(images), sources, truths)


def measured(*batches: Batch) -> Outcome:
    made = metric()
    for batch in batches:
        made.update(batch)
    (outcome,) = made.compute()
    return outcome


def shoes(size: int, count: int) -> tuple[Tensor, Tensor]:
    """Line drawings and their photographs."""
    (source,) = ProceduralShoes(size=size, paired=True).sources("test")
    examples = [source.example(i) for i in range(count)]
    return torch.stack([e["a"] for e in examples]), torch.stack([e["b"] for e in examples])


def square(left: int, grey: float = -1.0) -> Tensor:
    """A square of 32x32 on white."""
    image = torch.ones(1, 3, 64, 64)
    image[..., 16:48, left : left + 32] = grey
    return image


# ---- edges -----------------------------------------------------------------------------------------------------


def test_edges_of_a_square_are_its_outline() -> None:
    edges = find_edges(square(16), 0.3)[0]
    assert edges.dtype == torch.bool and edges.shape == (64, 64)
    inside, outside = edges.clone(), edges.clone()
    inside[15:49, 15:49] = False
    outside[18:46, 18:46] = False
    assert not inside.any() and torch.equal(outside, edges)  # nothing farther than two pixels from it
    assert edges.any(1).sum() >= 32 and edges.any(0).sum() >= 32
    assert not find_edges(square(16, grey=0.9), 0.3).any()  # a step of 0.05 has a gradient of 0.13
    assert not find_edges(torch.ones(1, 3, 64, 64), 0.3).any()


def test_agreement_by_hand() -> None:
    found, true = torch.zeros(1, 8, 8).bool(), torch.zeros(1, 8, 8).bool()
    found[0, 1, 1] = found[0, 1, 4] = found[0, 6, 6] = True  # near (0, 0); near nothing twice
    true[0, 0, 0] = true[0, 3, 1] = True  # near (1, 1); two pixels from it
    assert agreement(found, true, 1).tolist()[0] == pytest.approx([1 / 3, 1 / 2, 0.4])
    assert agreement(found, true, 2).tolist()[0] == pytest.approx([1 / 3, 1, 0.5])
    assert agreement(true, found, 1).tolist()[0] == pytest.approx([1 / 2, 1 / 3, 0.4])


def test_agreement_where_edges_are_missing() -> None:
    some, none = torch.eye(8)[None].bool(), torch.zeros(1, 8, 8).bool()
    assert agreement(some, none, 1).tolist() == [[0, 0, 0]] == agreement(none, some, 1).tolist()
    assert agreement(none, none, 1).tolist() == [[1, 1, 1]]


# ---- values ----------------------------------------------------------------------------------------------------


def test_the_input_itself_keeps_its_shape_and_a_blank_image_does_not() -> None:
    drawings, _ = shoes(64, 4)
    same = measured(of(drawings, drawings))
    assert same.value == 1 and same.components["precision"] == same.components["recall"] == 1 and same.se == 0
    blank = measured(of(torch.ones_like(drawings), drawings))
    assert blank.value == blank.components["precision"] == blank.components["recall"] == blank.components["floor"] == 0
    assert measured(of(torch.ones(2, 3, 64, 64), torch.zeros(2, 3, 64, 64))).value == 1  # both without edges


def test_colours_do_not_count() -> None:
    drawings, photos = shoes(64, 4)
    assert measured(of(-photos, drawings)).value == pytest.approx(measured(of(photos, drawings)).value, abs=1e-3)


@pytest.mark.parametrize(("size", "count", "high"), [(64, 16, 0.8), (128, 12, 0.85), (256, 4, 0.85)])
def test_photographs_keep_the_shape_of_their_drawings(size: int, count: int, high: float) -> None:
    drawings, photos = shoes(size, count)
    outcome = measured(of(photos, drawings, photos))
    assert outcome.value == outcome.components["truth"] > high
    assert outcome.components["floor"] < outcome.value - 0.2
    assert min(outcome.per_input.values()) > 0.7
    others = measured(of(photos.roll(1, 0), drawings, photos))
    assert others.value < outcome.value - 0.2 and others.components["truth"] == outcome.value


def test_what_moves_beyond_the_tolerance_is_lost() -> None:
    near, far = (measured(of(square(left), square(16))).value for left in (17, 20))
    assert near == 1 and far < 0.6  # upper and lower sides still lie on each other


def test_what_is_missing_costs_recall_and_what_is_added_precision() -> None:
    one, two = square(16), square(16)
    two[..., 24:40, 24:40] = 1  # a smaller square within
    missing, added = (measured(of(*images)).components for images in ((one, two), (two, one)))
    assert missing["precision"] == 1 > missing["recall"] + 0.2
    assert (added["precision"], added["recall"]) == (missing["recall"], missing["precision"])


# ---- the floor and the truth -----------------------------------------------------------------------------------


def test_the_floor_is_against_the_input_before() -> None:
    drawings, photos = shoes(64, 3)
    outcome = measured(of(photos, drawings))
    shifted = measured(of(photos, drawings.roll(1, 0)))
    assert outcome.components["floor"] == pytest.approx(shifted.value, rel=1e-12)
    assert "truth" not in outcome.components


def test_a_single_input_has_no_floor() -> None:
    drawings, photos = shoes(64, 1)
    assert "floor" not in measured(of(photos, drawings)).components


def test_the_memory_for_the_floor_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin, "REMEMBERED", 2)
    drawings, photos = shoes(64, 3)
    made = metric()
    made.update(of(photos, drawings))
    assert sorted(made.edges.pairs) == [0, 1]
    swapped = measured(of(photos[:2], drawings[:2].flip(0)))
    assert made.compute()[0].components["floor"] == pytest.approx(swapped.value, rel=1e-12)


def test_the_value_is_the_mean_over_draws_and_then_inputs() -> None:
    """Of each input there are two translations: the true output, and another's."""
    drawings, photos = shoes(64, 4)
    images = torch.stack([photos, photos.roll(1, 0)], 1).flatten(0, 1)
    outcome = measured(of(images, drawings.repeat_interleave(2, 0), photos.repeat_interleave(2, 0), draws=2))
    own, others = measured(of(photos, drawings)), measured(of(photos.roll(1, 0), drawings))
    assert outcome.value == pytest.approx((own.value + others.value) / 2, rel=1e-12)
    assert outcome.per_input[2] == pytest.approx((own.per_input[2] + others.per_input[2]) / 2, rel=1e-12)
    assert outcome.components["truth"] == pytest.approx(own.value, rel=1e-12)
    assert outcome.components["floor"] == own.components["floor"]  # of first draws
    assert outcome.ci95[0] < outcome.value < outcome.ci95[1]
