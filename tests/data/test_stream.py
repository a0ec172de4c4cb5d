"""Batches: a function of (seed, k), for any number of workers and ranks."""

import pytest
import torch
from numbered import Failing, Numbers, indices, make
from packed_folders import same
from PIL import Image

from i2i_forge.data.source import ImageSource
from i2i_forge.data.stream import batches, spread
from i2i_forge.data.stream import test_batch as fixed_batch
from i2i_forge.data.transforms import Transform
from i2i_forge.errors import DataError, ForgeError


def draws(stream, steps):
    return {(step, n): float(d) for step in steps for n, d in enumerate(stream.batch(step)["a"][:, 1, 0, 0])}


# ---- batch k is a function of (seed, k) ------------------------------------------------------------------------


def test_a_batch_does_not_depend_on_what_was_read_before():
    in_order = [make().batch(step) for step in range(20)]
    stream = make()
    for step in [19, 0, 7, 7, 3, 18, 1]:
        assert same(stream.batch(step), in_order[step])
    assert same(make().batch(13), in_order[13])


def test_another_seed_and_another_name_are_other_orders():
    first = indices(make(Numbers(50)), range(25))
    assert indices(make(Numbers(50), seed=1), range(25)) != first
    assert indices(make(Numbers(50), name="paired"), range(25)) != first


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_give_the_same_batches_in_order(workers):
    expected = [make().batch(step) for step in range(3, 12)]
    got = list(batches({"main": make()}, 3, 12, workers, pin=False))
    assert len(got) == 9
    assert all(same(g, e) for g, e in zip(got, expected, strict=True))


def test_further_streams_are_nested_under_their_names():
    streams = {"main": make(), "paired": make(Numbers(4), name="paired")}
    [batch] = batches(streams, 5, 6, 0, pin=False)
    assert sorted(batch) == ["a", "b", "paired"]
    assert same(batch["paired"], streams["paired"].batch(5))


def test_no_steps_are_no_batches():
    assert list(batches({"main": make()}, 5, 5, 0, pin=False)) == []
    assert list(batches({"main": make()}, 9, 5, 2, pin=False)) == []


# ---- epochs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "batch"), [(7, 2), (6, 3), (5, 1), (3, 8)])
def test_every_example_comes_once_in_an_epoch(count, batch):
    stream = make(Numbers(count), batch=batch)
    drawn = indices(stream, range(5 * count))
    epochs = [drawn[i : i + count] for i in range(0, len(drawn), count)]
    assert len(epochs) == 5 * batch
    assert all(sorted(epoch) == list(range(count)) for epoch in epochs)


def test_epochs_are_shuffled_anew():
    drawn = indices(make(Numbers(20), batch=20), range(6))
    epochs = {tuple(drawn[i : i + 20]) for i in range(0, 120, 20)}
    assert len(epochs) == 6
    assert tuple(range(20)) not in epochs


def test_domains_have_independent_orders():
    stream = make(Numbers(30), Numbers(30, "b"), batch=30)
    assert indices(stream, [0], "a") != indices(stream, [0], "b")


def test_domains_of_different_lengths_run_through_their_own_epochs():
    stream = make(Numbers(3), Numbers(4, "b"), batch=1)
    a, b = indices(stream, range(12), "a"), indices(stream, range(12), "b")
    assert all(sorted(a[i : i + 3]) == [0, 1, 2] for i in range(0, 12, 3))
    assert all(sorted(b[i : i + 4]) == [0, 1, 2, 3] for i in range(0, 12, 4))


def test_a_data_set_smaller_than_the_batch():
    batch = make(Numbers(1), Numbers(2, "b"), batch=5).batch(0)
    assert batch["a"].shape == batch["b"].shape == (5, 3, 2, 2)
    assert len(set(batch["a"][:, 1, 0, 0].tolist())) == 5  # the same image, each time augmented differently


def test_augmentation_differs_between_epochs_but_not_between_runs():
    stream = make(Numbers(4), batch=4)
    assert draws(stream, range(3)) == draws(make(Numbers(4), batch=4), range(3))
    assert len(set(draws(stream, range(3)).values())) == 12
    other = make(Numbers(4), batch=4, seed=1)
    assert set(draws(other, range(3)).values()).isdisjoint(draws(stream, range(3)).values())


