"""What a model says and what is true, as columns beside its features."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from monitor.config import Model
from monitor.records import Column, ColumnKind, Role
from monitor.source import SourceError

CLASS_SCORE = "score/"  # the score of a class goes by this and the class's name
GROUP = "group/"  # what rows are told apart by goes by this and the column's name
OUTCOMES = frozenset({Role.PREDICTION.value, Role.SCORE.value, Role.LABEL.value})


def outcome_kind(model: Model) -> ColumnKind:
    """The kind of a model's predictions and labels."""
    return ColumnKind.NUMERIC if model.is_numeric else ColumnKind.CATEGORICAL


def group_columns(names: Iterable[str]) -> tuple[Column, ...]:
    """Columns that rows are told apart by, each read as names, under `group/<name>`: it may be a numeric feature as well."""
    return tuple(Column(f"{GROUP}{name}", ColumnKind.CATEGORICAL, role=Role.GROUP) for name in dict.fromkeys(names))


def outcome_columns(model: Model) -> tuple[Column, ...]:
    """What is read beside predictions and labels: the scores of a classifier, by class."""
    if model.task == "binary":
        return (Column(f"{CLASS_SCORE}{model.positive}", ColumnKind.NUMERIC, role=Role.SCORE),)
    if model.task == "multiclass" and not isinstance(model.columns.score, str):
        names = [f"{CLASS_SCORE}{name}" for name in model.columns.score]
        return tuple(Column(name, ColumnKind.NUMERIC, role=Role.SCORE) for name in names)
    return ()


def event_columns(features: Mapping[str, Sequence[Any]], model: Model, *, scored: bool) -> tuple[Column, ...]:
    """The columns of pushed predictions: their features, the prediction, and the score of a binary model.

    Args:
        features: some values of every feature that was sent.
        model: whose they are; the features it declares are those that count.
        scored: whether predictions carry a score.

    Raises:
        SourceError: a feature is named as an outcome is.
    """
    declared, found = model.features or {}, []
    for name in declared or [name for name in features if name not in model.apart()]:
        said = declared.get(name)
        kind = (said.type if said else None) or _kind(features.get(name, ()))
        if kind is None:
            continue
        if name in OUTCOMES:
            raise SourceError(f"features.{name}: expected another name, as the model's own {name} goes by this one")
        found.append(Column(name, kind, said.importance if said else None))
    found.append(Column(Role.PREDICTION.value, outcome_kind(model), role=Role.PREDICTION))
    if model.task == "binary" and scored:
        found.append(Column(Role.SCORE.value, ColumnKind.NUMERIC, role=Role.SCORE))
    return tuple(found)


def _kind(values: Sequence[Any]) -> ColumnKind | None:
    """Numbers are numeric, text and truth values categorical; of what is neither, or was never there, nothing is said."""
    held = [value for value in values if value is not None]
    if held and all(isinstance(value, int | float) and not isinstance(value, bool) for value in held):
        return ColumnKind.NUMERIC
    if held and all(isinstance(value, str | bool | int | float) for value in held):
        return ColumnKind.CATEGORICAL
    return None
