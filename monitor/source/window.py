"""A reference that is a trusted period of the model's own production."""

from __future__ import annotations

from datetime import UTC, date, datetime

from pydantic import model_validator

from monitor.config import Model
from monitor.options import Options as _Options
from monitor.profile import Reference
from monitor.records import NoData, Window, iso
from monitor.source import EventSource, Match
from monitor.source._production import drawn_from

ROLES = frozenset({"reference"})
HEAVY = False


class Options(_Options):
    """From when to when (naive times are UTC; the end is not part of it), and the seasons that windows are matched by."""

    start: datetime | date
    end: datetime | date
    match: Match = ()

    @model_validator(mode="after")
    def _in_order(self) -> Options:
        if not period(self).start < period(self).end:
            raise ValueError(f"expected a start before the end, got {self.start} and {self.end}")
        return self


def period(options: Options) -> Window:
    """The period in event time."""
    return Window(_seconds(options.start), _seconds(options.end))


def _seconds(moment: datetime | date) -> float:
    whole = moment if isinstance(moment, datetime) else datetime(moment.year, moment.month, moment.day)  # noqa: DTZ001
    return (whole if whole.tzinfo else whole.replace(tzinfo=UTC)).timestamp()


def reference_key(options: Options) -> str:
    """What the reference is known by."""
    return f"{period(options)} {' '.join(options.match)}"


def draw_reference(options: Options, model: Model, source: EventSource, *, fingerprint: str, now: float) -> Reference:
    """The reference, drawn from the model's predictions in the period.

    Raises:
        NoData: the period is not over, its labels have not matured, or it has no predictions.
        SourceError: the predictions cannot be read.
    """
    span = period(options)
    if now < span.end:
        raise NoData(f"the period of the reference is not over before {iso(span.end)}")
    mature = model.labels.mature if model.labels else 0.0
    if now < span.end + mature:
        # Labels that come early are not like those that come late: a reference of the early ones would be wrong for good.
        raise NoData(f"the labels of the reference's period have not matured before {iso(span.end + mature)}")
    return drawn_from(source, model, span, fingerprint=fingerprint, match=options.match)
