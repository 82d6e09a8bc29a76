"""The frozen records that travel between the stages, and the clock's protocol.

Everything here is plain data: no I/O, no clock, nothing that knows how a stage works. All times are Unix seconds (UTC,
float) unless a name says otherwise; a record that leaves the process is written in ISO 8601.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
ObjectArray = NDArray[np.object_]
IntArray = NDArray[np.int64]
Labels = Mapping[str, str]


class Clock(Protocol):
    """What time it is for the watch. `rate` is clock seconds per real second (1 outside the demo and tests)."""

    @property
    def start(self) -> float: ...

    @property
    def rate(self) -> float: ...

    def now(self) -> float:
        """Unix seconds on this clock."""


def iso(seconds: float) -> str:
    """Unix seconds as ISO 8601 in UTC.

    >>> iso(1293840000)
    '2011-01-01T00:00:00Z'
    """
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def instant(text: str) -> float:
    """Unix seconds of an ISO 8601 instant; one without an offset is UTC.

    Raises:
        ValueError: the text is no ISO 8601 date or time.

    >>> instant("2011-01-01T00:00:00") == instant("2011-01-01T01:00:00+01:00") == 1293840000
    True
    """
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def fingerprint(*parts: str) -> str:
    """Sixteen hex digits that stand for these parts, in this order.

    >>> fingerprint("a", "bc") == fingerprint("ab", "c")
    False
    """
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{len(part)}:".encode() + part.encode())
    return digest.hexdigest()[:16]


class Verdict(StrEnum):
    """What a check says. `no_data` is too little evidence and never means fine."""

    OK = "ok"
    BREACHED = "breached"
    NO_DATA = "no_data"
    ERROR = "error"


class ColumnKind(StrEnum):
    NUMERIC = "numeric"
    CATEGORICAL = "categorical"
    VECTOR = "vector"
    TEXT = "text"


class Role(StrEnum):
    """What a column is to its model."""

    FEATURE = "feature"
    PREDICTION = "prediction"
    SCORE = "score"
    LABEL = "label"
    GROUP = "group"  # what rows are told apart by: a segment, a protected attribute, the list of a ranking
    ID = "id"  # what joins a row with others that are about the same prediction


UNVERSIONED = "unversioned"  # the version of an event that names none


class NoData(Exception):
    """Too little evidence for a number: an outcome with a reason, not a fault."""


# --- metrics ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Family:
    """One metric family: what is exposed under one name."""

    name: str
    kind: Literal["gauge", "counter", "histogram"]
    help: str
    labels: tuple[str, ...]
    buckets: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of a family. Counters carry the amount to add, gauges and histograms the value seen."""

    name: str
    labels: Labels
    value: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What one run of a collector saw. Samples lack the labels `app` and `probe`: whoever runs the collector adds them."""

    verdict: Verdict
    reason: str
    samples: tuple[Sample, ...] = ()


# --- events -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open stretch of event time `[start, end)`, in Unix seconds."""

    start: float
    end: float

    def __str__(self) -> str:
        return f"{iso(self.start)}/{iso(self.end)}"


@dataclass(frozen=True, slots=True)
class Column:
    """A column as it is judged: its name, its kind and, of a feature, its weight among the features (None: not said).

    A column of another role than a feature's is named by its role, and by what comes after it where there are several.
    """

    name: str
    kind: ColumnKind
    importance: float | None = None
    role: Role = Role.FEATURE


