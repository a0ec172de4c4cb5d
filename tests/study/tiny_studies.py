"""Studies of moments, and a launcher that runs their commands in this process and can stop anywhere."""

import contextlib

from shrink import TINY_MUNIT

from i2i_forge.cli import main
from i2i_forge.study.study import Workspace
from i2i_forge.study.variants import FULL, Asked, StudyPlan, expand, rows_of

TINY = (
    "data.test_count=3", "data.batch=1", "data.workers=0", "run.log_every=1", "run.sample_inputs=1",
    "run.sample_styles=1", *TINY_MUNIT,
)  # fmt: skip
ASKED = Asked(("structure",), inputs=3, samples=2)  # needs no network


def tiny_plan(*, drops=("generator.style",), grids=(), changes=(), asked=ASKED, steps=1, seeds=1):
    rows = rows_of("munit_synthetic", drops, grids, (*TINY, *changes))
    return StudyPlan("tiny", rows, FULL, (*TINY, *changes), steps, seeds, asked)


def variants_of(plan):
    return expand(plan)


def place_of(folder):
    return Workspace(folder, "cpu")


class Stopped(Exception):
    """As if the power had failed."""


class InProcess:
    """Runs the commands of jobs here, one after the other.

    Args:
        stop_after: commands; then the study ends at once.

    Attributes:
        ran: the first two words of each command that ended.
    """

    def __init__(self, stop_after=None):
        self.stop_after, self.ran = stop_after, []

    def __call__(self, jobs):
        for job in jobs:
            yield job, self._run(job)

    def _run(self, job):
        for command in job.commands:
            if self.stop_after is not None and len(self.ran) >= self.stop_after:
                raise Stopped
            with job.log.open("a") as log, contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
                try:
                    main(command)
                except SystemExit as ended:
                    code = ended.code
            self.ran.append(command[:2])
            if code:
                return code
        return 0
