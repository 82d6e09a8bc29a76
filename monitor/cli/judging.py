"""One look at every model, outside of the daemon: what `anchorwatch check` does."""

from __future__ import annotations

from pathlib import Path

from monitor.check import References, judge_model
from monitor.config import Loaded, Model
from monitor.records import CheckResult, Finding, Verdict, Window
from monitor.source import SourceError
from monitor.source._open import open_events
from monitor.source._reference import read_reference
from monitor.store import StoreError
from monitor.windows import newest_due, newest_holding


def judge_once(loaded: Loaded, *, now: float) -> list[CheckResult]:
    """Judge each model's newest window that is due at `now` and holds a prediction; what goes wrong stays in its model."""
    return [result for app, model in loaded.config.models() for result in _judge(loaded, app.name, model, now)]


def _judge(loaded: Loaded, app: str, model: Model, now: float) -> list[CheckResult]:
    window = newest_due(model.windows, now)
    directory: Path = loaded.directory
    try:
        source = open_events(app, model, directory, loaded.store)
        last = source.newest_event(window.end)
        if last is not None:
            window = newest_holding(model.windows, last, window)
        references = References(
            lambda version: read_reference(model, version, directory, source, now=now), directory=directory
        )
        return judge_model(app, model, window, source, references, now=now)
    except (SourceError, StoreError) as error:
        return [_failed(app, model, check, window, str(error)) for check in model.checks]


def _failed(app: str, model: Model, check: str, window: Window, reason: str) -> CheckResult:
    finding = Finding(app, check, check, Verdict.ERROR, reason, window, model=model.name)
    return CheckResult(app, model.name, check, Verdict.ERROR, reason, window, 0, (finding,))
