"""Files that stay open for reading at any place. They are read, not mapped: a mapped file that is cut, or whose disk
fails, kills the process that looks at it; reading says so."""

from __future__ import annotations

import contextlib
import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from i2i_forge.errors import DataError
from i2i_forge.system.files import descriptor

MOST = 64  # open at once


class OpenFiles:
    """The files that were read last. A copy in another process opens its own."""

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self._open: OrderedDict[Path, int] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {"most": self.most, "_open": OrderedDict()}

    def __del__(self) -> None:
        for number in self.__dict__.get("_open", {}).values():
            with contextlib.suppress(OSError):
                os.close(number)

    def read(
        self,
        file: Path,
        offset: int,
        length: int,
        name: Callable[[], str],
        fix: str,
        open_it: Callable[[], int] | None = None,
    ) -> bytes:
        """Bytes of a file. Raises DataError, which calls them `name()`, when they are not there.

        Args:
            open_it: gives the descriptor of the file, if it is not just to be opened.
        """
        try:
            data = os.pread(self.opened(file, open_it), length, offset)
        except OSError as error:
            raise DataError(f"{name()}: cannot be read: {error.strerror or error}", fix=fix) from error
        if len(data) < length:
            raise DataError(f"{name()}: lies behind the end of {file.name}, which was cut", fix=fix)
        return data

    def close(self, file: Path) -> os.stat_result:
        """Open a file that is open anew when it is read next; returns what it was."""
        number = self._open.pop(file)
        try:
            return os.fstat(number)
        finally:
            os.close(number)

    def opened(self, file: Path, open_it: Callable[[], int] | None = None) -> int:
        """The descriptor of a file."""
        if file in self._open:
            self._open.move_to_end(file)
            return self._open[file]
        self._open[file] = number = open_it() if open_it else descriptor(file)
        while len(self._open) > self.most:
            os.close(self._open.popitem(last=False)[1])
        return number
