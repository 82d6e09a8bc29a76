"""The configured monitors over history, on a simulated clock: what would have been found, alerted and retrained.

Nothing is decided here a second time: windows, checks, alerts, guards and metrics are the daemon's own code
(`monitor.windows`, `monitor.check`, `monitor.consequences`). Only time is different, and that nobody is told.
"""

from __future__ import annotations

from contextlib import ExitStack

from monitor.backtest.comparison import Comparison, compare
from monitor.backtest.history import History, open_history
from monitor.backtest.outcome import Episode, Outcome
from monitor.backtest.progress import Progress, Tell, nobody
from monitor.backtest.replay import Replay
from monitor.backtest.schedule import times_of
from monitor.backtest.series import SeriesLog
from monitor.config import Loaded
from monitor.records import iso

__all__ = ["Comparison", "Episode", "Outcome", "Progress", "SeriesLog", "UnknownModel", "backtest", "compare"]


class UnknownModel(Exception):
    """A model was asked for that is not configured; the message names those that are."""


def backtest(
    loaded: Loaded,
    *,
    model: str | None = None,
    start: float | None = None,
    end: float | None = None,
    series: SeriesLog | None = None,
    tell: Tell = nobody,
) -> Outcome:
    """Replay the configured models over their history.

    Each model is judged at every time at which the daemon would have judged it: from the first window with an event to the
    first that ends after the last one, or between `start` and `end`. A window sees the labels that had come by then; predictions
    count from their event time. What is wrong with one model is an `error` of its checks, and does not stop the others.

    Args:
        loaded: the configuration.
        model: only the models of this name.
        start: windows due before it are not judged (Unix seconds of the clock).
        end: nor those due after it.
        series: keeps what the metrics would have shown.
        tell: is told how far it has come.

    Raises:
        UnknownModel: there is no model of that name.
    """
    chosen = [(app.name, each) for app, each in loaded.config.models() if model in (None, each.name)]
    if not chosen:
        known = ", ".join(dict.fromkeys(each.name for _, each in loaded.config.models())) or "none"
        raise UnknownModel(f"expected one of {known}, got {model!r}")
    with ExitStack() as stack:
        histories = []
        for app, each in chosen:
            histories.append(open_history(loaded, app, each, tell))
            stack.callback(histories[-1].close)
        times = times_of(histories, start, end)
        outcome = Replay(loaded, histories, series=series, tell=tell).run(times)
    judged = {id(history) for _, history in times}
    outcome.notes = [_why_not(history) for history in histories if id(history) not in judged]
    return outcome


def _why_not(history: History) -> str:
    if history.first is None or history.last is None:
        return f"{history.name}: it has no predictions"
    return (
        f"{history.name}: no window is due then, its predictions are from {iso(history.first)} to {iso(history.last)}"
    )
