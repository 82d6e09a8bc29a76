"""What goes wrong sooner or later, and what the user then sees. The daemon lives on in every one of these nights."""

from __future__ import annotations

import contextlib
import json
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests

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
    small_disk,
    write_config,
    write_reference,
)
from tests.servers import hang, serving

pytestmark = pytest.mark.slow  # takes seconds, and what it holds seldom breaks

START = "2026-01-05T00:00:00Z"
NEXT_HOUR = "2026-01-05T01:00:00Z"


def app_of(*models: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    return [{"name": "bikes", "models": list(models), **more}]


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon with one pushed model and no reference."""
    with daemon(write_config(tmp_path, apps=app_of(demand(reference=None)))) as found:
        yield found


def findings_of(watch: Daemon, model: str) -> list[dict[str, Any]]:
    return watch.json(f"/v1/findings?model={model}")["findings"]


# --- configuration ----------------------------------------------------------------------------------------------------


def test_everything_wrong_with_a_configuration_is_said_at_once_with_its_place_and_the_exit_code_is_2(tmp_path: Path):
    config = tmp_path / "anchorwatch.yml"
    config.write_text(
        "apps:\n"
        "  - name: bikes\n"
        "    probs: []\n"
        "    models:\n"
        "      - name: demand\n"
        "        task: regresion\n"
        "        windows: {size: soon}\n"
    )
    for arguments in (["run"], ["check"], ["config", "validate"]):
        ended = command(*arguments, "-c", config)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert ended.stderr.splitlines() == [
            "anchorwatch.yml:3: apps[0].probs: unknown key, did you mean 'probes'?",
            "anchorwatch.yml:6: apps[0].models[0].task: expected 'binary', 'multiclass', 'regression' or 'ranking', got 'regresion'",
            "anchorwatch.yml:7: apps[0].models[0].windows.size: expected a duration such as 30s, 5m, 1h or 7d, got 'soon'",
        ]


def test_a_configuration_that_is_not_there_is_named(tmp_path: Path):
    ended = command("run", "-c", tmp_path / "absent.yml")
    assert ended.returncode == 2
    assert (
        ended.stderr
        == f"{tmp_path / 'absent.yml'}: expected a configuration file, cannot read it: No such file or directory\n"
    )


# --- references and files ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_reference_that_is_missing_is_an_error_naming_the_path_and_the_other_model_goes_on(tmp_path: Path):
    write_reference(tmp_path / "reference.parquet")
    broken = demand(name="broken", reference={"type": "files", "path": "gone/reference.parquet"})
    config = write_config(tmp_path, apps=app_of(demand(), broken))
    with daemon(config, "--clock-start", NEXT_HOUR) as watch:
        for model in ("demand", "broken"):
            watch.push("predictions", predictions(150, START, model=model))
        assert watch.post("/-/reload").status_code == 200
        eventually(
            lambda: any(f["verdict"] == "ok" for f in findings_of(watch, "demand")), "the healthy model's findings"
        )
        [error] = eventually(
            lambda: [f for f in findings_of(watch, "broken") if f["check"] == "drift" and f["verdict"] == "error"],
            "the broken model's finding",
        )
        assert error["reason"] == f"expected a file, found nothing at {tmp_path / 'gone/reference.parquet'}"
        assert watch.value("anchorwatch_check_state", model="broken", check="drift", state="error") == 1
        assert watch.value("anchorwatch_check_state", model="broken", check="drift", state="ok") == 0
        assert (watch.value("anchorwatch_check_failures_total", model="broken", check="drift") or 0) >= 1
        assert watch.value("anchorwatch_check_state", model="demand", check="drift", state="ok") == 1
        # And once the file is there, nothing has to be restarted.
        (tmp_path / "gone").mkdir()
        write_reference(tmp_path / "gone" / "reference.parquet")
        watch.post("/-/reload")
        eventually(
            lambda: watch.value("anchorwatch_check_state", model="broken", check="drift", state="ok") == 1, "recovery"
        )
    ended = command("check", "-c", config, "--at", NEXT_HOUR)
    assert ended.returncode == 0, ended.stdout


@pytest.mark.slow
def test_a_reference_with_no_rows_is_no_data_with_its_reason_and_never_ok(tmp_path: Path):
    write_reference(tmp_path / "reference.parquet")
    empty = {"type": "files", "path": "reference.parquet", "where": "temp > 5"}
    config = write_config(tmp_path, apps=app_of(demand(reference=empty)))
    with daemon(config, "--clock-start", NEXT_HOUR) as watch:
        watch.push("predictions", predictions(150, START))
        watch.post("/-/reload")
        [finding] = eventually(
            lambda: [f for f in findings_of(watch, "demand") if (f["statistic"], f["version"]) == ("psi", "v1")],
            "the finding",
        )
        assert (finding["verdict"], finding["reason"], finding["value"]) == (
            "no_data",
            "the reference has no rows",
            None,
        )
        eventually(
            lambda: watch.value("anchorwatch_check_state", model="demand", check="drift", state="no_data") == 1, "state"
        )
        assert watch.samples("anchorwatch_feature_drift_score") == []
    ended = command("check", "-c", config, "--at", NEXT_HOUR)
    assert ended.returncode == 0
    assert "the reference has no rows" in ended.stdout
    assert command("check", "-c", config, "--at", NEXT_HOUR, "--strict").returncode == 1


def test_predictions_without_the_id_column_are_an_error_that_names_the_key_and_the_columns(tmp_path: Path):
    write_reference(tmp_path / "reference.parquet")
    columns = {"id": ["a"], "timestamp": [START], "temp": [0.5], "prediction": [1.0]}
    pq.write_table(pa.table(columns), tmp_path / "predictions.parquet")
    files = {"type": "files", "path": "predictions.parquet"}
    config = write_config(tmp_path, apps=app_of(demand(predictions=files, labels=files)))
    ended = command("check", "-c", config, "--at", NEXT_HOUR, "--format", "json")
    assert ended.returncode == 2
    findings = json.loads(ended.stdout)["findings"]
    assert {f["verdict"] for f in findings} == {"error"}
    expected = "expected the column 'event_id' (columns.id), got the columns id, timestamp, temp, prediction"
    assert {f["reason"] for f in findings} == {f"predictions.parquet: {expected}"}
    with daemon(config, "--clock-start", NEXT_HOUR) as watch:
        shown = eventually(lambda: findings_of(watch, "demand"), "the daemon's findings")
        assert expected in shown[0]["reason"]
        assert watch.get("/readyz").status_code == 200


# --- bodies -----------------------------------------------------------------------------------------------------------


def test_a_body_that_is_no_json_is_400_and_says_what_was_expected(watch: Daemon):
    for body in (b"", b"{", b"temp=3", b"[1, 2", b"\xff\xfe", b"17", b'"x"'):
        answered = watch.get("/readyz") if body is None else send(watch, body)
        assert answered.status_code == 400, body
        assert answered.json()["error"].startswith("expected JSON, one record or a list of records"), body
    assert watch.value("anchorwatch_ingest_requests_refused_total", kind="predictions", reason="not_json") == 7
    answered = requests.post(
        f"{watch.url}/v1/alerts", data=b"[]", headers={"Content-Type": "application/json"}, timeout=5
    )
    assert answered.status_code == 400
    assert answered.json()["error"].startswith("expected a webhook of Alertmanager or Grafana")
    assert_well(watch)


def send(watch: Daemon, body: Any, *, kind: str = "predictions", **headers: str) -> requests.Response:
    """A raw body; the content type is JSON unless another is said."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.post(
        f"{watch.url}/v1/{kind}", data=body, headers={"Content-Type": "application/json", **named}, timeout=30
    )


