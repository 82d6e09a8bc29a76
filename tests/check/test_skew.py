"""The check `skew` on made rows: each fault is told by its own word, and nothing else is told."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as some

from monitor.check import References, judge_model
from monitor.check._moments import moments
from monitor.check._renames import renamed
from monitor.check._units import other_unit
from monitor.config import ConfigError
from monitor.records import Column, ColumnKind, Finding, Verdict, Window
from monitor.source._reference import read_reference
from monitor.source.ingest import IngestSource
from monitor.windows import bucket_seconds
from tests.check.skew_worlds import (
    DAY,
    START,
    WINDOW,
    compared,
    configured,
    faults,
    judged,
    of,
    saved,
    schema,
    spread_over,
)
from tests.source.worlds import push
from tests.store.rows import opened

NUMBER, NAME = ColumnKind.NUMERIC, ColumnKind.CATEGORICAL


def made(rows: int, seed: int) -> pd.DataFrame:
    """Weight in whole grams, a length, a flag that is set for whole days, a kind, and a constant."""
    draw = np.random.default_rng(seed)
    return pd.DataFrame({
        "weight": np.round(draw.gamma(3.0, 80.0, rows)) + 1,
        "length": draw.normal(12.0, 3.0, rows),
        "kind": draw.choice(["cod", "ling", "pollack"], rows, p=[0.6, 0.3, 0.1]),
        "boat": "Anna",
        "crew": 4,
        "holiday": (np.arange(rows) // 300 % 9 == 4).astype(int),
    })  # fmt: skip


@pytest.fixture
def reference() -> pd.DataFrame:
    """Four weeks, 300 rows a day."""
    return spread_over(made(8400, 1), START, 28)


@pytest.fixture
def window() -> pd.DataFrame:
    """The day after."""
    return spread_over(made(300, 2), START + pd.Timedelta(days=28), 1)


def test_unchanged_rows_are_told_to_be_well_column_by_column(
    tmp_path: Path, reference: pd.DataFrame, window: pd.DataFrame
) -> None:
    result = compared(tmp_path, reference, window)
    assert result.verdict is Verdict.OK
    assert set(schema(result)) == {"weight", "length", "kind", "boat", "crew", "holiday"}
    for each in schema(result).values():
        assert (each.value, each.threshold, each.reason, each.caution) == (0.0, 0.0, "within_threshold", None)
        assert (each.version, each.rows, each.reference_rows) == ("1", 300, 8400)
        found = of(result, "distribution", each.feature)
        assert found.material == 0.1
        assert found.threshold >= 0.1
        assert found.calibration == "g_test_by_stretches"
    assert all(Finding.from_json(json.loads(json.dumps(each.as_json()))) == each for each in result.findings)


FAULTS = {
    "missing": lambda rows: rows.drop(columns="length"),
    "all_null": lambda rows: rows.assign(length=np.nan),
    "type": lambda rows: rows.assign(length=rows.length.astype(str)),
    "unit": lambda rows: rows.assign(length=rows.length * 1000),
    "constant": lambda rows: rows.assign(length=12.0),
    "out_of_range": lambda rows: rows.assign(length=np.where(np.arange(len(rows)) % 10, rows.length, -9999.0)),
}


@pytest.mark.parametrize("word", FAULTS)
def test_each_fault_of_a_number_is_told_by_its_word_and_of_that_column_alone(
    tmp_path: Path, reference: pd.DataFrame, window: pd.DataFrame, word: str
) -> None:
    result = compared(tmp_path, reference, FAULTS[word](window))
    assert faults(result) == {"length": word}
    found = of(result, "schema", "length")
    assert (found.value, found.threshold, found.verdict) == (1.0, 0.0, Verdict.BREACHED)
    if word != "out_of_range":  # a tenth of the rows is not so much that the distribution is another
        assert of(result, "distribution", "length").caution == f"its schema says why: {word}"


def test_a_fault_is_explained_in_its_caution(tmp_path: Path, reference: pd.DataFrame, window: pd.DataFrame) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    grams = compared(tmp_path / "a", reference, window.assign(weight=window.weight / 1000))
    assert of(grams, "schema", "weight").caution == "values are about 0.001 times the reference's"
    stuck = compared(tmp_path / "b", reference, window.assign(weight=7.0))
    assert of(stuck, "schema", "weight").caution == "every value is 7"


NAMES = {
    "unseen": lambda rows: rows.assign(kind=rows.kind.replace("ling", "hake")),
    "type": lambda rows: rows.assign(kind=rows.kind.map({"cod": 1, "ling": 2, "pollack": 3})),
    "constant": lambda rows: rows.assign(kind="ling"),
    "all_null": lambda rows: rows.assign(kind=None),
    "missing": lambda rows: rows.drop(columns="kind"),
}


@pytest.mark.parametrize("word", NAMES)
def test_each_fault_of_a_name_is_told_by_its_word_and_of_that_column_alone(
    tmp_path: Path, reference: pd.DataFrame, window: pd.DataFrame, word: str
) -> None:
    assert faults(compared(tmp_path, reference, NAMES[word](window))) == {"kind": word}


def test_a_column_that_was_constant_is_awake_when_it_varies_and_out_of_range_when_it_stands_elsewhere(
    tmp_path: Path, reference: pd.DataFrame, window: pd.DataFrame
) -> None:
    awake = window.assign(
        crew=np.where(np.arange(len(window)) % 3, 4, 5), boat=np.where(np.arange(len(window)) % 3, "Anna", "Bo")
    )
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert faults(compared(tmp_path / "a", reference, awake)) == {"crew": "woke_up", "boat": "woke_up"}
    elsewhere = window.assign(crew=5, boat="Bo")
    assert faults(compared(tmp_path / "b", reference, elsewhere)) == {"crew": "out_of_range", "boat": "unseen"}


def test_a_column_that_the_reference_has_no_value_of_is_awake_when_it_has_one(
    tmp_path: Path, reference: pd.DataFrame, window: pd.DataFrame
) -> None:
    empty = reference.assign(length=np.nan)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert faults(compared(tmp_path / "a", empty, window)) == {"length": "woke_up"}
    assert faults(compared(tmp_path / "b", empty, window.assign(length=np.nan))) == {}


def test_what_stands_still_for_days_in_the_reference_may_stand_still_for_a_day(
    tmp_path: Path, reference: pd.DataFrame, window: pd.DataFrame
) -> None:
    """The flag is constant on every day; the same values in any order are stuck when they are constant for one."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert faults(compared(tmp_path / "a", reference, window)) == {}
    shuffled = reference.assign(holiday=np.random.default_rng(3).permutation(reference.holiday))
    assert faults(compared(tmp_path / "b", shuffled, window)) == {"holiday": "constant"}


