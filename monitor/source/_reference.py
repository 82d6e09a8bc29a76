"""Which reference a version is judged against, and reading it."""

from __future__ import annotations

from pathlib import Path

from monitor import registry
from monitor.config import Model
from monitor.profile import Reference, build_reference
from monitor.records import fingerprint
from monitor.windows import window_seconds


def reference_key(model: Model, version: str, directory: Path) -> tuple[str, str | None] | None:
    """The fingerprint of the reference of a version, and that version where the reference is its own.

    It changes when the reference's files or the declared features change. None where the model has no reference.

    Raises:
        SourceError: the reference cannot be found.
    """
    if model.reference is None:
        return None
    module = registry.load("source", model.reference.type)
    own = module.for_version(model.reference.options, version, directory)
    content = module.reference_key(own or model.reference.options, directory)
    declared = [f"{name}={feature.model_dump_json()}" for name, feature in (model.features or {}).items()]
    key = fingerprint(model.reference.type, content, model.columns.model_dump_json(), *declared)
    return key, version if own else None


def read_reference(model: Model, version: str, directory: Path) -> Reference | None:
    """Read the reference of a version and draw its bins; None where the model has no reference.

    Raises:
        SourceError: it cannot be read.
        NoData: it has no rows.
    """
    found = reference_key(model, version, directory)
    if found is None or model.reference is None:
        return None
    key, own = found
    module = registry.load("source", model.reference.type)
    options = module.for_version(model.reference.options, version, directory) if own else model.reference.options
    batch, columns, named = module.read_reference(options, model, directory)
    return build_reference(
        batch, columns, fingerprint=key, version=own or named, window_seconds=window_seconds(model.windows)
    )
