"""Running jobs: here, several at once, stopped early; and through submitit's local executor."""

import importlib
import os

import pytest

from i2i_forge.errors import UsageError
from i2i_forge.study.launchers import Job, LocalLauncher, SlurmLauncher, threads_each
from i2i_forge.study.study import last_words

OK, BAD = ("recipes",), ("recipes", "--nonsense")


def test_a_job_ends_at_its_first_failure(tmp_path):
    job = Job("a", (OK, BAD, OK), tmp_path / "logs/a.log", threads=1)
    assert job() == 2
    assert last_words(job.log).startswith("Error: No such option") or "nonsense" in last_words(job.log)
    assert job.log.read_text().count("munit_synthetic ") == 1


def test_one_failure_stops_no_other(tmp_path):
    jobs = [Job(name, (command,), tmp_path / f"{name}.log") for name, command in (("a", BAD), ("b", OK), ("c", OK))]
    ended = {job.name: code for job, code in LocalLauncher(2)(jobs)}
    assert ended == {"a": 2, "b": 0, "c": 0}


def test_closed_early_it_stops_what_runs_and_starts_nothing_more(tmp_path):
    endless = ("--plugins", str(tmp_path), "eval", "--list")  # loads the plugin
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(600)\n")
    jobs = [Job("first", (OK,), tmp_path / "first.log")]
    jobs += [Job(str(number), (endless, OK), tmp_path / f"{number}.log") for number in range(3)]
    running = LocalLauncher(1)(jobs)
    assert next(running) == (jobs[0], 0)
    running.close()  # returns: what ran was told to stop
    assert not (tmp_path / "2.log").exists()
    assert all("munit_synthetic" not in log.read_text() for log in tmp_path.glob("[01].log"))


def test_threads_are_divided(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert [threads_each(n) for n in (1, 3, 8, 100)] == [8, 2, 1, 1]
    monkeypatch.setenv("OMP_NUM_THREADS", "all")
    assert 1 <= threads_each(1) <= (os.cpu_count() or 1)


def test_last_words(tmp_path):
    log = tmp_path / "log"
    assert last_words(log) == "nothing was printed"
    log.write_text("step 1\nerror: out of memory\nfix: use less\n")
    assert last_words(log) == "error: out of memory"
    log.write_text("step 1\nKilled\n\n")
    assert last_words(log) == "Killed"


def test_without_submitit_the_error_has_the_command(tmp_path, monkeypatch):
    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(UsageError, match=r"pip install 'i2i-forge\[slurm\]'"):
        next(SlurmLauncher(tmp_path, 1, {})([Job("a", (OK,), tmp_path / "a.log")]))


@pytest.mark.filterwarnings("ignore")  # submitit's own
def test_submitits_local_executor(tmp_path):
    pytest.importorskip("submitit")
    jobs = [Job("a", (OK,), tmp_path / "a.log"), Job("b", (BAD,), tmp_path / "b.log")]
    ended = {job.name: code for job, code in SlurmLauncher(tmp_path / "slurm", 2, {}, cluster="local")(jobs)}
    assert ended == {"a": 0, "b": 2}
    assert "munit_synthetic" in jobs[0].log.read_text()


@pytest.mark.filterwarnings("ignore")
def test_a_stopped_job_is_queued_again_as_it_was(tmp_path):
    submitit = pytest.importorskip("submitit")
    job = Job("a", (OK,), tmp_path / "a.log")
    again = job.checkpoint()
    assert isinstance(again, submitit.helpers.DelayedSubmission) and again.function == job


def test_a_setting_that_submitit_does_not_know(tmp_path):
    pytest.importorskip("submitit")
    with pytest.raises(UsageError, match="--launcher slurm"):
        next(SlurmLauncher(tmp_path, 1, {"colour": "red"}, cluster="local")([Job("a", (OK,), tmp_path / "a.log")]))
