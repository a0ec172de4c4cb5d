"""A study from its plan to its table."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from i2i_forge.catalog.registry import Catalog
from i2i_forge.errors import Interrupted
from i2i_forge.study.costs import costs_of
from i2i_forge.study.launchers import Launcher
from i2i_forge.study.layout import write_table
from i2i_forge.study.measures import Measures
from i2i_forge.study.plans import Plan, Variant
from i2i_forge.study.state import write_recipes
from i2i_forge.study.study import Place, run_jobs, with_classifier
from i2i_forge.study.table import Table, make_table
from i2i_forge.system.stop_requests import stop_signals


def run_study(
    plan: Plan, variants: Sequence[Variant], place: Place, catalog: Catalog, launch: Launcher,
    note: Callable[[str], None] = lambda text: None,
) -> Table:  # fmt: skip
    """Run what is left of a study, and write its table. What cannot work is said before anything is trained.

    Args:
        variants: `expand(plan)`.
        note: is told what happens.

    Raises:
        ForgeError: the study as a whole cannot run. A run that fails is in the table instead.
    """
    Measures(plan.asked, catalog)
    costs = costs_of(variants, catalog)
    write_recipes(variants, place.out)
    measures = Measures(with_classifier(plan, place, launch, note), catalog)
    measures.build()
    states = run_jobs(variants, place, measures, catalog, launch, note)
    table = make_table(plan.name, plan.baseline, states, costs)
    write_table(table, place.out)
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