def test_a_gap_that_is_usual_is_no_fault(tmp_path: Path, reference: pd.DataFrame, window: pd.DataFrame) -> None:
    """A value that is missing for days on end in the reference may be missing for one."""
    gaps = np.arange(len(reference)) // 900 % 2 == 0
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    nothing = window.assign(length=np.nan)
    assert faults(compared(tmp_path / "a", reference.assign(length=reference.length.mask(gaps)), nothing)) == {}
    scattered = reference.length.mask(np.random.default_rng(4).permutation(gaps))
    assert faults(compared(tmp_path / "b", reference.assign(length=scattered), nothing)) == {"length": "all_null"}


def test_a_renamed_column_is_one_fault_that_names_the_new_name(
    tmp_path: Path, reference: pd.DataFrame, window: pd.DataFrame
) -> None:
    result = compared(tmp_path, reference, window.rename(columns={"length": "size", "kind": "species"}))
    assert faults(result) == {"length": "renamed", "kind": "renamed"}
    assert of(result, "schema", "length").caution == "to size"
    assert of(result, "schema", "kind").caution == "to species"
    assert of(result, "schema", "size").caution == "the new name of length"
    assert of(result, "schema", "size").verdict is Verdict.OK


def test_a_new_column_that_is_no_old_one_is_added(
    tmp_path: Path, reference: pd.DataFrame, window: pd.DataFrame
) -> None:
    result = compared(tmp_path, reference, window.assign(depth=window.length * 50, gear="net"))
    assert faults(result) == {"depth": "added", "gear": "added"}


