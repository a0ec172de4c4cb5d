"""What the values of files are: ends, a sample for percentiles, labels, and what tells its planes from others."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from i2i_forge.data.space import Quantity
from i2i_forge.data.stored import Codes, Header, Stored
from i2i_forge.errors import DataError

MAP = "lies at"  # how the note of a file begins that is a map
MOST_LABELS = 16
SAMPLE = 2**16  # values of a file that are kept for percentiles


@dataclass(frozen=True)
class Values:
    """The stored quantities of a file: slope and offset applied, without what the file says is no data.

    Attributes:
        low, high: the ends; NaN where there is no value.
        sample: some of them, float32.
        labels: all values, where these are at most 16 whole numbers; else empty.
        count, missing, positive: how many there are, how many pixels have none, and how many are above 0.
        empty: in how many planes nothing is above 0.
        digests: what identifies the codes of each plane; "" of a plane of one code, which others share by chance.
    """

    low: float
    high: float
    sample: NDArray[np.float32]
    labels: frozenset[float]
    count: int
    missing: int
    positive: int
    empty: int
    digests: tuple[str, ...]


@dataclass
class Image:
    """One image of the cases: "mr".

    Attributes:
        patterns: of its stack; a folder for two folders.
        headers: of the files that can be opened.
        formats: how many files are of which.
        damaged: file -> what is wrong with it.
        values: of those files whose values were read.
    """

    patterns: tuple[str, ...]
    headers: dict[Path, Header] = field(default_factory=dict)
    formats: Counter[str] = field(default_factory=Counter)
    damaged: dict[Path, DataError] = field(default_factory=dict)
    values: dict[Path, Values] = field(default_factory=dict)

    @property
    def header(self) -> Header:
        """Of the first file."""
        return next(iter(self.headers.values()))

    @property
    def is_map(self) -> bool:
        """Whether its first file lies somewhere on the Earth."""
        return any(note.startswith(MAP) for note in self.header.notes)

    @property
    def labels(self) -> list[int]:
        """All values of all files that were read, where these are at most 16 whole numbers."""
        every = [values.labels for values in self.values.values() if values.count]
        found: frozenset[float] = frozenset().union(*every)
        return sorted(map(int, found)) if every and all(every) and 1 < len(found) <= MOST_LABELS else []

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the largest value; NaN where there is none."""
        found = [values for values in self.values.values() if values.count]
        return (min(v.low for v in found), max(v.high for v in found)) if found else (np.nan, np.nan)

    def percentiles(self, *wanted: float) -> list[float]:
        """Of a sample of the values that were read."""
        sample = np.concatenate([values.sample for values in self.values.values()] or [np.empty(0, np.float32)])
        return np.percentile(sample, wanted, method="inverted_cdf").tolist() if sample.size else [np.nan] * len(wanted)


def file_values(stored: Stored) -> Values:
    """Of a whole file, plane by plane.

    Raises:
        BadImage: it is damaged behind its header.
    """
    ends, samples, digests = [], [np.empty(0, np.float32)], []
    labels: set[float] | None = set()
    count = missing = positive = empty = 0
    array, axes = stored.array(), [length for _, length in stored.header.axes]
    step = max(1, math.prod(stored.header.shape) // SAMPLE) | 1
    for place in np.ndindex(*axes):
        codes = array[place]
        digests.append(plane_digest(codes))
        values = quantities(codes, stored.header)
        found = values[np.isfinite(values)]
        above = int((found > 0).sum())
        count, missing = count + found.size, missing + values.size - found.size
        positive, empty = positive + above, empty + (above == 0)
        if not found.size:
            continue
        ends += [float(found.min()), float(found.max())]
        samples.append(found[::step].astype(np.float32))
        if labels is not None:
            first = set(found[: 64 * MOST_LABELS].tolist())  # mostly enough to see that there are many
            labels |= first if len(first) > MOST_LABELS else set(np.unique(found).tolist())
            labels = labels if len(labels) <= MOST_LABELS and all(map(float.is_integer, labels)) else None
    low, high = (min(ends), max(ends)) if ends else (math.nan, math.nan)
    sample = np.concatenate(samples)
    return Values(low, high, sample, frozenset(labels or ()), count, missing, positive, empty, tuple(digests))


def quantities(codes: Codes, header: Header) -> Quantity:
    """C,H,W of codes: slope and offset applied, NaN where the file says that there is no value."""
    slope, offset = (np.reshape(each, (-1, 1, 1)) for each in (header.slope, header.offset))
    values: Quantity = codes * slope + offset
    values[np.isin(codes, header.nodata)] = np.nan
    return values


def plane_digest(codes: Codes) -> str:
    """What identifies the codes of a plane, and their type; "" where all are one, but for NaN."""
    whole = np.ascontiguousarray(codes)
    least, most = np.fmin.reduce(whole, None), np.fmax.reduce(whole, None)
    if not least < most:
        return ""
    return hashlib.blake2b(whole.tobytes(), digest_size=16, key=f"{whole.dtype} {whole.shape}".encode()).hexdigest()
