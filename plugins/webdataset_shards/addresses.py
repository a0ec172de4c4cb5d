"""Where shards are: paths or addresses; {000..012} and {a,b} stand for several."""

from __future__ import annotations

import importlib
import itertools
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from i2i_forge.errors import DataError

MOST = 100_000  # shards of one pattern
LOCAL, WEB = "", ("http", "https")
STORES = ("ais", "ftps", "gs", "hf", "s3", "scp", "sftp")  # which the package webdataset opens


@dataclass(frozen=True)
class Shard:
    """A tar.

    Attributes:
        address: a path, or where to fetch it.
        size, sha256: what it must have, where that is known.
    """

    address: str
    size: int | None = None
    sha256: str = ""

    @property
    def is_local(self) -> bool:
        """Whether it is a path."""
        return scheme(self.address) == LOCAL


def expand(option: str, pattern: str) -> list[str]:
    """The addresses that a pattern stands for, in its order.

    Args:
        option: what messages call it.

    Raises:
        DataError: it is no pattern, stands for too many, names one twice, or what nobody opens.

    >>> expand("shards", "x-{08..10}.tar")
    ['x-08.tar', 'x-09.tar', 'x-10.tar']
    """
    pieces = re.split(r"\{([^{}]*)\}", pattern)
    if any(brace in piece for piece in pieces for brace in "{}"):
        raise _bad(option, pattern, "has a brace too many")
    choices = [_choices(option, pattern, piece) if place % 2 else [piece] for place, piece in enumerate(pieces)]
    if (count := math.prod(map(len, choices))) > MOST:
        raise _bad(option, pattern, f"stands for {count:,} shards, more than {MOST:,}")
    names = ["".join(parts) for parts in itertools.product(*choices)]
    if len(set(names)) < len(names):
        raise _bad(option, pattern, "names a shard twice")
    for name in names:
        _need_opener(name)
    return names


def scheme(address: str) -> str:
    """ "http", "https", another, or LOCAL for a path."""
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):", address)
    return found[1].lower() if found else LOCAL


def beside(address: str, name: str) -> str:
    """The address of another file in the same folder."""
    if scheme(address) == LOCAL:
        return str(Path(address).with_name(name))
    parts = urlsplit(address)
    return urlunsplit(parts._replace(path=parts.path.rpartition("/")[0] + f"/{name}"))


def file_name(address: str) -> str:
    """What it is called in its folder."""
    return Path(address).name if scheme(address) == LOCAL else urlsplit(address).path.rpartition("/")[2]


def opener_of_stores(address: str) -> Any:
    """The package webdataset. Raises DataError where it is not installed."""
    try:
        return importlib.import_module("webdataset")
    except ImportError:
        cause = f"{address}: '{scheme(address)}:' needs webdataset, which is not installed"
        raise DataError(cause, fix="pip install 'i2i-forge[webdataset]'") from None


def _need_opener(address: str) -> None:
    kind = scheme(address)
    if kind not in (LOCAL, *WEB, *STORES):
        raise DataError(f"{address}: there is no '{kind}:'", fix=f"use a path, or {', '.join((*WEB, *STORES))}")
    if kind and re.search(r"[\x00-\x20\x7f]", address):
        raise DataError(f"{address!r} is no address: it has spaces or control characters", fix="write %20 for a space")
    if kind in STORES:
        opener_of_stores(address)


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
