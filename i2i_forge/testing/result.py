"""What a check found, and how it is run."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from i2i_forge.errors import ForgeError

Check = Callable[[Any], Iterator[str]]  # its docstring is the promise, what it yields are the problems
_MACHINERY = tuple(str(Path(file).parent) for file in (torch.__file__, __file__))


@dataclass(frozen=True)
class Result:
    """What a check found.

    Attributes:
        plugin: whose.
        component: "losses: l1"; "" for the plugin itself.
        check: the check's name, which `skip` in CHECKS uses.
        promise: what it makes sure of.
        problems: in plain words; none where the promise is kept.
        skipped: why it was not run; "" where it was.
    """

    plugin: str
    component: str
    check: str
    promise: str
    problems: tuple[str, ...] = ()
    skipped: str = ""

    def __str__(self) -> str:
        where = self.component or f"plugin {self.plugin}"
        return "\n".join(f"{where}: {problem} [{self.check}]" for problem in self.problems)


def run(check: Check, subject: Any, *, plugin: str, component: str, skipped: str = "") -> Result:
    """Run one check, unless there is a reason to skip it; an exception is a problem like any other."""
    promise = (check.__doc__ or "").partition("\n")[0]
    problems: list[str] = []
    if not skipped:
        try:
            problems.extend(check(subject))
        except Exception as error:
            problems.append(described(error))
    return Result(plugin, component, check.__name__, promise, tuple(problems), skipped)


def described(error: Exception) -> str:
    """An exception in one line, with the place in the plugin where it was raised."""
    if isinstance(error, ForgeError):
        return " ".join(f"{error.message}; {error.fix}".rstrip("; ").split())
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith((*_MACHINERY, "<"))]
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    first = (str(error).strip() or "no message").splitlines()[0]
    return f"{type(error).__name__}: {first}{place}"
