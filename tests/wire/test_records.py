"""One record at a time: what is wrong with one is told by its place and its reason, and spoils no other."""

from __future__ import annotations

import json
import tempfile
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from monitor.config import Config, load
from monitor.store.quarantine import RECORD_BYTES
from monitor.wire import BadBody, Expected, Kind, decode
from monitor.wire.bodies import JSON, LINES
from monitor.wire.limits import RECORDS
from tests.wire.rows import NOW, as_json, as_lines, keep, kept, opened, read

GOOD = {
    "model": "demand",
    "event_id": "a",
    "timestamp": "2026-11-20T08:00:00Z",
    "features": {"temp": 1.0},
    "prediction": 2.0,
}
LABEL = {"model": "demand", "event_id": "a", "label": 1.0}
LONG = "x" * 257
WHOLE = "1 to 256 characters"
TIME = "expected an ISO 8601 time or Unix seconds"

WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "no id": ({"event_id": None}, "wrong_type", "at '$.event_id'"),
    "an empty id": ({"event_id": ""}, "bad_id", f"event_id: expected {WHOLE}, got 0"),
    "a long id": ({"event_id": LONG}, "bad_id", f"event_id: expected {WHOLE}, got 257"),
    "a NUL in an id": ({"event_id": "a\0"}, "bad_id", f"event_id: expected {WHOLE}"),
    "an id of 300 digits": ({"event_id": 10**300}, "bad_id", f"event_id: expected {WHOLE}, got 301"),
    "a flag for an id": ({"event_id": True}, "wrong_type", "at '$.event_id'"),
    "no time": ({"timestamp": "soon"}, "bad_time", f"timestamp: {TIME}, got 'soon'"),
    "milliseconds": ({"timestamp": 1_795_161_600_000}, "bad_time", f"timestamp: {TIME}"),
    "a time before 1970": ({"timestamp": -1}, "bad_time", f"timestamp: {TIME}, got '-1'"),
    "a year that no calendar has": ({"timestamp": "0001-01-01T00:00:00+23:59"}, "bad_time", f"timestamp: {TIME}"),
    "a time of 400 digits": ({"timestamp": 10**300}, "bad_time", f"timestamp: {TIME}, got '1{'0' * 56}...'"),
    "a list for features": ({"features": [1]}, "wrong_type", "at '$.features'"),
    "an object for a feature": ({"features": {"a": {}}}, "wrong_type", "at '$.features[...]'"),
    "a list of texts for a feature": ({"features": {"a": ["b"]}}, "wrong_type", "at '$.features[...][0]'"),
    "too many features": ({"features": {str(at): 0 for at in range(1000)}}, "bad_features", "less than 1000 names"),
    "a long name": ({"features": {LONG: 0}}, "bad_features", "at most 256 characters"),
    "a NUL in a name": ({"features": {"a\0": 0}}, "bad_features", "features"),
    "too many classes": ({"probability": {str(at): 0 for at in range(1000)}}, "bad_features", "with those of classes"),
    "a NUL in a class": ({"probability": {"a\0": 0.5}}, "bad_features", "with those of classes"),
    "a null for a class": ({"probability": {"a": None}}, "wrong_type", "at '$.probability[...]'"),
    "no prediction": ({"prediction": None}, "wrong_type", "at '$.prediction'"),
    "an empty version": ({"model_version": ""}, "bad_version", f"model_version: expected {WHOLE}, got 0"),
    "a long version": ({"model_version": LONG}, "bad_version", f"model_version: expected {WHOLE}, got 257"),
    "text for a latency": ({"latency_seconds": "fast"}, "wrong_type", "at '$.latency_seconds'"),
    "an endless latency": ({"latency_seconds": 1e308}, "bad_latency", "latency_seconds: expected seconds, got 1e+308"),
    "an unknown model": ({"model": "other"}, "unknown_model", "model: expected one that is pushed here (demand, risk), got 'other'"),
    "a model of two apps": ({"model": "risk"}, "app_needed", "app: expected one of shop, bank, got nothing"),
    "an unknown app": ({"app": "mall"}, "unknown_app", "app: expected one of shop, got 'mall'"),
}  # fmt: skip
WRONG_LABELS: dict[str, tuple[dict[str, Any], str, str]] = {
    "no label": ({"label": None}, "wrong_type", "at '$.label'"),
    "a bad time": ({"label_timestamp": "soon"}, "bad_time", f"label_timestamp: {TIME}, got 'soon'"),
    "an empty id": ({"event_id": ""}, "bad_id", f"event_id: expected {WHOLE}, got 0"),
}


@cache
def configured(*apps: tuple[str, tuple[str, ...]]) -> Config:
    """The apps with their models, all of them pushed."""
    said = [{"name": app, "models": [{"name": name, "task": "regression"} for name in models]} for app, models in apps]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "anchorwatch.yml"
        path.write_text(json.dumps({"apps": said}), encoding="utf-8")
        return load(path).config


