"""What is taken from headers: texts that may be shown, and channels without names."""

from __future__ import annotations

from pathlib import Path

from i2i_forge.data import bad

LONGEST = 1000  # characters of a field
MAX_CHANNELS = 65535  # as of TIFF


def field(text: str) -> str:
    """A field of a header, short and with escapes for what is not printable: messages quote it."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text.strip()[:LONGEST])


def unnamed(path: Path, count: int) -> tuple[str, ...]:
    """Channels without names. Raises BadImage where a header says more of them than can be true."""
    if count > MAX_CHANNELS:
        raise bad(path, f"its header says {count:,} channels, more than {MAX_CHANNELS:,}", "cut it into several files")
    return ("",) * count
