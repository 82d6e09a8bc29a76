"""What the watch itself must remember: results, alerts, the outbox, retrainings, and the ledger of it all."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from monitor.records import (
    Alert,
    AlertState,
    CheckResult,
    Finding,
    Severity,
    Verdict,
    Window,
    instant,
    iso,
)
from monitor.store.dialect import insert_new
from monitor.store.schema import alerts, checks, ledger, marks, outbox, retrainings

# --- results ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class KeptResult:
    """The newest result of a check.

    Attributes:
        result: as it was concluded.
        at: when, in Unix seconds.
        last_success: when it last came to ok or breached.
        streaks: by subject, the windows in a row that were breached, and the end of the last of them.
    """

    result: CheckResult
    at: float
    last_success: float | None
    streaks: Mapping[str, tuple[int, float]]

    @property
    def streak(self) -> int:
        """The longest of the streaks."""
        return max((windows for windows, _ in self.streaks.values()), default=0)

    def streak_of(self, finding: Finding) -> int:
        """How many windows in a row the subject of a finding has been breached."""
        return self.streaks.get(_subject(finding), (0, 0.0))[0]


def save_result(connection: Connection, result: CheckResult, *, now: float) -> KeptResult:
    """Keep the newest result of a check and count how many windows in a row each subject has been breached."""
    before = load_result(connection, result.app, result.model, result.check)
    streaks = _streaks(before, result)
    judged = result.verdict in (Verdict.OK, Verdict.BREACHED)
    success = now if judged else before.last_success if before else None
    key = {"app": result.app, "model": result.model or "", "check": result.check}
    values = {
        "at": now,
        "last_success": success,
        "streaks": json.dumps(streaks),
        "window_end": result.window.end,
        "result": json.dumps(_result_as_json(result)),
    }
    if before is None:
        connection.execute(insert(checks).values(**key, **values))
    else:
        connection.execute(update(checks).where(*_same(checks, key)).values(values))
    return KeptResult(result, now, success, streaks)


def _subject(finding: Finding) -> str:
    about = (finding.version or "", finding.feature or "", finding.statistic)
    return "|".join((*about, finding.segment) if finding.segment else about)


def _streaks(before: KeptResult | None, result: CheckResult) -> dict[str, tuple[int, float]]:
    """What is breached again in the next window counts one more; what is ok counts none; what is unknown stays.

    The next window is one that begins before the last one's end, or with it: windows far apart are not in a row, unless nothing
    was known of those between them.
    """
    old = dict(before.streaks) if before else {}
    # No result at all (no data, an error) changes nothing; otherwise what is no longer spoken of is over.
    unknown = {subject: (windows, max(end, result.window.end)) for subject, (windows, end) in old.items()}
    fresh = {} if result.verdict in (Verdict.OK, Verdict.BREACHED) else unknown
    for finding in result.findings:
        subject, window = _subject(finding), finding.window
        if finding.verdict is Verdict.BREACHED:
            windows, end = old.get(subject, (0, -math.inf))
            if window.end > end:
                windows = windows + 1 if window.start <= end else 1
            fresh[subject] = windows, max(window.end, end)
        elif finding.verdict is not Verdict.OK and subject in old:
            fresh[subject] = unknown[subject]
    return fresh


def _same(table: Any, key: Mapping[str, str]) -> list[Any]:
    return [table.c[name] == value for name, value in key.items()]


def load_result(connection: Connection, app: str, model: str | None, check: str) -> KeptResult | None:
    """The newest result of a check, None before the first."""
    key = {"app": app, "model": model or "", "check": check}
    row = connection.execute(select(checks).where(*_same(checks, key))).first()
    return None if row is None else _kept(row)


def drop_result(connection: Connection, app: str, model: str | None, check: str) -> None:
    """Forget the result of a check that is no longer configured."""
    key = {"app": app, "model": model or "", "check": check}
    connection.execute(delete(checks).where(*_same(checks, key)))


def all_results(connection: Connection) -> list[KeptResult]:
    """The newest result of every check."""
    order = (checks.c.app, checks.c.model, checks.c.check)
    return [_kept(row) for row in connection.execute(select(checks).order_by(*order))]


def _kept(row: Any) -> KeptResult:
    result = _result_from_json(json.loads(row.result))
    # A store of before counted windows only.
    streaks = {
        subject: tuple(said) if isinstance(said, list) else (said, result.window.end)
        for subject, said in json.loads(row.streaks).items()
    }
    return KeptResult(result, row.at, row.last_success, streaks)


def _result_as_json(result: CheckResult) -> dict[str, Any]:
    return {
        "app": result.app,
        "model": result.model,
        "check": result.check,
        "verdict": result.verdict.value,
        "reason": result.reason,
        "window": [iso(result.window.start), iso(result.window.end)],
        "rows": result.rows,
        "findings": [finding.as_json() for finding in result.findings],
        "versions": list(result.versions),
    }


def _result_from_json(row: dict[str, Any]) -> CheckResult:
    return CheckResult(
        row["app"],
        row["model"],
        row["check"],
        Verdict(row["verdict"]),
        row["reason"],
        Window(*(instant(text) for text in row["window"])),
        row["rows"],
        tuple(Finding.from_json(finding) for finding in row["findings"]),
        tuple(row["versions"]),
    )


# --- alerts -----------------------------------------------------------------------------------------------------------


def load_alerts(connection: Connection, app: str, model: str | None, check: str) -> dict[str, Alert]:
    """The live alerts (pending, firing) of a check, by fingerprint."""
    key = {"app": app, "model": model or "", "check": check}
    query = select(alerts.c.body).where(*_same(alerts, key), alerts.c.state != AlertState.RESOLVED.value)
    found = [alert_from_json(json.loads(body)) for body in connection.execute(query).scalars()]
    return {alert.fingerprint: alert for alert in found}


def save_alerts(connection: Connection, app: str, model: str | None, check: str, changed: Sequence[Alert]) -> None:
    """Keep the state of alerts that changed."""
    for alert in changed:
        connection.execute(delete(alerts).where(alerts.c.fingerprint == alert.fingerprint))
        row = {"app": app, "model": model or "", "check": check, "name": alert.name, "state": alert.state.value}
        body = json.dumps(alert_as_json(alert))
        connection.execute(insert(alerts).values(fingerprint=alert.fingerprint, body=body, **row))


def live_checks(connection: Connection) -> list[tuple[str, str | None, str]]:
    """The checks (app, model, check) that have a pending or firing alert."""
    query = select(alerts.c.app, alerts.c.model, alerts.c.check).where(alerts.c.state != AlertState.RESOLVED.value)
    return [(app, model or None, check) for app, model, check in connection.execute(query.distinct())]


def alert_counts(connection: Connection) -> list[tuple[Alert, str]]:
    """Every live alert and its check; for counting them."""
    query = select(alerts.c.body, alerts.c.check).where(alerts.c.state != AlertState.RESOLVED.value)
    return [(alert_from_json(json.loads(row.body)), row.check) for row in connection.execute(query)]


def drop_alerts(connection: Connection, fingerprints: Sequence[str]) -> None:
    """Forget alerts that never fired."""
    connection.execute(delete(alerts).where(alerts.c.fingerprint.in_(fingerprints)))


def all_alerts(connection: Connection, *, limit: int = 1000) -> list[tuple[Alert, str]]:
    """Alerts and the check each comes from, the live ones first."""
    order = (alerts.c.state == AlertState.RESOLVED.value, alerts.c.fingerprint)
    rows = connection.execute(select(alerts.c.body, alerts.c.check).order_by(*order).limit(limit))
    return [(alert_from_json(json.loads(row.body)), row.check) for row in rows]


def alert_as_json(alert: Alert) -> dict[str, Any]:
    """An alert as it appears wherever alerts are shown as JSON."""
    return {
        "name": alert.name,
        "fingerprint": alert.fingerprint,
        "labels": dict(alert.labels),
        "state": alert.state.value,
        "severity": alert.severity.value,
        "pending_since": iso(alert.pending_since),
        "started_at": None if alert.started_at is None else iso(alert.started_at),
        "resolved_at": None if alert.resolved_at is None else iso(alert.resolved_at),
        "notified_at": None if alert.notified_at is None else iso(alert.notified_at),
        "summary": alert.summary,
        "description": alert.description,
        "value": alert.value,
        "threshold": alert.threshold,
    }


def alert_from_json(row: Mapping[str, Any]) -> Alert:
    """The inverse of `alert_as_json`."""

    def when(name: str) -> float | None:
        return None if row[name] is None else instant(row[name])

    return Alert(
        row["name"],
        row["labels"],
        AlertState(row["state"]),
        Severity(row["severity"]),
        instant(row["pending_since"]),
        when("started_at"),
        when("resolved_at"),
        when("notified_at"),
        row["summary"],
        row["description"],
        row["value"],
        row["threshold"],
    )


# --- ledger -----------------------------------------------------------------------------------------------------------


def write_ledger(
    connection: Connection, kind: str, *, app: str, model: str | None, at: float, data: Mapping[str, Any]
) -> None:
    """Append one entry. Nothing ever changes or deletes one."""
    row = {"at": at, "kind": kind, "app": app, "model": model or "", "body": json.dumps(data)}
    connection.execute(insert(ledger).values(row))


def read_ledger(connection: Connection, *, after: int = 0, limit: int = 1000) -> list[dict[str, Any]]:
    """Entries after a sequence number, oldest first."""
    rows = connection.execute(select(ledger).where(ledger.c.seq > after).order_by(ledger.c.seq).limit(limit))
    return [
        {
            "seq": row.seq,
            "at": iso(row.at),
            "kind": row.kind,
            "app": row.app,
            "model": row.model or None,
            "data": json.loads(row.body),
        }
        for row in rows
    ]


def first_time(connection: Connection, mark: str) -> bool:
    """Whether this is said for the first time; from now on it has been."""
    said = insert_new(connection, marks).values(mark=mark).on_conflict_do_nothing().returning(marks.c.mark)
    return connection.execute(said).first() is not None


# --- outbox -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pending:
    """A delivery that is due. `queued` is real time, `created` the daemon's clock."""

    key: str
    kind: str
    target: str
    subject: str
    created: float
    queued: float
    body: dict[str, Any]
    attempts: int


