"""The description of everything the daemon answers, as an OpenAPI 3.1 document made of the operations and of what is read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from monitor.version import VERSION
from monitor.web._operations import JSON_TYPE, OK, OPERATIONS, PROBLEMS, STORED, Bytes, Operation, Parameter
from monitor.web._shapes import Problem
from monitor.wire.records import ID_CHARACTERS, LATEST, Label, Prediction

REF = "#/components/schemas/{name}"
ABOUT = "Watches an application and the models inside it. Times are ISO 8601 in UTC; on the way in also Unix seconds."
RETRY = {
    "Retry-After": {"description": "seconds to wait", "required": True, "schema": {"type": "integer", "minimum": 0}}
}
BEARER = {"WWW-Authenticate": {"description": "how to come in", "required": True, "schema": {"const": "Bearer"}}}


def document(asks_token: Callable[[str], bool]) -> dict[str, Any]:
    """The document.

    Args:
        asks_token: whether a role needs a token, as it is configured.

    >>> found = document(lambda role: role != "read")
    >>> found["openapi"], found["paths"]["/v1/labels"]["post"]["security"], "security" in found["paths"]["/livez"]["get"]
    ('3.1.0', [{'bearer': ['ingest']}], False)
    """
    used = _Used()
    paths: dict[str, dict[str, Any]] = {}
    for each in OPERATIONS:
        needs = each.role is not None and (each.always or asks_token(each.role))
        paths.setdefault(each.path, {})[each.method] = _operation(each, used, needs_token=needs)
    bearer = {"type": "http", "scheme": "bearer", "description": "a token of the role, or of one above it"}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Anchorwatch", "version": VERSION, "description": ABOUT},
        "paths": paths,
        "components": {"schemas": used.schemas(), "securitySchemes": {"bearer": bearer}},
    }


class _Used:
    """The types that are mentioned, in the order in which they were."""

    def __init__(self) -> None:
        self._types: dict[Any, None] = {Problem: None}

    def schema(self, kinds: tuple[Any, ...]) -> Any:
        """The schema of either of some types."""
        named = [kind for kind in kinds if kind is not Bytes]
        self._types.update(dict.fromkeys(named))
        found, _ = msgspec.json.schema_components(named, ref_template=REF)
        return {"anyOf": list(found)} if len(found) > 1 else next(iter(found), {})

    def schemas(self) -> dict[str, Any]:
        """All of them by name."""
        _, found = msgspec.json.schema_components(list(self._types), ref_template=REF)
        for kind in (Prediction, Label):
            said = found[kind.__name__]
            # Its structure leaves it out for sources that are of one model anyway.
            said["required"] = ["model", *said["required"]]
            del said["properties"]["model"]["default"]
            for name, held in said["properties"].items():
                for one in held.get("anyOf", ()):
                    one.update(_told(name).get(one["type"], {}))
        return dict(found)


def _told(name: str) -> dict[str, dict[str, Any]]:
    """What is asked of a value beside its type, by type."""
    if name in ("timestamp", "label_timestamp"):
        number = {"minimum": 0, "exclusiveMaximum": LATEST}
        return {"string": {"format": "date-time"}, "number": number, "integer": number}
    return {"string": {"minLength": 1, "maxLength": ID_CHARACTERS}} if name in ("event_id", "model_version") else {}


def _operation(each: Operation, used: _Used, *, needs_token: bool) -> dict[str, Any]:
    said: dict[str, Any] = {
        "operationId": "_".join([each.method, *filter(None, each.path.replace("-", "").replace(".", "/").split("/"))]),
        "summary": each.meaning,
        "responses": _responses(each, used),
    }
    if each.parameters:
        said["parameters"] = [_parameter(parameter) for parameter in each.parameters]
    if each.body:
        content = {name: {"schema": used.schema(kinds)} for name, kinds in each.body.items()}
        said["requestBody"] = {"required": True, "content": content}
    if needs_token:
        said["security"] = [{"bearer": [each.role]}]
    return said


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.meaning,
        "schema": dict(parameter.schema),
    }


def statuses(each: Operation) -> dict[int, tuple[Any, ...]]:
    """The statuses of an operation with what they hold; nothing said is a problem."""
    found: dict[int, tuple[Any, ...]] = {each.status: each.answer if isinstance(each.answer, tuple) else (each.answer,)}
    if each.role is not None:
        found[401] = ()
        found |= {} if each.role == "read" else {403: ()}
    found |= {503: ()} if each.stores else {}
    return dict(sorted({**found, **each.also}.items()))


def meaning_of(each: Operation, status: int) -> str:
    """What a status of an operation means."""
    if status < 300:
        return STORED if status == 202 else OK
    if status == 422 and each.status == 202:
        return "the same, and every record was rejected"
    return "not ready yet" if each.role is None else PROBLEMS[status]


def _responses(each: Operation, used: _Used) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status, kinds in statuses(each).items():
        texts = [kind for kind in kinds if isinstance(kind, str)]
        content = {kind: {"schema": {"type": "string"}} for kind in texts}
        content = content or {JSON_TYPE: {"schema": used.schema(kinds or (Problem,))}}
        headers = RETRY if status == 503 and each.role is not None else BEARER if status == 401 else {}
        found[str(status)] = {"description": meaning_of(each, status), "content": content}
        if headers:
            found[str(status)]["headers"] = headers
    return found
