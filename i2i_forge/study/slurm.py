"""A launcher that queues jobs at Slurm, through submitit."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from i2i_forge.errors import UsageError
from i2i_forge.study.launchers import Ended, Job
from i2i_forge.system.files import open_to_append

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
