"""A reference out of files: its columns and what they are to the model, its labels, its times, and its bounded memory."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from monitor.profile import Reference, build_reference
from monitor.records import Column, ColumnKind, EventBatch, NoData, Role
from monitor.source import SourceError
from monitor.source.files import HELD_BYTES, read_reference, reference_key, reference_rows
from tests.profile.columns import objects
from tests.source.worlds import DAY, START, log, model, seconds

NUMERIC, CATEGORICAL = ColumnKind.NUMERIC, ColumnKind.CATEGORICAL


def read(
    folder: Path, made: pd.DataFrame | None, form: str = "parquet", held_bytes: int = HELD_BYTES, **parts: Any
) -> Reference:
    """What is read of these rows as a file."""
    path = folder / f"reference.{form}"
    if made is not None:
        made.to_parquet(path, row_group_size=90) if form == "parquet" else made.to_csv(path, index=False)
    spec = {"type": "files", "path": path.name, **parts.pop("reference", {})}
    watched = model(folder, reference=spec, **parts)
    return read_reference(watched.reference.options, watched, folder, fingerprint="f", held_bytes=held_bytes)


def told(reference: Reference) -> dict[str, tuple[ColumnKind, Role]]:
    return {column.name: (column.kind, column.role) for column in reference.columns}


FEATURE, PREDICTION, SCORE, LABEL = Role.FEATURE, Role.PREDICTION, Role.SCORE, Role.LABEL
FEATURES = {"x": (NUMERIC, FEATURE), "c": (CATEGORICAL, FEATURE)}


@pytest.mark.parametrize("form", ["parquet", "csv"])
@pytest.mark.parametrize(
    ("task", "columns"),
    [
        (
            "binary",
            {"prediction": (CATEGORICAL, PREDICTION), "score": (NUMERIC, SCORE), "label": (CATEGORICAL, LABEL)},
        ),
        ("multiclass", {"prediction": (CATEGORICAL, PREDICTION), "label": (CATEGORICAL, LABEL)}),
        ("regression", {"prediction": (NUMERIC, PREDICTION), "label": (NUMERIC, LABEL)}),
    ],
)
def test_prediction_score_and_label_are_columns_named_by_their_role(
    tmp_path: Path, form: str, task: str, columns: dict[str, Any]
) -> None:
    made = log(300, task=task).rename(columns={"prediction": "said", "probability": "p"})
    made["truth"] = [None, 1, 0] * 100
    names = {"prediction": "said", "score": "p", "label": "truth"}
    reference = read(tmp_path, made, form, task=task, columns=names)
    assert told(reference) == {**FEATURES, **columns}
    assert set(reference.bins) == set(told(reference))
    assert reference.version is None
    for name, (kind, role) in columns.items():
        profile = reference.profiles[name]
        assert profile.rows == (200 if role is LABEL else 300)
        if kind is NUMERIC:
            values = made[names[name]].dropna()
            assert (profile.low, profile.high) == (values.min(), values.max())
        else:
            held = dict(zip(reference.bins[name].categories, profile.counts.tolist(), strict=True))  # type: ignore[union-attr]
            counted = made[names[name]].dropna().astype(int).astype(str).value_counts().to_dict()
            assert held == counted


def test_truth_values_and_numbers_spell_classes_alike(tmp_path: Path) -> None:
    """As labels and predictions do where performance is measured."""
    made = log(100).assign(prediction=lambda f: f.prediction.astype(bool), label=lambda f: f.prediction.astype(float))
    reference = read(tmp_path, made)
    for name in ("prediction", "label"):
        assert set(reference.bins[name].categories) == {"0", "1"}  # type: ignore[union-attr]


def test_a_score_by_class_is_no_column(tmp_path: Path) -> None:
    made = log(50).assign(p_up=0.5)
    reference = read(tmp_path, made, columns={"score": {"up": "p_up", "down": "probability"}})
    assert told(reference) == {**FEATURES, "prediction": (CATEGORICAL, PREDICTION)}


@pytest.mark.parametrize(("feature", "column"), [("score", "probability"), ("label", "truth"), ("prediction", "said")])
def test_a_feature_that_is_called_like_an_outcome_is_refused_in_words(
    tmp_path: Path, feature: str, column: str
) -> None:
    made = log(20).rename(columns={"prediction": "said"}).assign(truth=1)
    made[feature] = np.arange(20.0)
    names = {"prediction": "said", "label": "truth"}
    with pytest.raises(SourceError, match=f"features.{feature}: expected another name"):
        read(tmp_path, made, columns=names)
    without = made.drop(columns=column)
    assert told(read(tmp_path, without, columns=names))[feature] == (NUMERIC, FEATURE)


# --- labels of their own ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("held_bytes", [HELD_BYTES, 0], ids=["in memory", "on the disk"])
@pytest.mark.parametrize("task", ["binary", "regression"])
def test_labels_are_joined_by_id_and_the_first_of_an_id_stands(tmp_path: Path, task: str, held_bytes: int) -> None:
    made = log(200, task=task)
    draw = np.random.default_rng(0)
    truth = {name: float(draw.integers(0, 3)) for name in made.event_id[50:]}
    rows = [(name, value, 100.0) for name, value in truth.items()]
    rows += [(name, 7.0, 200.0) for name in made.event_id[60:70]] + [("unknown", 9.0, 1.0)]
    labels = pd.DataFrame([rows[place] for place in draw.permutation(len(rows))], columns=["event_id", "label", "t"])
    labels["label_timestamp"] = pd.to_datetime(labels.pop("t"), unit="s")
    labels.to_parquet(tmp_path / "labels.parquet")
    reference = read(
        tmp_path,
        made,
        held_bytes=held_bytes,
        task=task,
        labels={"type": "files", "path": "labels.parquet"},
        reference={"where": "x < 1"},
    )
    kept = made[made.x < 1]
    expected = [truth[name] for name in kept.event_id if name in truth]
    profile = reference.profiles["label"]
    assert (profile.rows, profile.missing) == (len(expected), 0)
    if task == "regression":
        assert profile.sums.sum() == pytest.approx(sum(expected))
    else:
        found = dict(zip(reference.bins["label"].categories, profile.counts.tolist(), strict=True))  # type: ignore[union-attr]
        assert found == {f"{value:.0f}": expected.count(value) for value in set(expected)}
    # Each label is in the stretch of its own prediction.
    assert reference.stretches is not None
    whole = EventBatch("", seconds(kept), {"label": objects([_name(truth.get(name), task) for name in kept.event_id])})
    if task == "binary":
        column = (Column("label", CATEGORICAL, role=LABEL),)
        by_hand = build_reference(whole, column, fingerprint="f", version=None, window_seconds=DAY).stretches
        assert by_hand is not None
        assert reference.stretches.counts["label"].tolist() == by_hand.counts["label"].tolist()


def _name(value: float | None, task: str) -> str | None:
    return None if value is None or task != "binary" else f"{value:.0f}"


def test_a_label_column_of_the_reference_is_preferred(tmp_path: Path) -> None:
    made = log(30).assign(label=1)
    pd.DataFrame({"event_id": made.event_id, "label": 0}).to_parquet(tmp_path / "labels.parquet")
    reference = read(tmp_path, made, labels={"type": "files", "path": "labels.parquet"})
    assert reference.bins["label"].categories == ("1",)  # type: ignore[union-attr]


@pytest.mark.parametrize("trouble", ["no file yet", "no such column"])
def test_labels_that_cannot_be_read_stop_no_other_column(tmp_path: Path, trouble: str) -> None:
    if trouble == "no such column":
        pd.DataFrame({"event_id": ["a"], "truth": [1]}).to_parquet(tmp_path / "labels.parquet")
    reference = read(tmp_path, log(30), labels={"type": "files", "path": "labels.parquet"})
    assert set(reference.bins) == {"x", "c", "prediction", "score"}
    assert "expected" in reference.unusable["label"]


# --- times ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["parquet", "csv"])
@pytest.mark.parametrize("match", [[], ["hour_of_day", "day_of_week"]], ids=str)
def test_a_reference_of_files_is_the_one_of_its_rows(tmp_path: Path, form: str, match: list[str]) -> None:
    """One column at a time, twice, in chunks, against all rows at once."""
    made = log(3000, days=300)
    reference = read(tmp_path, made, form, reference={"match": match})
    columns = (Column("x", NUMERIC), Column("c", CATEGORICAL))
    held = {"x": made.x.to_numpy(), "c": objects([None if pd.isna(name) else name for name in made.c])}
    rows = EventBatch("", seconds(made), held)
    expected = build_reference(
        rows, columns, fingerprint="f", version=None, window_seconds=DAY, match=tuple(match)  # type: ignore[arg-type]
    )  # fmt: skip
    assert (reference.rows, reference.match) == (3000, tuple(match))
    assert reference.stretches is not None
    assert expected.stretches is not None
    assert len(reference.stretches) > 200
    for name in ("x", "c"):
        assert reference.profiles[name].counts.tolist() == expected.profiles[name].counts.tolist()
        assert reference.stretches.counts[name].tolist() == expected.stretches.counts[name].tolist()
        assert (name in reference.stretches.expected) is bool(match)
        if match:
            assert reference.stretches.expected[name] == pytest.approx(expected.stretches.expected[name])
    assert reference.profiles["x"].spread() == pytest.approx(np.nanstd(made.x), rel=1e-12)


def test_columns_too_large_to_be_held_are_read_twice(tmp_path: Path) -> None:
    made = log(1000)
    held = read(tmp_path, made)
    for form in ("parquet", "csv"):
        twice = read(tmp_path, made, form, held_bytes=0)
        for name, profile in held.profiles.items():
            assert twice.profiles[name].counts.tolist() == profile.counts.tolist()
        assert twice.stretches is not None
        assert held.stretches is not None
        assert twice.stretches.counts["x"].tolist() == held.stretches.counts["x"].tolist()


def test_without_times_a_reference_is_cut_by_its_rows_and_matches_nothing(tmp_path: Path) -> None:
    made = log(1000).drop(columns="timestamp")
    reference = read(tmp_path, made)
    assert reference.stretches is not None
    assert reference.stretches.seconds == 0
    assert reference.stretches.rows.sum() == 1000
    with pytest.raises(
        SourceError, match=r"expected the column 'timestamp' \(columns.timestamp, which reference.match"
    ):
        read(tmp_path, made, reference={"match": ["hour_of_day"]})


def test_what_is_matched_by_is_part_of_what_a_reference_is_known_by(tmp_path: Path) -> None:
    log(10).to_parquet(tmp_path / "reference.parquet")
    keys = set()
    for match in ([], ["hour_of_day"], ["day_of_week"], ["hour_of_day", "day_of_week"]):
        watched = model(tmp_path, reference={"type": "files", "path": "reference.parquet", "match": match})
        keys.add(reference_key(watched.reference.options, tmp_path))
    assert len(keys) == 4


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_a_reference_without_rows_is_no_data(tmp_path: Path, form: str) -> None:
    with pytest.raises(NoData, match="no rows"):
        read(tmp_path, log(10), form, reference={"where": "x > 1000"})


def test_a_declared_feature_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"expected the column 'y' \(features.y\)"):
        read(tmp_path, log(10), features={"x": {}, "y": {"type": "numeric"}})


def test_vectors_and_texts_are_columns_without_bins_where_they_are_declared(tmp_path: Path) -> None:
    made = log(20).assign(v=[[1.0, 2.0]] * 20, note="some words")
    undeclared = read(tmp_path, made)
    assert told(undeclared)["note"] == (CATEGORICAL, FEATURE)
    assert "v" not in told(undeclared)
    declared = {"x": {}, "v": {"type": "vector"}, "note": {"type": "text"}}
    reference = read(tmp_path, made, features=declared)
    assert list(told(reference))[:3] == ["x", "v", "note"]
    assert set(reference.bins) == {"x", "prediction", "score"}
    assert reference.unusable == {}
    columns = tuple(column for column in reference.columns if column.role is FEATURE)
    watched = model(tmp_path, features=declared, reference={"type": "files", "path": "reference.parquet"})
    rows = reference_rows(watched.reference.options, watched, tmp_path, columns, limit=5)
    assert np.array(rows.features["v"]).tolist() == [[1.0, 2.0]] * 5
    assert rows.features["note"].tolist() == ["some words"] * 5  # type: ignore[union-attr]
    assert len(rows) == 5
    assert rows.times.min() >= START


def test_rows_of_a_reference_without_times_stand_as_in_the_file(tmp_path: Path) -> None:
    made = log(40).drop(columns="timestamp").assign(x=np.arange(40.0))
    made.to_parquet(tmp_path / "reference.parquet")
    watched = model(tmp_path, reference={"type": "files", "path": "reference.parquet", "where": "x >= 20"})
    rows = reference_rows(watched.reference.options, watched, tmp_path, (Column("x", NUMERIC),), limit=4)
    assert rows.features["x"].tolist() == [20.0, 25.0, 30.0, 35.0]  # type: ignore[union-attr]
    assert math.isclose(rows.times.sum(), 0.0)


@pytest.mark.slow
def test_a_large_reference_takes_little_more_memory_than_one_of_its_columns(tmp_path: Path) -> None:
    """Three million rows of ten columns would be 240 MB at once; PyArrow and we ourselves take about 110."""
    import subprocess
    import sys

    draw = np.random.default_rng(0)
    rows = 3_000_000
    made = pd.DataFrame({f"x{place}": draw.normal(0, 1, rows) for place in range(10)})
    made["timestamp"] = pd.to_datetime(START + np.arange(rows), unit="s")
    made["event_id"] = np.arange(rows)
    made.to_parquet(tmp_path / "reference.parquet", row_group_size=500_000)
    model(tmp_path, reference={"type": "files", "path": "reference.parquet"})
    program = f"""
import re
from pathlib import Path
from monitor.config import load
from monitor.source.files import read_reference
folder = Path({str(tmp_path)!r})
watched = load(folder / "anchorwatch.yml").config.models()[0][1]
assert read_reference(watched.reference.options, watched, folder, fingerprint="f").rows == {rows}
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(ended.stdout) < 250_000
