"""A model's own decoder takes nothing but what reading record by record would have stored, and stores the same of it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as some

from monitor.store import Store
from monitor.store.events import _row, values_of
from monitor.store.layout import PREDICTION, PROBABILITY, Field, Key, Kind, Layout, Of
from monitor.wire import Only
from monitor.wire.bodies import JSON, LINES, read_typed
from monitor.wire.typed import TypedDecoder, Unfit, first_model
from tests.wire.rows import as_json, as_lines, decoder, exactly, keep, kept, opened, read

pytestmark = pytest.mark.slow
MANY = settings(deadline=None, suppress_health_check=list(HealthCheck))


def layout(*columns: tuple[Key, Kind]) -> Layout:
    return Layout(1, [Field(place, place, key, kind) for place, (key, kind) in enumerate(columns)])


def feature(name: str) -> Key:
    return Of.FEATURE, name


FEATURES = (
    (feature("temp"), Kind.NUMBER),
    (feature("season"), Kind.TEXT),
    (feature("holiday"), Kind.FLAG),
    (feature("é"), Kind.NUMBER),
)
CLASSES = (((Of.CLASS_PROBABILITY, "yes"), Kind.NUMBER), ((Of.CLASS_PROBABILITY, "no"), Kind.NUMBER))
LAYOUTS = {
    "a number": layout(*FEATURES, (PREDICTION, Kind.NUMBER)),
    "a class and its probability": layout((PREDICTION, Kind.TEXT), *FEATURES, (PROBABILITY, Kind.NUMBER)),
    "probabilities by class": layout(*FEATURES, *CLASSES, (PREDICTION, Kind.TEXT)),
    "a flag": layout((PREDICTION, Kind.FLAG), *FEATURES),
}
PREDICTIONS = {
    Kind.NUMBER: some.integers(0, 9) | some.floats(0, 9),
    Kind.TEXT: some.sampled_from(["yes", "no"]),
    Kind.FLAG: some.booleans(),
}

# What a record of such a model usually holds; an odd value is put somewhere into most batches.
VALUES = {
    "temp": some.floats(-40, 40) | some.integers(-40, 40) | some.none(),
    "season": some.sampled_from(["winter", "été", "a\\b", '"']) | some.none(),
    "holiday": some.booleans() | some.none(),
    "é": some.floats(allow_nan=False, allow_infinity=False, width=32),
}
NUMBERS = (
    some.floats(allow_nan=False, allow_infinity=False)
    | some.integers(-(2**70), 2**70)
    | some.sampled_from([0.1, 1e300, -0.0, 2**53 - 1, 2**53, 2**53 + 1, -(2**53) - 1, 2**63, 2**64, 10**25])
)
TEXTS = some.text(max_size=4) | some.sampled_from(["", "a\0b", "🚲", "\\u0000", "1", "null", "\x7f", "x" * 257])
CLASSED = some.dictionaries(
    some.sampled_from(["yes", "no", "maybe"]), some.floats(0, 1) | some.integers(0, 2**60) | some.none(), max_size=3
)
ANY = NUMBERS | TEXTS | some.booleans() | some.none() | some.lists(some.floats(0, 1), max_size=2) | CLASSED
TIMES = (
    some.integers(0, 4_102_444_799)
    | some.floats(0, 4e9)
    | some.datetimes().map(lambda each: each.isoformat())
    | some.datetimes(timezones=some.timezones()).map(lambda each: each.isoformat())
    | some.sampled_from([
        "2026-11-20T08:00:00.123456789Z", "2026-11-20T08:00:00.1234565+05:30", "2026-11-20t08:00:00z", "2026-11-20", "2026-W47-5",
        "2026-11-20T08:00Z", "2026-11-20 08:00:00+00:00", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "24:00", "",
        "1969-12-31T23:59:59Z", "2100-01-01T00:00:00Z", "2099-12-31T23:59:59.9999999Z", -1, 4_102_444_800, 1e300, 10**30,
    ])
)  # fmt: skip
ODD = {
    ("timestamp",): TIMES | TIMES | ANY,
    ("event_id",): TEXTS | ANY,
    ("model_version",): TEXTS | ANY,
    ("latency_seconds",): NUMBERS | some.sampled_from([-1, 5e9, 1e308]) | ANY,
    ("probability",): CLASSED | CLASSED | some.floats(0, 1) | ANY,
    ("prediction",): ANY,
    ("app",): some.sampled_from(["shop", "bank", None]) | ANY,
    ("model",): some.sampled_from(["demand", "other", ""]),
    ("comment",): ANY,
    ("features",): ANY,
    **{("features", name): ANY for name in (*VALUES, "new", "")},
}


@some.composite
def usual(draw: Any, made: Layout) -> dict[str, Any]:
    """A record of a model with these columns."""
    kind = made.by_key[PREDICTION][0].kind
    record = {
        "model": "demand",
        "event_id": draw(some.integers(0, 9).map(lambda each: f"e{each}") | some.text(min_size=1, max_size=3)),
        "timestamp": draw(some.sampled_from(["2026-11-20T08:00:00Z", 1_795_161_600, 1_795_161_600.25])),
        "features": draw(some.fixed_dictionaries({}, optional=VALUES)),
        "prediction": draw(PREDICTIONS[kind]),
    }
    scores = {}
    if PROBABILITY in made.by_key:
        scores = {"probability": some.floats(0, 1) | some.none()}
    elif CLASSES[0][0] in made.by_key:
        scores = {"probability": some.dictionaries(some.sampled_from(["yes", "no"]), some.floats(0, 1)) | some.none()}
    more = {"model_version": some.sampled_from(["v1", "v2", None]), "latency_seconds": some.floats(0, 1) | some.none()}
    return record | draw(some.fixed_dictionaries({}, optional=more | scores))


@some.composite
def batches(draw: Any) -> tuple[Layout, list[dict[str, Any]]]:
    """Records of a model, with something odd in one of them, or nothing."""
    made = LAYOUTS[draw(some.sampled_from(list(LAYOUTS)))]
    records = draw(some.lists(usual(made), min_size=1, max_size=3))
    if draw(some.integers(0, 4)):
        *inner, last = draw(some.sampled_from(list(ODD)))
        record = draw(some.sampled_from(records))
        held = record
        for name in inner:
            held = held.setdefault(name, {})
        if draw(some.integers(0, 6)):
            held[last] = draw(ODD[*inner, last])
        else:
            held.pop(last, None)
    return made, records


def one_by_one(made: Layout, rows: list[Any]) -> list[Any]:
    """Events as rows of a layout; a value that it has no column for is a fault."""
    return [list(_row(each, dict(values_of(each)), made)) for each in rows]


def at_once(made: Layout, block: Any) -> list[Any]:
    """The rows of a decoder in the order of the layout's columns."""
    found = []
    for event_id, time, version, latency, marks, *values in block.rows:
        by_place = {field.place: value for field, value in zip(block.fields, values, strict=True)}
        found.append([event_id, time, version, latency, marks, *(by_place[each.place] for each in made.fields)])
    return found


