"""Is a column in another unit: the same values, times a factor or by one of the usual conversions?"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from monitor.check._statistics import statistic
from monitor.records import FloatArray

DIFFERENT = 10  # so many different values at least: fewer have no shape to be known by
APART = 0.5  # Kolmogorov's distance between both sides as they are: below it nothing is wrong with the unit
ROUGHLY = 0.45  # the distance that may remain, with what chance adds to it, as a column may have drifted as well
SMALLEST = 1.5  # a factor below it is drift
LARGE = 30.0  # and from this one on it is no drift that was ever seen
REPEATED = 0.5  # where so many rows hold a value that other rows hold, values are told by themselves
RETURNED = (0.9, 0.5)  # and so many of these, by rows and by different values, must be back where others are
SURE = 1.36  # Kolmogorov's distance of two samples stays below so many roots of 1/n + 1/N, 19 times in 20
CLOSELY = 0.05  # and below this, where nothing but the shape can tell
NEAR = 1.1  # a factor that is estimated is told as the usual one if it is that near
USUAL = (3.6, 7.0, 12.0, 24.0, 60.0, 3600.0, 2.54, 3.28084, 1.609344, 2.20462, 3.78541, 4.184, 1.94384, 2.23694, 25.4)
CELSIUS, FAHRENHEIT, KELVIN = ("Celsius", -60.0, 60.0), ("Fahrenheit", -76.0, 140.0), ("Kelvin", 213.0, 333.0)
CONVERSIONS = (  # what the reference has, what the window has, and window = factor × reference + offset
    (CELSIUS, FAHRENHEIT, 1.8, 32.0),
    (FAHRENHEIT, CELSIUS, 1 / 1.8, -32 / 1.8),
    (CELSIUS, KELVIN, 1.0, 273.15),
    (KELVIN, CELSIUS, 1.0, -273.15),
    (FAHRENHEIT, KELVIN, 1 / 1.8, 459.67 / 1.8),
    (KELVIN, FAHRENHEIT, 1.8, -459.67),
)


def other_unit(reference: FloatArray, current: FloatArray) -> str | None:
    """In words, what was done to the values of a column, or None.

    They are in another unit where both sides lie apart and come together once the current values are divided by a constant
    factor, or converted between temperatures. But a level that drifts may take its shape along, so a factor must show that it
    is none of these, in one of three ways: it is beyond `LARGE`; or divided by it, the values are again the very values that
    the reference holds, which what has merely grown is not; or, of values that hardly repeat, it is a usual one and the shape
    is the reference's as nearly as chance allows.

    Args:
        reference: shape (N,), NaN where missing.
        current: shape (n,), likewise.

    >>> values = np.random.default_rng(1).gamma(3.0, size=400)
    >>> other_unit(values[:200], 1000 * values[200:])
    "values are about 1000 times the reference's"
    >>> other_unit(values[:200], 5 * values[200:]) is None
    True
    """
    before, after = (side[np.isfinite(side)] for side in (reference, current))
    with np.errstate(over="ignore"):
        return _other_degrees(before, after) or _other_factor(before, after)


def _other_degrees(before: FloatArray, after: FloatArray) -> str | None:
    if _told(before, after):
        chance = _chance(before, after)
        for one, other, factor, offset in CONVERSIONS:
            back = _snapped((after - offset) / factor, before)
            if _are(before, one) and _are(after, other) and _distance(before, back) + chance <= ROUGHLY:
                return f"values look like {other[0]} where the reference has {one[0]}"
    return None


def _other_factor(before: FloatArray, after: FloatArray) -> str | None:
    # No factor moves a zero.
    before, after = before[before != 0], after[after != 0]
    factor = _factor(before, after) if _told(before, after) else None
    return None if factor is None else f"values are about {factor:.4g} times the reference's"


def _told(before: FloatArray, after: FloatArray) -> bool:
    """Whether both sides have a shape, and lie apart."""
    different = min(len(np.unique(before)), len(np.unique(after)))
    return different >= DIFFERENT and _distance(before, after) >= APART


def _are(values: FloatArray, unit: tuple[str, float, float]) -> bool:
    """Whether nearly all values are temperatures of the weather, in a unit."""
    _, low, high = unit
    return float(np.mean((values >= low) & (values <= high))) >= 0.99


def _distance(one: FloatArray, other: FloatArray) -> float:
    exact = statistic("ks").exact
    assert exact is not None  # it is on histograms
    return exact(one, other) if np.isfinite(other).any() else 1.0


def _factor(before: FloatArray, after: FloatArray) -> float | None:
    """The factor between both sides, where it is one of units."""
    places = np.linspace(0.05, 0.95, 19)
    steps = np.quantile(np.log(np.abs(after)), places) - np.quantile(np.log(np.abs(before)), places)
    steps = np.clip(steps, -600, 600)  # beyond it nothing can be divided any more
    middle = math.exp(float(np.median(steps)))
    if not _size(middle) >= SMALLEST:
        return None
    chance = _chance(before, after)
    repeated = min(_held(side[::2], side[1::2]) for side in (before, after)) >= REPEATED
    if repeated:
        # Where a quantile of values that repeat is the same value on both sides, their ratio is the factor.
        likely: list[float] = [*np.unique(np.exp(steps)).tolist(), _usual(middle), _step(after) / _step(before)]
        factor: float = max(
            (each for each in likely if 0 < each < math.inf), key=lambda each: _returned(before, after, each)
        )
        back = _size(factor) >= SMALLEST and _is_back(before, after, factor)
        if back and _distance(before, _snapped(after / factor, before)) + chance <= ROUGHLY:
            return factor
    usual = _usual(middle)
    if _size(middle) >= LARGE:
        fits = _distance(before, _snapped(after / middle, before)) + chance <= ROUGHLY
        return (usual if _size(middle / usual) <= NEAR else middle) if fits else None
    if not repeated and chance <= CLOSELY:
        return usual if _distance(before, after / usual) <= chance else None
    return None


def _chance(before: FloatArray, after: FloatArray) -> float:
    return SURE * math.sqrt(1 / len(before) + 1 / len(after))


def _usual(factor: float) -> float:
    """The usual factor that is nearest."""
    powers = [10.0**power for power in range(1, 13)]
    return min([side for each in (*USUAL, *powers) for side in (each, 1 / each)], key=lambda each: _size(factor / each))


def _size(factor: float) -> float:
    return max(factor, 1 / factor)


def _step(values: FloatArray) -> float:
    """The smallest distance of two values that is no rounding."""
    gaps = np.diff(np.unique(values))
    wide = gaps[gaps > 1e-6 * np.abs(values).max()]
    return float(wide.min()) if len(wide) else 1.0


def _is_back(before: FloatArray, after: FloatArray, factor: float) -> bool:
    small = before if factor > 1 else after
    usual = _held(small[::2], small[1::2])
    found = _returned(before, after, factor), _returned(np.unique(before), np.unique(after), factor)
    return all(share >= least * usual for share, least in zip(found, RETURNED, strict=True))


def _returned(before: FloatArray, after: FloatArray, factor: float) -> float:
    """How many values of the side with the larger ones, made smaller, are values of the other.

    The other way round it would say nothing: a multiple of a whole number is a whole number.
    """
    small, large = (before, after) if factor > 1 else (after, before)
    return _held(large / _size(factor), small)


def _nearest(values: FloatArray, known: FloatArray) -> FloatArray:
    ordered = np.unique(known)
    place = np.clip(np.searchsorted(ordered, values), 1, len(ordered) - 1)
    lower, upper = ordered[place - 1], ordered[place]
    found: FloatArray = np.where(values - lower < upper - values, lower, upper)
    return found


def _is_held(values: FloatArray, nearest: FloatArray) -> NDArray[np.bool_]:
    """Whether values are known ones, to what a float of single precision holds."""
    held: NDArray[np.bool_] = np.abs(nearest - values) <= 1e-6 * np.abs(values)
    return held


def _held(values: FloatArray, known: FloatArray) -> float:
    """The share of values that are among the known ones."""
    return float(_is_held(values, _nearest(values, known)).mean())


def _snapped(values: FloatArray, known: FloatArray) -> FloatArray:
    """Values, those that are known ones but for rounding as they are known."""
    nearest = _nearest(values, known)
    found: FloatArray = np.where(_is_held(values, nearest), nearest, values)
    return found