def expected(kind: Kind) -> Expected:
    return Expected(configured(("shop", ("demand", "risk")), ("bank", ("risk",))), kind)


CASES = [("predictions", *case) for case in WRONG.values()] + [("labels", *case) for case in WRONG_LABELS.values()]


@pytest.mark.parametrize(
    ("kind", "change", "reason", "message"), CASES, ids=[*WRONG, *(f"label: {name}" for name in WRONG_LABELS)]
)
@pytest.mark.parametrize("lines", [False, True])
def test_a_bad_record_is_told_by_its_place_and_the_good_ones_are_kept(
    kind: Kind, change: dict[str, Any], reason: str, message: str, lines: bool
) -> None:
    good = GOOD if kind == "predictions" else LABEL
    said = [{**good, "event_id": "a"}, good | change, {**good, "event_id": "c"}]
    batch = read(as_lines(said) if lines else as_json(said), LINES if lines else JSON, kind, owners=expected(kind))
    assert (batch.records, batch.accepted) == (3, 2)
    (told,), (rejection,) = batch.rejected, batch.rejections
    assert told["index"] == 1
    assert message in told["reason"]
    assert not told["reason"].endswith(".")
    assert len(told["reason"]) < 500
    assert (rejection.kind, rejection.reason, rejection.message) == (kind, reason, told["reason"])
    held = batch.events or batch.labels
    assert [each.event_id for each in held["shop", "demand"]] == ["a", "c"]


@pytest.mark.parametrize("kind", ["predictions", "labels"])
@pytest.mark.parametrize("missing", ["model", "event_id", "timestamp", "features", "prediction", "label"])
def test_a_record_that_lacks_something_is_told_what(kind: Kind, missing: str) -> None:
    good = GOOD if kind == "predictions" else LABEL
    if missing in good:
        batch = read(
            as_json([{name: held for name, held in good.items() if name != missing}]), kind=kind, owners=expected(kind)
        )
        assert missing in batch.rejected[0]["reason"]


def test_a_line_that_is_no_json_is_told_by_its_place() -> None:
    body = b'\n{"event_id": \n' + json.dumps(GOOD).encode() + b"\r\n  \n[1]\n\xff\xfe\n" + b"[" * 100_000
    batch = read(body, LINES)
    assert (batch.records, batch.accepted) == (5, 1)
    assert [(told["index"], each.reason) for told, each in zip(batch.rejected, batch.rejections, strict=True)] == [
        (0, "not_json"), (2, "wrong_type"), (3, "not_json"), (4, "wrong_type"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "body", [b"", b" ", b"nothing", b"[", b"[1,]", b'{"a": }', b"1", b'"a"', b"null", b"[" * 100_000, b"\xff"]
)
def test_a_body_that_is_no_json_is_refused_whole(body: bytes) -> None:
    with pytest.raises(BadBody) as caught:
        read(body)
    assert caught.value.reason == "not_json"
    assert str(caught.value).startswith("expected JSON, one record or a list of records: ")


@pytest.mark.parametrize(
    "bad",
    [
        b'"\\ud83d"',
        b'"\\udc00"',
        b"[" * 5000 + b"]" * 5000,
        b'"\xff"',
        b"NaN",
        b'"\x01"',
        b'{"a]\\"}": "\\ud83d["}',
    ],
    ids=["half a character", "the other half", "nested too deep", "no UTF-8", "NaN", "a control character", "brackets"],
)
@pytest.mark.parametrize("form", [JSON, LINES])
def test_a_record_that_cannot_be_decoded_spoils_no_other_of_its_list(form: str, bad: bytes) -> None:
    good = [json.dumps(GOOD | {"event_id": each}).encode() for each in ("first", 'last, [or] \\ "not"')]
    other = b'{"event_id": "b", "timestamp": 1, "prediction": 1, "features": {"x": ' + bad + b"}}"
    records = (good[0], other, good[1])
    batch = read(b" [" + b" , ".join(records) + b"]\n" if form == JSON else b"\n".join(records), form)
    assert [told["index"] for told in batch.rejected] == [1]
    assert [each.event_id for rows in batch.events.values() for each in rows] == ["first", 'last, [or] \\ "not"']


@pytest.mark.parametrize(
    "body", [b'["' + b'\\"' * 2_000_000, b'[{"a": "\\ud83d"}, {', b'[{"a": "\\ud83d"}], []', b'[{"a": "\\ud83d"},, 1]']
)
def test_what_is_no_whole_list_is_refused_at_once(body: bytes) -> None:
    began = time.monotonic()
    with pytest.raises(BadBody):
        read(body)
    assert time.monotonic() - began < 3


def test_a_list_of_nothing_is_a_request_of_no_records() -> None:
    assert (read(b"[]").records, read(b"\n \n", LINES).records) == (0, 0)


def test_a_record_is_kept_aside_as_it_came_and_a_long_one_cut() -> None:
    short, long = b'{"event_id": 1}', b'{"event_id": "' + b"x" * RECORD_BYTES + b'"}'
    first, second = decode([short, long], "predictions", expected("predictions")).rejections
    assert (first.record, first.whole) == (short, True)
    assert (second.record, second.whole) == (long[:RECORD_BYTES], False)


def test_so_many_names_fit_and_no_more() -> None:
    fits = {"features": {str(at): 0 for at in range(500)}, "probability": {str(at): 0 for at in range(499)}}
    assert read(as_json([GOOD | fits])).accepted == 1
    assert read(as_json([GOOD | fits | {"probability": {str(at): 0 for at in range(500)}}])).accepted == 0


def test_a_batch_of_as_many_records_as_may_be_is_read() -> None:
    assert read(b"[" + b",".join([json.dumps(LABEL).encode()] * RECORDS) + b"]", kind="labels").accepted == RECORDS


def test_a_message_names_a_few_of_many_models() -> None:
    models = tuple(f"model-{place}" for place in range(1000))
    owners = Expected(configured(("shop", models)), "predictions")
    (told,) = read(as_json([GOOD]), owners=owners).rejected
    assert told["reason"].startswith("model: expected one that is pushed here (model-0, model-1, ")
    assert len(told["reason"]) < 400


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-20T08:00:00Z", NOW),
        ("2026-11-20T08:00:00", NOW),
        ("2026-11-20T13:30:00+05:30", NOW),
        ("2026-11-20 08:00:00.25Z", NOW + 0.25),
        ("2026-11-20t08:00:00z", NOW),
        ("2026-11-20", NOW - 8 * 3600),
        ("1970-01-01T00:00:00Z", 0.0),
        ("1970-01-01T00:00:00+00:01", None),
        ("2099-12-31T23:59:59Z", 4_102_444_799.0),
        ("2100-01-01T00:00:00Z", None),
        ("2026-02-30", None),
        ("1e9", None),
    ],
)
def test_times_are_iso_8601_in_utc_or_with_an_offset(text: str, seconds: float | None) -> None:
    batch = read(as_json([GOOD | {"timestamp": text}]))
    assert [each.time for each in batch.events.get(("shop", "demand"), [])] == ([] if seconds is None else [seconds])


