"""What a comparison of rows says: a value, and what unchanged data would give.

A statistic of rows has no closed form, and a window differs from its reference by its time alone. So the window is taken as one
more stretch of the reference: the reference is cut into stretches, each is scored against the others as the window is scored
against them all, and a window surprises only as far as it lies beyond what these have scored (Student's predictive tail).
Beside that, the window's own blocks tell how much chance alone moves its score; the less surprising of the two counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.special import gammaincc, gammainccinv, kolmogi, kolmogorov, ndtr, ndtri, stdtr, stdtrit

from monitor.records import FloatArray


class Null(Protocol):
    """What a value follows when nothing has changed."""

    def p_value(self, value: float) -> float:
        """The chance of so much or more."""

    def value_at(self, level: float) -> float:
        """The value that is exceeded with that chance."""


@dataclass(frozen=True, slots=True)
class Student:
    """Student's t with a center and a scale; with two sides the value is the distance from the center.

    >>> round(Student(0.5, 0.1, 15.0).value_at(0.001), 3), Student(0.0, 1.0, 15.0, sides=2).p_value(0.0)
    (0.873, 1.0)
    """

    center: float
    scale: float
    degrees: float
    sides: int = 1

    def p_value(self, value: float) -> float:
        above = (value - self.center) / self.scale
        return min(self.sides * float(stdtr(self.degrees, -above)), 1.0)

    def value_at(self, level: float) -> float:
        return self.center - self.scale * float(stdtrit(self.degrees, level / self.sides))


@dataclass(frozen=True, slots=True)
class SquaredGamma:
    """A value whose square follows a gamma distribution with that mean, standard deviation and skewness (Pearson's type III).

    >>> null = SquaredGamma(0.0, 1e-4, 2.0)
    >>> round(null.p_value(null.value_at(1e-5)) * 1e5, 6)
    1.0
    """

    mean: float
    spread: float
    skewness: float

    def p_value(self, value: float) -> float:
        if value <= 0:
            return 1.0
        above = (value * value - self.mean) / self.spread
        if self.skewness < 1e-3:
            return float(ndtr(-above))
        shape = 4 / self.skewness**2
        return float(gammaincc(shape, max(shape + above * math.sqrt(shape), 0.0)))

    def value_at(self, level: float) -> float:
        if self.skewness < 1e-3:
            above = -float(ndtri(level))
        else:
            shape = 4 / self.skewness**2
            above = (float(gammainccinv(shape, level)) - shape) / math.sqrt(shape)
        return math.sqrt(max(self.mean + self.spread * above, 0.0))


@dataclass(frozen=True, slots=True)
class CubeRoot:
    """A value whose square, with the noise in it, has a cube root that follows Student's t (Wilson and Hilferty, PNAS 17, 1931).

    >>> null = CubeRoot(Student(0.1, 0.01, 12.0), 0.001)
    >>> round(null.p_value(null.value_at(1e-4)) * 1e4, 6)
    1.0
    """

    root: Student
    noise: float

    def p_value(self, value: float) -> float:
        return self.root.p_value(math.cbrt(value * value + self.noise)) if value > 0 else 1.0

    def value_at(self, level: float) -> float:
        return math.sqrt(max(self.root.value_at(level) ** 3 - self.noise, 0.0))


@dataclass(frozen=True, slots=True)
class TwoThirds:
    """A distance whose power 2/3, with its sign, follows Student's t.

    Mean squares of stretches that differ in their means are skewed, in the worst case as the square of one normal value is;
    the power makes such differences nearly normal, and only costs power where they were normal before.

    >>> null = TwoThirds(Student(0.0, 0.1, 12.0, sides=2))
    >>> round(null.p_value(null.value_at(1e-4)) * 1e4, 6)
    1.0
    """

    power: Student

    def p_value(self, value: float) -> float:
        return self.power.p_value(math.cbrt(value * value))

    def value_at(self, level: float) -> float:
        return math.pow(self.power.value_at(level), 1.5)

    @classmethod
    def of(cls, distances: FloatArray, *, least: float) -> TwoThirds:
        """What one more stretch would be away from the mean of these, whose signed distances from it are given, shape (K,).

        Args:
            distances: of the stretches from their mean.
            least: the standard deviation that independent rows would give them.
        """
        powers = np.cbrt(distances**2)
        number = len(distances)
        # The mean of |z|^(4/3) over a standard normal z is 0.83.
        scale = max(math.sqrt(float(np.sum(powers**2)) / (number - 1)), math.sqrt(0.83) * math.cbrt(least**2))
        return cls(Student(0.0, scale * math.sqrt(1 + 1 / number), number - 1.0, sides=2))


@dataclass(frozen=True, slots=True)
class Kolmogorov:
    """Kolmogorov's distribution of the largest difference of two distribution functions; `rows` is n N / (n + N).

    >>> round(Kolmogorov(400.0).value_at(0.05), 3)
    0.068
    """

    rows: float

    def p_value(self, value: float) -> float:
        return float(kolmogorov(math.sqrt(self.rows) * value))

    def value_at(self, level: float) -> float:
        return float(kolmogi(level)) / math.sqrt(self.rows)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A value, and how surprising it is.

    Attributes:
        value: of the window against the reference.
        nulls: what unchanged data follow, from several sides.
        held_out: what each stretch of the reference scored against the others, shape (stretches,).
        rows: rows of the window that were compared.
        reference_rows: those of the reference.
    """

    value: float
    nulls: tuple[Null, ...]
    held_out: FloatArray
    rows: int
    reference_rows: int

    @property
    def p_value(self) -> float:
        """How often unchanged data would score as much or more: by the side from which it surprises least.

        A window that lies within what stretches of the reference have scored is one of them, whatever the distributions say.
        """
        within = int(np.sum(self.held_out >= self.value))
        rank = (1 + within) / (len(self.held_out) + 1) if within else 0.0
        return max(rank, *(null.p_value(self.value) for null in self.nulls))

    def value_at(self, level: float) -> float:
        """The value beyond which the p-value is at most `level`."""
        spare = int(level * (len(self.held_out) + 1)) - 1
        beyond = float(np.sort(self.held_out)[::-1][max(spare, 0)]) if spare < len(self.held_out) else -math.inf
        return max(beyond, *(null.value_at(level) for null in self.nulls))


def beyond_stretches(scores: FloatArray, *, center: float, least: float) -> Student:
    """What one more stretch of the reference would score: Student's predictive distribution, with K − 1 degrees of freedom.

    Args:
        scores: of the K stretches, shape (K,).
        center: what no difference at all scores; the stretches' mean counts where it is higher.
        least: the standard deviation that independent rows would give: stretches that happen to agree more are not believed.

    Source: the predictive distribution of a further normal value, e.g. Hahn & Meeker, Statistical Intervals (1991), 4.7.
    """
    stretches = len(scores)
    spread = max(float(np.std(scores, ddof=1)), least)
    middle = max(center, float(np.mean(scores)))
    return Student(middle, spread * math.sqrt(1 + 1 / stretches), stretches - 1.0)


def by_blocks(
    current: FloatArray, reference: FloatArray, *, center: float, least_current: float = 0.0, sides: int = 1
) -> Student:
    """What the difference of two means follows, from the means of consecutive blocks of either side: Welch's t.

    Neighbouring rows resemble each other; blocks that are long enough do not.

    Args:
        current: means of the window's blocks, shape (b,).
        reference: means of the reference's, shape (B,).
        center: what no difference scores.
        least_current: the smallest standard error of the window's mean that is believed.
        sides: as of `Student`.
    """
    own = max(float(np.var(current, ddof=1)) / len(current), least_current**2)
    other = float(np.var(reference, ddof=1)) / len(reference)
    total = own + other
    if total == 0:
        return Student(center, 1e-12, 1.0, sides)
    degrees = total**2 / (own**2 / (len(current) - 1) + other**2 / (len(reference) - 1))
    return Student(center, math.sqrt(total), degrees, sides)
