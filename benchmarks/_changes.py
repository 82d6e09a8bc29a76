"""The features of the power benchmark, and what happens to them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from benchmarks._populations import Values
from monitor.records import Coded, FloatArray

LENGTH = 20  # windows of a trial
CATEGORIES = np.array([0.40, 0.25, 0.15, 0.10, 0.07, 0.03])

Draw = Callable[[np.random.Generator, int], Values]
Change = Callable[
    [Values, np.random.Generator, int], Values
]  # of a window's values, the window's place in its trial given


def normal(draw: np.random.Generator, rows: int) -> FloatArray:
    return draw.standard_normal(rows)


def skewed(draw: np.random.Generator, rows: int) -> FloatArray:
    """Log-normal, scaled to a standard deviation of 1."""
    return draw.lognormal(0.0, 1.0, rows) / math.sqrt((math.e - 1) * math.e)


def categories(draw: np.random.Generator, rows: int) -> Coded:
    """Six names, from 40 % to 3 % of the rows."""
    codes = draw.choice(len(CATEGORIES), rows, p=CATEGORIES).astype(np.int32)
    return Coded(codes, tuple("abcdef"))


def shifted(by: float) -> Change:
    """By so many standard deviations."""
    return lambda values, _draw, _window: np.asarray(values) + by


def spread(variance: float) -> Change:
    """The variance times so much, around 0."""
    return lambda values, _draw, _window: np.asarray(values) * math.sqrt(variance)


def ramp(values: Values, _draw: np.random.Generator, window: int) -> Values:
    """A shift that grows by a twentieth of a standard deviation with every window, up to 1."""
    return np.asarray(values) + (window + 1) / LENGTH


def missing(share: float) -> Change:
    """So many rows lose their value."""
    return lambda values, draw, _window: np.where(draw.random(len(values)) < share, np.nan, np.asarray(values))


def scaled(by: float) -> Change:
    return lambda values, _draw, _window: np.asarray(values) * by


def vanished(code: int) -> Change:
    """No row of one category is left; its place is taken by the others, in proportion."""

    def change(values: Values, draw: np.random.Generator, _window: int) -> Values:
        assert isinstance(values, Coded)
        shares = np.where(np.arange(len(CATEGORIES)) == code, 0.0, CATEGORIES)
        codes, gone = values.codes.copy(), values.codes == code
        codes[gone] = draw.choice(len(CATEGORIES), gone.sum(), p=shares / shares.sum())
        return Coded(codes, values.names)

    return change


FEATURE: dict[str, Draw] = {"normal": normal, "skewed": skewed, "categories": categories}
SCENARIOS: dict[str, tuple[str, Change]] = {
    **{f"shift by {by:g} σ": ("normal", shifted(by)) for by in (0.1, 0.2, 0.3, 0.5, 1.0)},
    **{f"shift by {by:g} σ, skewed": ("skewed", shifted(by)) for by in (0.1, 0.3)},
    "variance × 1.5": ("normal", spread(1.5)),
    "variance × 0.7": ("normal", spread(0.7)),
    "ramp to 1 σ in 20 windows": ("normal", ramp),
    "a category of 10 % vanishes": ("categories", vanished(3)),
    "a category of 3 % vanishes": ("categories", vanished(5)),
    "missing values, 1 %": ("normal", missing(0.01)),
    "missing values, 5 %": ("normal", missing(0.05)),
    "unit × 1000": ("normal", scaled(1000.0)),
}
