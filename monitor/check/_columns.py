"""What a model's checks read beside predictions and labels."""

from __future__ import annotations

from monitor import registry
from monitor.config import Model
from monitor.records import Column
from monitor.source._outcomes import group_columns, outcome_columns


def labelled_columns(model: Model) -> tuple[Column, ...]:
    """The scores of a classifier, what its segments are told apart by, and what each check says that it needs (its `columns`)."""
    found = [*outcome_columns(model), *group_columns(name for each in model.segment_columns() for name in each)]
    for name, spec in model.checks.items():
        wanted = getattr(registry.load("check", name), "columns", None)
        found += wanted(spec.options, model) if wanted else ()
    return tuple({column.name: column for column in found}.values())
