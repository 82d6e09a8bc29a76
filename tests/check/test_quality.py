"""The check `quality` on files as it reads them: what is out of range, copied, stuck or missing, and what only looks so."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.stats
import yaml
from hypothesis import given
from hypothesis import strategies as some

from monitor.check import References, judge_model
from monitor.check._duplicates import row_keys, usual_copies
from monitor.check._few_rows import limit_for
from monitor.check._ranges import out_of_range
from monitor.check._runs import number_of_values, runs_of
from monitor.config import ConfigError, Model, StorePlace, load
from monitor.profile import draw_bins, profile_column
from monitor.records import CheckResult, ColumnKind, EventBatch, Finding, FloatArray, Verdict, Window
from monitor.source._open import open_events
from monitor.source._reference import read_reference
from monitor.source.ingest import IngestSource
from monitor.store import events
from tests.store.rows import opened

OK, BREACHED, NO_DATA = Verdict.OK, Verdict.BREACHED, Verdict.NO_DATA
HOUR, DAY = 3600.0, 86400.0
START = 1_300_060_800.0  # midnight, UTC
WINDOW = Window(START + 28 * DAY, START + 35 * DAY)
RANGE, SCHEMA, CONSTANT, COPIES = "out_of_range_ratio", "schema", "constant", "duplicate_ratio"


def rows(first: float, count: int, seed: int, *, spacing: float = HOUR, version: str = "1") -> dict[str, Any]:
    """Predictions that are evenly spaced, of three features."""
    rng = np.random.default_rng(seed)
    return {
        "event_id": [f"{seed}-{place}" for place in range(count)],
        "timestamp": first + spacing * np.arange(count),
        "model_version": [version] * count,
        "temp": rng.uniform(20, 30, count),
        "gear": rng.choice(["low", "mid", "high"], count),
        "tank": np.zeros(count),
        "prediction": rng.standard_normal(count),
    }


def reference_rows(count: int = 28 * 24) -> dict[str, Any]:
    return rows(START, count, 1)


def window_rows(count: int = 7 * 24, **changes: Any) -> dict[str, Any]:
    return {**rows(WINDOW.start, count, 2, spacing=7 * DAY / count), **changes}


def together(*tables: dict[str, Any]) -> dict[str, Any]:
    return {name: np.concatenate([np.asarray(table[name]) for table in tables]) for name in tables[0]}


def write(folder: Path, name: str, table: dict[str, Any]) -> None:
    columns = dict(table)
    if "timestamp" in columns:
        columns["timestamp"] = pa.array((np.asarray(table["timestamp"]) * 1e6).astype(np.int64), pa.timestamp("us"))
    pq.write_table(pa.table(columns), folder / f"{name}.parquet")


def configured(folder: Path, check: dict[str, Any] | None = None, **parts: Any) -> Model:
    model = {
        "name": "demand", "task": "regression", "checks": {"quality": check or {}},
        "windows": {"size": "7d", "every": "1d", "lateness": "1h"},
        "reference": {"type": "files", "path": "reference.parquet"},
        "predictions": {"type": "files", "path": "predictions.parquet"},
        **parts,
    }  # fmt: skip
    path = folder / "anchorwatch.yml"
    path.write_text(yaml.safe_dump({"apps": [{"name": "shop", "models": [model]}]}))
    return load(path).config.models()[0][1]


def look(folder: Path, model: Model, source: Any = None, *, window: Window = WINDOW) -> CheckResult:
    source = source or open_events("shop", model, folder, StorePlace(folder))
    now = window.end + HOUR
    known = References(lambda version: read_reference(model, version, folder, source, now=now), directory=folder)
    (result,) = judge_model("shop", model, window, source, known, now=now)
    return result


def judged(
    folder: Path, window: dict[str, Any], check: dict[str, Any] | None = None, *,
    reference: dict[str, Any] | None = None, **parts: Any,
) -> CheckResult:  # fmt: skip
    write(folder, "reference", reference_rows() if reference is None else reference)
    write(folder, "predictions", window)
    return look(folder, configured(folder, check, **parts))


def found(result: CheckResult, statistic: str, feature: str | None = None, version: str = "1") -> Finding:
    about = (statistic, feature, version)
    (finding,) = [each for each in result.findings if (each.statistic, each.feature, each.version) == about]
    return finding


def breaches(result: CheckResult) -> set[tuple[str, str | None]]:
    return {(each.statistic, each.feature) for each in result.findings if each.verdict is BREACHED}


def at(values: FloatArray, places: Any, value: float) -> FloatArray:
    changed = values.copy()
    changed[places] = value
    return changed


# --- sound data -------------------------------------------------------------------------------------------------------


def test_sound_data_are_ok_in_every_respect(tmp_path: Path) -> None:
    result = judged(tmp_path, window_rows())
    assert result.verdict is OK
    assert {each.verdict for each in result.findings} == {OK}
    assert {(each.statistic, each.feature) for each in result.findings} == {
        *((name, feature) for name in ("missing_ratio", "unseen_ratio", SCHEMA, CONSTANT) for feature in ("temp", "gear", "tank")),
        (RANGE, "temp"), (RANGE, "tank"), (COPIES, None),
    }  # fmt: skip


@pytest.mark.parametrize("count", [1, 19])
def test_a_handful_of_rows_is_no_data(tmp_path: Path, count: int) -> None:
    result = judged(tmp_path, window_rows(count))
    assert (result.verdict, result.reason) == (NO_DATA, f"expected at least 20 rows, got {count}")


# --- out of range -----------------------------------------------------------------------------------------------------

TEMP = window_rows()["temp"]
DEFAULTED = at(TEMP, slice(24, 48), 0.0)
OUTSIDE = {
    "a default for a day": (DEFAULTED, 24 / 168),
    "a value that means nothing": (at(TEMP, slice(None, None, 20), -9999.0), 9 / 168),
    "infinity": (at(TEMP, slice(0, 5), np.inf), 5 / 168),
    "another unit": (TEMP * 100, 1.0),
    "stuck on one value, all of the window": (np.full(168, 35.0), 1.0),
}
WITHIN = {
    "summer": TEMP + 20,
    "a heat wave on two days": at(TEMP, slice(24, 72), 0) + at(np.zeros(168), slice(24, 72), 1) * (TEMP + 12),
    "rounded summer": np.round(TEMP + 12),
    "a larger spread": (TEMP - 25) * 5 + 25,
    "one far value": at(TEMP, 3, 1e6),
    "four defaults": at(TEMP, slice(0, 4), 0.0),
    "a default just beyond the range": at(TEMP, slice(24, 48), 18.5),
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_what_no_season_does_is_out_of_range(tmp_path: Path, name: str) -> None:
    values, share = OUTSIDE[name]
    finding = found(judged(tmp_path, window_rows(temp=values)), RANGE, "temp")
    assert (finding.verdict, finding.value, finding.threshold) == (BREACHED, pytest.approx(share), 0.01)


@pytest.mark.parametrize("name", WITHIN)
def test_what_a_season_may_do_is_not(tmp_path: Path, name: str) -> None:
    finding = found(judged(tmp_path, window_rows(temp=WITHIN[name])), RANGE, "temp")
    assert finding.verdict is OK
    beyond = float(np.mean((WITHIN[name] < 20) | (WITHIN[name] > 30)))
    assert finding.parts["beyond_reference"] == pytest.approx(beyond, abs=0.02)


def test_a_column_that_is_constant_in_the_reference_may_not_wake_up(tmp_path: Path) -> None:
    result = judged(tmp_path, window_rows(tank=np.random.default_rng(3).uniform(0, 1, 168)))
    assert breaches(result) == {(RANGE, "tank")}
    assert found(result, RANGE, "tank").value == 1.0


def test_rows_without_a_number_count_on_neither_side(tmp_path: Path) -> None:
    result = judged(tmp_path, window_rows(temp=at(DEFAULTED, slice(0, 24), np.nan)))
    assert found(result, RANGE, "temp").value == pytest.approx(24 / 144)
    all_missing = judged(tmp_path, window_rows(temp=np.full(168, np.nan)))
    assert (found(all_missing, RANGE, "temp").verdict, found(all_missing, RANGE, "temp").reason) == (
        NO_DATA,
        "no numbers",
    )
    assert found(all_missing, "missing_ratio", "temp").verdict is BREACHED


@pytest.mark.parametrize(
    ("limits", "share"),
    [([20, 30], 0.0), ([21, None], "below"), ([None, 29], "above"), ([-5, 100], 0.0), ([40, 50], 1.0)],
)
def test_ranges_that_are_known_are_exact_and_hold_their_ends(tmp_path: Path, limits: list[Any], share: Any) -> None:
    expected = {"below": np.mean(TEMP < 21), "above": np.mean(TEMP > 29)}.get(share, share)
    result = judged(tmp_path, window_rows(), {"ranges": {"temp": limits, "tank": [0, 0]}})
    assert found(result, RANGE, "temp").value == pytest.approx(expected)
    assert found(result, RANGE, "tank").value == 0


@pytest.mark.parametrize(
    ("ranges", "complaint"),
    [
        ({"temp": [2, 1]}, r"expected the lower end first, got \[2, 1\]"),
        ({"temp": [None, None]}, "expected a lower or an upper end, got neither"),
        ({"tmep": [0, 1]}, r"ranges: expected features of this model \(gear, temp\), got 'tmep'"),
        ({"gear": [0, 1]}, "ranges: expected numeric features, got 'gear', which is categorical"),
    ],
)
def test_ranges_that_make_no_sense_are_refused(tmp_path: Path, ranges: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        configured(tmp_path, {"ranges": ranges}, features={"temp": {}, "gear": {"type": "categorical"}})


def test_the_range_of_a_flag_is_left_by_what_is_no_flag() -> None:
    bins = draw_bins(np.array([0.0, 1.0] * 50), ColumnKind.NUMERIC)
    flags = np.array([0.0, 1.0] * 20 + [-1.0] * 6)
    assert out_of_range(flags, bins).sum() == 6


def test_the_next_whole_number_is_no_leap() -> None:
    bins = draw_bins(np.repeat([1.0, 2.0, 3.0, 4.0], 50), ColumnKind.NUMERIC)
    assert not out_of_range(np.full(100, 5.0), bins).any()


@pytest.mark.parametrize("scale", [1e-300, 1e300, 1.7e308])
def test_values_of_any_size_are_judged_without_a_warning(scale: float) -> None:
    bins = draw_bins(np.array([-1.0, 0.0, 1.0] * 40) * scale, ColumnKind.NUMERIC)
    values = np.array([-scale, 0.0, scale, np.nan, np.inf] * 10)
    with np.errstate(all="raise", under="ignore"):
        told = out_of_range(values, bins)
    assert told.tolist() == np.isinf(values).tolist() or not told.any()


# --- few rows ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows_", [20, 22, 50, 99])
@pytest.mark.parametrize("limit", [0.01, 0.05, 0.3])
def test_with_few_rows_a_breach_takes_more_than_chance(rows_: int, limit: float) -> None:
    """The share one beyond the limit is the first that comes with a chance of at most one in a thousand."""
    allowed = round(limit_for(limit, rows_) * rows_)
    assert scipy.stats.binom.sf(allowed, rows_, limit) <= 0.001 < scipy.stats.binom.sf(allowed - 1, rows_, limit)


def test_with_a_hundred_rows_a_share_is_what_it_is() -> None:
    assert [limit_for(0.01, 100), limit_for(0.0, 20), limit_for(1.0, 20)] == [0.01, 0.0, 1.0]


@pytest.mark.parametrize(("missing", "verdict"), [(1, OK), (5, OK), (6, BREACHED), (22, BREACHED)])
def test_one_missing_value_of_twenty_two_is_no_breach(tmp_path: Path, missing: int, verdict: Verdict) -> None:
    table = window_rows(22)
    table["temp"][:missing] = np.nan
    assert found(judged(tmp_path, table), "missing_ratio", "temp").verdict is verdict


# --- copies -----------------------------------------------------------------------------------------------------------


def test_a_day_that_is_there_twice_is_found(tmp_path: Path) -> None:
    """Whatever its copy is called, and whenever it came."""
    day = {name: np.asarray(values)[24:48] for name, values in window_rows().items()}
    again = {**day, "event_id": [f"again-{place}" for place in range(24)], "timestamp": day["timestamp"] + 2 * DAY + 60}
    finding = found(judged(tmp_path, together(window_rows(), again)), COPIES)
    assert (finding.verdict, finding.rows, finding.caution) == (BREACHED, 192, None)
    assert finding.value == pytest.approx(24 / 192)
    assert finding.parts == {"rows": pytest.approx(24 / 192), "times": 0.0}


def test_a_day_that_was_recorded_twice_with_other_values_is_found_by_its_times(tmp_path: Path) -> None:
    day = {name: np.asarray(values)[24:48] for name, values in window_rows().items()}
    again = {**day, "event_id": [f"again-{place}" for place in range(24)], "temp": day["temp"] + 0.5}
    finding = found(judged(tmp_path, together(window_rows(), again)), COPIES)
    assert (finding.verdict, finding.caution) == (BREACHED, "rows share their times and differ in their features")
    assert finding.value == finding.parts["times"] == pytest.approx(24 / 192)
    assert finding.parts["rows"] == 0


def test_rows_that_all_have_one_time_are_found_by_it(tmp_path: Path) -> None:
    finding = found(judged(tmp_path, window_rows(timestamp=np.full(168, WINDOW.start + 5.0))), COPIES)
    assert (finding.verdict, finding.value) == (BREACHED, pytest.approx(167 / 168))


def few_kinds(table: dict[str, Any]) -> dict[str, Any]:
    """Rows that are told apart by few features only, so that many are alike."""
    rng = np.random.default_rng(len(table["temp"]))
    return {**table, "temp": rng.integers(0, 100, len(table["temp"])).astype(float)}


def test_copies_that_the_reference_has_as_well_are_usual(tmp_path: Path) -> None:
    kept = {"reference": few_kinds(reference_rows())}
    finding = found(judged(tmp_path, few_kinds(window_rows(48)), **kept), COPIES)
    assert finding.verdict is OK
    assert finding.baseline is not None
    assert finding.value is not None
    assert 0.05 < finding.baseline < 0.15
    assert finding.value > 0.03
    twice = few_kinds(window_rows(24))
    again = together(
        twice, {**twice, "event_id": [f"again-{place}" for place in range(24)], "timestamp": twice["timestamp"] + 5}
    )
    assert found(judged(tmp_path, again, **kept), COPIES).verdict is BREACHED


def test_of_a_reference_of_nothing_but_copies_none_can_be_told(tmp_path: Path) -> None:
    alike = {**reference_rows(), "temp": np.full(672, 20.0), "gear": ["low"] * 672}
    finding = found(judged(tmp_path, window_rows(), reference=alike), COPIES)
    assert finding.verdict is NO_DATA
    assert finding.reason.endswith("are copies, too many to tell")


def test_times_that_many_rows_share_by_nature_say_nothing(tmp_path: Path) -> None:
    batches = {**reference_rows(), "timestamp": START + DAY * (np.arange(672) // 24)}
    nightly = window_rows(timestamp=WINDOW.start + DAY * (np.arange(168) // 24))
    finding = found(judged(tmp_path, nightly, reference=batches), COPIES)
    assert (finding.verdict, dict(finding.parts)) == (OK, {})


def test_a_reference_without_times_still_tells_of_whole_rows(tmp_path: Path) -> None:
    undated = {name: values for name, values in reference_rows().items() if name != "timestamp"}
    finding = found(judged(tmp_path, window_rows(), reference=undated), COPIES)
    assert (finding.verdict, dict(finding.parts)) == (OK, {})


def test_rows_without_a_single_value_are_missing_and_no_copies(tmp_path: Path) -> None:
    empty = window_rows(168, temp=np.full(168, np.nan), gear=np.array([None] * 168), tank=np.full(168, np.nan))
    result = judged(tmp_path, empty, features={"temp": {}, "gear": {"type": "categorical"}, "tank": {}})
    assert (found(result, COPIES).verdict, found(result, COPIES).reason) == (NO_DATA, "no rows")


def test_copies_that_stand_together_are_found_in_a_window_too_large_to_look_at_whole(tmp_path: Path) -> None:
    many = window_rows(15_000)
    again = {**many, "event_id": [f"again-{place}" for place in range(15_000)], "timestamp": many["timestamp"] + 1.0}
    finding = found(judged(tmp_path, together(many, again)), COPIES)
    assert finding.verdict is BREACHED
    assert finding.value == pytest.approx(0.5, abs=0.01)
    assert finding.rows < 21_000


def test_null_turns_the_search_for_copies_off(tmp_path: Path) -> None:
    result = judged(tmp_path, together(window_rows(), window_rows()), {"duplicates": None, "constant": False})
    assert {each.statistic for each in result.findings} == {"missing_ratio", "unseen_ratio", SCHEMA, RANGE}
    assert result.verdict is OK


@given(some.lists(some.tuples(some.floats(), some.sampled_from([None, "a", "b"])), min_size=1, max_size=60))
def test_rows_have_one_key_where_all_their_values_are_the_same(pairs: list[tuple[float, str | None]]) -> None:
    numbers = np.array([number for number, _ in pairs])
    names = np.array([name for _, name in pairs], dtype=object)
    keys, held = row_keys(EventBatch("1", np.zeros(len(pairs)), {"x": numbers, "y": names}), ["x", "y"])
    spelled = ["nan" if np.isnan(number) else repr(float(number) + 0.0) for number in numbers]
    alike = {(number, name): key for number, name, key in zip(spelled, names, keys.tolist(), strict=True)}
    assert [alike[number, name] for number, name in zip(spelled, names, strict=True)] == keys.tolist()
    assert len(set(alike.values())) == len(alike)
    assert held.tolist() == [not np.isnan(number) or name is not None for number, name in pairs]


def test_usual_copies_are_those_of_consecutive_batches() -> None:
    keys = np.random.default_rng(5).integers(0, 200, 700).astype(np.uint64)
    usual = usual_copies(keys)
    assert usual.sizes.tolist() == [16, 32, 64, 128, 256, 512, 700]
    for size, most, mean in zip(usual.sizes.astype(int), usual.most, usual.mean, strict=True):
        shares = [1 - len(set(keys[at : at + size].tolist())) / size for at in range(0, 700 - size + 1, size)]
        assert (most, mean) == (pytest.approx(max(shares)), pytest.approx(np.mean(shares)))


# --- constant ---------------------------------------------------------------------------------------------------------


def test_a_feature_that_is_stuck_is_found(tmp_path: Path) -> None:
    result = judged(tmp_path, window_rows(temp=np.full(168, 25.0), gear=["mid"] * 168))
    assert breaches(result) == {(CONSTANT, "temp"), (CONSTANT, "gear"), (COPIES, None)}
    said = "rows that differ in temp, gear alone may only look alike, as that is broken"
    assert found(result, COPIES).caution == said
    assert (found(result, CONSTANT, "temp").value, found(result, CONSTANT, "temp").threshold) == (1.0, 0.5)


def test_a_feature_that_never_changed_before_need_not_change_now(tmp_path: Path) -> None:
    finding = found(judged(tmp_path, window_rows()), CONSTANT, "tank")
    assert (finding.verdict, finding.value, finding.threshold) == (OK, 1.0, 1.0)


def test_a_run_that_is_not_much_longer_than_those_of_the_reference_is_weather(tmp_path: Path) -> None:
    """The reference has runs of two days: six days are no more than three of them."""
    rainy = {**reference_rows(), "temp": np.repeat(np.random.default_rng(7).uniform(20, 30, 14), 48)}
    finding = found(judged(tmp_path, window_rows(temp=np.full(168, 25.0)), reference=rainy), CONSTANT, "temp")
    assert (finding.verdict, finding.value) == (OK, 1.0)


def test_a_rare_event_may_stay_out_for_a_window(tmp_path: Path) -> None:
    rare = {**reference_rows(), "temp": at(np.zeros(672), slice(None, None, 100), 1.0)}
    assert found(judged(tmp_path, window_rows(temp=np.zeros(168)), reference=rare), CONSTANT, "temp").verdict is OK


def test_missing_values_do_not_vary(tmp_path: Path) -> None:
    result = judged(tmp_path, window_rows(temp=at(np.full(168, 25.0), slice(0, 50), np.nan)), {"duplicates": None})
    assert breaches(result) == {(CONSTANT, "temp"), ("missing_ratio", "temp")}


@pytest.mark.parametrize(
    ("values", "number"),
    [
        ([], 0),
        ([np.nan], 0),
        ([2.0, 2.0, np.nan], 1),
        ([2.0, 3.0], 2),
        ([np.inf, np.inf], 1),
        ([np.inf, -np.inf], 2),
        ([np.inf, 2.0], 2),
    ],
)
def test_a_profile_tells_one_number_from_more(values: list[float], number: int) -> None:
    bins = draw_bins(np.linspace(0.0, 5.0, 100), ColumnKind.NUMERIC)
    assert number_of_values(profile_column(np.array(values, dtype=np.float64), bins), bins) == number


@pytest.mark.parametrize(
    ("names", "number"), [([None], 0), (["a", None, "a"], 1), (["a", "b"], 2), (["z"], 2), (["a", "z"], 2)]
)
def test_a_profile_tells_one_name_from_more(names: list[str | None], number: int) -> None:
    """Of names that the reference does not know it cannot."""
    bins = draw_bins(np.array(["a", "b"], dtype=object), ColumnKind.CATEGORICAL)
    assert number_of_values(profile_column(np.array(names, dtype=object), bins), bins) == number


def test_the_longest_run_is_told_in_rows_and_in_time() -> None:
    runs = runs_of(np.array([1.0, 1.0, np.nan, 1.0, 2.0, 2.0]), np.array([0, 1, 2, 9, 10, 20.0]), dated=True)
    assert runs is not None
    assert (runs.longest, runs.seconds, runs.changes, runs.frequent) == (3, 10.0, 0.25, 0.6)
    assert runs_of(np.array([np.nan]), np.zeros(1), dated=True) is None


# --- versions, faults, other sources ----------------------------------------------------------------------------------


def test_each_version_is_judged_by_itself(tmp_path: Path) -> None:
    old, new = window_rows(), rows(WINDOW.start, 168, 4, version="2")
    result = judged(tmp_path, together(old, {**new, "temp": new["temp"] * 100}))
    assert found(result, RANGE, "temp", "1").verdict is OK
    assert found(result, RANGE, "temp", "2").verdict is BREACHED
    assert found(result, COPIES, None, "2").verdict is OK, "the other version has the same times"


def test_a_reference_whose_rows_are_gone_stops_only_what_needs_them(tmp_path: Path) -> None:
    write(tmp_path, "reference", reference_rows())
    write(tmp_path, "predictions", window_rows(temp=DEFAULTED))
    model = configured(tmp_path)
    source = open_events("shop", model, tmp_path, StorePlace(tmp_path))
    kept = read_reference(model, "1", tmp_path, source, now=WINDOW.end)
    (tmp_path / "reference.parquet").unlink()
    (result,) = judge_model(
        "shop", model, WINDOW, source, References(lambda _: kept, directory=tmp_path), now=WINDOW.end + HOUR
    )
    assert breaches(result) == {(RANGE, "temp")}
    gone = [each for each in result.findings if each.statistic in (CONSTANT, COPIES)]
    assert {each.verdict for each in gone} == {NO_DATA}
    assert all("reference.parquet" in each.reason for each in gone)


def test_a_model_without_a_reference_is_no_data(tmp_path: Path) -> None:
    write(tmp_path, "predictions", window_rows())
    result = look(tmp_path, configured(tmp_path, reference=None))
    assert {each.reason for each in result.findings} == {"no reference is configured"}
    assert COPIES in {each.statistic for each in result.findings}


def test_pushed_predictions_are_judged_as_files_are(tmp_path: Path) -> None:
    """They are decoded a thousand at a time, and kept rows that are gone are no fault."""
    write(tmp_path, "reference", reference_rows())
    model = configured(tmp_path, predictions={"type": "ingest"}, labels={"type": "ingest"})
    table = window_rows(2500)
    table["temp"][:500] -= 9999.0
    sent = [
        events.NewEvent(f"{again}-{place}", table["timestamp"][place] + again, "1", *_body(table, place))
        for place in range(2500)
        for again in (0, 1)[: 1 + (place % 10 == 0)]
    ]
    with opened(tmp_path) as store:
        store.write(lambda connection: events.add_events(connection, "shop", "demand", sent, received=WINDOW.end))
        source = IngestSource(store, "shop", "demand", bucket_seconds=86400)
        result = look(tmp_path, model, source)
        assert breaches(result) == {(RANGE, "temp"), (COPIES, None)}
        copied = found(result, COPIES)
        assert (copied.rows, copied.value) == (2750, pytest.approx(250 / 2750))
        assert found(result, RANGE, "temp").value == pytest.approx(550 / 2750)


def _body(table: dict[str, Any], place: int) -> tuple[dict[str, Any], float]:
    features = {"temp": table["temp"][place], "gear": str(table["gear"][place]), "tank": 0.0}
    return features, float(table["prediction"][place])


# --- real faults ------------------------------------------------------------------------------------------------------

BIKES = ("holiday", "workingday", "weekday", "hr", "weathersit", "temp", "atemp", "hum", "windspeed")
NSW = ("day", "period", "nswprice", "nswdemand")


def replayed(
    folder: Path, log: Path, features: Sequence[str], days: float, first: float = -np.inf
) -> dict[Window, set[tuple[str, str | None]]]:
    """The breaches of every window of so many days in a public prediction log."""
    table = pq.read_table(log)
    named = np.array(table.column("split").to_pylist())
    seconds = table.column("timestamp").cast(pa.timestamp("us")).cast(pa.int64()).to_numpy() / 1e6
    pq.write_table(table.filter(pa.array(named == "reference")), folder / "reference.parquet")
    pq.write_table(table.filter(pa.array(named != "reference")), folder / "predictions.parquet")
    model = configured(
        folder, features={name: {} for name in features}, task="binary" if "nswprice" in features else "regression",
        windows={"size": f"{days:g}d", "every": f"{days:g}d"},
    )  # fmt: skip
    source = open_events("shop", model, folder, StorePlace(folder))
    kept = References(lambda version: read_reference(model, version, folder, source, now=0.0), directory=folder)
    size, told = days * DAY, {}
    start = max(seconds[named != "reference"].min(), first) // size * size
    while start <= seconds.max():
        window = Window(start, start + size)
        (result,) = judge_model("shop", model, window, source, kept, now=window.end)
        if found_here := breaches(result):
            told[window] = found_here
        start += size
    return told


@pytest.mark.slow
@pytest.mark.parametrize("days", [1.0, 7.0])
def test_humidity_0_for_a_day_is_all_that_is_wrong_with_two_years_of_bikes(
    shared_data: Path, tmp_path: Path, days: float
) -> None:
    """The reference is January: neither summer nor growth, a storm nor a hurricane is a fault of the data."""
    log = shared_data / "bike_sharing" / "prediction_log" / "predictions.parquet"
    told = replayed(tmp_path, log, BIKES, days)
    faulty = 1_299_715_200.0  # 2011-03-10
    assert [window.start <= faulty < window.end for window in told] == [True]
    assert list(told.values()) == [{(RANGE, "hum")}]


@pytest.mark.slow
@pytest.mark.parametrize("days", [1.0, 7.0])
def test_the_sunday_that_is_there_twice_is_all_that_is_wrong_with_the_market_of_new_south_wales(
    shared_data: Path, tmp_path: Path, days: float
) -> None:
    log = shared_data / "elec2" / "prediction_log" / "predictions.parquet"
    told = replayed(tmp_path, log, NSW, days)
    twice = 862_704_000.0  # 1997-05-04
    assert [window.start <= twice < window.end for window in told] == [True]
    assert list(told.values()) == [{(COPIES, None)}]


@pytest.mark.slow
def test_the_columns_of_victoria_wake_up_and_stay_awake(shared_data: Path, tmp_path: Path) -> None:
    log = shared_data / "elec2" / "prediction_log" / "predictions.parquet"
    awake = {(RANGE, name) for name in ("vicprice", "vicdemand", "transfer")}
    told = replayed(tmp_path, log, [*NSW, "vicprice", "vicdemand", "transfer"], 28.0)
    first = min(told, key=lambda window: window.start)
    assert first.start <= 862_704_000.0 < first.end
    assert all(awake <= each for each in told.values())
    assert [each - awake for each in told.values()] == [{(COPIES, None)}, *[set()] * (len(told) - 1)]


@pytest.mark.slow
def test_people_who_are_alike_are_no_copies_until_the_order_of_the_file_breaks(shared_data: Path) -> None:
    """In the census one in eight people of a chunk is like another one; in chunk 27 all live in group quarters."""
    folder = shared_data / "ma_employment"
    names = "AGEP SCHL MAR RELP DIS ESP CIT MIG MIL ANC NATIVITY DEAR DEYE DREM SEX RAC1P".split()

    def keys(name: str) -> Any:
        table = pq.read_table(folder / f"{name}.parquet", columns=names)
        features = {each: table.column(each).to_numpy(zero_copy_only=False).astype(np.float64) for each in names}
        return row_keys(EventBatch("", np.zeros(table.num_rows), features), names)[0]

    usual, now = usual_copies(keys("reference")), keys("analysis")
    _, most = usual.at(5000)
    chunks = [now[at : at + 5000] for at in range(0, len(now) - 4999, 5000)]
    shares = [1 - len(np.unique(chunk)) / len(chunk) for chunk in chunks]
    assert [place for place, share in enumerate(shares) if share > limit_for(0.01 + most, 5000)] == [27, 28]
