"""The whole `/metrics` page for one known state of the watch, held as a golden file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from monitor.config import load
from monitor.consequences.configured import expose_config
from monitor.consequences.exposition import expose_effects, expose_findings, expose_run
from monitor.consequences.recording import Effects
from monitor.consequences.retraining import Told
from monitor.metrics import Metrics
from monitor.records import CheckResult, Finding, Sample, Verdict, Window

WINDOW = Window(1293840000.0, 1294444800.0)
CHECKS = [("shop", None, "probe:health"), ("shop", "demand", "drift"), ("shop", "demand", "performance")]


def _finding(check: str, statistic: str, verdict: Verdict, value: float | None, feature: str | None = None) -> Finding:
    return Finding(
        "shop", check, statistic, verdict, "", WINDOW, model="demand", version="v1", feature=feature, value=value,
        threshold=0.2, rows=700,
    )  # fmt: skip


def _result(check: str, verdict: Verdict, *findings: Finding) -> CheckResult:
    return CheckResult("shop", "demand", check, verdict, "", WINDOW, 700, findings, ("v1",))


def _page(tmp_path: Path) -> Metrics:
    path = tmp_path / "anchorwatch.yml"
    path.write_text(
        'apps: [{name: shop, owner: "the \\"team\\"", models: [{name: demand, task: regression, checks: {drift: {}, '
        "performance: {}}, retraining: {trigger: {type: webhook, url: http://127.0.0.1:1/}}}]}]\n"
        "alerting: {receivers: [{name: team, type: webhook, url: http://127.0.0.1:1/}]}\n",
        encoding="utf-8",
    )
    metrics = Metrics("0.0.0")
    expose_config(metrics, load(path), checks=CHECKS, gone=[])
    metrics.set("anchorwatch_config_last_reload_success_timestamp_seconds", 0)
    drift = _result(
        "drift",
        Verdict.BREACHED,
        _finding("drift", "psi", Verdict.BREACHED, 0.85, "temp"),
        _finding("drift", "psi", Verdict.OK, 0.01, "hour"),
        _finding("drift", "psi", Verdict.NO_DATA, None, "wind"),
    )
    performance = _result("performance", Verdict.OK, _finding("performance", "mae", Verdict.OK, 0.1))
    for result in (drift, performance):
        expose_run(metrics, result, now=1294448400.0, last_success=1294448400.0, seconds=0.25)
        expose_findings(metrics, result, features=None)
    expose_effects(metrics, Effects(retrainings=[Told("shop", "demand", "refused", "too soon", "cooldown")]))
    metrics.observe("anchorwatch_model_latency_seconds", 0.02, app="shop", model="demand", version="v1")
    metrics.swap(["anchorwatch_app_up"], [Sample("anchorwatch_app_up", {"app": "shop", "probe": "health"}, 1)])
    return metrics


def _ours(metrics: Metrics) -> str:
    page, _ = metrics.render("text/plain")
    lines = page.decode().splitlines()
    build = [line for line in lines if "anchorwatch_build_info{" in line]
    assert len(build) == 1
    # process_* and the interpreter's version are this machine's.
    return "\n".join(line for line in lines if "anchorwatch_" in line and line not in build) + "\n"


def test_the_whole_page(tmp_path: Path, golden: Callable[[str, str], None]) -> None:
    golden("metrics.txt", _ours(_page(tmp_path)))


def test_a_result_that_is_no_longer_true_takes_its_series_with_it(tmp_path: Path) -> None:
    """Only the check's state remains, and it does not say ok."""
    metrics = _page(tmp_path)
    gone = _result("drift", Verdict.NO_DATA)
    expose_run(metrics, gone, now=1.0, last_success=None, seconds=0.1)
    expose_findings(metrics, gone, features=None)
    samples = [s for family in text_string_to_metric_families(_ours(metrics)) for s in family.samples]
    assert not [s for s in samples if s.name.startswith("anchorwatch_feature_drift")]
    states = {s.labels["state"]: s.value for s in samples if s.labels.get("check") == "drift" and "state" in s.labels}
    assert states == {"ok": 0, "breached": 0, "no_data": 1, "error": 0}


def test_both_formats_say_the_same(tmp_path: Path) -> None:
    metrics = _page(tmp_path)
    text, kind = metrics.render("text/plain")
    open_metrics, open_kind = metrics.render("application/openmetrics-text; version=1.0.0")
    assert kind.startswith("text/plain; version=0.0.4")
    assert open_kind.startswith("application/openmetrics-text")
    assert open_metrics.endswith(b"# EOF\n")

    def values(page: bytes) -> set[str]:
        return {
            line for line in page.decode().splitlines() if line.startswith("anchorwatch_") and "_created" not in line
        }

    assert values(text) == values(open_metrics)
