"""The road over Prometheus, with the real programs: daemon, Prometheus and its rules, Alertmanager, and back to the daemon."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
import yaml
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

from dashboards.build import built
from monitor.alert.rules import RULES
from monitor.provision import alertmanager, prometheus
from tests.servers import Server, answer, serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

ROOT = Path(__file__).parents[2]
START = datetime(2026, 1, 5, tzinfo=UTC).timestamp()
RATE = 600.0  # ten minutes a second: an hour of events is judged every six seconds
TOKENS = {"ingest": "ingest-token", "operate": "operate-token"}
VARIABLES = {
    "$__rate_interval": "10s", "$__range": "10m", "$app": "bikes", "$model": "demand", "$version": ".+", "$feature": "temp",
}  # fmt: skip
PATIENCE_SECONDS = 100.0


class _AppMetrics:
    """What the watched application says of itself: everything grows with time."""

    def __init__(self) -> None:
        self.born = time.monotonic()

    def collect(self) -> Iterator[Any]:
        answered = (time.monotonic() - self.born) * 20
        counter = CounterMetricFamily("http_requests", "Requests.", labels=["status"])
        counter.add_metric(["200"], answered)
        counter.add_metric(["500"], answered / 10)
        yield counter
        histogram = HistogramMetricFamily("http_request_duration_seconds", "Time to answer.")
        histogram.add_metric([], [("0.1", answered / 2), ("1.0", answered), ("+Inf", answered)], answered / 4)
        yield histogram


@dataclass
class Road:
    """The running programs, as tests speak to them."""

    daemon: str
    prometheus: str
    alertmanager: str
    webhooks: Server

    def query(self, expr: str) -> list[dict[str, Any]]:
        answered = requests.post(f"{self.prometheus}/api/v1/query", data={"query": expr}, timeout=10)
        if answered.status_code == 503:  # it has only just been started
            raise requests.ConnectionError(answered.text)
        assert answered.status_code == 200, f"{expr}: {answered.text}"
        result = answered.json()["data"]["result"]
        return [one for one in result if one["value"][1] != "NaN"]

    def series(self, selector: str) -> list[dict[str, str]]:
        answered = requests.get(f"{self.prometheus}/api/v1/series", params={"match[]": selector}, timeout=10)
        return answered.json()["data"]

    def asked_for_retraining(self) -> list[Any]:
        return [seen for seen in self.webhooks.seen if seen.path == "/retrain"]


def eventually(ready: Callable[[], Any], what: str, seconds: float = PATIENCE_SECONDS) -> Any:
    """What `ready` gives, once it gives something; a refused connection counts as not yet."""
    deadline, waiting = time.monotonic() + seconds, threading.Event()
    while True:
        with contextlib.suppress(requests.RequestException):
            if found := ready():
                return found
        assert time.monotonic() < deadline, f"expected {what} within {seconds:.0f} s"
        waiting.wait(0.2)


@contextlib.contextmanager
def running(name: str, command: list[str], folder: Path) -> Iterator[None]:
    """A program in a process group of its own; SIGTERM and, if need be, SIGKILL to all of it at the end."""
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "HOME": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield
    except BaseException:
        print(
            f"--- {name}, exit {process.poll()} ---\n" + "\n".join(log.read_text(errors="replace").splitlines()[-40:])
        )
        raise
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def installed(*names: str) -> str:
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        pytest.fail(f"expected {' or '.join(names)} to be installed")
    return found


def write_reference(path: Path) -> None:
    draw = np.random.default_rng(1)
    size = 2000
    demand = draw.normal(100, 20, size)
    columns = {
        "event_id": [f"r{number}" for number in range(size)],
        "timestamp": [datetime.fromtimestamp(START - 86400 + number, UTC) for number in range(size)],
        "model_version": ["v1"] * size,
        "temp": draw.normal(10, 3, size),
        "hum": draw.normal(50, 10, size),
        "season": draw.choice(["spring", "summer"], size),
        "prediction": demand,
        "label": demand + draw.normal(0, 2, size),
    }
    pq.write_table(pa.table(columns), path)


def write_config(folder: Path, *, listen: str, app: int, webhooks: str) -> Path:
    for role, token in TOKENS.items():
        (folder / role).write_text(token, encoding="utf-8")
    write_reference(folder / "reference.parquet")
    model = {
        "name": "demand",
        "task": "regression",
        "features": {name: {} for name in ("temp", "hum", "season")},
        "reference": {"type": "files", "path": "reference.parquet"},
        "predictions": {"type": "ingest"},
        "labels": {"type": "ingest", "mature": "1m"},
        "windows": {"size": "1h", "every": "1h", "lateness": "5m"},
        "checks": {
            "drift": {"statistics": {"numeric": ["psi"]}, "thresholds": {"psi": 0.2}},
            "performance": {"metrics": ["mae"], "thresholds": {"mae": 5}, "min_labels": 10},
            "quality": {"missing": "5%", "unseen": "1%"},
            "labels": {},
            "volume": {"silence": "3h"},
            "concept": {},
            "fairness": {"protected": ["season"], "metrics": ["group_error_difference"], "min_group": 10},
            "skew": {},
        },
        "segments": ["season"],
        "retraining": {
            "on": ["drift"],
            "guards": {"min_labels": 10, "cooldown": "365d"},
            "trigger": {"type": "webhook", "url": f"{webhooks}/retrain"},
        },
    }
    watched = {
        "name": "bikes",
        "owner": "mobility",
        "runbook": "https://wiki.example.org/bikes",
        "probes": [{"type": "http", "name": "health", "url": f"http://127.0.0.1:{app}/", "every": "10m"}],
        "scrape": {
            "url": f"http://127.0.0.1:{app}/metrics",
            "requests": "http_requests_total",
            "errors": 'http_requests_total{status=~"5.."}',
            "latency": "http_request_duration_seconds",
            "every": "10m",
        },
        "process": {"port": app, "every": "10m"},
        "models": [model],
    }
    config = {
        "listen": listen,
        "data_dir": "data",
        "store": {"ephemeral": True},
        "auth": {"tokens": [{"name": role, "role": role, "token_file": role} for role in TOKENS]},
        "apps": [watched],
        "alerting": {
            "evaluator": "prometheus",
            "receivers": [{"name": "pager", "type": "webhook", "url": f"{webhooks}/pager"}],
        },
    }
    path = folder / "anchorwatch.yml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


class Traffic(threading.Thread):
    """Predictions for the time the daemon's clock shows, much warmer than the reference, and their labels."""

    def __init__(self, daemon: str, origin: float) -> None:
        super().__init__(daemon=True)
        self.daemon_url, self.origin = daemon, origin
        self.stopped = threading.Event()
        self.refused: list[str] = []

    def run(self) -> None:
        draw = np.random.default_rng(2)
        before, number = START, 0
        with requests.Session() as session:
            while not self.stopped.wait(0.25):
                now = START + RATE * (time.time() - self.origin)
                moments = np.arange(before, now, 10.0)
                before = now
                predictions, labels = [], []
                for moment in moments:
                    number += 1
                    at = datetime.fromtimestamp(float(moment), UTC).isoformat()
                    about = {"model": "demand", "event_id": f"e{number}"}
                    demand = float(draw.normal(160, 20))
                    features = {
                        "temp": float(draw.normal(25, 3)),
                        "hum": float(draw.normal(80, 10)),
                        "season": str(draw.choice(["spring", "summer"])),
                    }
                    more = {"timestamp": at, "model_version": "v1", "features": features, "prediction": demand}
                    predictions.append({**about, **more, "latency_seconds": float(draw.uniform(0.01, 0.2))})
                    labels.append({**about, "label": demand + float(draw.normal(20, 5)), "label_timestamp": at})
                for path, records in (("predictions", predictions), ("labels", labels)):
                    if not records:
                        continue
                    answered = session.post(
                        f"{self.daemon_url}/v1/{path}",
                        json=records,
                        headers={"Authorization": f"Bearer {TOKENS['ingest']}"},
                        timeout=10,
                    )
                    if answered.status_code != 202 or answered.json()["rejected"]:
                        self.refused.append(f"{path}: {answered.status_code} {answered.text[:300]}")


