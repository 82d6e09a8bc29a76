"""What a window is held against: the reference's counts, or, matched by season, what it expects of rows like the window's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from monitor.profile.bins import CategoricalBins
from monitor.profile.column import Profile
from monitor.profile.reference import Reference
from monitor.records import FloatArray, IntArray, NoData

UNMATCHED = 0.1  # a window with more rows than this of seasons that the reference lacks is not judged


@dataclass(frozen=True, slots=True)
class Baseline:
    """The reference's side of a comparison with one window.

    Attributes:
        counts: by column, rows per bin, then those missing, then those unseen: shape (bins + 2,). Whole numbers, or, matched by
            season, shares times the rows that the reference's precision is worth.
        rows: how many rows that precision is worth.
    """

    counts: Mapping[str, FloatArray | IntArray]
    rows: float


def baseline(reference: Reference, current: Profile) -> Baseline:
    """The baseline of a window.

    Matched by season, it is `Σ w_c p_c` over the cells c of the season, with w the shares of the window's rows and p the
    reference's shares in that cell. Its variance is that of `1 / Σ (w_c² / N_c)` rows.

    Args:
        reference: whose counts are taken.
        current: the window's profile; with its seasons then.

    Raises:
        NoData: more than a tenth of the window's rows are of seasons of which the reference has no row.
    """
    seasons = reference.seasons
    if seasons is None:
        counts = {
            name: np.append(column.counts, [column.missing, column.unseen])
            for name, column in reference.profiles.items()
        }
        return Baseline(counts, float(reference.rows))
    cells = np.array(list(current.seasons), dtype=np.int64)
    rows = np.array(list(current.seasons.values()), dtype=np.float64)
    of_cell = seasons.rows[cells].astype(np.float64)
    matched = of_cell > 0
    lost = 1 - rows[matched].sum() / max(rows.sum(), 1.0)
    if lost > UNMATCHED:
        raise NoData(
            f"expected a reference with rows of the window's {', '.join(reference.match)}, {lost:.0%} have none"
        )
    weights = rows[matched] / rows[matched].sum()
    worth = 1 / float((weights**2 / of_cell[matched]).sum())
    counts = {}
    for name, table in seasons.counts.items():
        held = table[cells[matched]].astype(np.float64)
        shares = held / np.maximum(held.sum(axis=1, keepdims=True), 1.0)
        counts[name] = worth * (weights @ shares)
    return Baseline(counts, worth)


def expected(base: Baseline, reference: Reference, name: str) -> FloatArray:
    """The rows that a baseline lets expect of one column: shape (bins + 2,).

    A category that a single row of the reference has would be unseen without that row. So as many unseen rows are to be
    expected as there are such categories (Good, Biometrika 40, 1953), and they stand there.
    """
    counts, bins = np.asarray(base.counts[name], dtype=np.float64), reference.bins[name]
    if not isinstance(bins, CategoricalBins) or bins.has_rest:
        return counts
    once = np.append(reference.profiles[name].counts == 1, [False, False])
    found: FloatArray = np.where(once, 0.0, counts)
    found[-1] += counts[once].sum()
    return found
