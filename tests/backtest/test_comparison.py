"""What a change of settings would have changed."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from monitor.backtest import Comparison, Episode, Outcome, compare
from monitor.cli.replays import comparison_table


def episode(started: float, resolved: float | None, name: str = "Drift", feature: str = "temp") -> Episode:
    return Episode(name, {"app": "shop", "feature": feature}, "warning", started, resolved)


def compared(base: list[Episode], other: list[Episode]) -> Comparison:
    return compare(Outcome(alerts=base), Outcome(alerts=other))


def test_alerts_are_the_same_if_they_are_of_one_name_and_subject_and_fire_together() -> None:
    base = [episode(0, 100), episode(200, 300), episode(0, None, feature="wind"), episode(0, 10, name="Quality")]
    other = [episode(50, 120), episode(400, None), episode(70, 80, feature="wind"), episode(0, 10, name="Performance")]
    found = compared(base, other)
    assert found.both == [(base[0], other[0]), (base[2], other[2])]
    assert found.only_base == [base[1], base[3]]
    assert found.only_other == [other[1], other[3]]
    assert found.counts() == {
        "Drift": {"base": 3, "other": 3},
        "Performance": {"base": 0, "other": 1},
        "Quality": {"base": 1, "other": 0},
    }


def test_one_long_alert_is_the_first_of_the_short_ones_it_spans() -> None:
    base, other = [episode(0, 100)], [episode(10, 20), episode(30, 40)]
    found = compared(base, other)
    assert (found.both, found.only_base, found.only_other) == ([(base[0], other[0])], [], [other[1]])


EPISODES = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 9) | st.none(), st.sampled_from("ab")).map(
        lambda parts: episode(parts[0], None if parts[1] is None else parts[0] + parts[1], feature=parts[2])
    ),
    max_size=6,
)


@given(EPISODES, EPISODES)
def test_every_alert_is_in_one_place_only(base: list[Episode], other: list[Episode]) -> None:
    found = compared(base, other)
    assert len(found.only_base) + len(found.both) == len(base)
    assert len(found.only_other) + len(found.both) == len(other)
    assert compared(base, base).only_base == []


def test_the_table_says_what_only_one_of_them_raises_and_when_both_do() -> None:
    base, other = [episode(0, 100), episode(500, 600)], [episode(3600, None), episode(0, 100)]
    lines = comparison_table(compared(base, other), "a.yml", "b.yml").splitlines()
    assert lines[0].split() == ["ALERTS", "a.yml", "b.yml"]
    assert lines[1].split() == ["Drift", "2", "2"]
    assert "only with a.yml" in lines
    assert lines[lines.index("with both") + 2].split()[-4:] == ["at", "the", "same", "time"]
    assert lines[-1] == "would have alerted 2 times with a.yml and 2 times with b.yml in 0 days"


def test_the_json_holds_both_outcomes_and_the_difference() -> None:
    base, other = [episode(0, 100)], [episode(60, None), episode(900, 1000)]
    found: dict[str, Any] = json.loads("".join(compared(base, other).write_json()))
    assert set(found) == {"base", "other", "only_base", "only_other", "both", "counts"}
    assert set(found["base"]) == {"windows", "findings", "alerts", "retrainings"}
    assert found["both"] == [
        {"name": "Drift", "labels": base[0].labels, "base": base[0].as_json(), "other": other[0].as_json()}
    ]
    assert found["only_other"] == [other[1].as_json()]
