"""What is wrong with a column as such: told by fixed words, from its profile and, where that cannot tell, from raw rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitor.calibrate import Calibration, outside_p_value
from monitor.check._few_rows import limit_for
from monitor.check._ranges import out_of_range
from monitor.check._units import other_unit
from monitor.profile import Baseline, CategoricalBins, ColumnProfile, NumericBins, Reference
from monitor.records import Coded, Column, ColumnKind, EventBatch, FloatArray, ObjectArray

FEW = 0.01  # at most this share of rows may be new to the reference without a word
MOSTLY = 0.5


class Fault(StrEnum):
    """What is wrong with a column."""

    MISSING = "missing"
    ADDED = "added"
    RENAMED = "renamed"
    TYPE = "type"
    UNIT = "unit"
    ALL_NULL = "all_null"
    CONSTANT = "constant"
    WOKE_UP = "woke_up"
    UNSEEN = "unseen"
    OUT_OF_RANGE = "out_of_range"


@dataclass(frozen=True, slots=True)
class Wrong:
    """A fault, and what a person should know of it."""

    fault: Fault
    about: str | None = None


@dataclass(frozen=True, slots=True)
class Sides:
    """A version's window beside its reference.

    Attributes:
        reference: as the window is held against it.
        base: its counts, in the window's proportions where it is matched by season.
        profiles: of the window, by column with bins.
        calibration: of the reference.
        level: how often unchanged data may be called faulty, in one test.
        before: raw rows of the reference in order of time; None where none are to be had.
        after: those of the window.
    """

    reference: Reference
    base: Baseline
    profiles: Mapping[str, ColumnProfile]
    calibration: Calibration
    level: float
    before: EventBatch | None
    after: EventBatch

    def values(self, name: str) -> tuple[Any, Any]:
        """A column's raw values on both sides; None where there are none."""
        return plain_values(self.before, name), plain_values(self.after, name)


def plain_values(batch: EventBatch | None, name: str) -> FloatArray | ObjectArray | None:
    """A column of raw rows, names spelled out; None where it is not there."""
    held = None if batch is None else batch.features.get(name)
    return held.spelled() if isinstance(held, Coded) else held


def is_there(values: FloatArray | ObjectArray) -> NDArray[np.bool_]:
    """Which rows hold a value; of a vector, shape (n, length), those of which any number is there."""
    if values.dtype == object:
        return np.array([value is not None for value in values.tolist()], dtype=bool)
    held: NDArray[np.bool_] = ~np.isnan(values)
    return held if held.ndim == 1 else np.asarray(held.any(axis=1))


def fault_of(sides: Sides, column: Column) -> Wrong | None:
    """What is wrong with a column of the reference; a rename is not told here."""
    if column.name not in sides.profiles:
        return _without_bins(sides, column)
    profile = sides.profiles[column.name]
    present = profile.rows - profile.missing
    if not present:
        return _gone(sides, column, absent=profile.absent == profile.rows)
    if column.kind is ColumnKind.NUMERIC:
        return _of_numbers(sides, column, profile, present)
    return _of_names(sides, column, profile, present)


def _without_bins(sides: Sides, column: Column) -> Wrong | None:
    """A vector, a text, or a column that the reference has no value of."""
    _, after = sides.values(column.name)
    there = after is not None and bool(is_there(after).any())
    if column.name in sides.reference.unusable:
        if column.kind is ColumnKind.NUMERIC:  # infinities are no values of its either
            there = after is not None and bool(np.isfinite(after.astype(np.float64)).any())
        return Wrong(Fault.WOKE_UP, "the reference has no value of it") if there else None
    absent = after is None or sides.after.absent.get(column.name, 0) == len(sides.after)
    return None if there else _gone(sides, column, absent=absent)


def _gone(sides: Sides, column: Column, *, absent: bool) -> Wrong | None:
    """No row has a value: wrong, unless as long a gap is to be expected."""
    before, _ = sides.values(column.name)
    if before is not None and _by_chance(~is_there(before), sides) > sides.level:
        return None
    return Wrong(Fault.MISSING if absent else Fault.ALL_NULL)


def _by_chance(same: NDArray[np.bool_], sides: Sides) -> float:
    """The chance that all rows of the window are like some of the reference's, if they follow each other as those do.

    A chain of two states: the first row is one of them as often as in the reference, and each one is followed by another as
    often as there. So a holiday's flag may well be 0 for a month, and a thermometer may not stand still for a day.
    """
    rows, held = len(sides.after), int(same.sum())
    if sides.before is None or not held:
        return 0.0
    left = int((same[:-1] & ~same[1:]).sum())
    stays = 1 - left / held
    if stays <= 0:
        return 0.0 if rows > 1 else held / len(same)
    return held / len(same) * math.exp((rows - 1) * _pace(sides) * math.log(stays))


