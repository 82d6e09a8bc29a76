"""What a backtest comes to: findings, alerts, retrainings, and how often each check said what."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO, Any

from monitor import registry
from monitor.records import Alert, AlertState, Change, CheckResult, Direction, Finding, Verdict, iso

HELD_BYTES = 8_000_000  # so much of the findings is held in memory; the rest lies in a nameless temporary file
REMEMBERED = 20_000  # verdicts on windows that may be looked at again


@dataclass(slots=True)
class Episode:
    """One time that an alert fired. `peak` is the worst value seen while it did; `resolved_at` is None if it still fires."""

    name: str
    labels: dict[str, str]
    severity: str
    started_at: float
    resolved_at: float | None = None
    peak: float | None = None
    threshold: float | None = None

    def as_json(self) -> dict[str, Any]:
        row: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        row["started_at"] = iso(self.started_at)
        row["resolved_at"] = None if self.resolved_at is None else iso(self.resolved_at)
        return row

    def see(self, alert: Alert) -> None:
        """Take in the newest state of the alert while it fires."""
        self.threshold = alert.threshold
        if alert.value is not None and (self.peak is None or _is_worse(alert, self.peak)):
            self.peak = alert.value


def _is_worse(alert: Alert, than: float) -> bool:
    assert alert.value is not None
    name = (alert.labels.get("statistic") or alert.labels.get("metric") or "").partition("@")[0]
    lower = name in registry.known("statistic") and (
        registry.load("statistic", name).STATISTIC.worse is Direction.LOWER_IS_WORSE
    )
    return alert.value < than if lower else alert.value > than


class FindingLog:
    """Every finding, in the order it was made; kept as JSON lines, outside of the memory where they are many."""

    def __init__(self) -> None:
        self._file: IO[str] = tempfile.SpooledTemporaryFile(HELD_BYTES, mode="w+", encoding="utf-8")  # noqa: SIM115 - closed with the outcome
        self._count = 0

    def add(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            self._file.write(json.dumps(finding.as_json()) + "\n")
            self._count += 1

    def __len__(self) -> int:
        return self._count

    def lines(self) -> Iterator[str]:
        """Each finding as JSON."""
        self._file.seek(0)
        yield from (line.rstrip("\n") for line in self._file)

    def __iter__(self) -> Iterator[Finding]:
        for line in self.lines():
            yield Finding.from_json(json.loads(line))

    def close(self) -> None:
        self._file.close()


@dataclass
class Outcome:
    """The result of a backtest.

    Attributes:
        start, end: between which times of the clock windows were judged, in Unix seconds.
        windows: how many were: one for each model and due time.
        tally: by app, model and check, how many of its results were ok, breached, no_data, error.
        alerts: by the time they started.
        retrainings: as the ledger keeps them: asked for, refused (once for each cause and guard), and what became of them.
        failures: what went wrong, each once, as a line for a person.
        notes: which models were not judged, and why.
    """

    start: float = 0.0
    end: float = 0.0
    windows: int = 0
    findings: FindingLog = field(default_factory=FindingLog)
    tally: dict[tuple[str, str, str], Counter[Verdict]] = field(default_factory=dict)
    alerts: list[Episode] = field(default_factory=list)
    retrainings: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _open: dict[str, Episode] = field(default_factory=dict)
    _said: dict[tuple[Any, ...], tuple[Any, ...]] = field(default_factory=dict)

    @property
    def days(self) -> float:
        return (self.end - self.start) / 86400

    @property
    def is_alerting(self) -> bool:
        """Whether any alert fires."""
        return bool(self._open)

    def _news(self, result: CheckResult) -> list[Finding]:
        """What is said of windows for the first time, or otherwise than at the look before: labels come late."""
        fresh = []
        for finding in result.history:
            about = finding.version, finding.statistic, finding.feature, finding.segment
            key = result.app, result.model, result.check, finding.window, about
            said = finding.verdict, finding.value, finding.threshold, finding.rows, finding.provisional
            if self._said.get(key) != said:
                fresh.append(finding)
            self._said[key] = said
        while len(self._said) > REMEMBERED:
            del self._said[next(iter(self._said))]
        return fresh

    def judged(self, result: CheckResult) -> None:
        """Take in the result of a check."""
        key = result.app, result.model or "", result.check
        self.tally.setdefault(key, Counter())[result.verdict] += 1
        self.findings.add(self._news(result) if result.history else result.findings)
        if result.verdict is Verdict.ERROR:
            line = f"{result.app}/{result.model}: {result.check}: {result.reason}"
            if line not in self.failures:
                self.failures.append(line)

    def changed(self, changes: Iterable[Change]) -> None:
        """Take in what became of alerts; one that never fired is no alert."""
        for change in changes:
            alert = change.alert
            key = alert.fingerprint
            if alert.state is AlertState.FIRING and key not in self._open:
                assert alert.started_at is not None  # it fires
                episode = Episode(alert.name, dict(alert.labels), alert.severity.value, alert.started_at)
                episode.see(alert)
                self._open[key] = episode
                self.alerts.append(episode)
            elif alert.state is AlertState.RESOLVED and key in self._open:
                self._open.pop(key).resolved_at = alert.resolved_at

    def firing(self, alerts: Iterable[Alert]) -> None:
        """Take in the newest state of alerts that fire."""
        for alert in alerts:
            if alert.fingerprint in self._open and alert.state is AlertState.FIRING:
                self._open[alert.fingerprint].see(alert)

    def noted(self, entry: dict[str, Any]) -> None:
        """Take in an entry of the ledger about a retraining."""
        data = entry["data"]
        row = {"at": entry["at"], "decision": data["state"], "reason": data["reason"]}
        self.retrainings.append({**row, "app": entry["app"], "model": entry["model"], "guard": data["guard"] or None})

    def rest_as_json(self) -> dict[str, Any]:
        """Everything but the findings, which may be many."""
        return {
            "windows": self.windows,
            "alerts": [episode.as_json() for episode in self.alerts],
            "retrainings": self.retrainings,
        }

    def write_json(self) -> Iterator[str]:
        """The whole as JSON text, in pieces."""
        rest = self.rest_as_json()
        yield f'{{\n"windows": {rest["windows"]},\n"findings": ['
        for place, line in enumerate(self.findings.lines()):
            yield (",\n" if place else "\n") + line
        alerts, retrainings = (json.dumps(rest[name], indent=1) for name in ("alerts", "retrainings"))
        yield f'],\n"alerts": {alerts},\n"retrainings": {retrainings}\n}}\n'

    def close(self) -> None:
        self.findings.close()
