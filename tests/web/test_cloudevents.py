"""Calls that a serving system logs: two events, in either order, become a prediction once; feedback becomes a label."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks._asking import Answered, Asked, ask_all
from monitor.app.daemon import Daemon
from monitor.store import events
from monitor.store.pending import expire_halves
from monitor.store.quarantine import read_aside
from monitor.store.reading import wire_events
from monitor.web import create_app
from tests.serving_logs.test_cloudevents import KSERVE, SELDON, SELDON_V1, V1, V2
from tests.web.test_doors import built

APPS = [
    {
        "name": "shop",
        "models": [
            {
                "name": "demand",
                "task": "regression",
                "features": {"temp": {"type": "numeric"}, "hum": {"type": "numeric"}},
                "predictions": {"type": "ingest", "service": "bikes"},
            },
            {"name": "risk", "task": "regression"},
        ],
    }
]
AT = 1_795_161_600.0
STRUCTURED, BATCHED = "application/cloudevents+json", "application/cloudevents-batch+json"


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Daemon]:
    made = built(tmp_path, apps=APPS)
    yield made
    made.stop()


def binary(kind: str, side: str, body: Any, call: str = "a-1", **more: str) -> Asked:
    """An event as the loggers send it: its attributes are headers, its payload is the body."""
    sender = kind if kind == KSERVE else f"{SELDON}.inference"
    told = {
        "id": call,
        "requestid": call,
        "type": f"{sender}.{side}",
        "time": "2026-11-20T08:00:00Z",
        "inferenceservicename": "bikes",
    }
    headers = [(f"ce-{name}", value) for name, value in (told | more).items()]
    return Asked("POST", "/v1/cloudevents", json.dumps(body).encode(), [("content-type", "application/json"), *headers])


def structured(side: str, body: Any, call: str, **more: Any) -> dict[str, Any]:
    told = {"specversion": "1.0", "id": call, "source": "x", "type": f"{KSERVE}.{side}", "time": "2026-11-20T08:00:00Z"}
    return {**told, "inferenceservicename": "bikes", "data": body, **more}


def sent(watch: Daemon, *asked: Asked) -> list[Answered]:
    found = ask_all(create_app(watch), asked)
    assert [each.fault for each in found] == [None] * len(found)
    return found


def post(watch: Daemon, said: Any, content: str) -> Answered:
    (found,) = sent(watch, Asked("POST", "/v1/cloudevents", json.dumps(said).encode(), [("content-type", content)]))
    return found


def kept(watch: Daemon, model: str = "demand") -> list[tuple[dict[str, Any], Any]]:
    with watch.store.read() as connection:
        number = events.find_model(connection, "shop", model)
        return [] if number is None else list(wire_events(connection, number))


def halves(watch: Daemon) -> int:
    with watch.store.read() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM halves").scalar_one())


def aside(watch: Daemon) -> list[tuple[str, str, bool]]:
    with watch.store.read() as connection:
        return [(row["kind"], row["reason"], row["whole"]) for row in read_aside(connection)]


TWO_ROWS = [
    {"event_id": "a-1-0", "timestamp": AT, "features": {"temp": 0.3, "hum": 0.5}, "prediction": 212.5},
    {"event_id": "a-1-1", "timestamp": AT, "features": {"temp": 0.1, "hum": 0.9}, "prediction": 100.0},
]


@pytest.mark.parametrize(
    ("kind", "bodies", "version"),
    [
        (KSERVE, V1, "unversioned"),
        (KSERVE, V2, "v7"),
        (SELDON, V1, "unversioned"),
        (SELDON, V2, "v7"),
        (SELDON, SELDON_V1, "unversioned"),
    ],
    ids=["KServe V1", "KServe V2", "Seldon V1", "Seldon V2", "Seldon's own"],
)
@pytest.mark.parametrize("order", [("request", "response"), ("response", "request")], ids="-".join)
def test_a_request_and_its_response_are_joined_in_either_order_once(
    watch: Daemon, kind: str, bodies: Any, version: str, order: tuple[str, str]
) -> None:
    by_side = dict(zip(("request", "response"), bodies, strict=True))
    first, second = (binary(kind, side, by_side[side]) for side in order)
    (answered,) = sent(watch, first)
    assert (answered.status, answered.json()) == (202, {"accepted": 1, "rejected": []})
    assert (kept(watch), halves(watch)) == ([], 1)
    (answered,) = sent(watch, second)
    assert answered.status == 202
    assert [event for event, _ in kept(watch)] == [{**row, "model_version": version} for row in TWO_ROWS]
    assert halves(watch) == 0


def test_what_comes_twice_is_joined_once(watch: Daemon) -> None:
    """A sender that heard no answer sends again, before or after the other half has come."""
    request, response = binary(KSERVE, "request", V1[0]), binary(KSERVE, "response", V1[1])
    for each in (request, request, response, response, request, request, response):
        assert sent(watch, each)[0].status == 202
    assert [event["event_id"] for event, _ in kept(watch)] == ["a-1-0", "a-1-1"]


@pytest.mark.parametrize("together", [1, 40])
def test_halves_of_many_calls_that_come_in_any_order_are_all_joined(watch: Daemon, together: int) -> None:
    calls = [f"call-{number}" for number in range(60)]
    asked = [
        binary(KSERVE, side, {"instances": [[number, 0.5]]} if side == "request" else {"predictions": [number]}, call)
        for number, call in enumerate(calls)
        for side in ("request", "response")
    ]
    random.Random(7).shuffle(asked)
    answers = ask_all(create_app(watch), asked, together=together)
    assert {each.status for each in answers} == {202}
    found = {event["event_id"]: event for event, _ in kept(watch)}
    assert sorted(found) == sorted(calls)
    assert len(kept(watch)) == 60
    # Each response is with its own request.
    assert all(
        found[call]["features"]["temp"] == found[call]["prediction"] == number for number, call in enumerate(calls)
    )
    assert halves(watch) == 0


def test_halves_that_share_an_id_and_nothing_else_stay_apart(watch: Daemon) -> None:
    """A transformer and its predictor log one id; so do two services, and two senders."""
    others = [
        binary(KSERVE, "request", V1[0], component="transformer"),
        binary(KSERVE, "request", V1[0], namespace="other"),
        binary(KSERVE, "request", V1[0], endpoint="canary"),
        binary(KSERVE, "request", V1[0], inferenceservicename="risk"),
        binary(SELDON, "request", V1[0]),
    ]
    sent(watch, *others, binary(KSERVE, "response", V1[1], component="predictor"))
    assert (kept(watch), halves(watch)) == ([], 6)


def test_a_half_survives_a_restart(tmp_path: Path) -> None:
    first = built(tmp_path, apps=APPS)
    sent(first, binary(KSERVE, "request", V2[0]))
    first.stop()
    second = built(tmp_path, apps=APPS)
    sent(second, binary(KSERVE, "response", V2[1]))
    assert [event["event_id"] for event, _ in kept(second)] == ["a-1-0", "a-1-1"]
    second.stop()


def test_a_half_whose_other_one_never_comes_is_let_go(watch: Daemon) -> None:
    sent(
        watch,
        binary(KSERVE, "request", V1[0], "lonely"),
        binary(KSERVE, "request", V1[0], "lucky"),
        binary(KSERVE, "response", V1[1], "lucky"),
    )
    assert halves(watch) == 1
    assert watch.store.write(lambda connection: expire_halves(connection, received_before=0, limit=10)) == 0
    assert watch.store.write(lambda connection: expire_halves(connection, received_before=2e9, limit=10)) == 1
    assert [event["event_id"] for event, _ in kept(watch)] == ["lucky-0", "lucky-1"]


def test_of_a_call_whose_id_came_again_only_the_old_half_is_let_go(watch: Daemon) -> None:
    """Its other side is kept under the same key, and is young."""
    sent(watch, binary(KSERVE, "request", V1[0], "again"))
    watch.store.write(
        lambda c: c.exec_driver_sql("INSERT INTO halves SELECT key, 'response', received + 100, body FROM halves")
    )
    with watch.store.read() as connection:
        middle = connection.exec_driver_sql("SELECT avg(received) FROM halves").scalar_one()
    assert watch.store.write(lambda connection: expire_halves(connection, received_before=middle, limit=10)) == 1
    assert halves(watch) == 1


def test_feedback_becomes_the_labels_of_its_call(watch: Daemon) -> None:
    one = ({"data": {"ndarray": [[0.3, 0.5]]}}, {"data": {"ndarray": [212.5]}, "meta": {"puid": "a-1"}})
    feedback = {"response": {"meta": {"puid": "a-1"}}, "truth": {"data": {"ndarray": [200.0]}}}
    told = binary(KSERVE, "request", feedback, type=f"{SELDON}.feedback", requestid="of the feedback itself")
    sent(watch, binary(SELDON, "request", one[0]), binary(SELDON, "response", one[1]), told, told)
    ((event, label),) = kept(watch)
    assert (event["event_id"], event["prediction"]) == ("a-1", 212.5)
    assert label == {"event_id": "a-1", "label": 200.0, "label_timestamp": AT}


def test_structured_and_batched_events_are_read_as_well(watch: Daemon) -> None:
    assert post(watch, structured("request", V1[0], "a-1"), STRUCTURED).json() == {"accepted": 1, "rejected": []}
    batch = [
        structured("response", V1[1], "a-1"),
        structured("response", V2[1], "a-2"),
        structured("request", V2[0], "a-2"),
    ]
    assert post(watch, batch, BATCHED).json() == {"accepted": 3, "rejected": []}
    assert sorted(event["event_id"] for event, _ in kept(watch)) == ["a-1-0", "a-1-1", "a-2-0", "a-2-1"]


def test_bad_events_of_a_batch_are_told_by_their_place_and_the_good_ones_are_kept(watch: Daemon) -> None:
    batch = [
        structured("request", V1[0], "a-1"),
        structured("request", V1[0], "a-1", type="com.example.other"),
        structured("response", V1[1], "a-1"),
        structured("request", {"nothing": "served"}, "a-2"),
        structured("request", V1[0], "a-3", inferenceservicename="nobodys"),
        7,
    ]
    answered = post(watch, batch, BATCHED)
    assert (answered.status, answered.json()["accepted"]) == (202, 2)
    assert [told["index"] for told in answered.json()["rejected"]] == [1, 3, 4, 5]
    assert [event["event_id"] for event, _ in kept(watch)] == ["a-1-0", "a-1-1"]
    # They are there to be read; a payload is no record that could be sent again as one.
    assert aside(watch) == [
        ("predictions", reason, False) for reason in ("unknown_type", "unknown_body", "unknown_model", "missing_type")
    ]


def test_a_batch_of_nothing_but_bad_events_is_422(watch: Daemon) -> None:
    answered = post(watch, [structured("request", V1[0], "")], BATCHED)
    assert (answered.status, answered.json()["accepted"]) == (422, 0)
    assert halves(watch) == 0


@pytest.mark.parametrize(
    ("content", "body", "status", "reason"),
    [(BATCHED, b"{}", 400, "unknown_body"), (STRUCTURED, b"{", 400, "not_json"), (BATCHED, b"[" + b"{}," * 60_000 + b"{}]", 413, "too_large")],
    ids=["no list", "no JSON", "too many"],
)  # fmt: skip
def test_a_body_that_holds_no_events_is_refused_whole(
    watch: Daemon, content: str, body: bytes, status: int, reason: str
) -> None:
    (answered,) = sent(watch, Asked("POST", "/v1/cloudevents", body, [("content-type", content)]))
    assert answered.status == status
    page, _ = watch.metrics.render(None)
    assert f'kind="cloudevents",reason="{reason}"'.encode() in (page if isinstance(page, bytes) else page.encode())


def test_a_call_that_cannot_be_joined_is_set_aside_once_both_halves_are_there(watch: Daemon) -> None:
    """Each half was good by itself, and was acknowledged."""
    answers = sent(watch, binary(KSERVE, "request", V1[0]), binary(KSERVE, "response", {"predictions": [1, 2, 3]}))
    assert [each.status for each in answers] == [202, 202]
    assert (kept(watch), halves(watch)) == ([], 0)
    assert aside(watch) == [("predictions", "row_counts", False)]
    with watch.store.read() as connection:
        (row,) = read_aside(connection)
    response, request = json.loads(row["record"])
    assert (request["side"], response["side"]) == ("request", "response")
    assert response["payload"]["columns"][0]["values"] == [1, 2, 3]
    assert (row["app"], row["model"]) == ("shop", "demand")


def test_a_kept_half_that_was_damaged_costs_nobody_an_answer(watch: Daemon) -> None:
    sent(watch, binary(KSERVE, "request", V1[0]))
    watch.store.write(lambda connection: connection.exec_driver_sql("UPDATE halves SET body = x'ff'"))
    (answered,) = sent(watch, binary(KSERVE, "response", V1[1]))
    assert answered.status == 202
    assert aside(watch) == [("predictions", "corrupt_half", False)]


def test_a_call_whose_events_tell_no_time_has_that_of_its_receipt(watch: Daemon) -> None:
    sent(watch, *(binary(KSERVE, side, body, time="") for side, body in zip(("request", "response"), V1, strict=True)))
    assert all(abs(event["timestamp"] - watch.clock.now()) < 600 for event, _ in kept(watch))
    assert len(kept(watch)) == 2


def test_a_service_goes_by_its_models_name_where_none_is_configured(watch: Daemon) -> None:
    sent(
        watch,
        *(
            binary(KSERVE, side, body, inferenceservicename="risk")
            for side, body in zip(("request", "response"), V1, strict=True)
        ),
    )
    assert len(kept(watch, "risk")) == 2


@pytest.mark.parametrize("sides", list(itertools.permutations(["request", "response", "feedback"])), ids="-".join)
def test_label_and_halves_come_in_any_order(watch: Daemon, sides: tuple[str, ...]) -> None:
    feedback = {"response": {"meta": {"puid": "a-1"}}, "truth": {"data": {"ndarray": [200.0]}}}
    asked = {
        "request": binary(SELDON, "request", {"data": {"ndarray": [[0.3, 0.5]]}}),
        "response": binary(SELDON, "response", {"data": {"ndarray": [212.5]}}),
        "feedback": binary(SELDON, "feedback", feedback, type=f"{SELDON}.feedback"),
    }
    sent(watch, *(asked[side] for side in sides))
    ((event, label),) = kept(watch)
    assert (event["prediction"], label["label"]) == (212.5, 200.0)
