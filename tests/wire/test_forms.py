"""Whatever form a body has and however it is packed, the same records are stored; no form stands for more than it may."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from monitor.records import iso
from monitor.store import Store
from monitor.wire import BadBody, Only
from monitor.wire.bodies import ARROW, CONTENT_TYPES, JSON
from monitor.wire.limits import RECORDS, UNPACKED_BYTES, VALUES, TooLarge
from monitor.wire.packed import unpacked
from tests.wire.rows import FORMS, PACKED, as_arrow, as_columns, as_json, exactly, keep, kept, opened, read, stream

pytestmark = pytest.mark.slow

RECORD = {"model": "demand", "event_id": "a", "timestamp": 1.5, "features": {"temp": 1.0}, "prediction": 2.0}


def refused(call: Callable[[], Any], reason: str) -> str:
    """The message of the error that a call must raise, without having taken much memory or time."""
    began = time.monotonic()
    tracemalloc.start()
    try:
        with pytest.raises(BadBody) as caught:
            call()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caught.value.reason == reason, str(caught.value)
    assert isinstance(caught.value, TooLarge) is (reason == "too_large")
    assert most < 4 * UNPACKED_BYTES
    assert time.monotonic() - began < 20  # a stall would be minutes
    return str(caught.value)


# --- the same records -------------------------------------------------------------------------------------------------


def column(held: Any) -> Any:
    return some.lists(held, min_size=3, max_size=3)


TEXTS = some.text(max_size=5).filter(lambda text: "\0" not in text) | some.sampled_from(["été", "🚲", '"', "\\"])
NUMBERS = some.floats(allow_nan=False, allow_infinity=False) | some.integers(-(2**50), 2**50).map(float)
# Of one kind each, as an Arrow array is; a None is missing.
COLUMNS = (
    column(NUMBERS | some.none()),
    column(some.integers(-(2**60), 2**60)),
    column(TEXTS | some.none()),
    column(some.booleans() | some.none()),
    column(some.lists(some.floats(0, 1), min_size=1, max_size=3)),
)
NAMES = TEXTS.filter(lambda name: name != "" and "." not in name)


MORE = {
    "model_version": column(some.sampled_from(["v1", "v2", None])),
    "latency_seconds": column(some.floats(0, 9) | some.none()),
    "app": some.just([None, "shop", "shop"]),
}


@some.composite
def records(draw: Any) -> list[dict[str, Any]]:
    """Three records that all hold the same names."""
    features = draw(some.dictionaries(NAMES, some.one_of(COLUMNS), min_size=1, max_size=4))
    columns: dict[str, Any] = {
        "model": ["demand"] * 3,
        "event_id": draw(column(some.text("abc", min_size=1, max_size=2))),
        "timestamp": draw(column(some.floats(0, 4e9)) | column(some.floats(0, 4e9).map(iso))),
        "prediction": draw(column(NUMBERS) | column(TEXTS) | column(some.booleans())),
        **draw(some.fixed_dictionaries({}, optional=MORE)),
    }
    probability = draw(
        some.none() | column(some.floats(0, 1)) | some.just({"yes": [0.25, 0.5, 1.0], "no": [0.75, 0.5, 0.0]})
    )
    if isinstance(probability, list):
        columns["probability"] = probability
    found = []
    for place in range(3):
        record = {name: held[place] for name, held in columns.items()}
        record["features"] = {name: held[place] for name, held in features.items()}
        if isinstance(probability, dict):
            record["probability"] = {name: held[place] for name, held in probability.items()}
        found.append(record)
    return found


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with opened(tmp_path_factory.mktemp("store")) as made:
        yield made


TURN = count()


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(records(), some.sampled_from(list(PACKED)))
def test_every_form_gives_the_same_rows(store: Store, said: list[dict[str, Any]], packing: str) -> None:
    held = {}
    for name, (form, written) in FORMS.items():
        app = f"shop{next(TURN)}"
        mine = [{**each, "app": app} if each.get("app") else each for each in said]
        body = unpacked(PACKED[packing](written(mine)), packing)
        batch = read(body, form, owners=Only((app, "demand")))
        assert (batch.records, batch.rejected) == (3, []), name
        keep(store, batch)
        held[name] = exactly(kept(store, app))
    assert {name: rows == held["json"] for name, rows in held.items()} == dict.fromkeys(FORMS, True)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(records())
def test_what_a_store_holds_is_the_same_after_another_way_through_the_wire(
    store: Store, said: list[dict[str, Any]]
) -> None:
    first, second = f"shop{next(TURN)}", f"shop{next(TURN)}"
    keep(
        store,
        read(
            as_json([{**each, "app": first} if each.get("app") else each for each in said]),
            owners=Only((first, "demand")),
        ),
    )
    out = [event for event, _ in kept(store, first)]
    assert out
    keep(store, read(as_json(out), owners=Only((second, "demand"))))
    assert exactly(kept(store, second)) == exactly(kept(store, first))


@pytest.mark.parametrize("form", FORMS)
def test_labels_come_in_every_form(store: Store, form: str) -> None:
    app = f"shop{next(TURN)}"
    keep(store, read(as_json([{**RECORD, "event_id": each} for each in "ab"]), owners=Only((app, "demand"))))
    labels = [
        {"event_id": "a", "label": 1.0, "label_timestamp": 2.5},
        {"event_id": "b", "label": 2.0, "label_timestamp": None},
    ]
    name, written = FORMS[form]
    batch = read(written(labels), name, "labels", owners=Only((app, "demand")))
    assert (batch.records, batch.rejected) == (2, [])
    keep(store, batch)
    assert [label for _, label in kept(store, app)] == labels


def test_one_record_needs_no_list() -> None:
    assert read(json.dumps(RECORD).encode()).accepted == 1


def test_columns_hold_lists_where_records_differ_and_the_rest_once() -> None:
    body = {
        **RECORD,
        "event_id": ["a", "b"],
        "features": {"temp": [1.0, 2.0], "season": "winter"},
        "model_version": "v1",
    }
    found = read(json.dumps(body).encode()).events["shop", "demand"]
    assert [(each.event_id, each.features, each.version) for each in found] == [
        ("a", {"temp": 1.0, "season": "winter"}, "v1"),
        ("b", {"temp": 2.0, "season": "winter"}, "v1"),
    ]


def test_columns_of_other_lengths_are_refused_by_name() -> None:
    body = {**RECORD, "event_id": ["a", "b"], "features": {"temp": [1.0]}}
    message = refused(lambda: read(json.dumps(body).encode()), "not_columns")
    assert message == "features.temp: expected 2 values, one for each event_id, got 1"


def test_columns_without_features_are_records_without_them() -> None:
    assert read(json.dumps({**RECORD, "event_id": ["a"], "features": {}}).encode()).accepted == 1
    batch = read(json.dumps({**RECORD, "event_id": ["a"], "features": 1}).encode())
    assert batch.rejected == [{"index": 0, "reason": "expected 'object', got 'int' - at '$.features'"}]


# --- Arrow ------------------------------------------------------------------------------------------------------------


def arrow(table: dict[str, Any], **options: Any) -> bytes:
    return stream(pa.table(table), **options)


def base(**more: Any) -> dict[str, Any]:
    return {
        "event_id": ["a", "b"],
        "timestamp": [1.5, 2.5],
        "features.temp": [1.0, 2.0],
        "prediction": [1.0, 2.0],
        **more,
    }


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin", "No/Where"])
def test_arrow_times_are_instants_whatever_their_unit_and_zone(unit: str, zone: str | None) -> None:
    times = pa.array([1_795_161_600, None], pa.timestamp("s", zone)).cast(pa.timestamp(unit, zone))
    batch = read(arrow(base(timestamp=times)), ARROW)
    assert [each.time for each in batch.events["shop", "demand"]] == [1_795_161_600.0]
    assert [each["index"] for each in batch.rejected] == [1]


def test_arrow_tells_the_model_in_its_metadata_or_the_request_does() -> None:
    table = pa.table(base()).replace_schema_metadata({"model": "demand", "app": "shop"})
    assert read(stream(table), ARROW).accepted == 2
    other = pa.table(base()).replace_schema_metadata({"model": "other"})
    assert [each.reason for each in read(stream(other), ARROW).rejections] == ["unknown_model"] * 2
    assert read(arrow(base()), ARROW, model="demand").accepted == 2
    assert read(arrow(base()), ARROW, model="other").accepted == 0


def test_arrow_categories_vectors_and_missing_values_are_read() -> None:
    more = {
        "features.season": pa.array(["winter", None]).dictionary_encode(),
        "features.vector": pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float32(), 2)),
        "features.temp": pa.array([float("nan"), 1.0]),
        "probability.yes": [0.5, None],
        "unknown": pa.array([b"x", b"y"]),
    }
    found = read(arrow(base(**more)), ARROW).events["shop", "demand"]
    assert [each.features for each in found] == [
        {"season": "winter", "vector": [1.0, 2.0], "temp": None},
        {"season": None, "vector": [3.0, 4.0], "temp": 1.0},
    ]
    assert [each.probability for each in found] == [{"yes": 0.5}, None]


def test_arrow_s_infinities_are_missing_as_the_client_s_are() -> None:
    """JSON has none: they could not be written out again."""
    inf = float("inf")
    more = {
        "features.temp": [inf, -inf],
        "probability": [inf, 0.5],
        "prediction": [1.0, inf],
    }
    found = read(arrow(base(**more)), ARROW)
    (row,) = found.events["shop", "demand"]
    assert (row.features, row.probability) == ({"temp": None}, None)
    assert [(told["index"], each.reason) for told, each in zip(found.rejected, found.rejections, strict=True)] == [
        (1, "wrong_type")
    ]


def test_arrow_may_have_a_null_among_its_categories() -> None:
    held = pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int8()), pa.array(["winter", None]))
    found = read(arrow(base(**{"features.season": held})), ARROW).events["shop", "demand"]
    assert [each.features["season"] for each in found] == ["winter", None]


def test_arrow_in_several_batches_is_one_request() -> None:
    rows = {
        "event_id": [f"e{place}" for place in range(10)],
        "timestamp": [1.0] * 10,
        "features.temp": [1.0] * 10,
        "prediction": [1.0] * 10,
    }
    found = read(arrow(rows, batch_rows=3), ARROW)
    assert [each.event_id for each in found.events["shop", "demand"]] == rows["event_id"]


@pytest.mark.parametrize(
    "held",
    [
        pa.array([1, 2], pa.duration("s")),
        pa.array([b"a", b"b"]),
        pa.array([[("a", 1.0)], []], pa.map_(pa.string(), pa.float64())),
        pa.array([[["a"]], []]),
        pa.array(["a", "b"], pa.string_view()),
        pa.array([b"1" * 16] * 2, pa.uuid()),
    ],
    ids=lambda held: str(held.type),
)
def test_arrow_columns_that_are_no_plain_values_are_refused(held: Any) -> None:
    assert "got one of" in refused(lambda: read(arrow(base(**{"features.x": held})), ARROW), "not_arrow")


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_arrow_that_is_packed_inside_is_refused_before_it_is_unpacked(compression: str) -> None:
    """A few hundred bytes may stand for gigabytes there; the request itself may be packed, within its limits."""
    names = pa.array(["a" * 1_000_000] * 30)
    for held in (names, names.dictionary_encode()):
        body = stream(pa.table({"event_id": held}), compression=compression)
        assert "not compressed inside" in refused(lambda body=body: read(body, ARROW), "not_arrow")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"event_id": pa.nulls(10_000_000)}, f"at most {RECORDS} records"),
        ({f"features.{each}": pa.array([True] * RECORDS) for each in range(31)}, f"at most {VALUES} values"),
        ({"features.x": pa.array([[1] * 2_000_000], pa.list_(pa.int8()))}, f"at most {VALUES} values"),
        (
            {"event_id": pa.DictionaryArray.from_arrays(pa.array([0] * RECORDS, pa.int8()), ["x" * 100_000])},
            f"at most {UNPACKED_BYTES} bytes",
        ),
    ],
    ids=["rows of nothing", "flags", "a long vector", "one long text for all"],
)
def test_arrow_that_stands_for_more_than_may_be_is_refused_before_it_is_written_out(
    table: dict[str, Any], message: str
) -> None:
    body = arrow(table)
    assert message in refused(lambda: read(body, ARROW), "too_large")


def test_arrow_that_is_cut_or_changed_anywhere_is_read_or_refused() -> None:
    """Validated before it is looked at: offsets that point anywhere would read the memory of others."""
    body = arrow(
        base(**{"features.season": pa.array(["winter", "x"]).dictionary_encode(), "features.text": ["a", "b"]})
    )
    for place in range(len(body)):
        for damaged in (
            body[:place],
            body[:place] + b"\xff" + body[place + 1 :],
            body[:place] + b"\x7f" + body[place + 1 :],
        ):
            with suppress(BadBody):
                read(damaged, ARROW, model="demand")


# --- what is packed ---------------------------------------------------------------------------------------------------

PACKINGS = ("gzip", "zstd")


@pytest.mark.parametrize("packing", PACKINGS)
def test_several_packed_members_are_one_body(packing: str) -> None:
    pack = PACKED[packing]
    assert unpacked(pack(b"[1,") + pack(b"") + pack(b"2]"), packing) == b"[1,2]"


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_packed_body_that_is_cut_anywhere_is_refused(packing: str) -> None:
    """Its beginning may be good records: nothing of them is kept, and nobody is told that all were."""
    body = PACKED[packing](b'{"event_id": 1}\n' * 300)
    for end in range(1, len(body)):
        with pytest.raises(BadBody, match="got only its beginning"):
            unpacked(body[:end], packing)


@pytest.mark.parametrize("packing", PACKINGS)
def test_what_is_not_packed_as_it_says_is_refused(packing: str) -> None:
    other = PACKED["zstd" if packing == "gzip" else "gzip"](b"[]")
    for body in (b"[]", other, PACKED[packing](b"[]") + b"[]", b"\0"):
        with pytest.raises(BadBody) as caught:
            unpacked(body, packing)
        assert caught.value.reason == "content_encoding"


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, zstd", "x" * 100])
def test_another_encoding_is_refused_by_name(encoding: str) -> None:
    message = refused(lambda: unpacked(b"[]", encoding), "content_encoding")
    assert encoding[:40] in message
    assert len(message) < 150


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_packed_body_is_unpacked_up_to_its_limit_and_no_further(packing: str) -> None:
    pack = PACKED[packing]
    assert len(unpacked(pack(b" " * UNPACKED_BYTES), packing)) == UNPACKED_BYTES
    for size in (UNPACKED_BYTES + 1, 20 * UNPACKED_BYTES):
        body = pack(b" " * size)
        assert str(UNPACKED_BYTES) in refused(lambda body=body: unpacked(body, packing), "too_large")


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_body_of_nothing_but_empty_members_stalls_nobody(packing: str) -> None:
    member = PACKED[packing](b"")
    began = time.process_time()
    assert unpacked(member * (2 * 1024 * 1024 // len(member)), packing) == b""
    assert time.process_time() - began < 5


# --- what stands for much ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"event_id": ["a"] * 10_000, "features": {str(each): 1 for each in range(200)}}, f"at most {VALUES} values"),
        ({"event_id": ["a"] * 10_000, "model": "x" * 10_000}, f"at most {UNPACKED_BYTES} bytes"),
        ({"event_id": ["a"] * 10_000, "features": {"a": "x" * 10_000}}, f"at most {UNPACKED_BYTES} bytes"),
        ({"event_id": ["a"] * (RECORDS + 1)}, f"at most {RECORDS} records"),
    ],
    ids=["features said once", "a long name", "a long text", "ids"],
)
def test_columns_that_say_once_what_they_mean_of_all_are_limited(body: dict[str, Any], message: str) -> None:
    whole = json.dumps({"timestamp": 1, "prediction": 1, **body}).encode()
    assert message in refused(lambda: read(whole, JSON), "too_large")


def test_what_is_kept_of_rejected_records_is_bounded() -> None:
    """In columns a long name is there once, and in every record that is rejected."""
    names = {f"{place}{'x' * 5000}": [None] * 1500 for place in range(900)}
    body = json.dumps({**RECORD, "event_id": ["a"] * 1500, "features": names}).encode()
    began = time.process_time()
    batch = read(body)
    assert time.process_time() - began < 5
    assert [each.reason for each in batch.rejections] == ["bad_features"] * 1500
    assert len(batch.rejected) == 1500
    assert sum(len(each.record) for each in batch.rejections) <= 16 * 1024 * 1024
    assert not any(each.whole for each in batch.rejections)


def test_every_content_type_has_a_form() -> None:
    assert {form for form, _ in FORMS.values()} == set(CONTENT_TYPES.values())
    assert as_arrow([RECORD]) != as_columns([RECORD])