def test_epoch_counts_examples_of_all_ranks():
    assert make(Numbers(7)).epoch(7) == 2.0
    assert make(Numbers(8), batch=4, ranks=2).epoch(1) == 0.5


# ---- ranks -----------------------------------------------------------------------------------------------------


def test_ranks_share_the_batches_of_one_rank_with_the_larger_batch():
    whole = make(batch=6)
    ranks = [make(batch=6, rank=rank, ranks=3) for rank in range(3)]
    for step in range(10):
        parts = [stream.batch(step) for stream in ranks]
        for domain in "ab":
            assert torch.equal(torch.cat([p[domain] for p in parts]), whole.batch(step)[domain])
        assert sorted(n for s in ranks for n in s.names(step)) == sorted(whole.names(step))
        assert whole.epoch(step) == ranks[1].epoch(step)


# ---- names and errors ------------------------------------------------------------------------------------------


def test_names_are_those_of_the_images_of_the_batch():
    stream = make()
    batch = stream.batch(4)
    expected = [f"{domain}{int(i)}" for domain in "ab" for i in batch[domain][:, 0, 0, 0]]
    assert stream.names(4) == expected


@pytest.mark.parametrize("workers", [0, 2])
def test_a_data_error_arrives_as_it_was_raised(workers):
    stream = make(Failing(7))
    failing = next(step for step in range(7) if "a3" in stream.names(step))
    source = batches({"main": stream}, 0, 7, workers, pin=False)
    for step in range(failing):
        assert same(next(source), make(Numbers(7)).batch(step))  # those before it are delivered
    with pytest.raises(DataError) as caught:
        next(source)
    assert caught.value.message == "broken.png: it is truncated"
    assert caught.value.fix == "remove it"
    assert caught.value.exit_code == 4


def test_an_error_travels_between_processes_whole():
    import pickle

    for error in (DataError("message", fix="fix"), ForgeError("alone")):
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), copy.message, copy.fix) == (type(error), error.message, error.fix)


def test_images_of_two_sizes_in_a_batch_are_named(tmp_path):
    for number, side in enumerate([64, 64, 70]):
        Image.new("RGB", (side, 64)).save(tmp_path / f"{number}.png")

    class Uncropped(ImageSource):
        def example(self, index, random):
            return super().example(index, None)

    paths = sorted(tmp_path.glob("*.png"))
    stream = make(Uncropped("a", paths, Transform(64, test_crop=False)), batch=3)
    with pytest.raises(DataError) as caught:
        stream.batch(0)
    assert "2.png" in caught.value.message and "70" in caught.value.message
    assert "data.size" in caught.value.fix


def test_an_empty_source_is_refused():
    with pytest.raises(DataError, match="empty"):
        make(Numbers(0))


# ---- the fixed batch of sample grids ---------------------------------------------------------------------------


def test_the_test_batch_is_spread_over_the_images_without_randomness():
    batch = fixed_batch([Numbers(7), Numbers(2, "b")], 3)
    assert batch["a"][:, 0, 0, 0].tolist() == [0, 2, 4]
    assert batch["b"][:, 0, 0, 0].tolist() == [0, 1, 0]  # fewer images than asked for: from the start again
    assert batch["a"][:, 1].abs().sum() == 0


def test_spread_takes_each_of_few_and_even_distances_of_many():
    assert [spread(4, total) for total in (3, 4, 8, 1000)] == [
        [0, 1, 2, 0], [0, 1, 2, 3], [0, 2, 4, 6], [0, 250, 500, 750],
    ]  # fmt: skip


def test_the_test_batch_of_a_source_with_an_order_is_its_first_images():
    class Sharded(Numbers):
        def order(self, random):
            return range(len(self))

    assert fixed_batch([Sharded(7)], 3)["a"][:, 0, 0, 0].tolist() == [0, 1, 2]
    assert fixed_batch([Sharded(2)], 3)["a"][:, 0, 0, 0].tolist() == [0, 1, 0]


def test_the_test_batch_crops_to_the_smallest_image(tmp_path):
    for number, (width, height) in enumerate([(80, 64), (64, 100), (64, 64)]):
        Image.new("RGB", (width, height)).save(tmp_path / f"{number}.png")
    source = ImageSource("a", sorted(tmp_path.glob("*.png")), Transform(64, test_crop=False))
    assert fixed_batch([source], 3)["a"].shape == (3, 3, 64, 64)