@given(some.integers(-(10**300), 10**300) | some.text(max_size=300))
def test_any_id_is_taken_as_it_is_or_told_to_be_none(event_id: int | str) -> None:
    batch = read(as_json([GOOD | {"event_id": event_id}]))
    text = str(event_id)
    good = 0 < len(text) <= 256 and "\0" not in text
    assert [each.event_id for each in batch.events.get(("shop", "demand"), [])] == ([text] if good else [])
    assert [each.reason for each in batch.rejections] == ([] if good else ["bad_id"])


JSON_VALUES = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=3),
    lambda inner: (
        some.lists(inner, max_size=3)
        | some.dictionaries(some.sampled_from([*GOOD, *LABEL, "app"]) | some.text(max_size=2), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(some.lists(JSON_VALUES, max_size=3) | JSON_VALUES, some.sampled_from(["predictions", "labels"]), some.booleans())
def test_any_json_is_read_or_refused_and_every_record_is_one_or_the_other(value: Any, kind: Kind, lines: bool) -> None:
    batch = None
    with suppress(BadBody):
        batch = read(json.dumps(value).encode(), LINES if lines else JSON, kind, owners=expected(kind))
    if batch is None:
        return
    held = batch.events if kind == "predictions" else batch.labels
    assert sum(map(len, held.values())) == batch.accepted
    assert len(batch.rejected) == len(batch.rejections) == batch.records - batch.accepted
    assert [told["index"] for told in batch.rejected] == sorted({told["index"] for told in batch.rejected})


def test_what_is_stored_comes_back_as_it_was_sent(tmp_path: Path) -> None:
    """Whole numbers beyond a float, text that databases do not like, nothing and null, vectors: none becomes another."""
    features = {
        "huge": 2**63 + 1, "beyond": 2**53 + 1, "one": 1.0, "tiny": 5e-324, "text": "été \0 🚲", "empty": "", "null": None, "yes": True,
        "vector": [1.0, 2.5], "none": [], 'quo"te': 1.0, "": 2.0,
    }  # fmt: skip
    said = [
        {**GOOD, "timestamp": NOW + 0.25, "model_version": "v1", "features": features, "latency_seconds": 0.5},
        {
            **GOOD,
            "timestamp": NOW,
            "model_version": "1",
            "event_id": "b",
            "features": {},
            "prediction": "a",
            "probability": {"a": 0.5},
        },
        {**GOOD, "timestamp": 0.0, "model_version": "v1", "event_id": "c", "prediction": False, "probability": 0.5},
    ]
    with opened(tmp_path) as store:
        keep(store, read(as_json(said)))
        assert [event for event, _ in kept(store)] == [
            {key: held for key, held in each.items() if key != "model"} for each in said
        ]
