"""The search of one process: change an input that is known, call the reader, keep what reached something new.

What counts as new is a step from line to line in the target's modules, seen with sys.settrace, or another error of a
library, its numbers and names taken out. The second stands in for what Python cannot see, the C code of image decoders.
(atheris would see no more: it instruments Python, and Pillow would have to be built for it.) Tracing costs a third of
the speed and pays a little: in 60 CPU seconds on the archive reader, of whose steps the seeds reach 943, 46,000 guided
inputs reached 1,353 and 67,000 blind ones 1,301.
"""

from __future__ import annotations

import faulthandler
import hashlib
import os
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from types import CodeType, FrameType, ModuleType
from typing import Any

from i2i_forge.errors import ForgeError
from i2i_forge.study.provenance import memory
from i2i_forge_benchmarks.fuzz_targets import Target, find
from i2i_forge_benchmarks.fuzz_targets.mutation import changed

LONGEST = 1 << 20  # bytes of an input
MESSAGE_LINES = 6
WORDS = 5  # of an error: the first ones say which it is


def search(name: str, seed: int, until: float, folder: Path, found: Path) -> None:
    """Fuzz a target until a moment of time.time(). Ends earlier, by a signal, when the reader crashes or hangs.

    Args:
        name: of the target.
        folder: gets `input` (the one being read), `stderr.txt` (with the place of a crash) and `state.txt`.
        found: the folder for inputs that raised what they must not.
    """
    target, random = find(name), Random(seed)
    os.dup2(os.open(folder / "stderr.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND), sys.stderr.fileno())
    faulthandler.enable()
    faulthandler.register(signal.SIGALRM, all_threads=False, chain=True)
    warnings.simplefilter("ignore")
    tempfile.tempdir = str(folder)
    known, seen = Known(target.modules), _keys(found)
    corpus = list(target.seeds())
    for data in corpus:
        _look(target, data, known, found, seen)
    limit = memory("VmSize") + target.megabytes * 1_000_000
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    calls, began = 0, time.time()
    while time.time() < until:
        data = next_input(target, corpus, random)
        (folder / "input").write_bytes(data)
        signal.setitimer(signal.ITIMER_REAL, target.seconds)  # the signal writes where we are and ends the process
        if _look(target, data, known, found, seen):
            corpus.append(data)
        signal.setitimer(signal.ITIMER_REAL, 0)
        calls += 1
        if calls % 100 == 0:
            speed = calls / (time.time() - began)
            (folder / "state.txt").write_text(f"{calls} {speed:.0f} {len(corpus)} {len(known.steps)}")


class Known:
    """What inputs have reached so far: steps from line to line in some modules, and errors of libraries."""

    def __init__(self, modules: Sequence[ModuleType]) -> None:
        self.files = {module.__file__ for module in modules}
        self.steps: set[tuple[CodeType, int, int]] = set()
        self.errors: set[str] = set()
        self._last = 0

    def grows(self, call: Callable[[], str]) -> bool:
        """Whether a call, which returns the error that it met or "", reaches something new."""
        before, self._last = len(self.steps) + len(self.errors), 0
        sys.settrace(self._enter if self.files else None)
        try:
            error = call()
        finally:
            sys.settrace(None)
        self.errors.add(" ".join(re.findall(r"\b[A-Za-z]{2,}\b", re.sub(r"'.*'|\".*\"|\S*/\S*", "", error))[:WORDS]))
        return len(self.steps) + len(self.errors) > before

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Any:
        return self._step if frame.f_code.co_filename in self.files else None

    def _step(self, frame: FrameType, event: str, argument: Any) -> Any:
        self.steps.add((frame.f_code, self._last, frame.f_lineno))
        self._last = frame.f_lineno
        return self._step


def problem(target: Target, data: bytes) -> tuple[str, str]:
    """What is wrong with how a target reads an input, "" if nothing is; and the error that made it refuse the input."""
    try:
        target.read(data)
    except ForgeError as error:
        lines = str(error).splitlines()
        shape = "" if error.fix and len(lines) <= MESSAGE_LINES else f"message of {len(lines)} lines, fix {error.fix!r}"
        return shape, f"{type(error.__cause__).__name__} {error.__cause__}"
    except (Exception, SystemExit) as error:  # MemoryError too
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__} in {Path(place.filename).name} {place.name}: {error}"[:300], ""
    return "", ""


def _look(target: Target, data: bytes, known: Known, found: Path, seen: set[str]) -> bool:
    """Read an input, keep it when it is a finding, and say whether it reached something new."""
    wrong: list[str] = []

    def call() -> str:
        what, error = problem(target, data)
        wrong.append(what)
        return error

    grows = known.grows(call)
    if wrong[0] and _key(wrong[0]) not in seen:
        seen.add(_key(wrong[0]))
        keep(found, shrunk(data, lambda part: _key(problem(target, part)[0]) == _key(wrong[0])), wrong[0])
    return grows


def keep(found: Path, data: bytes, what: str) -> Path:
    """Write a finding down, with a text beside it that says what happened; returns the file."""
    found.mkdir(parents=True, exist_ok=True)
    file = found / hashlib.sha256(data).hexdigest()[:12]
    file.write_bytes(data)
    file.with_suffix(".txt").write_text(f"{what}\n")
    return file


def _keys(found: Path) -> set[str]:
    return {_key(file.read_text()) for file in found.glob("*.txt")}


def _key(what: str) -> str:
    return what.partition(":")[0].strip()


def shrunk(data: bytes, fails: Callable[[bytes], bool]) -> bytes:
    """A shorter input that fails in the same way: halves, quarters and so on are left out while it does."""
    size = len(data) // 2
    until = time.monotonic() + 10
    while size and time.monotonic() < until:
        place = 0
        while place < len(data) and time.monotonic() < until:
            shorter = data[:place] + data[place + size :]
            if fails(shorter):
                data = shorter
            else:
                place += size
        size //= 2
    return data


def next_input(target: Target, corpus: Sequence[bytes], random: Random) -> bytes:
    """A change of one of the inputs that are known."""
    # every other time one of the newest, whose surroundings nobody has looked at yet
    data = random.choice(corpus if random.random() < 0.5 else corpus[-16:])
    if target.mutate is not None and random.random() < 0.5:
        data = target.mutate(data, random)
        if random.random() < 0.7:
            return data[:LONGEST]
    return changed(data, corpus, target.tokens, random)[:LONGEST]
