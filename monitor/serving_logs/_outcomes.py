"""What a model said, out of a response's rows: a prediction and, where there is one, its probability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from monitor.serving_logs._table import Column, Table, unique
from monitor.serving_logs._values import is_number
from monitor.serving_logs.unreadable import Reason, Unreadable, cut

PREDICTION_NAMES = (
    "prediction predictions predict predicted predicted_label predicted_class label labels class classes class_id class_ids"
).split()
PROBABILITY_NAMES = (
    "probability probabilities proba prob probs predict_proba predicted_proba score scores confidence softmax"
).split()
MARGIN = 1e-6  # of a probability's ends
SUM_MARGIN = 0.01  # a float of 16 bits has three digits
Said = tuple[Any, float | dict[str, float] | None]  # a prediction and its probability


class Outcome(msgspec.Struct, frozen=True):
    """How a model's response is to be read, where it does not say so itself.

    Attributes:
        classes: the classes in the order of the model's scores.
        prediction: the name of the output that holds the prediction.
        probability: the name of the output that holds the probabilities.
    """

    classes: tuple[str, ...] = ()
    prediction: str = ""
    probability: str = ""


def outcomes(response: Table, outcome: Outcome) -> list[Said]:
    """What the model said of each row.

    Of one output a scalar is the prediction. A list of numbers is the scores of the classes if these are told (`outcome.classes`,
    or names in the body) or if the numbers lie between 0 and 1 and add up to 1: then the class with the highest score is the
    prediction, and the scores are its probability. Of several outputs, names such as `label` and `probabilities` decide.

    Raises:
        Unreadable: the response does not say which value is the prediction.

    >>> outcomes(Table([Column("", [[0.25, 0.75]])]), Outcome())
    [(1, {'0': 0.25, '1': 0.75})]
    >>> outcomes(Table([Column("", [[0.25, 0.75]])]), Outcome(classes=("stays", "leaves")))
    [('leaves', {'stays': 0.25, 'leaves': 0.75})]
    """
    said = [_said(response.columns, row, outcome) for row in range(len(response))]
    if len(outcome.classes) == 2 and all(probability is None for _, probability in said):
        return _halved([prediction for prediction, _ in said], outcome.classes)
    return said


def _halved(predictions: list[Any], classes: Sequence[str]) -> list[Said]:
    """Single numbers between 0 and 1 are the second class's probability, unless they are the classes themselves."""
    scores = all(is_number(value) and 0 <= value <= 1 for value in predictions)
    if not scores or {_spelled(value) for value in predictions} <= set(classes):
        return [(value, None) for value in predictions]
    return [(classes[int(value >= 0.5)], float(value)) for value in predictions]


def _said(columns: Sequence[Column], row: int, outcome: Outcome) -> Said:
    if len(columns) > 1:
        return _of_named({column.name: column.values[row] for column in columns}, outcome)
    value, parts = columns[0].values[row], columns[0].parts
    if isinstance(value, dict):
        return _of_named(value, outcome)
    if isinstance(value, list) and len(value) == len(parts):
        unique(parts)
        if any(_role(part, outcome) for part in parts):
            return _of_named(dict(zip(parts, value, strict=True)), outcome)
        return _of_one(value, [] if all(part.startswith("t:") for part in parts) else parts, outcome)
    return _of_one(value, [], outcome)


def _role(name: str, outcome: Outcome) -> str:
    """What an output is by its name: `prediction`, `probability` or nothing."""
    for role, said in (("prediction", outcome.prediction), ("probability", outcome.probability)):
        if said and name == said:
            return role
    short = name.lower().rpartition("/")[2].partition(":")[0].replace("-", "_").replace(" ", "_")
    short = short.removeprefix("output_")  # as scikit-learn's ONNX converter writes them
    if not outcome.prediction and short in PREDICTION_NAMES:
        return "prediction"
    return "probability" if not outcome.probability and short in PROBABILITY_NAMES else ""


