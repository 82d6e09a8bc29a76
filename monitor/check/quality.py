"""Are the features there, do they hold what the reference knows, and is each row there once?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, Field

from monitor.check._context import Context
from monitor.check._duplicates import KINDS, Copied, Keys, row_keys, share_of_copies, time_keys
from monitor.check._few_rows import limit_for
from monitor.check._habits import Habits, habits_of
from monitor.check._ranges import Range, beyond, is_suspicious, out_of_range
from monitor.check._raw import RawRows
from monitor.check._runs import number_of_values
from monitor.check._statistics import statistic
from monitor.check._verdict import measured, verdict_of
from monitor.config import Model
from monitor.options import Options as _Options
from monitor.options import Ratio
from monitor.profile import NumericBins, Profile, Reference
from monitor.records import ColumnKind, Finding, FloatArray, NoData, Role, Verdict
from monitor.source import SourceError

CHECK = "quality"
OF_FEATURES = ("constant", "missing_ratio", "out_of_range_ratio", "schema", "unseen_ratio")
DUPLICATES = "duplicate_ratio"


def _rising(limits: Range) -> Range:
    low, high = limits
    if low is None and high is None:
        raise ValueError("expected a lower or an upper end, got neither")
    if low is not None and high is not None and low > high:
        raise ValueError(f"expected the lower end first, got [{low:g}, {high:g}]")
    return limits


Limits = Annotated[
    tuple[
        Annotated[float, Field(allow_inf_nan=False)] | None,
        Annotated[float, Field(allow_inf_nan=False)] | None,
    ],
    AfterValidator(_rising),
]


class Options(_Options):
    """What is too much: shares of rows, by feature or of whole rows; and what is in range where that is known (by feature)."""

    missing: Ratio = 0.05
    unseen: Ratio = 0.01
    out_of_range: Ratio = 0.01
    ranges: Mapping[str, Limits] = {}
    duplicates: Ratio | None = 0.01
    constant: bool = True
    min_rows: Annotated[int, Field(ge=1)] = 20


def complaints(options: Options, model: Model) -> Iterator[str]:
    """What in the options does not fit the model's features."""
    for name in options.ranges:
        if model.features is not None and name not in model.features:
            yield f"ranges: expected features of this model ({', '.join(model.features)}), got {name!r}"
        elif model.features is not None and model.features[name].type not in (None, ColumnKind.NUMERIC):
            yield f"ranges: expected numeric features, got {name!r}, which is {model.features[name].type}"


def _thresholds(options: Options) -> dict[str, float | None]:
    """By statistic that is wanted."""
    found = {
        "missing_ratio": options.missing,
        "unseen_ratio": options.unseen,
        "out_of_range_ratio": options.out_of_range,
        "schema": statistic("schema").default_threshold,
    }
    if options.constant:
        found["constant"] = statistic("constant").default_threshold
    return {name: found[name] for name in OF_FEATURES if name in found}


def prepare(context: Context, options: Options, version: str) -> Habits | str:  # noqa: ARG001 - what every check takes
    """What the reference's own rows tell of copies and of runs; the reason where they tell nothing.

    Raises:
        SourceError: its rows cannot be read.
    """
    return habits_of(context, version)


# --- judging ----------------------------------------------------------------------------------------------------------


def judge(context: Context, options: Options) -> Iterator[Finding]:
    """One finding for each version, feature and statistic of quality, and for the rows of each version as a whole."""
    names = [*_thresholds(options), *([DUPLICATES] if options.duplicates is not None else [])]
    if not context.profiles:
        for name in names:
            yield context.finding(CHECK, name, Verdict.NO_DATA, "no predictions in the window")
    raw = RawRows(context)
    for version, profile in context.profiles.items():
        reference = context.references(version)
        if reference is None:
            for name in names:
                yield context.without_reference(CHECK, name, version, profile.rows)
            continue
        yield from _Version(context, options, version, reference, profile, raw).findings()


