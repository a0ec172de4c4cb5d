"""What is left of a study: its commands as jobs, and running them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from i2i_forge.catalog.registry import Catalog
from i2i_forge.errors import ForgeError
from i2i_forge.study.commands import classifier_command, eval_command, run_folder, train_command
from i2i_forge.study.launchers import Job, Launcher
from i2i_forge.study.measures import Measures
from i2i_forge.study.plans import Asked, Plan, Variant
from i2i_forge.study.state import State, recipe_file, state_of
from i2i_forge.system.files import lines_of, read_text


@dataclass(frozen=True)
class Place:
    """Where a study is and how its commands are called.

    Attributes:
        out: the study's folder.
        device: "auto", "cpu", "cuda" ...
        plugins: folders of further plugins.
        threads: of each process; 0: as many as it likes.
    """

    out: Path
    device: str = "auto"
    plugins: tuple[Path, ...] = ()
    threads: int = 0

    def job(self, name: str, commands: Sequence[Sequence[str]], log: Path) -> Job:
        """Commands as a job."""
        plugins = [word for folder in self.plugins for word in ("--plugins", str(folder))]
        return Job(name, tuple((*plugins, *command) for command in commands), log, self.threads)

    def log(self, variant: Variant) -> Path:
        """Where a run's commands print to."""
        return run_folder(self.out, variant).with_suffix(".log")


def with_classifier(plan: Plan, place: Place, launch: Launcher, note: Callable[[str], None]) -> Asked:
    """What is asked, with the study's classifier of modes: trained if it is not there.

    Raises:
        ForgeError: its training failed.
    """
    if plan.classifier is None or plan.asked.classifier:
        return plan.asked
    folder, log = place.out / "classifier", place.out / "classifier.log"
    if not folder.exists():  # it appears whole or not at all
        note(f"training the classifier of modes on {plan.classifier.data}; {log}")
        command = classifier_command(plan.classifier, folder, place.device)
        ((_, code),) = launch([place.job("classifier", [command], log)])
        if code:
            raise ForgeError(f"the classifier could not be trained: {last_words(log)}", fix=f"see {log}")
    return replace(plan.asked, classifier=folder)


def run_jobs(
    variants: Sequence[Variant], place: Place, measures: Measures, catalog: Catalog, launch: Launcher,
    note: Callable[[str], None],
) -> list[State]:  # fmt: skip
    """Run what is left of a study: train what is not trained, measure what is not measured; one failure stops no other.

    Returns:
        The state of every run, in the order of `variants`.
    """
    states = [state_of(variant, place.out, measures, catalog) for variant in variants]
    jobs = {job: state for state in states if (job := _job(state, place, measures)) is not None}
    note(f"{len(states) - len(jobs)} of {len(states)} runs are done already" if len(jobs) < len(states) else
         f"{len(jobs)} runs in {place.out}")  # fmt: skip
    failed: dict[str, str] = {}
    with closing(launch(list(jobs))) as ended:
        for done, (job, code) in enumerate(ended, 1):
            if code:
                failed[job.name] = f"exit code {code}: {last_words(job.log)}"
            note(f"[{done}/{len(jobs)}] {job.name}: {failed.get(job.name, 'done')}")
    for index, state in enumerate(states):
        if any(state is tried for tried in jobs.values()):
            states[index] = state_of(state.variant, place.out, measures, catalog)
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


def _job(state: State, place: Place, measures: Measures) -> Job | None:
    missing = state.unmeasured(measures)
    commands = []
    if not state.is_trained:
        source = recipe_file(place.out, state.variant)
        commands.append(train_command(state.variant, place.out, place.device, source))
        missing = list(measures.asked.metrics)
    if missing:
        commands.append(eval_command(state.folder, measures.asked_for(missing), place.device))
    return place.job(_name(state.variant), commands, place.log(state.variant)) if commands else None


def _name(variant: Variant) -> str:
    return f"{variant.name}/seed-{variant.seed}"
