"""Every operation of the daemon: what it is for, who may ask for it, what it takes and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from monitor.serving_logs.cloudevents import BATCHED, STRUCTURED, TYPES
from monitor.web import _shapes as shape
from monitor.web._guard import BODY_SECONDS
from monitor.web._rejected import Again
from monitor.wire.bodies import CONTENT_TYPES, JSON
from monitor.wire.limits import BODY_BYTES, RECORDS, UNPACKED_BYTES, VALUES
from monitor.wire.records import Label, Prediction

Role = Literal["read", "ingest", "operate"]

OK = "what was asked for"
STORED = "the good records are on the disk; what was rejected is told by its place, counted from 0"
#: What a status means wherever nothing else is said of it.
PROBLEMS = {
    400: "the body or a parameter as a whole is of no use",
    401: "no token, or one that is not configured",
    403: "a weak token, another site's page, or a stranger's host name",
    408: f"the body did not come within {BODY_SECONDS:g} s",
    413: "more than a request may hold: split it",
    415: "another content type",
    422: "it makes sense, and cannot be done",
    503: "the store is busy, full or not writable; nothing of the request was kept: send it again",
}
TEXT, OPEN, HTML = "text/plain", "application/openmetrics-text", "text/html"
JSON_TYPE = "application/json"


class Bytes:
    """A body that is no JSON."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """What stands behind the question mark, or in a header."""

    name: str
    meaning: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})
    place: Literal["query", "header"] = "query"


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path.

    Attributes:
        role: of the token it needs where tokens are needed; None where it never needs one.
        answer: what a 200 or 202 holds, a type or the content types of a text.
        body: what it takes, by content type; several types are either of them.
        also: statuses beside those that every operation of its role has, with what they hold where that is no problem.
        stores: whether the store can be in the way.
        always: whether it needs a token also where nothing else does.
    """

    method: Literal["get", "post", "put"]
    path: str
    meaning: str
    role: Role | None
    answer: Any
    status: int = 200
    body: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    parameters: tuple[Parameter, ...] = ()
    also: Mapping[int, tuple[Any, ...]] = field(default_factory=dict)
    stores: bool = True
    always: bool = False


AFTER = Parameter("after", "go on from this number", {"type": "integer", "minimum": 0, "maximum": 10**18 - 1})
NARROWED = tuple(Parameter(name, f"only of this {name}") for name in ("app", "model", "check"))
MODEL = Parameter("model", "whose the records of an Arrow stream are that does not say it itself")
ENCODING = Parameter(
    "Content-Encoding",
    f"at most {BODY_BYTES} bytes are taken, unpacked {UNPACKED_BYTES}",
    {"enum": ["gzip", "zstd", "identity"]},
    "header",
)
EVENT = tuple(
    Parameter(name, f"of an event whose body is its payload: {meaning}", place="header")
    for name, meaning in (
        ("ce-id", "what a request and its response share (KServe)"),
        ("ce-requestid", "the same (Seldon)"),
        ("ce-type", f"one of {', '.join(TYPES)}"),
        ("ce-time", "when it was"),
        ("ce-inferenceservicename", "the service, which is the model's `service` or its name"),
        ("Inference-Header-Content-Length", "where raw tensors begin"),
    )
)


def _forms(record: Any, columns: Any) -> dict[str, tuple[Any, ...]]:
    return {name: (record, list[record], columns) if form == JSON else (Bytes,) for name, form in CONTENT_TYPES.items()}


def _taking(path: str, meaning: str, body: Mapping[str, tuple[Any, ...]], *parameters: Parameter) -> Operation:
    also: Mapping[int, tuple[Any, ...]] = {400: (), 408: (), 413: (), 422: (shape.Taken, shape.Problem)}
    if path != "/v1/cloudevents":  # one event may be of any type
        also = {**also, 415: ()}
    found = (*parameters, ENCODING)
    return Operation("post", path, meaning, "ingest", shape.Taken, 202, body=body, parameters=found, also=also)


def _reading(path: str, meaning: str, answer: Any, *parameters: Parameter, also: Any = None) -> Operation:
    return Operation("get", path, meaning, "read", answer, parameters=parameters, also=also or {})


BAD = {400: ()}
WRONG = {400: (), 408: (), 413: (), 415: ()}
LIMITS = f"at most {RECORDS} records and {VALUES} values"
CALLS = {STRUCTURED: (shape.CloudEvent,), BATCHED: (list[shape.CloudEvent],), JSON_TYPE: (Any,), "*/*": (Bytes,)}
RELOAD = "load the configuration anew, and put it in force whole or not at all"

OPERATIONS = (
    Operation("get", "/", "the state of everything, for people", "read", (HTML,)),
    Operation("get", "/metrics", "metrics, text or OpenMetrics, gzip where asked for", "read", (TEXT, OPEN), stores=False),
    Operation("get", "/livez", "200 while the process serves", None, (TEXT,), stores=False),
    Operation(
        "get", "/readyz", "200 once the store is open and everything is scheduled, 503 before", None, (TEXT,),
        also={503: (TEXT,)}, stores=False,
    ),
    Operation("get", "/openapi.json", "this description, in OpenAPI 3.1", "read", dict[str, Any], stores=False),
    _reading("/v1/status", "each check: state, reason, rows, window, last run, last success", shape.Status),
    _reading("/v1/findings", "the newest findings", shape.Findings, *NARROWED),
    Operation(
        "get", "/v1/groups", "what the numbers stand for that anonymous groups of people go by", "read", shape.Legends,
        also={403: ()}, always=True,
    ),
    _reading(
        "/v1/verdicts", "what was said of each window, and how that changed as its labels came, oldest first",
        shape.Verdicts, AFTER, *NARROWED, also=BAD,
    ),
    _reading("/v1/alerts", "alerts of the built-in evaluator, the live ones first", shape.Alerts),
    _reading("/v1/retrainings", "retrainings with their state and lineage, the newest first", shape.Retrainings),
    _reading("/v1/ledger", "the ledger, oldest first, a thousand entries at most", shape.Entries, AFTER, also=BAD),
    _taking("/v1/predictions", f"take in predictions, {LIMITS}", _forms(Prediction, shape.PredictionColumns), MODEL),
    _taking("/v1/labels", f"take in labels, {LIMITS}", _forms(Label, shape.LabelColumns), MODEL),
    _taking(
        "/v1/cloudevents", "take in the calls that KServe and Seldon log: a request and its response, in either order",
        CALLS, *EVENT,
    ),
    Operation(
        "get", "/v1/rejected", "records that were set aside, oldest first", "operate", shape.Rejected,
        parameters=(AFTER,), also=BAD,
    ),
    Operation(
        "post", "/v1/rejected", "send records again that were set aside: these, or the oldest thousand of a kind",
        "operate", shape.Taken, body={JSON_TYPE: (Again,)}, also={**WRONG, 422: ()},
    ),
    Operation(
        "post", "/v1/alerts",
        "a webhook of Alertmanager's or Grafana's: a firing alert of ours asks for a retraining, through the same guards",
        "operate", shape.Decisions, body={JSON_TYPE: (shape.Webhook,)}, also=WRONG,
    ),
    Operation("post", "/-/reload", RELOAD, "operate", shape.Reloaded, also={422: (shape.Problems,)}),
    Operation("put", "/-/reload", RELOAD, "operate", shape.Reloaded, also={422: (shape.Problems,)}),
)  # fmt: skip