def _of_named(cells: Mapping[str, Any], outcome: Outcome) -> Said:
    """Of several outputs, those that are named for it."""
    roles = {name: _role(name, outcome) for name in cells}
    found = [name for name, role in roles.items() if role == "prediction"]
    scored = next((cells[name] for name, role in roles.items() if role == "probability"), None)
    if not found and outcome.prediction:
        got = ", ".join(map(cut, list(cells)[:5]))
        raise Unreadable(Reason.NO_PREDICTION, f"expected an output named {cut(outcome.prediction)}, got {got}")
    if not found and scored is None:
        if len(cells) == 1:
            return _of_one(next(iter(cells.values())), [], outcome)
        if _is_distribution(list(cells.values())):
            return _of_one(list(cells.values()), list(cells), outcome)
        got = ", ".join(map(cut, list(cells)[:5]))
        raise Unreadable(Reason.UNNAMED_OUTPUTS, f"expected an output named prediction, label or scores, got {got}")
    said = [cells[name] for name in found]
    if scored is None:
        return _of_one(said[0], [], outcome)
    beside = (held for held in said if isinstance(held, list) and isinstance(scored, list) and len(held) == len(scored))
    names = next(beside, [])
    alone = [_single(held) for held in said if _single(held) is not None]
    if alone:
        return alone[0], _probability(scored, names, outcome)
    if said and not names:
        raise Unreadable(Reason.NO_PREDICTION, "expected a prediction, got null or a list that is no list of classes")
    best, _ = _of_one(scored, [_spelled(name) for name in names], outcome)
    return best, _probability(scored, names, outcome) if isinstance(scored, list | dict) else None


def _single(value: Any) -> Any:
    """The scalar that a value is, or that stands alone in its list; None if there are more or none."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    return None if isinstance(value, list | dict) else value


def _of_one(value: Any, names: Sequence[str], outcome: Outcome) -> Said:
    """A scalar, or the scores of the classes."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict):
        value, names = list(value.values()), list(value)
    if not isinstance(value, list):
        if value is None:
            raise Unreadable(Reason.NO_PREDICTION, "expected a prediction, got null")
        return value, None
    if len(names) != len(value):
        names = ()  # they are of the list around this one
    told = names or (outcome.classes if len(outcome.classes) == len(value) else ())
    if not value or not all(is_number(item) for item in value) or not (told or _is_distribution(value)):
        got = f"got {len(value)} values that are neither named nor probabilities"
        raise Unreadable(Reason.MANY_VALUES, f"expected one prediction in each row, {got}")
    best = max(range(len(value)), key=value.__getitem__)
    # What does not add up to 1, such as logits, orders the classes but is no probability.
    probability = _by_class(value, names, outcome) if _is_distribution(value) else None
    return (told[best] if told else best), probability


def _probability(value: Any, names: Sequence[Any], outcome: Outcome) -> float | dict[str, float] | None:
    """One number, or one for each class; None if a number lies beyond 0 and 1, such as a logit."""
    while isinstance(value, list) and len(value) == 1 and not names:
        value = value[0]
    if isinstance(value, dict):
        value, names = list(value.values()), list(value)
    numbers = value if isinstance(value, list) else [value]
    if not numbers or not all(is_number(item) for item in numbers):
        raise Unreadable(Reason.BAD_PROBABILITY, "expected numbers as probabilities")
    if not all(-MARGIN <= item <= 1 + MARGIN for item in numbers):
        return None
    return _by_class(numbers, names, outcome) if isinstance(value, list) else float(value)


def _by_class(scores: Sequence[float], names: Sequence[Any], outcome: Outcome) -> dict[str, float]:
    """Scores by the class's name: as the body tells, as declared, or by place."""
    told = [_spelled(name) for name in names]
    if not told:
        declared = len(outcome.classes) == len(scores)
        told = list(outcome.classes) if declared else [str(place) for place in range(len(scores))]
    unique(told)
    return dict(zip(told, map(float, scores), strict=True))


def _spelled(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _is_distribution(values: Sequence[Any]) -> bool:
    """Whether numbers lie between 0 and 1 and add up to 1."""
    if len(values) < 2 or not all(is_number(value) and -MARGIN <= value <= 1 + MARGIN for value in values):
        return False
    return bool(abs(sum(values) - 1) <= SUM_MARGIN)
