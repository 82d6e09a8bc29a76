"""Every statistic there is, found by itself, and whatever each may be given."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as some

from monitor import registry
from monitor.records import Statistic
from tests.stats.binned import two_histograms
from tests.stats.oracles import Inputs

KNOWN = {name: registry.load("statistic", name).STATISTIC for name in registry.known("statistic")}
# Those on rows train models, those of performance and fairness take outcomes: they have tests of their own.
EVERY = {
    name: statistic
    for name, statistic in KNOWN.items()
    if statistic.needs != "rows" and statistic.family in ("drift", "quality")
}
DRIFT = {name: each for name, each in EVERY.items() if each.family == "drift" and each.needs in {"counts", "histogram"}}
ON_COUNTS = [name for name, statistic in DRIFT.items() if statistic.needs == "counts"]
ON_HISTOGRAMS = [name for name, statistic in DRIFT.items() if statistic.needs == "histogram"]
ORDERLESS = [name for name in EVERY if EVERY[name].family != "quality" and name not in ON_HISTOGRAMS]
# An effect below which nobody is alerted is no use where the score grows with the rows, or has the column's own unit.
WITHOUT_FLOOR = {"chi_square", "g_test", "wasserstein_distance"}
EXAMPLES = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@some.composite
def two_counts(draw: some.DrawFn) -> tuple[Any, ...]:
    """Rows per bin of a reference and of a window; at least one row in each, empty bins among them."""
    bins = draw(some.integers(1, 8))
    rows = some.lists(some.integers(0, 1000) | some.just(0), min_size=bins, max_size=bins).filter(any)
    return np.array(draw(rows), dtype=np.int64), np.array(draw(rows), dtype=np.int64)


@some.composite
def weighted_counts(draw: some.DrawFn) -> tuple[Any, ...]:
    """The same, with a reference that may be weighted, so that its rows are no whole numbers."""
    reference, current = draw(two_counts())
    return reference * draw(some.sampled_from([1, 0.5, 0.37, 1.0])), current


@some.composite
def weights_and_verdicts(draw: some.DrawFn) -> tuple[Any, ...]:
    pairs = some.tuples(some.floats(0, 100).map(lambda weight: round(weight, 3)), some.booleans())
    drawn = draw(some.lists(pairs, min_size=1, max_size=20).filter(lambda held: any(weight for weight, _ in held)))
    return tuple(np.array(column) for column in zip(*drawn, strict=True))


@some.composite
def quality_counts(draw: some.DrawFn) -> dict[str, int]:
    rows = draw(some.integers(1, 10_000))
    missing = draw(some.integers(0, rows - 1))
    unseen = draw(some.integers(0, rows - missing - 1))
    newest = draw(some.integers(0, 2_000_000_000))
    return {
        "rows": rows,
        "missing": missing,
        "absent": draw(some.integers(0, missing)),
        "unseen": unseen,
        "outside": draw(some.integers(0, rows - missing - unseen)),
        "values": draw(some.integers(1, 2)),
        "copies": draw(some.integers(0, rows - 1)),
        "usual": draw(some.integers(1, 10_000)),
        "now": newest + draw(some.integers(-10, 1_000_000)),
        "newest": newest,
    }


def inputs(statistic: Statistic) -> some.SearchStrategy[Inputs]:
    """Whatever a statistic of this family may be given."""
    if statistic.family == "quality":
        return quality_counts().map(lambda counts: ((), counts))
    kinds = {"counts": weighted_counts, "histogram": two_histograms, "verdicts": weights_and_verdicts}
    return kinds[statistic.needs]().map(lambda arrays: (arrays, {}))