def add_delivery(
    connection: Connection,
    *,
    key: str,
    kind: str,
    target: str,
    subject: str,
    body: Mapping[str, Any],
    now: float,
    real_now: float,
) -> None:
    """Queue a delivery in the transaction of the change that caused it; one of the same key is queued once."""
    row = {"key": key, "kind": kind, "target": target, "subject": subject, "created": now, "body": json.dumps(body)}
    # A step back of the machine's clock must not put what happened later first.
    last = connection.execute(select(func.max(outbox.c.queued))).scalar() or 0.0
    queued = max(real_now, last + 1e-5)
    values = {**row, "queued": queued, "due": real_now, "state": "pending", "attempts": 0, "reason": ""}
    connection.execute(insert_new(connection, outbox).values(values).on_conflict_do_nothing())


def due_deliveries(
    connection: Connection, *, real_now: float, besides: Collection[str] = (), limit: int = 50
) -> list[Pending]:
    """Deliveries whose time has come, oldest first; one waits while an earlier one of its subject and target does.

    `besides` are targets to leave out.
    """
    earlier = outbox.alias()
    blocked = (
        select(earlier.c.key)
        .where(earlier.c.state == "pending", earlier.c.target == outbox.c.target, earlier.c.subject == outbox.c.subject)
        .where(earlier.c.queued < outbox.c.queued)
        .exists()
    )
    query = (
        select(outbox)
        .where(outbox.c.state == "pending", outbox.c.due <= real_now, ~blocked, outbox.c.target.not_in(besides))
        .order_by(outbox.c.queued, outbox.c.key)
        .limit(limit)
    )
    return [
        Pending(row.key, row.kind, row.target, row.subject, row.created, row.queued, json.loads(row.body), row.attempts)
        for row in connection.execute(query)
    ]


