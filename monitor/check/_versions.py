"""Labelled rows by version."""

from __future__ import annotations

from collections.abc import Iterable

from monitor.check._context import joined_rows
from monitor.records import LabelledBatch


def by_version(batches: Iterable[LabelledBatch]) -> dict[str, LabelledBatch]:
    """The rows of each version, in one batch."""
    parts: dict[str, list[LabelledBatch]] = {}
    for batch in batches:
        for version in dict.fromkeys(batch.versions.tolist()):
            parts.setdefault(version, []).append(batch.take(batch.versions == version))
    return {version: joined_rows(found) for version, found in parts.items()}
