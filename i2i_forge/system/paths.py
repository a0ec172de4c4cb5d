"""Folders outside a run."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """FORGE_CACHE, or `forge` in XDG_CACHE_HOME (~/.cache)."""
    if forge := os.environ.get("FORGE_CACHE"):
        return Path(forge)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "forge"


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk. Raises OSError when it fails."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def weights_file(name: str) -> Path:
    """A file of pretrained weights: the path itself, or a name in the cache."""
    file = Path(name)
    return file if file.is_absolute() or file.exists() else cache_dir() / "weights" / name
