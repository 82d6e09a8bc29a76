"""What a check has left for its next run, and what was said of each window as its labels came."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select

from monitor.records import CheckResult, Finding, Verdict, Window, iso
from monitor.store.schema import states, verdicts

Subject = tuple[str | None, str | None, str, str | None]


def load_states(connection: Connection, app: str, model: str) -> dict[str, str]:
    """What each check of a model has left, by the check's name."""
    query = select(states.c.check, states.c.state).where(states.c.app == app, states.c.model == model)
    return {row.check: row.state for row in connection.execute(query)}


def keep(connection: Connection, result: CheckResult, now: float) -> None:
    """Keep what a check has left, and what it says of windows where that is new."""
    model = result.model or ""
    if result.state is not None:
        drop_state(connection, result.app, model, result.check)
        row = {"app": result.app, "model": model, "check": result.check, "state": result.state}
        connection.execute(insert(states).values(**row))
    if result.history:
        _keep_verdicts(connection, result, model, now)


def drop_state(connection: Connection, app: str, model: str, check: str) -> None:
    """Forget what a check has left."""
    connection.execute(delete(states).where(states.c.app == app, states.c.model == model, states.c.check == check))


def _keep_verdicts(connection: Connection, result: CheckResult, model: str, now: float) -> None:
    of_check = (verdicts.c.app == result.app, verdicts.c.model == model, verdicts.c.check == result.check)
    ends = sorted({finding.window.end for finding in result.history})
    newest = select(func.max(verdicts.c.seq)).where(*of_check, verdicts.c.window_end.in_(ends))
    newest = newest.group_by(verdicts.c.window_start, verdicts.c.window_end, verdicts.c.subject)
    query = select(verdicts.c.window_start, verdicts.c.window_end, verdicts.c.subject, verdicts.c.said)
    found = connection.execute(query.where(verdicts.c.seq.in_(newest)))
    known = {(row.window_start, row.window_end, row.subject): row.said for row in found}
    fresh = []
    for finding in result.history:
        key, said = (finding.window.start, finding.window.end, _subject(finding)), _said(finding)
        if known.get(key) != said:
            known[key] = said
            names = ("window_start", "window_end", "subject")
            about = {"app": result.app, "model": model, "check": result.check, "at": now, "said": said}
            fresh.append({**about, **dict(zip(names, key, strict=True))})
    if fresh:
        connection.execute(insert(verdicts), fresh)


def last_verdicts(
    connection: Connection, app: str, model: str, windows: Sequence[Window]
) -> dict[tuple[str, Window, Subject], Verdict]:
    """What was said last of some windows, by check, window and subject (version, feature, statistic, segment)."""
    of_model = (verdicts.c.app == app, verdicts.c.model == model)
    ends = [window.end for window in windows]
    query = select(verdicts).where(*of_model, verdicts.c.window_end.in_(ends)).order_by(verdicts.c.seq)
    found = {}
    for row in connection.execute(query):
        about, window = json.loads(row.subject), Window(row.window_start, row.window_end)
        subject = about["version"], about["feature"], about["statistic"], about["segment"]
        found[row.check, window, subject] = Verdict(json.loads(row.said)["verdict"])
    return found


def _subject(finding: Finding) -> str:
    names = ("version", "statistic", "feature", "segment")
    return json.dumps({name: getattr(finding, name) for name in names})


def _said(finding: Finding) -> str:
    # Its reason is left out: where it tells a number, it changes with every label.
    names = ("value", "threshold", "rows", "provisional")
    return json.dumps({"verdict": finding.verdict.value, **{name: getattr(finding, name) for name in names}})


def read_verdicts(
    connection: Connection, *, app: str | None, model: str | None, check: str | None, after: int, limit: int
) -> list[dict[str, Any]]:
    """What was said of windows, in the order in which it was: each entry is a revision of the one before on its subject."""
    wanted = {"app": app, "model": model, "check": check}
    where = [verdicts.c[name] == value for name, value in wanted.items() if value is not None]
    query = select(verdicts).where(verdicts.c.seq > after, *where).order_by(verdicts.c.seq).limit(limit)
    return [
        {
            "seq": row.seq,
            "at": iso(row.at),
            "app": row.app,
            "model": row.model,
            "check": row.check,
            "window": {"start": iso(row.window_start), "end": iso(row.window_end)},
            **json.loads(row.subject),
            **json.loads(row.said),
        }
        for row in connection.execute(query)
    ]


def expire_verdicts(connection: Connection, *, before: float, limit: int) -> int:
    """Drop what was said before an instant; how many rows went."""
    old = select(verdicts.c.seq).where(verdicts.c.at < before).limit(limit)
    return int(connection.execute(delete(verdicts).where(verdicts.c.seq.in_(old))).rowcount)