@settings(MANY, max_examples=500)
@given(batches(), some.booleans())
def test_what_the_decoder_of_a_model_takes_is_what_reading_record_by_record_gives(
    batch: tuple[Layout, list[dict[str, Any]]], lines: bool
) -> None:
    made, records = batch
    body = as_lines(records) if lines else as_json(records)
    block = TypedDecoder(("shop", "demand"), made).decode(body, lines=lines)
    event("taken" if block is not None else "left")
    assume(block is not None)
    slow = read(body, LINES if lines else JSON)
    assert slow.rejected == []
    assert exactly(at_once(made, block)) == exactly(one_by_one(made, slow.events["shop", "demand"]))


TAKEN = {
    "nothing but what is needed": {"features": {}},
    "some of the features": {"features": {"temp": 1}},
    "nulls": {"features": {"temp": None, "season": None}},
    "a flag and text": {"features": {"holiday": True, "season": "été"}},
    "a version and a latency": {"model_version": "v1", "latency_seconds": 0.5},
    "its own app": {"app": "shop"},
    "keys that nobody knows": {"comment": {"a": [1]}},
    "seconds": {"timestamp": 0.5},
    "an offset": {"timestamp": "2026-11-20T08:00:00+05:30"},
}
LEFT = {
    "a new feature": {"features": {"new": 1}},
    "text in a number": {"features": {"temp": "warm"}},
    "a number in text": {"features": {"season": 1}},
    "a number for a flag": {"features": {"holiday": 1}},
    "a whole number beyond a float": {"features": {"temp": 2**53 + 1}},
    "a NUL in text": {"features": {"season": "a\0"}},
    "another kind of prediction": {"prediction": "a"},
    "a time without an offset": {"timestamp": "2026-11-20T08:00:00"},
    "a time that is none": {"timestamp": "soon"},
    "a time beyond 2100": {"timestamp": 4_102_444_800_000},
    "an id that is a number": {"event_id": 1},
    "an empty id": {"event_id": ""},
    "another model": {"model": "other"},
    "another app": {"app": "bank"},
    "an endless latency": {"latency_seconds": 1e308},
}