def assert_well(watch: Daemon) -> None:
    """It still lives and still takes records."""
    assert watch.get("/livez").status_code == 200
    watch.push("predictions", predictions(1, START, first=999_999))


def test_deeply_nested_json_and_a_huge_body_are_refused_and_hurt_nobody(watch: Daemon):
    deep = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    assert send(watch, deep).status_code == 400
    # A list whose one record is of no use.
    assert send(watch, b"[" * 100_000 + b"]" * 100_000).status_code == 422
    nested = (
        json.dumps({**predictions(1, START)[0], "extra": 0})
        .encode()
        .replace(b'"extra": 0', b'"extra": ' + b"[" * 100_000 + b"]" * 100_000)
    )
    assert send(watch, nested).status_code in (400, 422)

    def endless() -> Iterator[bytes]:
        for _ in range(9):
            yield b" " * 1024 * 1024

    with contextlib.suppress(requests.ConnectionError):  # it may hang up before it has read all of it
        answered = send(watch, endless())
        assert answered.status_code == 413
        assert answered.json()["error"] == "expected a body of at most 8388608 bytes"
    assert watch.value("anchorwatch_ingest_requests_refused_total", kind="predictions", reason="too_large") == 1
    assert_well(watch)


def test_of_a_batch_with_good_and_bad_records_the_good_are_kept_and_the_bad_set_aside_with_a_reason(watch: Daemon):
    good = predictions(3, START)
    bad = [
        {**good[0], "event_id": "x1", "model": "nobody"},
        {**good[0], "event_id": "x2", "timestamp": "yesterday"},
        {key: value for key, value in good[0].items() if key != "features"},
        {**good[0], "event_id": ""},
        17,
    ]
    answered = watch.post("/v1/predictions", [good[0], bad[0], good[1], *bad[1:], good[2]])
    assert answered.status_code == 202
    body = answered.json()
    assert body["accepted"] == 3
    reasons = {each["index"]: each["reason"] for each in body["rejected"]}
    assert sorted(reasons) == [1, 3, 4, 5, 6]
    assert reasons[1] == "model: expected one that is pushed here (demand), got 'nobody'"
    assert reasons[3] == "timestamp: expected an ISO 8601 time or Unix seconds, got 'yesterday'"
    assert "features" in reasons[4]
    assert reasons[5] == "event_id: expected 1 to 256 characters, got 0"
    for reason in ("unknown_model", "bad_time", "bad_id"):
        assert watch.value("anchorwatch_ingest_rejected_total", kind="predictions", reason=reason) == 1
    assert watch.value("anchorwatch_ingest_rejected_total", kind="predictions", reason="wrong_type") == 2
    alone = watch.post("/v1/predictions", bad)
    assert (alone.status_code, alone.json()["accepted"], len(alone.json()["rejected"])) == (422, 0, 5)
    assert [row["event_id"] for row in export(watch.config)] == ["e0", "e1", "e2"]
    kept = [(each["reason"], each["record"]) for each in watch.json("/v1/rejected")["rejected"]]
    assert len(kept) == 10
    assert kept[0][0] == "unknown_model"
    assert json.loads(kept[0][1]) == bad[0]