def write_prometheus(folder: Path, daemon: str, receiver: str) -> Path:
    """The shipped rules, looked at every second instead of every 30; what grew in between is what grew in a second."""
    shipped = (ROOT / "alerts" / prometheus.FILE).read_text(encoding="utf-8")
    rules = re.sub(r"interval: \d+[sm]", "interval: 1s", shipped).replace("offset 30s", "offset 1s")
    (folder / prometheus.FILE).write_text(rules, encoding="utf-8")
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [prometheus.FILE],
        "scrape_configs": [
            {"job_name": "anchorwatch", "static_configs": [{"targets": [daemon.removeprefix("http://")]}]}
        ],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [receiver.removeprefix("http://")]}]}]},
    }
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def write_alertmanager(folder: Path, daemon: str) -> Path:
    """The shipped configuration with this test's address and token, and with shorter pauses."""
    text = alertmanager.build(daemon=daemon, token_file=str(folder / "operate"), slack_file=None)
    path = folder / "alertmanager.yml"
    path.write_text(text.replace("group_interval: 1m", "group_interval: 1s"), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory, free_ports: Callable[[int], list[int]]) -> Iterator[Road]:
    folder = tmp_path_factory.mktemp("road")
    ports = free_ports(4)
    watch, scraper, router, app = ports
    registry = CollectorRegistry()
    registry.register(_AppMetrics())
    served, _ = start_http_server(app, addr="127.0.0.1", registry=registry)
    daemon, scraper_url, router_url = (f"http://127.0.0.1:{port}" for port in (watch, scraper, router))
    with contextlib.ExitStack() as stack:
        stack.callback(served.server_close)
        stack.callback(served.shutdown)
        webhooks = stack.enter_context(serving(answer(202, "{}")))
        config = write_config(folder, listen=f"127.0.0.1:{watch}", app=app, webhooks=webhooks.url)
        origin = time.time()
        clock = ["--clock-start", "2026-01-05T00:00:00Z", "--clock-rate", str(RATE), "--clock-origin", str(origin)]
        run = [sys.executable, "-m", "monitor.cli", "run", "-c", str(config), *clock]
        stack.enter_context(running("daemon", run, folder))
        eventually(lambda: requests.get(f"{daemon}/readyz", timeout=2).ok, "the daemon to be ready", 30)
        traffic = Traffic(daemon, origin)
        traffic.start()
        stack.callback(traffic.join, 10)
        stack.callback(traffic.stopped.set)
        told = ["--web.listen-address", f"127.0.0.1:{router}", "--cluster.listen-address="]
        told += ["--config.file", str(write_alertmanager(folder, daemon)), "--storage.path", str(folder / "am")]
        stack.enter_context(
            running("alertmanager", [installed("prometheus-alertmanager", "alertmanager"), *told], folder)
        )
        eventually(lambda: requests.get(f"{router_url}/-/ready", timeout=2).ok, "Alertmanager to be ready", 30)
        told = ["--web.listen-address", f"127.0.0.1:{scraper}", "--storage.tsdb.path", str(folder / "tsdb")]
        told += ["--config.file", str(write_prometheus(folder, daemon, router_url))]
        stack.enter_context(running("prometheus", [installed("prometheus"), *told], folder))
        road = Road(daemon, scraper_url, router_url, webhooks)
        eventually(lambda: road.query("up == 1"), "Prometheus to scrape the daemon", 30)
        yield road
        assert traffic.refused == []


