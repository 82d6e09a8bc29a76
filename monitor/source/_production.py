"""A reference drawn from the model's own predictions: a stretch of production that stands for what is normal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from monitor.config import Model
from monitor.profile import Reference, build_reference
from monitor.records import UNVERSIONED, Coded, Column, EventBatch, NoData, Role, Window
from monitor.source import EventSource
from monitor.source._outcomes import outcome_kind
from monitor.windows import window_seconds

MOST_ROWS = 200_000  # more rows than that move no quantile that matters


def drawn_from(
    source: EventSource, model: Model, span: Window, *, fingerprint: str, match: tuple[str, ...]
) -> Reference:
    """The reference of a span of production, of all versions together: what comes in does not depend on who answers.

    Raises:
        NoData: no row is there.
        SourceError: the predictions cannot be read.
    """
    columns = source.columns(span, model)
    batch = together(source.rows(span, columns, limit=MOST_ROWS), columns)
    if batch is None:
        raise NoData(f"expected predictions between {span}, which the reference is to be made of, got none")
    size = window_seconds(model.windows)
    reference = build_reference(batch, columns, fingerprint=fingerprint, version=None, window_seconds=size, match=match)
    return replace(reference, labels=labels_of(source, model, span, reference))


def labels_of(source: EventSource, model: Model, span: Window, like: Reference) -> Reference | None:
    """The reference of the labels of a span; None where none has come."""
    numeric = model.is_numeric
    found = list(source.labelled(span, numeric=numeric)) if model.labels is not None else []
    if not found:
        return None
    times = np.concatenate([batch.times for batch in found])
    order = np.argsort(times, kind="stable")
    values = np.concatenate([batch.labels for batch in found])[order]
    batch = EventBatch(UNVERSIONED, times[order], {Role.LABEL.value: values})
    columns = (Column(Role.LABEL.value, outcome_kind(model), role=Role.LABEL),)
    return build_reference(
        batch,
        columns,
        fingerprint=f"{like.fingerprint}+labels",
        version=None,
        window_seconds=window_seconds(model.windows),
        match=like.match,
    )


def together(batches: Mapping[str, EventBatch], columns: Sequence[Column]) -> EventBatch | None:
    """All versions' rows in one batch, in order of time."""
    held = [batch for batch in batches.values() if len(batch)]
    if not held:
        return None
    times = np.concatenate([batch.times for batch in held])
    order = np.argsort(times, kind="stable")
    features: dict[str, Any] = {}
    for column in columns:
        parts = [batch.features[column.name] for batch in held]
        values = np.concatenate([part.spelled() if isinstance(part, Coded) else part for part in parts])
        features[column.name] = values[order]
    invalid = {name: sum(batch.invalid.get(name, 0) for batch in held) for name in features}
    return EventBatch(UNVERSIONED, times[order], features, invalid=invalid)
