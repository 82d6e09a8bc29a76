"""The result of a backtest, or of two, as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from monitor.backtest import Comparison, Episode, Outcome
from monitor.options import duration_text
from monitor.records import Verdict, iso

VERDICTS = (Verdict.OK, Verdict.BREACHED, Verdict.NO_DATA, Verdict.ERROR)


def outcome_table(outcome: Outcome) -> str:
    """What each check said, the alerts, the retrainings, and the sum of it in a sentence."""
    if not outcome.windows:
        return "nothing to replay\n"
    blocks = [_summary(outcome)]
    if outcome.alerts:
        blocks.append(_alerts(outcome.alerts))
    if outcome.retrainings:
        names = ("at", "app", "model", "decision", "guard", "reason")
        rows = [[str(row[name] or "") for name in names] for row in outcome.retrainings]
        blocks.append(_table(("RETRAINING AT", *(name.upper() for name in names[1:])), rows))
    sentence = f"would have alerted {_times(len(outcome.alerts))} in {_days(outcome)}"
    requested = sum(row["decision"] == "requested" for row in outcome.retrainings)
    if requested:
        sentence += f", and asked for a retraining {_times(requested)}"
    return "\n".join([*blocks, sentence + "\n"])


def comparison_table(comparison: Comparison, base: str, other: str) -> str:
    """What another configuration would have changed; `base` and `other` are the names of the two files."""
    counts = comparison.counts().items()
    blocks = [
        _table(
            ("ALERTS", base, other),
            [[name, str(count["base"]), str(count["other"])] for name, count in counts],
            right=(1, 2),
        )
    ]
    for name, alerts in ((base, comparison.only_base), (other, comparison.only_other)):
        if alerts:
            blocks.append(f"only with {name}\n{_alerts(alerts)}")
    if comparison.both:
        rows = [[*_about(one), iso(one.started_at), _later(one, two)] for one, two in comparison.both]
        blocks.append("with both\n" + _table(("ALERT", "ABOUT", f"STARTED WITH {base}", f"WITH {other}"), rows))
    first, second = len(comparison.base.alerts), len(comparison.other.alerts)
    longest = max(comparison.base, comparison.other, key=lambda outcome: outcome.days)
    sentence = f"would have alerted {_times(first)} with {base} and {_times(second)} with {other} in {_days(longest)}\n"
    return "\n".join([*blocks, sentence])


def _summary(outcome: Outcome) -> str:
    rows = [
        [*key, str(sum(tally.values())), *(str(tally[verdict]) for verdict in VERDICTS)]
        for key, tally in outcome.tally.items()
    ]
    title = f"judged from {iso(outcome.start)} to {iso(outcome.end)}\n"
    head = ("APP", "MODEL", "CHECK", "WINDOWS", *(verdict.value.upper() for verdict in VERDICTS))
    return title + _table(head, rows, right=range(3, len(head)))


def _alerts(alerts: Sequence[Episode]) -> str:
    head = ("ALERT", "ABOUT", "SEVERITY", "STARTED", "RESOLVED", "PEAK", "THRESHOLD")
    rows = [
        [
            *_about(episode),
            episode.severity,
            iso(episode.started_at),
            "still firing" if episode.resolved_at is None else iso(episode.resolved_at),
            _number(episode.peak),
            _number(episode.threshold),
        ]
        for episode in alerts
    ]
    return _table(head, rows, right=(5, 6))


def _about(episode: Episode) -> list[str]:
    names = ("app", "model", "version", "feature", "statistic", "metric", "check")
    return [episode.name, " ".join(episode.labels[name] for name in names if name in episode.labels)]


def _later(one: Episode, two: Episode) -> str:
    apart = two.started_at - one.started_at
    if not apart:
        return "at the same time"
    return f"{duration_text(abs(apart))} {'later' if apart > 0 else 'earlier'}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _days(outcome: Outcome) -> str:
    days = f"{outcome.days:.1f}".removesuffix(".0")
    return f"{days} day" if days == "1" else f"{days} days"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    cells = [head, *rows]
    widths = [max(len(row[place]) for row in cells) for place in range(len(head))]
    lines = []
    for row in cells:
        aligned = [
            text.rjust(width) if place in right else text.ljust(width)
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(aligned).rstrip())
    return "\n".join(lines) + "\n"
