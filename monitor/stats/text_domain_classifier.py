"""The domain classifier of texts: can texts of the window be told from texts of the reference?"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from monitor.records import Direction, FloatArray, IntArray, NoData, ObjectArray, Statistic
from monitor.stats._comparison import Comparison
from monitor.stats._discriminant import compare_by_discriminant
from monitor.stats._features import Plain, joined
from monitor.stats._layout import cut_evenly, lay_out, parts_of
from monitor.stats._scaling import standardised
from monitor.stats._text import describe_both, hashed_ngrams


def text_domain_classifier(
    reference: ObjectArray, current: ObjectArray, rng: np.random.Generator, stretch: IntArray | None = None
) -> Comparison:
    """AUC of a classifier that tells texts of the window from texts of the reference, on texts it has not learned from.

    As `domain_classifier`, on the hashed words and three-character sequences of the texts (2¹⁴ columns) and their descriptors:
    length, words, mean word length, share of other characters than letters, share of words unseen, empty, missing. It sees
    another language, another topic, broken encodings, cut or repeated texts.

    Args:
        reference: texts in order of time, None where missing, shape (N,).
        current: likewise, shape (n,).
        rng: unused, there is no chance in it.
        stretch: by row of the reference, the stretch it belongs to; without it the reference is cut into equal ones.

    Raises:
        NoData: too few rows, or the reference has no text at all.

    >>> words = np.array(["the sea is calm", "a ship at anchor", "wind from the west"] * 200, dtype=object)
    >>> other = np.array(["le vent se lève", "un navire au mouillage"] * 40, dtype=object)
    >>> round(text_domain_classifier(words, other, np.random.default_rng(0)).value, 2)
    1.0
    """
    del rng
    if not any(value is not None for value in reference.tolist()):
        raise NoData("no rows to compare" if not len(reference) else "the reference has no text")
    layout = lay_out(len(reference), len(current), stretch, alike=True)
    ids = cut_evenly(len(reference), len(current)) if stretch is None else stretch
    before, after = reference[layout.reference], current[layout.current]
    described = describe_both(before, after, ids[layout.reference])
    known, new = (_with_missing(side) for side in described)
    columns = np.vstack(standardised(known, new))
    grams = Hashed(hashed_ngrams(np.concatenate([before, after])))
    return compare_by_discriminant(joined([Plain(columns), grams], parts_of(layout), kept=columns.shape[1]), layout)


def _with_missing(described: dict[str, FloatArray]) -> FloatArray:
    columns = np.column_stack(list(described.values()))
    return np.column_stack([columns, np.isnan(columns[:, 0])])


class Hashed:
    """The columns of a sparse matrix."""

    def __init__(self, rows: Any) -> None:
        self.rows = rows
        self.by_column = rows.tocsc()

    def sums(self, bounds: IntArray) -> FloatArray:
        parts = [self.rows[first:end].sum(axis=0) for first, end in pairwise(bounds.tolist())]
        return np.asarray(np.vstack(parts), dtype=np.float64)

    def moments(self) -> tuple[FloatArray, FloatArray]:
        squares = self.by_column.multiply(self.by_column)
        fourths = squares.multiply(squares)
        return tuple(np.asarray(power.sum(axis=0), dtype=np.float64).ravel() for power in (squares, fourths))  # type: ignore[return-value]

    def columns(self, places: IntArray) -> FloatArray:
        return np.asarray(self.by_column[:, places].toarray(), dtype=np.float64)


STATISTIC = Statistic(
    name="text_domain_classifier",
    family="drift",
    applies_to=frozenset({"text"}),
    unit="AUC",
    low=0.0,
    high=1.0,
    worse=Direction.HIGHER_IS_WORSE,
    compute=text_domain_classifier,
    default_threshold=0.65,
    default_material=0.55,
    needs="rows",
    rate=0.5,
)
