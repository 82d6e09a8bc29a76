"""Records that were set aside: to be read, and to be sent again once what was wrong is mended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from monitor.store.quarantine import read_aside
from monitor.web._query import sequence_number
from monitor.web._watch import Watch
from monitor.wire import BadBody, Kind

Endpoint = Callable[[Request], Awaitable[Response]]
PAGE = 200
MOST = 1000  # numbers of records in one request

Seq = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]


class Again(msgspec.Struct):
    """Which records are to be sent again: of one kind these, or the oldest thousand."""

    kind: Kind
    seqs: Annotated[list[Seq], msgspec.Meta(max_length=MOST)] | None = None


def read_again(body: bytes) -> Again:
    """What is to be sent again.

    Raises:
        BadBody: it is not said.
    """
    try:
        return msgspec.json.decode(body, type=Again)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        said = f"{str(error)[:1].lower()}{str(error)[1:]}".replace("`", "'")
        raise BadBody(f'expected {{"kind": …, "seqs": […]}}: {said}') from None


def rejected(watch: Watch) -> Endpoint:
    """Records that were set aside, after `?after=`, oldest first."""

    async def answer(request: Request) -> Response:
        after = sequence_number(request)

        def read() -> list[dict[str, object]]:
            with watch.store.read() as connection:
                return read_aside(connection, after=after, limit=PAGE)

        return JSONResponse({"rejected": await asyncio.to_thread(read)})

    return answer
