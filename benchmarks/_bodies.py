"""Requests as strangers send them: near to what is right, and wrong somewhere; drawn from a seed, thousands in a second."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import pyarrow as pa
import zstandard

from benchmarks._asking import Asked

NUMBERS = (
    0, 1, -1, 0.5, -0.0, 1e-320, 1e300, -1e300, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**40,
    4102444800, 1795161600,
)  # fmt: skip
TEXTS = (
    "", "a", "demand", "risk", "shop", "bank", "winter", "summer", "été", "🚲", "a\0b", '"', "\\",
    "x" * 257, "x" * 300_000, "null",
    "NaN", "1", "2026-11-20T08:00:00Z", "2026-11-20T08:00:00", "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59", "2026-13-01",
    "../..", "%00", "';--", "{{7*7}}", "\u2028", "\ufffe",
)  # fmt: skip
NAMES = ("temp", "season", "holiday", "hour", "é")
RAW = (
    b"", b"[", b"{", b"]", b"}", b'"', b",", b":", b"\n", b"\r\n", b"\0", b"\xff", b"\xef\xbb\xbf", b"null", b"true", b"NaN",
    b"Infinity", b"1e400", b"-", b"0" * 50, b"9" * 5000, b"[" * 5000, b'{"a":' * 2000, b"\\ud800", b"\\u0000", b"\x1f\x8b\x08",
    b"\x28\xb5\x2f\xfd",
    b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80", b"/*", b"1" * 4300,
)  # fmt: skip
IDS = 5000  # so many ids come again and again
KINDS = {
    "json": "application/json",
    "lines": "application/x-ndjson",
    "columns": "application/json",
    "arrow": "application/vnd.apache.arrow.stream",
}
KSERVE, SELDON = "org.kubeflow.serving.inference", "io.seldon.serving"


def value(draw: random.Random, depth: int = 3) -> Any:
    """Any JSON value."""
    kind = draw.randrange(9 if depth else 6)
    if kind < 2:
        return draw.choice(NUMBERS)
    if kind < 4:
        return draw.choice(TEXTS) if draw.random() < 0.2 else draw.choice(TEXTS[:12])
    if kind == 4:
        return draw.choice((True, False, None))
    if kind == 5:
        return draw.random()
    if kind < 8:
        return [value(draw, depth - 1) for _ in range(draw.randrange(4))]
    return {name(draw): value(draw, depth - 1) for _ in range(draw.randrange(4))}


def name(draw: random.Random) -> str:
    return draw.choice(NAMES) if draw.random() < 0.7 else draw.choice(TEXTS[:18])


def prediction(draw: random.Random) -> dict[str, Any]:
    """A good prediction of one of the models."""
    model = draw.choice(("demand", "demand", "risk"))
    record = {
        "model": model,
        "event_id": f"{model}-{draw.randrange(IDS)}" if draw.random() < 0.5 else f"e{draw.getrandbits(60):x}",
        "timestamp": draw.choice(
            (1795161600 + draw.randrange(10**6), "2026-11-20T08:00:00Z", "2026-11-20T08:00:00.123456789+05:30")
        ),
        "model_version": f"v{draw.randrange(30)}",
        "features": {
            "temp": draw.random(),
            "season": draw.choice(("winter", "summer")),
            "holiday": draw.random() < 0.1,
        },
        "prediction": draw.random() * 100 if model == "demand" else draw.choice(("yes", "no")),
    }
    if model == "risk":
        record |= {"app": "bank", "probability": {"yes": draw.random(), "no": draw.random()}}
    if draw.random() < 0.3:
        record["latency_seconds"] = draw.random()
    if draw.random() < 0.1:
        del record["features"][draw.choice(("temp", "season", "holiday"))]  # type: ignore[attr-defined]
    return record


def label(draw: random.Random) -> dict[str, Any]:
    """A good label."""
    model = draw.choice(("demand", "risk"))
    record = {"model": model, "event_id": f"{model}-{draw.randrange(2 * IDS)}", "label": draw.random()}
    return (
        record
        | ({"app": "bank"} if model == "risk" else {})
        | ({"label_timestamp": 1795161600} if draw.random() < 0.5 else {})
    )


def spoiled(draw: random.Random, record: dict[str, Any]) -> dict[str, Any]:
    """A record with something odd in one place."""
    found = dict(record)
    key = draw.choice((*found, "app", "probability", "latency_seconds", "model_version", "x"))
    if key == "features" and isinstance(found.get(key), dict) and draw.random() < 0.7:
        found[key] = {**found[key], name(draw): value(draw, 2)}
    elif draw.random() < 0.2:
        found.pop(key, None)
    else:
        found[key] = value(draw, 2)
    return found


def _columns(records: list[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key in dict.fromkeys(key for record in records for key in record):
        held = [record.get(key) for record in records]
        if all(isinstance(each, dict) for each in held):
            found[key] = {
                inner: [each.get(inner) for each in held] for inner in dict.fromkeys(k for each in held for k in each)
            }
        else:
            found[key] = held
    return found


def _arrow(records: list[dict[str, Any]]) -> bytes:
    columns: dict[str, Any] = {}
    for key, held in _columns(records).items():
        for inner, each in held.items() if isinstance(held, dict) else (("", held),):
            try:
                columns[f"{key}.{inner}" if inner else key] = pa.array(each)
            except (pa.ArrowException, OverflowError, UnicodeEncodeError):
                columns[key] = pa.array([str(one) for one in each])
    sink = pa.BufferOutputStream()
    table = pa.table(columns)
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def written(form: str, records: list[dict[str, Any]]) -> bytes:
    """Records in one of the forms."""
    if form == "lines":
        return b"\n".join(json.dumps(record).encode() for record in records)
    if form == "arrow":
        return _arrow(records)
    if form == "columns":
        return json.dumps(_columns(records)).encode()
    return json.dumps(records[0] if len(records) == 1 else records).encode()


def damaged(draw: random.Random, body: bytes) -> bytes:
    """A body with some bytes changed, put in, taken out, doubled or cut off."""
    held = bytearray(body)
    for _ in range(draw.choice((1, 1, 1, 2, 5))):
        at = draw.randrange(len(held) + 1)
        kind = draw.randrange(6)
        if kind == 0 and held:
            held[at % len(held)] = draw.randrange(256)
        elif kind == 1 and held:
            held[at % len(held)] ^= 1 << draw.randrange(8)
        elif kind == 2:
            held[at:at] = draw.choice(RAW)
        elif kind == 3:
            del held[at : at + draw.choice((1, 2, 4, 20))]
        elif kind == 4:
            held[at:at] = held[at : at + draw.choice((1, 8, 50))]
        else:
            del held[at:]
    return bytes(held)


@cache
def _bomb(encoding: str) -> bytes:
    """A few bytes that are very many."""
    held = b" " * 200_000_000
    return gzip.compress(held) if encoding == "gzip" else zstandard.compress(held)


def packed(draw: random.Random, body: bytes) -> tuple[bytes, list[tuple[str, str | bytes]], bool]:
    """A body with its content encoding, and whether it is the same behind it: now and then it is not what is told."""
    if draw.random() < 0.85:
        return body, [], True
    told = draw.choice(("gzip", "zstd"))
    pack = (lambda each: gzip.compress(each, 1)) if told == "gzip" else zstandard.compress
    kind = draw.randrange(8)
    if kind == 0:
        return body, [("Content-Encoding", draw.choice((told, "br", "", "gzip, zstd", "GZIP ", "identity")))], True
    if kind == 1:
        return damaged(draw, pack(body)), [("Content-Encoding", told)], False
    if kind == 2:
        at = draw.randrange(len(body) + 1)
        return pack(body[:at]) + pack(body[at:]), [("Content-Encoding", told)], True
    if kind == 3 and draw.random() < 0.02:
        return _bomb(told), [("Content-Encoding", told)], False
    return pack(body), [("Content-Encoding", told)], True


# --- requests ---------------------------------------------------------------------------------------------------------


def records_request(draw: random.Random, kind: str) -> tuple[Asked, list[dict[str, Any]] | None]:
    """Predictions or labels, and the records that were sent where they were sent as they are."""
    good = prediction if kind == "predictions" else label
    records = [good(draw) for _ in range(draw.choice((1, 1, 2, 3, 8)))]
    mode = draw.random()
    if mode < 0.35:
        at = draw.randrange(len(records))
        records[at] = spoiled(draw, records[at])
    form = draw.choice(("json", "json", "json", "lines", "lines", "columns", "arrow"))
    as_they_are = form in ("json", "lines") and not any(isinstance(record.get("event_id"), list) for record in records)
    whole: list[dict[str, Any]] | None = records if as_they_are else None
    if mode > 0.95:
        form, body, whole = "json", json.dumps(value(draw, 4)).encode(), None
    elif mode > 0.93:
        body, whole = draw.randbytes(draw.randrange(200)), None
    else:
        body = written(form, records)
    if 0.6 < mode <= 0.93:
        body, whole = damaged(draw, body), None
    body, headers, is_same = packed(draw, body)
    query = draw.choice(("", "", "model=demand", "model=%00", "model=" + "x" * 1000, "model=demand&model=risk"))
    return Asked(
        "POST", f"/v1/{kind}", body, [("Content-Type", KINDS[form]), *headers], query, draw.choice((1, 1, 2, 5))
    ), whole if is_same else None


def _called(draw: random.Random) -> tuple[str, Any]:
    rows = draw.choice((1, 1, 2))
    side = draw.choice(("request", "response"))
    if draw.random() < 0.3:
        return side, value(draw, 4)
    if draw.random() < 0.5:
        asked: Any = {"instances": [{"temp": draw.random(), "season": "winter"} for _ in range(rows)]}
        return side, asked if side == "request" else {"predictions": [draw.random() for _ in range(rows)]}
    tensor = {"name": "temp", "shape": [rows], "datatype": "FP64", "data": [draw.random() for _ in range(rows)]}
    if side == "request":
        return side, {"inputs": [tensor]}
    return side, {"model_name": "demand", "model_version": "v1", "outputs": [{**tensor, "name": "predict"}]}


def call_request(draw: random.Random) -> tuple[Asked, None]:
    """A CloudEvent, in any of its modes."""
    side, data = _called(draw)
    sender = draw.choice(
        (f"{KSERVE}.{side}", f"{KSERVE}.{side}", f"{SELDON}.inference.{side}", f"{SELDON}.feedback", "x")
    )
    if sender.endswith("feedback"):
        data = {
            "response": {"meta": {"puid": f"c{draw.randrange(IDS)}"}},
            "truth": {"data": {"ndarray": [[draw.random()]]}},
        }
    about: dict[str, Any] = {
        "specversion": "1.0", "id": f"c{draw.randrange(IDS)}", "source": "x", "type": sender, "time": "2026-11-20T08:00:00Z",
        "inferenceservicename": draw.choice(("bikes", "bikes", "demand", "nobody")), "requestid": f"c{draw.randrange(IDS)}",
    }  # fmt: skip
    if draw.random() < 0.2:
        about = spoiled(draw, about)
    mode = draw.randrange(3)
    if mode == 0:
        headers = [
            (f"ce-{key}", str(held).encode("utf-8", "replace")) for key, held in about.items() if "\0" not in str(held)
        ]
        body, content = json.dumps(data).encode(), "application/json"
        if draw.random() < 0.1:
            headers.append(
                (
                    "Inference-Header-Content-Length",
                    draw.choice((b"5", b"-1", b"9" * 30, b"x", str(len(body)).encode())),
                )
            )
    else:
        event = {**about, "data": data}
        events = [event, {**event, "id": f"c{draw.randrange(IDS)}"}, value(draw, 2)][: draw.randrange(4)]
        headers, content = [], "application/cloudevents+json" if mode == 1 else "application/cloudevents-batch+json"
        body = json.dumps(event if mode == 1 else events).encode()
    if draw.random() < 0.3:
        body = damaged(draw, body)
    body, more, _ = packed(draw, body)
    return Asked("POST", "/v1/cloudevents", body, [("Content-Type", content), *headers, *more]), None


def webhook_request(draw: random.Random) -> tuple[Asked, None]:
    """A webhook of Alertmanager's."""
    labels = {
        "alertname": draw.choice(("AnchorwatchDataDrift", "x")),
        "app": "shop",
        "model": "demand",
        "version": "v1",
    }
    alert = {"status": draw.choice(("firing", "resolved")), "labels": labels, "startsAt": draw.choice(TEXTS)}
    alerts = [spoiled(draw, alert) if draw.random() < 0.5 else alert for _ in range(draw.randrange(4))]
    return _as_json(draw, "/v1/alerts", {"version": "4", "alerts": alerts})


