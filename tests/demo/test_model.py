"""The model learns what the simulator hides, its reference is honest, and its artefacts are whole."""

import threading
from datetime import UTC, datetime
from statistics import mean

import pyarrow.parquet as pq
import pytest
from bikes.model import FEATURES, Artefacts, Example, train
from bikes.service import Service
from bikes.simulator import DAY, City

from monitor.client import Client

pytestmark = pytest.mark.slow  # takes seconds, and what it holds seldom breaks

OPENS = datetime(2011, 3, 1, tzinfo=UTC).timestamp()
HELD_OUT = [OPENS + day * DAY for day in (0, 1, 2)]


def examples(start: float, end: float) -> list[Example]:
    return [Example(row.event_id, row.timestamp, row.features, float(row.rides)) for row in City().between(start, end)]


@pytest.fixture(scope="module")
def month():
    return examples(OPENS - 30 * DAY, OPENS)


@pytest.fixture(scope="module")
def trained(month):
    return train(month, "v1")


def error(pairs) -> float:
    return mean(abs(rides - predicted) for rides, predicted in pairs)


def test_it_predicts_days_it_has_not_seen_far_better_than_the_mean_does(trained, month):
    model, _ = trained
    held_out = examples(OPENS, OPENS + 3 * DAY)
    middle = mean(example.rides for example in month)
    predicted = model.predict([example.features for example in held_out])
    rides = [example.rides for example in held_out]
    assert error(zip(rides, predicted, strict=True)) < 0.6 * error((ride, middle) for ride in rides)


def test_the_reference_holds_what_the_model_says_of_rows_it_was_not_trained_on(trained, month, tmp_path):
    model, honest = trained
    flattered = model.predict([example.features for example in month])
    rides = [example.rides for example in month]
    assert error(zip(rides, honest, strict=True)) > 1.2 * error(zip(rides, flattered, strict=True))
    artefacts = Artefacts(tmp_path)
    artefacts.save(model, month, honest)
    table = pq.read_table(artefacts.reference("v1"))
    assert table.column_names == ["event_id", "timestamp", "model_version", *FEATURES, "prediction", "label"]
    assert table["prediction"].to_pylist() == honest
    assert table["timestamp"].to_pylist()[0] == datetime.fromtimestamp(month[0].timestamp, UTC)


def test_training_twice_on_the_same_rows_gives_the_same_model(trained, month):
    again, honest = train(month, "v1")
    rows = [example.features for example in month[:200]]
    assert again.predict(rows) == trained[0].predict(rows)
    assert honest == trained[1]


def test_a_missing_or_unknown_value_still_gives_a_prediction(trained):
    assert trained[0].predict([{"area": "moon", "hour": 8, "temp": None}])[0] >= 0


def test_too_few_examples_are_refused(month):
    with pytest.raises(ValueError, match="at least 200 examples"):
        train(month[:199], "v1")


def test_the_newest_version_is_loaded_again_by_its_number_not_its_name(trained, month, tmp_path):
    artefacts = Artefacts(tmp_path)
    assert artefacts.newest() is None
    for version in ("v9", "v10"):
        model, honest = train(month[:300], version)
        artefacts.save(model, month[:300], honest)
    assert artefacts.newest().version == "v10"


def test_a_version_that_answers_always_has_its_reference_already(tmp_path):
    """Whoever sees a new version in a prediction finds the file to judge it by, at that very moment."""
    artefacts = Artefacts(tmp_path)
    service = Service(artefacts, City(), Client(None))
    seen, done = [], threading.Event()

    def watch():
        while not done.is_set():
            version, _ = service.predict([{"features": {}}])
            seen.append((version, artefacts.reference(version).is_file()))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        assert service.request_retraining("one")
        service.close()
        service.predict([{"features": {}}])
    finally:
        done.set()
        watcher.join()
    assert service.live.version == "v2"
    assert all(there for _, there in seen)
