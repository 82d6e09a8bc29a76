"""The daemon's web application asked in its own process, without sockets: what a server would hand it, and what it would send."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from starlette.applications import Starlette


@dataclass(frozen=True, slots=True)
class Asked:
    """One request."""

    method: str
    path: str
    body: bytes = b""
    headers: Sequence[tuple[str, str | bytes]] = ()
    query: str = ""
    pieces: int = 1
    cut: bool = False  # whoever asks goes away before all of it was sent


@dataclass(slots=True)
class Answered:
    """One answer; `fault` is what came out of the application instead of one."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    fault: BaseException | None = None

    def json(self) -> Any:
        return json.loads(self.body)


def _scope(asked: Asked) -> dict[str, Any]:
    headers = {"host": b"127.0.0.1:9877"}
    headers |= {
        name.lower(): value if isinstance(value, bytes) else value.encode("latin-1") for name, value in asked.headers
    }
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": asked.method,
        "path": asked.path,
        "raw_path": quote(asked.path).encode(),
        "query_string": asked.query.encode("latin-1", "replace"),
        "root_path": "",
        "scheme": "http",
        "headers": [(name.encode("latin-1"), value) for name, value in headers.items()],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 9877),
        "state": {},
    }


def _messages(asked: Asked) -> list[dict[str, Any]]:
    size = -(-len(asked.body) // asked.pieces) or 1
    parts = [asked.body[at : at + size] for at in range(0, len(asked.body), size)] or [b""]
    told = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    if not asked.cut:
        told[-1]["more_body"] = False
    return told


async def ask(app: Starlette, asked: Asked) -> Answered:
    """Ask once."""
    waiting, found, parts = _messages(asked), Answered(), []

    async def receive() -> dict[str, Any]:
        return waiting.pop(0) if waiting else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            found.status = message["status"]
            found.headers = {name.decode(): value.decode("latin-1") for name, value in message["headers"]}
        else:
            parts.append(message.get("body", b""))

    try:
        await app(_scope(asked), receive, send)
    except Exception as error:  # noqa: BLE001 - what comes out is what is looked for
        found.fault = error
    found.body = b"".join(parts)
    return found


def ask_all(app: Starlette, asked: Sequence[Asked], *, together: int = 1) -> list[Answered]:
    """Ask many times, so many at once; the answers in the order of the questions."""

    async def run() -> list[Answered]:
        found: list[Answered] = []
        for at in range(0, len(asked), together):
            found += await asyncio.gather(*(ask(app, each) for each in asked[at : at + together]))
        return found

    return asyncio.run(run())
