"""Whatever way images are split into batches and ranks, the memories hold the same."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from i2i_forge.measure import Accumulator, ByInput, Moments, Sample

SEEDS = st.integers(0, 2**32 - 1)


def random(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pieces(count: int, draws: torch.Generator) -> Iterator[slice]:
    """`count` items cut into batches of 1 to 5."""
    start = 0
    while start < count:
        stop = min(count, start + int(torch.randint(1, 6, (), generator=draws)))
        yield slice(start, stop)
        start = stop


def merged(ranks: list[Any]) -> Any:
    """What the first rank remembers once it has the others' states, as they arrive: pickled."""
    first, *others = ranks
    for other in others:
        first.merge(pickle.loads(pickle.dumps(other.state())))
    return first


def spread(
    make: Callable[[], Any], owner: list[int], ranks: int, draws: torch.Generator
) -> list[tuple[Any, list[int]]]:
    """For each batch of each rank, its memory and the positions in the batch; owner[i] is the rank of item i."""
    found = []
    for rank in range(ranks):
        memory, own = make(), [i for i, of in enumerate(owner) if of == rank]
        found.append((memory, []))  # a rank may get nothing
        found += [(memory, own[piece]) for piece in pieces(len(own), draws)]
    return found


def memories(parts: list[tuple[Any, list[int]]]) -> list[Any]:
    return list({id(memory): memory for memory, _ in parts}.values())


# ---- ByInput ---------------------------------------------------------------------------------------------------


def fed(inputs: list[int], rows: Tensor) -> ByInput:
    memory = ByInput()
    memory.add(inputs, rows)
    return memory


