"""What every part's options are made of: the strict base model and the field types of the configuration."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_SIZES = {"B": 1, "KB": 1000, "MB": 1000**2, "GB": 1000**3, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}


def parse_duration(value: object) -> float:
    """Seconds of a duration such as `30s`, `5m`, `1h` or `7d`.

    Raises:
        ValueError: anything else, a bare number included (its unit would be a guess).

    >>> parse_duration("1h")
    3600.0
    """
    if isinstance(value, str) and (match := re.fullmatch(r"(\d+(?:\.\d+)?)(ms|[smhdw])", value.strip())):
        return float(match[1]) * _UNITS[match[2]]
    raise ValueError(f"expected a duration such as 30s, 5m, 1h or 7d, got {value!r}")


def duration_text(seconds: float) -> str:
    """Seconds as a person says them, in one unit.

    >>> duration_text(1209600), duration_text(46354), duration_text(90)
    ('14d', '12.9h', '1.5m')
    """
    unit, size = next(
        ((name, size) for name, size in (("d", 86400), ("h", 3600), ("m", 60)) if seconds >= size), ("s", 1)
    )
    return f"{round(seconds / size, 1):g}{unit}"


def parse_ratio(value: object) -> float:
    """A share between 0 and 1, written as `0.999` or `99.9%`.

    >>> parse_ratio("5%")
    0.05
    """
    number: float | None = None
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
    elif isinstance(value, str) and (match := re.fullmatch(r"(\d+(?:\.\d+)?)\s*(%?)", value.strip())):
        number = float(match[1]) / (100 if match[2] else 1)
    if number is None or not 0 <= number <= 1:
        raise ValueError(f"expected a ratio such as 0.05 or 5%, got {value!r}")
    return number


def parse_size(value: object) -> int:
    """Bytes of a size such as `500MB` or `2GB`.

    >>> parse_size("2GB")
    2000000000
    """
    if isinstance(value, str) and (match := re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]i?B|B)", value.strip())):
        return int(float(match[1]) * _SIZES[match[2]])
    raise ValueError(f"expected a size such as 500MB or 2GB, got {value!r}")


def _schema(kind: str, example: str) -> dict[str, Any]:
    return {"type": "string", "description": f"{kind}, such as {example}"}


class _JsonSchema:
    def __init__(self, schema: dict[str, Any]) -> None:
        self.schema = schema

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return dict(self.schema)


Duration = Annotated[float, BeforeValidator(parse_duration), _JsonSchema(_schema("a duration", "5m or 7d"))]
Ratio = Annotated[
    float,
    BeforeValidator(parse_ratio),
    _JsonSchema({"type": ["number", "string"], "description": "a ratio, such as 0.05 or 5%"}),
]
Size = Annotated[int, BeforeValidator(parse_size), _JsonSchema(_schema("a size", "2GB"))]


def not_yet(_: object) -> object:
    """Refuse a key whose feature is still to come, after its value has been validated."""
    raise PydanticCustomError("not_available_yet", "not available yet")


class Secret:
    """A secret given in the file or by the path of a file; it is read when it is used, so that it can be rotated.

    It never shows itself: `str` and `repr` are stars.
    """

    __slots__ = ("_path", "_value")

    def __init__(self, value: str | None = None, path: Path | None = None) -> None:
        self._value, self._path = value, path

    @property
    def path(self) -> Path | None:
        return self._path

    def reveal(self) -> str:
        """The secret itself.

        Raises:
            OSError: its file cannot be read.
            ValueError: its file is empty.
        """
        if self._path is None:
            return self._value or ""
        text = self._path.read_text(encoding="utf-8").strip()
        if not text:
            raise ValueError(f"{self._path} is empty")
        return text

    def __repr__(self) -> str:
        return "Secret('***')"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and (self._value, self._path) == (other._value, other._path)

    def __hash__(self) -> int:
        return hash((self._value, self._path))

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        def convert(value: object) -> Secret:
            if isinstance(value, Secret):
                return value
            if isinstance(value, str) and value:
                return cls(value)
            raise ValueError("expected a secret as text")  # what was found stays out of the message

        return core_schema.no_info_plain_validator_function(convert)

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "writeOnly": True}


def _takes_secret(annotation: object) -> bool:
    return annotation is Secret or Secret in getattr(annotation, "__args__", ())


class Options(BaseModel):
    """The strict, frozen base of every options model: unknown keys are errors, every `Secret` has a `*_file` twin."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, hide_input_in_errors=False)

    @classmethod
    def secret_fields(cls) -> list[str]:
        """The names of the fields that hold a secret."""
        return [name for name, field in cls.model_fields.items() if _takes_secret(field.annotation)]

    @model_validator(mode="before")
    @classmethod
    def _secret_twins(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        data = dict(data)
        for name in cls.secret_fields():
            twin = f"{name}_file"
            if twin not in data or twin in cls.model_fields:
                continue
            if name in data:
                raise ValueError(f"expected either {name} or {twin}, got both")
            path = data.pop(twin)
            if not isinstance(path, str) or not path:
                raise ValueError(f"{twin}: expected the path of a file")
            data[name] = Secret(path=Path(path))
        return data

    @classmethod
    def keys(cls) -> list[str]:
        """Every key this model accepts, twins included."""
        twins = [f"{name}_file" for name in cls.secret_fields()]
        return [field.alias or name for name, field in cls.model_fields.items()] + twins

    def replace(self, **changes: object) -> Self:
        """A copy with other values, not validated again."""
        return self.model_copy(update=changes)
