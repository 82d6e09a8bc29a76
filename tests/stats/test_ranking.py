"""The statistics of ranked lists: scikit-learn and plain loops as second opinions, ties over all their orders, odd lists."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from monitor.records import Direction, NoData, Statistic
from monitor.stats import hit_rate, mrr, ndcg
from monitor.stats import map as map_
from monitor.stats._outcomes import RankedOutcomes

pytestmark = pytest.mark.slow

EXAMPLES = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
MODULES: list[Any] = [ndcg, map_, mrr, hit_rate]
EVERY: dict[str, Statistic] = {module.STATISTIC.name: module.STATISTIC for module in MODULES}
every_statistic = pytest.mark.parametrize("name", EVERY)

Items = list[tuple[float, float, int]]  # relevance, prediction, list
CUTS = some.none() | some.integers(1, 6)


def items(scores: Any, *, most: int = 25, relevances: Any = None) -> Any:
    relevance = some.sampled_from([0.0, 0.0, 0.0, 1.0, 2.0, 3.5]) if relevances is None else relevances
    return some.lists(some.tuples(relevance, scores, some.integers(0, 5)), min_size=1, max_size=most)


TIED = some.integers(0, 2).map(float)
MIXED = TIED | some.floats(-5, 5)


def outcomes_of(rows: Items) -> RankedOutcomes:
    label, predicted, lists = (np.array(side) for side in zip(*rows, strict=True))
    return RankedOutcomes(label.astype(np.float64), predicted.astype(np.float64), lists.astype(np.int64))


def by_list(rows: Items) -> list[list[tuple[float, float]]]:
    """Relevance and prediction of the items of each list that has a relevant one."""
    lists = [[row[:2] for row in rows if row[2] == each] for each in sorted({row[2] for row in rows})]
    return [each for each in lists if any(relevance > 0 for relevance, _ in each)]


# One list in order, from the first item to the last: its relevances, and k.


def dcg(relevances: list[float], k: int) -> float:
    return sum(relevance / math.log2(place + 2) for place, relevance in enumerate(relevances[:k]))


def average_precision(relevances: list[float], k: int) -> float:
    hits = [relevance > 0 for relevance in relevances]
    precisions = [sum(hits[: place + 1]) / (place + 1) for place, hit in enumerate(hits[:k]) if hit]
    return sum(precisions) / min(sum(hits), k)


def reciprocal_rank(relevances: list[float], k: int) -> float:
    return next((1 / (place + 1) for place, relevance in enumerate(relevances[:k]) if relevance > 0), 0.0)


IN_ORDER: dict[str, Callable[[list[float], int], float]] = {
    "ndcg": lambda relevances, k: dcg(relevances, k) / dcg(sorted(relevances, reverse=True), k),
    "map": average_precision,
    "mrr": reciprocal_rank,
    "hit_rate": lambda relevances, k: float(any(relevance > 0 for relevance in relevances[:k])),
}


def over_all_orders(name: str, one: list[tuple[float, float]], k: int) -> float:
    """The mean over all orders that the predictions allow."""
    falling = sorted((prediction for _, prediction in one), reverse=True)
    allowed = [each for each in permutations(one) if [prediction for _, prediction in each] == falling]
    return math.fsum(IN_ORDER[name]([relevance for relevance, _ in each], k) for each in allowed) / len(allowed)


@every_statistic
def test_lists_without_ties_equal_a_plain_loop(name: str) -> None:
    @EXAMPLES
    @given(items(some.just(0.0), most=40), CUTS, some.randoms(use_true_random=False))
    def holds(rows: Items, k: int | None, random: Any) -> None:
        predictions = random.sample(range(-50, 50), len(rows))
        rows = [(relevance, prediction, one) for (relevance, _, one), prediction in zip(rows, predictions, strict=True)]
        lists = by_list(rows)
        if not lists:
            return
        values = []
        for each in lists:
            each.sort(key=lambda pair: -pair[1])
            values.append(IN_ORDER[name]([relevance for relevance, _ in each], k or len(each)))
        value = EVERY[name].compute(outcomes_of(rows), k=k)
        assert type(value) is float
        assert value == pytest.approx(np.mean(values), rel=1e-12, abs=1e-12)

    holds()


@every_statistic
def test_ties_count_as_the_mean_of_all_their_orders(name: str) -> None:
    @EXAMPLES
    @given(
        some.lists(
            some.lists(some.tuples(some.sampled_from([0.0, 1.0, 3.0]), TIED), min_size=1, max_size=6), max_size=3
        ),
        CUTS,
    )
    def holds(lists: list[list[tuple[float, float]]], k: int | None) -> None:
        rows = [(relevance, score, number) for number, each in enumerate(lists) for relevance, score in each]
        used = by_list(rows)
        if not used:
            return
        values = [over_all_orders(name, each, k or len(each)) for each in used]
        assert EVERY[name].compute(outcomes_of(rows), k=k) == pytest.approx(np.mean(values), rel=1e-11, abs=1e-12)

    holds()


@EXAMPLES
@given(items(MIXED), CUTS)
def test_ndcg_is_scikit_learns(rows: Items, k: int | None) -> None:
    """With ties. It takes no lists of one item, which always score 1."""
    lists = by_list(rows)
    if not lists:
        return
    values = [
        sk.ndcg_score([[relevance for relevance, _ in each]], [[score for _, score in each]], k=k)
        if len(each) > 1
        else 1
        for each in lists
    ]
    assert ndcg.ndcg(outcomes_of(rows), k=k) == pytest.approx(np.mean(values), rel=1e-9, abs=1e-12)


@EXAMPLES
@given(items(some.just(0.0)), some.randoms(use_true_random=False))
def test_map_is_scikit_learns_label_ranking_average_precision(rows: Items, random: Any) -> None:
    """Where nothing is tied: it takes the worst order of ties."""
    predictions = random.sample(range(len(rows)), len(rows))
    rows = [(relevance, score, one) for (relevance, _, one), score in zip(rows, predictions, strict=True)]
    lists = by_list(rows)
    if not lists:
        return
    values = [
        sk.label_ranking_average_precision_score(
            [[relevance > 0 for relevance, _ in each]], [[score for _, score in each]]
        )
        for each in lists
    ]
    value = map_.mean_average_precision(outcomes_of(rows))
    assert value == pytest.approx(np.mean(values), rel=1e-12)


ROWS: Items = [(0, 9, 3), (1, 8, 3), (0, 7, 3), (2, 6, 3), (1, 5, 0), (0, 5, 0), (0, 9, 7), (0, 1, 7)]
BY_HAND = {  # list 3: relevant at 2 and 4; list 0: relevant at 1 or at 2; list 7 has nothing to find
    ("ndcg", None): ((1 / math.log2(3) + 2 / math.log2(5)) / (2 + 1 / math.log2(3)) + (1 + 1 / math.log2(3)) / 2) / 2,
    ("ndcg", 1): (0 + 1 / 2) / 2,
    ("map", None): ((1 / 2 + 2 / 4) / 2 + (1 + 1 / 2) / 2) / 2,
    ("map", 2): ((1 / 2) / 2 + (1 + 1 / 2) / 2) / 2,
    ("mrr", None): (1 / 2 + (1 + 1 / 2) / 2) / 2,
    ("mrr", 1): (0 + 1 / 2) / 2,
    ("hit_rate", None): 1.0,
    ("hit_rate", 1): (0 + 1 / 2) / 2,
    ("hit_rate", 2): 1.0,
}


@pytest.mark.parametrize(("name", "k"), BY_HAND)
def test_a_statistic_equals_what_is_worked_out_by_hand(name: str, k: int | None) -> None:
    assert EVERY[name].compute(outcomes_of(ROWS), k=k) == pytest.approx(BY_HAND[name, k], rel=1e-14)


@every_statistic
def test_a_list_without_a_relevant_item_changes_nothing(name: str) -> None:
    for k in (None, 1, 2):
        without = outcomes_of([row for row in ROWS if row[2] != 7])
        assert EVERY[name].compute(without, k=k) == EVERY[name].compute(outcomes_of(ROWS), k=k)


@every_statistic
def test_where_it_is_not_defined_there_is_no_data_and_a_reason(name: str) -> None:
    empty = RankedOutcomes(np.empty(0), np.empty(0), np.empty(0, dtype=np.int64))
    with pytest.raises(NoData, match=r"^no labelled rows$"):
        EVERY[name].compute(empty)
    nothing = outcomes_of([(0, 9, 7), (0, 1, 7), (0, 1, 4)])
    with pytest.raises(NoData, match=r"^expected a list with a relevant item, got none in 2$"):
        EVERY[name].compute(nothing, k=1)


@every_statistic
def test_the_best_order_scores_exactly_1_whatever_k(name: str) -> None:
    rng = np.random.default_rng(5)
    label, lists = rng.integers(0, 4, 3000).astype(float), rng.integers(0, 200, 3000)
    for k in (None, 1, 3, 10, 10_000):
        assert EVERY[name].compute(RankedOutcomes(label, label, lists), k=k) == 1.0


@every_statistic
def test_a_relevance_that_vanishes_beside_another_still_has_its_place(name: str) -> None:
    assert EVERY[name].compute(outcomes_of([(1e300, 9, 0), (5e-324, 8, 0), (1e300, 7, 1), (1.0, 6, 1)])) == 1.0


@every_statistic
def test_a_single_item_scores_1(name: str) -> None:
    for k in (None, 1, 5):
        assert EVERY[name].compute(outcomes_of([(0.5, -3.0, 12)]), k=k) == 1.0


@every_statistic
def test_any_finite_rows_give_a_value_within_0_and_1_or_no_data(name: str) -> None:
    statistic = EVERY[name]
    assert statistic.influence is not None
    top = sys.float_info.max
    scores = some.floats(allow_nan=False, allow_infinity=False) | some.sampled_from(
        [0.0, -0.0, top, -top, 1e300, 5e-324]
    )
    relevances = some.floats(0, top) | some.sampled_from([0.0, 5e-324, 1e-300, 1e300, top])

    @EXAMPLES
    @given(items(scores, relevances=relevances), CUTS)
    def holds(rows: Items, k: int | None) -> None:
        data = outcomes_of(rows)
        try:
            value = statistic.compute(data, k=k)
        except NoData:
            assert not data.label.any()
            return
        assert 0 <= value <= 1
        influences = statistic.influence(data, value, k=k)
        assert influences.shape == (len(data),)
        assert np.isfinite(influences).all()

    holds()


@every_statistic
def test_rows_in_another_order_and_lists_of_other_numbers_score_the_same(name: str) -> None:
    @EXAMPLES
    @given(items(MIXED), CUTS, some.randoms(use_true_random=False))
    def holds(rows: Items, k: int | None, random: Any) -> None:
        if not by_list(rows):
            return
        numbers = random.sample(range(1000), 6)
        shuffled = [(relevance, score, numbers[one]) for relevance, score, one in random.sample(rows, len(rows))]
        value = EVERY[name].compute(outcomes_of(rows), k=k)
        assert EVERY[name].compute(outcomes_of(shuffled), k=k) == pytest.approx(value, rel=1e-12, abs=1e-12)

    holds()


def test_one_tied_list_of_many_items_keeps_its_precision() -> None:
    """A model that predicts a constant: the first of r relevant among n in random order is within k with a known chance."""
    rows, relevant = 200_000, 20
    label = np.zeros(rows)
    label[:relevant] = 1.0
    data = RankedOutcomes(label, np.zeros(rows), np.zeros(rows, dtype=np.int64))
    missed = math.prod((rows - relevant - drawn) / (rows - drawn) for drawn in range(1000))
    assert hit_rate.hit_rate(data, k=1000) == pytest.approx(1 - missed, rel=1e-8)
    assert hit_rate.hit_rate(data, k=rows) == 1.0
    assert mrr.mrr(data, k=1) == pytest.approx(relevant / rows, rel=1e-8)


@every_statistic
@pytest.mark.parametrize("k", [None, 3])
def test_influences_tell_the_standard_error_over_lists(name: str, k: int | None) -> None:
    """Lists of 1 to 30 items, longer ones harder, a third of them with nothing to find, rows shuffled; 800 samples of 150 lists."""
    statistic = EVERY[name]
    assert statistic.influence is not None
    rng = np.random.default_rng(8)
    values, errors = [], []
    for _ in range(800):
        sizes = rng.integers(1, 31, 150)
        lists = np.repeat(np.arange(150), sizes)
        relevant = (rng.random(150) < 2 / 3)[lists] & (rng.random(len(lists)) < 0.3)
        noise = np.sqrt(sizes)[lists] * rng.normal(size=len(lists))
        order = rng.permutation(len(lists))
        data = RankedOutcomes(relevant.astype(float), relevant + 0.4 * noise, lists).take(order)
        value = statistic.compute(data, k=k)
        influences = statistic.influence(data, value, k=k)
        assert float(influences.sum()) == pytest.approx(0, abs=1e-8)
        values.append(value)
        errors.append(float(np.mean(influences**2)) / len(data))
    assert math.sqrt(np.mean(errors)) == pytest.approx(np.std(values), rel=0.08, abs=1e-12)


def test_hit_rate_is_a_proportion_of_the_lists_with_a_relevant_item() -> None:
    assert EVERY["hit_rate"].trials is not None
    assert EVERY["hit_rate"].trials(outcomes_of(ROWS), k=1) == 2.0
    assert all(EVERY[name].trials is None for name in ("ndcg", "map", "mrr"))


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.STATISTIC.name)
def test_a_statistic_says_what_it_needs(module: Any) -> None:
    statistic = module.STATISTIC
    assert module.__name__.rpartition(".")[2] == statistic.name
    assert statistic.family == "performance"
    assert statistic.applies_to == {"ranking"}
    assert statistic.needs == "lists"
    assert statistic.parameters == {"k"}
    assert (statistic.low, statistic.high, statistic.worse) == (0.0, 1.0, Direction.LOWER_IS_WORSE)
    assert (statistic.default_material, statistic.relative) == (0.02, False)
