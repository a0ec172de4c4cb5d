"""The commands that train and measure a run, and launchers: on this machine, or queued at Slurm through submitit."""

from __future__ import annotations

import importlib
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from i2i_forge.errors import UsageError
from i2i_forge.study.variants import Asked, ClassifierData, StudyPlan, Variant, run_folder
from i2i_forge.system.files import open_to_append


def train_command(variant: Variant, out: Path, device: str, source: str | Path = "") -> list[str]:
    """Train a variant.

    Args:
        source: a file that holds the row's recipe, changed already; by default the changes are spelt out.
    """
    spelt = [*_options("--set", *variant.changes), *_options("--drop", *variant.drops)]
    chosen = [str(source)] if source else [variant.source, *spelt]
    seed = _options("--set", f"seed={variant.seed}") if f"seed={variant.seed}" not in variant.changes else []
    return ["train", *chosen, *seed, "--run", str(run_folder(out, variant)), *_device(device)]


def eval_command(run: Path, asked: Asked, device: str) -> list[str]:
    """Measure a run."""
    return [
        "eval", str(run), *_options("--metric", *asked.metrics), *_options("--protocol", *asked.protocols),
        *_options("--backbone", *asked.backbones), *_options("--data", *asked.data),
        *_options("--inputs", asked.inputs), *_options("--samples", asked.samples),
        *_options("--classifier", asked.classifier), *_device(device),
    ]  # fmt: skip


def classifier_command(data: ClassifierData, folder: Path, device: str) -> list[str]:
    """Train the study's classifier of modes."""
    return ["classifier", "train", data.data, *_options("--set", *data.options), "--out", str(folder), *_device(device)]


def _shell_line(plugins: Sequence[Path], *commands: Sequence[str]) -> str:
    forge = ["forge", *_options("--plugins", *plugins)]
    return " && ".join(shlex.join([*forge, *command]) for command in commands)


def shell_lines(
    plan: StudyPlan, variants: Sequence[Variant], asked: Asked, out: Path, device: str, plugins: Sequence[Path] = ()
) -> list[str]:
    """A line for each run, for any scheduler; the first line makes the classifier, if one is to be trained."""
    lines = []
    if plan.classifier is not None and asked.classifier == out / "classifier":
        lines.append(_shell_line(plugins, classifier_command(plan.classifier, asked.classifier, device)))
    for variant in variants:
        measured = eval_command(run_folder(out, variant), asked, device)
        lines.append(_shell_line(plugins, train_command(variant, out, device), measured))
    return lines


def _options(name: str, *values: object) -> list[str]:
    """An option of a command line, once for each value that is given."""
    return [word for value in values if value for word in (name, str(value))]


def _device(device: str) -> list[str]:
    return _options("--device", device) if device != "auto" else []


@dataclass(frozen=True)
class Job:
    """Commands of `forge`, one after the other as long as each succeeds; what they print goes to a log.

    It is what a job of submitit calls; stopped by the scheduler, it is queued again, and its commands resume.
    """

    name: str
    commands: tuple[tuple[str, ...], ...]
    log: Path
    threads: int = 0  # of each process; 0: as many as it likes

    def __call__(self, started: Callable[[subprocess.Popen[bytes]], object] = lambda process: None) -> int:
        """Run the commands; the exit code of the first that fails, or 0. `started` is handed each process."""
        threads = {f"{of}_NUM_THREADS": str(self.threads) for of in ("OMP", "MKL")} if self.threads else {}
        self.log.parent.mkdir(parents=True, exist_ok=True)
        for command in self.commands:
            with open_to_append(self.log) as log:
                process = subprocess.Popen(
                    [sys.executable, "-m", "i2i_forge", *command], stdin=subprocess.DEVNULL, stdout=log,
                    stderr=subprocess.STDOUT, env={**os.environ, **threads},
                )  # fmt: skip
            started(process)
            if code := process.wait():
                return code
        return 0

    def checkpoint(self) -> Any:
        """What submitit is to queue in place of a job that is being stopped: the same."""
        return importlib.import_module("submitit").helpers.DelayedSubmission(self)


Ended = Generator[tuple[Job, int], None, None]  # each job as it ends, with its exit code
Launcher = Callable[[Sequence[Job]], Ended]


class LocalLauncher:
    """On this machine, some at once; closed early, it asks what runs to stop and waits until it has saved."""

    def __init__(self, at_once: int = 1) -> None:
        self.at_once = at_once

    def __call__(self, jobs: Sequence[Job]) -> Ended:
        """Run the jobs; yields each as it ends, with its exit code."""
        running: list[subprocess.Popen[bytes]] = []
        is_stopped = Event()

        def started(process: subprocess.Popen[bytes]) -> None:
            running.append(process)
            if is_stopped.is_set():  # too late
                process.terminate()

        with ThreadPoolExecutor(self.at_once) as pool:
            waiting = {pool.submit(job, started): job for job in jobs}
            try:
                for ended in as_completed(waiting):
                    yield waiting[ended], ended.result()
            except BaseException:
                for job in waiting:
                    job.cancel()
                is_stopped.set()
                for process in running:
                    process.terminate()  # a training run saves first
                raise


def threads_each(at_once: int) -> int:
    """How many threads each of so many processes gets of this machine, or of what OMP_NUM_THREADS leaves of it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    allowed = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, (int(allowed) if allowed.isdecimal() else cores) // at_once)


DAY = 24 * 60  # minutes


class SlurmLauncher:
    """A job array of Slurm, through submitit.

    Args:
        folder: for submitit's files.
        at_once: how many of the array's jobs may run together.
        settings: of submitit's executor: {"slurm_partition": "gpu", "gpus_per_node": 1, "timeout_min": 600}.
        cluster: "slurm"; "local" runs the same without one.
    """

    def __init__(self, folder: Path, at_once: int, settings: Mapping[str, Any], cluster: str = "slurm") -> None:
        self.folder, self.at_once, self.settings, self.cluster = folder, at_once, settings, cluster

    def __call__(self, jobs: Sequence[Job]) -> Ended:
        """Queue the jobs; yields each as it ends, with its exit code."""
        submitit = _submitit()
        try:
            executor = submitit.AutoExecutor(folder=self.folder, cluster=self.cluster)
            executor.update_parameters(
                **{"name": "forge", "timeout_min": DAY, "slurm_array_parallelism": self.at_once, **self.settings}
            )
        except (NameError, RuntimeError, TypeError, AssertionError) as error:
            raise UsageError(
                f"--launcher slurm: {error}", fix="run it where sbatch is, with settings that submitit knows"
            ) from error
        with executor.batch():
            queued = {executor.submit(job): job for job in jobs}
        for ended in submitit.helpers.as_completed(list(queued), poll_frequency=2):
            try:
                yield queued[ended], ended.result()
            except (submitit.core.utils.FailedJobError, submitit.core.utils.UncompletedJobError) as error:
                with open_to_append(queued[ended].log) as log:
                    log.write(f"error: the scheduler's job failed: {str(error).splitlines()[0]}\n")
                yield queued[ended], 1


def _submitit() -> Any:
    try:
        return importlib.import_module("submitit")
    except ImportError:
        raise UsageError(
            "--launcher slurm needs submitit, which is not installed", fix="pip install 'i2i-forge[slurm]'"
        ) from None
