"""The places where a configuration names a plug-in, and the validation of each by the plug-in's own options."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path as FilePath
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, RootModel, ValidationError

from monitor import registry
from monitor.config.model import DAY, Name, PluginSpec
from monitor.config.planned import PLANNED_OPTIONS
from monitor.config.tree import Path, Problem
from monitor.options import Duration, Options, Secret


def _above_zero(seconds: float) -> float:
    if seconds <= 0:
        raise ValueError("expected a duration above 0s")
    return seconds


Every = Annotated[Duration, AfterValidator(_above_zero)]


class ProbeSection(Options):
    """What every probe has beside its own options."""

    type: str
    name: Name
    every: Every = 30.0


class TimedSection(Options):
    """What the scrape and the process look have beside their own options."""

    every: Every = 15.0


class SourceSection(Options):
    """What every source has beside its own options."""

    type: str


class LabelSection(SourceSection):
    """What every source of labels has beside its own options."""

    mature: Duration = 3 * DAY
    expire: Duration = 30 * DAY


class NamedSection(Options):
    """What every receiver has beside its own options."""

    type: str
    name: Name


class TypeSection(Options):
    """What every trigger has beside its own options."""

    type: str


class NoSection(Options):
    """For plug-ins that are named by their key."""


@dataclass(frozen=True, slots=True)
class Spot:
    """One place in the data where a plug-in is named; `put` writes the validated result back."""

    kind: str
    path: Path
    value: Any
    put: Callable[[Any], None]
    section: type[Options]
    fixed_type: str = ""
    role: str = ""


def _put(container: Any, key: Any) -> Callable[[Any], None]:
    def put(value: Any) -> None:
        container[key] = value

    return put


def _dicts(value: Any) -> list[tuple[int, dict[str, Any]]]:
    return [(i, item) for i, item in _items(value) if isinstance(item, dict)]


def _items(value: Any) -> list[tuple[int, Any]]:
    return list(enumerate(value)) if isinstance(value, list) else []


def _named(kind: str, container: Any, path: Path) -> Iterator[Spot]:
    if isinstance(container, dict):
        for name in list(container):
            yield Spot(kind, (*path, name), container[name], _put(container, name), NoSection, fixed_type=str(name))


def _model_spots(model: dict[str, Any], path: Path) -> Iterator[Spot]:
    model.setdefault("predictions", {"type": "ingest"})
    source = model["predictions"]
    # What is pushed or pulled is kept in the store, where labels can be pushed to, too.
    if isinstance(source, dict) and source.get("type") in ("ingest", "kafka", "redis", "sql"):
        model.setdefault("labels", {"type": "ingest"})
    for role in ("reference", "predictions", "labels"):
        value = model.get(role)
        if value is not None:
            section = LabelSection if role == "labels" else SourceSection
            yield Spot("source", (*path, role), value, _put(model, role), section, role=role)
    if "checks" not in model:
        model["checks"] = {name: {} for name in ("drift", "quality", "volume")}
    yield from _named("check", model["checks"], (*path, "checks"))
    retraining = model.get("retraining")
    if isinstance(retraining, dict):
        guards = retraining.setdefault("guards", {})
        if isinstance(guards, dict) and guards.get("approval") == "none":
            del guards["approval"]
        yield from _named("guard", guards, (*path, "retraining", "guards"))
        if "trigger" in retraining:
            here = (*path, "retraining", "trigger")
            yield Spot("trigger", here, retraining["trigger"], _put(retraining, "trigger"), TypeSection)


def spots(data: dict[str, Any]) -> Iterator[Spot]:
    """Every place in the data where a plug-in is named."""
    for i, app in _dicts(data.get("apps")):
        for j, probe in _items(app.get("probes")):
            yield Spot("probe", ("apps", i, "probes", j), probe, _put(app["probes"], j), ProbeSection, role="probes")
        for role, plugin in (("scrape", "prometheus"), ("process", "process")):
            if app.get(role) is not None:
                here: Path = ("apps", i, role)
                yield Spot("probe", here, app[role], _put(app, role), TimedSection, fixed_type=plugin, role=role)
        for k, model in _dicts(app.get("models")):
            yield from _model_spots(model, ("apps", i, "models", k))
    alerting = data.get("alerting")
    if isinstance(alerting, dict):
        for j, receiver in _items(alerting.get("receivers")):
            here = ("alerting", "receivers", j)
            yield Spot("receiver", here, receiver, _put(alerting["receivers"], j), NamedSection)


def _fits(spot: Spot, name: str, module: Any) -> str:
    """Why this plug-in has no place here, or nothing."""
    if spot.kind == "probe" and spot.role != module.SECTION:
        return f"expected a type for {spot.role}, got {name!r}, which belongs under {module.SECTION}"
    if spot.kind == "source" and spot.role not in module.ROLES:
        return f"expected a source of {spot.role}, got {name!r}"
    return ""


def _choices(spot: Spot) -> list[str]:
    """The plug-ins that have a place here."""
    return [name for name in registry.known(spot.kind) if not _fits(spot, name, registry.load(spot.kind, name))]


def _rebased(options: BaseModel, directory: FilePath) -> BaseModel:
    """The options with their files, those of secrets too, taken relative to the configuration's folder."""
    if not isinstance(options, Options):
        return options
    changes: dict[str, object] = {}
    for name in type(options).model_fields:
        value = getattr(options, name)
        if isinstance(value, Secret) and value.path is not None and not value.path.is_absolute():
            changes[name] = Secret(path=directory / value.path)
        elif isinstance(value, FilePath) and not value.is_absolute():
            changes[name] = directory / value
        elif isinstance(value, Options) and (moved := _rebased(value, directory)) is not value:
            changes[name] = moved
    return options.replace(**changes) if changes else options


