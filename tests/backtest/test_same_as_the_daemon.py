"""The same findings, alerts and decisions as those of a real daemon, and as those of looks at single days."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from monitor.backtest import backtest
from monitor.cli.judging import judge_once
from monitor.config import load
from monitor.records import instant
from tests.backtest.histories import retraining
from tests.e2e.daemon import daemon, demand, eventually, labels_of, predictions, write_config, write_reference
from tests.e2e.test_real_data import BIKES, ELEC2, DataSet, configured

DAY = 86400.0
START = "2026-01-04T22:00:00Z"  # the clock stands two hours before the first event, time enough to push them all
RATE = 900  # an hour of events is judged every four seconds: the first one needs the reference, read in children
ERRORS = (1, 9, 9, 1, 9, 9, 9, 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data_set", "first"), [(ELEC2, "1997-10-01T00:00:00Z"), (BIKES, "2011-03-20T00:00:00Z")], ids=["elec2", "bikes"]
)
def test_findings_are_those_of_a_look_at_that_time(
    data_set: DataSet, first: str, shared_data: Path, tmp_path: Path
) -> None:
    """`check --at` of each day reads the files anew; the labels here have always been there, as they are for it."""
    windows = {"size": "7d", "every": "1d", "lateness": "1h"}
    model = data_set.model(shared_data, windows=windows, columns={"label_timestamp": "nowhere"})
    model["labels"]["mature"] = "0s"
    loaded = load(configured(tmp_path, model))
    start = instant(first) + 3600
    outcome = backtest(loaded, start=start, end=start + 3 * DAY)
    assert outcome.windows == 4
    expected = [
        finding.as_json()
        for day in range(4)
        for result in judge_once(loaded, now=start + day * DAY)
        for finding in result.findings
    ]
    found = [finding.as_json() for finding in outcome.findings]
    assert len(found) == len(expected) > 40
    for one, other in zip(found, expected, strict=True):
        numbers = [name for name, value in one.items() if isinstance(value, float)]
        assert {name: one[name] for name in one if name not in numbers} == {
            name: other[name] for name in other if name not in numbers
        }
        # Sums of buckets and sums of rows differ by rounding.
        assert [one[name] for name in numbers] == pytest.approx([other[name] for name in numbers], rel=1e-9, abs=1e-12)


def steps(entries: list[dict[str, Any]]) -> Iterator[tuple[Any, ...]]:
    """What the ledger says of alerts and retrainings, without what depends on a trigger that is really asked."""
    for entry in entries:
        data = entry["data"]
        if entry["kind"] == "alert" and data["state"] != "pending":
            yield data["name"], data["state"], tuple(sorted(data["labels"].items())), entry["at"]
        elif entry["kind"] == "retraining" and data["state"] in ("requested", "refused"):
            yield data["state"], data["guard"], "", entry["at"]


@pytest.mark.slow
def test_alerts_and_decisions_are_those_of_a_daemon_that_was_running(tmp_path: Path) -> None:
    """Eight hours of pushed predictions under a daemon whose clock runs fast, and then a backtest of its store."""
    write_reference(tmp_path / "reference.parquet")
    asks = retraining(guards={"cooldown": "150m"}, follow={"timeout": "20d"})
    model = demand(retraining=asks, labels={"type": "ingest", "mature": "0s"})
    config = write_config(tmp_path, apps=[{"name": "shop", "models": [model]}], store={"ephemeral": True})
    with daemon(config, "--clock-start", START, "--clock-rate", str(RATE)) as watch:
        for hour, error in enumerate(ERRORS):
            records = predictions(60, f"2026-01-05T{hour:02}:00:00Z", first=100 * hour)
            watch.push("predictions", records)
            labels = [
                {**label, "label_timestamp": record["timestamp"]}
                for label, record in zip(labels_of(records, error=error), records, strict=True)
            ]
            watch.push("labels", labels)
        eventually(lambda: watch.json("/v1/status")["now"] > "2026-01-05T08:30", "eight hours to pass", 90)
        judged = {f["statistic"]: f for f in watch.json("/v1/findings")["findings"] if f["check"] == "performance"}
        ledger = list(steps(watch.ledger()))
        watch.stop()
    assert judged
    outcome = backtest(load(config), start=instant(START), end=instant("2026-01-05T08:00:00Z"))
    replayed: list[tuple[Any, ...]] = []
    for alert in outcome.alerts:
        labels = tuple(sorted(alert.labels.items()))
        replayed.append((alert.name, "firing", labels, alert.started_at))
        if alert.resolved_at is not None:
            replayed.append((alert.name, "resolved", labels, alert.resolved_at))
    for each in outcome.retrainings:
        if each["decision"] in ("requested", "refused"):
            replayed.append((each["decision"], each["guard"] or "", "", instant(each["at"])))
    happened = [
        (*step[:-1], instant(step[-1])) for step in ledger if instant(step[-1]) < instant("2026-01-05T08:20:00Z")
    ]
    assert sorted(step[:-1] for step in happened) == sorted(step[:-1] for step in replayed)
    for one, other in zip(sorted(happened, key=str), sorted(replayed, key=str), strict=True):
        # The daemon needs its moment, which its fast clock makes minutes (most when it reads the reference, in children of its
        # own); and it looks at what only time changes once a second.
        moment = 58 * 60 + (RATE if one[0].endswith("NoData") else 0)
        assert 0 <= one[-1] - other[-1] < moment, (one, other)
    assert [step[0] for step in replayed].count("ModelPerformanceDegraded") == 4