def test_where_features_are_declared_only_these_are_told_of_and_still_found_under_a_new_name(
    tmp_path: Path, reference: pd.DataFrame, window: pd.DataFrame
) -> None:
    declared: dict[str, Any] = {"length": {"type": "numeric"}, "kind": {"type": "categorical"}}
    changed = window.rename(columns={"length": "size"}).assign(gear="net")
    result = compared(tmp_path, reference, changed, features=declared)
    assert faults(result) == {"length": "renamed"}
    assert set(schema(result)) == {"length", "kind", "size"}


def test_vectors_and_texts_are_missed_when_they_are_gone(
    tmp_path: Path, reference: pd.DataFrame, window: pd.DataFrame
) -> None:
    with_text = [rows.assign(hull=list(np.ones((len(rows), 3))), log="all well") for rows in (reference, window)]
    declared: dict[str, Any] = {"hull": {"type": "vector"}, "log": {"type": "text"}, "length": {}}
    assert faults(compared(tmp_path, with_text[0], with_text[1], features=declared)) == {}
    gone = with_text[1].drop(columns="log").assign(hull=None)
    assert faults(compared(tmp_path, with_text[0], gone, features=declared)) == {"log": "missing", "hull": "all_null"}


def test_moments_of_both_sides_equal_those_of_scipy(
    tmp_path: Path, reference: pd.DataFrame, window: pd.DataFrame
) -> None:
    gaps = window.assign(weight=window.weight.mask(window.weight > 600))
    result = compared(tmp_path, reference, gaps)
    parts = of(result, "distribution", "weight").parts
    for side, rows in (("reference", reference), ("current", gaps)):
        values = rows.weight.dropna()
        assert parts[f"{side} mean"] == pytest.approx(values.mean())
        assert parts[f"{side} spread"] == pytest.approx(values.std(ddof=0))
        assert parts[f"{side} skewness"] == pytest.approx(scipy.stats.skew(values))
        assert parts[f"{side} kurtosis"] == pytest.approx(scipy.stats.kurtosis(values))
    assert of(result, "distribution", "kind").parts == {}
    assert set(of(result, "distribution", "crew").parts) == {
        "reference mean", "reference spread", "current mean", "current spread",
    }  # fmt: skip


@settings(deadline=None, max_examples=200)
@given(some.lists(some.floats(allow_nan=True, allow_infinity=True), max_size=30))
def test_moments_are_finite_whatever_they_are_of(values: list[float]) -> None:
    assert all(math.isfinite(value) for value in moments(np.array(values)).values())


@settings(deadline=None, max_examples=200)
@given(some.lists(some.floats(-1e6, 1e6).map(lambda value: round(value, 3)), min_size=2, max_size=30))
def test_moments_equal_those_of_scipy(values: list[float]) -> None:
    array, found = np.array(values), moments(np.array(values))
    assert found["mean"] == pytest.approx(array.mean(), rel=1e-9, abs=1e-9)
    assert found["spread"] == pytest.approx(array.std(), rel=1e-9, abs=1e-9)
    if array.std() > 1e-6 * np.abs(array).max():
        assert found["skewness"] == pytest.approx(scipy.stats.skew(array), rel=1e-6, abs=1e-6)
        assert found["kurtosis"] == pytest.approx(scipy.stats.kurtosis(array), rel=1e-6, abs=1e-6)


