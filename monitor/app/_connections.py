"""The connections of a server: so many at most, and none of them keeps the others out by saying nothing."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST = 500  # of one address; a process may have 1,024 files open, where nobody says otherwise
PATIENCE_SECONDS = 60.0  # with one whose request is under way
TOLD = b'{"error": "expected fewer connections at once; send it again"}'


class Connections(HttpToolsProtocol):
    """One connection among others. Where there are too many, the one that has been quiet longest makes room for a new one.

    So whoever asks whether the daemon is alive, or scrapes it, is answered, however many clients keep their connections, or
    hang.
    """

    heard = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the class itself has it
        """Somebody has come."""
        super().connection_made(transport)
        self.heard = self.loop.time()
        if len(self.connections) > MOST:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        """Something came."""
        self.heard = self.loop.time()
        super().data_received(data)

    def _make_room(self) -> None:
        others = cast(set[Any], self.connections) - {self}
        quiet = min(others, key=lambda each: (each.is_busy, each.heard))
        if not quiet.is_busy or quiet.heard < self.loop.time() - PATIENCE_SECONDS:
            # Not `close`, which waits until what was written is read: nobody may be there to read it.
            quiet.transport.abort()
            self.connections.discard(quiet)  # now and not when the loop comes to it: the next one must find another
        else:
            self.app = partial(_reading_only, self.app)

    @property
    def is_busy(self) -> bool:
        """Whether a request is under way."""
        cycle: Any = self.cycle  # None before the first, whatever its type says
        return cycle is not None and not cycle.response_complete


async def _reading_only(app: Any, scope: Any, receive: Any, send: Any) -> None:
    """What a connection is answered for which there is no room: it may ask, and has to bring things again."""
    if scope["method"] == "GET":
        await app(scope, receive, send)
        return
    headers = {
        "content-type": "application/json",
        "content-length": str(len(TOLD)),
        "retry-after": "1",
        "connection": "close",
    }
    told = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": 503, "headers": told})
    await send({"type": "http.response.body", "body": TOLD})
