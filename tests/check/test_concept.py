"""Concept drift on the losses as labels mature: found, dated, kept from look to look, and within the budget of false alarms."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.signal import lfilter
from sklearn.metrics import log_loss

from monitor.check._losses import Losses, losses_of
from monitor.check._stream import Stream
from monitor.config import ConfigError
from monitor.records import CheckResult, Finding, LabelledBatch, NoData, Verdict, Window, iso
from monitor.windows import next_due_time
from tests.check.judging import finding, model
from tests.check.labelled_worlds import DAY, UNREADABLE, Table, World, watched
from tests.check.real import bikes, elec2

PER_DAY = 500
BOTH = ("page_hinkley", "adwin")


def erring(days: int, rates: Mapping[float, float], *, seed: int = 1, number: int = PER_DAY) -> Table:
    """A classifier that errs in one row of ten, and from some day on at another rate."""
    rng = np.random.default_rng(seed)
    times = np.arange(days * number) * DAY / number
    rate = np.full(len(times), 0.1)
    for day, each in rates.items():
        rate[times >= day * DAY] = each
    label = rng.random(len(times)) < 0.5
    wrong = rng.random(len(times)) < rate
    return Table(times, spelled(label ^ wrong), spelled(label), {"score/1": rng.random(len(times))}, times + DAY)


def spelled(values: Any) -> Any:
    return np.where(values, "1", "0").astype(object)


def world(folder: Path, table: Table, task: str = "binary", **options: Any) -> World:
    return World(watched(folder, task, "concept", options), table)


def looked(made: World, *days: float) -> CheckResult:
    """The last of some looks, each an hour after the end of a day; labels take two days to mature."""
    return [made.look(day * DAY + 3600)["concept"] for day in days][-1]


def daily(first: int, last: int) -> range:
    return range(first, last + 1)


# --- what is found ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BOTH)
def test_a_rise_is_found_and_dated_and_stays_until_it_is_over(tmp_path: Path, name: str) -> None:
    table = erring(90, {50: 0.3, 70: 0.1})
    made = world(tmp_path, table)
    verdicts = {day: finding(looked(made, day), name).verdict for day in daily(36, 52)}
    assert set(verdicts.values()) == {Verdict.OK}  # the rows of day 50 are fed once their labels have matured
    found = finding(looked(made, 53), name)
    assert found.verdict is Verdict.BREACHED
    since = found.parts["since"]
    assert since == pytest.approx(50 * DAY, abs=0.2 * DAY)
    assert found.reason == f"losses have risen since {iso(int(since))}"
    assert since < found.parts["noticed"] < 51.1 * DAY
    assert found.value == pytest.approx(0.3, abs=0.06)
    assert found.baseline == pytest.approx(np.mean((table.predictions != table.labels)[: 30 * PER_DAY]))
    assert found.threshold is not None
    assert found.baseline + 0.02 <= found.threshold < found.value
    assert found.rows == pytest.approx((51 * DAY + 3600 - since) * PER_DAY / DAY, abs=40)
    assert found.reference_rows == 30 * PER_DAY
    later = [finding(looked(made, day), name) for day in daily(54, 72)]
    assert {each.verdict for each in later} == {Verdict.BREACHED}
    assert {round(each.parts["since"] / DAY) for each in later} == {50}
    over = {day: finding(looked(made, day), name).verdict for day in daily(73, 80)}
    assert set(list(over.values())[3:]) == {Verdict.OK}
    assert Finding.from_json(json.loads(json.dumps(found.as_json()))) == found


def test_an_improvement_is_told_and_alerts_nobody(tmp_path: Path) -> None:
    made = world(tmp_path, erring(70, {50: 0.01}))
    seen = [looked(made, day) for day in daily(36, 62)]
    assert {result.verdict for result in seen} == {Verdict.OK}
    reasons = [finding(result, "adwin").reason for result in seen]
    assert "improved" in reasons
    assert reasons[0] == reasons[-1] == "no_change"
    told = finding(seen[reasons.index("improved")], "adwin")
    assert told.parts["after"] < told.parts["before"]
    assert {finding(result, "page_hinkley").reason for result in seen} == {"no_change"}


def test_a_rise_that_is_too_small_to_matter_is_told_as_such(tmp_path: Path) -> None:
    made = world(tmp_path, erring(60, {45: 0.3}), material=0.5)
    result = looked(made, *daily(36, 48))
    assert {each.reason for each in result.findings} == {"significant_but_immaterial"}
    assert {each.material for each in result.findings} == {0.5}
    half = world(tmp_path, erring(60, {45: 0.3}), material="50%")
    baseline = finding(looked(half, *daily(36, 50)), "adwin").baseline
    assert finding(looked(half, 51), "adwin").threshold == pytest.approx(1.5 * baseline)


def test_losses_are_those_of_an_independent_calculation(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    label, score, times = rng.random(50) < 0.5, rng.random(50), rng.permutation(50).astype(float)
    versions, order = np.full(50, "1", dtype=object), np.argsort(times)
    batch = LabelledBatch(times, versions, spelled(score > 0.5), spelled(label), times, {"score/1": score})
    error = losses_of(model(tmp_path, "binary"), batch, "error")
    assert error.times.tolist() == sorted(times)
    assert error.values.tolist() == ((score > 0.5) != label)[order].tolist()
    each = [log_loss([label[row]], [score[row]], labels=[False, True]) for row in order]
    assert losses_of(model(tmp_path, "binary"), batch, "log_loss").values == pytest.approx(each)
    numbers = LabelledBatch(times, versions, score.copy(), np.where(times == 3, 1e308, 2.0), times)
    numbers.predictions[0], numbers.labels[1] = np.nan, np.nan
    found = losses_of(model(tmp_path, "regression"), numbers, "absolute_error")
    left = [row for row in order if row > 1 and times[row] != 3]
    assert found.values[found.times != 3] == pytest.approx(np.abs(2.0 - score[left]))
    assert np.isfinite(found.values).all()


# --- from look to look ------------------------------------------------------------------------------------------------


def test_nothing_is_read_twice_and_nothing_is_left_out(tmp_path: Path) -> None:
    table = erring(60, {})
    made = world(tmp_path, table)
    looked(made, *daily(36, 40), 47, *daily(48, 50))
    fed = [window for window in table.reads if window != Window(0, 30 * DAY)]
    assert fed[0].start == 33 * DAY  # of the newest window whose labels have matured
    assert [window.start for window in fed[1:]] == [window.end for window in fed[:-1]]
    assert fed[-1].end == 48 * DAY + 3600
    stream = json.loads(made.states["concept"])["streams"]["1"]
    assert stream["rows"] == int(np.sum((table.times >= 33 * DAY) & (table.times < 48 * DAY + 3600)))


@pytest.mark.parametrize("days", [(36, 60), (36, 45, 60), (36, *daily(49, 60))])
def test_a_watch_that_was_down_catches_up_to_what_it_would_have_said(tmp_path: Path, days: tuple[int, ...]) -> None:
    steady, down = (world(tmp_path, erring(70, {50: 0.25, 58: 0.1})) for _ in range(2))
    every, some = looked(steady, *daily(36, 60)), looked(down, *days)
    for name in BOTH:
        one, other = finding(every, name), finding(some, name)
        assert (one.verdict, one.reason, one.rows) == (other.verdict, other.reason, other.rows)
        assert one.value == pytest.approx(other.value)
        assert one.parts == pytest.approx(other.parts)
    assert every.verdict is Verdict.BREACHED


def test_a_state_that_cannot_be_read_begins_anew(tmp_path: Path) -> None:
    table = erring(60, {})
    for state in ("", "{", "[]", '{"format": 9}', '{"format": 1, "until": 0, "streams": {"1": {}}}', "null"):
        made = world(tmp_path, table)
        made.states["concept"] = state
        assert {each.reason for each in looked(made, 40).findings} == {"no_change"}
        assert json.loads(made.states["concept"])["streams"]["1"]["rows"] == pytest.approx(PER_DAY * 25 / 24, abs=1)


def test_an_earlier_instant_feeds_nothing_and_forgets_nothing(tmp_path: Path) -> None:
    made = world(tmp_path, erring(60, {}))
    looked(made, 36, 50)
    before = json.loads(made.states["concept"])
    looked(made, 45)
    assert json.loads(made.states["concept"]) == before


def test_another_reference_or_budget_begins_anew_with_other_fences_and_goes_on_with_the_same(tmp_path: Path) -> None:
    table = erring(60, {})
    made = world(tmp_path, table)
    looked(made, *daily(36, 40))
    held = json.loads(made.states["concept"])["streams"]["1"]
    made.fingerprint = "another"
    looked(made, 41)
    after = json.loads(made.states["concept"])["streams"]["1"]
    assert after["key"] != held["key"]
    assert after["rows"] == held["rows"] + PER_DAY  # errors are 0 or 1 by any reference


def test_more_traffic_makes_each_row_count_for_less(tmp_path: Path) -> None:
    """Ten times the rows bring ten times the chances of a false alarm: the threshold is drawn anew, and the stream goes on."""
    slow, fast = erring(45, {}), erring(60, {}, number=10 * PER_DAY, seed=3)
    late = fast.times >= 45 * DAY
    times, said, true = (
        np.concatenate([getattr(slow, name), getattr(fast, name)[late]]) for name in ("times", "predictions", "labels")
    )
    table = Table(times, said, true, {"score/1": np.zeros(len(times))})
    made = world(tmp_path, table)
    looked(made, *daily(36, 46))
    before = json.loads(made.states["concept"])["streams"]["1"]
    looked(made, *daily(47, 52))
    after = json.loads(made.states["concept"])["streams"]["1"]
    assert after["rows_per_false_alarm"] > 4 * before["rows_per_false_alarm"]
    assert after["settings"]["page_hinkley"]["threshold"] > before["settings"]["page_hinkley"]["threshold"]
    assert after["rows"] > before["rows"]


def test_the_state_stays_small(tmp_path: Path) -> None:
    made = world(tmp_path, erring(60, {}, number=20_000))
    looked(made, 36, 59)
    assert json.loads(made.states["concept"])["streams"]["1"]["rows"] > 400_000
    assert len(made.states["concept"]) < 20_000


# --- corners ----------------------------------------------------------------------------------------------------------


def only(result: CheckResult) -> tuple[Verdict, str]:
    (found,) = {(each.verdict, each.reason) for each in result.findings}
    return found


def test_where_nothing_can_be_said_the_reason_is_told(tmp_path: Path) -> None:
    table = erring(60, {})
    assert only(world(tmp_path, table).look(40 * DAY + 3600, matured=False)["concept"]) == (
        Verdict.NO_DATA, "no window's labels have matured yet",
    )  # fmt: skip
    assert only(looked(world(tmp_path, table.take(table.times < 30 * DAY)), 40))[1] == "no predictions in the window"
    short = table.take((table.times < 0.9 * DAY) | (table.times >= 30 * DAY))
    reason = "expected at least 500 labelled rows of the reference, got 450"
    assert only(looked(world(tmp_path, short), 40)) == (Verdict.NO_DATA, reason)
    unlabelled = erring(60, {})
    unlabelled.came = np.where(table.times < 30 * DAY, np.inf, table.came)
    reason = "nothing to compare with: the reference has no labels"
    assert only(looked(world(tmp_path, unlabelled), 40)) == (Verdict.NO_DATA, reason)
    for rows, reason in [
        (0, "no labelled rows since the start of the newest window whose labels have matured"),
        (1, "expected at least 100 labelled rows, got 1"),
        (99, "expected at least 100 labelled rows, got 99"),
    ]:
        few = erring(60, {})
        few.came[37 * PER_DAY + rows : 40 * PER_DAY] = np.inf
        assert only(looked(world(tmp_path, few), 40)) == (Verdict.NO_DATA, reason)


def test_labels_that_stop_are_no_data_and_not_fine(tmp_path: Path) -> None:
    table = erring(60, {})
    table.came[45 * PER_DAY :] = np.inf
    made = world(tmp_path, table)
    assert looked(made, *daily(36, 46)).verdict is Verdict.OK
    assert looked(made, *daily(47, 52)).verdict is Verdict.NO_DATA


def test_a_model_that_was_never_wrong_has_nothing_to_be_held_against(tmp_path: Path) -> None:
    table = erring(60, {0: 0.0})
    found = only(looked(world(tmp_path, table), 40))
    assert found == (Verdict.NO_DATA, "expected losses of the reference that differ, got only 0")


def test_one_detector_may_need_more_than_the_other(tmp_path: Path) -> None:
    table = erring(60, {0: 0.001}, seed=4)
    table.predictions[100] = "1" if table.labels[100] == "0" else "0"
    short = table.take((table.times < 4 * DAY) | (table.times >= 30 * DAY))
    result = looked(world(tmp_path, short), 40)
    assert "since large losses are rare in it" in finding(result, "page_hinkley").reason
    assert finding(result, "adwin").verdict is Verdict.OK


def test_one_broken_version_stops_no_other(tmp_path: Path) -> None:
    table = erring(60, {50: 0.4})
    table.versions[::4], table.versions[1::4] = "2", "3"
    made = world(tmp_path, table)
    made.without = {"2": UNREADABLE, "3": NoData("the reference has no rows")}
    result = looked(made, *daily(36, 55))
    assert finding(result, "page_hinkley", version="1").verdict is Verdict.BREACHED
    assert finding(result, "page_hinkley", version="2").verdict is Verdict.ERROR
    assert finding(result, "page_hinkley", version="3").reason == "the reference has no rows"


def test_scores_that_are_missing_are_no_data(tmp_path: Path) -> None:
    table = erring(60, {})
    table.columns["score/1"][36 * PER_DAY :] = np.nan
    made = world(tmp_path, table, loss="log_loss")
    assert looked(made, 36).verdict is Verdict.OK
    reason = "no scores (probability) beside the predictions"
    assert only(looked(made, *daily(37, 40))) == (Verdict.NO_DATA, reason)


def test_labels_that_cannot_be_read_are_an_error_and_lose_no_rows(tmp_path: Path) -> None:
    table = erring(60, {})
    made = world(tmp_path, table)
    looked(made, 36)
    table.broken = UNREADABLE
    assert looked(made, 37).verdict is Verdict.ERROR
    table.broken = None
    looked(made, 38)
    assert table.reads[-1] == Window(34 * DAY + 3600, 36 * DAY + 3600)


def test_far_and_missing_errors_of_a_regression_are_no_fault(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    times = np.arange(60 * PER_DAY) * DAY / PER_DAY
    predicted, label = rng.normal(size=len(times)), rng.normal(size=len(times))
    label[::97], predicted[::89], label[31 * PER_DAY :: 101] = np.nan, np.nan, -1e308
    label = np.where((times >= 50 * DAY) & (np.abs(label) < 10), 3 * np.clip(label, -10, 10), label)
    made = world(tmp_path, Table(times, predicted, label), "regression")
    assert looked(made, *daily(36, 49)).verdict is Verdict.OK
    result = looked(made, *daily(50, 55))
    for name in BOTH:
        found = finding(result, name)
        assert found.verdict is Verdict.BREACHED
        assert found.value is not None
        assert found.value < 10


@pytest.mark.parametrize(
    ("task", "options", "complaint"),
    [
        ("binary", {"loss": "absolute_error"}, "loss: expected error or log_loss of a binary model"),
        ("regression", {"loss": "error"}, "loss: expected absolute_error of a regression model"),
        ("multiclass", {"loss": "log_loss"}, "loss: expected the score of every class"),
        ("ranking", {}, "expected a binary, multiclass or regression model, got a ranking one"),
        ("binary", {"detectors": []}, "expected at least one detector"),
        ("binary", {"detectors": ["adwin", "adwin"]}, "each of them once"),
        ("binary", {"detectors": ["ddm"]}, "page_hinkley"),
        ("binary", {"material": "-1%"}, "at least 0"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    tmp_path: Path, task: str, options: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        watched(tmp_path, task, "concept", options)
    assert complaint in str(refused.value)


# --- real data --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_on_elec2_the_fall_of_accuracy_is_found_within_days_and_told_until_it_is_over(
    shared_data: Path, tmp_path: Path
) -> None:
    """Accuracy .825 on the reference, .616 in 1997-06 and .540 in 1998-03: most days from June on are a breach."""
    period = {"type": "window", "start": "1996-05-07", "end": "1997-02-14"}
    model = watched(
        tmp_path, "binary", "concept", {}, reference=period, labels={"type": "ingest", "mature": "4d"},
        windows={"size": "7d", "every": "1d", "lateness": "1h"},
    )  # fmt: skip
    made = World(model, elec2(shared_data))
    at, end = (float(np.datetime64(day, "s").astype(np.int64)) for day in ("1997-02-21", "1998-12-01"))
    breached: dict[str, list[str]] = {name: [] for name in BOTH}
    while (at := next_due_time(model.windows, at)) < end:
        for found in made.look(at)["concept"].findings:
            if found.verdict is Verdict.BREACHED:
                breached[found.statistic].append(iso(at)[:10])
    june = [day for day in breached["page_hinkley"] if day >= "1997-06"]
    assert june[0] == "1997-06-12"  # errors began to rise on the 5th; labels take four days to mature
    winter = [day for day in breached["page_hinkley"] if "1997-10-10" <= day < "1998-05-10"]
    assert len(winter) == 212  # every day of seven months
    assert breached["adwin"][0] == "1997-07-06"
    assert not [day for name in BOTH for day in breached[name] if day < "1997-03-15"]
    assert not [day for day in breached["adwin"] if day > "1998-06"]


@pytest.mark.slow
def test_on_bikes_a_reference_of_four_weeks_is_refused(shared_data: Path, tmp_path: Path) -> None:
    """Its errors have their hours and days, so 617 rows say what 180 would: too little for a stated false-alarm rate."""
    period = {"type": "window", "start": "2011-01-01", "end": "2011-01-29"}
    made = World(watched(tmp_path, "regression", "concept", {}, reference=period), bikes(shared_data))
    verdict, reason = only(made.look(float(np.datetime64("2011-06-01T01", "s").astype(np.int64)))["concept"])
    assert verdict is Verdict.NO_DATA
    assert reason == (
        "expected at least 1700 labelled rows of the reference, since neighbouring rows resemble each other, got 617"
    )


# --- false alarms -----------------------------------------------------------------------------------------------------


def ar(rho: float) -> Any:
    """Normal, of variance 1, each like the one before it."""
    return lambda rng, rows: lfilter([np.sqrt(1 - rho**2)], [1, -rho], rng.normal(size=rows + 500))[500:]


def in_runs(rng: np.random.Generator, rows: int) -> Any:
    """One row in ten is wrong, and wrong rows come in runs."""
    return (ar(0.8)(rng, rows) < -1.2816).astype(float)


def good_and_bad_days(rng: np.random.Generator, rows: int) -> Any:
    """Days of a thousand rows, each with an error rate of its own: .1 in the mean, .03 from day to day."""
    return (rng.random(rows) < np.repeat(rng.beta(8, 72, rows // 1000 + 1), 1000)[:rows]).astype(float)


# By stream: false alerts in a month of 30,000 rows, at most, where the budget is one; 10 references of 20,000 rows each.
UNCHANGED: dict[str, tuple[Any, float]] = {
    "one in a hundred wrong": (lambda rng, rows: (rng.random(rows) < 0.01).astype(float), 0.25),
    "three in ten wrong": (lambda rng, rows: (rng.random(rows) < 0.3).astype(float), 0.25),
    "nearly every second wrong": (lambda rng, rows: (rng.random(rows) < 0.48).astype(float), 0.25),
    "wrong in runs": (in_runs, 0.75),
    "absolute AR(1)": (lambda rng, rows: np.abs(ar(0.9)(rng, rows)), 0.75),
    "absolute t with 3 degrees": (lambda rng, rows: np.abs(rng.standard_t(3, rows)), 0.25),
    "absolute Cauchy": (lambda rng, rows: np.abs(rng.standard_cauchy(rows)), 0.25),
    "Pareto without a variance": (lambda rng, rows: rng.pareto(1.5, rows), 0.25),
}


def false_alerts(draw: Any, *, references: int = 10, months: int = 12, seed: int = 77) -> float:
    """How often a month some detector begins to alert, on streams like their references, judged daily."""
    alerts = 0
    for rng in np.random.default_rng(seed).spawn(references):
        losses = draw(rng, 20_000 + 30_000 * months)
        reference, fresh = losses[:20_000], losses[20_000:]
        stream = Stream.begun("", Losses(np.zeros(20_000), reference), BOTH, 30_000 * len(BOTH))
        thresholds = {name: stream.baseline + held["allowance"] if "allowance" in held else stream.baseline + 0.02
                      for name, held in stream.settings.items()}  # fmt: skip
        alerting: set[str] = set()
        for start in range(0, len(fresh), 1000):
            stream.feed(Losses(np.arange(start, start + 1000.0), fresh[start : start + 1000]))
            stream.settle(start + 1000.0 - 7000.0, thresholds)
            now = {
                name
                for name, change in stream.changes.items()
                if change.is_worse and stream.mean_since(change.row, change.total)[0] > thresholds[name]
            }
            alerts += len(now - alerting)
            alerting = now
    return alerts / (references * months)


@pytest.mark.slow
@pytest.mark.parametrize("name", UNCHANGED)
def test_false_alerts_stay_within_the_budget_on_streams_that_nothing_was_tuned_on(name: str) -> None:
    draw, most = UNCHANGED[name]
    assert false_alerts(draw) <= most


@pytest.mark.slow
def test_good_and_bad_days_that_a_short_reference_shows_too_few_of_break_the_budget() -> None:
    """As docs/estimation.md says: twenty days are too few to tell how days differ. It is more than one a month, and not ten."""
    assert 0.8 < false_alerts(good_and_bad_days) < 4
