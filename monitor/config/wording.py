"""What pydantic found wrong, in our words: `expected X, got Y`, at the place in the file, and without a secret."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from monitor.config.tree import Path, Problem, Tree, is_secret
from monitor.options import Options

# A validator of a whole section names the key that it means.
_KEY_BEFORE = re.compile(r"([a-z_]+(?:\.[\w-]+)*): (?=expected |not available|[a-z_]+: )")
_STRUCTURES = {
    "model_type": "a mapping",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "tuple_type": "a list",
    "list_type": "a list",
}
_SCALARS = {
    "string_type": "text",
    "string_too_short": "at least {min_length} characters",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "path_type": "a path",
    "greater_than": "a number above {gt:g}",
    "greater_than_equal": "a number of at least {ge:g}",
    "less_than": "a number below {lt:g}",
    "less_than_equal": "a number of at most {le:g}",
}


def problems_of(error: ValidationError, base: Path, model: type[BaseModel], tree: Tree) -> Iterable[Problem]:
    """Everything that is wrong with the section at `base`, which was read as `model`."""
    details = error.errors(include_url=False)
    # Of a list that is too short only because its items are wrong, the items' own errors tell more.
    told = [detail["loc"] for detail in details if detail["type"] != "too_short"]
    for detail in details:
        place = detail["loc"]
        if detail["type"] != "too_short" or not any(other[: len(place)] == place for other in told):
            yield _problem(detail, base, model, tree)


def _problem(detail: ErrorDetails, base: Path, model: type[BaseModel], tree: Tree) -> Problem:
    path = _place(detail, base, tree)
    message = _message(detail, path, base, model, tree)
    while detail["type"] == "value_error" and (match := _KEY_BEFORE.match(message)):
        path, message = (*path, *match[1].split(".")), message[match.end() :]
    return Problem(path, message)


def _place(detail: ErrorDetails, base: Path, tree: Tree) -> Path:
    """The path in the file. pydantic also puts the names of union members and validators into its location."""
    path = base
    for place, part in enumerate(detail["loc"]):
        named = place == len(detail["loc"]) - 1 and detail["type"] in ("missing", "extra_forbidden")
        if named or (*path, part) in tree.lines:
            path = (*path, part)
    return path


def _message(detail: ErrorDetails, path: Path, base: Path, model: type[BaseModel], tree: Tree) -> str:
    kind, said, context = detail["type"], detail["msg"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        owner = _model_at(model, path[len(base) :])
        near = get_close_matches(str(path[-1]), owner.keys() if issubclass(owner, Options) else [], 1) if owner else []
        return "unknown key" + (f", did you mean {near[0]!r}?" if near else "")
    if kind == "missing":
        return "expected a value, got nothing"
    if kind == "not_available_yet":
        return said
    if kind == "too_short":
        return f"expected at least {context['min_length']} entry, got {context['actual_length']}"
    hidden = path in tree.from_environment or is_secret(path)
    if kind == "value_error":
        text = said.removeprefix("Value error, ")
        return text.split(", got ")[0] if hidden else text
    if kind in _STRUCTURES:
        # A scalar in the place of a section may be a secret that slipped: only its kind is said.
        return f"expected {_STRUCTURES[kind]}, got {_kind(detail['input'])}"
    expected = said.removeprefix("Input should be ").removeprefix("Input should ")
    text = _SCALARS[kind].format_map(context) if kind in _SCALARS else f"{expected[0].lower()}{expected[1:]}"
    return f"expected {text}" if hidden else f"expected {text}, got {_shown(detail['input'])}"


def _model_at(model: type[BaseModel], location: Path) -> type[BaseModel] | None:
    """The options model that holds the key at the end of this location."""
    current: Any = model
    for part in location[:-1]:
        if isinstance(part, int):
            continue
        found = _field(current, part) if isinstance(current, type) and issubclass(current, BaseModel) else None
        if found is None:
            continue
        current = _inner_model(found.annotation) or current
    return current if isinstance(current, type) and issubclass(current, BaseModel) else None


def _field(model: type[BaseModel], key: str) -> Any:
    return next((field for name, field in model.model_fields.items() if key in (name, field.alias)), None)


def _inner_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if (found := _inner_model(argument)) is not None:
            return found
    return None


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "a truth value"
    if isinstance(value, int | float):
        return "a number"
    kinds = {"dict": "a mapping", "list": "a list", "str": "text"}
    return kinds.get(type(value).__name__, type(value).__name__)


def _shown(value: Any) -> str:
    if value is None or isinstance(value, dict | list):
        return _kind(value)
    text = str(value).lower() if isinstance(value, bool) else str(value) if isinstance(value, date) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def without_secrets(problem: Problem, tree: Tree) -> Problem:
    """The problem without what it found, where that holds a value that came from the environment or is a secret's."""
    said, _, found = problem.message.partition(", got ")
    return Problem(problem.path, said, problem.line) if any(text in found for text in tree.hidden) else problem