def settle_delivery(connection: Connection, key: str, *, state: str, reason: str, due: float) -> None:
    """Record one attempt: delivered, failed for good, or pending again until `due`."""
    values = {"state": state, "reason": reason, "due": due, "attempts": outbox.c.attempts + 1}
    connection.execute(update(outbox).where(outbox.c.key == key).values(values))


def cancel_delivery(connection: Connection, key: str, reason: str) -> None:
    """Settle a delivery that waits, because what it would ask for is over."""
    waiting = (outbox.c.key == key, outbox.c.state == "pending")
    connection.execute(update(outbox).where(*waiting).values(state="failed", reason=reason))


def expire_deliveries(connection: Connection, *, created_before: float) -> int:
    """Drop deliveries that were settled and are old; the ledger keeps what became of them. How many went."""
    settled = outbox.c.state != "pending"
    return connection.execute(delete(outbox).where(settled, outbox.c.created < created_before)).rowcount


def queue_lengths(connection: Connection) -> dict[str, int]:
    """Deliveries that wait, by target."""
    query = select(outbox.c.target, func.count()).where(outbox.c.state == "pending", outbox.c.kind == "notification")
    return {row[0]: row[1] for row in connection.execute(query.group_by(outbox.c.target))}


# --- retrainings ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class KeptRetraining:
    """A retraining and how far it has come."""

    key: str
    app: str
    model: str
    version: str
    state: str
    reason: str
    cause: str
    requested: float
    deadline: float
    new_version: str | None
    finished: float | None
    body: dict[str, Any]
    breaches: int = 0
    breached_until: float = 0.0
    deployed: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """The retraining as it appears wherever retrainings are shown as JSON."""
        return {
            "id": self.key,
            "app": self.app,
            "model": self.model,
            "version": self.version or None,
            "state": self.state,
            "reason": self.reason,
            "cause": self.cause,
            "requested_at": iso(self.requested),
            "deadline": iso(self.deadline),
            "new_version": self.new_version,
            "finished_at": None if self.finished is None else iso(self.finished),
            "lineage": self.body,
        }


