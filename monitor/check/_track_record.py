"""What an estimator would have said of earlier windows, beside what came true of them: may it be relied on?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from monitor.check._context import Context
from monitor.check._estimators import Estimator
from monitor.check._versions import by_version
from monitor.estimate import CalibrationCounts, Checked, Reliability, Trust, reliability
from monitor.records import NoData, Window
from monitor.source import SourceError
from monitor.windows import newest_due

FEWEST_LABELS = 50  # a window with fewer of them shows no error of an estimator


@dataclass(frozen=True, slots=True)
class TrackRecord:
    """What came true of the estimates of one version.

    Attributes:
        history: by metric, what would have been estimated and what came true, the oldest window first.
        calibration: of the newest of these windows.
        unread: why there is none, where labels cannot be read.
    """

    history: Mapping[str, Sequence[Checked]]
    calibration: CalibrationCounts | None = None
    unread: str | None = None

    def reliability(self, name: str, tolerance: float) -> Reliability:
        """Whether to rely on the estimates of a metric, of which an error beyond the tolerance would matter."""
        if self.unread is not None:
            return Reliability(Trust.UNPROVEN, self.unread)
        return reliability(self.history[name], tolerance, self.calibration)

    def parts(self, name: str) -> dict[str, float]:
        """The estimator's own error, on the newest window whose labels have matured."""
        if not self.history.get(name):
            return {}
        newest = self.history[name][-1]
        parts = {
            "error": newest.actual - newest.estimated, "estimated": newest.estimated, "actual": newest.actual,
            "standard_error": math.hypot(newest.standard_error, newest.common_error),
        }  # fmt: skip
        if self.calibration is not None:
            parts["calibration_error"] = self.calibration.error
        return {key: value for key, value in parts.items() if math.isfinite(value)}


def track_record(
    context: Context,
    version: str,
    estimator: Estimator,
    metrics: Sequence[str],
    windows: int,
    *,
    fitted_on: Window | None = None,
) -> TrackRecord:
    """Hold the estimates of up to so many windows against their labels.

    Args:
        context: the windows end with the newest one whose labels have matured.
        version: of the model.
        estimator: of that version.
        metrics: by name.
        windows: at most so many.
        fitted_on: the time of the rows that the estimator was fitted on: of them it proves nothing.
    """
    history: dict[str, list[Checked]] = {name: [] for name in metrics}
    counts = None
    try:
        for window in reversed(_matured(context, windows)):
            if fitted_on is not None and window.start <= fitted_on.end and fitted_on.start < window.end:
                continue
            counts = _checked(context, window, version, estimator, history) or counts
    except SourceError as error:
        return TrackRecord({}, None, str(error))
    return TrackRecord(history, counts)


def _matured(context: Context, number: int) -> list[Window]:
    """Windows whose labels have matured, one before the other, the newest first."""
    newest, windows = context.with_matured_labels(), context.model.windows
    found = [] if newest is None else [newest.window]
    while found and len(found) < number:
        last = found[-1]
        before = Window(2 * last.start - last.end, last.start)
        found.append(before if windows.calendar is None else newest_due(windows.replace(lateness=0.0), last.start))
    return found


def _checked(
    context: Context, window: Window, version: str, estimator: Estimator, history: Mapping[str, list[Checked]]
) -> CalibrationCounts | None:
    """Add what a window's labels say of the estimator, if they are enough to say anything."""
    model = context.model
    batches = context.source.labelled(
        window, numeric=model.is_numeric, known_by=context.known_by, columns=estimator.columns(model)
    )
    batch = by_version(batches).get(version)
    try:
        asked = None if batch is None else estimator.asked(model, batch)
    except NoData:
        return None
    if asked is None or len(asked) < FEWEST_LABELS:
        return None
    for name, checks in history.items():
        with suppress(NoData):  # a metric without a value there has nothing to be held against
            checked = estimator.check(name, asked)
            if math.isfinite(checked.actual) and math.isfinite(checked.estimated):
                checks.append(checked)
    return estimator.calibration(asked)
