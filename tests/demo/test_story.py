"""The story says each thing once, with its event date, in the order it happened."""

from typing import Any

from monitor.demo.story import Story
from monitor.records import instant


def finding(check, statistic, value, *, day, version="v1", feature=None, verdict="ok", threshold=10.0, rows=576):
    window = {"start": "2011-03-01T00:00:00Z", "end": f"2011-{day}T00:00:00Z"}
    row = {"app": "bike-api", "model": "bike-demand", "version": version, "check": check, "statistic": statistic}
    return row | {
        "feature": feature, "segment": None, "value": value, "threshold": threshold, "verdict": verdict, "rows": rows,
        "window": window,
    }  # fmt: skip


class Daemon:
    """Answers as the daemon does, from what it is given."""

    def __init__(self) -> None:
        self.findings: list[dict[str, Any]] = []
        self.ledger: list[dict[str, Any]] = []

    def note(self, day: str, kind: str, **data: Any) -> None:
        entry = {"seq": len(self.ledger) + 1, "at": f"2011-{day}T01:00:00Z", "kind": kind, "data": data}
        self.ledger.append(entry | {"app": "bike-api", "model": "bike-demand"})

    def get(self, path: str) -> Any:
        if path == "/v1/findings":
            return {"findings": self.findings}
        after = int(path.removeprefix("/v1/ledger?after="))
        return {"entries": [entry for entry in self.ledger if entry["seq"] > after]}


def test_a_quiet_daemon_has_no_story():
    assert Story().new_lines(Daemon().get) == []


def test_a_whole_loop_is_told_in_its_order_and_only_once():
    daemon, story = Daemon(), Story()
    daemon.note("04-02", "alert", name="ModelPerformanceDegraded", state="pending", labels={}, summary="not yet")
    daemon.note("04-03", "alert", name="ModelPerformanceDegraded", state="firing", labels={}, summary="mae is worse")
    daemon.note(
        "04-03",
        "retraining",
        id="r1",
        state="requested",
        version="v1",
        evidence=[{"statistic": "mae", "value": 13.28, "threshold": 10.0}],
    )
    daemon.note("04-03", "retraining", id="r1", state="accepted", reason="", version="v1", new_version=None)
    lines = story.new_lines(daemon.get)
    assert [line[:21].strip() for line in lines] == ["2011-04-03  ALERT", "2011-04-03  RETRAIN", "2011-04-03  RETRAIN"]
    assert "mae is worse" in lines[0]
    assert lines[1].endswith("to train v1 anew (mae 13.3, limit 10)")
    assert not story.recovered
    daemon.note("04-04", "retraining", id="r1", state="deployed", reason="", version="v1", new_version="v2")
    daemon.note("04-09", "retraining", id="r1", state="recovered", reason="", version="v1", new_version="v2")
    assert [line[:21].strip() for line in story.new_lines(daemon.get)] == [
        "2011-04-04  DEPLOYED",
        "2011-04-09  RECOVERED",
    ]
    assert story.recovered
    assert story.new_lines(daemon.get) == []


def test_a_refusal_is_named_once_though_it_comes_every_window():
    daemon, story = Daemon(), Story()
    for day in ("04-03", "04-04"):
        daemon.note(day, "retraining", id=day, state="refused", guard="cooldown", reason=f"asked {day}", version="v1")
    assert story.new_lines(daemon.get) == ["2011-04-03  refused    not another retraining of v1 now: cooldown"]


def test_the_error_is_told_once_a_week_beside_the_features_that_drifted_most():
    daemon, story = Daemon(), Story()

    def week(day, error):
        daemon.findings = [
            finding("performance", "mae", error, day=day),
            finding("performance", "rmse", 99.0, day=day),
            finding("performance", "mae", None, day=day, verdict="no_data"),
            *(finding("drift", "psi", n / 10, day=day, feature=f"f{n}", threshold=0.5) for n in range(5)),
        ]
        return story.new_lines(daemon.get)

    (line,) = week("03-08", 3.21)
    assert line.startswith("2011-03-08")
    assert "v1: error  3.2 rides/h (limit 10) on 576 labels; drift (PSI): f4 0.40, f3 0.30" in line
    assert week("03-14", 4.0) == []
    assert len(week("03-15", 4.0)) == 1


def test_a_version_that_another_has_followed_is_no_longer_told_of():
    daemon = Daemon()
    daemon.findings = [finding("performance", "mae", 12.0, day="03-30") | {"superseded": True}]
    assert Story().new_lines(daemon.get) == []


def test_features_that_drift_on_one_day_share_a_line():
    daemon, story = Daemon(), Story()
    for day, feature, state in [
        ("03-10", "temp", "firing"),
        ("03-10", "feels_like", "firing"),
        ("03-09", "x", "resolved"),
    ]:
        daemon.note(day, "alert", name="ModelFeatureDrift", state=state, labels={"feature": feature}, summary="")
    assert story.new_lines(daemon.get) == [
        "2011-03-10  ALERT      temp, feels_like drifted away from the training data"
    ]


def test_a_time_in_seconds_is_a_date_as_well():
    daemon, story = Daemon(), Story()
    daemon.note("04-04", "retraining", state="deployed", new_version="v2")
    daemon.ledger[0]["at"] = instant("2011-04-04T12:00:00Z")
    assert story.new_lines(daemon.get)[0].startswith("2011-04-04  DEPLOYED")
