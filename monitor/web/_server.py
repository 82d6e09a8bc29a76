"""The routes of the daemon."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from monitor.serving_logs import Reason, Unreadable
from monitor.store import StoreError
from monitor.web._api import Json, alerts, findings, groups, ledger, page, retrainings, status, verdicts
from monitor.web._guard import Refused, Room, asks_token, authorise, content_type, limited_body
from monitor.web._outside import BadWebhook, read_webhook
from monitor.web._rejected import read_again, rejected
from monitor.web._watch import Watch
from monitor.wire import BadBody, Batch, Kind
from monitor.wire.bodies import ARROW, CONTENT_TYPES
from monitor.wire.limits import BODY_BYTES, VALUES, TooLarge
from monitor.wire.packed import unpacked

SMALL_BYTES = 16 * 1024  # below it, whatever it is is decoded in a moment
LARGE_BYTES = 512 * 1024  # above it, decoding leaves the loop to others
BODIES_BYTES = 128 * 1024 * 1024  # of all requests together, unpacked, and with what is made of them
VALUE_BYTES = 32  # that a value takes once it is decoded: a number, and where it stands
JSON_TYPES = ("application/json",)
WEBHOOK_BYTES = 4 * 1024 * 1024
AGAIN_BYTES = 1024 * 1024

Endpoint = Callable[[Request], Awaitable[Response]]


def create_app(watch: Watch) -> Starlette:
    """Everything the daemon serves on `listen`."""
    read = [
        ("/metrics", _metrics(watch)),
        ("/openapi.json", _openapi(watch)),
        ("/v1/status", status(watch)),
        ("/v1/findings", findings(watch)),
        ("/v1/verdicts", verdicts(watch)),
        ("/v1/groups", groups(watch)),
        ("/v1/alerts", alerts(watch)),
        ("/v1/retrainings", retrainings(watch)),
        ("/v1/ledger", ledger(watch)),
        ("/", page(watch)),
    ]
    room = Room(BODIES_BYTES)
    taken = [("predictions", _ingest(watch, room, "predictions")), ("labels", _ingest(watch, room, "labels"))]
    taken.append(("cloudevents", _cloudevents(watch, room)))
    # Routes are tried one after the other: what comes most often is first.
    routes = [
        Route(f"/v1/{kind}", _guarded(watch, "ingest", endpoint, kind), methods=["POST"]) for kind, endpoint in taken
    ]
    routes += [Route(path, _guarded(watch, "read", endpoint), methods=["GET"]) for path, endpoint in read]
    routes += [
        Route("/v1/rejected", _guarded(watch, "operate", rejected(watch)), methods=["GET"]),
        Route("/v1/rejected", _guarded(watch, "operate", _again(watch, room)), methods=["POST"]),
        Route("/v1/alerts", _guarded(watch, "operate", _webhook(watch, room), "alerts"), methods=["POST"]),
        Route("/-/reload", _guarded(watch, "operate", _reload(watch)), methods=["POST", "PUT"]),
        *_probes(watch),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: _nothing_there})


def create_metrics_app(watch: Watch) -> Starlette:
    """What is served on `metrics_listen`: metrics and probes, without a token."""
    return Starlette(routes=[Route("/metrics", _metrics(watch), methods=["GET"]), *_probes(watch)])


def _probes(watch: Watch) -> list[Route]:
    async def livez(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        return PlainTextResponse("ready\n") if watch.ready else PlainTextResponse("starting\n", 503)

    return [Route("/livez", livez, methods=["GET"]), Route("/readyz", readyz, methods=["GET"])]


def _error(code: int, message: str) -> Response:
    headers = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "1"}}
    return JSONResponse({"error": message}, code, headers.get(code))


async def _nothing_there(request: Request, error: Exception) -> Response:
    """Another path, or another method of one that is there; several routes may have one path."""
    assert isinstance(error, HTTPException)
    routes = [route for route in request.app.routes if route.path == request.url.path]
    methods = sorted({method for route in routes for method in route.methods})
    if error.status_code != 405:
        return JSONResponse(
            {"error": f"expected a path of /openapi.json, got {request.url.path[:100]}"}, error.status_code
        )
    told = ", ".join(methods)
    return JSONResponse({"error": f"expected the method {told}, got {request.method[:20]}"}, 405, {"Allow": told})


def _guarded(watch: Watch, role: str, endpoint: Endpoint, kind: str = "") -> Endpoint:
    """The endpoint for those who may; everybody else is told why not, and counted."""

    def refused(code: int, message: str, reason: str) -> Response:
        if kind:
            watch.metrics.add("anchorwatch_ingest_requests_refused_total", kind=kind, reason=reason)
        return _error(code, message)

    async def guarded(request: Request) -> Response:
        if kind:
            watch.metrics.add("anchorwatch_ingest_requests_total", kind=kind)
        try:
            authorise(request, watch, role)
            return await endpoint(request)
        except Refused as refusal:
            return refused(refusal.status, refusal.message, refusal.reason)
        except BadBody as error:
            return refused(413 if isinstance(error, TooLarge) else 400, str(error), error.reason)
        except BadWebhook as error:
            return refused(400, str(error), "not_a_webhook")
        except StoreError as error:
            # 503 and not 429: Alertmanager gives up on a 429.
            return refused(503, f"the store is not available: {error}", "store")
        except ClientDisconnect:
            return refused(400, "the client went away", "disconnected")

    return guarded


def _metrics(watch: Watch) -> Endpoint:
    async def metrics(request: Request) -> Response:
        watch.metrics.set("anchorwatch_store_queue_length", watch.store.queue_length)
        compressed = _takes_gzip(request.headers.get("accept-encoding", ""))
        page, kind = await asyncio.to_thread(watch.metrics.render, request.headers.get("accept"), compressed=compressed)
        headers = {"Content-Type": kind, "Vary": "Accept, Accept-Encoding"}
        return Response(page, headers=headers | ({"Content-Encoding": "gzip"} if compressed else {}))

    return metrics


def _takes_gzip(accepted: str) -> bool:
    """Whether a header names gzip, or whatever it does not name, without ruling it out (RFC 9110, 12.5.3)."""
    found = {}
    for each in accepted.lower().split(","):
        name, *parameters = (part.strip() for part in each.split(";"))
        found[name] = not any(re.fullmatch(r"q=0(\.0{0,3})?", part) for part in parameters)
    return found.get("gzip", found.get("*", False))


def _openapi(watch: Watch) -> Endpoint:
    async def openapi(_: Request) -> Response:
        # Here and not above: a daemon that nobody asks for its description does without it.
        from monitor.web._openapi import document

        found = document(partial(asks_token, watch.loaded.config))
        return Response(msgspec.json.encode(found), media_type="application/json")

    return openapi


def _text(body: bytes, encoding: str, form: str, take: Callable[[int], None]) -> bytes:
    """A body without its encoding, with room taken for it and for its values.

    Raises:
        BadBody: it is not encoded that way, or holds too much.
        Refused: there is no room for it.
    """
    text = unpacked(body, encoding, take=take)
    values = len(text) // 8 if form == ARROW else text.count(b",")
    take(min(values, VALUES) * VALUE_BYTES)
    return text


def _ingest(watch: Watch, room: Room, kind: Kind) -> Endpoint:
    async def ingest(request: Request) -> Response:
        form = CONTENT_TYPES[content_type(request, tuple(CONTENT_TYPES))]
        encoding = request.headers.get("content-encoding", "").strip().lower()
        model = request.query_params.get("model", "")
        with room.held() as take:
            body = await limited_body(request, BODY_BYTES, take)

            def decoded() -> Batch:
                return watch.intake.read(_text(body, encoding, form, take), form, kind, model)

            batch = None
            # What takes its time is decoded beside the loop; for others the way there would take longer.
            if not encoding and form != ARROW:
                if len(body) < SMALL_BYTES:
                    batch = decoded()
                elif len(body) < LARGE_BYTES:
                    batch = watch.intake.read_typed(body, form, kind)
            if batch is None:
                batch = await asyncio.to_thread(decoded)
            stored = await watch.intake.take_soon(batch)
        code = 422 if stored.records and not stored.accepted else 202
        return Json({"accepted": stored.accepted, "rejected": stored.rejected}, code)

    return ingest


def _cloudevents(watch: Watch, room: Room) -> Endpoint:
    async def cloudevents(request: Request) -> Response:
        encoding = request.headers.get("content-encoding", "").strip().lower()
        with room.held() as take:
            body = await limited_body(request, BODY_BYTES, take)

            def decoded() -> Batch:
                return watch.intake.read_calls(request.headers, _text(body, encoding, "", take))

            try:
                batch = await asyncio.to_thread(decoded)
            except Unreadable as error:
                if error.reason in (Reason.TOO_LARGE, Reason.TOO_MANY_ROWS):
                    raise TooLarge(str(error)) from None
                raise BadBody(str(error), error.reason) from None
            # KServe and Seldon send a body once and look at nothing but the status.
            rejected = list(batch.rejected)
            await watch.intake.take_soon(batch)
        code = 422 if batch.records and len(rejected) == batch.records else 202
        return Json({"accepted": batch.records - len(rejected), "rejected": rejected}, code)

    return cloudevents


def _again(watch: Watch, room: Room) -> Endpoint:
    async def again(request: Request) -> Response:
        content_type(request, JSON_TYPES)
        with room.held() as take:
            asked = read_again(await limited_body(request, AGAIN_BYTES, take))
        batch = await asyncio.to_thread(watch.intake.aside, asked.kind, asked.seqs)
        stored = await watch.intake.take_soon(batch)
        return Json({"accepted": stored.accepted, "rejected": stored.rejected})

    return again


def _webhook(watch: Watch, room: Room) -> Endpoint:
    async def webhook(request: Request) -> Response:
        content_type(request, JSON_TYPES)
        with room.held() as take:
            found = read_webhook(await limited_body(request, WEBHOOK_BYTES, take))
        decided = await asyncio.wrap_future(watch.alert_from_outside(found))
        return JSONResponse({"alerts": decided})

    return webhook


def _reload(watch: Watch) -> Endpoint:
    async def reload(_: Request) -> Response:
        if not watch.ready:
            return _error(503, "the daemon is starting, or about to end")
        problems = await asyncio.to_thread(watch.reload)
        if problems:
            return JSONResponse({"error": "the configuration in force was kept", "problems": problems}, 422)
        return JSONResponse({"hash": watch.loaded.hash})

    return reload
