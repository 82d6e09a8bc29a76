"""Which column of the reference goes by another name now? Told by its values, and only where nothing else could be meant."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from monitor.check._schema import is_there
from monitor.check._statistics import statistic
from monitor.records import Column, ColumnKind, FloatArray, ObjectArray

Values = FloatArray | ObjectArray
CLOSE = 0.05  # distance of the values under both names, beside what chance adds
CLEAR = 0.1  # and so much further, beside that, must lie every other column
SURE = 1.36  # two samples lie closer than so many roots of 1/n + 1/N, 19 times in 20
ALONE = 0.01  # a category with at least that share of the rows is told apart


def renamed(
    gone: Sequence[Column],
    added: Sequence[Column],
    reference: Mapping[str, Values],
    current: Mapping[str, Values],
    known: Sequence[Column],
) -> dict[str, str]:
    """The new name of each column that has one.

    A column is renamed where it is gone, one of the same kind is new, and the values of both are distributed alike: within
    `CLOSE`. The new one must be further, by `CLEAR`, from every other column of the reference, those that are still there
    included, and every other new one as far from the old one. Among columns that are all alike nothing can be told.

    Args:
        gone: columns of the reference that the window lacks.
        added: columns of the window that the reference lacks.
        reference: values by column, of the reference.
        current: values by column, of the window.
        known: all columns of the reference.
    """
    found = {}
    for new in added:
        others = [each for each in known if each.kind is new.kind and each.name in reference]
        away = {each.name: _distance(reference[each.name], current[new.name], new.kind) for each in others}
        for old in gone:
            if old.name not in away:
                continue
            rivals = [away[name] for name in away if name != old.name]
            rivals += [
                _distance(reference[old.name], current[each.name], new.kind)
                for each in added
                if each.name != new.name and each.kind is new.kind
            ]
            chance = _chance(reference[old.name], current[new.name])
            if away[old.name] <= CLOSE + chance and min(rivals, default=1.0) >= away[old.name] + CLEAR + chance:
                found[old.name] = new.name
    return found


def _chance(one: Values, other: Values) -> float:
    rows, others = (max(int(is_there(side).sum()), 1) for side in (one, other))
    return SURE * math.sqrt(1 / rows + 1 / others)


def _distance(reference: Values, current: Values, kind: ColumnKind) -> float:
    """Kolmogorov's distance of numbers, total variation of names; 1 where either side has none."""
    before, after = reference[is_there(reference)], current[is_there(current)]
    if not len(before) or not len(after):
        return 1.0
    if kind is ColumnKind.NUMERIC:
        exact = statistic("ks").exact
        assert exact is not None  # it is on histograms
        return exact(np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64))
    names, counts = np.unique(before.astype(str), return_counts=True)
    frequent = {name: place for place, name in enumerate(names[counts >= ALONE * len(before)].tolist())}
    known = set(names.tolist())
    # The rarer categories of the reference are one, and those that it does not have another.
    sides = []
    for held in (before, after):
        places = [
            frequent.get(name, len(frequent) if name in known else len(frequent) + 1)
            for name in held.astype(str).tolist()
        ]
        sides.append(np.bincount(places, minlength=len(frequent) + 2))
    return float(statistic("total_variation").compute(*sides))
