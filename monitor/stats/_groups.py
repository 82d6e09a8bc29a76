"""What each group of people (or of whatever is compared) got from the model, in counts and sums that add up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass

import numpy as np

from monitor.records import FloatArray, IntArray
from monitor.stats._outcomes import BinaryOutcomes, BoolArray, NumericOutcomes

LARGEST_ERROR = 1e150  # a larger one counts as this: its square still adds up to a number


@dataclass(frozen=True, slots=True)
class GroupCounts:
    """One group over one stretch of time. Those of two stretches add up.

    Attributes:
        rows: predictions, with a label or without.
        selected: of these, predicted positive.
        tn: labelled rows that are negative and predicted so; fp, fn and tp likewise. Two classes only.
        fp: negative, predicted positive.
        fn: positive, predicted negative.
        tp: positive, predicted positive.
        measured: labelled rows that have an error: of two classes, those with a score.
        score_negatives: sum of the scores of the negative ones.
        score_positives: sum of the scores of the positive ones.
        absolute_errors: sum of |predicted − label|, where that is the score − (0 or 1) for two classes.
        squared_errors: sum of the squares of the same.
    """

    rows: int = 0
    selected: int = 0
    tn: int = 0
    fp: int = 0
    fn: int = 0
    tp: int = 0
    measured: int = 0
    score_negatives: float = 0.0
    score_positives: float = 0.0
    absolute_errors: float = 0.0
    squared_errors: float = 0.0

    def __add__(self, other: GroupCounts) -> GroupCounts:
        return GroupCounts(*(first + second for first, second in zip(astuple(self), astuple(other), strict=True)))

    @property
    def labelled(self) -> int:
        """Rows of two classes with a label."""
        return self.tn + self.fp + self.fn + self.tp


Groups = Mapping[str, GroupCounts]


def merge_groups(parts: Sequence[Groups]) -> dict[str, GroupCounts]:
    """The same groups over all stretches; a group may be absent from some.

    >>> merge_groups([{"a": GroupCounts(rows=1)}, {"a": GroupCounts(rows=2), "b": GroupCounts(rows=3)}])["a"].rows
    3
    """
    merged: dict[str, GroupCounts] = {}
    for part in parts:
        for name, counts in part.items():
            merged[name] = merged[name] + counts if name in merged else counts
    return merged


def group_predictions(predicted: BoolArray, codes: IntArray, names: Sequence[str]) -> dict[str, GroupCounts]:
    """Groups of rows that have no label (yet).

    Args:
        predicted: whether the model says "positive", shape (n,).
        codes: the group of each row, as its place in `names`, shape (n,); a negative one belongs to none.
        names: of the groups.
    """
    rows = _sums(codes, len(names))
    selected = _sums(codes, len(names), predicted.astype(np.float64))
    return {
        name: GroupCounts(rows=int(count), selected=int(chosen))
        for name, count, chosen in zip(names, rows, selected, strict=True)
    }


def group_binary(outcomes: BinaryOutcomes, codes: IntArray, names: Sequence[str]) -> dict[str, GroupCounts]:
    """Groups of labelled rows of two classes; `codes` and `names` as in `group_predictions`.

    >>> yes, no = True, False
    >>> rows = BinaryOutcomes(np.array([yes, no, yes]), np.array([yes, yes, no]))
    >>> group_binary(rows, np.array([0, 0, 1]), ["a", "b"])["a"]
    GroupCounts(rows=2, selected=2, tn=0, fp=1, fn=0, tp=1, measured=0, ...)
    """
    number, kept = len(names), codes >= 0
    cells = codes * 4 + outcomes.label * 2 + outcomes.predicted
    counts = np.bincount(cells[kept], minlength=4 * number).reshape(number, 4).tolist()
    sums = np.zeros((5, number))
    if outcomes.score is not None:
        score = np.clip(outcomes.score, -LARGEST_ERROR, LARGEST_ERROR)
        error = score - outcomes.label
        negative = _sums(codes, number, score * ~outcomes.label)
        positive = _sums(codes, number, score * outcomes.label)
        measured, squares = _sums(codes, number), _sums(codes, number, error**2)
        sums = np.array([measured, negative, positive, _sums(codes, number, np.abs(error)), squares])
    return {
        name: GroupCounts(tn + fp + fn + tp, fp + tp, tn, fp, fn, tp, int(measured), *others)
        for name, (tn, fp, fn, tp), (measured, *others) in zip(names, counts, sums.T.tolist(), strict=True)
    }


def group_numeric(outcomes: NumericOutcomes, codes: IntArray, names: Sequence[str]) -> dict[str, GroupCounts]:
    """Groups of labelled rows of numbers; `codes` and `names` as in `group_predictions`."""
    with np.errstate(over="ignore"):
        error = np.clip(outcomes.errors, -LARGEST_ERROR, LARGEST_ERROR)
    rows = _sums(codes, len(names))
    absolute, squares = _sums(codes, len(names), np.abs(error)), _sums(codes, len(names), error**2)
    return {
        name: GroupCounts(
            rows=int(count), measured=int(count), absolute_errors=float(total), squared_errors=float(square)
        )
        for name, count, total, square in zip(names, rows, absolute, squares, strict=True)
    }


def _sums(codes: IntArray, number: int, values: FloatArray | None = None) -> FloatArray:
    """The sum of the values of each group, or its rows; shape (number,)."""
    # Those of no group are counted first, and left out.
    return np.bincount(codes + 1, weights=values, minlength=number + 1)[1:].astype(np.float64)
