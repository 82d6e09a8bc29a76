"""What the daemon's ledger and findings say, told to a person in a few lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from monitor.records import instant, iso

WEEK = 7 * 86400.0
Row = Mapping[str, Any]


class Story:
    """Asks the daemon and gives the lines that were not told yet, each with the date of its event.

    `recovered` is set once the ledger says that a new version has recovered.
    """

    def __init__(self) -> None:
        self.recovered = False
        self._told: set[str] = set()
        self._seq = 0
        self._week_told = 0.0

    def new_lines(self, get: Callable[[str], Any]) -> list[str]:
        """Ask through `get(path)`, which answers with the JSON of that path of the daemon."""
        findings = _rows(get("/v1/findings"), "findings")
        entries = _rows(get(f"/v1/ledger?after={self._seq}"), "entries", "ledger")
        self._seq = max([self._seq, *(int(entry["seq"]) for entry in entries)])
        lines = [*self._probes(findings), *self._week(findings), *_drift(entries)]
        for entry in entries:
            data = entry.get("data") or {}
            if entry["kind"] == "retraining" and data.get("state") == "refused":
                told = f"refused    not another retraining of {data.get('version')} now: {data.get('guard')}"
                lines += self._once(entry["at"], told)
            elif entry["kind"] == "retraining":
                lines += self._retraining(entry["at"], data)
            elif entry["kind"] == "alert" and data.get("name") != "ModelFeatureDrift":
                lines += _alert(entry["at"], data)
        return sorted(lines, key=lambda line: line[:10])

    def _once(self, at: object, text: str) -> Iterator[str]:
        if text not in self._told:
            self._told.add(text)
            yield f"{_date(at)}  {text}"

    def _probes(self, findings: Sequence[Row]) -> Iterator[str]:
        for row in findings:
            if str(row.get("check", "")).startswith("probe:") and row.get("verdict") == "ok":
                yield from self._once(row["window"]["end"], f"watching   {row['app']} answers its {row['check']}")

    def _week(self, findings: Sequence[Row]) -> Iterator[str]:
        """Once a week, how the model does: its error, and the features that drifted most."""
        counting = [row for row in findings if not row.get("superseded")]
        judged = [row for row in counting if row.get("value") is not None and row.get("version")]
        errors = [row for row in judged if row.get("statistic") == "mae"]
        newest = max(errors, key=lambda row: (row["window"]["end"], row["version"]), default=None)
        if newest is None or instant(newest["window"]["end"]) < self._week_told + WEEK:
            return
        self._week_told = instant(newest["window"]["end"])
        scores = [row for row in judged if row.get("statistic") == "psi" and row["version"] == newest["version"]]
        drift = [row for row in scores if row["feature"] not in ("prediction", "label")]
        worst = sorted(drift, key=lambda row: -float(row["value"]))[:2]
        told = ", ".join(f"{row['feature']} {row['value']:.2f}" for row in worst) or "not known yet"
        error = f"error {newest['value']:4.1f} rides/h (limit {newest['threshold']:g}) on {newest['rows']} labels"
        yield f"{_date(self._week_told)}  week       {newest['version']}: {error}; drift (PSI): {told}"

    def _retraining(self, at: object, data: Row) -> Iterator[str]:
        """One step of a retraining, in words."""
        state, reason, new = data.get("state"), data.get("reason"), data.get("new_version")
        self.recovered = self.recovered or state == "recovered"
        words: dict[object, str] = {
            "requested": f"RETRAIN    asked the app by webhook to train {data.get('version')} anew{_because(data)}",
            "accepted": "RETRAIN    the app accepted, and trains in the background",
            "deployed": f"DEPLOYED   {new} answers the riders now",
            "recovered": f"RECOVERED  {new} is within its limit: the loop is closed",
            "not_recovered": f"NOT BETTER {new} did not recover: {reason}",
            "failed": f"FAILED     the request for a retraining was not delivered: {reason}",
            "timed_out": "TIMED OUT  no new version was seen",
        }
        if state in words:
            yield f"{_date(at)}  {words[state]}"


def _drift(entries: Sequence[Row]) -> Iterator[str]:
    """The features that began to drift, those of one day in one line."""
    found: dict[str, dict[str, None]] = {}
    for entry in entries:
        data = entry.get("data") or {}
        if entry["kind"] == "alert" and data.get("name") == "ModelFeatureDrift" and data.get("state") == "firing":
            found.setdefault(_date(entry["at"]), {})[str((data.get("labels") or {}).get("feature"))] = None
    for date, features in found.items():
        yield f"{date}  ALERT      {', '.join(features)} drifted away from the training data"


def _because(data: Row) -> str:
    """The evidence for a retraining, as far as the ledger says it."""
    told = [f"{row['statistic']} {row['value']:.1f}, limit {row['threshold']:g}" for row in data.get("evidence") or ()]
    return f" ({'; '.join(told)})" if told else ""


def _alert(at: object, data: Row) -> Iterator[str]:
    if data.get("state") in ("firing", "resolved"):
        word = "ALERT    " if data["state"] == "firing" else "resolved "
        yield f"{_date(at)}  {word}  {data.get('summary') or data.get('name')}"


def _rows(answer: Any, *keys: str) -> list[Row]:
    """The list in an answer, bare or under one of these keys."""
    if isinstance(answer, list):
        return answer
    return next((list(answer[key]) for key in keys if key in answer), [])


def _date(at: object) -> str:
    return iso(float(at))[:10] if isinstance(at, int | float) else str(at)[:10]