def test_drift_leads_over_prometheus_and_alertmanager_to_one_retraining(road: Road) -> None:
    """Drift → rule → Alertmanager → daemon → webhook, exactly once, though several features drift and each is told of."""
    eventually(lambda: road.query('ALERTS{alertname="ModelFeatureDrift", alertstate="firing"}'), "the rule to fire")
    eventually(road.asked_for_retraining, "the retraining to be asked for")
    body = json.loads(road.asked_for_retraining()[0].body)
    assert body["type"] == "anchorwatch.retraining.requested"
    assert (body["data"]["app"], body["data"]["model"], body["data"]["version"]) == ("bikes", "demand", "v1")
    # Whichever alert of the drift check comes first: features, predictions, labels and the input as a whole drift together.
    assert body["data"]["cause"] in {rule.name for rule in RULES if (rule.check, rule.on) == ("drift", "breached")}
    evidence = body["data"]["evidence"]
    assert {row["feature"] for row in evidence} == {"temp", "hum", "prediction", "label", None}
    assert [row["statistic"] for row in evidence if row["feature"] is None] == ["drift_share"]
    # The second feature's alert reached the same entrance, and was refused there.
    eventually(lambda: road.query("sum(anchorwatch_retraining_refusals_total) > 0"), "a refusal")
    payload = {
        "version": "4",
        "status": "firing",
        "alerts": [
            {
                "status": "firing",
                "labels": {"alertname": "ModelFeatureDrift", "app": "bikes", "model": "demand", "version": "v1"},
                "startsAt": body["data"]["cause_started_at"],
            }
        ],
    }
    again = requests.post(
        f"{road.daemon}/v1/alerts", json=payload, headers={"Authorization": f"Bearer {TOKENS['operate']}"}, timeout=10
    )
    assert again.ok
    assert len({seen.headers["webhook-id"] for seen in road.asked_for_retraining()}) == 1
    assert len(road.asked_for_retraining()) == 1