def test_huge_values_leave_out_what_no_float_holds(
    tmp_path: Path, reference: pd.DataFrame, window: pd.DataFrame
) -> None:
    huge = window.assign(length=np.where(np.arange(len(window)) % 2, 1.7e308, -1.7e308), weight=np.inf)
    result = compared(tmp_path, reference, huge)
    assert faults(result)["length"] == "out_of_range"
    assert faults(result)["weight"] == "out_of_range"
    for each in result.findings:
        assert all(math.isfinite(value) for value in each.parts.values())
    assert not any(name.startswith("current") for name in of(result, "distribution", "weight").parts)


def test_columns_of_odd_values_stop_no_other_and_unchanged_are_no_fault(tmp_path: Path) -> None:
    def odd(rows: int, seed: int) -> pd.DataFrame:
        draw = np.random.default_rng(seed)
        return pd.DataFrame({
            "infinite": np.full(rows, np.inf), "both": np.where(draw.random(rows) < 0.5, np.inf, -np.inf),
            "huge": draw.uniform(0, 1, rows) * 1.7e308, "tiny": draw.random(rows) * 1e-310, "zero": 0.0,
            "nothing": np.nan, "truth": draw.random(rows) < 0.5, "many": draw.choice([f"c{each}" for each in range(1500)], rows),
        })  # fmt: skip

    reference = spread_over(odd(2800, 1), START, 28)
    window = odd(200, 2)
    names = list(window.columns)
    (tmp_path / "same").mkdir()
    assert faults(compared(tmp_path / "same", reference, spread_over(window, START + pd.Timedelta(days=28), 1))) == {}
    for shift in range(1, len(names)):
        moved = pd.DataFrame({name: window[names[(place + shift) % len(names)]] for place, name in enumerate(names)})
        (tmp_path / str(shift)).mkdir()
        result = compared(tmp_path / str(shift), reference, spread_over(moved, START + pd.Timedelta(days=28), 1))
        assert set(schema(result)) == set(names)
        for each in result.findings:
            assert each.verdict is not Verdict.ERROR
            assert each.value is None or math.isfinite(each.value)


def test_the_share_of_rows_too_small_to_matter_can_be_set(
    tmp_path: Path, reference: pd.DataFrame, window: pd.DataFrame
) -> None:
    moved = window.assign(length=window.length + 3)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    found = of(compared(tmp_path / "a", reference, moved), "distribution", "length")
    assert (found.verdict, found.reason) == (Verdict.BREACHED, "beyond_threshold")
    held = of(compared(tmp_path / "b", reference, moved, {"material": "90%"}), "distribution", "length")
    assert (held.verdict, held.reason, held.threshold) == (Verdict.OK, "significant_but_immaterial", 0.9)
    assert held.value == found.value


@pytest.mark.parametrize("rows", [1, 99])
def test_too_few_rows_are_no_data(tmp_path: Path, reference: pd.DataFrame, window: pd.DataFrame, rows: int) -> None:
    result = compared(tmp_path, reference, window[:rows])
    assert result.verdict is Verdict.NO_DATA
    assert {each.reason for each in result.findings} == {f"expected at least 100 rows, got {rows}"}
    assert len(result.findings) == 2 * 6


def test_without_rows_or_reference_there_is_no_data(
    tmp_path: Path, reference: pd.DataFrame, window: pd.DataFrame
) -> None:
    saved(tmp_path, "reference", reference)
    saved(tmp_path, "predictions", window)
    empty = judged(tmp_path, configured(tmp_path), Window(WINDOW.end, WINDOW.end + DAY))
    assert {each.reason for each in empty.findings} == {"no predictions in the window"}
    bare = judged(tmp_path, configured(tmp_path, reference=None))
    assert {(each.statistic, each.reason) for each in bare.findings} == {
        ("schema", "no reference is configured"), ("distribution", "no reference is configured"),
    }  # fmt: skip


