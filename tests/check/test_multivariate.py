"""The check `multivariate`, on files as it reads them: a table, a vector and a text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from threadpoolctl import threadpool_limits

from monitor.calibrate import significance_level
from monitor.check import References, judge_model
from monitor.config import ConfigError, Model, StorePlace, load
from monitor.records import CheckResult, Finding, Verdict, Window
from monitor.source._open import open_events
from monitor.source._reference import read_reference

pytestmark = pytest.mark.slow  # takes seconds, and what it holds seldom breaks

HOUR, DAY = 3600.0, 86400.0
START = 1_300_060_800.0  # midnight, UTC
WINDOW = Window(START + 20 * DAY, START + 21 * DAY)
WORDS = "a ship lies at anchor in the bay and wind from west is rising over a calm sea".split()
OTHER = "ein schiff liegt vor anker in der bucht und wind aus westen nimmt zu".split()
DESCRIPTORS = ("characters", "words", "mean_word_length", "non_letters", "unseen_words", "empty")
FEATURES = {"speed": {}, "depth": {}, "kind": {}, "hull": {"type": "vector"}, "log": {"type": "text"}}


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    with threadpool_limits(1):
        yield


def rows(first: float, days: int, each: int, seed: int, *, words: list[str] = WORDS) -> dict[str, Any]:
    """Predictions of some days."""
    rng = np.random.default_rng(seed)
    count = days * each
    speed = rng.standard_normal(count)
    return {
        "event_id": [f"{seed}-{place}" for place in range(count)],
        "timestamp": np.sort(first + rng.uniform(0, days * DAY, count)),
        "model_version": ["1"] * count,
        "speed": speed,
        "depth": 0.8 * speed + 0.6 * rng.standard_normal(count),
        "kind": rng.choice(["sloop", "ketch", "yawl"], count),
        "hull": list(rng.standard_normal((count, 8))),
        "log": [" ".join(rng.choice(words, 3 + rng.poisson(5))) for _ in range(count)],
        "prediction": rng.standard_normal(count),
    }


def written(folder: Path, name: str, table: dict[str, Any]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    times = pa.array((np.asarray(table["timestamp"]) * 1e6).astype(np.int64), pa.timestamp("us"))
    pq.write_table(pa.table({**table, "timestamp": times}), folder / f"{name}.parquet")


def configured(folder: Path, check: dict[str, Any] | None = None, **parts: Any) -> Model:
    model = {
        "name": "demand", "task": "regression", "features": FEATURES, "checks": {"multivariate": check or {}},
        "windows": {"size": "1d", "every": "1d", "lateness": "1h"},
        "reference": {"type": "files", "path": "reference.parquet"},
        "predictions": {"type": "files", "path": "predictions.parquet"},
        **parts,
    }  # fmt: skip
    path = folder / "anchorwatch.yml"
    path.write_text(yaml.safe_dump({"apps": [{"name": "shop", "models": [model]}]}))
    return load(path).config.models()[0][1]


def judged(folder: Path, model: Model, window: Window = WINDOW) -> CheckResult:
    source = open_events("shop", model, folder, StorePlace(folder))
    now = window.end + HOUR
    look_up = References(lambda version: read_reference(model, version, folder, source, now=now), directory=folder)
    (result,) = judge_model("shop", model, window, source, look_up, now=now)
    return result


def by_subject(result: CheckResult) -> dict[tuple[str, str | None], Finding]:
    found = {(each.statistic, each.feature): each for each in result.findings}
    assert len(found) == len(result.findings)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A reference of sixteen days, and predictions of one."""
    written(tmp_path, "reference", rows(START, 16, 300, 1))
    written(tmp_path, "predictions", rows(WINDOW.start, 1, 400, 2))
    return tmp_path


EVERY = {
    ("domain_classifier", None), ("pca_reconstruction", None), ("domain_classifier", "hull"), ("mmd", "hull"),
    ("text_domain_classifier", "log"), *(("ks", f"log.{name}") for name in DESCRIPTORS),
}  # fmt: skip


def test_unchanged_rows_are_quiet_and_everything_is_told_of_them(folder: Path) -> None:
    result = judged(folder, configured(folder))
    found = by_subject(result)
    assert set(found) == EVERY
    assert result.verdict is Verdict.OK
    for each in found.values():
        assert each.verdict is Verdict.OK
        assert each.version == "1"
        assert each.value is not None
        assert each.p_value is not None
        assert each.p_value > 1e-3
        assert each.material is not None
        assert each.threshold is not None
        assert each.threshold >= each.material
        assert each.calibration is not None
        assert each.calibration.startswith("held_out_")
        assert 200 <= each.rows <= 400
        assert each.reference_rows is not None
        assert 2000 < each.reference_rows <= 4800
    assert found["domain_classifier", None].material == 0.55
    assert found["mmd", "hull"].material == 0.05


