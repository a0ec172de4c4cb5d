"""Names of shards: {000..012} and {a,b} stand for several."""

from __future__ import annotations

import itertools
import re

from i2i_forge.errors import DataError

MOST = 100_000  # shards of one pattern
LOCAL, WEB = "", ("http", "https")


def expand(option: str, pattern: str) -> list[str]:
    """The addresses that a pattern stands for, in its order.

    Args:
        option: what messages call it.

    Raises:
        DataError: it is no pattern, stands for too many, or names one twice.

    >>> expand("shards", "x-{08..10}.tar")
    ['x-08.tar', 'x-09.tar', 'x-10.tar']
    """
    pieces = re.split(r"\{([^{}]*)\}", pattern)
    if any(brace in piece for piece in pieces for brace in "{}"):
        raise _bad(option, pattern, "has a brace too many")
    choices = [_choices(option, pattern, piece) if place % 2 else [piece] for place, piece in enumerate(pieces)]
    count = 1
    for choice in choices:
        count *= len(choice)
    if count > MOST:
        raise _bad(option, pattern, f"stands for {count:,} shards, more than {MOST:,}")
    names = ["".join(parts) for parts in itertools.product(*choices)]
    if len(set(names)) < len(names):
        raise _bad(option, pattern, "names a shard twice")
    return names


def scheme(address: str) -> str:
    """ "http", "https", another, or LOCAL for a path."""
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):", address)
    return found[1].lower() if found else LOCAL


def _choices(option: str, pattern: str, text: str) -> list[str]:
    if found := re.fullmatch(r"(\d{1,9})\.\.(\d{1,9})", text):
        first, last = int(found[1]), int(found[2])
        if first > last or last - first >= MOST:
            raise _bad(option, pattern, f"{{{text}}} is no range, or of more than {MOST:,}")
        width = len(found[1]) if found[1].startswith("0") or len(found[1]) == len(found[2]) else 0
        return [f"{number:0{width}d}" for number in range(first, last + 1)]
    if "," in text:
        return text.split(",")
    raise _bad(option, pattern, f"{{{text}}} is neither {{000..012}} nor {{a,b}}")


def _bad(option: str, pattern: str, cause: str) -> DataError:
    return DataError(
        f"{option}: {pattern!r} {cause}", fix="write for example https://host/set/train-{000000..000012}.tar"
    )
