"""What a check is given: one model, one window, and the ways to its data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from monitor.check._columns import labelled_columns
from monitor.check._coverage import Coverage, coverage_of
from monitor.check._references import References
from monitor.check._versions import by_version, joined_rows
from monitor.config import Model
from monitor.profile import Cutter, Profile, Reference, cutter_for, recounted
from monitor.records import (
    UNVERSIONED,
    Column,
    EventBatch,
    Finding,
    LabelledBatch,
    NoData,
    Role,
    Verdict,
    Window,
)
from monitor.source import EventSource
from monitor.source._reference import read_outcomes, read_rows, span_of
from monitor.windows import bucket_seconds, window_seconds


class Context:
    """One model's window. What several checks need is read once."""

    def __init__(  # noqa: PLR0913 - what a judgement depends on is all said here
        self,
        app: str,
        model: Model,
        window: Window,
        source: EventSource,
        references: References,
        now: float,
        *,
        matured: Window | None = None,
        known_by: float = math.inf,
        between: Sequence[Window] = (),
        states: Mapping[str, str] | None = None,
    ) -> None:
        self.app, self.model, self.window, self.now = app, model, window, now
        self._states, self._left = states or {}, dict[str, str]()
        self._omitted: dict[str, int] = {}
        self.source, self.references = source, references
        self.matured, self.known_by, self._between = matured, known_by, between
        self._standards: dict[str, Reference] = {}

    @property
    def is_provisional(self) -> bool:
        """Whether labels of the window may still come that change what is said of it."""
        return self.model.labels is not None and self.now < self.window.end + self.model.labels.mature

    def omit(self, check: str, number: int) -> None:
        """Note that so many subjects of a check are left out, because there are too many."""
        self._omitted[check] = self._omitted.get(check, 0) + number

    def omitted(self, check: str) -> int:
        """How many were left out."""
        return self._omitted.get(check, 0)

    def state(self, check: str) -> str | None:
        """What a check has left at its last run, None where it has not run before."""
        return self._states.get(check)

    def leave(self, check: str, state: str) -> None:
        """Leave something for the check's next run."""
        self._left[check] = state

    def left(self, check: str) -> str | None:
        """What a check has left at this run."""
        return self._left.get(check)

    @cached_property
    def profiles(self) -> Mapping[str, Profile]:
        """The window's profile by version."""
        return self.source.profiles(self.window, self.references)

    @cached_property
    def superseded(self) -> frozenset[str]:
        """Versions that another one has replaced: silent for a quarter of the window, or a bucket if that is longer."""
        newest = max((profile.last for profile in self.profiles.values()), default=0.0)
        silence = max(bucket_seconds(self.model.windows), (self.window.end - self.window.start) / 4)
        return frozenset(name for name, profile in self.profiles.items() if profile.last < newest - silence)

    @cached_property
    def labelled(self) -> Mapping[str, LabelledBatch]:
        """The window's predictions whose label has come, by version."""
        numeric = self.model.is_numeric
        columns = labelled_columns(self.model)
        return by_version(self.source.labelled(self.window, numeric=numeric, known_by=self.known_by, columns=columns))

    @cached_property
    def coverage(self) -> Mapping[str, Coverage]:
        """How much of the window has a label, by version; the label may be late in some segments more than in others."""
        return coverage_of(self)

    @cached_property
    def selection(self) -> Mapping[str, str]:
        """By version, in words, that the labels which have come are not of the same kind as those that have not."""
        if not self.model.segments:
            return {}
        return {version: words for version, found in self.coverage.items() if (words := found.selection())}

    def with_matured_labels(self) -> Context | None:
        """This context, or the one on an earlier window, where the labels of its window have matured; None for neither."""
        mature = self.model.labels.mature if self.model.labels is not None else 0.0
        if self.now >= self.window.end + mature:
            return self
        return self.earlier

    @cached_property
    def earlier(self) -> Context | None:
        """The context on the newest window whose labels have matured, where that is another one."""
        if self.matured is None or self.matured == self.window:
            return None
        return self._on(self.matured)

    @cached_property
    def revisited(self) -> tuple[Context, ...]:
        """The contexts on earlier windows that labels may still change, or have just changed for the last time; newest first."""
        others = [self._on(window) for window in self._between if window not in (self.window, self.matured)]
        return (*others, *([self.earlier] if self.earlier is not None else []))

    def _on(self, window: Window) -> Context:
        return Context(
            self.app, self.model, window, self.source, self.references, self.now,
            matured=self.matured, known_by=self.known_by, states=self._states,
        )  # fmt: skip

    def reference_rows(self, version: str, *, limit: int) -> EventBatch:
        """Raw rows of a version's reference, at most so many, evenly spread over it.

        Raises:
            SourceError: they cannot be read.
            NoData: none are kept.
        """
        reference = self.references(version)
        assert reference is not None  # the caller has asked
        return read_rows(
            self.model, version, self.references.directory, self.source, self.window,
            [column for column in reference.columns if column.name not in reference.unusable], limit=limit,
        )  # fmt: skip

    def reference_outcomes(self, version: str, more: Sequence[Column] = ()) -> LabelledBatch:
        """The labelled rows of the reference that this window is held against.

        Args:
            version: whose reference it is.
            more: features that are wanted beside what `labelled` holds.

        Raises:
            SourceError: they cannot be read.
            NoData: there is no reference, or it has no labels.
        """
        if self.model.reference is None:
            raise NoData("no reference is configured")
        found = read_outcomes(
            self.model, version, self.references.directory, self.source, self.window,
            [*labelled_columns(self.model), *more],
            known_by=self.known_by,
        )  # fmt: skip
        batches = [batch for batch in found if len(batch)]
        if not batches:
            raise NoData("the reference has no labels")
        return joined_rows(batches)

    def standard(self, version: str) -> Reference:
        """The reference of a version as this window is held against it: one that trails has the counts of its time.

        Raises:
            NoData: its time has too few rows.
        """
        reference = self.references(version)
        assert reference is not None  # the caller has asked
        span = span_of(self.model, self.window)
        if span is None:
            return reference
        if reference.fingerprint not in self._standards:
            self._standards[reference.fingerprint] = self._trailing(reference, span)
        return self._standards[reference.fingerprint]

    def _trailing(self, reference: Reference, span: Window) -> Reference:
        fingerprint = f"{reference.fingerprint}@{span.start:.0f}"
        cutter = self._cutter(reference, span)
        self.source.cut(span, self.references, cutter)
        trailing = recounted(reference, cutter, fingerprint)
        return replace(trailing, labels=self._trailing_labels(reference.labels, span, fingerprint))

    def _trailing_labels(self, labels: Reference | None, span: Window, fingerprint: str) -> Reference | None:
        if labels is None:
            return None
        # The newest labels have not matured: those that come early are not like those that come late.
        mature = self.model.labels.mature if self.model.labels else 0.0
        span = Window(span.start - mature, span.end - mature)
        cutter, numeric = self._cutter(labels, span), self.model.is_numeric
        for batch in self.source.labelled(span, numeric=numeric, known_by=self.known_by):
            cutter.add(EventBatch(UNVERSIONED, batch.times, {Role.LABEL.value: batch.labels}))
        return None if cutter.whole() is None else recounted(labels, cutter, f"{fingerprint}+labels")

    def _cutter(self, reference: Reference, span: Window) -> Cutter:
        return cutter_for(
            reference.bins,
            covered=span.end - span.start,
            rows=0,
            window_seconds=window_seconds(self.model.windows),
            match=reference.match,
        )

    def finding(self, check: str, statistic: str, verdict: Verdict, reason: str, **more: object) -> Finding:
        """A finding about this model and window."""
        version = more.get("version")
        return Finding(
            app=self.app,
            model=self.model.name,
            window=self.window,
            check=check,
            statistic=statistic,
            verdict=verdict,
            reason=reason,
            superseded=version in self.superseded,
            **more,  # type: ignore[arg-type]
        )

    def without_reference(self, check: str, statistic: str, version: str, rows: int) -> Finding:
        """The finding where there is nothing to compare with: an error if it should be there."""
        if version in self.references.failures:
            verdict, reason = Verdict.ERROR, self.references.failures[version]
        else:
            verdict, reason = Verdict.NO_DATA, self.references.missing.get(version, "no reference is configured")
        return self.finding(check, statistic, verdict, reason, version=version, rows=rows)
