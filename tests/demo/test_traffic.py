"""The replay leaves nothing out, tells labels when they are due, and is the same at any pace."""

import threading
from datetime import UTC, datetime

from bikes.simulator import DAY, HOUR, City
from bikes.traffic import ReplayClock, Traffic

from tests.servers import answer_json, serving

MARCH = datetime(2011, 3, 1, tzinfo=UTC).timestamp()
CLOCK = ReplayClock(MARCH, 43200.0, 0.0)


def replay(steps, *app_behaviours):
    """What the app was asked and the watch was told, when the replay looks at the clock at these times."""
    taken = answer_json({"accepted": 1, "rejected": []}, status=202)
    with serving(*(app_behaviours or (answer_json({}),))) as app, serving(taken) as watch:
        traffic = Traffic(City(), CLOCK, app.url, watch.url, since=MARCH)
        for now in steps:
            traffic.catch_up(now, threading.Event())
        asked = [row for seen in app.seen if seen.path == "/predict" for row in seen.json()["instances"]]
        booked = [row for seen in app.seen if seen.path == "/rides" for row in seen.json()]
        told = [row for seen in watch.seen for row in seen.json()]
    return asked, booked, told


def test_the_replay_is_the_same_at_any_pace():
    end = MARCH + 4 * DAY + 5 * HOUR
    slow = replay([MARCH + n * 3 * HOUR for n in range(33)] + [end])
    fast = replay([end])
    assert slow[0] == fast[0]
    assert sorted(map(str, slow[2])) == sorted(map(str, fast[2]))


def test_every_hour_is_asked_once_and_labels_come_when_they_are_booked():
    now = MARCH + 3 * DAY
    asked, booked, told = replay([now])
    expected = City().between(MARCH, now + HOUR)
    assert [row["event_id"] for row in asked] == [row.event_id for row in expected]
    due = {row.event_id: row.rides for row in expected if row.booked_at is not None and row.booked_at <= now}
    assert {row["event_id"]: row["label"] for row in told} == due
    assert all(datetime.fromisoformat(row["label_timestamp"]).timestamp() <= now for row in told)
    assert booked == told


def test_hours_the_app_did_not_answer_are_asked_again():
    stop = threading.Event()
    with serving(answer_json({}, status=500), answer_json({})) as app, serving(answer_json({})) as watch:
        Traffic(City(), CLOCK, app.url, watch.url, since=MARCH).catch_up(MARCH + HOUR, stop)
        asked = [seen.json()["instances"] for seen in app.seen]
    assert len(asked) == 2
    assert asked[0] == asked[1]
