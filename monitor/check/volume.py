"""Do predictions arrive, and as many of them as is usual at this hour of the week?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from monitor.check._context import Context
from monitor.check._keys import level_of
from monitor.check._statistics import FalseAlarms, statistic
from monitor.check._usual import FEWEST, WEEK, Band, band, rows_before
from monitor.check._verdict import measured, verdict_of
from monitor.options import Duration, Ratio
from monitor.options import Options as _Options
from monitor.records import Direction, Finding, NoData, Statistic, Verdict

CHECK = "volume"
LOOKS_IN_SILENCE = 4


class Options(_Options):
    """How long a silence and how large a change is too much, and the budget of false alarms; null turns one of them off."""

    silence: Duration | None = 3600.0
    change: Ratio | None = 0.5
    false_alarms: FalseAlarms = FalseAlarms()
    history: Annotated[int, Field(ge=FEWEST, le=52)] = 8


def looks_every(options: Options) -> float | None:
    """A silence is not to go unseen until the next window is due; None where nobody asks for silence."""
    return None if options.silence is None else max(options.silence / LOOKS_IN_SILENCE, 60.0)


def judge(context: Context, options: Options) -> Iterator[Finding]:
    """How old the newest prediction is, and how many there are beside the usual; both of all versions together."""
    if options.silence is not None:
        yield _silence(context, options, options.silence)
    if options.change is not None:
        yield _volume(context, options, options.change)


def _silence(context: Context, options: Options, silence: float) -> Finding:
    found, now = statistic("staleness"), context.now
    rows = sum(profile.rows for profile in context.profiles.values())
    about: dict[str, Any] = {"threshold": silence, "rows": rows}
    newest = context.source.newest_event(now)
    if newest is None:
        return context.finding(CHECK, found.name, Verdict.NO_DATA, "no predictions", **about)
    value = measured(found, now=now, newest=newest)  # type: ignore[arg-type]
    if value > silence:
        about |= _usual_silence(context, options, silence)
    verdict, reason = verdict_of(found, value, about["threshold"])
    return context.finding(CHECK, found.name, verdict, reason, value=value, **about)


def _usual_silence(context: Context, options: Options, silence: float) -> dict[str, Any]:
    """The threshold where it is quiet at this time of every week: as much longer than the longest of these silences."""
    before = []
    for weeks in range(1, options.history + 1):
        instant = context.now - weeks * WEEK
        newest = context.source.newest_event(instant)
        if newest is None:
            break
        before.append(instant - newest)
    # Quiet once is an outage; quiet in most weeks is a habit.
    habit = len(before) >= FEWEST and sum(each > silence for each in before) > len(before) / 2
    return {"threshold": silence + max(before), "parts": {"usual": max(before)}} if habit else {}


def _volume(context: Context, options: Options, change: float) -> Finding:
    found = statistic("volume")
    rows = sum(profile.rows for profile in context.profiles.values())
    before = rows_before(context, options.history)
    about: dict[str, Any] = {"rows": rows, "threshold": 1 - change, "material": change}
    try:
        if len(before) < FEWEST:
            raise NoData(f"expected at least {FEWEST} earlier windows to tell what is usual, got {len(before)}")
        usual = band(before, level_of(context, options.false_alarms, tests=1))
        # Where next to nothing is usual, one row is taken to be: a ratio to nothing says nothing.
        expected = max(usual.usual, 1.0) if rows else usual.usual
        value = measured(found, rows=rows, usual=expected)  # type: ignore[arg-type]
    except NoData as reason:
        return context.finding(CHECK, found.name, Verdict.NO_DATA, str(reason), **about)
    about |= {"parts": {"usual": usual.usual, "rows": float(rows)}, "interval": _interval(usual, expected)}
    sided, threshold, chance = _limits(found, value, change, about["interval"])
    verdict, reason_text = verdict_of(sided, value, threshold)
    if verdict is Verdict.OK and sided.is_breach(value, chance):
        reason_text = "significant_but_immaterial"
    about |= {
        "threshold": threshold,
        "reference_rows": round(sum(before)),
        "calibration": f"t_of_{len(before)}_windows",
    }
    return context.finding(CHECK, found.name, verdict, reason_text, value=value, **about)


def _interval(usual: Band, expected: float) -> tuple[float, float]:
    return usual.low / expected, usual.high / expected


def _limits(
    found: Statistic, value: float, change: float, interval: tuple[float, float]
) -> tuple[Statistic, float, float]:
    """The side that a value lies on: its direction, the threshold where both keys turn, and where chance ends."""
    if value < 1:
        return replace(found, worse=Direction.LOWER_IS_WORSE), min(1 - change, interval[0]), interval[0]
    return replace(found, worse=Direction.HIGHER_IS_WORSE), max(1 + change, interval[1]), interval[1]
