"""Which series of rows by bin there are, what they are called, and what the page says of what is left out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from monitor.app._bins import HELD_SECONDS, IDLE_SECONDS, SHARE, TOTAL, VERSIONS, BinCounters, bin_names, content_of
from monitor.config import Model
from monitor.config.model import Feature
from monitor.metrics import Metrics
from monitor.profile import CategoricalBins, Profile, Reference, build_reference, comparable, draw_bins, profile_batch
from monitor.profile.bins import CATEGORY_GROUPS, GROUPS
from monitor.records import Column, ColumnKind, EventBatch, Role
from tests.profile.columns import objects

NOW = 1_600_000_000.0
COLUMNS = (
    Column("temp", ColumnKind.NUMERIC),
    Column("season", ColumnKind.CATEGORICAL),
    Column("hum", ColumnKind.NUMERIC),
    Column("prediction", ColumnKind.NUMERIC, role=Role.PREDICTION),
)


def batch(rows: int = 200, seed: int = 0) -> EventBatch:
    draw = np.random.default_rng(seed)
    season = objects([["spring", "summer", None][code] for code in draw.integers(0, 3, rows)])
    numbers = {name: draw.normal(0, 1, rows) for name in ("temp", "hum", "prediction")}
    return EventBatch("1", np.full(rows, NOW), {**numbers, "season": season})


def reference(fingerprint: str = "a", seed: int = 0) -> Reference:
    return build_reference(batch(seed=seed), COLUMNS, fingerprint=fingerprint, version="1", window_seconds=3600.0)


def model(**features: float | None) -> Model:
    declared = {name: Feature(importance=weight) for name, weight in features.items()}
    return Model(name="demand", task="regression", features=declared or None)


class Watch:
    """Counters of one model on a clock that stands still."""

    def __init__(self, limit: int = 10, watched: Model | None = None) -> None:
        self.now, self.metrics = NOW, Metrics("0")
        self.bins = BinCounters(self.metrics, "shop", "demand", now=lambda: self.now)
        self.bins.configure(watched or model(), limit)

    def samples(self, name: str = TOTAL) -> dict[tuple[str, str, str], float]:
        return {
            (each.labels["version"], each.labels["feature"], each.labels["bin"]): each.value
            for family in self.metrics.collect()
            for each in family.samples
            if each.name == name
        }

    def label(self, name: str) -> set[str]:
        return {e.labels[name] for family in self.metrics.collect() for e in family.samples if e.name == TOTAL}

    def begin(self, *versions: str, known: Reference | None = None) -> Reference:
        """Know of versions, and wait until they count."""
        known = known or reference()
        self.bins.know(versions, dict.fromkeys(versions, known))
        self.now += HELD_SECONDS
        return known

    def count(self, version: str, known: Reference, rows: int = 50) -> Profile:
        profile = profile_batch(batch(rows, seed=7), known.bins)
        self.bins.add(version, known, [profile, profile])
        return profile


@pytest.fixture
def watch() -> Watch:
    return Watch()


# --- names ------------------------------------------------------------------------------------------------------------


def test_bins_are_the_groups_of_psi_and_missing_and_unseen() -> None:
    known = reference()
    for name, bins in known.bins.items():
        assert len(bin_names(bins)) == len(comparable(known.profiles[name], bins))
        assert bin_names(bins)[-2:] == ["missing", "unseen"]
    assert set(bin_names(known.bins["season"])[:-2]) == {"spring", "summer"}


def test_intervals_that_are_written_alike_have_names_of_their_own_in_their_order() -> None:
    bins = draw_bins(1e9 + np.arange(100.0), ColumnKind.NUMERIC)
    names = bin_names(bins)
    assert len({name[3:] for name in names}) < len(names), "expected a case in which six digits do not tell them apart"
    assert len(set(names)) == len(names)
    assert sorted(names) == names


@given(
    some.lists(
        some.sampled_from(["missing", "unseen", "other", "missing (2)", "x" * 90, "x" * 80, "\ud800"]) | some.text()
    )
)
def test_no_two_bins_of_a_feature_have_one_name_whatever_its_categories_are(found: list[str]) -> None:
    categories = tuple(dict.fromkeys(found))
    bins = CategoricalBins(categories, np.arange(len(categories)))
    names = bin_names(bins)
    assert len(set(names)) == len(names) == len(categories) + 2
    assert all(len(name) < 100 for name in names)
    for name in names:
        name.encode()


def test_a_feature_has_no_more_bins_than_psi_has_groups() -> None:
    wide = draw_bins(objects([f"{place % 1500:04}" for place in range(20_000)]), ColumnKind.CATEGORICAL)
    even = draw_bins(objects([f"{place % 100:04}" for place in range(20_000)]), ColumnKind.CATEGORICAL)
    assert max(len(bin_names(wide)), len(bin_names(even))) <= CATEGORY_GROUPS + 2
    assert len(bin_names(draw_bins(np.arange(1e4), ColumnKind.NUMERIC))) == GROUPS + 2


def test_the_reference_is_called_by_its_content_wherever_its_copy_is() -> None:
    assert content_of(reference("here")) == content_of(reference("there"))
    assert content_of(reference(seed=1)) != content_of(reference(seed=2))


# --- which there are --------------------------------------------------------------------------------------------------


def test_features_are_counted_and_predictions_are_not_beside_the_reference_s_shares(watch: Watch) -> None:
    known = watch.begin("1")
    profile = watch.count("1", known)
    for name in ("temp", "season", "hum"):
        names, rows = bin_names(known.bins[name]), 2 * comparable(profile.columns[name], known.bins[name])
        shares = comparable(known.profiles[name], known.bins[name]) / known.rows
        assert {key[2]: n for key, n in watch.samples().items() if key[1] == name} == dict(
            zip(names, rows, strict=True)
        )
        shown = {key[2]: n for key, n in watch.samples(SHARE).items() if key[1] == name}
        assert shown == pytest.approx(dict(zip(names, shares, strict=True)))
    assert watch.label("feature") == {"temp", "season", "hum"}
    assert watch.label("reference") == {content_of(known)}


def test_features_beyond_the_limit_are_left_out_the_least_important_first() -> None:
    watch = Watch(2, model(temp=None, season=0.1, hum=0.5))
    watch.begin("1")
    assert watch.label("feature") == {"hum", "season"}
    assert watch.bins.features == ("temp", "season", "hum")
    assert Watch(0).begin("1")


def test_another_limit_takes_and_gives_series_and_leaves_the_rest_counting(watch: Watch) -> None:
    known = watch.begin("1")
    watch.count("1", known)
    before = watch.samples()
    watch.bins.configure(model(), 1)
    assert watch.samples() == {key: n for key, n in before.items() if key[1] == "temp"}
    assert {feature for _, feature, _ in watch.samples(SHARE)} == {"temp"}
    assert not watch.bins.waits("1")
    watch.bins.configure(model(), 2)
    assert watch.samples() == {key: n if key[1] == "temp" else 0 for key, n in before.items() if key[1] != "hum"}
    assert watch.bins.waits("1"), "series that are new have to be seen at 0"


def test_a_configuration_that_changes_nothing_changes_nothing(watch: Watch) -> None:
    known = watch.begin("1")
    watch.count("1", known)
    before = watch.samples()
    watch.bins.configure(model(), 10)
    watch.bins.know(["1"], {"1": known})
    assert watch.samples() == before
    assert not watch.bins.waits("1")


def test_only_the_newest_versions_are_shown(watch: Watch) -> None:
    versions = [str(place) for place in range(VERSIONS + 2)]
    known = watch.begin(*versions)
    assert watch.label("version") == set(versions[:VERSIONS])
    assert not watch.bins.waits(versions[-1])
    assert watch.bins.ready(versions[-1], known), "what is not shown is not waited for"
    watch.count(versions[-1], known)
    assert sum(watch.samples().values()) == 0
    watch.begin("new", *versions)
    assert watch.label("version") == {"new", *versions[: VERSIONS - 1]}


def test_a_version_without_rows_for_long_is_let_go_and_begins_anew_with_its_next_row(watch: Watch) -> None:
    known = watch.begin("1", "2")
    watch.now += IDLE_SECONDS - HELD_SECONDS
    watch.count("1", known)
    watch.now += 1
    watch.bins.know(["1", "2"], {"1": known, "2": known})
    assert watch.label("version") == {"1"}
    watch.bins.know(["1", "2"], {"1": known, "2": known})
    assert watch.label("version") == {"1"}
    assert not watch.bins.ready("2", known)
    assert watch.bins.waits("2")
    assert watch.label("version") == {"1", "2"}
    watch.now += HELD_SECONDS
    assert watch.bins.ready("2", known)


def test_another_reference_takes_the_place_of_the_old_one_and_one_of_the_same_content_does_not(watch: Watch) -> None:
    known = watch.begin("1")
    watch.count("1", known)
    before = watch.samples()
    watch.bins.know(["1"], {"1": reference("touched")})
    assert watch.samples() == before
    assert not watch.bins.waits("1")
    other = reference("other", seed=1)
    watch.bins.know(["1"], {"1": other})
    assert watch.label("reference") == {content_of(other)}
    assert sum(watch.samples().values()) == 0
    assert watch.bins.waits("1")


def test_a_reference_that_cannot_be_read_for_a_while_takes_nothing_away(watch: Watch) -> None:
    known = watch.begin("1")
    watch.count("1", known)
    before = watch.samples()
    watch.bins.know(["1"], {})
    assert watch.samples() == before


def test_a_clock_that_was_set_back_does_not_stop_the_counting(watch: Watch) -> None:
    watch.begin("1")
    watch.now -= 86400
    assert not watch.bins.waits("1")


@pytest.mark.parametrize("change", [lambda bins: bins.clear(), lambda bins: bins.leave()], ids=["off", "another's"])
def test_what_begins_again_begins_at_0(watch: Watch, change: Callable[[Any], None]) -> None:
    known = watch.begin("1")
    watch.count("1", known)
    change(watch.bins)
    watch.bins.know(["1"], {"1": known})
    assert set(watch.samples().values()) == {0}
    assert len(watch.samples(SHARE)) == len(watch.samples())
    assert watch.bins.waits("1")


def test_switched_off_there_are_none(watch: Watch) -> None:
    watch.begin("1")
    watch.bins.clear()
    assert watch.samples() == watch.samples(SHARE) == {}
