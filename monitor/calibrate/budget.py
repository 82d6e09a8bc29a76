"""How a budget of false alarms is spent: the significance level of one test in one look."""

from __future__ import annotations

import math

from monitor.calibrate.special import normal_quantile, normal_tail

# Half of the budget is kept back for what the approximations get wrong: in simulation no tail was more than
# twice as heavy as it says, with autocorrelated rows and references of thirty windows.
SPENT = 0.5
LARGEST = 0.05  # a single test is never more eager than this, however generous the budget


def significance_level(
    *, at_most: float, per_seconds: float, every_seconds: float, size_seconds: float, tests: int
) -> float:
    """The level α of each of `tests` tests at each look, so that at most so many false alarms are expected in a period.

    The budget is divided evenly over tests and looks (Bonferroni, whatever their dependence). Looks at overlapping windows
    repeat each other: an alarm that stands for several looks in a row is one. Near a high threshold such runs have a mean
    length 1/θ, with the extremal index θ = u h δ ν(u √(2δ)), δ = every / size the share of a window that is new at each look, u
    the standard normal quantile of α and h = φ(u) / α, near u, the hazard there (Siegmund, Sequential Analysis, 1985, chapter
    X; ν as in Siegmund & Yakir 2007).
    Half of the result is spent, see `SPENT`.

    Args:
        at_most: false alarms that are tolerated in a period.
        per_seconds: the period.
        every_seconds: time between two looks.
        size_seconds: length of a window.
        tests: tests in each look: columns × statistics that are tested on their own × versions × segments.

    Returns:
        α, between 0 and 0.05.

    >>> level = significance_level(at_most=1, per_seconds=720, every_seconds=1, size_seconds=1, tests=100)
    >>> level < 1 / 72_000
    True
    """
    looks = max(per_seconds / every_seconds, 1.0)
    share = SPENT * at_most / (looks * max(tests, 1))
    renewal = min(every_seconds / size_seconds, 1.0)
    level = min(share, LARGEST)
    if renewal == 1.0:
        return level
    for _ in range(50):  # α θ(α) = share: a contraction, since θ changes slowly with α
        level = min(share / extremal_index(level, renewal), LARGEST)
    return level


def extremal_index(level: float, renewal: float) -> float:
    """The share of looks beyond a threshold that begin a run of such looks.

    Args:
        level: chance that one look is beyond it.
        renewal: share of a window that is new at each look.

    >>> round(extremal_index(1e-4, 1.0), 2) > 0.9, extremal_index(1e-4, 0.001) < 0.05
    (True, True)
    """
    threshold = -float(normal_quantile(level))
    if threshold <= 0:
        return 1.0
    hazard = math.exp(-(threshold**2) / 2) / math.sqrt(2 * math.pi) / level
    rate = threshold * hazard * renewal * _overshoot(threshold * math.sqrt(2 * renewal))
    return min(max(rate, renewal), 1.0)


def _overshoot(x: float) -> float:
    """Siegmund's ν(x), in the usual closed approximation."""
    if x < 1e-6:
        return 1.0
    half = x / 2
    density = math.exp(-half * half / 2) / math.sqrt(2 * math.pi)
    below = 1 - float(normal_tail(half))
    return (2 / x) * (below - 0.5) / (half * below + density)
