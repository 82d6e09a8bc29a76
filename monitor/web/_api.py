"""What the watch knows, as JSON, and as one page for people."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from monitor.records import iso
from monitor.store import watch as kept
from monitor.store.history import load_states, read_verdicts
from monitor.web._guard import authorise_names
from monitor.web._query import sequence_number
from monitor.web._watch import Watch

Endpoint = Callable[[Request], Awaitable[Response]]
ENTRIES = 1000


class Json(JSONResponse):
    """As JSON, which has no infinite numbers: they are null, and no reason to answer nothing at all."""

    def render(self, content: Any) -> bytes:
        """The body."""
        return msgspec.json.encode(content)


def _read(watch: Watch, query: Callable[[Connection], Any]) -> Awaitable[Any]:
    def run() -> Any:
        with watch.store.read() as connection:
            return query(connection)

    return asyncio.to_thread(run)


def _results(connection: Connection) -> list[dict[str, Any]]:
    return [
        {
            "app": row.result.app,
            "model": row.result.model,
            "check": row.result.check,
            "state": row.result.verdict.value,
            "reason": row.result.reason,
            "rows": row.result.rows,
            "window": {"start": iso(row.result.window.start), "end": iso(row.result.window.end)},
            "last_run": iso(row.at),
            "last_success": None if row.last_success is None else iso(row.last_success),
            "windows_breached_in_a_row": row.streak,
        }
        for row in kept.all_results(connection)
    ]


def status(watch: Watch) -> Endpoint:
    """The state of the watch and of every check."""

    async def answer(_: Request) -> Response:
        return Json({**_watch_state(watch), "checks": await _read(watch, _results)})

    return answer


def _watch_state(watch: Watch) -> dict[str, Any]:
    return {"ready": watch.ready, "now": iso(watch.clock.now()), "config_hash": watch.loaded.hash}


def findings(watch: Watch) -> Endpoint:
    """The newest findings of every check."""

    async def answer(request: Request) -> Response:
        wanted = {name: value for name, value in request.query_params.items() if name in ("app", "model", "check")}
        rows = await _read(watch, lambda c: [f.as_json() for row in kept.all_results(c) for f in row.result.findings])
        shown = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
        return Json({"findings": shown})

    return answer


def verdicts(watch: Watch) -> Endpoint:
    """What was said of each window, and how that changed as labels came, after `?after=`; a thousand at most."""

    async def answer(request: Request) -> Response:
        after = sequence_number(request)
        wanted = {name: request.query_params.get(name) for name in ("app", "model", "check")}
        rows = await _read(watch, lambda c: read_verdicts(c, **wanted, after=after, limit=ENTRIES))
        return Json({"verdicts": rows})

    return answer


def groups(watch: Watch) -> Endpoint:
    """What the numbers stand for that anonymous groups of people go by."""

    def legends(connection: Connection) -> list[dict[str, Any]]:
        models = [(app.name, model) for app, model in watch.loaded.config.models()]
        kept_states = [(app, model, load_states(connection, app, model.name)) for app, model in models]
        return [
            {"app": app, "model": model.name, "groups": json.loads(states["fairness"])}
            for app, model, states in kept_states
            if "fairness" in states and "fairness" in model.checks
        ]

    async def answer(request: Request) -> Response:
        authorise_names(request, watch)
        return Json({"legends": await _read(watch, legends)})

    return answer


def alerts(watch: Watch) -> Endpoint:
    """Alerts, the live ones first."""

    async def answer(_: Request) -> Response:
        rows = await _read(
            watch, lambda c: [{**kept.alert_as_json(a), "check": check} for a, check in kept.all_alerts(c)]
        )
        return Json({"alerts": rows})

    return answer


def retrainings(watch: Watch) -> Endpoint:
    """Retrainings, the newest first."""

    async def answer(_: Request) -> Response:
        rows = await _read(watch, lambda c: [row.as_json() for row in kept.all_retrainings(c)])
        return Json({"retrainings": rows})

    return answer


def ledger(watch: Watch) -> Endpoint:
    """Entries of the ledger after `?after=`, oldest first, a thousand at most."""

    async def answer(request: Request) -> Response:
        after = sequence_number(request)
        return Json({"entries": await _read(watch, lambda c: kept.read_ledger(c, after=after, limit=ENTRIES))})

    return answer


@cache
def _template() -> Any:
    # Here and not above: a daemon whose page nobody opens does without it.
    from jinja2 import Environment, select_autoescape

    environment = Environment(autoescape=select_autoescape(default=True), trim_blocks=True, lstrip_blocks=True)
    return environment.from_string((Path(__file__).parent / "status.html").read_text(encoding="utf-8"))


def page(watch: Watch) -> Endpoint:
    """The state of everything on one page."""

    def gather(connection: Connection) -> dict[str, Any]:
        return {
            "checks": _results(connection),
            "alerts": [kept.alert_as_json(alert) for alert, _ in kept.all_alerts(connection, limit=50)],
            "retrainings": [row.as_json() for row in kept.all_retrainings(connection, limit=20)],
            "findings": [
                finding.as_json()
                for row in kept.all_results(connection)
                for finding in row.result.findings
                if finding.verdict.value != "ok" and finding.model is not None
            ][:100],
        }

    async def answer(_: Request) -> Response:
        data = await _read(watch, gather)
        text = _template().render(**_watch_state(watch), apps=watch.loaded.config.apps, **data)
        policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
        return HTMLResponse(text, headers={"Content-Security-Policy": policy})

    return answer
