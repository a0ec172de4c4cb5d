"""Ranges that are found in images: order statistics of any number of values in two passes and 1 MB.

The values are those of images, none between two of them: the smallest with at least so many per cent of all values at
or below it (NumPy's method "inverted_cdf"). They do not depend on order or grouping.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from i2i_forge.errors import DataError

HALF = 2**16
Values = NDArray[np.float32]


def order_statistics(values: Callable[[], Iterable[Values]], percentiles: Sequence[float]) -> list[float]:
    """The percentiles, from 0 to 100, of all finite values together.

    Args:
        values: gives them in parts, the same at every call.

    Raises:
        DataError: there are none.
    """
    high = np.zeros(HALF, np.int64)
    for part in values():
        high += np.bincount(_keys(part) >> 16, minlength=HALF)
    total = int(high.sum())
    if not total:
        raise DataError("there are no values to take a range from", fix="see `range.in` of the domain")
    ranks = [max(1, math.ceil(percentile / 100 * total)) for percentile in percentiles]
    ends = np.cumsum(high)
    bins = [int(np.searchsorted(ends, rank)) for rank in ranks]
    low = {place: np.zeros(HALF, np.int64) for place in bins}
    for part in values():
        keys = _keys(part)
        for place, counts in low.items():
            counts += np.bincount(keys[keys >> 16 == place] & (HALF - 1), minlength=HALF)
    found = []
    for rank, place in zip(ranks, bins, strict=True):
        before = int(ends[place] - high[place])
        within = int(np.searchsorted(np.cumsum(low[place]), rank - before))
        found.append(_value(place << 16 | within))
    return found


def _keys(values: Values) -> NDArray[np.int64]:
    """Whole numbers in the order of the finite values."""
    finite = values[np.isfinite(values)].astype(np.float32) + np.float32(0)  # -0 becomes 0
    bits = finite.view(np.uint32).astype(np.int64)
    return np.where(bits < 2**31, bits + 2**31, 2**32 - 1 - bits)


def _value(key: int) -> float:
    bits = key - 2**31 if key >= 2**31 else 2**32 - 1 - key
    return float(np.array(bits, np.uint32).view(np.float32))