class _Version:
    """The judgement of one version."""

    def __init__(
        self, context: Context, options: Options, version: str, reference: Reference, profile: Profile, raw: RawRows
    ) -> None:
        self.context, self.options, self.version, self.raw = context, options, version, raw
        self.reference, self.profile = reference, profile
        self.columns = [column for column in reference.columns if column.role is Role.FEATURE]
        self.about: dict[str, Any] = {
            "version": version, "reference_version": reference.version, "rows": profile.rows,
            "reference_rows": reference.rows,
        }  # fmt: skip

    def findings(self) -> Iterator[Finding]:
        """Those of its features, then that of its rows."""
        # They are read for copies, and what is asked of features is then answered from them.
        copied = None if self.options.duplicates is None else self._duplicates(self.options.duplicates)
        broken = []
        for name, limit in _thresholds(self.options).items():
            for column in self.columns:
                fits = column.kind in statistic(name).applies_to
                if fits and column.name in self.profile.columns:
                    finding = self._feature(name, column.name, limit)
                    broken += [column.name] if finding.verdict is Verdict.BREACHED else []
                    yield finding
        if copied is not None:
            yield _explained(copied, broken)

    def _enough(self) -> None:
        if self.profile.rows < self.options.min_rows:
            raise NoData(f"expected at least {self.options.min_rows} rows, got {self.profile.rows}")

    @cached_property
    def habits(self) -> Habits | str:
        """What the reference's rows tell; the reason where nothing is known of them."""
        if self.context.model.reference is None:
            return "no reference is configured"
        try:
            found: Habits | str = self.context.references.prepared(self.context, CHECK, self.version)
        except (SourceError, NoData) as reason:
            return str(reason)
        return found

    # --- features -----------------------------------------------------------------------------------------------------

    def _feature(self, name: str, feature: str, limit: float | None) -> Finding:
        found = statistic(name)
        about = {**self.about, "feature": feature, "threshold": limit}
        try:
            self._enough()
            counts = self._counts(name, feature)
            value = measured(found, **counts)
            about["threshold"] = self._limit(name, feature, limit, counts)
        except NoData as reason:
            return self.context.finding(CHECK, name, Verdict.NO_DATA, str(reason), **about)
        except SourceError as error:
            return self.context.finding(CHECK, name, Verdict.ERROR, str(error), **about)
        about["parts"] = self._parts(name, feature)
        verdict, reason_text = verdict_of(found, value, about["threshold"])
        return self.context.finding(CHECK, name, verdict, reason_text, value=value, **about)

    def _counts(self, name: str, feature: str) -> dict[str, int]:
        column = self.profile.columns[feature]
        counts = {
            "rows": column.rows, "missing": column.missing, "absent": column.absent, "unseen": column.unseen,
        }  # fmt: skip
        if name == "constant":
            counts["values"] = number_of_values(column, self.reference.bins[feature])
        if name == "out_of_range_ratio":
            looked, outside = self._outside(feature)
            if looked:
                counts |= {"rows": looked, "missing": 0, "unseen": 0, "outside": outside}
        return counts

    def _limit(self, name: str, feature: str, limit: float | None, counts: Mapping[str, int]) -> float | None:
        """The threshold for so many rows, and for a feature whose reference has runs of its own."""
        if name == "constant":
            if isinstance(self.habits, str):
                raise NoData(self.habits)
            rows, seconds = counts["rows"] - counts["missing"], self.profile.last - self.profile.first
            runs = self.habits.runs.get(feature)
            known = runs is None or runs.explain(rows, seconds, self.habits.every(self.reference))
            return 1.0 if known else limit
        if limit is None or name == "schema":
            return limit
        return limit_for(limit, counts["rows"])

    def _parts(self, name: str, feature: str) -> dict[str, float]:
        """Beside the rows that count as out of range, all those beyond the reference's own."""
        column = self.profile.columns[feature]
        numbers = int(column.counts.sum())
        return {"beyond_reference": sum(column.outside) / numbers} if name == "out_of_range_ratio" and numbers else {}

    def _outside(self, feature: str) -> tuple[int, int]:
        """How many numbers were looked at, and how many of them are out of range.

        Rows are only read where the profile does not tell.
        """
        bins, limits = self.reference.bins[feature], self.options.ranges.get(feature)
        assert isinstance(bins, NumericBins)  # the statistic is for no other
        column = self.profile.columns[feature]
        numbers = int(column.counts.sum())
        if limits is None and bins.low == bins.high:
            return numbers, sum(column.outside)  # beside a constant every other value is out of range
        if feature not in self._suspicious:
            return numbers, 0
        wanted = [each for each in self.columns if each.name in self._suspicious]
        values = self.raw.values(self.version, feature, wanted)
        there = values[~np.isnan(values)]
        outside = out_of_range(there, bins) if limits is None else beyond(there, limits)
        return len(there), int(np.count_nonzero(outside))

    @cached_property
    def _suspicious(self) -> frozenset[str]:
        """The features whose rows have to be read to tell whether they are out of range."""
        found = set()
        for name in [column.name for column in self.columns if column.name in self.profile.columns]:
            bins, limits = self.reference.bins[name], self.options.ranges.get(name)
            if isinstance(bins, NumericBins) and is_suspicious(self.profile.columns[name], bins, limits):
                found.add(name)
        return frozenset(found)

    # --- rows ---------------------------------------------------------------------------------------------------------

    def _duplicates(self, limit: float) -> Finding:
        """Of whole rows; of their times where these alone are copied, as they are where a stretch was recorded twice."""
        found, about = statistic(DUPLICATES), {**self.about, "threshold": limit}
        try:
            self._enough()
            habits = self.habits
            if isinstance(habits, str):
                raise NoData(habits)
            keys, times = self._rows()
            about["rows"] = len(keys)
            of_rows = share_of_copies(keys, habits.rows, limit)
        except NoData as reason:
            return self.context.finding(CHECK, DUPLICATES, Verdict.NO_DATA, str(reason), **about)
        except SourceError as error:
            return self.context.finding(CHECK, DUPLICATES, Verdict.ERROR, str(error), **about)
        told, of_times = of_rows, self._times(habits, times, limit)
        every = habits.every(self.reference)
        if every > 1:
            about["caution"] = (
                f"one row in {every:.0f} of the reference was looked at: of its own copies some are overlooked"
            )
        if of_times is not None:
            about["parts"] = {"rows": of_rows.value, "times": of_times.value}
            if of_times.is_beyond and not of_rows.is_beyond:
                told, about["caution"] = of_times, "rows share their times and differ in their features"
        about |= {"threshold": told.threshold, "baseline": told.usual}
        verdict, reason_text = verdict_of(found, told.value, told.threshold)
        return self.context.finding(CHECK, DUPLICATES, verdict, reason_text, value=told.value, **about)

    def _rows(self) -> tuple[Keys, FloatArray]:
        """The keys of the rows that hold a value, and the times of all."""
        columns = [column for column in self.columns if column.kind in KINDS]
        batches = self.raw.consecutive(self.version, columns)
        pairs = [row_keys(batch, [column.name for column in columns]) for batch in batches]
        return np.concatenate([keys[there] for keys, there in pairs]), np.concatenate([each.times for each in batches])

    def _times(self, habits: Habits, times: FloatArray, limit: float) -> Copied | None:
        """The same of the times; None where they tell nothing, as many rows of the reference share theirs."""
        if habits.times is None or habits.every(self.reference) > 1:
            return None
        window = self.context.window
        denser = self.profile.rows / (window.end - window.start) / habits.times.density
        try:
            return share_of_copies(time_keys(times), habits.times, limit, denser)
        except NoData:
            return None


def _explained(copied: Finding, broken: Sequence[str]) -> Finding:
    """Rows look alike where the feature that told them apart is broken."""
    if copied.verdict is not Verdict.BREACHED or copied.caution is not None or not broken:
        return copied
    names = ", ".join(dict.fromkeys(broken))
    return replace(copied, caution=f"rows that differ in {names} alone may only look alike, as that is broken")
