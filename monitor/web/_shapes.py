"""What requests and answers look like in JSON: only the description is made of these, nothing is read or written with them."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, get_type_hints

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from monitor.records import AlertState, Finding, Severity, Verdict
from monitor.wire import Kind

Moment = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Count = Annotated[int, Meta(ge=0)]
Seq = Annotated[int, Meta(ge=1)]
Value = float | str | bool | None


class Problem(Struct, forbid_unknown_fields=True):
    """Why a request went no further."""

    error: str


class Problems(Struct, forbid_unknown_fields=True):
    """Why a configuration was not put in force; the one before still is."""

    error: str
    problems: list[str]


class RejectedRecord(Struct, forbid_unknown_fields=True):
    """A record of the request that was not taken in: its place, counted from 0, and why."""

    index: Count
    reason: str


class Taken(Struct, forbid_unknown_fields=True):
    """What became of the records of a request. A known id counts as accepted, and the first one stands."""

    accepted: Count
    rejected: list[RejectedRecord]


class PredictionColumns(Struct):
    """Predictions in columns: a list holds a value for each `event_id`, anything else is said of all of them."""

    event_id: list[str | int]
    timestamp: list[str | float] | str | float
    features: dict[str, list[float | str | bool | list[float] | None] | float | str | bool | None]
    prediction: list[float | str | bool] | float | str | bool
    model: str | UnsetType = UNSET
    model_version: list[str | int | float | None] | str | int | float | None = None
    probability: dict[str, list[float] | float] | list[float | None] | float | None = None
    latency_seconds: list[float | None] | float | None = None
    app: str | None = None


class LabelColumns(Struct):
    """Labels in columns: a list holds a value for each `event_id`, anything else is said of all of them."""

    event_id: list[str | int]
    label: list[float | str | bool] | float | str | bool
    model: str | UnsetType = UNSET
    label_timestamp: list[str | float | None] | str | float | None = None
    app: str | None = None


class CloudEvent(Struct):
    """A CloudEvent 1.0 in its structured form, as KServe's and Seldon's loggers write it."""

    specversion: str
    id: str
    source: str
    type: str
    time: Moment | UnsetType = UNSET
    inferenceservicename: str | UnsetType = UNSET
    namespace: str | UnsetType = UNSET
    data: Any = None
    data_base64: str | UnsetType = UNSET


class AsideRecord(Struct, forbid_unknown_fields=True):
    """A record that was set aside; only a whole one can be sent again. Whose it is, is told where the source was theirs alone."""

    seq: Seq
    at: Moment
    kind: Kind
    reason: str
    message: str
    whole: bool
    app: str | None
    model: str | None
    record: str


class Rejected(Struct, forbid_unknown_fields=True):
    """Records that were set aside, oldest first."""

    rejected: list[AsideRecord]


class Webhook(Struct):
    """A webhook of Alertmanager or Grafana; what else they send is ignored."""

    alerts: list[OutsideAlert]


class OutsideAlert(Struct):
    """One alert of such a webhook."""

    status: str
    labels: dict[str, str]
    startsAt: str | UnsetType = UNSET  # noqa: N815 - the name on the wire


class Decision(Struct, forbid_unknown_fields=True):
    """What was decided about one alert: by which guard it was refused, or the retraining that was asked for."""

    decision: str
    reason: str
    guard: str | UnsetType = UNSET
    id: str | UnsetType = UNSET


class Decisions(Struct, forbid_unknown_fields=True):
    """What was decided about each alert of a webhook, in its order."""

    alerts: list[Decision]


class Reloaded(Struct, forbid_unknown_fields=True):
    """The configuration that is now in force."""

    hash: str


class Window(Struct, forbid_unknown_fields=True):
    """A half-open stretch of event time."""

    start: Moment
    end: Moment


class CheckState(Struct, forbid_unknown_fields=True):
    """The last run of one check."""

    app: str
    model: str | None
    check: str
    state: Verdict
    reason: str
    rows: Count
    window: Window
    last_run: Moment
    last_success: Moment | None
    windows_breached_in_a_row: Count


class Status(Struct, forbid_unknown_fields=True):
    """The state of the watch."""

    ready: bool
    now: Moment
    config_hash: str
    checks: list[CheckState]


# Of the record itself, so that the two never differ; all of it is always there.
_FINDING = {**get_type_hints(Finding), "window": Window, "parts": dict[str, float | None]}
FindingRow: Any = msgspec.defstruct(
    "Finding",
    [(each.name, _FINDING[each.name]) for each in dataclasses.fields(Finding)],
    forbid_unknown_fields=True,
    namespace={"__doc__": "One result row of a check.", "__module__": __name__},
)


class Findings(Struct, forbid_unknown_fields=True):
    """The newest findings of every check."""

    findings: list[FindingRow]


class VerdictEntry(Struct, forbid_unknown_fields=True):
    """What was said of one subject on one window; a later entry revises it."""

    seq: Seq
    at: Moment
    app: str
    model: str
    check: str
    window: Window
    version: str | None
    statistic: str
    feature: str | None
    segment: str | None
    verdict: Verdict
    value: float | None
    threshold: float | None
    rows: Count
    provisional: bool


class Verdicts(Struct, forbid_unknown_fields=True):
    """What was said of windows, oldest first."""

    verdicts: list[VerdictEntry]


class Legend(Struct, forbid_unknown_fields=True):
    """What the numbers of a model's groups stand for: by attribute, in the order of the numbers."""

    app: str
    model: str
    groups: dict[str, list[Value]]


class Legends(Struct, forbid_unknown_fields=True):
    """What the numbers of groups stand for."""

    legends: list[Legend]


class AlertRow(Struct, forbid_unknown_fields=True):
    """The life of a breach."""

    name: str
    fingerprint: str
    labels: dict[str, str]
    state: AlertState
    severity: Severity
    pending_since: Moment
    started_at: Moment | None
    resolved_at: Moment | None
    notified_at: Moment | None
    summary: str
    description: str
    value: float | None
    threshold: float | None
    check: str


class Alerts(Struct, forbid_unknown_fields=True):
    """Alerts, the live ones first."""

    alerts: list[AlertRow]


class Retraining(Struct, forbid_unknown_fields=True):
    """A retraining, how far it has come, and what it was asked for with."""

    id: str
    app: str
    model: str
    version: str | None
    state: str
    reason: str
    cause: str
    requested_at: Moment
    deadline: Moment
    new_version: str | None
    finished_at: Moment | None
    lineage: dict[str, Any]


class Retrainings(Struct, forbid_unknown_fields=True):
    """Retrainings, the newest first."""

    retrainings: list[Retraining]


class LedgerEntry(Struct, forbid_unknown_fields=True):
    """One entry of the ledger."""

    seq: Seq
    at: Moment
    kind: str
    app: str
    model: str | None
    data: dict[str, Any]


class Entries(Struct, forbid_unknown_fields=True):
    """Entries of the ledger, oldest first."""

    entries: list[LedgerEntry]
