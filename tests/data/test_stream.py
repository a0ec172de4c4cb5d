import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

from i2i_forge.data.source import ImageSource
from i2i_forge.data.stream import Stream, batches
from i2i_forge.data.stream import test_batch as fixed_batch
from i2i_forge.data.transforms import Transform
from i2i_forge.errors import DataError, ForgeError

# a worker that is killed while it hands over a tensor leaves our end of the socket to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


class Numbers:
    """Example i is the image of the number i in domain a, plus a draw in a second channel."""

    def __init__(self, count, domain="a"):
        self.count, self.domain = count, domain

    def __len__(self):
        return self.count

    def example(self, index, random):
        draw = 0.0 if random is None else torch.rand((), generator=random)
        image = torch.zeros(3, 2, 2)
        image[0], image[1] = index, draw
        return {self.domain: image}

    def name(self, index):
        return f"{self.domain}{index}"


class Failing(Numbers):
    """Example 3 cannot be read."""

    def example(self, index, random):
        if index == 3:
            raise DataError("broken.png: it is truncated", fix="remove it")
        return super().example(index, random)


class Hanging(Numbers):
    """Example 2 takes very long."""

    def example(self, index, random):
        if index == 2:
            time.sleep(600)
        return super().example(index, random)


class Buggy(Numbers):
    def example(self, index, random):
        raise RuntimeError("a mistake in the data set's own code")


class Lethal(Numbers):
    """Some examples kill the process that reads them: each the first `deaths` times."""

    def __init__(self, count, folder, deaths, lethal=(2,)):
        super().__init__(count)
        self.folder, self.deaths, self.lethal = folder, deaths, lethal

    def example(self, index, random):
        died = len(list(self.folder.glob(f"{index}-*")))
        if index in self.lethal and died < self.deaths:
            (self.folder / f"{index}-{died}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().example(index, random)


def make(*sources, batch=2, seed=0, **options):
    return Stream(sources or [Numbers(7), Numbers(5, "b")], batch=batch, seed=seed, **options)


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def indices(stream, steps, domain="a"):
    return [int(i) for step in steps for i in stream.batch(step)[domain][:, 0, 0, 0]]


def draws(stream, steps):
    return {(step, n): float(d) for step in steps for n, d in enumerate(stream.batch(step)["a"][:, 1, 0, 0])}


def children():
    gc.collect()  # iterators that an error of another test kept
    return set(multiprocessing.active_children())


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


@pytest.mark.parametrize("workers", [0, 1])
def test_a_mistake_in_a_data_set_is_not_taken_for_a_lost_worker(workers):
    with pytest.raises(RuntimeError, match="own code"):
        list(batches({"main": make(Buggy(7))}, 0, 3, workers, pin=False))


def test_a_killed_worker_is_started_anew_at_the_same_batch(tmp_path, caplog):
    stream = make(Lethal(7, tmp_path, deaths=1))
    got = list(batches({"main": stream}, 0, 7, 1, pin=False))
    assert len(list(tmp_path.iterdir())) == 1
    assert all(same(g, make(Numbers(7)).batch(step)) for step, g in enumerate(got))
    assert len(got) == 7
    assert "started anew" in caplog.text


def test_a_worker_killed_twice_is_an_error_that_says_what_it_was_reading_and_what_to_do(tmp_path):
    with pytest.raises(ForgeError, match=r"lost again, at batch .* it was reading a2\n") as caught:
        list(batches({"main": make(Lethal(7, tmp_path, deaths=9))}, 0, 7, 2, pin=False))
    assert "data.workers=0" in caught.value.fix
    assert len(list(tmp_path.iterdir())) == 2


def test_workers_may_be_lost_again_after_enough_batches(tmp_path, monkeypatch):
    monkeypatch.setattr("i2i_forge.data.stream.BETWEEN_LOSSES", 3)
    healthy = make(Numbers(60))
    lethal = [indices(healthy, [step])[0] for step in (4, 16, 28)]
    got = list(batches({"main": make(Lethal(60, tmp_path, 1, lethal))}, 0, 30, 1, pin=False))
    assert len(list(tmp_path.iterdir())) == 3
    assert all(same(g, healthy.batch(step)) for step, g in enumerate(got))
    assert len(got) == 30


def test_a_worker_that_hangs_is_named_with_what_it_reads_and_does_not_stay():
    others = children()
    with pytest.raises(ForgeError, match=r"timed out .* it was reading a2\n") as caught:
        list(batches({"main": make(Hanging(7))}, 0, 7, 2, pin=False, timeout=1))
    assert "data.timeout" in caught.value.fix
    assert children() - others == set()


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


def test_the_test_batch_is_the_first_images_without_randomness():
    batch = fixed_batch([Numbers(7), Numbers(2, "b")], 3)
    assert batch["a"][:, 0, 0, 0].tolist() == [0, 1, 2]
    assert batch["b"][:, 0, 0, 0].tolist() == [0, 1, 0]  # fewer images than asked for: from the start again
    assert batch["a"][:, 1].abs().sum() == 0


def test_the_test_batch_crops_to_the_smallest_image(tmp_path):
    for number, (width, height) in enumerate([(80, 64), (64, 100), (64, 64)]):
        Image.new("RGB", (width, height)).save(tmp_path / f"{number}.png")
    source = ImageSource("a", sorted(tmp_path.glob("*.png")), Transform(64, test_crop=False))
    assert fixed_batch([source], 3)["a"].shape == (3, 3, 64, 64)


def test_a_worker_lost_during_a_step_does_not_break_the_step(tmp_path):
    """Half a step cannot be taken back: the loss is noticed when the next batch is asked for."""
    stream = make(Numbers(7))
    before = children()
    source = batches({"main": stream}, 0, 40, 1, pin=False)
    got = [next(source)]
    [worker] = children() - before
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    for _ in range(1000):  # the step: a signal handler that raises would do it here
        got[0] = dict(got[0])
    got += source
    assert len(got) == 40
    assert all(same(g, stream.batch(step)) for step, g in enumerate(got))


def test_workers_outlast_the_first_request_to_stop():
    stream = make(Numbers(7))
    before = children()
    source = batches({"main": stream}, 0, 40, 2, pin=False)
    got = [next(source)]
    for worker in children() - before:
        os.kill(worker.pid, signal.SIGINT)
        os.kill(worker.pid, signal.SIGTERM)
    got += source
    assert all(same(g, stream.batch(step)) for step, g in enumerate(got))


def test_signal_handlers_and_workers_are_gone_after_closing():
    list(batches({"main": make()}, 0, 1, 1, pin=False))  # torch sets its own, once
    before, others = signal.getsignal(signal.SIGCHLD), children()
    source = batches({"main": make()}, 0, 40, 2, pin=False)
    next(source)
    assert signal.getsignal(signal.SIGCHLD) is not before
    source.close()
    assert signal.getsignal(signal.SIGCHLD) is before
    assert children() - others == set()


def test_a_program_that_ends_without_closing_leaves_no_workers():
    program = """
from i2i_forge.data.workers import prepared
values = prepared(lambda number, note: number, range(40), workers=2, timeout=60, pin=False)
print(next(values), *(worker.pid for worker in __import__("multiprocessing").active_children()))
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=True)
    value, *workers = map(int, ended.stdout.split())
    assert value == 0 and len(workers) == 2
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


def test_an_error_leaves_no_workers():
    others = children()
    with pytest.raises(DataError):
        list(batches({"main": make(Failing(7))}, 0, 40, 2, pin=False))
    assert children() - others == set()
