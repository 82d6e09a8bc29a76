"""Has the model's error changed, and since when? The losses of labelled rows, followed one by one as their labels mature."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, WithJsonSchema

from monitor.check._context import Context
from monitor.check._keys import Floor, LossFloor
from monitor.check._losses import Losses, losses_of
from monitor.check._statistics import FalseAlarms
from monitor.check._stream import Noticed, Stream
from monitor.check._versions import by_version
from monitor.config import Model
from monitor.options import Options as _Options
from monitor.records import Column, Finding, NoData, Verdict, Window, fingerprint, iso
from monitor.source import SourceError
from monitor.source._outcomes import outcome_columns
from monitor.source._reference import span_of
from monitor.windows import every_seconds, window_seconds

CHECK = "concept"
CLASSES = ("binary", "multiclass")
TASKS = {"error": CLASSES, "log_loss": CLASSES, "absolute_error": ("regression",)}
DEFAULT_FLOORS = {"error": Floor(0.02, relative=False)}  # of other losses a tenth of the reference's
CALIBRATION = {"page_hinkley": "run_length", "adwin": "bernstein_bound"}
REFERENCE_ROWS = 200_000  # the newest of a reference: more of them move no threshold that matters
FEWEST_ROWS = 100  # of a stream, before anything is said of it
VERSIONS = 20  # streams of so many are kept, those with the newest rows
GROWN = 1.5  # with so many times the traffic, false alarms would come as much more often
FORMAT = 1


def _listed(value: Any) -> Any:
    if isinstance(value, (list, tuple)) and (not value or len(set(value)) < len(value)):
        raise ValueError("expected at least one detector, and each of them once")
    return value


class Options(_Options):
    """Which detectors follow which loss, the budget of false alarms, and the rise of the loss that is too small to matter."""

    detectors: Annotated[tuple[Literal["page_hinkley", "adwin"], ...], BeforeValidator(_listed)] = (
        "page_hinkley",
        "adwin",
    )
    loss: Literal["error", "log_loss", "absolute_error"] | None = None
    false_alarms: FalseAlarms = FalseAlarms()
    material: Annotated[
        LossFloor | None, WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string"}, {"type": "null"}]})
    ] = None


def complaints(options: Options, model: Model) -> Iterator[str]:
    """What in the options does not fit the model's task."""
    fitting = [name for name, tasks in TASKS.items() if model.task in tasks]
    if not fitting:
        yield f"expected a binary, multiclass or regression model, got a {model.task} one"
    elif options.loss is not None and options.loss not in fitting:
        yield f"loss: expected {' or '.join(fitting)} of a {model.task} model, got {options.loss!r}"
    elif options.loss == "log_loss" and not outcome_columns(model):
        yield "loss: expected the score of every class (columns.score: {class: column}), got one column for all"


def _loss(options: Options, model: Model) -> str:
    return options.loss or ("absolute_error" if model.task == "regression" else "error")


def _columns(options: Options, model: Model) -> tuple[Column, ...]:
    return outcome_columns(model) if _loss(options, model) == "log_loss" else ()


def prepare(context: Context, options: Options, version: str) -> Losses | str:
    """The losses of a version's reference in order of time; the reason where there are none.

    Raises:
        SourceError: its rows cannot be read.
    """
    try:
        found = losses_of(context.model, context.reference_outcomes(version), _loss(options, context.model))
    except NoData as reason:
        return str(reason)
    return Losses(found.times[-REFERENCE_ROWS:], found.values[-REFERENCE_ROWS:])


# --- judging ----------------------------------------------------------------------------------------------------------


def judge(context: Context, options: Options) -> Iterator[Finding]:
    """One finding for each version and detector.

    Every row is fed once its label has had the time to mature, in order of event time; what is known of a stream is left for
    the next look. While nothing changes, all detectors and versions together notice a rise `false_alarms` times at most, on
    average over references and where their rows are like the stream's; docs/estimation.md has measured figures.
    """
    matured = context.with_matured_labels()
    if matured is None:
        for name in options.detectors:
            yield context.finding(CHECK, name, Verdict.NO_DATA, "no window's labels have matured yet")
        return
    look = _Look(context, options, matured.window)
    look.feed()
    versions = list(context.profiles) or list(look.fed)
    for name in options.detectors if not versions else ():
        yield context.finding(CHECK, name, Verdict.NO_DATA, "no predictions in the window")
    for version in versions:
        for name in options.detectors:
            yield look.finding(version, name)


