"""Errors of numbers, kept within what floats hold: labels of 1e300 are a fault of the data, and never one of the watch.

An array that might overflow on its way is held as `values × 2**exponent`, which costs no precision. A result beyond the largest
float is told as the largest float.
"""

from __future__ import annotations

import math

import numpy as np

from monitor.records import FloatArray, NoData
from monitor.stats._outcomes import NumericOutcomes

LARGEST = float(np.finfo(np.float64).max)
_TAME = 300  # squares and sums of what lies below 2**300 and above 2**-300 stay far from both ends


def errors_of(outcomes: NumericOutcomes) -> tuple[FloatArray, int]:
    """Predicted less true, shape (n,), and the exponent.

    Raises:
        NoData: there is no row.
    """
    if not len(outcomes):
        raise NoData("no labelled rows")
    with np.errstate(over="ignore"):
        errors = outcomes.errors
    if _largest(errors) <= LARGEST:
        return errors, 0
    return outcomes.predicted / 2 - outcomes.label / 2, 1


def tamed(values: FloatArray, exponent: int = 0) -> tuple[FloatArray, int]:
    """The same numbers, scaled where their squares or their sum could leave the range of floats."""
    largest = _largest(values)
    if largest == 0 or 2.0**-_TAME <= largest <= 2.0**_TAME:
        return values, exponent
    shift = math.frexp(largest)[1]
    return np.ldexp(values, -shift), exponent + shift


def restored(value: float, exponent: int) -> float:
    """The number `value × 2**exponent`, or the largest of its sign.

    >>> restored(1.5, 1), restored(-1.0, 2000) == -LARGEST
    (3.0, True)
    """
    try:
        return math.ldexp(value, exponent)
    except OverflowError:
        return math.copysign(LARGEST, value)


def mean_of(values: FloatArray, exponent: int = 0) -> float:
    """The mean of `values × 2**exponent`."""
    values, exponent = tamed(values, exponent)
    return restored(float(np.mean(values)), exponent)


def around(values: FloatArray, exponent: int, mean: float) -> FloatArray:
    """Each of `values × 2**exponent` less their mean: what each row does to the mean."""
    if exponent == 0 and max(_largest(values), abs(mean)) < LARGEST / 2:
        return values - mean
    # An error may be twice the largest float, and the mean as far on the other side of 0.
    quarters = np.ldexp(values, exponent - 2) - mean / 4
    return np.ldexp(np.clip(quarters, -LARGEST / 4, LARGEST / 4), 2)


def times(factor: float, values: FloatArray) -> FloatArray:
    """The product, held within the range of floats."""
    with np.errstate(over="ignore"):
        product: FloatArray = factor * values
    return np.clip(product, -LARGEST, LARGEST)


def mean_square(values: FloatArray, exponent: int = 0) -> tuple[float, int]:
    """The mean of the squares of `values × 2**exponent`, as a number and its exponent, which is even."""
    values, exponent = tamed(values, exponent)
    return float(np.dot(values, values)) / len(values), 2 * exponent


def quotient(above: float, below: float, exponent: int) -> float:
    """The number `above / below × 2**exponent`, or the largest there is.

    >>> quotient(3.0, 2.0, 1), quotient(1e300, 1e-300, 0) == LARGEST
    (3.0, True)
    """
    (first, shift), (second, back) = math.frexp(above), math.frexp(below)
    return restored(first / second, exponent + shift - back)


def _largest(values: FloatArray) -> float:
    """The largest of the absolute values, without an array of them."""
    return max(float(values.max()), -float(values.min()))
