"""Labelled rows by version."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from monitor.records import Coded, FloatArray, LabelledBatch, ObjectArray


def by_version(batches: Iterable[LabelledBatch]) -> dict[str, LabelledBatch]:
    """The rows of each version, in one batch."""
    parts: dict[str, list[LabelledBatch]] = {}
    for batch in batches:
        for version in dict.fromkeys(batch.versions.tolist()):
            parts.setdefault(version, []).append(batch.take(batch.versions == version))
    return {version: joined_rows(found) for version, found in parts.items()}


def joined_rows(batches: Sequence[LabelledBatch]) -> LabelledBatch:
    """Several batches of labelled rows as one; at least one."""
    if len(batches) == 1:
        return batches[0]
    return LabelledBatch(
        np.concatenate([batch.times for batch in batches]),
        np.concatenate([batch.versions for batch in batches]),
        np.concatenate([batch.predictions for batch in batches]),
        np.concatenate([batch.labels for batch in batches]),
        np.concatenate([batch.came for batch in batches]),
        {name: np.concatenate([_plain(batch.columns[name]) for batch in batches]) for name in batches[0].columns},
    )


def _plain(values: FloatArray | ObjectArray | Coded) -> FloatArray | ObjectArray:
    return values.spelled() if isinstance(values, Coded) else values