def test_a_push_for_a_model_whose_predictions_are_files_is_rejected(tmp_path: Path):
    write_reference(tmp_path / "reference.parquet")
    files = {"type": "files", "path": "reference.parquet"}
    config = write_config(
        tmp_path, apps=app_of(demand(name="filed", predictions=files, labels=files, checks={}), demand())
    )
    with daemon(config) as watch:
        answered = watch.post("/v1/predictions", predictions(1, START, model="filed"))
        assert answered.status_code == 422
        reason = answered.json()["rejected"][0]["reason"]
        assert reason == "model: expected one that is pushed here (demand), got 'filed'"


# --- events and labels ------------------------------------------------------------------------------------------------


def test_an_event_that_comes_twice_counts_as_accepted_and_the_first_one_stands(watch: Daemon):
    [first] = predictions(1, START)
    other = {**first, "prediction": 7.0, "model_version": "v2"}
    watch.push("predictions", [first])
    watch.push("predictions", [other, first])
    watch.push("labels", [{"model": "demand", "event_id": "e0", "label": 1}])
    watch.push("labels", [{"model": "demand", "event_id": "e0", "label": 2}])
    [stored] = export(watch.config)
    assert (stored["prediction"], stored["model_version"], stored["label"]) == (100.0, "v1", 1)
    assert watch.value("anchorwatch_model_predictions_total", version="v1") == 1
    assert watch.samples("anchorwatch_model_predictions_total", version="v2") == []
    assert watch.value("anchorwatch_ingest_duplicates_total", kind="predictions") == 2
    assert watch.value("anchorwatch_ingest_duplicates_total", kind="labels") == 1
    assert watch.value("anchorwatch_model_labels_total", model="demand") == 1


