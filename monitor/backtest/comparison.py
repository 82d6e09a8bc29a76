"""Two backtests over the same history: which alerts only one of them raises, and which both do."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from monitor.backtest.outcome import Episode, Outcome


@dataclass
class Comparison:
    """Alerts of the one configuration and the other. Those in `both` are the same alert at overlapping times."""

    base: Outcome
    other: Outcome
    only_base: list[Episode]
    only_other: list[Episode]
    both: list[tuple[Episode, Episode]]

    def counts(self) -> dict[str, dict[str, int]]:
        """How often each rule alerts, in the one and in the other."""
        found = [Counter(episode.name for episode in side.alerts) for side in (self.base, self.other)]
        return {name: {"base": found[0][name], "other": found[1][name]} for name in sorted({*found[0], *found[1]})}

    def write_json(self) -> Iterator[str]:
        """The whole as JSON text, in pieces."""
        yield '{"base": '
        yield from self.base.write_json()
        yield ', "other": '
        yield from self.other.write_json()
        both = [
            {"name": one.name, "labels": one.labels, "base": one.as_json(), "other": two.as_json()}
            for one, two in self.both
        ]
        rest = {
            "only_base": [episode.as_json() for episode in self.only_base],
            "only_other": [episode.as_json() for episode in self.only_other],
            "both": both,
            "counts": self.counts(),
        }
        yield f", {json.dumps(rest, indent=1)[1:]}\n"


def compare(base: Outcome, other: Outcome) -> Comparison:
    """Match the alerts of two outcomes.

    Two are the same if they have the same name and labels and fire at a common time; each is matched once, in order of
    their starts.
    """
    left = list(other.alerts)
    both, only_base = [], []
    for episode in base.alerts:
        twin = next((each for each in left if _same(episode, each)), None)
        if twin is None:
            only_base.append(episode)
        else:
            left.remove(twin)
            both.append((episode, twin))
    return Comparison(base, other, only_base, left, both)


def _same(one: Episode, two: Episode) -> bool:
    ends = [math.inf if each.resolved_at is None else each.resolved_at for each in (one, two)]
    together = max(one.started_at, two.started_at) <= min(ends)
    return (one.name, one.labels) == (two.name, two.labels) and together
