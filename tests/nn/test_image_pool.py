"""The pool of past translations: what it hands out, how it fills, and that it resumes to the bit."""

from typing import Any

import pytest
import torch
from torch import Tensor

from i2i_forge.errors import UsageError
from i2i_forge.nn import ImagePool


def image(value: float, size: int = 2) -> Tensor:
    return torch.full((1, 3, size, size), float(value))


def values(images: Tensor) -> list[float]:
    return [float(each.mean()) for each in images]


def deciding(pool: ImagePool, *slots: int | None) -> ImagePool:
    """The pool with given decisions; it fails when asked for more."""
    decisions = iter(slots)
    pool.draw = lambda: next(decisions)  # type: ignore[method-assign]
    return pool


def run(pool: ImagePool, numbers: range, seed: int) -> list[float]:
    out = []
    for number in numbers:
        torch.manual_seed(1000 * seed + number)
        out += values(pool(image(number)))
    return out


def test_until_it_is_full_it_keeps_and_hands_out_what_it_is_given() -> None:
    pool = deciding(ImagePool(3))
    assert [values(pool(image(k))) for k in range(3)] == [[0.0], [1.0], [2.0]]
    assert values(pool.images) == [0.0, 1.0, 2.0]


def test_a_full_pool_exchanges_or_lets_pass() -> None:
    pool = deciding(ImagePool(2), 1, None, 0, 1)
    pool(torch.cat([image(0), image(1)]))
    assert values(pool(image(2))) == [1.0]
    assert values(pool(image(3))) == [3.0]
    assert values(pool.images) == [0.0, 2.0]
    assert values(pool(torch.cat([image(4), image(5)]))) == [0.0, 2.0]
    assert values(pool.images) == [4.0, 5.0]


def test_each_image_of_a_batch_decides_for_itself_in_order() -> None:
    """The pool fills in the middle of a batch, and the third image takes the place of the first."""
    pool = deciding(ImagePool(2), 0)
    assert values(pool(torch.cat([image(0), image(1), image(2)]))) == [0.0, 1.0, 0.0]
    assert values(pool.images) == [2.0, 1.0]


def test_what_it_hands_out_is_a_copy_without_gradient() -> None:
    pool = deciding(ImagePool(1), 0, 0)
    pool(image(0).requires_grad_())
    out = pool(image(1).requires_grad_())
    assert not out.requires_grad
    assert not pool.images.requires_grad
    pool(image(2))
    assert values(out) == [0.0]


def test_changing_the_given_image_does_not_change_the_pool() -> None:
    pool, given = ImagePool(2), image(1)
    pool(given)
    given.zero_()
    assert values(pool.images) == [1.0]


def test_half_of_the_decisions_exchange_and_every_place_is_used() -> None:
    pool = ImagePool(5)
    torch.manual_seed(0)
    drawn = [pool.draw() for _ in range(4000)]
    slots = [slot for slot in drawn if slot is not None]
    assert abs(len(slots) / len(drawn) - 0.5) < 0.03
    assert all(abs(slots.count(k) / len(slots) - 0.2) < 0.04 for k in range(5))
    assert set(slots) == set(range(5))


def test_equal_seeds_give_equal_decisions_and_others_do_not() -> None:
    assert run(ImagePool(4), range(40), seed=1) == run(ImagePool(4), range(40), seed=1)
    assert run(ImagePool(4), range(40), seed=1) != run(ImagePool(4), range(40), seed=2)


@pytest.mark.parametrize("done", [0, 3, 17])
def test_a_stored_state_goes_on_exactly(done: int) -> None:
    pool = ImagePool(4)
    run(pool, range(done), seed=1)
    stored = {name: value.clone() for name, value in pool.state_dict().items()}
    resumed = ImagePool(4)
    run(resumed, range(6), seed=9)  # what it held before is forgotten
    resumed.load_state_dict(stored)
    assert run(resumed, range(done, 40), seed=1) == run(pool, range(done, 40), seed=1)
    assert torch.equal(resumed.images, pool.images)


def test_a_stored_state_keeps_its_bits_and_needs_its_buffer() -> None:
    pool = ImagePool(2)
    pool(torch.rand(2, 3, 4, 4, dtype=torch.float64))
    other = ImagePool(2)
    other.load_state_dict(pool.state_dict())
    assert other.images.dtype == torch.float64
    assert torch.equal(other.images, pool.images)
    with pytest.raises(RuntimeError, match="images"):
        other.load_state_dict({})


def test_a_smaller_pool_keeps_what_was_stored_and_uses_its_own_places() -> None:
    pool = ImagePool(4)
    run(pool, range(4), seed=0)
    smaller = deciding(ImagePool(2), 1)
    smaller.load_state_dict(pool.state_dict())
    assert values(smaller(image(9))) == [1.0]


@pytest.mark.parametrize("pool", [ImagePool(0), ImagePool(2).eval()], ids=["size 0", "eval"])
def test_size_0_and_eval_mode_hand_out_what_they_are_given(pool: ImagePool) -> None:
    given = image(1).requires_grad_()
    for _ in range(4):
        assert torch.equal(pool(given), given)
    assert not pool(given).requires_grad
    assert len(pool.images) == 0


def test_tensors_without_data_are_not_kept() -> None:
    pool = ImagePool(2)
    for _ in range(4):
        assert pool(image(1).to("meta")).shape == (1, 3, 2, 2)
    assert len(pool.images) == 0
    assert values(pool(image(5))) == [5.0]


@pytest.mark.parametrize("filled", [1, 2])
def test_images_of_another_size_are_refused_in_words(filled: int) -> None:
    pool = ImagePool(2)
    run(pool, range(filled), seed=0)
    with pytest.raises(UsageError, match="holds images of 3x2x2, it is given one of 3x4x4") as caught:
        pool(image(0, size=4))
    assert "size to 0" in caught.value.fix


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(ValueError, match="size is -1"):
        ImagePool(-1)


def test_it_says_its_size() -> None:
    shown: Any = repr(ImagePool(7))
    assert shown == "ImagePool(7)"
