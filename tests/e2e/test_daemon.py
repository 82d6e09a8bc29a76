"""The daemon as a person, a scheduler, Prometheus and another evaluator meet it: one real process on real sockets."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server
from standardwebhooks import Webhook

from tests.e2e.daemon import (
    Daemon,
    command,
    daemon,
    demand,
    eventually,
    export,
    free_port,
    labels_of,
    predictions,
    program,
    write_config,
    write_reference,
)
from tests.servers import Handler, Server, answer, hang, serving

pytestmark = pytest.mark.slow  # takes seconds, and what it holds seldom breaks

START = "2026-01-05T00:00:00Z"
NEXT_HOUR = "2026-01-05T01:00:00Z"
SECRET = "whsec_" + base64.b64encode(b"a key that only the two of us know").decode()
TOKEN = {"Authorization": "Bearer operate-token"}


@contextlib.contextmanager
def switched() -> Iterator[tuple[Server, threading.Event]]:
    """An application that is well while the event is set."""
    well = threading.Event()
    well.set()

    def behave(handler: Handler) -> None:
        answer(200 if well.is_set() else 500)(handler)

    with serving(behave) as server:
        yield server, well


def probe(url: str, name: str = "health", **more: Any) -> dict[str, Any]:
    return {"type": "http", "name": name, "url": url, "every": "100ms", "timeout": "2s", **more}


def edit(config: Path, change: Callable[[dict[str, Any]], None]) -> None:
    data = yaml.safe_load(config.read_text(encoding="utf-8"))
    change(data)
    config.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")


def alert_states(watch: Daemon, name: str = "AppDown") -> list[str]:
    return [entry["data"]["state"] for entry in watch.ledger("alert") if entry["data"]["name"] == name]


# --- what it shows ----------------------------------------------------------------------------------------------------


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon with a probe, a scrape, a process look, and a judged model with findings of all three checks."""
    registry = CollectorRegistry()
    Counter("http_requests", "Requests.", ["status"], registry=registry).labels("200").inc()
    Histogram("http_request_duration_seconds", "Time to answer.", registry=registry).observe(0.1)
    port = free_port()
    server, thread = start_http_server(port, addr="127.0.0.1", registry=registry)
    write_reference(tmp_path / "reference.parquet")
    app = {
        "name": "bikes",
        "owner": "mobility",
        "probes": [probe(f"http://127.0.0.1:{port}/")],
        "scrape": {
            "url": f"http://127.0.0.1:{port}/metrics",
            "requests": "http_requests_total",
            "latency": "http_request_duration_seconds",
            "every": "200ms",
        },
        "process": {"port": port, "every": "200ms"},
        "models": [demand()],
    }
    config = write_config(tmp_path, metrics_listen=f"127.0.0.1:{free_port()}", apps=[app])
    try:
        with daemon(config, "--clock-start", NEXT_HOUR) as watch:
            records = predictions(300, START)
            watch.push("predictions", records)
            watch.push("labels", labels_of(records, error=7))
            assert watch.post("/-/reload").status_code == 200  # every job runs at once after it
            for name in (
                "feature_drift_score",
                "model_performance",
                "feature_missing_ratio",
                "app_requests_per_second",
            ):
                eventually(lambda name=name: watch.samples(f"anchorwatch_{name}"), name)
            yield watch
    finally:
        server.shutdown()
        thread.join()


