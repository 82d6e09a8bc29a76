"""The typed, frozen configuration. Its keys are the contract with users; `docs/configuration.md` lists them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from monitor import registry
from monitor.options import Duration, Options, Ratio, Secret, Size, not_yet, parse_duration
from monitor.records import ColumnKind, Severity

HOUR, DAY = 3600.0, 86400.0


@dataclass(frozen=True, slots=True)
class PluginSpec:
    """A plug-in that the configuration names: its type, its own validated options, and what its section adds."""

    type: str
    options: BaseModel
    name: str = ""
    every: float = 0.0
    mature: float = 0.0
    expire: float = 0.0


Plugin = Annotated[Any, Field(json_schema_extra={"type": "object"})]


def _names_of(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value


def _name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", value):
        raise ValueError(f"expected a name of letters, digits, '.', '_' and '-', got {value!r}")
    return value


def _address(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not host or not port.isdigit() or not int(port) < 65536:
        raise ValueError(f"expected an address such as 127.0.0.1:9877, got {value!r}")
    return value


Name = Annotated[str, AfterValidator(_name)]
Address = Annotated[str, AfterValidator(_address)]


class Store(Options):
    """Where everything is kept, and for how long (`retention` and `profiles` count from receipt).

    With `sample` below 1, only so large a share of the raw rows stays once a model's windows have been judged and its labels
    have matured; profiles stay whole.
    """

    url: Secret | None = None
    retention: Duration = 30 * DAY
    profiles: Duration = 400 * DAY
    max_size: Size = 2 * 10**9
    sample: Annotated[float, Field(gt=0, le=1)] = 1.0
    ephemeral: bool = False


class Token(Options):
    """Who may do what: roles are ordered read < ingest < operate < admin."""

    name: Name
    role: Literal["read", "ingest", "operate", "admin"]
    token: Secret


class Auth(Options):
    """The tokens of the API; `none` opens it aloud, wherever it listens."""

    tokens: tuple[Token, ...] = ()
    none: bool = False


def _auth(value: object) -> object:
    return {"none": True} if value == "none" else value


class Slo(Options):
    """A service level objective over a window."""

    name: Name
    objective: Ratio
    under: Duration | None = None
    window: Duration = 30 * DAY


class Columns(Options):
    """The names of the columns with a part to play, as they stand in files and tables."""

    id: str = "event_id"
    timestamp: str = "timestamp"
    prediction: str = "prediction"
    score: Annotated[str | Mapping[str, str], Field(union_mode="left_to_right")] = "probability"
    version: str = "model_version"
    latency: str = "latency_seconds"
    label: str = "label"
    label_timestamp: str = "label_timestamp"
    query: str = "query_id"

    def names(self) -> set[str]:
        """Every column that is no feature."""
        scores = {self.score} if isinstance(self.score, str) else set(self.score.values())
        return scores | {
            self.id, self.timestamp, self.prediction, self.version, self.latency, self.label, self.label_timestamp,
        }  # fmt: skip


class Feature(Options):
    """What is known of a feature beforehand."""

    type: ColumnKind | None = None
    importance: Annotated[float, Field(ge=0)] | None = None


class Windows(Options):
    """The stretches of event time that are judged: sliding (`size`, `every`) or by the calendar (UTC)."""

    size: Duration = 7 * DAY
    every: Duration = DAY
    lateness: Duration = HOUR
    calendar: Literal["day", "week", "month"] | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_kind(cls, data: Any) -> Any:
        if isinstance(data, dict) and "calendar" in data and ("size" in data or "every" in data):
            raise ValueError("expected either calendar or size and every, got both")
        if isinstance(data, dict) and "size" in data and "every" not in data:
            with suppress(ValueError):  # a wrong size is told once, as itself
                parse_duration(data["size"])
                data = {**data, "every": data["size"]}
        return data

    @model_validator(mode="after")
    def _whole_minutes(self) -> Windows:
        for key in ("size", "every"):
            seconds = getattr(self, key)
            if seconds < 60 or seconds % 60:
                raise ValueError(f"expected {key} in whole minutes, got {seconds:g}s")
        if self.every > self.size:
            raise ValueError("expected every to be at most size, or some events would never be judged")
        return self


class RowWindows(Options):
    """Windows counted in rows."""

    rows: Annotated[int, Field(ge=1)]
    every: Annotated[int, Field(ge=1)] | None = None


def _windows(value: Any) -> Any:
    if isinstance(value, dict) and "rows" in value:
        RowWindows.model_validate(value)
        not_yet(value)
    return value


class Lineage(Options):
    """Where a version comes from."""

    type: Literal["mlflow"]
    url: str
    name: str
    alias: str | None = None


class Evidence(Options):
    """How long a breach must last before it is evidence."""

    windows: Annotated[int, Field(ge=1)] = 2


class Follow(Options):
    """How long a retraining may take before it is given up."""

    timeout: Duration = 6 * HOUR


class Retraining(Options):
    """When a retraining is asked for, what may forbid it, and how it is asked for."""

    on: tuple[str, ...] = ("performance",)
    evidence: Evidence = Evidence()
    guards: Mapping[str, Plugin] = {}
    trigger: Plugin
    follow: Follow = Follow()


class Model(Options):
    """One model of an app."""

    name: Name
    task: Literal["binary", "multiclass", "regression", "ranking"]
    columns: Columns = Columns()
    positive: str = "1"
    features: Mapping[str, Feature] | None = None
    segments: tuple[str | Annotated[tuple[str, ...], Field(min_length=2)], ...] = ()
    reference: Plugin = None
    predictions: Plugin = None
    labels: Plugin = None
    windows: Annotated[Windows, BeforeValidator(_windows)] = Windows()
    checks: Mapping[str, Plugin] = {}
    lineage: Annotated[Lineage | None, AfterValidator(not_yet)] = None
    retraining: Retraining | None = None

    @property
    def is_numeric(self) -> bool:
        """Whether predictions and labels are numbers; of a classifier they are names of classes."""
        return self.task in ("regression", "ranking")

    def segment_columns(self) -> list[tuple[str, ...]]:
        """The columns of each kind of segment: one, or several whose values are combined."""
        return [_names_of(each) for each in self.segments]

    def apart(self) -> set[str]:
        """Columns that rows are told apart by. They are features where they are declared to be, and not otherwise."""
        found = {name for columns in self.segment_columns() for name in columns}
        for spec in self.checks.values():
            found |= {name for each in getattr(spec.options, "protected", ()) for name in _names_of(each)}
        return found | ({self.columns.query} if self.task == "ranking" else set())

    @model_validator(mode="after")
    def _checks_fit(self) -> Model:
        for name, spec in self.checks.items():
            complaints = getattr(registry.load("check", name), "complaints", None) if spec.type else None
            for complaint in complaints(spec.options, self) if complaints else ():
                raise ValueError(f"checks.{name}: {complaint}")
        return self

    @model_validator(mode="after")
    def _labels_join(self) -> Model:
        kinds = [spec.type for spec in (self.predictions, self.labels) if spec is not None and spec.type]
        # What is pushed or pulled is all in the store, and is joined there.
        if len({registry.load("source", kind).HEAVY for kind in kinds}) > 1:
            raise PydanticCustomError(
                "value_error",
                "labels: expected {wanted}, as the predictions are, got {got}",
                {"wanted": "files" if kinds[0] == "files" else "no files", "got": kinds[1]},
            )
        return self

    @model_validator(mode="after")
    def _evidence_is_checked(self) -> Model:
        missing = [name for name in self.retraining.on if name not in self.checks] if self.retraining else []
        if missing:
            raise ValueError(
                f"retraining.on: expected checks of this model ({', '.join(self.checks)}), got {missing[0]!r}"
            )
        return self


class App(Options):
    """One application and the models inside it."""

    name: Name
    owner: str = ""
    runbook: str = ""
    probes: tuple[Plugin, ...] = ()
    scrape: Plugin = None
    process: Plugin = None
    slos: Annotated[tuple[Slo, ...], AfterValidator(not_yet)] = ()
    models: tuple[Model, ...] = ()

    @field_validator("models")
    @classmethod
    def _unique(cls, value: tuple[Model, ...]) -> tuple[Model, ...]:
        return _once(value, "model")

    @field_validator("probes")
    @classmethod
    def _unique_probes(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        return _once(value, "probe")


def _once(items: tuple[Any, ...], what: str) -> tuple[Any, ...]:
    names = [item.name for item in items if item is not None]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"expected every {what} to have a name of its own, got {twice[0]!r} twice")
    return items


class Route(Options):
    """Which alerts go where. The first route that matches wins."""

    match: Mapping[str, str] = {}
    to: tuple[str, ...]
    repeat: Duration | None = None


class RuleOverride(Options):
    """What is different about a shipped rule here."""

    severity: Severity | None = None
    for_: Duration | None = Field(default=None, alias="for")


class Alerting(Options):
    """Who evaluates, who is told, and what is different about the shipped rules."""

    evaluator: Literal["builtin", "prometheus"] = "builtin"
    receivers: tuple[Plugin, ...] = ()
    routes: tuple[Route, ...] = ()
    rules: Mapping[str, RuleOverride] = {}

    @field_validator("receivers")
    @classmethod
    def _unique(cls, value: tuple[Any, ...]) -> tuple[Any, ...]:
        return _once(value, "receiver")

    @model_validator(mode="after")
    def _receivers_exist(self) -> Alerting:
        names = [receiver.name for receiver in self.receivers if receiver is not None]
        unknown = [name for route in self.routes for name in route.to if name not in names]
        if unknown:
            # Names stand behind what was found: they may be from the environment, too.
            raise ValueError(
                f"routes: expected receivers that exist, got {unknown[0]!r}; they are {', '.join(names) or 'none'}"
            )
        return self


class Grafana(Options):
    """The Grafana that `provision grafana` writes to, and the Prometheus it reads."""

    url: str
    token: Secret
    folder: str = "Anchorwatch"
    prometheus_url: str


class MetricsOptions(Options):
    """How much is exposed: at most so many features per model as series, and whether their rows are counted by bin."""

    features: Annotated[int, Field(ge=0)] = 200
    bins: bool = True


class Config(Options):
    """A whole configuration. Relative paths start from the folder of its file."""

    listen: Address = "127.0.0.1:9877"
    metrics_listen: Address | None = None
    data_dir: Path = Path("data")
    store: Store = Store()
    auth: Annotated[Auth, BeforeValidator(_auth, json_schema_input_type=Auth | Literal["none"])] = Auth()
    apps: Annotated[tuple[App, ...], Field(min_length=1)]
    alerting: Alerting = Alerting()
    grafana: Grafana | None = None
    metrics: MetricsOptions = MetricsOptions()

    @field_validator("apps")
    @classmethod
    def _unique(cls, value: tuple[App, ...]) -> tuple[App, ...]:
        return _once(value, "app")

    def models(self) -> list[tuple[App, Model]]:
        """Every model with its app."""
        return [(app, model) for app in self.apps for model in app.models]
