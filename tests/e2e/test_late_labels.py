"""Labels that come late, in a real daemon: an hour that looked well is revised, alerts, and is followed by ones that are well."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.records import instant
from tests.e2e.daemon import daemon, demand, eventually, labels_of, predictions, write_config, write_reference

RATE = 900  # an hour takes four seconds
START = "2026-01-05T00:59:00Z"
CHECKS = {"performance": {"metrics": ["mae"], "thresholds": {"mae": 5.0}, "min_labels": 10}}


@pytest.mark.slow
def test_late_labels_revise_a_window_and_open_and_close_an_alert(tmp_path: Path) -> None:
    write_reference(tmp_path / "reference.parquet")
    model = demand(labels={"type": "ingest", "mature": "6h"}, checks=CHECKS)
    config = write_config(tmp_path, apps=[{"name": "shop", "models": [model]}])
    with daemon(config, "--clock-start", START, "--clock-rate", str(RATE)) as watch:
        records = {hour: predictions(60, f"2026-01-05T{hour:02}:00:00Z", first=100 * hour) for hour in range(10)}
        for hour, sent in records.items():
            watch.push("predictions", sent)
            kept = sent[:30] if hour == 1 else sent
            stamped = [
                {**label, "label_timestamp": each["timestamp"]}
                for label, each in zip(labels_of(kept), kept, strict=True)
            ]
            watch.push("labels", stamped)

        def verdicts() -> list[tuple[str, int, bool]]:
            window = "2026-01-05T01:00:00Z"
            found = watch.json("/v1/verdicts?check=performance")["verdicts"]
            return [
                (each["verdict"], each["rows"], each["provisional"])
                for each in found
                if each["window"]["start"] == window and each["version"] is not None
            ]

        eventually(lambda: watch.json("/v1/status")["now"] > "2026-01-05T04:30", "the first two looks")
        assert verdicts() == [("ok", 30, True)], "the second look has found nothing new, and says nothing new"
        watch.push("labels", labels_of(records[1][30:], error=40.0))
        eventually(lambda: len(verdicts()) > 1, "the last look at that hour")
        assert verdicts() == [("ok", 30, True), ("breached", 60, False)]

        def steps() -> list[tuple[str, str]]:
            data = [entry["data"] | {"at": entry["at"]} for entry in watch.ledger("alert")]
            return [(each["state"], each["at"]) for each in data if each["name"] == "ModelPerformanceDegraded"]

        eventually(lambda: len(steps()) == 2, "the alert to come and go")
        (opened, began), (closed, ended) = steps()
        assert (opened, closed) == ("firing", "resolved")
        assert instant("2026-01-05T08:00:00Z") <= instant(began) < instant("2026-01-05T09:00:00Z")
        assert instant("2026-01-05T09:00:00Z") <= instant(ended) < instant("2026-01-05T10:30:00Z")


@pytest.mark.slow
def test_a_silence_is_seen_long_before_the_next_window_is_due(tmp_path: Path) -> None:
    """Windows of a day, a silence of an hour: at half past three, nobody has been asked since two."""
    write_reference(tmp_path / "reference.parquet")
    model = demand(windows={"size": "1d", "lateness": "0s"}, checks={"volume": {"silence": "1h"}})
    config = write_config(tmp_path, apps=[{"name": "shop", "models": [model]}])
    with daemon(config, "--clock-start", "2026-01-05T01:30:00Z", "--clock-rate", str(RATE)) as watch:
        watch.push("predictions", predictions(180, "2026-01-05T01:30:00Z"))

        def silence() -> list[str]:
            entries = watch.ledger("alert")
            return [each["at"] for each in entries if each["data"]["labels"].get("statistic") == "staleness"]

        eventually(silence, "the silence to be told of")
        assert instant("2026-01-05T03:00:00Z") <= instant(silence()[0]) < instant("2026-01-05T03:40:00Z")
        assert watch.value("anchorwatch_model_staleness_seconds", model="demand") > 3600
