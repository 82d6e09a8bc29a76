"""Predictions in files, joined by id with the labels in others."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from monitor.config import Model
from monitor.records import Column, ColumnKind, LabelledBatch, Window
from monitor.source._access import access_of
from monitor.source._arrow import coded, floats, joined
from monitor.source._catalog import Catalog
from monitor.source._chosen import Chosen
from monitor.source._columns import has_classes, written_name
from monitor.source._duck import DuckTable, first_labels, version_sql
from monitor.source._sql import quoted


def has_outcomes(options: Any, model: Model, directory: Path) -> bool:
    """Whether files hold predictions that have labels, in them or by id in the model's label files."""
    with closing(DuckTable(options.path, options.where, directory, access=access_of(options, model))) as table:
        names = model.columns
        joined = model.labels is not None and model.labels.type == "files" and names.id in table.columns
        return names.prediction in table.columns and (names.label in table.columns or joined)


def labelled_rows(
    predictions: Any,
    model: Model,
    directory: Path,
    *,
    numeric: bool,
    columns: Sequence[Column] = (),
    window: Window | None = None,
    known_by: float = math.inf,
    note: Callable[[Chosen], None] = lambda _: None,
) -> Iterator[LabelledBatch]:
    """The rows of prediction files that have a label, in batches; of each id the first label stands.

    Where labels have no time of their own, they have always been there. A wanted column that the files lack is missing in
    every row.

    Args:
        predictions: the options of the files.
        model: whose they are, with the options of its label files.
        directory: where relative paths start.
        numeric: whether predictions and labels are numbers.
        columns: features and scores that are wanted beside them.
        window: of event time; None for a reference: all of it, and labels that stand in the same files are taken and no others.
        known_by: labels that came later are not seen.
        note: is told which files are read, of predictions and of labels.

    Raises:
        SourceError: the files cannot be read.
    """
    names, access = model.columns, access_of(predictions, model)
    span = None if window is None else (window.start, window.end)
    chosen = Catalog(predictions.path, directory, access, time=names.timestamp).chosen(span)
    note(chosen)
    with closing(DuckTable(predictions.path, predictions.where, directory, chosen=chosen)) as table:
        prediction = table.require(names.prediction, "columns.prediction")
        if window is None and names.timestamp not in table.columns:
            time = "0.0"  # a reference may have no times
        else:
            time = table.seconds(names.timestamp, "columns.timestamp")
        wanted = [written_name(column, names) for column in columns]
        others = [quoted(name) if name in table.columns else "NULL" for name in wanted]
        beside = "".join(f", {other} AS __column_{place}" for place, other in enumerate(others))
        shown = "".join(f", p.__column_{place}" for place in range(len(others)))
        within = " AND __time >= ? AND __time < ?" if window else ""
        version = version_sql(table, names.version)
        if window is None and names.label in table.columns:
            label = quoted(names.label)
            rows = f"SELECT {time} AS __time, {version} AS __version, {prediction} AS __said, {label} AS __true{beside}"
            sql = (
                f"SELECT p.__time, p.__version, p.__said, p.__true, CAST('-inf' AS DOUBLE){shown}"
                f" FROM ({rows} FROM {table.relation}) p WHERE p.__true IS NOT NULL AND p.__said IS NOT NULL{within}"
            )
        else:
            key = table.require(names.id, "columns.id")
            rows = f"SELECT {time} AS __time, {version} AS __version, {prediction} AS __said, {key} AS __id{beside}"
            since = window.start if window else -math.inf
            labels = first_labels(table, model, directory, known_by, since=since, note=note)
            sql = (
                f"SELECT p.__time, p.__version, p.__said, l.label, l.came{shown} FROM ({rows} FROM {table.relation}) p"
                f" JOIN {labels} l ON CAST(p.__id AS VARCHAR) = l.id"
                f" WHERE l.label IS NOT NULL AND p.__said IS NOT NULL{within}"
            )
        kind = ColumnKind.NUMERIC if numeric else ColumnKind.CATEGORICAL
        for arrow in table.batches(sql, [window.start, window.end] if window else None):
            times, version, said, true, came, *rest = arrow.columns
            said, true = (joined([values], kind, classes=True)[0] for values in (said, true))
            beside_them = {
                column.name: joined([values], column.kind, classes=has_classes(column))[0]
                for column, values in zip(columns, rest, strict=True)
            }
            yield LabelledBatch(floats(times), coded(version, str).spelled(), said, true, floats(came), beside_them)
