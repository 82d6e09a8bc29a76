"""Files that are read once give what they give when they are read for each window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitor.backtest import backtest
from monitor.backtest.bucketed import BucketedSource, read_labels
from monitor.backtest.history import open_history
from monitor.backtest.progress import Progress
from monitor.profile import Cutter
from monitor.records import Window
from tests.backtest.histories import HOUR, START, configured
from tests.backtest.test_sums import same

pytestmark = pytest.mark.slow  # takes seconds, and what it holds seldom breaks

ROWS = 2000


def model(**changes: Any) -> dict[str, Any]:
    found = {
        "name": "demand",
        "task": "binary",
        "features": {"temp": {"type": "numeric"}, "sky": {"type": "categorical"}, "wind": {"type": "numeric"}},
        "reference": {"type": "files", "path": "reference.parquet"},
        "predictions": {"type": "files", "path": "predictions*.parquet"},
        "labels": {"type": "files", "path": "labels.parquet"},
        "windows": {"size": "6h", "every": "1h", "lateness": "0s"},
        "checks": {"performance": {}},
    }
    return {**found, **changes}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two days of two versions, in no order of time; words where numbers should be; one feature is only in one of the files."""
    draw = np.random.default_rng(5)
    times = START + np.sort(draw.uniform(0, 48 * HOUR, ROWS))
    columns: dict[str, Any] = {
        "event_id": [f"e{place}" for place in range(ROWS)],
        "timestamp": times,
        "model_version": np.where(times < START + 30 * HOUR, "v1", "v2"),
        "temp": draw.choice(np.array(["warm", None]), ROWS),
        "sky": draw.choice(["clear", "cloud"], ROWS),
        "wind": draw.normal(size=ROWS),
        "prediction": draw.choice(["0", "1"], ROWS),
    }
    # The reference has numbers where predictions have words or nothing: which of them, a batch says only in sum.
    pq.write_table(pa.table({**columns, "temp": draw.normal(size=ROWS)}), tmp_path / "reference.parquet")
    order = draw.permutation(ROWS)
    table = pa.table(columns).take(order)
    pq.write_table(table.slice(0, 1500), tmp_path / "predictions.parquet")
    pq.write_table(table.slice(1500).drop_columns(["wind"]), tmp_path / "predictions-more.parquet")
    came = times + draw.exponential(5 * HOUR, ROWS)
    labels = {"event_id": columns["event_id"], "label": draw.choice(["0", "1"], ROWS), "label_timestamp": came}
    twice = pa.concat_tables(
        [pa.table(labels), pa.table({**labels, "label": ["0"] * ROWS, "label_timestamp": came + 60})]
    )
    pq.write_table(twice, tmp_path / "labels.parquet")
    return tmp_path


def opened(folder: Path, **changes: Any) -> tuple[BucketedSource, Any]:
    loaded = configured(folder, model(**changes))
    history = open_history(loaded, "shop", loaded.config.models()[0][1], lambda _: None)
    assert isinstance(history.source, BucketedSource), history.source
    return history.source, history.standards.at(START + 48 * HOUR)


WINDOWS = [(0, 6), (1, 7), (25, 31), (29, 35), (47, 53), (60, 66), (0, 48)]


@pytest.mark.parametrize("match", [[], ["hour_of_day"]], ids=["any hour", "matched by hour"])
def test_profiles_are_those_of_the_files(folder: Path, match: list[str]) -> None:
    reference = {**model()["reference"], "match": match}
    source, references = opened(folder, reference=reference)
    for begin, end in WINDOWS:
        window = Window(START + begin * HOUR, START + end * HOUR)
        found, expected = source.profiles(window, references), source.source.profiles(window, references)
        assert set(found) == set(expected)
        for version, profile in found.items():
            assert same(profile, expected[version])
    assert all(profile.columns["temp"].unseen and profile.columns["temp"].missing for profile in found.values())


