"""The JSON Schema of the configuration, for editors: the sections of plug-ins list their keys by type."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pydantic import AfterValidator, BaseModel, RootModel
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from monitor import registry
from monitor.config.model import App, Config, Model, Retraining
from monitor.config.plugins import LabelSection, NamedSection, ProbeSection, SourceSection, TimedSection, TypeSection
from monitor.options import Options, not_yet

NOT_YET = "not available yet"
_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def written_duration(seconds: float) -> str:
    """Seconds as they are written in a configuration.

    >>> written_duration(604800), written_duration(5400), written_duration(0.25)
    ('7d', '90m', '250ms')
    """
    for unit, name in _UNITS:
        if seconds and seconds % unit == 0:
            return f"{seconds / unit:g}{name}"
    return f"{seconds * 1000:g}ms" if seconds else "0s"


def is_planned(field: FieldInfo) -> bool:
    """Whether the key is validated and its feature still to come."""
    return any(isinstance(held, AfterValidator) and held.func is not_yet for held in field.metadata)


def choices(kind: str, fits: Callable[[Any], bool] = lambda _: True) -> Iterator[tuple[str, type[BaseModel]]]:
    """The plug-ins of a kind that fit, with their options."""
    for name in registry.known(kind):
        module = registry.load(kind, name)
        if fits(module):
            yield name, module.Options


class _Generator(GenerateJsonSchema):
    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        made, model = super().model_schema(schema), schema["cls"]
        if not issubclass(model, Options):
            return made
        for name, field in model.model_fields.items():
            shown = made["properties"][field.alias or name]
            if is_planned(field):
                shown["description"] = NOT_YET
            if shown.get("default") and isinstance(shown["default"], dict):
                del shown["default"]  # its keys have defaults of their own
            if isinstance(shown.get("default"), float) and shown.get("description", "").startswith("a duration"):
                shown["default"] = written_duration(shown["default"])
        for name in model.secret_fields():
            _add_twin(made, name)
        return made


def _add_twin(made: JsonSchemaValue, name: str) -> None:
    """A secret stands in the file, or the path of its file does, and never both."""
    twin = f"{name}_file"
    made["properties"][twin] = {"type": "string", "description": f"the path of a file with the {name}"}
    both: JsonSchemaValue = {"not": {"required": [name, twin]}}
    if name in made.get("required", []):
        made["required"].remove(name)
        both = {"oneOf": [{"required": [name]}, {"required": [twin]}]}
    made.setdefault("allOf", []).append(both)


def _section(made: JsonSchemaValue, own: JsonSchemaValue, kind: str | None) -> JsonSchemaValue:
    """A plug-in's options with the keys that every plug-in has in this place; with `kind`, told apart by `type`."""
    properties = {**own["properties"], **made.get("properties", {})}
    required = [*own.get("required", []), *made.get("required", [])]
    if kind is not None:
        properties["type"] = {"const": kind}
    whole = {**made, "properties": properties, "additionalProperties": False}
    return {**whole, "required": required} if required else whole


class _Parts:
    """The definitions of everything, and the sections of the plug-ins made of them."""

    def __init__(self) -> None:
        self.models: dict[type[BaseModel], JsonSchemaValue] = {}
        parts: list[type[BaseModel]] = [
            Config, App, Model, Retraining, ProbeSection, TimedSection, SourceSection, LabelSection, NamedSection, TypeSection,
        ]  # fmt: skip
        parts += [found for kind in registry.FOLDERS if kind != "statistic" for _, found in choices(kind)]
        inputs: Any = [(part, "validation", part.__pydantic_core_schema__) for part in parts]
        refs, self.definitions = _Generator().generate_definitions(inputs)
        for part in parts:
            self.models[part] = self.resolved(refs[part, "validation"])

    def resolved(self, found: JsonSchemaValue) -> JsonSchemaValue:
        while "$ref" in found:
            found = self.definitions[found["$ref"].rpartition("/")[2]]
        return found

    def by_type(
        self, kind: str, section: type[Options], fits: Callable[[Any], bool] = lambda _: True
    ) -> JsonSchemaValue:
        own = self.models[section]
        return {"oneOf": [_section(self.models[made], own, name) for name, made in choices(kind, fits)]}

    def alone(self, name: str) -> JsonSchemaValue:
        options = registry.load("probe", name).Options
        return {"anyOf": [_section(self.models[options], self.models[TimedSection], None), {"type": "null"}]}

    def by_key(self, kind: str, **more: JsonSchemaValue) -> JsonSchemaValue:
        found = {name: self._value(made) for name, made in choices(kind)}
        return {"type": "object", "properties": {**found, **more}, "additionalProperties": False}

    def _value(self, options: type[BaseModel]) -> JsonSchemaValue:
        made = self.models[options]
        return made if issubclass(options, RootModel) else {"anyOf": [made, {"type": "null"}]}


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the configuration as it is available now."""
    parts = _Parts()
    app, model = parts.models[App]["properties"], parts.models[Model]["properties"]
    app["probes"]["items"] = parts.by_type("probe", ProbeSection, lambda module: module.SECTION == "probes")
    app["scrape"], app["process"] = parts.alone("prometheus"), parts.alone("process")
    for role, section in (("reference", SourceSection), ("predictions", SourceSection), ("labels", LabelSection)):
        known = parts.by_type("source", section, lambda module, role=role: role in module.ROLES)  # type: ignore[misc]
        model[role] = {"anyOf": [known, {"type": "null"}]}
    model["checks"] = parts.by_key("check")
    retraining = parts.models[Retraining]["properties"]
    retraining["guards"] = parts.by_key("guard", approval={"const": "none"})
    retraining["trigger"] = parts.by_type("trigger", TypeSection)
    alerting = parts.resolved(parts.models[Config]["properties"]["alerting"])
    alerting["properties"]["receivers"]["items"] = parts.by_type("receiver", NamedSection)
    whole = {**parts.models[Config], "$schema": GenerateJsonSchema.schema_dialect, "title": "anchorwatch.yml"}
    return {**whole, "$defs": parts.definitions}