@dataclass(frozen=True, slots=True)
class Coded:
    """A categorical column of few names: row i holds `names[codes[i]]`, or nothing where its code is -1.

    >>> Coded(np.array([1, -1, 0], dtype=np.int32), ("a", "b"))[1:].spelled().tolist()
    [None, 'a']
    """

    codes: NDArray[np.int32]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: Any) -> Coded:
        """Some of the rows, by slice, mask or places."""
        return Coded(self.codes[rows], self.names)

    def spelled(self) -> ObjectArray:
        """The same as an object array of str and None, shape (n,)."""
        names = np.array([*self.names, None], dtype=object)
        return names[self.codes]


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Predictions of one version in columns, all of one length (`len(batch)` rows).

    A numeric feature is float64 with NaN where it is missing; a categorical one is an object array of str with None where
    it is missing, or `Coded`; a text is an object array too; a vector is float64 of shape (rows, length), with a row of NaN
    where there is none. `absent` counts, by feature, the rows that did not even carry it (they are missing as well), `invalid`
    those whose value was of no use for its kind, such as text in a numeric feature (NaN in the array, and not missing).
    """

    version: str
    times: FloatArray
    features: Mapping[str, FloatArray | ObjectArray | Coded]
    absent: Mapping[str, int] = field(default_factory=dict)
    invalid: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.times)


@dataclass(frozen=True, slots=True)
class LabelledBatch:
    """Predictions that have their label, joined by id. Regression holds floats, classification canonical class names.

    Attributes:
        times: event times, shape (n,), as are all others.
        versions: of the model.
        predictions: what it said.
        labels: what was true.
        came: when the label came: its own time, or when it was received; -inf where neither is said.
        columns: what else was asked for, by the column's name.
    """

    times: FloatArray
    versions: ObjectArray
    predictions: FloatArray | ObjectArray
    labels: FloatArray | ObjectArray
    came: FloatArray
    columns: Mapping[str, FloatArray | ObjectArray | Coded] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.times)

    def take(self, rows: Any) -> LabelledBatch:
        """Some of the rows, by slice, mask or places."""
        columns = {name: values[rows] for name, values in self.columns.items()}
        return LabelledBatch(
            self.times[rows], self.versions[rows], self.predictions[rows], self.labels[rows], self.came[rows], columns
        )


# --- statistics -------------------------------------------------------------------------------------------------------


class Direction(StrEnum):
    """Which way a statistic gets worse."""

    HIGHER_IS_WORSE = "higher"
    LOWER_IS_WORSE = "lower"
    AWAY_FROM_ZERO = "away_from_zero"


@dataclass(frozen=True, slots=True)
class Histogram:
    """One side of a comparison on fine bins, without missing and unseen rows. Leading axes, if any, are repetitions.

    Attributes:
        counts: rows per bin, shape (..., k); whole numbers, or shares of rows where a reference is a weighted one.
        means: mean of the values in each bin, shape (..., k) or (k,); in an empty bin any number inside it.
        widths: width of each bin, shape (k,); the outer ones end at the smallest and the largest value of both sides.
        spread: standard deviation of the reference's values; 0 for a constant.
    """

    counts: FloatArray | IntArray
    means: FloatArray
    widths: FloatArray
    spread: float


@dataclass(frozen=True, slots=True)
class Statistic:
    """What a statistic says of itself. Its name is its file's; where the verdict falls is decided elsewhere, once.

    `compute` raises `NoData` on empty input. By family it takes: performance, the outcomes of a task (`monitor.stats`) and its
    `parameters`, where `needs` says what the outcomes must hold: classes, scores, numbers or lists; quality, the counts of
    one column as keywords; skew, both sides of one column, as counts or record by record; drift, a reference and a current side,
    as `needs` says:

    - `counts`: two count vectors on the same groups of bins, shape (..., k), missing and unseen rows in the last two places;
    - `histogram`: two `Histogram`s on the same fine bins. Like counts, these are mergeable;
    - `rows`: two two-dimensional arrays of rows, and a seeded generator. These are not, and run in a process of their own;
    - `verdicts`: the weights of a model's features, and which of them have drifted.

    Attributes:
        default_material: of drift, the effect below which nobody is alerted.
        null: of drift, what its values follow when nothing has changed: the G-test's weighted sum of chi-squares on the
            same counts, Kolmogorov's distribution, or nothing that is known: then the reference is resampled.
        rate: of drift, unchanged data score in proportion to (1/n + 1/N) ** rate for n current and N reference rows.
        per_chi_square: of a small change judged by the G-test, a score is (this × G × (1/n + 1/N)) ** rate, or G at rate 0.
        reach: of drift that a single far value can move: what one row can do to a score, times the rows of the window, where its
            distance (in the column's unit) and the reference's spread are given.
        exact: of drift on histograms, the same from the two arrays of values.
        influence: of performance, what each row does to the value, shape (n,): on independent rows the value varies by
            mean(influence²) / n. Takes the outcomes, the value and the parameters.
        trials: of performance that is a plain proportion, how many rows it is a proportion of.
        parameters: of performance, the keywords that `compute` takes beside the outcomes.
        relative: of performance, whether a loss is told as a share of the reference's value.
        symmetric: of performance, whether it is the same whichever of two classes counts as positive.
    """

    name: str
    family: Literal["drift", "performance", "quality", "fairness", "labels", "skew"]
    applies_to: frozenset[str]
    unit: str
    low: float
    high: float
    worse: Direction
    compute: Callable[..., Any]
    default_threshold: float | None = None
    default_material: float | None = None
    needs: Literal["counts", "histogram", "rows", "verdicts", "classes", "scores", "numbers", "lists"] = "counts"
    null: Literal["g_test", "kolmogorov", "resampled"] = "resampled"
    rate: float = 1.0
    per_chi_square: float | None = None
    reach: Callable[[float, float], float] | None = None
    exact: Callable[[FloatArray, FloatArray], float] | None = None
    influence: Callable[..., FloatArray] | None = None
    trials: Callable[..., float] | None = None
    parameters: frozenset[str] = frozenset()
    relative: bool = False
    symmetric: bool = False

    def is_breach(self, value: float, threshold: float) -> bool:
        """Whether a value lies beyond its threshold; on the threshold it is still ok."""
        if self.worse is Direction.AWAY_FROM_ZERO:
            return abs(value) > threshold
        return value > threshold if self.worse is Direction.HIGHER_IS_WORSE else value < threshold


# --- findings ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Finding:
    """One result row of a check. `rows` are the rows judged (for performance: those with a label).

    `superseded` marks a version that another one has replaced within the window: it is told, and alerts nobody.
    `p_value` is how often unchanged data would score as much or more, `calibration` how that is known, `material` the effect
    below which nothing alerts, `threshold` the value beyond which both keys turn. `impact` is a feature's importance ×
    (value / material): what to look at first. `baseline` is the value on the reference, `interval` where the value lies with a
    confidence of 95 %. `parts` are the values it is made of: by class, by group, or by whatever the statistic says. `caution` is
    what is to be known before the value is relied on, such as that another finding explains it.
    """

    app: str
    check: str
    statistic: str
    verdict: Verdict
    reason: str
    window: Window
    model: str | None = None
    version: str | None = None
    reference_version: str | None = None
    feature: str | None = None
    segment: str | None = None
    value: float | None = None
    threshold: float | None = None
    rows: int = 0
    reference_rows: int | None = None
    provisional: bool = False
    superseded: bool = False
    p_value: float | None = None
    calibration: str | None = None
    material: float | None = None
    impact: float | None = None
    baseline: float | None = None
    interval: tuple[float, float] | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
    caution: str | None = None

    @property
    def subject(self) -> Literal["feature", "prediction", "label", "model"]:
        """What it is about: a feature, what the model says, what was true, or the model as a whole."""
        if self.feature is None:
            return "model"
        if self.feature in (Role.PREDICTION, Role.SCORE):
            return "prediction"
        return "label" if self.feature == Role.LABEL else "feature"

    def as_json(self) -> dict[str, Any]:
        """The finding as it appears wherever findings are shown as JSON."""
        row: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__ if name != "window"}
        row["verdict"] = self.verdict.value
        row["parts"] = dict(self.parts)
        row["window"] = {"start": iso(self.window.start), "end": iso(self.window.end)}
        return row

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Finding:
        """The inverse of `as_json`."""
        window = Window(instant(row["window"]["start"]), instant(row["window"]["end"]))
        interval = row.get("interval")
        parts = {"verdict": Verdict(row["verdict"]), "window": window, "interval": interval and tuple(interval)}
        return cls(**{**row, **parts})


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one run of one check concluded about one app or model, as a whole.

    `state` is what the check has left for its next run. `history` holds what was found on every window that was looked at, of a
    check whose results change as labels come. `omitted` counts the subjects, such as segments, that there were too many of.
    """

    app: str
    model: str | None
    check: str
    verdict: Verdict
    reason: str
    window: Window
    rows: int
    findings: tuple[Finding, ...]
    versions: tuple[str, ...] = ()
    state: str | None = None
    history: tuple[Finding, ...] = ()
    omitted: int = 0


# --- alerts -----------------------------------------------------------------------------------------------------------


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class AlertState(StrEnum):
    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


class ChangeReason(StrEnum):
    """Why an alert changed, in words a person reads in a log."""

    FIRST_BREACH = "first_breach"
    BREACH_PERSISTED = "breach_persisted"
    RECOVERED = "recovered"
    SUBJECT_RETIRED = "subject_retired"
    REPEAT_DUE = "repeat_due"


@dataclass(frozen=True, slots=True)
class Rule:
    """One alert's definition: from it come the built-in evaluator's decision and the Prometheus and Grafana rules.

    It watches either the verdict of a check's findings (`on="breached"`, one alert per finding, labelled with `by`) or the
    state of a check as a whole (`on="no_data"` or `"error"`, one alert per check). `check` names the check; a name that
    ends in `:` stands for every check that starts so (`probe:` is every probe), `*` for all of them. `metric` is the
    series that holds the breach in Prometheus; `by` are its labels beside `app`. `subject` narrows it to the findings about a
    feature, the predictions, the labels or the model as a whole, `statistic` to those of one statistic. A label of `by` that
    is `optional` is left out of the alert where the finding has nothing to say for it.
    """

    name: str
    check: str
    on: Literal["breached", "no_data", "error"]
    severity: Severity
    for_seconds: float
    summary: str
    description: str
    metric: str = ""
    by: tuple[str, ...] = ()
    subject: str = ""
    statistic: str = ""
    optional: frozenset[str] = frozenset()

    def covers(self, check: str) -> bool:
        """Whether this rule watches that check."""
        if self.check.endswith(":"):
            return check.startswith(self.check)
        return self.check in ("*", check)


@dataclass(frozen=True, slots=True)
class Alert:
    """The life of a breach. `started_at` is set once it fires, `resolved_at` once it is over."""

    name: str
    labels: Mapping[str, str]
    state: AlertState
    severity: Severity
    pending_since: float
    started_at: float | None = None
    resolved_at: float | None = None
    notified_at: float | None = None
    summary: str = ""
    description: str = ""
    value: float | None = None
    threshold: float | None = None

    @property
    def fingerprint(self) -> str:
        """Identity of the alert: its name and labels, whatever their order."""
        return fingerprint(self.name, *(f"{key}={self.labels[key]}" for key in sorted(self.labels)))


@dataclass(frozen=True, slots=True)
class Change:
    """One step in an alert's life, as the ledger keeps it."""

    alert: Alert
    before: AlertState | None
    reason: ChangeReason
    at: float


# --- deliveries -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Notification:
    """What a receiver is told: the alerts of one name and subject that changed together.

    `key` is the idempotency key: it stays the same over every attempt and every restart.
    """

    key: str
    at: float
    status: Literal["firing", "resolved"]
    name: str
    severity: Severity
    app: str
    model: str | None
    reason: ChangeReason
    alerts: tuple[Alert, ...]
    owner: str = ""
    runbook: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class RetrainingRequest:
    """What a trigger asks for, with its lineage. `key` is the idempotency key."""

    key: str
    at: float
    app: str
    model: str
    version: str | None
    cause: str
    cause_started_at: float
    window: Window | None
    window_fingerprint: str
    config_hash: str
    git_commit: str = ""
    evidence: tuple[Finding, ...] = ()


class OutcomeKind(StrEnum):
    DELIVERED = "delivered"
    RETRY = "retry"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one attempt to deliver. A retry may say how long the peer asked us to wait."""

    kind: OutcomeKind
    reason: str
    retry_after_seconds: float | None = None
