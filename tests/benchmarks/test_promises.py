"""The loose side of each promise, on runs of a few seconds; the committed tables hold the tight one."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import false_alarms, power, speed_table
from benchmarks._alarm_counts import Plan, Task, count
from benchmarks._employment import employment
from benchmarks._judges import SIZES
from benchmarks._replays import Promise, Replay
from benchmarks.false_alarms import alerts_a_month, overall, peer_alerts_a_month, summary, table


def broken(promises: list[Promise]) -> list[Promise]:
    return [promise for promise in promises if not promise.holds]


# --- false alarms -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def streams() -> false_alarms.Cells:
    plan = Plan(worlds=("ar1",), rows=(200, 1000), references=4, expected=0.06, peer_references=2, peer_windows=8)
    return false_alarms.simulate(plan, jobs=1)


@pytest.mark.slow
def test_autocorrelated_streams_keep_the_budget(streams: false_alarms.Cells) -> None:
    for clusters in streams.values():
        for features in SIZES:
            assert alerts_a_month(clusters, features).low <= 1
    assert summary(streams)["disagreements"] == 0


@pytest.mark.slow
def test_the_peers_do_not(streams: false_alarms.Cells) -> None:
    """On the same streams, in windows of 200 rows, Evidently's defaults flag most columns at most looks."""
    assert peer_alerts_a_month(streams["ar1", 200], "evidently default").low > 1000


def test_the_yardstick_breaks_the_budget_on_streams() -> None:
    """The table can tell: a G-test that takes rows for independent is far above the budget."""
    plan = Plan(worlds=("ar1",), rows=(200,), references=3, expected=0.02, judge="g_test", peer_references=0)
    found = false_alarms.simulate(plan, jobs=1)
    assert alerts_a_month(found["ar1", 200], 10).low > 10
    assert summary(found)["cells_above_budget"]
    assert "**" in table(found)


@pytest.mark.slow
def test_rates_are_counts_over_model_months(streams: false_alarms.Cells) -> None:
    clusters = streams["ar1", 200]
    judged = sum(each.judged for each in clusters)
    for features in SIZES:
        rate = alerts_a_month(clusters, features)
        assert rate.exposure == pytest.approx(judged / (720 * features))
        assert rate.rate == pytest.approx(sum(each.significant[features] for each in clusters) / rate.exposure)
    mean, low, high = overall(streams)
    assert low <= mean <= high


def test_a_task_gives_the_same_again() -> None:
    task = Task(Plan(references=2, expected=0.01), "ar1", 100, 1)
    one, other = count(task), count(task)
    one.cpu_seconds = other.cpu_seconds = 0.0
    assert one == other


@pytest.mark.slow
def test_resampled_rows_keep_the_budget(shared_data: Path) -> None:
    plan = Plan(worlds=("bikes", "ma_employment"), rows=(500,), references=3, expected=0.06, peer_references=0)
    for clusters in false_alarms.simulate(plan, jobs=1).values():
        assert all(alerts_a_month(clusters, features).low <= 1 for features in SIZES)


# --- power ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_changes_are_found_as_soon_as_by_the_peers() -> None:
    scenarios = ("shift by 0.3 σ", "shift by 1 σ", "unit × 1000", "missing values, 5 %", "a category of 10 % vanishes")
    plan = power.Plan(rows=(500,), references=3, columns=6, unchanged=200, trials=1, scenarios=scenarios)
    rows = {row.scenario: row for row in power.simulate(plan, jobs=1)}
    assert set(rows) == set(scenarios)
    assert "behind" not in {row.verdict for row in rows.values()}
    assert rows["missing values, 5 %"].verdict == "ahead"
    for certain in ("shift by 1 σ", "unit × 1000", "missing values, 5 %", "a category of 10 % vanishes"):
        assert (rows[certain].ours.share, rows[certain].ours.delay) == (1.0, 1.0)
    assert "| shift by 0.3 σ | 500 |" in power.table(list(rows.values()))


# --- real drifts ------------------------------------------------------------------------------------------------------


def test_employment_is_quiet_but_for_its_broken_order(shared_data: Path) -> None:
    promises, by_chunk, by_year = employment()
    assert not broken(promises)
    assert (len(by_chunk), set(by_year)) == (42, {"2016", "2017", "2018"})


@pytest.mark.slow
@pytest.mark.parametrize("name", ["elec2", "bikes", "bikes_matched"])
def test_alerts_fall_where_the_data_changed(name: str, shared_data: Path) -> None:
    from benchmarks.real_drifts import measure

    promises, tables, data = measure([name])
    assert promises
    assert not broken(promises)
    assert "| temp |" in tables if "bikes" in name else "| nswprice |" in tables
    assert set(data) == {name}


def finding(start: str, verdict: str, *, provisional: bool = False, feature: str = "x") -> dict[str, object]:
    shared = {"check": "drift", "statistic": "psi", "version": "1", "window": {"start": start}}
    return {**shared, "feature": feature, "verdict": verdict, "provisional": provisional}


def test_the_last_word_on_a_window_counts() -> None:
    """A provisional finding gives way to the final one, and stands where there is none."""
    found = [
        finding("2012-01-01", "breached", provisional=True), finding("2012-01-01", "ok"),
        finding("2012-02-01", "breached", provisional=True), finding("2012-03-01", "breached", feature="y"),
    ]  # fmt: skip
    replay = Replay(found, [])
    assert replay.breached("x") == ["2012-02-01"]
    assert replay.breached("x", "y", since="2012-03-01") == ["2012-03-01"]
    assert replay.breached("x", "y", until="2012-03-01") == ["2012-02-01"]
    assert replay.windows() == ["2012-01-01", "2012-02-01", "2012-03-01"]
    assert replay.ever() == ["x", "y"]


# --- speed ------------------------------------------------------------------------------------------------------------


def test_the_speed_table_holds_figures_against_promises() -> None:
    figures = {
        speed_table.FLOOR: {"cpu_seconds": 0.2, "wall_seconds": 0.2},
        speed_table.PROFILE: {"cpu_seconds": 0.25, "wall_seconds": 0.3},
        "exact KS": {"cpu_seconds": 1.0, "wall_seconds": 1.0},
        "exact Wasserstein": {"cpu_seconds": 8.0, "wall_seconds": 8.0},
    }
    peers = [
        speed_table.Measure("evidently 1", "DataDriftPreset, PSI", 150.0, 150.0, 6000.0),
        speed_table.Measure("frouros 1", "PSI", 1.0, 1.0, 100.0),
        speed_table.Measure("frouros 1", "Kolmogorov-Smirnov", 7.5, 7.5, 100.0),
        speed_table.Measure("frouros 1", "Wasserstein", 16.0, 16.0, 100.0),
    ]
    kept = speed_table.promises({"memory": {"figures": figures}}, peers)
    assert [(promise.measured, promise.holds) for promise in kept] == [
        ("1.25", True), ("600.0", True), ("4.0", True), ("7.5", True), ("2.0", False),
    ]  # fmt: skip
    assert "**no**" in speed_table.tables(peers, kept)
