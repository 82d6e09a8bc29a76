"""Performance where labels, classes, segments and references are odd: a value, or the reason why there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from monitor.calibrate.losses import baseline_of
from monitor.check import References, judge_model
from monitor.check._coverage import Coverage
from monitor.check._segments import combined
from monitor.config import Model
from monitor.records import CheckResult, Finding, NoData, Verdict, Window
from monitor.source._outcomes import GROUP
from monitor.stats import ClassOutcomes
from monitor.stats.accuracy import accuracy
from monitor.stats.f1 import f1
from tests.check.judging import model
from tests.check.labelled_worlds import DAY, Table, World

OK, BREACHED, NO_DATA = Verdict.OK, Verdict.BREACHED, Verdict.NO_DATA
REFERENCE = {"type": "window", "start": "1970-01-01", "end": "1970-01-08"}


def watched(folder: Path, task: str = "binary", **parts: Any) -> Model:
    check = parts.pop("check", {"metrics": ["accuracy"], "min_labels": 50})
    given = {"reference": REFERENCE, "windows": {"size": "1d", "every": "1d", "lateness": "0s"}, **parts}
    return model(folder, task, labels={"type": "ingest", "mature": "0s"}, checks={"performance": check}, **given)


def table(days: int, *, per_day: int = 300, right: float = 0.9, **columns: Any) -> Table:
    rng = np.random.default_rng(1)
    number = days * per_day
    label = rng.random(number) < 0.5
    said = np.where(rng.random(number) < right, label, ~label)
    names = np.array(["0", "1"], dtype=object)
    held = {"score/1": np.where(said, 0.8, 0.2), **{name: make(number) for name, make in columns.items()}}
    return Table(np.arange(number) * DAY / per_day, names[said.astype(int)], names[label.astype(int)], held)


def looked(of: Model, rows: Table, day: float) -> CheckResult:
    return World(of, rows).look(day * DAY)["performance"]


def by_segment(result: CheckResult) -> dict[str | None, Finding]:
    return {finding.segment: finding for finding in result.findings}


# --- segments ---------------------------------------------------------------------------------------------------------


def test_a_segment_without_a_row_is_unknown_and_so_are_all_where_their_column_is_gone(tmp_path: Path) -> None:
    def shop(number: int) -> Any:
        return np.array(["a", "b"], dtype=object)[np.arange(number) % 2]

    rows = table(12, **{f"{GROUP}shop": shop})
    of = watched(tmp_path, segments=["shop"])
    assert {name: each.verdict for name, each in by_segment(looked(of, rows, 10)).items()} == {
        None: OK, "shop=a": OK, "shop=b": OK,
    }  # fmt: skip
    late = rows.times >= 9 * DAY
    for gone, expected in ((late & (shop(len(rows)) == "b"), {"shop=a": OK}), (late, {"shop=a": NO_DATA})):
        held = np.where(gone, None, shop(len(rows)))
        found = by_segment(looked(of, table(12, **{f"{GROUP}shop": lambda _, held=held: held}), 10))
        assert {name: each.verdict for name, each in found.items()} == {None: OK, "shop=b": NO_DATA, **expected}
        assert found["shop=b"].threshold is not None, "there is something to judge, though nothing can be told"
        assert found["shop=b"].reason == "expected at least 50 labelled rows, got 0"


def test_no_two_segments_share_a_name() -> None:
    held = {
        f"{GROUP}a": np.array(["1,b=2", "1", 'say "x"'], dtype=object),
        f"{GROUP}b": np.array(["3", "2,b=3", "line\n"], dtype=object),
    }
    names, codes = combined(held, ("a", "b"), 3)
    assert len(set(names)) == 3
    assert sorted(codes.tolist()) == [0, 1, 2]


# --- what a reference says -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rows", "expected"), [(1, NO_DATA), (29, NO_DATA), (300, OK)])
def test_a_reference_of_next_to_no_rows_is_nothing_to_compare_with(
    tmp_path: Path, rows: int, expected: Verdict
) -> None:
    made = table(12)
    before = (made.times < 7 * DAY) & (np.arange(len(made)) >= rows)
    kept = made.take(~before)
    assert looked(watched(tmp_path), kept, 10).verdict is expected


def test_a_reference_without_a_failure_does_not_say_that_there_are_none() -> None:
    """Of a hundred rows that were all right, up to three in a hundred may well be wrong."""
    influences, stretches = np.zeros(100), np.zeros(100, dtype=np.int64)
    blind = baseline_of(1.0, influences, stretches, parts=1)
    careful = baseline_of(1.0, influences, stretches, parts=1, failure=1.0)
    assert blind.critical(1e-4, 500) == 0.0
    assert 0.03 < careful.critical(1e-4, 500) < 0.15
    # With ten thousand rows it makes next to no difference.
    wrong = np.where(np.arange(10_000) % 10 == 0, 0.9, -0.1)
    places = np.arange(10_000) // 100
    one, other = (baseline_of(0.9, wrong, places, parts=10, failure=each).critical(1e-4, 500) for each in (None, 0.9))
    assert one == pytest.approx(other, rel=0.01)


# --- classes ----------------------------------------------------------------------------------------------------------


def test_ids_that_were_sent_as_classes_cost_no_memory_and_are_named_as_such() -> None:
    number = 40_000
    ids = np.arange(number)
    outcomes = ClassOutcomes(ids, np.where(ids % 4 == 0, 0, ids), [str(each) for each in ids])
    assert accuracy(outcomes) == pytest.approx(0.75 + 1 / number)
    with pytest.raises(NoData, match="expected at most 1000 classes, got 40000: are these ids"):
        f1(outcomes, average="macro")


def test_a_stray_class_without_a_score_is_left_out_and_told(tmp_path: Path) -> None:
    rows = table(12)
    rows.columns["score/0"] = 1 - rows.columns["score/1"]
    rows.labels[np.flatnonzero(rows.times >= 9 * DAY)[0]] = "maybe"
    of = watched(
        tmp_path, "multiclass", columns={"score": {"0": "p0", "1": "p1"}},
        check={"metrics": ["log_loss"], "min_labels": 50},
    )  # fmt: skip
    [finding] = looked(of, rows, 10).findings
    assert (finding.verdict, finding.rows) == (OK, 299)
    assert finding.caution == "without the 1 rows of maybe, for which there is no score (columns.score)"
    rows.labels[np.flatnonzero(rows.times >= 9 * DAY)[:100]] = "maybe"
    [finding] = looked(of, rows, 10).findings
    assert (finding.verdict, finding.reason) == (
        NO_DATA, "expected a score for every class (columns.score), got none for maybe",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("positive", "names", "verdict"), [("churn", ("stay", "churn"), OK), ("1", ("no", "yes"), NO_DATA)]
)
def test_a_window_of_negatives_alone_has_a_specificity_where_the_positive_class_is_named(
    tmp_path: Path, positive: str, names: tuple[str, str], verdict: Verdict
) -> None:
    rows = table(12)
    rows.columns[f"score/{positive}"] = rows.columns["score/1"]
    spelled = dict(zip("01", names, strict=True))
    rows.labels[:] = [spelled[each] for each in rows.labels]
    rows.predictions[:] = [spelled[each] for each in rows.predictions]
    late = rows.times >= 9 * DAY
    rows.labels[late], rows.predictions[late] = names[0], names[0]
    check = {"metrics": ["specificity"], "min_labels": 50, "thresholds": {"specificity": 0.5}}
    [finding] = looked(watched(tmp_path, positive=positive, check=check), rows, 10).findings
    assert finding.verdict is verdict
    assert finding.value == (1.0 if verdict is OK else None)


# --- labels -----------------------------------------------------------------------------------------------------------


def test_sizes_of_segments_that_are_only_known_from_a_sample_are_no_selection() -> None:
    """Four hundred thousand rows in shops of two hundred, all of them labelled; a twentieth of the rows was looked at."""
    rng = np.random.default_rng(3)
    sizes = {f"shop={place}": 200 for place in range(2000)} | {"shop=big": 4000}
    seen = {name: int(rng.poisson(rows / 20)) for name, rows in sizes.items()}
    segments = {name: (rows, seen[name] * 20) for name, rows in sizes.items() if seen[name]}
    assert Coverage(404_000, 404_000, {("shop",): segments}, 0.05).selection() == ""
    halved = {"shop=easy": (40_000, 40_100), "shop=hard": (8_000, 40_300)}
    assert Coverage(80_400, 48_000, {("shop",): halved}, 0.05).selection().startswith("labels cover")


def test_labels_that_take_longer_than_they_are_waited_for_are_late_by_default(tmp_path: Path) -> None:
    rows = table(40)
    rows.came = rows.times + np.where(np.arange(len(rows)) % 5 < 2, 9 * DAY, 3600.0)
    of = model(
        tmp_path, "binary", labels={"type": "ingest", "mature": "5d"}, checks={"labels": {}},
        windows={"size": "1d", "every": "1d", "lateness": "0s"},
    )  # fmt: skip
    window, matured = Window(29 * DAY, 30 * DAY), Window(24 * DAY, 25 * DAY)
    [result] = judge_model(
        "shop", of, window, rows, References(lambda _: None), now=30 * DAY, matured=matured, known_by=30 * DAY
    )
    [lag] = [each for each in result.findings if each.statistic == "label_lag"]
    assert (lag.verdict, lag.value, lag.window) == (BREACHED, 9 * DAY, matured)
