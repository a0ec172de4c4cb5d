"""How many of the listed faults are survived: by i2i_forge, and by two plain trainers for comparison.

    python -m i2i_forge_benchmarks.faults --out benchmarks/results

Runs the fault tests of a checkout (tests/faults), the slow ones too, once for each subject. A fault is survived when
all its tests pass; one that a subject cannot meet, because it has no plugins or no downloads, is not counted for it.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from i2i_forge.errors import UsageError
from i2i_forge_benchmarks.shared import out_option, publish

SUBJECTS = {"forge": "i2i_forge", "plain_loop": "a plain loop", "usual_habits": "usual habits"}
SIGNS = {"survived": "survived", "inexact": "other weights", "failed": "**failed**", None: ""}
Verdicts = dict[int, str]  # fault -> one of SIGNS


@click.command()
@click.option("--tests", default="tests/faults", type=click.Path(path_type=Path), help="Where the fault tests are.")
@click.option("--subject", "subjects", multiple=True, type=click.Choice(list(SUBJECTS)), help="Only this one.")
@click.option("--fast", is_flag=True, help="Without the slow tests: a fault with slow tests only does not count.")
@out_option
def main(tests: Path, subjects: tuple[str, ...], fast: bool, out: Path | None) -> None:
    """Run the fault tests and count what is survived."""
    if not (tests / "fault_list.py").is_file():
        raise UsageError(f"{tests}: there are no fault tests here", fix="run it in a checkout of i2i_forge")
    verdicts = {subject: _verdicts(tests, subject, fast) for subject in subjects or SUBJECTS}
    publish("faults", "Faults survived", _page(_fault_list(tests), verdicts), out, device="")


def _verdicts(tests: Path, subject: str, fast: bool) -> Verdicts:
    """Run the fault tests of a subject."""
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "record.json"
        which = [] if fast else ["-m", "slow or not slow"]
        command = [sys.executable, "-m", "pytest", str(tests), "--subject", subject, "--fault-record", str(record)]
        click.echo(f"{SUBJECTS[subject]} ...", err=True)
        ended = subprocess.run([*command, *which], stdout=subprocess.PIPE, text=True, check=False)
        if not record.is_file():
            raise UsageError(f"the fault tests did not run:\n{ended.stdout[-500:]}", fix="see `pytest tests/faults`")
        found: dict[str, Any] = json.loads(record.read_text())
    if subject == "forge":
        click.echo(ended.stdout[-2000:] if ended.returncode else "", err=True, nl=False)
    return {int(fault): _verdict(**counts) for fault, counts in found.items()}


def _verdict(passed: int, inexact: int, failed: int, seconds: float) -> str:
    if failed or not passed + inexact:
        return "failed"
    return "inexact" if inexact else "survived"


def _fault_list(tests: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("fault_list", tests / "fault_list.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _page(known: ModuleType, verdicts: dict[str, Verdicts]) -> list[str]:
    titles = [SUBJECTS[subject] for subject in verdicts]
    return [
        "Survived: it goes on or ends with the documented exit code, the newest checkpoint stays usable, the same",
        "command ends with the weights of an undisturbed run, nothing is touched outside, one message says what to",
        "do (tests/faults/README.md). Other weights: the same command goes on, but not to those of an undisturbed",
        "run; all else holds. Both trainers beside i2i_forge were written for this table (tests/faults/anchors);",
        "they are counted only for the faults that they can meet.\n",
        _row("group", titles),
        _row("---", ["---"] * len(titles)),
        *(_row(group, [_score(faults, verdicts[s]) for s in verdicts]) for group, faults in known.GROUPS.items()),
        _row("**all**", [_score(known.FAULTS, verdicts[s]) for s in verdicts]),
        "",
        *(f"Not tested: {number}, {known.FAULTS[number]}: {why}." for number, why in known.UNTESTED.items()),
        "",
        _row("fault", titles),
        _row("---", ["---"] * len(titles)),
        *(
            _row(f"{number} {title}", [SIGNS[verdicts[s].get(number)] for s in verdicts])
            for number, title in known.FAULTS.items()
        ),
    ]


def _row(first: str, cells: list[str]) -> str:
    return f"| {first} | {' | '.join(cells)} |"


def _score(faults: dict[int, str], verdicts: Verdicts) -> str:
    met = [verdicts[number] for number in faults if number in verdicts]
    inexact = f" ({met.count('inexact')} other weights)" if "inexact" in met else ""
    return f"{met.count('survived')} of {len(met)}{inexact}" if met else ""


if __name__ == "__main__":
    main()
