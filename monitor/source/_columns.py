"""Which columns of a file are judged, what each is to the model, and what it is called there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from monitor.config import Model
from monitor.config.model import Columns
from monitor.records import Column, ColumnKind, Role
from monitor.source import SourceError
from monitor.source._arrow import kind_of
from monitor.source._outcomes import CLASS_SCORE, GROUP, outcome_kind


def reference_columns(types: Mapping[str, Any], model: Model, where: str) -> tuple[Column, ...]:
    """The columns of a reference: its features, and the prediction, the score and the label where it has them.

    Args:
        types: the Arrow types of the columns it has.
        model: whose reference it is.
        where: the condition on its rows; a column named in it is no feature, unless it is declared as one.

    Raises:
        SourceError: a declared feature is of no kind that can be judged, or is named like the model's prediction.
    """
    features, outcomes = _features(types, model, where), _outcomes(types, model)
    for feature in features:
        for outcome in outcomes:
            if feature.name == outcome.name:
                raise SourceError(
                    f"features.{feature.name}: expected another name, as the model's own {outcome.name} goes by this one"
                )
    return (*features, *outcomes)


def _features(types: Mapping[str, Any], model: Model, where: str) -> list[Column]:
    """Those declared, or every column of the reference that has no other part to play."""
    declared = model.features or {}
    said = set(re.findall(r"\w+", re.sub(r"'[^']*'", "", where)))
    found = []
    for name in list(declared) or [name for name in types if name not in model.columns.names() | model.apart() | said]:
        feature = declared.get(name)
        kind = (feature.type if feature else None) or (kind_of(types[name]) if name in types else None)
        if kind is not None:
            found.append(Column(name, kind, feature.importance if feature else None))
        elif feature is not None:
            got = types.get(name, "nothing")
            raise SourceError(f"features.{name}: expected numbers, text or truth values, got {got}")
    return found


def _outcomes(types: Mapping[str, Any], model: Model) -> list[Column]:
    names, kind = model.columns, outcome_kind(model)
    found = []
    if _is_plain(types, names.prediction):
        found.append(Column(Role.PREDICTION.value, kind, role=Role.PREDICTION))
    if model.task == "binary" and isinstance(names.score, str) and _is_plain(types, names.score):
        found.append(Column(Role.SCORE.value, ColumnKind.NUMERIC, role=Role.SCORE))
    joined = model.labels is not None and model.labels.type == "files" and names.id in types
    if _is_plain(types, names.label) or joined:
        found.append(Column(Role.LABEL.value, kind, role=Role.LABEL))
    return found


def _is_plain(types: Mapping[str, Any], name: str) -> bool:
    return name in types and kind_of(types[name]) is not None


def written_name(column: Column, names: Columns) -> str:
    """What a column is called in files."""
    if column.role in (Role.FEATURE, Role.GROUP):
        return column.name.removeprefix(GROUP) if column.role is Role.GROUP else column.name
    written = {
        Role.ID: names.id,
        Role.PREDICTION: names.prediction,
        Role.SCORE: names.score,
        Role.LABEL: names.label,
    }[column.role]
    if isinstance(written, str):
        return written
    return written.get(column.name.removeprefix(CLASS_SCORE), column.name)


def has_classes(column: Column) -> bool:
    """Whether a column's values are spelled as classes are: true and false as the 1 and 0 that others write."""
    return column.role in (Role.PREDICTION, Role.LABEL, Role.GROUP)
