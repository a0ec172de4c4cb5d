"""A study from its plan to its table: what is left of it, as jobs."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import NoReturn

from i2i_forge.catalog.registry import Catalog
from i2i_forge.errors import ForgeError, Interrupted
from i2i_forge.study.costs import costs_of
from i2i_forge.study.launchers import Job, Launcher, classifier_command, eval_command, train_command
from i2i_forge.study.layout import write_table
from i2i_forge.study.state import Measures, State, recipe_file, state_of, write_recipes
from i2i_forge.study.table import Table, make_table
from i2i_forge.study.variants import Asked, StudyPlan, Variant, run_folder
from i2i_forge.system.files import lines_of, read_text
from i2i_forge.system.stop_requests import stop_signals


@dataclass(frozen=True)
class Workspace:
    """Where a study is and how its commands are called.

    Attributes:
        out: the study's folder.
        device: "auto", "cpu", "cuda" ...
        plugins: folders of further plugins.
        threads: of each process; 0: as many as it likes.
    """

    out: Path
    device: str = "auto"
    plugins: Sequence[Path] = ()
    threads: int = 0

    def job(self, name: str, commands: Sequence[Sequence[str]], log: Path) -> Job:
        """Commands as a job."""
        plugins = [word for folder in self.plugins for word in ("--plugins", str(folder))]
        return Job(name, tuple((*plugins, *command) for command in commands), log, self.threads)

    def log(self, variant: Variant) -> Path:
        """Where a run's commands print to."""
        return run_folder(self.out, variant).with_suffix(".log")


def _with_classifier(plan: StudyPlan, workspace: Workspace, launch: Launcher, note: Callable[[str], None]) -> Asked:
    """What is asked, with the study's classifier of modes: trained if it is not there."""
    if plan.classifier is None or plan.asked.classifier:
        return plan.asked
    folder, log = workspace.out / "classifier", workspace.out / "classifier.log"
    if not folder.exists():  # it appears whole or not at all
        note(f"training the classifier of modes on {plan.classifier.data}; {log}")
        command = classifier_command(plan.classifier, folder, workspace.device)
        ((_, code),) = launch([workspace.job("classifier", [command], log)])
        if code:
            raise ForgeError(f"the classifier could not be trained: {last_words(log)}", fix=f"see {log}")
    return replace(plan.asked, classifier=folder)


def _run_jobs(
    variants: Sequence[Variant], workspace: Workspace, measures: Measures, catalog: Catalog, launch: Launcher,
    note: Callable[[str], None],
) -> list[State]:  # fmt: skip
    """Train what is not trained, measure what is not measured; one failure stops no other. The states of all runs."""
    states = [state_of(variant, workspace.out, measures, catalog) for variant in variants]
    jobs = {job: state for state in states if (job := _job(state, workspace, measures)) is not None}
    note(f"{len(states) - len(jobs)} of {len(states)} runs are done already" if len(jobs) < len(states) else
         f"{len(jobs)} runs in {workspace.out}")  # fmt: skip
    failed: dict[str, str] = {}
    with closing(launch(list(jobs))) as ended:
        for done, (job, code) in enumerate(ended, 1):
            if code:
                failed[job.name] = f"exit code {code}: {last_words(job.log)}"
            note(f"[{done}/{len(jobs)}] {job.name}: {failed.get(job.name, 'done')}")
    for index, state in enumerate(states):
        if any(state is tried for tried in jobs.values()):
            states[index] = state_of(state.variant, workspace.out, measures, catalog)
            states[index].failure = failed.get(_name(state.variant), "") or states[index].failure
    return states


def last_words(log: Path) -> str:
    """What a log ends with: its last error, or else its last line."""
    try:
        lines = [line.strip() for line in lines_of(read_text(log)) if line.strip()]
    except OSError:
        return "nothing was printed"
    errors = [line for line in lines if line.startswith("error:")]
    return (errors or lines or ["nothing was printed"])[-1]


def _job(state: State, workspace: Workspace, measures: Measures) -> Job | None:
    missing = [name for name in measures.asked.metrics if not state.records.get(name)]
    commands = []
    if not state.is_trained:
        source = recipe_file(workspace.out, state.variant)
        commands.append(train_command(state.variant, workspace.out, workspace.device, source))
        missing = list(measures.asked.metrics)
    if missing:
        commands.append(eval_command(state.folder, measures.asked_for(missing), workspace.device))
    return workspace.job(_name(state.variant), commands, workspace.log(state.variant)) if commands else None


def _name(variant: Variant) -> str:
    return f"{variant.name}/seed-{variant.seed}"


def run_study(
    plan: StudyPlan, variants: Sequence[Variant], workspace: Workspace, catalog: Catalog, launch: Launcher,
    note: Callable[[str], None] = lambda text: None,
) -> Table:  # fmt: skip
    """Run what is left of a study, and write its table. What cannot work is said before anything is trained.

    Args:
        variants: `expand(plan)`.
        note: is told what happens.

    Raises:
        ForgeError: the study as a whole cannot run. A run that fails is in the table instead.
    """
    Measures(plan.asked, catalog, variants)
    costs = costs_of(variants, catalog)
    write_recipes(variants, workspace.out)
    measures = Measures(_with_classifier(plan, workspace, launch, note), catalog, variants)
    measures.build()
    states = _run_jobs(variants, workspace, measures, catalog, launch, note)
    table = make_table(plan.name, plan.baseline, states, costs)
    write_table(table, workspace.out)
    return table


@contextmanager
def stopping_cleanly() -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP as an exception that lets the runs save first."""

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        signal.signal(number, signal.SIG_DFL)  # a second one stops at once
        raise Interrupted(
            f"stopped by {signal.Signals(number).name}; finished runs are kept, the others have saved what they can",
            signal_number=number, fix="run the same command again to go on",
        )  # fmt: skip

    before = {number: signal.signal(number, stop) for number in stop_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