def test_the_alert_has_the_labels_of_the_rule_set_with_owner_and_runbook_joined(road: Road) -> None:
    eventually(lambda: road.query('ALERTS{alertname="ModelFeatureDrift", alertstate="firing"}'), "the rule to fire")

    def told() -> list[dict[str, Any]]:
        alerts = requests.get(f"{road.alertmanager}/api/v2/alerts", timeout=5).json()
        return [
            alert for alert in alerts if alert["labels"].get("feature") == "temp" and "value" in alert["annotations"]
        ]

    alert = eventually(told, "Alertmanager to know of it")[0]
    assert alert["labels"] == {
        "alertname": "ModelFeatureDrift",
        "severity": "warning",
        "app": "bikes",
        "model": "demand",
        "version": "v1",
        "feature": "temp",
        "statistic": "psi",
    }
    assert alert["annotations"]["owner"] == "mobility"
    assert alert["annotations"]["runbook_url"] == "https://wiki.example.org/bikes"
    assert float(alert["annotations"]["value"]) > float(alert["annotations"]["threshold"]) == 0.2


# What may be empty in a run that goes as it should; the rest has to show something.
EMPTY_WHEN_WELL = {
    "Apps down": "the app of this run answers",
}
NOT_IN_THIS_RUN = {
    "Drift of predictions, labels and many columns at once C": "no check of this run looks at many columns at once",
    "How often unchanged data would drift as much A": "this run's thresholds are fixed",
    "Performance by segment and class B": "the model of this run knows no classes",
    "Performance estimated before labels A": "no check of this run estimates",
    "Performance estimated before labels B": "no check of this run estimates",
    "Performance estimated before labels C": "no check of this run estimates",
    "Volume and freshness A": "what is usual takes three weeks to know",
}
QUERIES = [
    pytest.param(target["expr"], panel["title"] in EMPTY_WHEN_WELL, id=f"{name}: {panel['title']} {target['refId']}")
    for name, text in built().items()
    for panel in json.loads(text)["panels"]
    for target in panel["targets"]
    if f"{panel['title']} {target['refId']}" not in NOT_IN_THIS_RUN
]


@pytest.mark.parametrize("name", NOT_IN_THIS_RUN)
def test_the_other_panels_ask_what_prometheus_understands(road: Road, name: str) -> None:
    panels = [panel for text in built().values() for panel in json.loads(text)["panels"]]
    (expr,) = [t["expr"] for panel in panels for t in panel["targets"] if f"{panel['title']} {t['refId']}" == name]
    for placeholder, value in VARIABLES.items():
        expr = expr.replace(placeholder, value)
    assert road.query(expr) == [], NOT_IN_THIS_RUN[name]


@pytest.mark.parametrize(("expr", "may_be_empty"), QUERIES)
def test_every_panel_s_query_returns_data(road: Road, expr: str, may_be_empty: bool) -> None:
    """And not only the zero that stands in for nothing."""
    for name, value in VARIABLES.items():
        expr = expr.replace(name, value)
    if may_be_empty:
        assert expr.endswith(" or vector(0)"), "expected a panel that is empty when all is well to show a zero"
    else:
        expr = expr.removesuffix(" or vector(0)")
    eventually(lambda: road.query(expr), f"data for {expr}")


@pytest.mark.parametrize("name", built())
def test_every_variable_finds_its_values(road: Road, name: str) -> None:
    eventually(lambda: road.query("anchorwatch_model_info"), "the model to be judged")
    for variable in json.loads(built()[name])["templating"]["list"][1:]:
        inner = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["definition"])
        assert inner is not None
        selector = inner[1]
        for placeholder, value in VARIABLES.items():
            selector = selector.replace(placeholder, value)
        found = {series.get(inner[2]) for series in road.series(selector)}
        assert found & {"bikes", "demand", "v1", "temp"}, f"{variable['name']}: {variable['definition']}"


def test_no_rule_fails_to_evaluate(road: Road) -> None:
    groups = requests.get(f"{road.prometheus}/api/v1/rules", timeout=10).json()["data"]["groups"]
    assert [rule["name"] for group in groups for rule in group["rules"] if rule["health"] == "err"] == []
    assert sum(len(group["rules"]) for group in groups) == 47
