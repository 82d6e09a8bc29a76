"""Logged features record by record: is what was served what a recomputation says?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from monitor.check._context import Context
from monitor.check._statistics import statistic
from monitor.check._verdict import measured, verdict_of
from monitor.options import Options as _Options
from monitor.options import Ratio, Secret
from monitor.records import (
    Coded,
    Column,
    ColumnKind,
    EventBatch,
    Finding,
    FloatArray,
    NoData,
    ObjectArray,
    Role,
    Verdict,
)
from monitor.source import SourceError

MISMATCH = "record_mismatch_ratio"
ID = Column(Role.ID.value, ColumnKind.TEXT, role=Role.ID)  # each is another one: they have no names to be coded by


Tolerance = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Replay(_Options):
    """Where the features are recomputed offline, and how far they may lie from those that were logged."""

    type: Literal["files", "sql"]
    path: Annotated[str | None, Field(min_length=1)] = None
    where: str | None = None
    url: Annotated[Secret | None, Field(description="`sql`: the database, as it stands in SQLAlchemy's URLs")] = None
    query: Annotated[
        str | None, Field(min_length=1, description="`sql`: what gives the rows, with the model's `columns.id`")
    ] = None
    tolerance: Tolerance = 1e-6
    tolerances: Mapping[str, Tolerance] = {}
    threshold: Ratio = 0.01
    min_rows: Annotated[int, Field(ge=1)] = 100

    @model_validator(mode="after")
    def _fits(self) -> Self:
        of = {"files": ("path",), "sql": ("url", "query")}
        missing = [name for name in of[self.type] if getattr(self, name) is None]
        others = {"files": ("url", "query"), "sql": ("path", "where")}
        foreign = [name for name in others[self.type] if getattr(self, name) is not None]
        if missing:
            raise ValueError(f"expected {' and '.join(missing)} beside type: {self.type}")
        if foreign:
            raise ValueError(f"expected no {' or '.join(foreign)} beside type: {self.type}")
        return self


def replayed(context: Context, check: str, options: Replay, *, limit: int) -> Iterator[Finding]:
    """One finding for each version and feature: the share of predictions whose feature is not what is recomputed.

    Args:
        context: of the window.
        check: whose findings they are.
        options: where the recomputation is.
        limit: so many predictions of each version are looked at.
    """
    if not context.profiles:
        yield context.finding(
            check, MISMATCH, Verdict.NO_DATA, "no predictions in the window", threshold=options.threshold
        )
    for version, profile in context.profiles.items():
        about: dict[str, Any] = {"version": version, "threshold": options.threshold, "rows": profile.rows}
        try:
            columns = _columns(context, version)
            batch = context.source.rows(context.window, [*columns, ID], limit=limit).get(version)
            if batch is None or not len(batch):
                raise NoData("no rows of the window are kept")
            yield from _version(context, check, options, batch, columns, about)
        except NoData as reason:
            yield context.finding(check, MISMATCH, Verdict.NO_DATA, str(reason), **about)
        except SourceError as error:
            yield context.finding(check, MISMATCH, Verdict.ERROR, str(error), **about)


def _columns(context: Context, version: str) -> list[Column]:
    """The features that are compared; vectors are not."""
    reference = context.references(version)
    columns = reference.columns if reference else context.source.columns(context.window, context.model)
    return [each for each in columns if each.role is Role.FEATURE and each.kind is not ColumnKind.VECTOR]


def _version(
    context: Context,
    check: str,
    options: Replay,
    batch: EventBatch,
    columns: Sequence[Column],
    about: Mapping[str, Any],
) -> Iterator[Finding]:
    from monitor.source._offline import recomputed

    ids = _plain(batch.features[ID.name]).tolist()
    found = recomputed(options, context.model, context.references.directory, ids, batch.times, columns)
    joined, alone = int(found.partner.sum()), int((~found.partner).sum())
    about = {**about, "rows": joined, "caution": _caution(alone, len(batch), found.later)}
    for column in columns:
        try:
            if column.name not in found.values:
                raise NoData(f"the offline rows have no column {column.name!r}")
            if joined < options.min_rows:
                raise NoData(f"expected at least {options.min_rows} rows with an offline row, got {joined}")
            online = _plain(batch.features[column.name])[found.partner]
            yield _finding(context, check, options, column.name, online, found.values[column.name], alone, about)
        except NoData as reason:
            yield context.finding(check, MISMATCH, Verdict.NO_DATA, str(reason), feature=column.name, **about)


def _plain(values: FloatArray | ObjectArray | Coded) -> FloatArray | ObjectArray:
    return values.spelled() if isinstance(values, Coded) else values


def _caution(alone: int, rows: int, later: int) -> str | None:
    if not alone:
        return None
    only = f", {later} of them only a later one" if later else ""
    return f"{alone} of {rows} rows have no offline row{only}"


def _finding(
    context: Context,
    check: str,
    options: Replay,
    feature: str,
    online: FloatArray | ObjectArray,
    offline: FloatArray | ObjectArray,
    alone: int,
    about: Mapping[str, Any],
) -> Finding:
    tolerance = options.tolerances.get(feature, options.tolerance)
    mismatch = statistic(MISMATCH)
    value = measured(mismatch, online, offline, tolerance=tolerance)  # type: ignore[arg-type]
    exact = measured(mismatch, online, offline)
    parts = {"exact": exact, "joined": float(len(offline)), "unmatched": float(alone)}
    verdict, reason = verdict_of(mismatch, value, options.threshold)
    return context.finding(check, MISMATCH, verdict, reason, value=value, feature=feature, parts=parts, **about)