@given(SEEDS, st.integers(1, 30), st.integers(1, 3), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_rows_of_inputs_are_the_same_however_they_come(seed: int, count: int, width: int, ranks: int) -> None:
    draws = random(seed)
    inputs = torch.randint(0, 6, (count,), generator=draws).tolist()
    rows = torch.randn(count, width, generator=draws)
    owner = [number % ranks for number in inputs]  # a rank has all images of its inputs
    parts = spread(ByInput, owner, ranks, draws)
    for memory, batch in parts:
        memory.add([inputs[i] for i in batch], rows[batch])
    numbers, counts, sums = merged(memories(parts)).table()
    whole = fed(inputs, rows).table()
    assert numbers == whole[0] == sorted(set(inputs))
    assert torch.equal(counts, whole[1])
    assert torch.equal(sums, whole[2]) and sums.dtype == torch.float64
    for number, many, total in zip(numbers, counts.tolist(), sums, strict=True):
        own = [i for i, of in enumerate(inputs) if of == number]
        assert many == len(own)
        np.testing.assert_allclose(total.numpy(), rows[own].double().numpy().sum(0), rtol=1e-12, atol=1e-12)


def test_one_inputs_images_may_be_spread_over_ranks() -> None:
    one, other = fed([3, 3], torch.tensor([[1.0], [2.0]])), fed([3, 5], torch.tensor([[4.0], [8.0]]))
    numbers, counts, sums = merged([one, other]).table()
    assert numbers == [3, 5] and counts.tolist() == [3, 1] and sums.tolist() == [[7.0], [8.0]]


def test_rows_belong_to_the_memory_once_they_are_added() -> None:
    rows = torch.ones(2, 3, dtype=torch.float64)  # already float64 on the CPU: nothing has to be converted
    memory = fed([0, 1], rows)
    rows.zero_()
    assert memory.table()[2].tolist() == [[1.0] * 3] * 2


def test_a_state_is_as_large_as_its_rows() -> None:
    memory = fed(list(range(64)), torch.randn(64, 1000))
    assert len(pickle.dumps(memory.state())) < 2 * 64 * 1000 * 8  # it is sent to other ranks


def test_merging_leaves_the_other_rank_as_it_was() -> None:
    one, other = fed([0], torch.ones(1, 2)), fed([0, 1], torch.ones(2, 2))
    one.merge(other.state())
    one.add([0, 1], torch.ones(2, 2))
    assert other.table()[2].tolist() == [[1.0, 1.0]] * 2 and other.counts == {0: 1, 1: 1}


# ---- Moments ---------------------------------------------------------------------------------------------------


@given(SEEDS, st.integers(2, 40), st.integers(1, 8), st.integers(1, 4), st.booleans(), st.sampled_from([0.0, 1e3]))
@settings(max_examples=80, deadline=None)
def test_moments_are_numpys_whatever_the_split(
    seed: int, count: int, width: int, ranks: int, covariance: bool, offset: float
) -> None:
    draws = random(seed)
    vectors = torch.randn(count, width, generator=draws, dtype=torch.float64) + offset
    owner = torch.randint(0, ranks, (count,), generator=draws).tolist()
    parts = spread(lambda: Moments(covariance=covariance), owner, ranks, draws)
    for memory, batch in parts:
        if batch:
            memory.add(vectors[batch])
    found = merged(memories(parts))
    deviations = vectors.numpy() - vectors.numpy().mean(0)
    expected = deviations.T @ deviations if covariance else (deviations**2).sum()
    assert found.count == count
    np.testing.assert_allclose(found.mean.numpy(), vectors.numpy().mean(0), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.spread.numpy(), expected, rtol=1e-10, atol=1e-10 * float(np.abs(expected).max()))


def test_nearby_vectors_far_from_the_origin_keep_their_spread() -> None:
    vectors = torch.tensor([[1e8], [1e8 + 1], [1e8 + 2]], dtype=torch.float64)  # sums of squares would lose it all
    memory = Moments()
    for vector in vectors:
        memory.add(vector[None])
    assert memory.spread is not None and memory.spread.item() == 2.0


def test_fp32_vectors_are_summed_in_float64() -> None:
    memory = Moments(covariance=True)
    memory.add(torch.tensor([[1.0], [1.0 + 2**-20]]))
    assert memory.spread is not None and memory.spread.item() == 2**-41


def test_merging_with_nothing_changes_nothing() -> None:
    full, empty = Moments(), Moments()
    full.add(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    empty.merge(full.state())
    full.merge(Moments().state())
    for memory in (full, empty):
        assert memory.count == 2 and memory.mean is not None and memory.mean.tolist() == [2.0, 3.0]


@pytest.mark.parametrize("first", [True, False])
def test_a_batch_without_images_changes_nothing(first: bool) -> None:
    memory, vectors = Moments(), torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    for batch in (vectors[:0], vectors) if first else (vectors, vectors[:0]):
        memory.add(batch)
    assert memory.count == 2 and memory.mean is not None and memory.mean.tolist() == [2.0, 3.0]


def test_the_trace_is_that_of_the_covariance() -> None:
    vectors = torch.randn(20, 5, generator=random(0))
    total, matrix = Moments(), Moments(covariance=True)
    for memory in (total, matrix):
        memory.add(vectors[:7])
        memory.add(vectors[7:])
    assert total.spread is not None and matrix.spread is not None
    assert total.spread.item() == pytest.approx(matrix.spread.trace().item(), rel=1e-12)


# ---- Sample ----------------------------------------------------------------------------------------------------


@given(SEEDS, st.integers(1, 60), st.integers(1, 30), st.integers(1, 4))
@settings(max_examples=80, deadline=None)
def test_a_sample_is_the_same_rows_whatever_the_order(seed: int, count: int, limit: int, ranks: int) -> None:
    draws = random(seed)
    rows = torch.randn(count, 2, generator=draws)
    keys = [(i // 3, i % 3) for i in range(count)]
    shuffled = torch.randperm(count, generator=draws).tolist()
    repeated = shuffled + shuffled[: count // 2]  # ranks may see some images twice
    owner = torch.randint(0, ranks, (len(repeated),), generator=draws).tolist()
    parts = spread(lambda: Sample(limit), owner, ranks, draws)
    for memory, batch in parts:
        seen = [repeated[i] for i in batch]
        memory.add([keys[i][0] for i in seen], [keys[i][1] for i in seen], rows[seen])
        assert len(memory.rows) <= 2 * limit + len(batch)
    kept, table = merged(memories(parts)).table()
    whole = Sample(limit)
    whole.add([n for n, _ in keys], [k for _, k in keys], rows)
    assert kept == whole.table()[0] and torch.equal(table, whole.table()[1])
    assert kept == sorted(kept) and len(kept) == len(set(kept)) == min(limit, count)
    assert torch.equal(table, rows[[keys.index(key) for key in kept]])


def test_below_the_limit_nothing_is_left_out_and_all_are_counted() -> None:
    memory = Sample(10)
    memory.add([1, 0], [0, 0], torch.tensor([[1.0], [0.0]]))
    memory.add([0], [1], torch.tensor([[2.0]]))
    assert memory.seen == 3
    kept, rows = memory.table()
    assert kept == [(0, 0), (0, 1), (1, 0)] and rows.tolist() == [[0.0], [2.0], [1.0]]


def test_the_choice_favours_no_input() -> None:
    memory = Sample(1000)
    memory.add(list(range(4000)), [0] * 4000, torch.zeros(4000, 1))
    halves = np.array([number < 2000 for (number, _) in memory.table()[0]])
    assert abs(halves.mean() - 0.5) < 4 * (0.25 / 1000) ** 0.5  # four standard errors


def test_an_empty_sample_has_an_empty_table() -> None:
    kept, rows = Sample().table()
    assert kept == [] and rows.shape == (0, 0)


# ---- all of them -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [ByInput, Moments, lambda: Moments(covariance=True), Sample])
def test_a_state_has_no_gradients_and_its_tensors_are_on_the_cpu(make: Callable[[], Accumulator]) -> None:
    memory: Any = make()
    rows = torch.ones(2, 3, requires_grad=True) * 1
    numbers = {ByInput: ([0, 1],), Moments: (), Sample: ([0, 1], [0, 0])}[type(memory)]
    memory.add(*numbers, rows)
    tensors = [t for value in memory.state().values() for t in (value.values() if isinstance(value, dict) else [value])]
    tensors = [t for t in tensors if isinstance(t, Tensor)]
    assert tensors and not any(t.requires_grad or t.is_cuda for t in tensors)
