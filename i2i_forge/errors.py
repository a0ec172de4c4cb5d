"""Everything i2i_forge raises for a mistake that its user can mend.

    ForgeError              1    a run failed
    ├── UsageError          2    the command line or a call's arguments
    ├── RecipeError         3    the recipe
    ├── DataError           4    images, folders, lists
    ├── CheckpointError     5    a checkpoint is missing, damaged, or of another recipe
    ├── PluginError         6    a plugin or a component is missing, broken, or ambiguous
    ├── DivergedError       7    a loss or a gradient is not finite
    ├── ResourceError       8    memory or disk ran out
    └── Interrupted   129, 130, 143   SIGHUP, SIGINT or SIGTERM, after a clean save

The number is the exit code of `forge`. A message says what is wrong (with the file or key), `fix` says what to do next;
together they are at most six lines. A programmer's mistake is an assertion instead.
"""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable
from pathlib import Path

MAX_LISTED = 12  # names in one message
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)  # of a disk that takes no more, or fails


class ForgeError(Exception):
    """A failure that is explained in one message.

    Args:
        message: what is wrong and why, naming the file or the key.
        fix: the next step, as an imperative sentence.
    """

    exit_code = 1

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message}\nfix: {self.fix}" if self.fix else self.message


class UsageError(ForgeError):
    """The command line or the arguments of a call do not make sense."""

    exit_code = 2


class RecipeError(ForgeError):
    """A recipe is not valid."""

    exit_code = 3


class DataError(ForgeError):
    """Images, folders or lists are missing or cannot be used."""

    exit_code = 4


class CheckpointError(ForgeError):
    """A checkpoint is missing, damaged, or does not fit the recipe."""

    exit_code = 5


class PluginError(ForgeError):
    """A plugin is broken, or a component is missing or ambiguous."""

    exit_code = 6


class DivergedError(ForgeError):
    """A loss or a gradient stopped being finite; the update was not applied."""

    exit_code = 7


class ResourceError(ForgeError):
    """Memory or disk ran out."""

    exit_code = 8


class Interrupted(ForgeError):
    """A signal asked the run to stop; it was saved first."""

    def __init__(self, message: str, *, signal_number: int, fix: str = "") -> None:
        super().__init__(message, fix=fix)
        self.exit_code = 128 + signal_number


def disk_error(
    path: Path, error: OSError, *, refused: str = "name another folder", full: str = "free disk space"
) -> ForgeError:
    """What to raise when a file or a folder cannot be written; `refused` and `full` are what to do then.

    A ResourceError where the disk is full or fails, which Pillow says without a number; otherwise a UsageError.
    """
    kind, fix = (ResourceError, full) if error.errno in (None, *FULL) else (UsageError, refused)
    return kind(f"{path} cannot be written: {error.strerror or error}", fix=fix)


def suggest(name: str, known: Iterable[str], *, what: str = "such thing") -> str:
    """`did you mean 'cycled'?` for a near miss, followed by the list of what there is, as far as it is short.

    >>> suggest("cyled", ["cycled", "source"])
    "did you mean 'cycled'? There is: cycled, source"
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    if not names:
        return f"there {'are' if what.endswith('s') else 'is'} no {what} at all"
    there_is = ", ".join(names[:MAX_LISTED])
    if len(names) > MAX_LISTED:
        there_is += f" and {len(names) - MAX_LISTED} more"
    return f"did you mean '{near[0]}'? There is: {there_is}" if near else f"there is: {there_is}"
