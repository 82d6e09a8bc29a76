"""The life of an alert, decided by its rule, its state, the newest result of its check, and the time. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from monitor.records import (
    Alert,
    AlertState,
    Change,
    ChangeReason,
    CheckResult,
    Finding,
    Rule,
    Verdict,
)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What follows from one result: alerts to keep, pending ones to forget, and the changes to tell and record."""

    kept: tuple[Alert, ...]
    forgotten: tuple[str, ...]
    changes: tuple[Change, ...]


def evaluate(rules: Iterable[Rule], live: Mapping[str, Alert], result: CheckResult, now: float) -> Evaluation:
    """Bring the alerts of one check up to its newest result.

    Args:
        rules: those that cover the check are applied.
        live: the check's pending and firing alerts, by fingerprint.
        result: the newest result; the same one may be evaluated again later, for what only time has changed.
        now: Unix seconds.

    A breach makes an alert pending, and firing once it has lasted for the rule's `for`; ok resolves it; no_data and
    error leave it as it is. A subject that is gone (a version that was replaced) resolves it as well.
    """
    kept: list[Alert] = []
    forgotten: list[str] = []
    changes: list[Change] = []
    for rule in (rule for rule in rules if rule.covers(result.check)):
        seen = {alert.fingerprint: (alert, finding, active) for alert, finding, active in _subjects(rule, result, now)}
        for fingerprint in dict.fromkeys([*seen, *(key for key, alert in live.items() if alert.name == rule.name)]):
            before = live.get(fingerprint)
            fresh, finding, active = seen.get(fingerprint, (before, None, _absent(before, result)))
            assert fresh is not None  # it is in one of the two
            after, reason = _step(rule, before, fresh, now, active=active)
            if after is None and before is not None:
                forgotten.append(fingerprint)
            if after is None:
                continue
            told = _described(after, rule, finding)
            if told != before:
                kept.append(told)
            if reason is not None:
                changes.append(Change(told, before.state if before else None, reason, now))
    return Evaluation(tuple(kept), tuple(forgotten), tuple(changes))


def _step(
    rule: Rule, before: Alert | None, fresh: Alert, now: float, *, active: bool | ChangeReason | None
) -> tuple[Alert | None, ChangeReason | None]:
    """The alert after this step (None: there is none) and why it changed (None: it did not).

    `active`: True, False, None where nothing is known, or the reason why it is over.
    """
    if active is None:
        return before, None
    if active is not True:
        if before is None or before.state is not AlertState.FIRING:
            return None, None
        reason = active if isinstance(active, ChangeReason) else ChangeReason.RECOVERED
        return replace(before, state=AlertState.RESOLVED, resolved_at=now), reason
    if before is None:
        if rule.for_seconds > 0:
            return fresh, ChangeReason.FIRST_BREACH
        return replace(fresh, state=AlertState.FIRING, started_at=now), ChangeReason.FIRST_BREACH
    if before.state is AlertState.PENDING and now - before.pending_since >= rule.for_seconds:
        return replace(before, state=AlertState.FIRING, started_at=now), ChangeReason.BREACH_PERSISTED
    return before, None


def _subjects(rule: Rule, result: CheckResult, now: float) -> Iterator[tuple[Alert, Finding | None, bool | None]]:
    """Each subject a result speaks of, as the alert it would be, and whether it is active (None: unknown)."""
    if rule.on != "breached":
        labels = {"app": result.app, "check": result.check} | ({"model": result.model} if result.model else {})
        yield _new(rule, labels, now), None, result.verdict.value == rule.on
        return
    for finding in result.findings:
        about = labels_of(rule, finding)
        if about is not None and not finding.superseded:
            state = {Verdict.BREACHED: True, Verdict.OK: False}.get(finding.verdict)
            yield _new(rule, about, now), finding, state


def labels_of(rule: Rule, finding: Finding) -> dict[str, str] | None:
    """The labels of the alert about a finding; None where the finding is about something wider than the rule."""
    if rule.subject not in ("", finding.subject) or rule.statistic not in ("", finding.statistic):
        return None
    values = {
        "model": finding.model,
        "version": finding.version,
        "feature": finding.feature,
        "output": finding.feature,
        "columns": finding.feature or "all",
        "statistic": finding.statistic,
        "metric": finding.statistic,
        "detector": finding.statistic,
        "segment": finding.segment,
        "attribute": finding.segment,
        "probe": finding.check.partition(":")[2],
    }
    found = {"app": finding.app}
    for name in rule.by:
        value = values[name]
        if value:
            found[name] = value
        elif name not in rule.optional:
            return None
    return found


def _new(rule: Rule, labels: Mapping[str, str], now: float) -> Alert:
    return Alert(rule.name, dict(labels), AlertState.PENDING, rule.severity, pending_since=now)


def _absent(alert: Alert | None, result: CheckResult) -> bool | ChangeReason | None:
    """What it means that a result does not speak of an alert's subject."""
    if alert is None or result.verdict in (Verdict.NO_DATA, Verdict.ERROR):
        return None
    if alert.labels.get("version") in result.versions and any(_may_hide(finding, alert) for finding in result.findings):
        return None
    return ChangeReason.SUBJECT_RETIRED


def _may_hide(finding: Finding, alert: Alert) -> bool:
    """Whether a finding that could not tell is about what an alert is about, or about something wider."""
    labels = alert.labels
    about = {"version": finding.version, "feature": finding.feature, "segment": finding.segment}
    wider = all(value is None or labels.get(name, labels.get("attribute")) == value for name, value in about.items())
    return wider and finding.verdict in (Verdict.NO_DATA, Verdict.ERROR)


def _described(alert: Alert, rule: Rule, finding: Finding | None) -> Alert:
    """The alert in words, with the numbers of the finding it comes from; what is unknown leaves them as they were."""
    absent = dict.fromkeys(rule.optional, "")
    words = {"app": "", "model": "", "version": "", "check": rule.check, **absent, **alert.labels}
    value, threshold = alert.value, alert.threshold
    if finding is not None and finding.verdict not in (Verdict.NO_DATA, Verdict.ERROR):
        value, threshold = finding.value, finding.threshold
    return replace(
        alert,
        summary=rule.summary.format_map(words).rstrip(),
        description=rule.description.format_map(words),
        severity=rule.severity,
        value=value,
        threshold=threshold,
    )


def due_again(alerts: Iterable[Alert], repeat_seconds: float, now: float) -> list[Alert]:
    """The firing alerts that were told of so long ago that they are told of again."""
    return [
        alert
        for alert in alerts
        if alert.state is AlertState.FIRING
        and alert.notified_at is not None
        and now - alert.notified_at >= repeat_seconds
    ]
