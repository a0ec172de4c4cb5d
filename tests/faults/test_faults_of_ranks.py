"""Faults of runs on several ranks: they decide together, nobody waits for ever, and nothing is lost."""

import json
import os
import random
import signal
import socket
import time

import pytest
from at_step import WEIGHT
from two_ranks import TwoRanks, all_well, one_message

slow = pytest.mark.slow


@pytest.fixture
def ranks(forge_watch):
    return TwoRanks(forge_watch)


@pytest.fixture(scope="module")
def straight_ranks(tmp_path_factory):
    """What an undisturbed run of 8 steps on two ranks came to."""
    from subjects import Forge
    from survival import Watch

    watch = Watch(Forge(), tmp_path_factory.mktemp("straight"))
    all_well(TwoRanks(watch).train(watch.folder / "run"))
    watch.finish()
    return watch.left(watch.folder / "run")


def recovers(ranks, run, straight, *, keeps=2, **settings):
    """A checkpoint is left (rule b), from which the same command ends as an undisturbed run (rule c)."""
    ranks.watch.keeps(run, keeps)
    all_well(ranks.train(run, **settings))
    ranks.watch.same_weights(run, straight)


@pytest.mark.parametrize("rank", [1, pytest.param(0, marks=slow)])
def test_07_sigterm_to_one_rank_stops_both_at_the_same_step(ranks, forge_watch, straight_ranks, tmp_path, rank):
    run = tmp_path / "run"
    processes = ranks.start(run)
    forge_watch.wait_for_step(processes[rank], run, 2)
    processes[rank].send_signal(signal.SIGTERM)
    ended = ranks.end(processes)
    done = len((run / "metrics.jsonl").read_text().splitlines())
    one_message(ended, 143, f"stopped by SIGTERM on rank {rank} after step {done}; everything is saved")
    recovers(ranks, run, straight_ranks, keeps=done)


@pytest.mark.parametrize("rank", [1, pytest.param(0, marks=slow)])
def test_08_a_rank_dies(ranks, straight_ranks, tmp_path, rank):
    run = tmp_path / "run"
    ended = ranks.train(run, inject=ranks.fault("os._exit(1)", rank=rank))
    ended[1 - rank].refused(1, f"rank {rank} is gone", "the same command again")
    assert ended[rank].code == 1 and "error:" not in ended[rank].err
    recovers(ranks, run, straight_ranks)


def test_08_torchrun_restarts_and_the_run_goes_on(ranks, forge_watch, straight_ranks, tmp_path):
    run = tmp_path / "run"
    ended = ranks.torchrun(run, "--max-restarts", "1", inject=ranks.fault("os._exit(1)"))
    assert ended.code == 0, ended.err
    assert "rank 1 is gone" in ended.err and f"resuming {run} after step 2" in ended.err
    forge_watch.same_weights(run, straight_ranks)


@pytest.mark.parametrize("rank", [1, pytest.param(0, marks=slow)])
def test_09_a_rank_hangs(ranks, forge_watch, straight_ranks, tmp_path, rank):
    run = tmp_path / "run"
    changes = ("run.rank_timeout=5",)
    processes = ranks.start(run, inject=ranks.fault("time.sleep(1000)", rank=rank), changes=changes)
    began = time.monotonic()
    ended = forge_watch.end(processes[1 - rank])
    assert time.monotonic() - began < 45  # starting takes some of it
    ended.refused(1, f"rank {rank} did not answer in time", "run.rank_timeout")
    processes[rank].kill()
    ranks.end(processes[rank : rank + 1])
    recovers(ranks, run, straight_ranks)


def test_09_ranks_that_never_come_together(ranks, forge_watch, tmp_path):
    alone = ranks.start_one(0, tmp_path / "run", port="0", changes=("run.rank_timeout=1",))
    forge_watch.end(alone).refused(1, "the 2 ranks did not come together")


