"""An alarm for losses that explode while they are still finite."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from statistics import fmean, median

WINDOW = 100  # logged values of a term that its loss is compared with
WARM_UP = 30  # logged values before anything is compared
RECENT = 15  # steps whose median is compared: a few bad batches are no alarm
DEVIATIONS = 7.0  # robust standard deviations from what was usual to the line
FLOOR = 0.3  # of the median: the least that counts as a deviation


class Alarm:
    """Watches the losses of a run: a note for a term that stays far above what it was.

    A term's line is the median of its last WINDOW logged values plus DEVIATIONS robust standard deviations (from the
    median absolute deviation; where most values are 0 from the mean one: Iglewicz and Hoaglin 1993). It depends on
    logged values alone, so that a resumed run that remembers its records has the lines of an uninterrupted one.
    """

    def __init__(self) -> None:
        self._terms: dict[str, _Term] = {}

    def remember(self, report: Mapping[str, float]) -> None:
        """A report was logged: loss by term."""
        for name, loss in report.items():
            self._terms.setdefault(name, _Term()).remember(loss)

    def check(self, report: Mapping[str, float]) -> str:
        """The note for a step's losses by term, or nothing. A term is named once in WINDOW logged values."""
        found = [f"{name} {text}" for name, loss in report.items()
                 if (term := self._terms.get(name)) and (text := term.check(loss))]  # fmt: skip
        return "; ".join(found[:3]) + (f"; and {len(found) - 3} more terms" if len(found) > 3 else "")


class _Term:
    def __init__(self) -> None:
        self._past: deque[float] = deque(maxlen=WINDOW)
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._line = math.inf
        self._quiet = 0  # logged values until it may be named again

    def remember(self, loss: float) -> None:
        self._past.append(loss)
        self._quiet = max(0, self._quiet - 1)
        if len(self._past) >= WARM_UP:
            self._line = _line(self._past)

    def check(self, loss: float) -> str:
        self._recent.append(loss)
        if self._quiet or loss <= self._line or len(self._recent) < RECENT:
            return ""
        if (now := median(self._recent)) <= self._line:
            return ""
        self._quiet = WINDOW
        return f"has risen to {now:.4g} from {median(self._past):.4g}"


def _line(past: deque[float]) -> float:
    """Above it a loss is far from the median. Infinite for a loss that was always 0: nothing tells what is far."""
    middle = median(past)
    distances = [abs(value - middle) for value in past]
    deviation = max(1.4826 * median(distances), FLOOR * abs(middle)) or 1.2533 * fmean(distances)
    return middle + DEVIATIONS * deviation if deviation else math.inf
