"""A request and its response come as two events: one is kept until the other is there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from monitor.records import fingerprint
from monitor.serving_logs import _records
from monitor.serving_logs._outcomes import Outcome
from monitor.serving_logs._table import Table
from monitor.serving_logs.unreadable import Reason, Unreadable


class Side(StrEnum):
    """Which part of a call an event holds."""

    REQUEST = "request"
    RESPONSE = "response"
    FEEDBACK = "feedback"


class Sender(StrEnum):
    """Whose logger wrote an event."""

    KSERVE = "kserve"
    SELDON = "seldon"


class Half(msgspec.Struct, frozen=True):
    """One side of a call, normalised: nothing of the protocol is left in it.

    Attributes:
        id: of the call; the same on both sides.
        side: request, response or feedback.
        sender: whose logger wrote it.
        payload: its rows: features, what the model said, or what was true.
        time: Unix seconds, None where the event tells none that can be read.
        service: the inference service's (Seldon: the deployment's) name; empty where it is not told, as are the others.
        namespace: in the cluster.
        component: KServe's component, such as `predictor`.
        endpoint: KServe's `default` or `canary`, Seldon's predictor.
        model: the V2 response's `model_name`, or Seldon's `modelid`, the node of the graph.
        version: of the model, as the body tells.
    """

    id: str
    side: Side
    sender: Sender
    payload: Table
    time: float | None = None
    service: str = ""
    namespace: str = ""
    component: str = ""
    endpoint: str = ""
    model: str = ""
    version: str = ""

    @property
    def key(self) -> str:
        """What both sides of a call share and no other call of any service does: sixteen hex digits to keep a half under.

        The id alone is not enough: a transformer and its predictor, or two nodes of a Seldon graph, log one id.
        """
        node = self.model if self.sender is Sender.SELDON else ""
        return fingerprint(self.sender, self.namespace, self.service, self.component, self.endpoint, node, self.id)


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Half)


def encode(half: Half) -> bytes:
    """A half as bytes, to be kept.

    >>> from monitor.serving_logs._table import Column
    >>> half = Half("a-1", Side.REQUEST, Sender.KSERVE, Table([Column("", [[1, 2]])]))
    >>> decode(encode(half)) == half
    True
    """
    return _encode(half)


def decode(raw: bytes) -> Half:
    """The half that was kept.

    Raises:
        Unreadable: the bytes are none that `encode` made.
    """
    try:
        half = _decoder.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        half = None
    if half is None or len({len(column.values) for column in half.payload.columns}) != 1:
        raise Unreadable(Reason.CORRUPT_HALF, "expected a half as it was kept")
    return half


def shown(kept: Iterable[bytes]) -> bytes:
    """Halves that were kept as JSON, for a person to read; one that is damaged is null.

    >>> shown([encode(Half("a-1", Side.FEEDBACK, Sender.SELDON, Table([]))), b"?"])[:40]
    b'[{"id":"a-1","side":"feedback","sender":'
    """
    found = []
    for raw in kept:
        try:
            found.append(msgspec.msgpack.decode(raw))
        except (msgspec.MsgspecError, ValueError, RecursionError):
            found.append(None)
    return msgspec.json.encode(found)


def join(
    request: Half, response: Half, names: Sequence[str] = (), *, outcome: Outcome | None = None, model: str = ""
) -> list[dict[str, Any]]:
    """A request and its response as predictions on the wire, one a row.

    The time is the request's, or the response's if that has none. Where neither has one there is no `timestamp`: the time of
    receipt is the best there is.

    Args:
        request: what the features come from.
        response: what the model said.
        names: of the features that the model declares, in order; empty if it declares none.
        outcome: how the response is to be read where it does not say so itself.
        model: as it is configured; without it the service's name, or the model's own.

    Raises:
        Unreadable: they are not the two sides of one call, disagree on the number of rows, or cannot be read.

    >>> from monitor.serving_logs._table import Column
    >>> asked = Half("a-1", Side.REQUEST, Sender.KSERVE, Table([Column("", [[1, 2]])]), 1795161600.0, "bikes")
    >>> said = Half("a-1", Side.RESPONSE, Sender.KSERVE, Table([Column("", [212.5])]), 1795161601.0, "bikes")
    >>> join(asked, said, ["temp", "hour"])
    [{'model': 'bikes', 'timestamp': 1795161600.0, 'event_id': 'a-1', 'features': {'temp': 1, 'hour': 2}, 'prediction': 212.5}]
    """
    if (request.side, response.side) != (Side.REQUEST, Side.RESPONSE) or request.key != response.key:
        raise Unreadable(Reason.NOT_A_PAIR, "expected the request and the response of one call")
    return _records.predictions(
        request.payload,
        response.payload,
        names,
        outcome or Outcome(),
        event_id=request.id,
        model=model or request.service or response.model or request.model,
        timestamp=response.time if request.time is None else request.time,
        model_version=response.version or request.version,
    )


def labels(feedback: Half, *, outcome: Outcome | None = None, model: str = "") -> list[dict[str, Any]]:
    """The truth of a Seldon feedback as labels on the wire, one a row; see `join`.

    Raises:
        Unreadable: it is no feedback, or its truth cannot be read.
    """
    if feedback.side is not Side.FEEDBACK:
        raise Unreadable(Reason.NO_TRUTH, f"expected feedback, got a {feedback.side}")
    return _records.labels(
        feedback.payload,
        outcome or Outcome(),
        event_id=feedback.id,
        model=model or feedback.service or feedback.model,
        label_timestamp=feedback.time,
    )
