"""Builds docs/http.md: every request and every status from the operations that /openapi.json is made of, and what they are about.

Run it without arguments to write the page; a test keeps it true.
"""

from __future__ import annotations

from pathlib import Path

from monitor.app._connections import MOST
from monitor.store.events import POINTER_BYTES, ROW_BYTES
from monitor.store.quarantine import BYTES_KEPT, RECORD_BYTES, ROWS_KEPT
from monitor.web._guard import BODY_SECONDS
from monitor.web._openapi import meaning_of, statuses
from monitor.web._operations import JSON_TYPE, OPERATIONS, Operation
from monitor.web._server import BODIES_BYTES, VALUE_BYTES
from monitor.wire.limits import BODY_BYTES, RECORDS, UNPACKED_BYTES, VALUES

PAGE = Path(__file__).resolve().parents[1] / "docs" / "http.md"
MEBIBYTE = 1024 * 1024

HEAD = """\
# HTTP

<!-- Built by scripts/http_page.py from the code; a test keeps it true. -->

All on `listen` (default `127.0.0.1:9877`). `metrics_listen`, where it is set, serves only `/metrics`, `/livez` and
`/readyz`, without a token. `/openapi.json` describes everything below for machines (OpenAPI 3.1): clients can be made
from it, and tools try it out.

"""

FORMS = "| form | content type | |\n|---|---|---|\n" + "".join(
    f"| {name} | `{content}` | {said} |\n"
    for name, content, said in (
        ("JSON", "application/json", "one record, or a list of them"),
        ("lines", "application/x-ndjson", "one record a line"),
        (
            "columns",
            "application/json",
            (
                "one object: `event_id` is a list, and so is whatever differs from record to record; the rest is said once."
                " `features` and `probability` are objects of columns"
            ),
        ),
        (
            "Arrow",
            "application/vnd.apache.arrow.stream",
            (
                "an IPC stream: columns of the same names, features as a struct or as `features.<name>`, `probability.<class>`"
                " alike. The model stands in a column, in the schema's metadata or in `?model=`. Without compression of its own"
            ),
        ),
    )
)

TAKING_IN = f"""
An error is `{{"error": "…"}}` everywhere. What is read by `after` goes on behind that number; each entry has its own
as `seq`.

## Taking in predictions and labels

```json
{{"model": "bike-demand", "event_id": "a-1", "timestamp": "2026-11-20T08:00:00Z", "model_version": "v1",
 "features": {{"temp": 0.3, "hour": 8, "season": "winter"}}, "prediction": 212.0, "latency_seconds": 0.012}}
```

Beside these: `probability` (a number, or one by class) and `app`, which is needed only when two apps have a model of
one name. A label is `{{"model", "event_id", "label", "label_timestamp"}}`. Times are ISO 8601 (UTC where no offset is
given) or Unix seconds. Keys that are not listed are ignored. A feature is a number, a text, a flag, a vector or null;
whole numbers keep all their digits.

{FORMS}
Any of them may be packed: `Content-Encoding: gzip` or `zstd`. A request holds at most {BODY_BYTES // MEBIBYTE} MiB
({UNPACKED_BYTES // MEBIBYTE} MiB unpacked), {VALUES:,} values and {RECORDS:,} records; ids, versions and names at most
256 characters, a model at most 1,000 names in all, and with PostgreSQL a record no more than a row of it takes: some
{ROW_BYTES // POINTER_BYTES} texts or {ROW_BYTES // 8} numbers. What is beyond is 413, or told of its record.

All requests together hold at most {BODIES_BYTES // MEBIBYTE} MiB, counted unpacked and with {VALUE_BYTES} bytes for
each value: one that finds no room is 503 with `Retry-After`. A body that has begun has {BODY_SECONDS:g} s to come. There may be
{MOST} connections: for one more, the one that has been quiet longest is closed, so that probes and scrapes come through
however many clients hang.

A 202 means that the good records are on the disk. `rejected` tells of the others by their place in the request,
counted from 0. A known id counts as accepted, and the first one stands: a request that was not answered can be sent
again. Nothing is rejected for being old: a late record finds its window by its own time. A label whose prediction is
unknown waits for it until `labels.expire` (`anchorwatch_model_labels_unmatched`).

Rejected records are counted by reason (`anchorwatch_ingest_rejected_total`) and set aside: the newest {ROWS_KEPT:,},
or {BYTES_KEPT // MEBIBYTE} MiB, each up to {RECORD_BYTES // 1024} KiB. `GET /v1/rejected` shows them with their reasons.
One that came from a model's own source, or was made of calls that were logged, says whose it is.
Once what was wrong is mended, say the model is configured, `POST /v1/rejected` with `{{"kind": "predictions"}}` (and
`"seqs": […]` for some of them) takes them in: those that are good now are gone from there, in one transaction.

## Calls that serving systems log

`POST /v1/cloudevents` takes the events of KServe's inference logger and of Seldon: binary, structured or batched. A
call is two events, which come in any order, twice, or not at all; [serving logs](serving-logs.md) says how they
become predictions and labels.

## What a status means, and what to do

| status | meaning | what to do |
|---|---|---|
"""

TO_DO = {
    202: "look at `rejected`",
    400: "mend it: the message says what was expected",
    401: "send `Authorization: Bearer <token>`",
    403: "the message says which",
    404: "look into `/openapi.json`",
    405: "`Allow` tells which there are",
    415: "declare it",
    422: "look at `rejected`, or at the message",
    408: "send it again: the ids make it safe",
    503: "wait as long as `Retry-After` says: the ids make it safe",
}
OTHERS = {404: "no such path", 405: "another method"}

TOKENS = """
## Tokens

On loopback and without tokens, reading and taking in are open to this machine; a write needs a declared content type
and a Host that is this machine, so that no web page can make a browser do it. As soon as a retraining can be asked
for, `POST /v1/alerts` and `POST /-/reload` need a token of the role `operate`. Beyond loopback the daemon does not
start without `auth.tokens` (or `auth: none`, said aloud), and reading needs one as well. Send `Authorization: Bearer
<token>`. A token's file is read at each use, so it can be rotated. A role may do what those before it may: `read`,
`ingest`, `operate`, `admin`.
"""


def _row(each: Operation) -> str:
    said = f"`{each.method.upper()} {each.path}`"
    query = [f"`{parameter.name}`" for parameter in each.parameters if parameter.place == "query"]
    types = [f"`{name}`" for name in each.body if name not in (JSON_TYPE, "*/*")]
    more = "".join([f"; query: {', '.join(query)}" if query else "", f"; also as {', '.join(types)}" if types else ""])
    role = "none" if each.role is None else f"{each.role}, with a token always" if each.always else each.role
    meaning = each.meaning.replace("metrics,", "[metrics](metrics.md),")
    return f"| {said} | {meaning}{more} | {role} | {', '.join(map(str, statuses(each)))} |\n"


def _meanings() -> dict[int, str]:
    taking = [each for each in OPERATIONS if each.status == 202]
    found = {
        status: meaning_of(each, status)
        for each in (*OPERATIONS, *taking)
        if each.role is not None
        for status in statuses(each)
    }
    return dict(sorted({**found, **OTHERS}.items()))


def page() -> str:
    """The page as it should be."""
    requests = "| request | what it does | role | answers |\n|---|---|---|---|\n" + "".join(map(_row, OPERATIONS))
    meanings = "".join(
        f"| {status} | {meaning} | {TO_DO.get(status, '')} |\n" for status, meaning in _meanings().items()
    )
    return HEAD + requests + TAKING_IN + meanings + TOKENS


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
