"""What a classifier's labelled rows come to by class."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from monitor.check._metrics import Metric
from monitor.records import NoData
from monitor.stats import BinaryOutcomes, ClassOutcomes, Outcomes

MOST_CLASSES = 20  # so many are told one by one: those with the most rows
OTHERS = "(others)"


def by_class(metric: Metric, outcomes: Outcomes, positive: str) -> dict[str, float]:
    """What a metric is made of: of more than two classes its value for each, of a confusion matrix the rows of every pair.

    A class that the metric is not defined for is left out. A pair's key is a JSON list of the true class and the predicted one.
    """
    if metric.statistic.name == "confusion_matrix":
        return _pairs(_as_classes(outcomes, positive))
    if "per_class" not in metric.statistic.parameters or not isinstance(outcomes, ClassOutcomes):
        return {}
    others = {name: value for name, value in metric.parameters.items() if name != "average"}
    found = {}
    for place in _frequent(outcomes):
        try:
            found[outcomes.classes[place]] = float(metric.statistic.compute(outcomes, per_class=place, **others))
        except NoData:
            continue
    return found


def _pairs(outcomes: ClassOutcomes) -> dict[str, float]:
    shown = _frequent(outcomes)
    place = np.full(len(outcomes.classes), len(shown))
    place[shown] = np.arange(len(shown))
    names = [*(outcomes.classes[each] for each in shown), OTHERS]
    table = np.bincount(place[outcomes.label] * len(names) + place[outcomes.predicted], minlength=len(names) ** 2)
    cells = ((divmod(cell, len(names)), int(rows)) for cell, rows in enumerate(table))
    return {
        json.dumps([names[label], names[predicted]]): float(rows)
        for (label, predicted), rows in cells
        if rows or max(label, predicted) < len(shown)
    }


def _as_classes(outcomes: Outcomes, positive: str) -> ClassOutcomes:
    if isinstance(outcomes, BinaryOutcomes):
        label, predicted = outcomes.label.astype(np.int64), outcomes.predicted.astype(np.int64)
        return ClassOutcomes(label, predicted, [f"not {positive}", positive])
    assert isinstance(outcomes, ClassOutcomes)  # it is for classifiers
    return outcomes


def _frequent(outcomes: ClassOutcomes) -> Sequence[int]:
    """The places of the classes with the most rows, in order of their names."""
    number = len(outcomes.classes)
    rows = np.bincount(outcomes.label, minlength=number) + np.bincount(outcomes.predicted, minlength=number)
    return sorted(int(place) for place in np.argsort(-rows, kind="stable")[:MOST_CLASSES] if rows[place])