def _pace(sides: Sides) -> float:
    """How many rows of the reference a row of the window stands for, in time; at most 1."""
    assert sides.before is not None  # the caller has looked
    spans = [float(np.ptp(batch.times)) / max(len(batch) - 1, 1) for batch in (sides.before, sides.after)]
    return min(spans[1] / spans[0], 1.0) if spans[0] > 0 and spans[1] > 0 else 1.0


def _of_numbers(sides: Sides, column: Column, profile: ColumnProfile, present: int) -> Wrong | None:
    name, known = column.name, sides.reference.profiles[column.name]
    if _is_new(sides, name, profile.unseen, known.unseen, present):
        return Wrong(Fault.TYPE, f"{_share(profile.unseen, present)} of the values are no numbers")
    if profile.unseen == present:
        return None
    before, after = sides.values(name)
    bins, stands = sides.reference.bins[name], known.low == known.high
    assert isinstance(bins, NumericBins)  # it is numeric
    outside = 0 if after is None else int(out_of_range(after, bins).sum())
    beyond = outside > limit_for(FEW, len(sides.after)) * len(sides.after)
    if stands and beyond and profile.low < profile.high:
        return Wrong(Fault.WOKE_UP, f"every value of the reference is {known.low:.6g}")
    if before is not None and after is not None and (unit := other_unit(before, after)):
        return Wrong(Fault.UNIT, unit)
    if beyond:
        about = f"{_share(outside, len(sides.after))} of the values lie far from {bins.low:.6g} to {bins.high:.6g}"
        return Wrong(Fault.OUT_OF_RANGE, about)
    if not stands and profile.low == profile.high and not sum(profile.infinities):
        return _constant(sides, name, profile.low, f"{profile.low:.6g}", present)
    return None


def _of_names(sides: Sides, column: Column, profile: ColumnProfile, present: int) -> Wrong | None:
    name, known = column.name, sides.reference.profiles[column.name]
    bins = sides.reference.bins[name]
    assert isinstance(bins, CategoricalBins)  # it is categorical
    if _is_new(sides, name, profile.unseen, _once(known, bins), present):
        if profile.unseen >= MOSTLY * present and _other_type(sides, name, bins):
            return Wrong(Fault.TYPE, "numbers and names have changed places")
        held = np.count_nonzero(profile.counts) + (profile.unseen > 0)
        if len(bins) == 1 and held > 1:
            return Wrong(Fault.WOKE_UP, "the reference has one category")
        return Wrong(Fault.UNSEEN, f"{_share(profile.unseen, present)} of the values are unknown to the reference")
    if len(bins) > 1 and not profile.unseen and np.count_nonzero(profile.counts) == 1:
        place = int(profile.counts.argmax())
        if place < len(bins.categories):
            return _constant(sides, name, bins.categories[place], repr(bins.categories[place]), present)
    return None


def _once(known: ColumnProfile, bins: CategoricalBins) -> int:
    """As many new names are to be expected as there are that a single row has (Good, Biometrika 40, 1953)."""
    return int(known.unseen if bins.has_rest else known.unseen + (known.counts == 1).sum())


def _is_new(sides: Sides, name: str, after: int, before: int, present: int) -> bool:
    """Whether more rows than a few are something that the reference does not know, and more than chance puts there."""
    known = sides.reference.profiles[name]
    rows = known.rows - known.missing
    if after / present - before / max(rows, 1) <= FEW:
        return False
    # They come in clusters as the rarest ones do that the reference knows.
    rest = sides.calibration.columns[name]
    return outside_p_value(rest, (0, before), (0, after), rows, present) <= sides.level


def _other_type(sides: Sides, name: str, bins: CategoricalBins) -> bool:
    _, after = sides.values(name)
    if after is None:
        return False
    held = [value for value in after.tolist() if value is not None]
    return _numbers(held) >= 1 - FEW > MOSTLY > _numbers(bins.categories) or (
        _numbers(bins.categories) >= 1 - FEW > MOSTLY > _numbers(held)
    )


def _numbers(names: Any) -> float:
    """The share of names that are numbers."""
    return sum(_is_number(name) for name in names) / max(len(names), 1)


def _is_number(name: str) -> bool:
    try:
        return math.isfinite(float(name))
    except ValueError:
        return False


def _constant(sides: Sides, name: str, value: Any, shown: str, present: int) -> Wrong | None:
    before, _ = sides.values(name)
    if before is None or present < 2 or _by_chance(before == value, sides) > sides.level:
        return None
    return Wrong(Fault.CONSTANT, f"every value is {shown}")


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.3g} %"
