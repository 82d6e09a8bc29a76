"""No argument, however wrong, raises into the app or stops what comes after it."""

from __future__ import annotations

from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.client import Client
from tests.client.stand_in import QUICK, arrived, log, records, taking
from tests.client.test_record import VALUES
from tests.servers import serving

pytestmark = pytest.mark.slow


class Hostile:
    """Breaks whatever looks at it."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("no")

    __str__ = __repr__ = __float__ = __len__ = __iter__ = __eq__ = __hash__ = __bool__ = lambda self, *_: self.no  # type: ignore[assignment]
    __class__ = property(lambda self: self.no)  # type: ignore[assignment]


class Changing(dict[str, float]):
    """A mapping that grows while it is read."""

    def items(self) -> Any:
        for name in list(super().items()):
            self[str(len(self))] = 1.0
            yield name


class Endless:
    """As an object whose every attribute is there, and gives another one like it."""

    def tolist(self) -> Endless:
        return Endless()


ODD = [Hostile(), MagicMock(), Changing(a=1.0), Endless(), 10**5000, "x" * 10**7, "\ud800", b"\xff" * 10**6, np.zeros(10**6), pd.DataFrame({"a": [1]}), {Hostile: 1}]  # fmt: skip
ANY = VALUES | st.integers(0, len(ODD) - 1).map(
    lambda place: Changing(a=1.0) if type(ODD[place]) is Changing else ODD[place]
)


@pytest.fixture(scope="module")
def watched():
    with serving(taking()) as server, Client(server.url, limits=QUICK) as client:
        yield server, client


@given(given_=st.tuples(ANY, ANY, ANY, ANY), more=st.fixed_dictionaries(
    {}, optional=dict.fromkeys(["probability", "model_version", "timestamp", "latency_seconds", "app"], ANY)))  # fmt: skip
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_no_prediction_raises(watched, given_: tuple[Any, ...], more: dict[str, Any]) -> None:
    assert isinstance(watched[1].log_prediction(*given_, **more), str)


@given(
    given_=st.tuples(ANY, ANY, ANY),
    more=st.fixed_dictionaries({}, optional=dict.fromkeys(["label_timestamp", "app"], ANY)),
)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_no_label_raises(watched, given_: tuple[Any, ...], more: dict[str, Any]) -> None:
    assert isinstance(watched[1].log_label(*given_, **more), str)


@pytest.mark.parametrize("which", range(len(ODD)), ids=[type(odd).__name__ for odd in ODD])
@pytest.mark.parametrize("place", ["features", "feature", "prediction", "event_id", "timestamp", "model"])
def test_an_odd_value_spoils_no_record_but_its_own(place: str, which: int) -> None:
    odd = ODD[which]
    usual = {"model": "demand", "event_id": "odd", "features": {"temp": 0.5}, "prediction": 1.0, "timestamp": 1.0}
    changed = {"features": {"temp": odd}} if place == "feature" else {place: odd}
    with serving(taking()) as server:
        with Client(server.url, limits=QUICK) as client:
            log(client, ["before"])
            told = client.log_prediction(**{**usual, **changed})
            log(client, ["after"])
            assert client.flush(10)
            stats = client.stats()
        found = arrived(server)
    assert isinstance(told, str)
    assert (found[0], found[-1]) == ("before", "after")
    assert len(found) + sum(stats.dropped.values()) == 3
    assert stats.accepted == len(found)


def test_nothing_that_was_tried_has_stopped_the_client(watched) -> None:
    """Runs last in this file, on the client that all of the above has gone through."""
    server, client = watched
    assert client.log_prediction("demand", "last", {}, 1.0) == "last"
    assert client.flush(20)
    stats = client.stats()
    assert stats.waiting == stats.waiting_bytes == 0
    assert stats.accepted == stats.queued
    assert set(stats.dropped) <= {"not_serialisable", "too_large", "queue_full"}
    assert any(row["event_id"] == "last" for seen in server.seen for row in records(seen))