def add_retraining(connection: Connection, row: KeptRetraining) -> None:
    """Keep a retraining that is being asked for."""
    values = {name: getattr(row, name) for name in row.__slots__}
    connection.execute(insert(retrainings).values({**values, "body": json.dumps(row.body)}))


def change_retraining(connection: Connection, key: str, **values: Any) -> None:
    """Bring a retraining further."""
    connection.execute(update(retrainings).where(retrainings.c.key == key).values(values))


def model_retrainings(connection: Connection, app: str, model: str) -> list[KeptRetraining]:
    """The retrainings of a model, the newest first."""
    query = select(retrainings).where(retrainings.c.app == app, retrainings.c.model == model)
    return [_retraining(row) for row in connection.execute(query.order_by(retrainings.c.requested.desc()))]


def all_retrainings(connection: Connection, *, limit: int = 1000) -> list[KeptRetraining]:
    """Every retraining, the newest first."""
    query = select(retrainings).order_by(retrainings.c.requested.desc()).limit(limit)
    return [_retraining(row) for row in connection.execute(query)]


def is_waiting(connection: Connection, key: str) -> bool:
    """Whether a retraining still waits for its trigger to be told."""
    return connection.execute(select(retrainings.c.state).where(retrainings.c.key == key)).scalar() == "requested"


def unfinished_retrainings(connection: Connection) -> list[KeptRetraining]:
    """Retrainings whose end is not known yet."""
    rows = connection.execute(select(retrainings).where(retrainings.c.finished.is_(None)))
    return [_retraining(row) for row in rows]


def overdue_retrainings(connection: Connection, *, now: float) -> list[KeptRetraining]:
    """Retrainings whose new version has not come, or has not been judged, in time."""
    unfinished = retrainings.c.finished.is_(None)
    rows = connection.execute(select(retrainings).where(unfinished, retrainings.c.deadline < now))
    return [_retraining(row) for row in rows]


def _retraining(row: Any) -> KeptRetraining:
    values = {name: getattr(row, name) for name in KeptRetraining.__slots__}
    return KeptRetraining(**{**values, "body": json.loads(row.body)})
