"""Predictions beside what turned out to be true, in the form that the performance statistics of each task take."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from monitor.records import FloatArray, IntArray

BoolArray = NDArray[np.bool_]


class Outcomes(ABC):
    """Rows with their label. What several statistics need is computed once and kept."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def take(self, rows: IntArray | slice) -> Self:
        """Some of the rows, in the order given."""

    def parts(self, codes: IntArray, number: int) -> list[Self]:
        """The rows of each group, each in the order they have here: one pass over the rows, however many groups there are.

        Args:
            codes: the group of each row, from 0, shape (n,); a negative one belongs to none.
            number: of groups.
        """
        # Few groups fit into 16 bits, and these are sorted by radix.
        order = np.argsort(codes.astype(np.int16) if number < 2**15 else codes, kind="stable")
        ends = np.cumsum(np.bincount(codes + 1, minlength=number + 1) if codes.min(initial=0) < 0 else
                         np.append(0, np.bincount(codes, minlength=number)))  # fmt: skip
        ordered = self.take(order)
        return [ordered.take(slice(ends[group], ends[group + 1])) for group in range(number)]


@dataclass(frozen=True, eq=False)
class BinaryOutcomes(Outcomes):
    """Two classes.

    Attributes:
        label: whether the row is positive, shape (n,).
        predicted: whether the model says so, shape (n,).
        score: the model's probability of the positive class, shape (n,), finite; None where it gives none.
        rising: the rows are in order of their score.
    """

    label: BoolArray
    predicted: BoolArray
    score: FloatArray | None = None
    rising: bool = False

    def __len__(self) -> int:
        return len(self.label)

    def take(self, rows: IntArray | slice) -> BinaryOutcomes:
        score = None if self.score is None else self.score[rows]
        return BinaryOutcomes(self.label[rows], self.predicted[rows], score, self.rising)

    @cached_property
    def order(self) -> IntArray | None:
        """The places of the rows from the lowest score to the highest; None where they lie so already."""
        return None if self.rising or self.score is None else np.argsort(self.score, kind="stable")

    @cached_property
    def counts(self) -> tuple[int, int, int, int]:
        """True negatives, false positives, false negatives, true positives."""
        codes = np.bincount(self.label.view(np.uint8) * np.uint8(2) + self.predicted.view(np.uint8), minlength=4)
        return int(codes[0]), int(codes[1]), int(codes[2]), int(codes[3])


@dataclass(frozen=True, eq=False)
class ClassOutcomes(Outcomes):
    """More than two classes.

    Attributes:
        label: places of the true classes in `classes`, shape (n,).
        predicted: of the predicted ones, shape (n,).
        classes: their names, k of them, in order.
        scores: the model's probability of each class, shape (n, k), finite; None where it gives none.
    """

    label: IntArray
    predicted: IntArray
    classes: Sequence[str]
    scores: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.label)

    def take(self, rows: IntArray | slice) -> ClassOutcomes:
        scores = None if self.scores is None else self.scores[rows]
        return ClassOutcomes(self.label[rows], self.predicted[rows], self.classes, scores)

    @cached_property
    def confusion(self) -> IntArray:
        """Rows by true (first axis) and predicted class, shape (k, k)."""
        number = len(self.classes)
        return np.bincount(self.label * number + self.predicted, minlength=number**2).reshape(number, number)


@dataclass(frozen=True, eq=False)
class NumericOutcomes(Outcomes):
    """Numbers. `label` is what was true, `predicted` what the model said; both of shape (n,), finite."""

    label: FloatArray
    predicted: FloatArray

    def __len__(self) -> int:
        return len(self.label)

    def take(self, rows: IntArray | slice) -> NumericOutcomes:
        return NumericOutcomes(self.label[rows], self.predicted[rows])

    @cached_property
    def errors(self) -> FloatArray:
        """Predicted less true, shape (n,)."""
        errors: FloatArray = self.predicted - self.label
        return errors


@dataclass(frozen=True, eq=False)
class RankedOutcomes(Outcomes):
    """Lists of items, each ranked by the model's prediction.

    Attributes:
        label: the relevance of each item, shape (n,), at least 0; what is above 0 is relevant.
        predicted: the model's score of each item, shape (n,): the highest comes first.
        lists: which list (query, user, session) an item belongs to, from 0, shape (n,).
    """

    label: FloatArray
    predicted: FloatArray
    lists: IntArray

    def __len__(self) -> int:
        return len(self.label)

    def take(self, rows: IntArray | slice) -> RankedOutcomes:
        return RankedOutcomes(self.label[rows], self.predicted[rows], self.lists[rows])

    @cached_property
    def order(self) -> IntArray:
        """The places of the items, list by list, and in each from the highest prediction to the lowest."""
        return np.lexsort((-self.predicted, self.lists))