def again_request(draw: random.Random) -> tuple[Asked, None]:
    """Records that were set aside are sent again."""
    asked: Any = {"kind": draw.choice(("predictions", "labels"))}
    if draw.random() < 0.8:
        asked["seqs"] = [draw.randrange(1, 20_000) for _ in range(draw.randrange(20))]
    return _as_json(draw, "/v1/rejected", spoiled(draw, asked) if draw.random() < 0.3 else asked)


def _as_json(draw: random.Random, path: str, said: Any) -> tuple[Asked, None]:
    body = json.dumps(value(draw, 4) if draw.random() < 0.1 else said).encode()
    if draw.random() < 0.3:
        body = damaged(draw, body)
    return Asked("POST", path, body, [("Content-Type", "application/json")], pieces=draw.choice((1, 3))), None


HEADERS: tuple[tuple[str, tuple[bytes, ...]], ...] = (
    ("Host", (b"[", b"localhost", b"evil.example", b"[::1]:9877", b"\xff", b"", b"127.0.0.1:x", b"a]b")),
    (
        "Origin",
        (b"null", b"http://[", b"http://localhost:9877", b"https://evil.example", b"//", b"http://\xe2\x84\x80"),
    ),
    ("Sec-Fetch-Site", (b"cross-site", b"same-origin", b"none", b"")),
    ("Authorization", (b"Bearer", b"Bearer x", b"Basic \xff", b"bearer  ", b"")),
    (
        "Content-Type",
        (
            b"",
            b"text/plain",
            b"application/json; charset=utf-16",
            b"APPLICATION/JSON",
            b"a/b;",
            b"\xff",
            b"application/x-ndjson",
        ),
    ),
    ("Content-Length", (b"-1", b"99999999999999999999", b"x")),
    ("Accept", (b"*/*", b"\xff", b"text/html;q=x")),
)


def request(draw: random.Random) -> tuple[Asked, list[dict[str, Any]] | None]:
    """Any request to take something in, and its records where they were sent as they are."""
    makers: tuple[Callable[[random.Random], tuple[Asked, Any]], ...] = (
        partial(records_request, kind="predictions"), partial(records_request, kind="labels"), call_request,
        webhook_request, again_request,
    )  # fmt: skip
    asked, whole = draw.choices(makers, (50, 20, 20, 5, 5))[0](draw)
    if draw.random() < 0.05:
        key, values = draw.choice(HEADERS)
        headers = [*asked.headers, (key, draw.choice(values))]
        cut = draw.random() < 0.2
        asked = Asked(asked.method, asked.path, asked.body, headers, asked.query, asked.pieces, cut)
    return asked, whole