@pytest.mark.slow
def test_the_metrics_page_is_clean_in_both_formats_and_a_real_prometheus_scrapes_it(busy: Daemon, tmp_path: Path):
    page = busy.get("/metrics", headers={"Accept": "text/plain"})
    assert page.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    lint = subprocess.run(
        [shutil.which("promtool") or pytest.fail("expected promtool"), "check", "metrics"],
        input=page.content,
        capture_output=True,
        check=False,
    )
    assert (lint.returncode, lint.stdout + lint.stderr) == (0, b"")
    for name in (
        'anchorwatch_app_up{app="bikes",probe="health"} 1.0',
        "anchorwatch_app_memory_",
        'anchorwatch_model_performance{app="bikes",metric="mae",model="demand",version="v1"}',
        'anchorwatch_model_performance_breached{app="bikes",metric="mae",model="demand",version="v1"} 1.0',
        'anchorwatch_check_state{app="bikes",check="drift",model="demand",state="ok"} 1.0',
        'anchorwatch_model_latency_seconds_count{app="bikes",model="demand",version="v1"} 300.0',
    ):
        assert name in page.text, name
    modern = busy.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert modern.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert modern.text.endswith("# EOF\n")
    raw = requests.get(f"{busy.url}/metrics", headers={"Accept-Encoding": "gzip"}, stream=True, timeout=10)
    assert raw.headers["Content-Encoding"] == "gzip"
    assert b"anchorwatch_build_info" in gzip.decompress(raw.raw.read())
    plain = busy.get("/metrics", headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    scraped_by_prometheus(busy, tmp_path)


def scraped_by_prometheus(watch: Daemon, folder: Path) -> None:
    port = free_port()
    scrape = {
        "job_name": "anchorwatch",
        "static_configs": [{"targets": [watch.url.removeprefix("http://")]}],
    }
    config = folder / "prometheus.yml"
    config.write_text(yaml.safe_dump({"global": {"scrape_interval": "1s"}, "scrape_configs": [scrape]}))
    arguments = [
        shutil.which("prometheus") or pytest.fail("expected prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]

    def query(text: str) -> list[Any]:
        answered = requests.get(f"http://127.0.0.1:{port}/api/v1/query", params={"query": text}, timeout=5)
        return answered.json()["data"]["result"]

    with program("prometheus", arguments, folder):
        eventually(lambda: query('up{job="anchorwatch"} == 1'), "Prometheus to have scraped the daemon", 20)
        found = query('anchorwatch_model_performance_breached{metric="mae"}')
        assert [row["value"][1] for row in found] == ["1"]


def test_the_address_for_metrics_serves_those_and_the_probes_and_nothing_else(busy: Daemon):
    other = yaml.safe_load(busy.config.read_text())["metrics_listen"]

    def status(path: str, method: str = "GET") -> int:
        return requests.request(method, f"http://{other}{path}", timeout=5).status_code

    assert [status(path) for path in ("/metrics", "/livez", "/readyz")] == [200, 200, 200]
    assert [status(path) for path in ("/", "/v1/status", "/v1/findings", "/v1/ledger")] == [404] * 4
    assert [status(path, "POST") for path in ("/-/reload", "/v1/predictions", "/v1/alerts")] == [404] * 3
    assert [busy.get(path).status_code for path in ("/", "/v1/status", "/livez")] == [200, 200, 200]


def test_a_port_in_use_is_said_in_one_line_and_the_exit_code_is_2(tmp_path: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        config = write_config(tmp_path, listen=address, apps=[{"name": "bikes"}])
        ended = command("run", "-c", config)
    assert ended.returncode == 2
    assert f"anchorwatch: listen: expected {address} to be free" in ended.stderr
    assert "Traceback" not in ended.stderr


@contextlib.contextmanager
def half_a_request(watch: Daemon) -> Iterator[None]:
    """A client that has sent the half of its request and says no more."""
    host, port = watch.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        head = f"POST /v1/predictions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: 1000\r\n\r\n[".encode())
        yield


# --- how it ends ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_within_10_seconds_and_loses_nothing_whoever_hangs(number: int, tmp_path: Path):
    with serving(hang) as target, serving(hang) as receiver:
        app = {
            "name": "bikes",
            "probes": [probe(target.url, "hung", timeout="1m"), probe(f"http://127.0.0.1:{free_port()}", "dead")],
            "models": [demand(reference=None)],
        }
        config = write_config(
            tmp_path,
            apps=[app],
            alerting={
                "receivers": [{"name": "pager", "type": "webhook", "url": receiver.url, "timeout": "1m"}],
                "rules": {"AppDown": {"for": "0s"}},
            },
        )
        with daemon(config) as watch:
            eventually(lambda: target.seen and receiver.seen, "both to hang")
            acknowledged: set[str] = set()
            stop = threading.Event()

            def client() -> None:
                number = 0
                while not stop.is_set():
                    batch = predictions(20, START, first=number)
                    number += 20
                    with contextlib.suppress(requests.RequestException):
                        if watch.post("/v1/predictions", batch).status_code == 202:
                            acknowledged.update(each["event_id"] for each in batch)

            with ThreadPoolExecutor(1) as pool:
                pushing = pool.submit(client)
                try:
                    eventually(lambda: len(acknowledged) > 200, "some pushes")
                    with half_a_request(watch):
                        began = time.monotonic()
                        assert watch.stop(number) == 0
                        assert time.monotonic() - began < 10
                finally:
                    stop.set()
                pushing.result()
        stored = [row["event_id"] for row in export(config)]
        assert acknowledged <= set(stored)
        assert len(stored) == len(set(stored))
        assert '"event": "daemon stopped"' in watch.said()
        # What could not be delivered is still there for the next start.
        began_with = len(receiver.seen)
        with daemon(config) as watch:
            eventually(lambda: len(receiver.seen) > began_with, "another attempt")
            assert receiver.seen[-1].headers["webhook-id"] == receiver.seen[0].headers["webhook-id"]


# --- another configuration --------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("by_signal", [True, False], ids=["SIGHUP", "POST"])
def test_a_reload_swaps_the_configuration_whole_and_a_bad_one_changes_nothing(by_signal: bool, tmp_path: Path):
    write_reference(tmp_path / "reference.parquet")
    with switched() as (target, well), serving(answer(200)) as receiver:
        app = {"name": "bikes", "probes": [probe(target.url), probe(target.url, "other")], "models": [demand()]}
        config = write_config(
            tmp_path,
            apps=[app],
            alerting={
                "receivers": [{"name": "pager", "type": "webhook", "url": receiver.url}],
                "rules": {"AppDown": {"for": "0s"}},
            },
        )

        def reload(watch: Daemon) -> requests.Response | None:
            if not by_signal:
                return watch.post("/-/reload")
            watch.send(signal.SIGHUP)
            return None

        with daemon(config) as watch:
            well.clear()
            eventually(lambda: alert_states(watch) == ["firing", "firing"], "both probes to have fired")
            first = watch.json("/v1/status")["config_hash"]

            def swap(data: dict[str, Any]) -> None:
                del data["apps"][0]["probes"][1]
                data["apps"][0]["models"].append(demand(name="second"))

            edit(config, swap)
            answered = reload(watch)
            eventually(lambda: watch.json("/v1/status")["config_hash"] != first, "the new configuration")
            assert answered is None or answered.status_code == 200
            assert watch.value("anchorwatch_config_last_reload_successful") == 1
            eventually(lambda: alert_states(watch) == ["firing", "firing", "resolved"], "the gone check's alert to end")
            told = [entry["data"] for entry in watch.ledger("alert")]
            [resolved] = [each for each in told if each["state"] == "resolved"]
            assert (resolved["labels"]["probe"], resolved["reason"]) == ("other", "subject_retired")
            eventually(lambda: len(receiver.seen) == 3, "its delivery")
            assert watch.samples("anchorwatch_app_up", probe="other") == []
            assert watch.samples("anchorwatch_app_probe_breached", probe="other") == []
            assert watch.samples("anchorwatch_check_state", check="probe:other") == []
            assert len(watch.samples("anchorwatch_app_up", probe="health")) == 1
            assert watch.samples("anchorwatch_check_state", model="second")
            watch.push("predictions", predictions(5, START, model="second"))

            second = watch.json("/v1/status")["config_hash"]
            edit(config, lambda data: data["apps"][0].update(probs=[], runbook=7))
            answered = reload(watch)
            eventually(lambda: watch.value("anchorwatch_config_last_reload_successful") == 0, "the refusal")
            assert watch.json("/v1/status")["config_hash"] == second
            lines = config.read_text().splitlines()
            unknown = 1 + next(place for place, line in enumerate(lines) if "probs:" in line)
            wrong = 1 + next(place for place, line in enumerate(lines) if "runbook:" in line)
            expected = [
                f"anchorwatch.yml:{unknown}: apps[0].probs: unknown key, did you mean 'probes'?",
                f"anchorwatch.yml:{wrong}: apps[0].runbook: expected text, got 7",
            ]
            if answered is not None:
                assert answered.status_code == 422
                assert answered.json()["problems"] == expected
            said = [json.loads(line) for line in watch.said().splitlines()]
            refused = [line["problems"] for line in said if line["event"] == "configuration not reloaded"]
            assert refused == [expected]
            # The old one is still at work.
            well.set()
            eventually(lambda: alert_states(watch)[-1:] == ["resolved"], "the probe to be heard")
            eventually(lambda: watch.value("anchorwatch_app_up", probe="health") == 1, "it to be up")


@pytest.mark.slow
def test_a_look_that_was_under_way_at_the_reload_leaves_no_trace(tmp_path: Path):
    with serving(hang) as hung, serving(answer(200)) as well:
        probes = [probe(well.url, "well"), probe(hung.url, "hung", timeout="1500ms")]
        config = write_config(
            tmp_path, apps=[{"name": "bikes", "probes": probes}], alerting={"rules": {"AppDown": {"for": "0s"}}}
        )
        with daemon(config) as watch:
            eventually(lambda: hung.seen, "the look to be under way")
            edit(config, lambda data: data["apps"][0]["probes"].pop())
            assert watch.post("/-/reload").status_code == 200

            def runs() -> float:
                return watch.value("anchorwatch_check_runs_total", check="probe:well") or 0.0

            before = runs()
            eventually(
                lambda: runs() >= before + 25, "two and a half seconds of looks"
            )  # the hung one has timed out by now
            assert len(hung.seen) == 1
            assert watch.samples("anchorwatch_app_up", probe="hung") == []
            assert watch.samples("anchorwatch_check_last_run_timestamp_seconds", check="probe:hung") == []
            assert alert_states(watch) == []
            assert [each["check"] for each in watch.json("/v1/status")["checks"]] == ["probe:well"]


def test_an_address_cannot_change_while_it_runs(tmp_path: Path):
    config = write_config(tmp_path, apps=[{"name": "bikes"}])
    with daemon(config) as watch:
        old, new = watch.url, f"127.0.0.1:{free_port()}"
        edit(config, lambda data: data.update(listen=new))
        answered = requests.post(f"{old}/-/reload", timeout=10)
        assert answered.status_code == 422
        assert f"listen: expected {old.removeprefix('http://')} until a restart" in answered.json()["problems"][0]
        assert requests.get(f"{old}/readyz", timeout=5).status_code == 200


# --- alerts -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_probe_that_fails_and_recovers_gives_pending_firing_resolved_and_one_signed_delivery_each(tmp_path: Path):
    with switched() as (target, well), serving(answer(200)) as receiver:
        app = {"name": "bikes", "owner": "mobility", "runbook": "https://wiki/bikes", "probes": [probe(target.url)]}
        config = write_config(
            tmp_path,
            apps=[app],
            alerting={
                "receivers": [{"name": "pager", "type": "webhook", "url": receiver.url, "secret": SECRET}],
                "rules": {"AppDown": {"for": "1500ms", "severity": "warning"}},
            },
        )
        with daemon(config) as watch:
            eventually(lambda: watch.value("anchorwatch_app_up", probe="health") == 1, "it to be up")
            assert alert_states(watch) == []
            well.clear()
            eventually(lambda: alert_states(watch) == ["pending"], "pending")
            assert watch.value("anchorwatch_alerts", alertname="AppDown", state="pending") == 1
            assert receiver.seen == []
            eventually(lambda: alert_states(watch) == ["pending", "firing"], "firing")
            eventually(lambda: len(receiver.seen) == 1, "the delivery")
            well.set()
            eventually(lambda: alert_states(watch) == ["pending", "firing", "resolved"], "resolved")
            eventually(lambda: len(watch.ledger("delivery")) == 2, "both deliveries in the ledger")
            entries = [entry["data"] for entry in watch.ledger("alert")]
            assert [e["reason"] for e in entries] == ["first_breach", "breach_persisted", "recovered"]
            assert watch.samples("anchorwatch_alerts", alertname="AppDown") == []
            assert watch.value("anchorwatch_notification_attempts_total", receiver="pager") == 2
        assert len(receiver.seen) == 2
        bodies = [Webhook(SECRET).verify(seen.body, seen.headers) for seen in receiver.seen]
        assert [body["type"] for body in bodies] == ["anchorwatch.alert.firing", "anchorwatch.alert.resolved"]
        for body, seen in zip(bodies, receiver.seen, strict=True):
            assert body["data"]["key"] == seen.headers["webhook-id"]
            assert (body["data"]["name"], body["data"]["severity"]) == ("AppDown", "warning")
            assert (body["data"]["owner"], body["data"]["runbook"]) == ("mobility", "https://wiki/bikes")
            assert body["data"]["alerts"][0]["labels"] == {"app": "bikes", "probe": "health"}
        began, ended = (body["data"]["alerts"][0] for body in bodies)
        assert began["started_at"] == ended["started_at"]
        assert ended["resolved_at"] > ended["started_at"] > ended["pending_since"]


def test_where_prometheus_evaluates_the_daemon_tells_nobody_anything(tmp_path: Path):
    with serving(answer(200)) as receiver:
        app = {"name": "bikes", "probes": [probe(f"http://127.0.0.1:{free_port()}")]}
        config = write_config(
            tmp_path,
            apps=[app],
            alerting={
                "evaluator": "prometheus",
                "receivers": [{"name": "pager", "type": "webhook", "url": receiver.url}],
                "rules": {"AppDown": {"for": "0s"}},
            },
        )
        with daemon(config) as watch:
            eventually(lambda: (watch.value("anchorwatch_check_runs_total", check="probe:health") or 0) > 3, "looks")
            assert watch.value("anchorwatch_app_probe_breached", probe="health") == 1
            assert watch.json("/v1/alerts") == {"alerts": []}
            assert watch.ledger() == []
            assert watch.stop() == 0
        assert receiver.seen == []


# --- retrainings ------------------------------------------------------------------------------------------------------


def guarded(url: str, **guards: Any) -> dict[str, Any]:
    return {
        "on": ["performance"],
        "evidence": {"windows": 2},
        "guards": {"min_labels": 10, **guards},
        "trigger": {"type": "webhook", "url": url, "secret": SECRET},
    }


def with_token(folder: Path, model: dict[str, Any], **sections: Any) -> Path:
    write_reference(folder / "reference.parquet")
    (folder / "token").write_text("operate-token")
    tokens = [{"name": "oncall", "role": "operate", "token_file": "token"}]
    return write_config(
        folder,
        auth={"tokens": tokens},
        store={"ephemeral": True},
        apps=[{"name": "bikes", "models": [model]}],
        **sections,
    )


def from_alertmanager(name: str = "ModelPerformanceDegraded", status: str = "firing") -> dict[str, Any]:
    """What Alertmanager 0.25 sends."""
    labels = {
        "alertname": name,
        "app": "bikes",
        "model": "demand",
        "version": "v1",
        "metric": "mae",
        "severity": "critical",
    }
    alert = {
        "status": status,
        "labels": labels,
        "annotations": {"summary": "demand: mae is worse than allowed"},
        "startsAt": "2026-01-05T00:40:00.123Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus:9090/graph",
        "fingerprint": "0123456789abcdef",
    }
    return {
        "version": "4",
        "groupKey": '{}:{alertname="ModelPerformanceDegraded"}',
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "anchorwatch",
        "groupLabels": {},
        "commonLabels": labels,
        "commonAnnotations": {},
        "externalURL": "http://am:9093",
        "alerts": [alert],
    }


def from_grafana() -> dict[str, Any]:
    """What Grafana sends: the same shape and more."""
    body = from_alertmanager()
    extra = {
        "silenceURL": "http://g/s",
        "dashboardURL": "",
        "panelURL": "",
        "values": {"B": 7.2},
        "valueString": "[B=7.2]",
    }
    body["alerts"] = [{**alert, **extra, "orgId": 1, "ruleUID": "abc", "enrichments": []} for alert in body["alerts"]]
    return {
        **body,
        "version": "1",
        "orgId": 1,
        "title": "[FIRING:1]",
        "state": "alerting",
        "message": "",
        "appVersion": "11",
    }


def refusals(watch: Daemon, guard: str) -> float:
    return watch.value("anchorwatch_retraining_refusals_total", guard=guard, model="demand") or 0.0


@pytest.mark.slow
def test_a_webhook_from_alertmanager_or_grafana_asks_for_one_retraining_however_often_it_comes(tmp_path: Path):
    with serving(answer(200)) as pipeline:
        config = with_token(tmp_path, demand(retraining=guarded(pipeline.url, cooldown="1h", single_flight=False)))
        with daemon(config, "--clock-start", NEXT_HOUR) as watch:

            def tell(body: dict[str, Any]) -> dict[str, Any]:
                answered = watch.post("/v1/alerts", body, headers=TOKEN)
                assert answered.status_code == 200, answered.text
                return answered.json()["alerts"][0]

            assert tell(from_grafana())["guard"] == "min_labels"
            records = predictions(20, START)
            watch.push("predictions", records, headers=TOKEN)
            watch.push("labels", labels_of(records), headers=TOKEN)
            assert tell(from_alertmanager("ModelFeatureDrift"))["decision"] == "ignored"
            assert tell(from_alertmanager("NoSuchAlert"))["decision"] == "ignored"
            assert tell(from_alertmanager(status="resolved"))["decision"] == "ignored"
            asked = tell(from_grafana())
            assert asked["decision"] == "requested"
            again = tell(from_alertmanager())
            assert (again["decision"], again["guard"]) == ("refused", "cooldown")
            assert tell(from_grafana())["guard"] == "cooldown"
            assert (refusals(watch, "cooldown"), refusals(watch, "min_labels")) == (2, 1)
            assert watch.value("anchorwatch_retraining_requests_total", model="demand") == 1
            eventually(lambda: len(watch.ledger("delivery")) == 1, "the request to be delivered")
            written = [(e["data"]["state"], e["data"]["guard"]) for e in watch.ledger("retraining")]
            assert written[:2] == [("refused", "min_labels"), ("requested", "")]
            assert sorted(written[2:]) == [("accepted", ""), ("refused", "cooldown")], "whichever came first"
            [row] = watch.json("/v1/retrainings")["retrainings"]
            assert (row["id"], row["state"], row["cause"]) == (asked["id"], "accepted", "performance")
        [seen] = pipeline.seen
        body = Webhook(SECRET).verify(seen.body, seen.headers)
        assert body["data"]["key"] == seen.headers["webhook-id"] == asked["id"]
        assert (body["data"]["model"], body["data"]["version"]) == ("demand", "v1")
        assert body["data"]["cause_started_at"] == "2026-01-05T00:40:00.123000Z"


@pytest.mark.slow
def test_many_webhooks_at_once_start_one_retraining_and_single_flight_refuses_the_rest(tmp_path: Path):
    with serving(answer(500), answer(503), answer(200)) as pipeline:
        config = with_token(tmp_path, demand(retraining=guarded(pipeline.url, cooldown="0s", min_labels=0, per_day=20)))
        with daemon(config, "--clock-start", NEXT_HOUR) as watch:
            with ThreadPoolExecutor(8) as pool:
                bodies = [from_alertmanager(), from_grafana()] * 4
                answers = list(pool.map(lambda body: watch.post("/v1/alerts", body, headers=TOKEN).json(), bodies))
            decided = [answered["alerts"][0] for answered in answers]
            assert sorted(each["decision"] for each in decided) == ["refused"] * 7 + ["requested"]
            assert {each.get("guard") for each in decided} == {None, "single_flight"}
            assert refusals(watch, "single_flight") == 7
            eventually(lambda: len(pipeline.seen) == 3, "two failures and a third attempt")
            eventually(lambda: watch.json("/v1/retrainings")["retrainings"][0]["state"] == "accepted", "it to be taken")
            assert len(watch.json("/v1/retrainings")["retrainings"]) == 1
            assert watch.value("anchorwatch_retraining_failures_total", model="demand") == 2
        assert len({seen.headers["webhook-id"] for seen in pipeline.seen}) == 1
        assert len({seen.body for seen in pipeline.seen}) == 1


def test_nobody_asks_for_a_retraining_without_a_token(tmp_path: Path):
    write_reference(tmp_path / "reference.parquet")
    app = {"name": "bikes", "models": [demand(retraining=guarded("http://127.0.0.1:9/"))]}
    config = write_config(tmp_path, store={"ephemeral": True}, apps=[app])
    with daemon(config) as watch:
        # On loopback without tokens everything else is open.
        watch.push("predictions", predictions(1, START))
        for path in ("/v1/alerts", "/-/reload"):
            answered = watch.post(path, from_alertmanager())
            assert answered.status_code == 403
            assert "configure auth.tokens" in answered.json()["error"]
        assert watch.value("anchorwatch_ingest_requests_refused_total", kind="alerts", reason="no_token") == 1
        assert watch.json("/v1/retrainings") == {"retrainings": []}


def test_a_token_opens_what_its_role_may_and_no_more(tmp_path: Path):
    (tmp_path / "push").write_text("ingest-token\n")
    (tmp_path / "token").write_text("operate-token")
    tokens = [
        {"name": "app", "role": "ingest", "token_file": "push"},
        {"name": "oncall", "role": "operate", "token_file": "token"},
    ]
    config = write_config(
        tmp_path, auth={"tokens": tokens}, apps=[{"name": "bikes", "models": [demand(reference=None)]}]
    )
    weak = {"Authorization": "Bearer ingest-token"}
    with daemon(config) as watch:
        watch.push("predictions", predictions(1, START), headers=weak)
        watch.push("predictions", predictions(1, START), headers=TOKEN)
        assert watch.post("/-/reload", headers=weak).status_code == 403
        assert watch.post("/-/reload", headers=TOKEN).status_code == 200
        assert watch.post("/v1/predictions", []).status_code == 401
        assert watch.post("/v1/predictions", [], headers={"Authorization": "Bearer guess"}).status_code == 401
        assert watch.get("/v1/findings").status_code == 200  # reading is open on loopback
        assert "ingest-token" not in watch.said() + watch.get("/metrics").text + watch.get("/").text


@pytest.mark.slow
def test_the_whole_story_of_a_retraining_from_the_breach_to_the_recovery(tmp_path: Path):
    rate = 1200  # an hour of events is judged every three seconds
    with serving(answer(200)) as pipeline, serving(answer(200)) as receiver:
        model = demand(retraining=guarded(pipeline.url, cooldown="6h"), windows={"size": "1h", "lateness": "0s"})
        alerting = {"receivers": [{"name": "pager", "type": "webhook", "url": receiver.url}]}
        config = with_token(tmp_path, model, alerting=alerting)
        with daemon(config, "--clock-start", START, "--clock-rate", str(rate)) as watch:
            for hour in range(4):
                records = predictions(60, f"2026-01-05T{hour:02}:00:00Z", first=100 * hour)
                watch.push("predictions", records, headers=TOKEN)
                watch.push("labels", labels_of(records, error=9), headers=TOKEN)
            eventually(lambda: pipeline.seen, "the request")
            data = json.loads(pipeline.seen[0].body)["data"]
            assert (data["app"], data["model"], data["version"]) == ("bikes", "demand", "v1")
            assert data["cause"] == "ModelPerformanceDegraded"
            assert data["window"] == {"start": "2026-01-05T01:00:00Z", "end": "2026-01-05T02:00:00Z"}
            assert data["config_hash"] == watch.json("/v1/status")["config_hash"]
            assert len(data["window_fingerprint"]) == 16
            [evidence] = data["evidence"]
            assert (evidence["statistic"], evidence["value"], evidence["rows"]) == ("mae", pytest.approx(9), 60)
            assert watch.value("anchorwatch_retraining_active", model="demand") == 1
            # The pipeline has done its work: the new version's predictions come, and are right.
            begin = int(watch.json("/v1/status")["now"][11:13])
            for hour in range(begin, begin + 6):
                records = predictions(60, f"2026-01-05T{hour:02}:30:00Z", first=10_000 + 100 * hour, version="v2")
                watch.push("predictions", records, headers=TOKEN)
                watch.push("labels", labels_of(records, error=1), headers=TOKEN)
            [deployed] = watch.json("/v1/retrainings")["retrainings"]
            assert deployed["state"] in ("deployed", "recovered")
            assert deployed["new_version"] == "v2"
            done = eventually(
                lambda: [r for r in watch.json("/v1/retrainings")["retrainings"] if r["finished_at"]], "its end"
            )
            assert [(row["state"], row["new_version"]) for row in done] == [("recovered", "v2")]
            told = [e["data"] for e in watch.ledger("retraining")]
            assert [e["state"] for e in told if e["state"] != "refused"] == [
                "requested",
                "accepted",
                "deployed",
                "recovered",
            ]
            assert {e["guard"] for e in told if e["state"] == "refused"} <= {"cooldown", "single_flight"}
            assert watch.value("anchorwatch_retraining_outcomes_total", outcome="recovered") == 1
            eventually(lambda: watch.value("anchorwatch_retraining_active", model="demand") == 0, "the end of it")
            eventually(
                lambda: "resolved" in alert_states(watch, "ModelPerformanceDegraded"), "the alert to be resolved"
            )
        assert len({seen.headers["webhook-id"] for seen in pipeline.seen}) == 1