Report = Callable[[ValidationError, Path, type[BaseModel]], None]


def resolve(spot: Spot, report: Report, problems: list[Problem]) -> None:
    """Replace the data at one spot by a `PluginSpec`: one without a type, after its problems have been reported."""
    name, body = spot.fixed_type, spot.value
    given = body.get("name") if isinstance(body, dict) else None
    # A name of its own, so that what is wrong with it is told, and not that two have none.
    spot.put(PluginSpec(type="", options=NoSection(), name=given if isinstance(given, str) else str(id(spot))))
    if not name:
        if not isinstance(body, dict) or not isinstance(body.get("type"), str):
            problems.append(Problem(spot.path, f"expected a type, one of {', '.join(_choices(spot))}"))
            return
        name = body["type"]
    planned = PLANNED_OPTIONS.get((spot.kind, name))
    try:
        module = None if planned else registry.load(spot.kind, name)
    except registry.PlannedPlugin:
        problems.append(_not_available(spot, name))
        return
    except registry.UnknownPlugin:
        near = get_close_matches(name, _choices(spot), 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        path = spot.path if spot.fixed_type else (*spot.path, "type")
        problems.append(Problem(path, f"expected one of {', '.join(_choices(spot))}, got {name!r}{hint}"))
        return
    if module is not None and (complaint := _fits(spot, name, module)):
        problems.append(Problem((*spot.path, "type"), complaint))
        return
    options_class: type[BaseModel] = planned or module.Options  # type: ignore[union-attr]
    found = _validated(spot, body, options_class, report)
    if found is None:
        return
    section, options = found
    if planned is not None:
        problems.append(_not_available(spot, name))
        return
    extra = {key: value for key, value in section.items() if key != "type"}
    spot.put(PluginSpec(type=name, options=options, **extra))


def _not_available(spot: Spot, name: str) -> Problem:
    return Problem(spot.path, "not available yet" if spot.fixed_type else f"{name}: not available yet")


def _validated(
    spot: Spot, body: Any, options_class: type[BaseModel], report: Report
) -> tuple[dict[str, Any], BaseModel] | None:
    """The section's own values and the plug-in's options; nothing, once what is wrong has been reported."""
    if issubclass(options_class, RootModel) or not isinstance(body, dict):
        own: dict[str, Any] = {}
        rest: Any = {} if body is None and not issubclass(options_class, RootModel) else body
    else:
        keys = spot.section.keys()
        own = {key: value for key, value in body.items() if key in keys}
        rest = {key: value for key, value in body.items() if key not in keys}
    section = options = None
    try:
        section = spot.section.model_validate(own)
    except ValidationError as error:
        report(error, spot.path, spot.section)
    try:
        options = options_class.model_validate(rest)
    except ValidationError as error:
        report(error, spot.path, options_class)
    if section is None or options is None:
        return None
    return section.model_dump(), options


def rebase(spec: PluginSpec, directory: FilePath) -> PluginSpec:
    """The plug-in with its files taken relative to the configuration's folder."""
    options = _rebased(spec.options, directory)
    if options is spec.options:
        return spec
    return PluginSpec(spec.type, options, spec.name, spec.every, spec.mature, spec.expire)
