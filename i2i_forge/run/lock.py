"""The lock of a run's folder: it keeps other runs out, and tells where the folder is when it was renamed."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress
from pathlib import Path

from i2i_forge.errors import UsageError
from i2i_forge.system.files import open_to_append, take_lock

LOCK = "run.lock"
NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)  # what a disk says that knows none


class RunLock:
    """Holds a folder for this process; a lock whose process is gone is taken over.

    Attributes:
        keeps_out: False where the disk knows no locks.

    Raises:
        UsageError: another process holds the folder.
        OSError: the file cannot be written, or is a link.
    """

    def __init__(self, folder: Path) -> None:
        self._file = open_to_append(folder / LOCK)
        try:
            self.keeps_out = self._take(folder)
            self._file.truncate(0)
            self._file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            self._file.flush()
            self._can_tell = self._is_in(folder)  # not where the disk numbers a file anew whenever it is asked
        except BaseException:
            self._file.close()
            raise

    def is_at(self, folder: Path) -> bool:
        """Whether this is the lock of the folder that has this name now, as far as that can be told."""
        return not self._can_tell or self._is_in(folder)

    def _is_in(self, folder: Path) -> bool:
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), (folder / LOCK).lstat())
        except OSError:
            return False

    def folder(self) -> Path | None:
        """The folder of this lock now; None when it is deleted, or the system does not tell."""
        found = Path(os.path.realpath(f"/proc/self/fd/{self._file.fileno()}")).parent
        return found if self._is_in(found) else None

    def is_deleted(self) -> bool:
        """Whether its file has no name any more."""
        return os.fstat(self._file.fileno()).st_nlink == 0

    def release(self) -> None:
        """Let other runs in."""
        with suppress(OSError):
            self._file.truncate(0)
        with suppress(OSError):
            self._file.close()

    def _take(self, folder: Path) -> bool:
        """Lock the file; False where the disk knows no locks."""
        try:
            is_ours = take_lock(self._file)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            return False
        if not is_ours:
            self._file.seek(0)
            raise UsageError(
                f"{folder} is in use by another run ({self._file.read().strip() or 'unknown process'})",
                fix="wait for it, stop it, or choose another --run folder",
            )
        return True