class _Look:
    """One look at all streams: what has come since the last one is fed to them."""

    def __init__(self, context: Context, options: Options, matured: Window) -> None:
        self.context, self.options, self.matured = context, options, matured
        self.loss = _loss(options, context.model)
        self.before, self.streams = _read(context.state(CHECK))
        self.fed: dict[str, Losses] = {}
        self.failures: dict[str, tuple[Verdict, str]] = {}
        mature = context.model.labels.mature if context.model.labels else 0.0
        self.until = context.now - max(mature, context.model.windows.lateness)
        self.start = matured.start if self.before is None else self.before

    def feed(self) -> None:
        """Feed what lies between the last look and now, and leave the streams for the next look."""
        if self.until > self.start:
            self.fed = self._losses(Window(self.start, self.until))
        active = len(set(self.context.profiles) - self.context.superseded) or len(self.fed)
        for version in dict.fromkeys([*self.context.profiles, *self.fed]):
            try:
                self._follow(version, active)
            except NoData as reason:
                self.failures[version] = Verdict.NO_DATA, str(reason)
            except SourceError as error:
                self.failures[version] = Verdict.ERROR, str(error)
        newest = sorted(self.streams, key=lambda version: -self.streams[version].last)[:VERSIONS]
        kept = {version: self.streams[version].as_json() for version in newest}
        self.context.leave(CHECK, json.dumps({"format": FORMAT, "until": max(self.until, self.start), "streams": kept}))

    def _losses(self, window: Window) -> dict[str, Losses]:
        """The losses of a stretch by version; one whose labels cannot be understood is not fed."""
        context, found = self.context, {}
        batches = context.source.labelled(
            window, numeric=context.model.is_numeric, known_by=context.known_by,
            columns=_columns(self.options, context.model),
        )  # fmt: skip
        for version, batch in by_version(batches).items():
            try:
                found[version] = losses_of(context.model, batch, self.loss)
            except NoData as reason:
                self.failures[version] = Verdict.NO_DATA, str(reason)
        return found

    def _follow(self, version: str, active: int) -> None:
        """Feed a version's stream; it is calibrated first where it is new, its reference another one, or its traffic has grown.

        Raises:
            NoData: there is no reference, or it tells too little.
            SourceError: its rows cannot be read.
        """
        losses, stream = self.fed.get(version), self.streams.get(version)
        if losses is None or not len(losses):
            return
        key, budget = self._key(version), self._rows_per_false_alarm(losses, stream, active)
        if stream is None or stream.key != key or budget > GROWN * stream.rows_per_false_alarm:
            prepared: Losses | str = self.context.references.prepared(self.context, CHECK, version)
            if isinstance(prepared, str):
                raise NoData(f"nothing to compare with: {prepared}")
            known = prepared.rate * self._seconds_per_false_alarm(active)
            fresh = Stream.begun(key, prepared, self.options.detectors, max(budget, known))
            self.streams[version] = stream = fresh.following(stream)
        self._feed(stream, losses)

    def _feed(self, stream: Stream, losses: Losses) -> None:
        """Row by row, and settled as often as windows end, so that a look that comes late says what those in time had said."""
        every, size = every_seconds(self.context.model.windows), window_seconds(self.context.model.windows)
        thresholds = {name: self._threshold(stream, name) for name in stream.settings}
        ends = [*np.arange(self.start + every, self.until, every).tolist(), self.until]
        at = 0
        for end, place in zip(ends, np.searchsorted(losses.times, ends).tolist(), strict=True):
            stream.feed(Losses(losses.times[at:place], losses.values[at:place]))
            stream.settle(end - size, thresholds)
            at = place

    def _material(self, stream: Stream) -> float:
        default = DEFAULT_FLOORS.get(self.loss, Floor(0.1, relative=True))
        return (self.options.material or default).loss(stream.baseline)

    def _threshold(self, stream: Stream, name: str) -> float:
        """The mean loss that a rise has to come to: one that matters, and that the detector is there to find."""
        settings = stream.settings[name]
        allowance = 0.0 if isinstance(settings, str) else settings.get("allowance", 0.0)
        return stream.baseline + max(self._material(stream), allowance)

    def _seconds_per_false_alarm(self, active: int) -> float:
        """Each detector of each version has its part of the budget."""
        budget = self.options.false_alarms
        return budget.per / budget.at_most * len(self.options.detectors) * max(active, 1)

    def _rows_per_false_alarm(self, losses: Losses, stream: Stream | None, active: int) -> float:
        """The same in rows, by the traffic since the start of the newest window whose labels have matured."""
        before = stream.rows - stream.at(self.matured.start)[0] if stream is not None else 0.0
        seconds = self.until - min(self.matured.start, self.start)
        return (before + len(losses)) / seconds * self._seconds_per_false_alarm(active)

    def _key(self, version: str) -> str:
        """What a stream's calibration rests on.

        Raises:
            NoData: the version has no reference.
            SourceError: it cannot be read.
        """
        references = self.context.references
        reference = references(version)
        if reference is None:
            if version in references.failures:
                raise SourceError(references.failures[version])
            raise NoData(references.missing.get(version, "no reference is configured"))
        span = span_of(self.context.model, self.context.window)
        # What trails is read anew once it has moved by its own length.
        moved = "" if span is None else str(span.start // (span.end - span.start))
        budget = self.options.false_alarms
        said = (reference.fingerprint, moved, self.loss, *self.options.detectors, f"{budget.at_most} {budget.per}")
        return fingerprint(*said)

    def finding(self, version: str, name: str) -> Finding:
        """What a detector says of a version."""
        context, stream = self.context, self.streams.get(version)
        about: dict[str, Any] = {"version": version}
        try:
            if version in self.failures:
                verdict, reason = self.failures[version]
                return context.finding(CHECK, name, verdict, reason, **about)
            row, total = (0.0, 0.0) if stream is None else stream.at(min(self.matured.start, self.start))
            if stream is None or round(stream.rows - row) < 1:
                raise NoData("no labelled rows since the start of the newest window whose labels have matured")
            settings = stream.settings.get(name, "it is new")
            if isinstance(settings, str):
                raise NoData(settings)
            about |= {"baseline": stream.baseline, "reference_rows": stream.reference_rows}
            change = stream.changes.get(name)
            if change is None and stream.rows < FEWEST_ROWS:
                raise NoData(f"expected at least {FEWEST_ROWS} labelled rows, got {stream.rows}")
        except NoData as reason:
            return context.finding(CHECK, name, Verdict.NO_DATA, str(reason), **about)
        value, rows = stream.mean_since(change.row, change.total) if change else stream.mean_since(row, total)
        threshold = self._threshold(stream, name)
        about |= {"value": value, "rows": rows, "material": self._material(stream), "threshold": threshold}
        verdict, reason_text = _verdict(change, value, threshold)
        about |= {"parts": _parts(change), "calibration": CALIBRATION[name]}
        return context.finding(CHECK, name, verdict, reason_text, **about)


def _verdict(change: Noticed | None, value: float, threshold: float) -> tuple[Verdict, str]:
    """By two keys: a rise was noticed, and the mean loss since then is one that matters."""
    if change is None:
        return Verdict.OK, "no_change"
    if not change.is_worse:
        return Verdict.OK, "improved"
    if value > threshold:
        return Verdict.BREACHED, f"losses have risen since {iso(math.floor(change.since))}"
    return Verdict.OK, "recovered" if change.after > threshold else "significant_but_immaterial"


def _parts(change: Noticed | None) -> dict[str, float]:
    if change is None:
        return {}
    return {"since": change.since, "noticed": change.noticed, "before": change.before, "after": change.after}


def _read(state: str | None) -> tuple[float | None, dict[str, Stream]]:
    """How far the last look has come, and its streams; nothing where there was none, or one of another form."""
    try:
        held: Mapping[str, Any] = json.loads(state or "{}")
        if held["format"] != FORMAT:
            return None, {}
        return float(held["until"]), {name: Stream.from_json(row) for name, row in held["streams"].items()}
    except (KeyError, TypeError, ValueError, AttributeError):
        return None, {}
