"""What an HTTP answer must be like, and what is said when it is not."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from monitor.options import Options

_MISSING = object()


def _statuses(value: object) -> object:
    found = value if isinstance(value, list | tuple) else [value]
    if not found or any(
        isinstance(code, bool) or not isinstance(code, int) or not 100 <= code <= 599 for code in found
    ):
        raise ValueError(f"expected a status such as 200 or a list of them, got {value!r}")
    return tuple(found)


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"expected a regular expression, got {value!r}: {error}") from error
    return value


class JsonExpectation(Options):
    """What must stand at one place of a JSON answer: exactly this value, or a number within these bounds."""

    path: str
    equals: Any = None
    between: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        given = len({"equals", "between"} & self.model_fields_set)
        if given != 1:
            raise ValueError(f"expected one of equals and between, got {'both' if given else 'none'}")
        if self.between is not None and not self.between[0] <= self.between[1]:
            raise ValueError(f"between: expected [low, high], got {list(self.between)}")
        return self

    def complaint(self, body: bytes) -> str:
        """What is wrong with this body, or nothing."""
        try:
            value = _at(json.loads(body), self.path)
        except (ValueError, RecursionError):
            return "expected JSON, got something else"
        if value is _MISSING:
            return f"expected a value at {self.path}, got none"
        if self.between is None:
            fits = _same(value, self.equals)
            return "" if fits else f"expected {self.path} to be {_short(self.equals)}, got {_short(value)}"
        low, high = self.between
        fits = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
        return "" if fits else f"expected {self.path} between {low:g} and {high:g}, got {_short(value)}"


class Expectation(Options):
    """What an answer must be like. Without `status`, any 2xx is fine; `body` is searched for."""

    status: Annotated[
        tuple[int, ...] | None, BeforeValidator(_statuses, json_schema_input_type=int | list[int] | None)
    ] = None
    body: Annotated[str, AfterValidator(_pattern)] | None = None
    json_value: JsonExpectation | None = Field(None, alias="json")

    def complaint(self, status: int, body: bytes, *, cut_off: str = "", too_long: bool = False) -> str:
        """What is wrong with an answer, or nothing; a long body is none where nothing looks at it."""
        if self.status is None and not 200 <= status < 300:
            return f"expected a 2xx status, got {status}"
        if self.status is not None and status not in self.status:
            return f"expected status {' or '.join(map(str, self.status))}, got {status}"
        if cut_off:
            return f"expected a whole answer, got a part: {cut_off}"
        if too_long and (self.body is not None or self.json_value is not None):
            return "expected a body of at most 1 MiB, got a longer one"
        if self.body is not None and not re.search(self.body, body.decode("utf-8", "replace")):
            return f"expected a body that matches {_short(self.body)}, got another"
        return self.json_value.complaint(body) if self.json_value is not None else ""


def _at(value: Any, path: str) -> Any:
    for key in path.split("."):
        if isinstance(value, Mapping) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return _MISSING
    return value


def _same(value: Any, wanted: Any) -> bool:
    """Equality as JSON has it: true is not 1, but 1 is 1.0."""
    return bool(value == wanted) and isinstance(value, bool) == isinstance(wanted, bool)


def _short(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 80 else text[:79] + "…"