@pytest.mark.slow
def test_a_label_for_an_unknown_id_is_kept_and_counted_until_it_matches_or_expires(tmp_path: Path):
    labels = {"type": "ingest", "mature": "1m", "expire": "2h"}
    config = write_config(tmp_path, apps=app_of(demand(reference=None, labels=labels)))

    def unmatched(watch: Daemon) -> float | None:
        return watch.value("anchorwatch_model_labels_unmatched", model="demand")

    with daemon(config, "--clock-start", START) as watch:
        records = predictions(2, START)
        watch.push("labels", labels_of(records, error=1))
        watch.post("/-/reload")  # housekeeping runs at once after it
        eventually(lambda: unmatched(watch) == 2, "two labels to be unmatched")
        watch.push("predictions", records[:1])
        watch.post("/-/reload")
        eventually(lambda: unmatched(watch) == 1, "one of them to be matched")
        assert [row["label"] for row in export(config)] == [101.0]
        assert watch.stop() == 0
        watch.start("--clock-start", "2026-01-05T02:30:00Z")
        eventually(lambda: unmatched(watch) == 0, "the other to have expired")
        assert watch.value("anchorwatch_model_labels_expired_total", model="demand") == 1
        watch.push("predictions", records[1:])
        assert [row.get("label") for row in export(config)] == [101.0, None]


@pytest.mark.slow
def test_a_version_never_seen_before_is_judged_against_the_configured_reference_and_told(tmp_path: Path):
    write_reference(tmp_path / "reference.parquet")
    config = write_config(tmp_path, apps=app_of(demand()))
    with daemon(config, "--clock-start", NEXT_HOUR) as watch:
        watch.push("predictions", predictions(150, START, version="v99"))
        watch.push("predictions", [{**each, "model_version": None} for each in predictions(150, START, first=500)])
        watch.post("/-/reload")
        found = eventually(
            lambda: [f for f in findings_of(watch, "demand") if f["check"] == "drift" and f["verdict"] == "ok"],
            "findings",
        )
        assert {f["version"] for f in found} == {"v99", "unversioned"}
        assert {f["reference_version"] for f in found} == {"v1"}
        assert {e["data"]["version"] for e in watch.ledger("version")} == {"v99", "unversioned"}
        eventually(lambda: len(watch.samples("anchorwatch_model_info", model="demand")) == 2, "both on the page")


def test_what_time_an_event_says_it_is_has_nothing_to_do_with_what_time_it_is(watch: Daemon):
    times = [
        "1990-01-01T00:00:00Z",
        "1970-01-01T00:00:00Z",
        "2099-12-31T23:59:59Z",
        0,
        1767571200.5,
        "2026-01-05T01:00:00+05:30",
    ]
    records = [{**predictions(1, START)[0], "event_id": f"t{n}", "timestamp": time} for n, time in enumerate(times)]
    watch.push("predictions", records)
    stored = [row["timestamp"] for row in export(watch.config)]
    assert stored == [
        "1990-01-01T00:00:00Z",
        "1970-01-01T00:00:00Z",
        "2099-12-31T23:59:59Z",
        "1970-01-01T00:00:00Z",
        "2026-01-05T00:00:00.500000Z",
        "2026-01-04T19:30:00Z",
    ]
    # Milliseconds taken for seconds would land in the year 58,000.
    answered = watch.post("/v1/predictions", {**records[0], "event_id": "ms", "timestamp": 1767571200500})
    assert answered.status_code == 422
    assert answered.json()["rejected"][0]["reason"].startswith("timestamp: expected an ISO 8601 time or Unix seconds")


