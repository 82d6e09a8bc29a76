"""CloudEvents over HTTP, as KServe's inference logger and Seldon's request logger send them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import msgspec

from monitor.serving_logs._binary import split
from monitor.serving_logs._bodies import request_body, response_body, seldon_message
from monitor.serving_logs._table import Table
from monitor.serving_logs._values import Limits, base64_bytes, identifier, named, parse, seconds, tidy
from monitor.serving_logs.halves import Half, Sender, Side
from monitor.serving_logs.unreadable import Reason, Unreadable, cut

TYPES = {
    "org.kubeflow.serving.inference.request": (Sender.KSERVE, Side.REQUEST),
    "org.kubeflow.serving.inference.response": (Sender.KSERVE, Side.RESPONSE),
    "io.seldon.serving.inference.request": (Sender.SELDON, Side.REQUEST),
    "io.seldon.serving.inference.response": (Sender.SELDON, Side.RESPONSE),
    "io.seldon.serving.feedback": (Sender.SELDON, Side.FEEDBACK),
}
STRUCTURED, BATCHED = "application/cloudevents+json", "application/cloudevents-batch+json"


class Event(msgspec.Struct, frozen=True):
    """One CloudEvent.

    Attributes:
        attributes: its attributes and extensions, by lower-case name without `ce-`.
        data: the payload as bytes, or already decoded.
        header_length: `Inference-Header-Content-Length`, where it came with the event.
    """

    attributes: dict[str, str]
    data: Any
    header_length: str | None = None


def read(headers: Mapping[str, str], body: bytes, *, limits: Limits | None = None) -> list[Half]:
    """The halves of calls that one HTTP request holds: one, or those of a batch.

    Whoever wants the good events of a batch that holds bad ones takes `events` and `half`.

    Args:
        headers: of the HTTP request, in any case.
        body: of the HTTP request, decompressed.
        limits: on the rows and values of each event; the body's size is bounded by who received it.

    Raises:
        Unreadable: the body or an event is of no use.

    >>> headers = {"Ce-Id": "a-1", "Ce-Type": "org.kubeflow.serving.inference.request", "Ce-Inferenceservicename": "bikes"}
    >>> found = read(headers, b'{"instances": [[1, 2]]}')
    >>> found[0].id, found[0].side.value, found[0].service, found[0].payload.columns[0].values
    ('a-1', 'request', 'bikes', [[1, 2]])
    """
    limits = limits or Limits()
    return [half(event, limits=limits) for event in events(headers, body, limits=limits)]


def events(headers: Mapping[str, str], body: bytes, *, limits: Limits | None = None) -> list[Event]:
    """The events of one HTTP request: binary, structured or batched mode, as the content type tells.

    Raises:
        Unreadable: a structured or batched body is no JSON, or not that of events.
    """
    limits = limits or Limits()
    plain = {name.lower(): value for name, value in headers.items()}
    content = plain.get("content-type", "").partition(";")[0].strip().lower()
    if content == STRUCTURED:
        return [_structured(parse(body, limits))]
    if content == BATCHED:
        listed = parse(body, limits)
        if not isinstance(listed, list):
            raise Unreadable(Reason.UNKNOWN_BODY, f"expected a list of events, got {type(listed).__name__}")
        if len(listed) > limits.rows:
            raise Unreadable(Reason.TOO_MANY_ROWS, f"expected at most {limits.rows} events, got {len(listed)}")
        return [_structured(each) for each in listed]
    attributes = {name[3:]: _attribute(value) for name, value in plain.items() if name.startswith("ce-")}
    return [Event(attributes, body, plain.get("inference-header-content-length"))]


def _attribute(header: str) -> str:
    """A header's value: the binding writes what is not plain ASCII as percent-encoded UTF-8."""
    return unquote(header).encode("utf-8", "replace").decode()


def _structured(value: Any) -> Event:
    """An event of a structured body. What is no event becomes one without a type, so that its neighbours stand."""
    members = value if isinstance(value, dict) else {}
    attributes = {name.lower(): named(held) for name, held in members.items() if not name.startswith("data")}
    coded = members.get("data_base64")
    return Event(attributes, members.get("data") if coded is None else _Coded(coded))


class _Coded(str):
    """A payload that is still base64; decoded with its event, so that a bad one spoils no other."""

    __slots__ = ()


def half(event: Event, *, limits: Limits | None = None) -> Half:
    """One side of a call, out of an event.

    Raises:
        Unreadable: the event has no id or a type that is not a serving system's, or its payload cannot be read.
    """
    limits = limits or Limits()
    held = event.attributes
    if not held.get("type"):
        raise Unreadable(Reason.MISSING_TYPE, "expected the attribute ce-type, got none")
    if held["type"] not in TYPES:
        raise Unreadable(Reason.UNKNOWN_TYPE, f"expected a ce-type of {', '.join(TYPES)}, got {cut(held['type'])}")
    sender, side = TYPES[held["type"]]
    value, tail = _payload(event, limits)
    payload = _truth(value, limits) if side is Side.FEEDBACK else _table(side, value, tail, limits)
    return Half(
        _id(sender, side, held, value),
        side,
        sender,
        payload,
        _time(held.get("time")),
        service=held.get("inferenceservicename", ""),
        namespace=held.get("namespace", ""),
        component=held.get("component", ""),
        endpoint=held.get("endpoint", ""),
        model=held.get("modelid", "") if sender is Sender.SELDON else _member(value, "model_name"),
        version=_member(value, "model_version"),
    )


def _payload(event: Event, limits: Limits) -> tuple[Any, bytes]:
    data = event.data
    if isinstance(data, _Coded):
        data = base64_bytes(str(data))
    elif isinstance(data, str):  # JSON that its sender took for a text
        data = data.encode("utf-8", "replace")
    if isinstance(data, bytes):
        return split(data, event.header_length, limits)
    return tidy(data, limits), b""


def _table(side: Side, value: Any, tail: bytes, limits: Limits) -> Table:
    body = request_body if side is Side.REQUEST else response_body
    return body(value, limits, tail=tail)


def _truth(value: Any, limits: Limits) -> Table:
    truth = value.get("truth") if isinstance(value, dict) else None
    if not isinstance(truth, dict) or not truth:
        raise Unreadable(Reason.NO_TRUTH, "expected feedback with a truth, got none: a reward is no label")
    return seldon_message(truth, limits)


def _id(sender: Sender, side: Side, held: Mapping[str, str], value: Any) -> str:
    """What both sides share. Feedback is a call of its own, and tells in its body which one it is about."""
    if sender is Sender.KSERVE:
        return identifier(held.get("id"), "the attribute ce-id")
    told = ""
    if side is Side.FEEDBACK:
        told = _puid(value.get("response")) or _puid(value.get("request"))
    return identifier(told or held.get("requestid"), "the attribute ce-requestid")


def _puid(message: Any) -> str:
    meta = message.get("meta") if isinstance(message, dict) else None
    return _member(meta, "puid")


def _member(value: Any, name: str) -> str:
    return named(value.get(name)) if isinstance(value, dict) else ""


def _time(value: str | None) -> float | None:
    try:
        return seconds(value)
    except Unreadable:
        return None