def test_each_change_is_found_where_it_is(folder: Path) -> None:
    """The table's columns part, the vector moves, the texts speak another language; a column by itself is as it was."""
    changed = rows(WINDOW.start, 1, 400, 3, words=OTHER)
    changed["depth"] = -changed["depth"]
    changed["hull"] = list(np.array(changed["hull"]) + 0.6)
    written(folder, "predictions", changed)
    found = by_subject(judged(folder, configured(folder)))
    breached = {subject for subject, each in found.items() if each.verdict is Verdict.BREACHED}
    assert {
        ("domain_classifier", None), ("pca_reconstruction", None), ("domain_classifier", "hull"), ("mmd", "hull"),
        ("text_domain_classifier", "log"), ("ks", "log.unseen_words"),
    } <= breached  # fmt: skip
    assert ("ks", "log.empty") not in breached
    for subject in breached:
        each = found[subject]
        assert each.reason == "beyond_threshold"
        assert each.value is not None
        assert each.threshold is not None
        assert each.value > each.threshold
        assert each.p_value is not None
        assert each.p_value <= 1e-3


def test_a_breach_takes_both_keys_and_the_threshold_says_so(folder: Path) -> None:
    """What is beyond doubt and does not matter is held back; p-value and threshold agree with the budget."""
    changed = rows(WINDOW.start, 1, 400, 4)
    changed["depth"] = -changed["depth"]
    written(folder, "predictions", changed)
    subject = ("domain_classifier", None)
    plain = by_subject(judged(folder, configured(folder)))[subject]
    assert plain.value is not None
    held = by_subject(judged(folder, configured(folder, {"material": {"domain_classifier": 0.99}})))[subject]
    assert (held.verdict, held.reason, held.threshold) == (Verdict.OK, "significant_but_immaterial", 0.99)
    # The budget is spent over eleven tests a day: at a level around the p-value the verdict turns, and so does the threshold.
    assert plain.p_value is not None
    once = significance_level(at_most=1e-6, per_seconds=30 * DAY, every_seconds=DAY, size_seconds=DAY, tests=11) / 1e-6
    for factor, verdict in ((1.02, Verdict.BREACHED), (0.98, Verdict.OK)):
        check = {"false_alarms": {"at_most": factor * plain.p_value / once}, "material": {"domain_classifier": 0.5}}
        turned = by_subject(judged(folder, configured(folder, check)))[subject]
        assert (turned.value, turned.p_value, turned.verdict) == (plain.value, plain.p_value, verdict)
        assert turned.threshold == pytest.approx(plain.value, abs=0.005)
    fixed = by_subject(judged(folder, configured(folder, {"thresholds": {"domain_classifier": 0.6}})))[subject]
    assert (fixed.threshold, fixed.calibration, fixed.verdict) == (0.6, "fixed", Verdict.BREACHED)


def test_the_same_window_gives_the_same_findings(folder: Path) -> None:
    model = configured(folder)
    assert judged(folder, model) == judged(folder, model)


def test_too_few_rows_are_no_data_with_the_number_that_would_be_enough(folder: Path) -> None:
    written(folder, "predictions", rows(WINDOW.start, 1, 150, 5))
    result = judged(folder, configured(folder))
    assert result.verdict is Verdict.NO_DATA
    assert {each.reason for each in result.findings} == {"expected at least 200 rows, got 150"}
    assert set(by_subject(result)) == EVERY
    written(folder, "reference", rows(START, 16, 5, 6))
    result = judged(folder, configured(folder, {"min_rows": 100}))
    assert {each.reason for each in result.findings} == {"expected at least 200 rows in the reference, got 80"}


def test_one_broken_feature_stops_no_other(folder: Path) -> None:
    """Vectors of another length, and texts that are all missing: each says so, and the rest is judged."""
    changed = rows(WINDOW.start, 1, 400, 7)
    changed["hull"] = list(np.zeros((400, 5)))
    changed["log"] = [None] * 400
    written(folder, "predictions", changed)
    found = by_subject(judged(folder, configured(folder)))
    for name in ("domain_classifier", "mmd"):
        assert found[name, "hull"].verdict is Verdict.NO_DATA
        assert found[name, "hull"].reason == "expected rows of 8 numbers as in the reference, got rows of 5"
    assert (
        found["text_domain_classifier", "log"].verdict is Verdict.BREACHED
    )  # a missing text is told from one that is there
    assert found["ks", "log.words"].verdict is Verdict.NO_DATA
    assert found["domain_classifier", None].verdict is Verdict.OK


def test_without_rows_or_reference_there_is_no_data(folder: Path) -> None:
    empty = judged(folder, configured(folder), Window(WINDOW.start + 9 * DAY, WINDOW.end + 9 * DAY))
    assert empty.verdict is Verdict.NO_DATA
    assert {each.reason for each in empty.findings} == {"no predictions in the window"}
    bare = judged(folder, configured(folder, reference=None))
    assert {each.reason for each in bare.findings} == {"no reference is configured"}


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ({"statistics": {"table": ["mmd"]}}, "expected one of domain_classifier, pca_reconstruction, got 'mmd'"),
        ({"statistics": {"vector": ["psi"]}}, "expected one of domain_classifier, mmd, got 'psi'"),
        ({"statistics": {"text": ["text_domain_clasifier"]}}, "did you mean 'text_domain_classifier'?"),
        ({"sample": 10}, "sample"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, check: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        configured(tmp_path, check)
    assert said in str(refused.value)


def test_the_other_drift_check_takes_none_of_these(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="got 'domain_classifier'"):
        configured(tmp_path, checks={"drift": {"statistics": {"numeric": ["domain_classifier"]}}})