# --- the neighbours ---------------------------------------------------------------------------------------------------


def test_a_hung_probe_target_and_a_dead_one_are_down_with_a_reason_and_nobody_waits_for_them(tmp_path: Path):
    with serving(hang) as target:
        dead = free_port()
        common = {"type": "http", "every": "300ms", "timeout": "200ms"}
        probes = [
            {**common, "name": "hung", "url": target.url},
            {**common, "name": "dead", "url": f"http://127.0.0.1:{dead}/"},
        ]
        config = write_config(tmp_path, apps=app_of(demand(reference=None), probes=probes))
        with daemon(config) as watch:
            for name in ("hung", "dead"):
                eventually(lambda name=name: watch.value("anchorwatch_app_up", probe=name) == 0, name)
            shown = {c["check"]: (c["state"], c["reason"]) for c in watch.json("/v1/status")["checks"]}
            assert shown["probe:hung"] == ("breached", f"{target.url}: timed out after 0.2 s")
            assert shown["probe:dead"] == ("breached", f"http://127.0.0.1:{dead}: connection refused")
            began = time.monotonic()
            assert_well(watch)
            assert time.monotonic() - began < 5


# --- other people's web pages -----------------------------------------------------------------------------------------


def test_a_web_page_can_write_nothing(watch: Daemon):
    body = json.dumps(predictions(1, START))
    foreign: list[tuple[int, str, dict[str, str]]] = [
        (403, "cross_site", {"Origin": "https://evil.example"}),
        (403, "cross_site", {"Origin": "null"}),
        (403, "cross_site", {"Sec_Fetch_Site": "cross-site"}),
        (403, "cross_site", {"Sec_Fetch_Site": "same-site"}),
        (403, "foreign_host", {"Host": "evil.example"}),  # a name that was made to point at us
        (415, "content_type", {"Content_Type": "text/plain"}),
        (415, "content_type", {"Content_Type": "application/x-www-form-urlencoded"}),
        (415, "content_type", {"Content_Type": "multipart/form-data; boundary=x"}),
    ]
    counted: dict[str, int] = {}
    for status, reason, headers in foreign:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {"Content-Type": "application/json", **named}
        answered = requests.post(f"{watch.url}/v1/predictions", data=body, headers=sent, timeout=5)
        assert answered.status_code == status, headers
        assert "Access-Control-Allow-Origin" not in answered.headers
        counted[reason] = counted.get(reason, 0) + 1
        if reason != "content_type":
            for path in ("/-/reload", "/v1/alerts", "/v1/labels"):
                again = requests.post(f"{watch.url}{path}", data=body, headers=sent, timeout=5)
                assert again.status_code == 403, (path, headers)
    for reason, count in counted.items():
        assert watch.value("anchorwatch_ingest_requests_refused_total", kind="predictions", reason=reason) == count
    assert (
        requests.options(
            f"{watch.url}/v1/predictions", headers={"Origin": "https://evil.example"}, timeout=5
        ).status_code
        == 405
    )
    without = requests.Request("POST", f"{watch.url}/v1/predictions", data=body.encode()).prepare()
    without.headers.pop("Content-Type", None)
    assert requests.Session().send(without, timeout=5).status_code == 415
    assert export(watch.config) == []
    assert_well(watch)