@pytest.mark.parametrize(
    ("what", "code", "words"),
    [
        ('raise errors.DataError("shoe.png: it is no image", fix="take it out")', 4, ["shoe.png: it is no image"]),
        pytest.param('raise ZeroDivisionError("a mistake")', 1, ["ZeroDivisionError: a mistake"], marks=slow),
        pytest.param('raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")', 8,
                     ["out of memory", "asked for 2.00 GiB", "run.micro_batch"], marks=slow),
    ],
    ids=["data", "mistake", "memory"],
)  # fmt: skip
@pytest.mark.parametrize("rank", [1, pytest.param(0, marks=slow)])
def test_10_what_fails_on_one_rank_stops_both(ranks, straight_ranks, tmp_path, rank, what, code, words):
    run = tmp_path / "run"
    one_message(ranks.train(run, inject=ranks.fault(what, rank=rank)), code, *words)
    assert f"rank {rank} failed" in (run / "log.txt").read_text() or rank == 0
    recovers(ranks, run, straight_ranks)


def test_10_a_folder_that_the_first_rank_refuses_stops_both(ranks, tmp_path):
    (tmp_path / "run").write_text("a file")
    one_message(ranks.train(tmp_path / "run"), 2, f"the run folder {tmp_path / 'run'} cannot be written")


NAN = "batch = {name: images * float('nan') for name, images in batch.items()}"
GRADIENT = f"{WEIGHT}.register_hook(lambda g: g * float('nan'))"


@pytest.mark.parametrize(
    ("what", "words"), [(NAN, "= nan on rank 1"), pytest.param(GRADIENT, "decoder.b on rank 1", marks=slow)]
)
def test_59_one_rank_that_is_not_finite_stops_both(ranks, straight_ranks, tmp_path, what, words):
    run = tmp_path / "run"
    ended = ranks.train(run, inject=ranks.fault(what))
    one_message(ended, 7, "not finite at step 3", words, "was not updated", f"forge checkpoint replay {run} --step 3")
    record = json.loads((run / "diverged.json").read_text())
    assert record["step"] == 3 and len(record["images"]) == 2  # those of rank 1: one of each domain
    recovers(ranks, run, straight_ranks)


FLIP = f"{WEIGHT}.data.view(-1)[5] *= -1"


def test_60_ranks_that_drift_apart_are_noticed_before_anything_is_saved(ranks, straight_ranks, tmp_path):
    run = tmp_path / "run"
    changes = ("run.rank_check_every=5",)
    ended = ranks.train(run, steps=8, every=4, inject=ranks.fault(FLIP, at=4), changes=changes)
    one_message(ended, 1, "after step 5, decoder.b.", "of rank 1 is not that of rank 0")
    recovers(ranks, run, straight_ranks, keeps=4, changes=changes)


def test_69_a_port_in_use(ranks, forge_watch, tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        ended = forge_watch.end(ranks.start_one(0, tmp_path / "run", port=port))
        ended.refused(2, f"MASTER_PORT {port} is in use", "--master-port")


@slow
def test_01_two_ranks_killed_ten_times_end_with_the_weights_of_an_undisturbed_run(ranks, forge_watch, tmp_path):
    """SIGKILL to all processes, data workers too, at random moments: while it starts, resumes, trains, saves."""
    settings = {"steps": 120, "every": 3, "workers": 2}
    all_well(ranks.train(tmp_path / "straight", limit=600, **settings))
    draws, run = random.Random(6), tmp_path / "run"
    for number in range(10):
        before = forge_watch.subject.usable(run) if run.exists() else 0
        processes = ranks.start(run, **settings)
        if number % 3:
            forge_watch.wait_for_step(processes[0], run, before + draws.choice((1, 4)))
        time.sleep(draws.uniform(0, 1))
        for process in processes:
            assert process.poll() is None, "it ended before it was killed: let it take more steps"
            os.killpg(process.pid, signal.SIGKILL)
        ranks.end(processes)
    all_well(ranks.train(run, limit=600, **settings))
    forge_watch.same_weights(run, forge_watch.left(tmp_path / "straight"))