@pytest.mark.parametrize(
    ("change", "taken"),
    [*((change, True) for change in TAKEN.values()), *((change, False) for change in LEFT.values())],
    ids=[*TAKEN, *LEFT],
)
def test_a_decoder_takes_what_fits_the_columns_and_leaves_everything_else(change: dict[str, Any], taken: bool) -> None:
    """Otherwise the property above would be true of a decoder that takes nothing."""
    record = {
        "model": "demand",
        "event_id": "a",
        "timestamp": "2026-11-20T08:00:00Z",
        "features": {},
        "prediction": 1.0,
    }
    found = TypedDecoder(("shop", "demand"), LAYOUTS["a number"])
    for body, lines in (
        (as_json([record | change]), False),
        (as_lines([record | change]), True),
        (json.dumps(record | change).encode(), False),
    ):
        assert (found.decode(body, lines=lines) is not None) is taken


@pytest.mark.parametrize(
    ("probability", "taken"), [({"yes": 0.5}, True), (None, True), ({"yes": None}, False), (0.5, False)]
)
def test_probabilities_by_class_are_numbers(probability: Any, taken: bool) -> None:
    record = {
        "model": "demand",
        "event_id": "a",
        "timestamp": 1,
        "features": {},
        "prediction": "yes",
        "probability": probability,
    }
    found = TypedDecoder(("shop", "demand"), LAYOUTS["probabilities by class"]).decode(as_json([record]), lines=False)
    assert (found is not None) is taken
    assert bool(read(as_json([record])).rejected) is (probability == {"yes": None})


@pytest.mark.parametrize("text", ['"', "\\", "\n", "\x01"])
def test_a_name_that_no_decoder_can_be_told_leaves_the_model_without_one(text: str) -> None:
    with pytest.raises(Unfit):
        TypedDecoder(("shop", "demand"), layout((feature(f"a{text}b"), Kind.NUMBER), (PREDICTION, Kind.NUMBER)))


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1}{"a":1}', b'{"a":\n1}\n{"a":1}', b'{"a":1} {"a":1}\n{"a":1}', b'{"a":1},\n{"a":1}', b'[{"a":1}]\n',
        b'{"a":1}\n{"a"', b"\n", b"",
    ],
)  # fmt: skip
def test_a_line_is_one_record_for_the_decoder_too(body: bytes) -> None:
    record = as_json([{"model": "demand", "event_id": "a", "timestamp": 1, "features": {}, "prediction": 1.0}])[1:-1]
    whole = body.replace(b'{"a":1}', record).replace(b'{"a":\n1}', record[:-1] + b"\n}")
    found = TypedDecoder(("shop", "demand"), LAYOUTS["a number"]).decode(whole, lines=True)
    by_line = read(whole, LINES)
    assert (found is None and by_line.rejected) or (found is not None and len(found.rows) == by_line.records)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Store]]:
    with opened(tmp_path_factory.mktemp("slow")) as slow, opened(tmp_path_factory.mktemp("typed")) as typed:
        yield slow, typed


TURN = count()
USED: Counter[bool] = Counter()


@settings(MANY, max_examples=25)
@given(some.lists(batches(), min_size=2, max_size=4), some.booleans())
def test_two_stores_hold_the_same_whether_a_decoder_was_used_or_not(
    stores: tuple[Store, Store], found: list[tuple[Layout, list[dict[str, Any]]]], lines: bool
) -> None:
    """Also where names come later, hold values of another kind, or ids come twice."""
    slow, typed = stores
    app = f"shop{next(TURN)}"  # a model of its own for each example
    form, written = (LINES, as_lines) if lines else (JSON, as_json)
    for _, batch in found:
        body = written([{**each, "app": app} if each.get("app") == "shop" else each for each in batch])
        known = decoder(typed, app)
        plain = read(body, form, owners=Only((app, "demand")))
        fast = (read_typed(body, form, known) if known else None) or plain
        assert (fast.rejected, fast.records) == (plain.rejected, plain.records)
        USED[known is not None and known.decode(body, lines=lines) is not None] += 1
        keep(slow, plain)
        keep(typed, fast)
    assert exactly(kept(typed, app)) == exactly(kept(slow, app))


def test_the_first_model_of_a_body_is_guessed_from_its_beginning() -> None:
    assert first_model(b'[{"event_id": 1, "model" : "bikes"}, {"model": "cars"}]') == "bikes"
    assert first_model(b'{"model": 1}') is None
    assert first_model(b" " * 5000 + b'{"model": "bikes"}') is None