def test_one_version_without_a_reference_that_can_be_read_stops_no_other(
    tmp_path: Path, reference: pd.DataFrame, window: pd.DataFrame
) -> None:
    (tmp_path / "2.parquet").write_bytes(b"no parquet")
    saved(tmp_path, "reference", reference)
    both = pd.concat([window, window.assign(model_version="2", event_id=[f"f{place}" for place in window.index])])
    saved(tmp_path, "predictions", both)
    files = {"type": "files", "path": "reference.parquet", "versions": "{version}.parquet"}
    result = judged(tmp_path, configured(tmp_path, reference=files))
    assert {each.verdict for each in result.findings if each.version == "1"} == {Verdict.OK}
    assert {each.verdict for each in result.findings if each.version == "2"} == {Verdict.ERROR}


def test_each_version_is_held_against_its_own_reference(
    tmp_path: Path, reference: pd.DataFrame, window: pd.DataFrame
) -> None:
    """The second one was trained on a kind that is a number: no fault of either."""
    saved(tmp_path, "reference", reference)
    numbered = {"cod": 1, "ling": 2, "pollack": 3}
    saved(tmp_path, "2", reference.assign(kind=reference.kind.map(numbered)))
    other = window.assign(
        model_version="2", event_id=[f"f{place}" for place in window.index], kind=window.kind.map(numbered)
    )
    texts = [rows.assign(kind=rows.kind.astype(str)) for rows in (window, other)]
    saved(tmp_path, "predictions", pd.concat(texts))
    files = {"type": "files", "path": "reference.parquet", "versions": "{version}.parquet"}
    result = judged(tmp_path, configured(tmp_path, reference=files))
    wrong = {
        (each.version, each.feature, each.reason)
        for each in result.findings
        if each.statistic == "schema" and each.value
    }
    assert wrong == {("2", "kind", "type")}  # numbers that are sent as text


