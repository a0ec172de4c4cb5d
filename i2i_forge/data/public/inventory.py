"""What was unpacked into a folder, so that it can be verified later: a file that `sha256sum -c` reads too."""

from __future__ import annotations

import hashlib
from pathlib import Path

from i2i_forge.system.files import lines_of, open_to_read, read_text

INVENTORY = ".forge-files.sha256"


def write_inventory(folder: Path) -> None:
    """Hash every file of a folder and write it down there."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    lines = [f"{_sha256(folder / name)}  {name}\n" for name in names]
    (folder / INVENTORY).write_text("".join(lines), encoding="utf-8", errors="surrogateescape")


def damaged(folder: Path) -> list[str]:
    """The files that are gone or not as they were. Files that were added do not matter."""
    lines = (line.partition("  ") for line in lines_of(read_text(folder / INVENTORY)))
    return [name for sha256, _, name in lines if _sha256(folder / name) != sha256]


def _sha256(file: Path) -> str:
    try:
        with open_to_read(file) as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError:
        return ""
