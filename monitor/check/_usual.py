"""How many rows a window usually has: those of the same hours and weekdays in the weeks before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import median

from monitor import registry
from monitor.calibrate.special import beta_distribution
from monitor.check._context import Context
from monitor.config import Windows
from monitor.records import Window
from monitor.source import ReferenceFor
from monitor.windows import newest_holding

WEEK = 7 * 86400.0
FEWEST = 3  # earlier windows
MANY = 500  # independent events from which on the logarithm of their number is normal


def earlier_windows(windows: Windows, window: Window, number: int) -> list[Window]:
    """The windows that are like one, the newest first: each a week before the next, or its own length where that is longer.

    >>> [each.start / WEEK for each in earlier_windows(Windows(size="1h"), Window(5 * WEEK, 5 * WEEK + 3600), 2)]
    [4.0, 3.0]
    """
    found = [window]
    while len(found) <= number:
        last = found[-1]
        if windows.calendar == "month":
            found.append(newest_holding(windows, last.start - 1.0, last))
        else:
            step = max(WEEK, window.end - window.start)
            found.append(Window(last.start - step, last.end - step))
    return found[1:]


def rows_before(context: Context, number: int) -> list[float]:
    """The rows of those earlier windows that are known, the newest first, in proportion to the window's own length.

    What lies before the first prediction is not known, nor is the window that holds it. A window without rows is known where
    an older one has some, or where older predictions are kept.

    Raises:
        SourceError: the predictions cannot be read.
    """
    windows = earlier_windows(context.model.windows, context.window, number + 1)
    counts = [rows_in(context, window) for window in windows]
    known = max((place for place, rows in enumerate(counts) if rows), default=0)
    if known < number:
        oldest = context.source.oldest_event()
        known = max(known, sum(oldest is not None and window.start >= oldest for window in windows))
    length = context.window.end - context.window.start
    told = list(zip(windows, counts, strict=True))[: min(known, number)]
    return [rows * length / (window.end - window.start) for window, rows in told]


def rows_in(context: Context, window: Window) -> int:
    """All rows of a window. The way that costs least: times alone of files, and profiles of what was pushed."""
    # Profiles are kept longer than rows, and adding some up is faster than counting.
    from_files = registry.load("source", context.model.predictions.type).HEAVY
    references: ReferenceFor = (lambda _: None) if from_files else context.references
    return sum(profile.rows for profile in context.source.profiles(window, references).values())


@dataclass(frozen=True, slots=True)
class Band:
    """The rows that are usual, and the ends between which chance alone leaves them."""

    usual: float
    low: float
    high: float


def band(rows: Sequence[float], level: float) -> Band:
    """The prediction interval of one more count like these.

    Counts vary in proportion, so it is that of their logarithms, by Student's t. One in five is left out, the furthest from
    the median, so that an outage does not hide the next one for weeks; the spread of the others is widened for it (by one
    plus three times the share left out, which holds for normal logarithms from 2 % to 0.02 %). Their variance is taken to be
    no less than that of independent events (Poisson), however alike the few that are known may be.

    Args:
        rows: at least three.
        level: chance of a count beyond either end.

    >>> found = band([100.0, 110.0, 90.0, 100.0], 0.05)
    >>> round(found.usual, 1), round(found.low), round(found.high)
    (99.8, 70, 143)
    >>> round(band([100.0, 110.0, 0.0, 90.0, 100.0], 0.05).usual, 1)
    99.8
    """
    logs = [math.log(count + 0.5) for count in rows]
    middle = median(logs)
    kept = sorted(logs, key=lambda each: abs(each - middle))[: len(logs) - len(logs) // 5]
    number, widened = len(kept), 1 + 3 * (len(logs) - len(kept)) / len(logs)
    center = sum(kept) / number
    variance = widened**2 * sum((each - center) ** 2 for each in kept) / (number - 1)
    usual = max(math.exp(center) - 0.5, 0.0)
    reach = t_quantile(level / 2, number - 1) * math.sqrt(max(variance, 1 / (usual + 0.5)) * (1 + 1 / number))
    # Below, the logarithm of a few independent events is no normal one.
    low = min(max(math.exp(center - reach) - 0.5, 0.0), poisson_low(usual, level / 2))
    return Band(usual, low, math.exp(min(center + reach, 700.0)) - 0.5)


def poisson_low(mean: float, tail: float) -> float:
    """The count below which independent events stay with at most this chance; infinite for large means.

    >>> poisson_low(4.0, 0.01), poisson_low(24.0, 0.01)
    (0.0, 13.0)
    """
    if mean > MANY:
        return math.inf
    count, term = 0, math.exp(-mean)
    below = term
    while below <= tail:
        count += 1
        term *= mean / count
        below += term
    return float(count)


@cache
def t_quantile(tail: float, freedom: int) -> float:
    """What Student's t is beyond with this chance, for chances below a half.

    >>> round(t_quantile(0.025, 7), 3)
    2.365
    """
    # P(T > t) = I_x(ν/2, 1/2) / 2 with x = ν / (ν + t²).
    low, high = 0.0, 1.0
    for _ in range(100):
        middle = (low + high) / 2
        if float(beta_distribution(freedom / 2, 0.5, middle)) / 2 < tail:
            low = middle
        else:
            high = middle
    return math.sqrt(freedom * (1 - high) / max(high, 1e-300))
