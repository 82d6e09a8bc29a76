"""Which reference a version is judged against, and reading it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from monitor import registry
from monitor.config import Model
from monitor.profile import Reference
from monitor.records import Column, EventBatch, LabelledBatch, NoData, Window, fingerprint
from monitor.source import EventSource
from monitor.source._production import together
from monitor.windows import window_seconds


def reference_key(model: Model, version: str, directory: Path) -> tuple[str, str | None] | None:
    """The fingerprint of the reference of a version, and that version where the reference is its own.

    It changes when the reference's files or the declared features change. None where the model has no reference.

    Raises:
        SourceError: the reference cannot be found.
    """
    if model.reference is None:
        return None
    module, own = registry.load("source", model.reference.type), None
    if hasattr(module, "draw_reference"):
        content = module.reference_key(model.reference.options)
    else:
        own = module.for_version(model.reference.options, version, directory)
        content = module.reference_key(own or model.reference.options, directory)
    declared = [f"{name}={feature.model_dump_json()}" for name, feature in (model.features or {}).items()]
    size = str(window_seconds(model.windows))  # so long are the windows that its stretches tell of
    declared += [] if declared else [f"apart={name}" for name in sorted(model.apart())]
    key = fingerprint(model.reference.type, content, model.task, size, model.columns.model_dump_json(), *declared)
    return key, version if own else None


def span_of(model: Model, window: Window) -> Window | None:
    """The stretch whose counts a window is held against, where the reference moves with it; None for one that stands."""
    if model.reference is None:
        return None
    trails = getattr(registry.load("source", model.reference.type), "span", None)
    found: Window | None = None if trails is None else trails(model.reference.options, window)
    return found


def read_reference(model: Model, version: str, directory: Path, source: EventSource, *, now: float) -> Reference | None:
    """Read the reference of a version and draw its bins; None where the model has no reference.

    Args:
        model: whose it is.
        version: of the model.
        directory: where relative paths start.
        source: the model's predictions, of which some references are made.
        now: Unix seconds; what is to come is no reference yet.

    Raises:
        SourceError: it cannot be read.
        NoData: it has no rows, or not enough of them yet.
    """
    found = reference_key(model, version, directory)
    if found is None or model.reference is None:
        return None
    key, own = found
    module, options = registry.load("source", model.reference.type), model.reference.options
    reference: Reference
    if hasattr(module, "draw_reference"):
        reference = module.draw_reference(options, model, source, fingerprint=key, now=now)
        return reference
    if own:
        options = module.for_version(options, version, directory)
    reference = module.read_reference(options, model, directory, fingerprint=key, version=own)
    return reference


def read_outcomes(
    model: Model,
    version: str,
    directory: Path,
    source: EventSource,
    window: Window,
    columns: Sequence[Column],
    *,
    known_by: float = math.inf,
) -> Iterator[LabelledBatch]:
    """The labelled rows of the reference that a window is held against, in batches; none where it has no labels.

    Of a reference that trails, those of a stretch whose labels have matured.

    Raises:
        SourceError: they cannot be read.
    """
    assert model.reference is not None  # what is compared has a reference
    numeric = model.is_numeric
    module, options = registry.load("source", model.reference.type), model.reference.options
    if not hasattr(module, "draw_reference"):
        own = module.for_version(options, version, directory)
        yield from module.reference_outcomes(own or options, model, directory, columns, numeric=numeric)
        return
    stretch = module.period(options) if hasattr(module, "period") else None
    moving = span_of(model, window)
    if moving is not None:
        mature = model.labels.mature if model.labels else 0.0
        stretch = Window(moving.start - mature, moving.end - mature)
    assert stretch is not None  # it stands, or it moves
    if model.labels is not None:
        yield from source.labelled(stretch, numeric=numeric, known_by=known_by, columns=columns)


def read_rows(
    model: Model,
    version: str,
    directory: Path,
    source: EventSource,
    window: Window,
    columns: Sequence[Column],
    *,
    limit: int,
) -> EventBatch:
    """Raw rows of the reference that a window is held against, at most so many, in order of time and evenly spread over it.

    Raises:
        SourceError: they cannot be read.
        NoData: there are none.
    """
    assert model.reference is not None  # what has rows has a reference
    module, options = registry.load("source", model.reference.type), model.reference.options
    if hasattr(module, "draw_reference"):
        stretch = span_of(model, window) or module.period(options)
        batch = together(source.rows(stretch, columns, limit=limit), columns)
        if batch is None:
            raise NoData(f"no rows between {stretch}, which the reference is made of, are kept")
        return batch
    own = module.for_version(options, version, directory)
    found: EventBatch = module.reference_rows(own or options, model, directory, columns, limit=limit)
    return found
