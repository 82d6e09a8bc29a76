"""What strangers push: no body may cost a multiple of its size, no text may become endless series, no time may raise."""

from __future__ import annotations

import json
import math
import tracemalloc
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from monitor.app._taken import VersionLabels
from monitor.config import Config
from monitor.config.model import App
from monitor.web import create_app
from monitor.web._outside import read_webhook
from monitor.wire import BadBody, Expected, read_body
from monitor.wire.limits import BODY_BYTES, RECORDS, VALUES
from tests.web.test_doors import built, served

NOBODYS = Expected(Config(apps=(App(name="shop"),)), "labels")


def records_of(body: bytes, *, lines: bool) -> list[bytes]:
    """The records of a body, which are all set aside: nobody expects any."""
    batch = read_body(body, "lines" if lines else "json", "labels", NOBODYS)
    return [rejection.record for rejection in batch.rejections]


# --- bodies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (b"[" + b"," * 1_600_000 + b"]", False),
        (b"[0" + b",0" * 1_600_000 + b"]", False),
        (b"," * 1_600_000, True),
        (b"\n" * 1_600_000, True),
        (b"{}\n" * 1_600_000, True),
    ],
    ids=["commas", "numbers", "commas in a line", "empty lines", "lines"],
)
def test_a_body_of_too_many_values_is_refused_before_it_is_decoded(body: bytes, lines: bool) -> None:
    """Decoded, they would take a hundred times their size: nothing of that is even begun."""
    tracemalloc.start()
    try:
        with pytest.raises(BadBody) as caught:
            records_of(body, lines=lines)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert str(caught.value) == f"expected at most {VALUES} values in a request"
    assert most < len(body) / 10


@pytest.mark.parametrize("lines", [False, True])
def test_so_many_values_and_no_more(lines: bool) -> None:
    fits = b'{"a":"' + b"," * VALUES + b'"}'
    assert [fits.startswith(record) for record in records_of(fits, lines=lines)] == [True]
    with pytest.raises(BadBody, match="values"):
        records_of(fits.replace(b'"}', b',"}'), lines=lines)


@pytest.mark.parametrize("lines", [False, True])
def test_so_many_records_and_no_more(lines: bool) -> None:
    def body(count: int) -> bytes:
        return b"{}\n" * count if lines else b"[" + b",".join([b"{}"] * count) + b"]"

    assert len(records_of(body(RECORDS), lines=lines)) == RECORDS
    with pytest.raises(BadBody, match=f"expected at most {RECORDS} records in a request, got {RECORDS + 1}"):
        records_of(body(RECORDS + 1), lines=lines)


def test_a_body_is_read_up_to_eight_mebibytes(tmp_path: Path) -> None:
    assert BODY_BYTES == 8 * 1024 * 1024
    watch = built(tmp_path)
    headers = {"Content-Type": "application/json"}
    with served(create_app(watch)) as ask:
        # An empty text of that length is no JSON, but it was read; one byte more is not.
        whole = ask("POST", "/v1/predictions", data=b" " * BODY_BYTES, headers=headers)
        assert whole.status_code == 400
        longer = ask("POST", "/v1/predictions", data=b" " * (BODY_BYTES + 1), headers=headers)
        assert longer.status_code == 413
        assert longer.json() == {"error": f"expected a body of at most {BODY_BYTES} bytes"}
    watch.stop()


# --- versions ---------------------------------------------------------------------------------------------------------


def test_beyond_so_many_versions_of_a_model_the_label_is_other() -> None:
    labels, subject = VersionLabels(), ("shop", "demand")
    first = [f"v{place}" for place in range(50)]
    assert [labels.of(subject, name) for name in first] == first
    assert [labels.of(subject, name) for name in ("v50", "v51")] == ["other", "other"]
    # Those that have a label of their own keep it, and another model has its own fifty.
    assert [labels.of(subject, name) for name in first] == first
    assert labels.of(("shop", "churn"), "v50") == "v50"


def test_any_number_of_versions_makes_a_bounded_number_of_series_and_every_prediction_counts(tmp_path: Path) -> None:
    watch = built(tmp_path, apps=[{"name": "shop", "models": [{"name": "demand", "task": "regression"}]}])
    watch.start()
    records = [
        {
            "model": "demand",
            "event_id": str(place),
            "timestamp": "2011-01-01T00:00:00Z",
            "model_version": f"v{place}",
            "features": {"temp": 0.5},
            "prediction": 1.0,
            "latency_seconds": 0.01,
        }
        for place in range(60)
    ]
    with served(create_app(watch)) as ask:
        assert ask("POST", "/v1/predictions", json=records).json()["accepted"] == 60
        page = ask("GET", "/metrics").text
    watch.stop()
    counted: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            counted.setdefault(sample.name, {}).setdefault(sample.labels.get("version", ""), sample.value)
    for name in ("anchorwatch_model_predictions_total", "anchorwatch_model_latency_seconds_count"):
        assert len(counted[name]) == 51, name
        assert (counted[name]["other"], sum(counted[name].values())) == (10.0, 60.0), name


# --- alerts from outside ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("starts_at", "seconds"),
    [
        ("2011-01-01T00:00:00Z", 1_293_840_000.0),
        ("1970-01-01T00:00:00Z", 0.0),
        ("2099-12-31T23:59:59Z", 4_102_444_799.0),
        ("2100-01-01T00:00:00Z", math.nan),
        ("1969-12-31T23:59:59Z", math.nan),
        ("0001-01-01T00:00:00Z", math.nan),  # what Alertmanager sends where there is none
        ("0001-01-01T00:00:00+23:59", math.nan),
        ("9999-12-31T23:59:59-23:59", math.nan),
        ("99999-01-01T00:00:00Z", math.nan),
        ("soon", math.nan),
        ("", math.nan),
        ("1e400", math.nan),
    ],
)
def test_a_start_that_is_none_is_nan_and_never_an_exception(starts_at: str, seconds: float) -> None:
    webhook = {"alerts": [{"status": "firing", "labels": {}, "startsAt": starts_at}]}
    (alert,) = read_webhook(json.dumps(webhook).encode())
    assert alert.started_at == pytest.approx(seconds, abs=0, nan_ok=True)
