"""Signals to a real process: nothing is lost, and going on gives the same bits."""

import signal

import pytest

from i2i_forge.run import checkpoint


def lines(folder):
    file = folder / "metrics.jsonl"
    return len(file.read_text().splitlines()) if file.exists() else 0


def saved(folder):
    return checkpoint.list_steps(folder / "checkpoints")


slow = pytest.mark.slow


@pytest.mark.parametrize(
    ("number", "group", "workers"),
    [
        (signal.SIGINT, False, 0),
        (signal.SIGTERM, True, 2),
        pytest.param(signal.SIGTERM, False, 0, marks=slow),
        pytest.param(signal.SIGINT, False, 2, marks=slow),
        pytest.param(signal.SIGINT, True, 1, marks=slow),
    ],
)
def test_a_request_to_stop_loses_no_step(tiny, straight, forge, train_command, tmp_path, number, group, workers):
    """`group`: as Ctrl-C in a terminal, or a job scheduler, reaches the workers too."""
    run = forge(*train_command(tmp_path, "steps=10000", f"data.workers={workers}"))
    code, out, err = run.wait_for(lambda: lines(tmp_path) >= 2).end(number, group)
    assert (code, out) == (128 + number, ""), err
    done = lines(tmp_path)
    assert saved(tmp_path) == [done]  # every step that was taken is in the checkpoint
    assert f"stopped by {number.name} after step {done}; everything is saved" in err
    assert "fix: run the same command again" in err and "Traceback" not in err
    if done <= 10:
        assert tiny.train(tmp_path) == straight[1]
        assert tiny.metrics(tmp_path) == tiny.metrics(straight[0])


@slow
def test_a_second_sigint_stops_at_once(tiny, straight, forge, train_command, tmp_path):
    run = forge(*train_command(tmp_path, "steps=10000", "run.checkpoint_every=1"))
    run.wait_for(lambda: lines(tmp_path) >= 2)
    run.process.send_signal(signal.SIGINT)
    code, out, err = run.end(signal.SIGINT)
    assert (code, out) == (130, "")
    assert "Traceback" not in err
    found = checkpoint.newest(tmp_path / "checkpoints", pytest.fail)
    assert found.step >= 1
    if found.step <= 10:
        assert tiny.train(tmp_path) == straight[1]


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=slow)])
def test_sigkill_and_the_same_command_again(tiny, straight, forge, train_command, tmp_path, workers):
    """Checkpoints every two steps: at most two steps are taken again."""
    run = forge(*train_command(tmp_path, "steps=10000", "run.checkpoint_every=2", f"data.workers={workers}"))
    code, _, _ = run.wait_for(lambda: lines(tmp_path) >= 3).end(signal.SIGKILL)
    assert code == -signal.SIGKILL
    before = lines(tmp_path)
    assert before - max(saved(tmp_path)) <= 2
    if before <= 10:
        assert tiny.train(tmp_path) == straight[1]
        assert tiny.metrics(tmp_path) == tiny.metrics(straight[0])


@slow
def test_a_process_holds_the_folder_until_it_is_gone(tiny, forge, train_command, call_forge, tmp_path):
    first = forge(*train_command(tmp_path, "steps=10000"))
    first.wait_for(lambda: lines(tmp_path) >= 1)
    code, _, err = call_forge(*train_command(tmp_path, "steps=10000"))
    assert code == 2
    assert f"process {first.process.pid} on " in err
    first.end(signal.SIGKILL)
    assert tiny.run(tmp_path, "steps=1").train() == 1  # no lock is left behind
