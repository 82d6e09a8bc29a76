"""The series of a backtest, as promtool and a real Prometheus take them."""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.openmetrics.parser import text_fd_to_metric_families

from monitor import cli
from monitor.backtest import SeriesLog, backtest
from monitor.records import instant
from tests.backtest.histories import HOUR, START, at, configured, files_model, retraining, write_config, write_history
from tests.e2e.daemon import eventually, program

HOURS: list[Any] = [1, 9, 9, None, 9, 1]
SUBJECT = {"app": "shop", "model": "demand", "version": "v1", "metric": "mae"}


def installed(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"expected {name} to be installed")
    return found


@pytest.fixture
def text(tmp_path: Path) -> str:
    write_history(tmp_path, HOURS)
    series = SeriesLog()
    rules = {"rules": {"ModelPerformanceDegraded": {"for": "30m"}}}
    backtest(configured(tmp_path, files_model(retraining=retraining()), alerting=rules), series=series)
    return "".join(series.lines())


def samples(text: str, name: str, **labels: str) -> list[tuple[float, float]]:
    """The samples (time, value) of one series."""
    return [
        (float(sample.timestamp), sample.value)
        for family in text_fd_to_metric_families(io.StringIO(text))
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]


def test_a_series_has_a_sample_for_each_time_it_was_judged(text: str) -> None:
    """The values of each window, at the time it was judged; none while nothing is known."""
    times = [START + HOUR * n for n in (1, 2, 2.5, 3, 5, 6)]
    assert samples(text, "anchorwatch_model_performance", **SUBJECT) == list(
        zip(times, [1, 9, 9, 9, 9, 1], strict=True)
    )
    assert samples(text, "anchorwatch_model_performance_breached", **SUBJECT)[:2] == [(times[0], 0), (times[1], 1)]
    state = samples(text, "anchorwatch_check_state", check="performance", state="no_data")
    assert [value for time, value in state if time == START + 4 * HOUR] == [1]


def test_alerts_and_retrainings_are_there_too(text: str) -> None:
    firing = samples(text, "anchorwatch_alerts", alertname="ModelPerformanceDegraded", state="firing")
    assert [(time, value) for time, value in firing if time <= START + 3 * HOUR] == [
        (START + 2 * HOUR, 0), (START + 2.5 * HOUR, 1), (START + 3 * HOUR, 1),
    ]  # fmt: skip
    requests_total = samples(text, "anchorwatch_retraining_requests_total", app="shop", model="demand")
    assert [value for _, value in requests_total] == [0, 0, 0, 1, 1, 1, 1]
    assert samples(text, "anchorwatch_retraining_active")[3:5] == [(START + 3 * HOUR, 1), (START + 4 * HOUR, 1)]


def test_what_is_of_another_time_is_left_out(text: str) -> None:
    assert "duration" not in text
    assert "reload" not in text
    assert text.endswith("# EOF\n")


def test_times_rise_within_a_series_and_families_are_not_mixed(text: str) -> None:
    families = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert families == sorted(set(families))
    last: dict[str, float] = {}
    order: list[str] = []
    for line in text.splitlines():
        if not line.startswith("#"):
            series, _, time = line.rsplit(" ", 2)
            assert float(time) > last.get(series, 0.0), line
            last[series] = float(time)
            if not order or order[-1] != series:
                order.append(series)
    assert len(order) == len(set(order))


def test_of_two_instants_within_a_millisecond_the_later_value_stands() -> None:
    series = SeriesLog()
    for at_seconds, value in ((10.0, 1.0), (10.0002, 2.0), (11.0, float("nan"))):
        gauge = GaugeMetricFamily("score", 'a "help"\nof \\ two lines', labels=["name", "empty"])
        gauge.add_metric(['a "b"\n\\', ""], value)
        counter = CounterMetricFamily("runs", "how often", value=at_seconds // 1)
        series.note([gauge, counter], at_seconds)
    text = "".join(series.lines())
    assert 'score{name="a \\"b\\"\\n\\\\"} 2.0 10.000\n' in text
    assert "runs_total{} 10.0 10.000\n" in text
    [score] = [family for family in text_fd_to_metric_families(io.StringIO(text)) if family.name == "score"]
    assert score.samples[0].value == 2.0
    assert score.samples[0].labels == {"name": 'a "b"\n\\'}
    assert text.count("score{") == 2


@pytest.fixture
def tsdb(tmp_path: Path) -> Path:
    """The blocks that promtool makes of what the command writes."""
    write_history(tmp_path, HOURS)
    config = write_config(tmp_path, files_model())
    written = tmp_path / "series.txt"
    assert cli.main(["backtest", "-c", str(config), "--openmetrics", str(written)]) == 0
    told = [installed("promtool"), "tsdb", "create-blocks-from", "openmetrics", str(written), str(tmp_path / "tsdb")]
    made = subprocess.run(told, capture_output=True, text=True, timeout=60, check=False)
    assert made.returncode == 0, made.stderr
    return tmp_path / "tsdb"


@pytest.fixture
def prometheus(tsdb: Path, tmp_path: Path, free_port: int) -> Iterator[Callable[[str], Any]]:
    (tmp_path / "prometheus.yml").write_text("{}\n", encoding="utf-8")
    told = ["--config.file", tmp_path / "prometheus.yml", "--storage.tsdb.path", tsdb]
    told += ["--storage.tsdb.retention.time", "100y", "--web.listen-address", f"127.0.0.1:{free_port}"]
    url = f"http://127.0.0.1:{free_port}"
    with program("prometheus", [installed("prometheus"), *told], tmp_path):
        eventually(lambda: requests.get(f"{url}/-/ready", timeout=2).ok, "Prometheus to be ready")

        def query(expression: str) -> Any:
            asked = {"query": expression, "time": at(6)}
            answered = requests.get(f"{url}/api/v1/query", params=asked, timeout=10).json()
            assert answered["status"] == "success", answered
            return answered["data"]["result"]

        yield query


@pytest.mark.slow
def test_prometheus_answers_for_the_time_that_was_replayed(prometheus: Callable[[str], Any]) -> None:
    selector = 'anchorwatch_model_performance{model="demand", metric="mae"}'
    [counted] = prometheus(f"count_over_time({selector}[10h])")
    assert counted["value"][1] == "5"  # six hours, one of them without predictions
    assert {name: counted["metric"][name] for name in SUBJECT} == SUBJECT
    [worst] = prometheus(f"max_over_time({selector}[10h])")
    assert worst["value"][1] == "9"
    raw = prometheus(f"{selector}[10h]")[0]["values"]
    assert [(time, float(value)) for time, value in raw] == [
        (instant(at(hour)), value) for hour, value in ((1, 1.0), (2, 9.0), (3, 9.0), (5, 9.0), (6, 1.0))
    ]
    [breached] = prometheus("sum_over_time(anchorwatch_model_performance_breached[10h])")
    assert breached["value"][1] == "3"