def test_pushed_predictions_are_judged_as_those_in_files_are(
    tmp_path: Path, reference: pd.DataFrame, window: pd.DataFrame
) -> None:
    """Also against a reference that came without its stretches, as a child process is handed it."""
    saved(tmp_path, "reference", reference)
    model = configured(tmp_path, predictions={"type": "ingest"})
    sent = window.rename(columns={"length": "size"}).assign(weight=window.weight * 1000)
    columns = ("weight", "size", "kind", "boat", "crew", "holiday")
    with opened(tmp_path) as store:
        push(store, sent, columns)
        source = IngestSource(store, "shop", "demand", bucket_seconds=bucket_seconds(model.windows))
        known = read_reference(model, "1", tmp_path, source, now=WINDOW.end)
        assert known is not None
        references = References(lambda _: replace(known, stretches=None), directory=tmp_path)
        (result,) = judge_model("shop", model, WINDOW, source, references, now=WINDOW.end + DAY)
    assert faults(result) == {"length": "renamed", "weight": "unit"}


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ({"material": 2}, "material"),
        ({"rows": 10}, "rows"),
        ({"replay": {"type": "sql", "path": "x"}}, "expected url and query beside type: sql"),
        (
            {"replay": {"type": "sql", "path": "x", "url": "sqlite:///x", "query": "SELECT 1"}},
            "expected no path beside",
        ),
        ({"replay": {"type": "kafka", "path": "x"}}, "replay"),
        ({"replay": {"type": "files"}}, "path"),
        ({"replay": {"type": "files", "path": "x", "tolerance": -1}}, "tolerance"),
        ({"replay": {"type": "files", "path": "x", "treshold": 1}}, "threshold"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, check: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        configured(tmp_path, check)


# --- names and units --------------------------------------------------------------------------------------------------


def column_values(count: int, seed: int) -> dict[str, Any]:
    draw = np.random.default_rng(seed)
    return {f"x{place}": draw.normal(0.02 * place, 1.0, 2000) for place in range(count)}


def test_among_columns_that_are_alike_no_new_name_is_told() -> None:
    before, after = column_values(20, 1), column_values(20, 2)
    known = [Column(name, NUMBER) for name in before]
    after["y"] = after.pop("x7")
    assert renamed(known[7:8], [Column("y", NUMBER)], before, after, known) == {}
    # A column that is like no other is known again among all of these.
    before["z"], after["w"] = before["x3"] * 3 + 9, after["x3"] * 3 + 9
    known.append(Column("z", NUMBER))
    assert renamed([known[-1], known[7]], [Column("w", NUMBER), Column("y", NUMBER)], before, after, known) == {
        "z": "w"
    }


def test_a_new_column_of_another_kind_or_distribution_is_no_old_one() -> None:
    draw = np.random.default_rng(1)
    before = {"a": draw.normal(0, 1, 1000)}
    after = {
        "b": draw.normal(1, 1, 1000),
        "c": draw.choice(["1", "2"], 1000).astype(object),
        "d": np.full(1000, np.nan),
    }
    added = [Column("b", NUMBER), Column("c", NAME), Column("d", NUMBER)]
    assert renamed([Column("a", NUMBER)], added, before, after, [Column("a", NUMBER)]) == {}
    assert renamed(
        [Column("a", NUMBER)], [Column("e", NUMBER)], before, {"e": draw.normal(0, 1, 1000)}, [Column("a", NUMBER)]
    ) == {"a": "e"}


def test_two_new_columns_that_both_could_be_it_are_none_of_them() -> None:
    draw = np.random.default_rng(1)
    before = {"a": draw.normal(0, 1, 1000)}
    after = {name: draw.normal(0, 1, 1000) for name in "bc"}
    assert (
        renamed([Column("a", NUMBER)], [Column(name, NUMBER) for name in "bc"], before, after, [Column("a", NUMBER)])
        == {}
    )


@pytest.mark.parametrize("factor", [1000.0, 0.001, 100.0, 2.54, 0.3048, 5.0])
def test_a_factor_is_told_of_values_that_repeat_whatever_it_is(factor: float) -> None:
    draw = np.random.default_rng(1)
    before, after = (np.round(draw.gamma(3.0, 20.0, rows)) for rows in (4000, 500))
    assert other_unit(before, after * factor) == f"values are about {factor:.4g} times the reference's"


@pytest.mark.parametrize("factor", [1.2, 2.0, 5.0, 10.0])
def test_what_has_merely_grown_is_in_no_other_unit(factor: float) -> None:
    """The same shape on the same grid of values, but not the same values times a factor."""
    draw = np.random.default_rng(1)
    before, after = np.round(draw.gamma(3.0, 20.0, 4000)), np.round(factor * draw.gamma(3.0, 20.0, 500))
    assert other_unit(before, after) is None
    assert other_unit(after, before) is None


def test_a_column_without_a_shape_is_in_no_unit() -> None:
    for before, after in (
        ([], []),
        ([1.0] * 500, [1000.0] * 500),
        ([0.0, 1.0] * 500, [0.0, 1000.0] * 500),
        ([math.nan] * 9, [1.0]),
    ):
        assert other_unit(np.array(before), np.array(after)) is None


@pytest.mark.parametrize(
    ("moved", "said"),
    [
        (lambda celsius: 1.8 * celsius + 32, "values look like Fahrenheit where the reference has Celsius"),
        (lambda celsius: celsius + 273.15, "values look like Kelvin where the reference has Celsius"),
        (lambda celsius: celsius + 20, None),
    ],
)
def test_degrees_are_known_by_their_offset(moved: Any, said: str | None) -> None:
    draw = np.random.default_rng(1)
    assert other_unit(draw.normal(12, 6, 5000), moved(draw.normal(14, 6, 500))) == said