# --- disks ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_full_disk_is_503_and_is_seen_and_forgets_nothing_and_heals_by_itself(tmp_path: Path):
    folder = tmp_path / "small"
    with small_disk(folder):
        ballast = folder / "ballast"
        ballast.write_bytes(b"x" * 700_000)
        config = write_config(tmp_path, data_dir="small/data", apps=app_of(demand(reference=None)))
        with daemon(config) as watch:
            acknowledged: list[str] = []
            refused: requests.Response | None = None
            for number in range(0, 100_000, 100):
                batch = predictions(100, START, first=number)
                answered = watch.post("/v1/predictions", batch)
                if answered.status_code != 202:
                    refused = answered
                    break
                acknowledged += [record["event_id"] for record in batch]
            assert refused is not None
            assert refused.status_code == 503
            assert int(refused.headers["Retry-After"]) >= 1
            assert refused.json()["error"].startswith("the store is not available: anchorwatch.db: ")
            assert acknowledged
            eventually(lambda: (watch.value("anchorwatch_store_errors_total") or 0) > 0, "the error on the page")
            assert watch.get("/livez").status_code == 200
            assert watch.value("anchorwatch_ingest_requests_refused_total", kind="predictions", reason="store")
            watch.get("/v1/status").raise_for_status()
            # A reload on a full disk stops no watch.
            assert watch.post("/-/reload").status_code == 200
            ballast.unlink()
            again = predictions(100, START, first=number)
            eventually(lambda: watch.post("/v1/predictions", again).status_code == 202, "records to be taken again")
            acknowledged += [record["event_id"] for record in again]
            assert watch.stop() == 0
        stored = [row["event_id"] for row in export(config)]
        assert stored == sorted(set(stored), key=stored.index)
        assert set(acknowledged) <= set(stored)


def test_a_corrupt_store_is_said_at_the_start_and_left_as_it_is(tmp_path: Path):
    config = write_config(tmp_path, apps=app_of(demand(reference=None)))
    (tmp_path / "data").mkdir()
    rubbish = b"this is no database, it only has its name" * 100
    (tmp_path / "data" / "anchorwatch.db").write_bytes(rubbish)
    ended = command("run", "-c", config)
    assert ended.returncode == 2
    assert ended.stderr == (
        f"anchorwatch: data_dir: expected a store that opens: {tmp_path / 'data/anchorwatch.db'}: file is not a database\n"
    )
    assert (tmp_path / "data" / "anchorwatch.db").read_bytes() == rubbish
    ended = command("check", "-c", config)
    assert ended.returncode == 2
    assert "file is not a database" in ended.stdout


def test_a_store_of_a_newer_anchorwatch_is_left_alone(tmp_path: Path):
    config = write_config(tmp_path, apps=app_of(demand(reference=None)))
    with daemon(config) as watch:
        assert watch.stop() == 0
    with sqlite3.connect(tmp_path / "data" / "anchorwatch.db") as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'schema'")
    ended = command("run", "-c", config)
    assert ended.returncode == 2
    assert "it needs a newer Anchorwatch" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_data_folder_that_cannot_be_written_is_said_at_the_start(tmp_path: Path):
    # A file where a folder is expected refuses root as well.
    (tmp_path / "taken").write_text("")
    config = write_config(tmp_path, data_dir="taken/data", apps=app_of(demand(reference=None)))
    ended = command("run", "-c", config)
    assert ended.returncode == 2
    assert ended.stderr.startswith("anchorwatch: data_dir: expected a store that opens: ")
    assert "Traceback" not in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


# --- rude clients -----------------------------------------------------------------------------------------------------


def test_clients_that_hang_up_in_the_middle_leave_nothing_behind(watch: Daemon):
    host, port = watch.url.removeprefix("http://").split(":")
    head = f"POST /v1/predictions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n"

    def rude() -> None:
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(head.encode() + json.dumps(predictions(1, START)).encode())

    threads = [threading.Thread(target=rude) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    eventually(
        lambda: (
            watch.value("anchorwatch_ingest_requests_refused_total", kind="predictions", reason="disconnected") == 20
        ),
        "all of them to be noticed",
    )
    assert export(watch.config) == []
    assert_well(watch)
    assert "Traceback" not in watch.said()