def test_without_a_reference_rows_are_counted(folder: Path) -> None:
    source, references = opened(folder, reference=None)
    window = Window(START + 29 * HOUR, START + 35 * HOUR)
    assert source.profiles(window, references) == source.source.profiles(window, references)


def test_a_window_that_is_no_whole_number_of_buckets_is_read_from_the_files(folder: Path) -> None:
    source, references = opened(folder)
    window = Window(START + 100.0, START + 5000.0)
    found, expected = source.profiles(window, references), source.source.profiles(window, references)
    assert same(found["v1"], expected["v1"])


@pytest.mark.parametrize("known_by", [6.5, 8, 40, 1000])
def test_labels_are_those_that_had_come(folder: Path, known_by: float) -> None:
    source, _ = opened(folder)
    window, instant = Window(START + 3 * HOUR, START + 32 * HOUR), START + known_by * HOUR

    def rows(of: Any) -> list[tuple[Any, ...]]:
        batches = of.labelled(window, numeric=False, known_by=instant)
        columns = [zip(b.times, b.versions, b.predictions, b.labels, strict=True) for b in batches]
        return sorted(row for column in columns for row in column)

    assert rows(source) == rows(source.source)
    assert rows(source)


def test_reading_tells_how_far_it_has_come(folder: Path) -> None:
    told: list[Progress] = []
    source, references = opened(folder)
    watched = BucketedSource(
        source.source,
        read_labels(source.source, numeric=False),
        bucket_seconds=3600,
        about="shop/demand",
        tell=told.append,
    )
    watched.profiles(Window(START, START + 48 * HOUR), references)
    assert {each.stage for each in told} == {"reading"}
    rows = {version: span.rows for version, span in watched.spans.items()}
    assert sum(rows.values()) == ROWS
    assert {each.total for each in told if each.done == each.total} == set(rows.values())


def cut(source: Any, references: Any, span: Window, match: tuple[str, ...]) -> Any:
    known = references("v1")
    cutter = Cutter(known.bins, seconds=6 * HOUR, match=match)
    source.cut(span, references, cutter)
    return cutter.stretches()


@pytest.mark.parametrize("match", [(), ("hour_of_day",)], ids=["any hour", "matched by hour"])
@pytest.mark.parametrize("start", [0.0, 100.0], ids=["whole buckets", "parts of them"])
def test_stretches_are_those_of_the_files(folder: Path, match: tuple[str, ...], start: float) -> None:
    """A reference that trails is cut from buckets where they can be, and from the files where they cannot."""
    source, references = opened(folder, reference={**model()["reference"], "match": list(match)})
    span = Window(START + start, START + 24 * HOUR)
    found, expected = (cut(each, references, span, match) for each in (source, source.source))
    assert sorted(found.rows.tolist()) == sorted(expected.rows.tolist())
    for name in ("sky", "wind"):
        assert found.counts[name].sum(axis=0).tolist() == expected.counts[name].sum(axis=0).tolist()
        assert sorted(map(tuple, found.counts[name].tolist())) == sorted(map(tuple, expected.counts[name].tolist()))


def test_a_reference_that_trails_is_there_once_there_is_so_much_behind(folder: Path) -> None:
    """A day of history is asked for: before, nothing is known; after, the window is judged, and nothing of the future is used."""
    trailing = {"type": "trailing", "size": "1d"}
    loaded = configured(folder, model(reference=trailing, checks={"drift": {}}, labels=None))
    outcome = backtest(loaded)
    told: dict[float, list[str]] = {}
    for finding in outcome.findings:
        told.setdefault((finding.window.end - START) / HOUR, []).append(finding.reason)
    early = {reason for end, reasons in told.items() if end <= 24 for reason in reasons}
    assert all(reason.startswith("expected 1d of predictions to trail behind, got ") for reason in early)
    late = {reason for end, reasons in told.items() if end >= 31 for reason in reasons}
    assert late
    assert not any("trail behind" in reason for reason in late)
    assert outcome.failures == []
