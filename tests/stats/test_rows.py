"""Statistics of rows: many columns at once, vectors and texts. Each is held against a second opinion and against unchanged data."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy import stats
from scipy.signal import lfilter
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.metrics.pairwise import rbf_kernel
from threadpoolctl import threadpool_limits

from monitor import registry
from monitor.records import Coded, Column, ColumnKind, FloatArray, IntArray, NoData, ObjectArray, Window
from monitor.stats._column import compare_column
from monitor.stats._comparison import Comparison, CubeRoot, Kolmogorov, SquaredGamma, Student, TwoThirds
from monitor.stats._discriminant import Learner
from monitor.stats._encoding import WIDTH, encode_table
from monitor.stats._features import Binned, Plain, Products
from monitor.stats._layout import FOLDS, MOST_STRETCHES, cut_evenly, lay_out, parts_of
from monitor.stats._sampling import number_stretches, pick_stretches, windows_of
from monitor.stats._scaling import standardised
from monitor.stats._text import hashed_ngrams, text_descriptors
from monitor.stats.domain_classifier import domain_classifier, table_features
from monitor.stats.mmd import Blocks, Fourier, mmd
from monitor.stats.pca_reconstruction import pca_reconstruction
from monitor.stats.text_domain_classifier import Hashed, text_domain_classifier

pytestmark = pytest.mark.slow  # takes seconds, and what it holds seldom breaks

OF_NUMBERS = {"domain_classifier": domain_classifier, "pca_reconstruction": pca_reconstruction, "mmd": mmd}
of_numbers = pytest.mark.parametrize("name", OF_NUMBERS)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """On small matrices two threads of linear algebra only wait for each other, and for whatever else runs."""
    with threadpool_limits(1):
        yield


def random(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def table(rows: int, rng: np.random.Generator) -> FloatArray:
    """Twenty normal columns, of which the first two go together."""
    made = rng.standard_normal((rows, 20))
    made[:, 1] = 0.8 * made[:, 0] + 0.6 * made[:, 1]
    return made


def series(rows: int, columns: int, rho: float, rng: np.random.Generator) -> FloatArray:
    """Autoregressive columns of variance 1, mixed so that some go together."""
    noise = rng.standard_normal((rows + 100, columns)) * math.sqrt(1 - rho**2)
    mixed = lfilter([1], [1, -rho], noise, axis=0)[100:] @ (np.eye(columns) + 0.5 * np.tri(columns))
    return np.asarray(mixed)


# --- the same number, computed by others ------------------------------------------------------------------------------


def test_the_auc_is_that_of_scikit_learn_on_the_scores_of_rows_it_has_not_learned_from() -> None:
    rng = random(1)
    before, after = table(3000, rng), table(400, rng) + 0.1
    layout = lay_out(3000, 400, alike=True)
    features = table_features(before, after, layout)
    folds = Learner(features, layout).out_of_fold(len(layout.lengths))
    scores = [
        roc_auc_score(
            np.repeat([1, 0], [len(f.target), sum(map(len, f.others))]), np.concatenate([f.target, *f.others])
        )
        for f in folds
    ]
    assert domain_classifier(before, after, rng).value == pytest.approx(np.mean(scores), abs=1e-12)
    # Nothing of the rows that are scored has a part in what is learned: neither of the window nor of the others.
    learned = [Learner(features, layout)._weighed(len(layout.lengths), fold) for fold in range(FOLDS)]
    for fold in range(FOLDS):
        other = features.sums.copy()
        other.reshape(-1, FOLDS, other.shape[1])[fold:-1:FOLDS] += 1e3
        other[-FOLDS + fold] += 1e3
        blind = Learner(replace(features, sums=other), layout)
        blind.scale = Learner(features, layout).scale
        for before_, after_ in zip(learned[fold], blind._weighed(len(layout.lengths), fold), strict=True):
            assert np.array_equal(before_, after_)
    # Every row is scored once, and the quarters of the window are consecutive.
    assert sum(len(fold.target) for fold in folds) == len(layout.current)
    assert sum(len(told) for fold in folds for told in fold.others) == len(layout.reference)
    bounds = parts_of(layout)
    assert [len(fold.target) for fold in folds] == np.diff(bounds[-FOLDS - 1 :]).tolist()


def test_a_classifier_that_learns_noise_is_not_believed() -> None:
    """A hundred columns and sixty rows of a window: any learner tells the rows it has learned from apart perfectly."""
    rng = random(2)
    values = [domain_classifier(rng.normal(size=(600, 100)), rng.normal(size=(60, 100)), rng).value for _ in range(10)]
    assert abs(float(np.mean(values)) - 0.5) < 0.05


def test_the_reconstruction_error_is_that_of_scikit_learn_with_each_stretch_held_out() -> None:
    rng = random(3)
    before, after = table(2400, rng), table(800, rng) * 1.2
    layout = lay_out(2400, 800)
    first, second = standardised(before[layout.reference], after[layout.current])
    kept = PCA(0.9, svd_solver="full").fit(first).n_components_
    held, new = np.empty(len(first)), np.zeros(len(second))
    for place in layout.stretches:
        known = PCA(kept).fit(np.delete(first, place, axis=0))
        lost = [side - known.inverse_transform(known.transform(side)) for side in (first[place], second)]
        held[place] = np.linalg.norm(lost[0], axis=1)
        new += np.linalg.norm(lost[1], axis=1) / len(layout.stretches)
    expected = abs(new.mean() - np.mean([held[place].mean() for place in layout.stretches])) / held.std()
    found = pca_reconstruction(before, after, rng)
    assert found.value == pytest.approx(expected, rel=1e-9)
    assert found.value > 0.2
    means = [held[place].mean() / held.std() for place in layout.stretches]
    others = [abs(mean - np.mean([*means[:place], *means[place + 1 :]])) for place, mean in enumerate(means)]
    assert found.held_out == pytest.approx(others, rel=1e-9)


def plain_discrepancy(kernel: FloatArray, reference: FloatArray, current: FloatArray, blocks: Blocks) -> float:
    """MMD² over all pairs of rows from different blocks, in plain sums, over the reference's variance."""
    number = np.repeat(np.arange(len(blocks.lengths)), blocks.lengths)
    apart = number[:, None] != number
    rows = len(reference)
    first, second = apart[:rows, :rows], apart[rows:, rows:]
    within = kernel[:rows, :rows][first].mean(), kernel[rows:, rows:][second].mean()
    return float((within[0] + within[1] - 2 * kernel[:rows, rows:].mean()) / (1 - within[0]))


def test_the_discrepancy_is_that_of_all_pairs_of_rows() -> None:
    rng = random(4)
    before, after = rng.standard_normal((1200, 8)), 0.4 + rng.standard_normal((600, 8))
    layout = lay_out(1200, 600)
    blocks = Blocks.of(layout)
    before, after = before[layout.reference], after[layout.current]
    found = mmd(before, after, random(5))
    known = Fourier.drawn(before[np.arange(500) * len(before) // 500], random(5))
    phases = (np.vstack([before, after]) / known.unit - known.center) @ known.frequencies
    waves = np.hstack([np.cos(phases), np.sin(phases)]) / math.sqrt(phases.shape[1])
    same_kernel = plain_discrepancy(waves @ waves.T, before, after, blocks)
    assert found.value**2 == pytest.approx(same_kernel, rel=1e-4)  # phases are in single precision
    apart = np.linalg.norm(before[:500, None] - before[None, :500], axis=2)[np.triu_indices(500, 1)]
    gaussian = rbf_kernel(np.vstack([before, after]), gamma=1 / (2 * np.median(apart) ** 2))
    assert found.value**2 == pytest.approx(plain_discrepancy(gaussian, before, after, blocks), rel=0.15)


@settings(max_examples=100, deadline=None)
@given(some.floats(1e-7, 0.05), some.integers(0, 10**6))
def test_the_threshold_is_where_the_p_value_is_the_level(level: float, seed: int) -> None:
    rng = random(seed)
    held_out = 0.5 + 0.02 * rng.standard_normal(12)
    nulls = (
        Student(0.5, 0.02, 11.0), Student(0.0, 0.05, 7.0, sides=2), SquaredGamma(1e-5, 1e-3, 0.7), SquaredGamma(0, 1e-3, 0),
        CubeRoot(Student(0.1, 0.02, 11.0), 1e-3), TwoThirds(Student(0.0, 0.1, 11.0, sides=2)), Kolmogorov(500.0),
    )  # fmt: skip
    for null in nulls:
        found = Comparison(0.0, (null,), held_out - 10, 100, 1000)
        at = found.value_at(level)
        assert null.p_value(at) == pytest.approx(level, rel=1e-6)
    every = Comparison(0.0, nulls, held_out, 100, 1000).value_at(level)
    beyond = Comparison(every * (1 + 1e-9) + 1e-12, nulls, held_out, 100, 1000)
    assert beyond.p_value <= level * (1 + 1e-6)
    below = Comparison(every - 1e-6, nulls, held_out, 100, 1000)
    assert below.p_value > level


def test_students_predictive_tail_is_scipys() -> None:
    null = Student(0.5, 0.02, 11.0)
    assert null.p_value(0.6) == pytest.approx(stats.t.sf(5, 11), rel=1e-9)
    gamma = stats.pearson3(0.7, loc=1e-5, scale=1e-3)
    assert SquaredGamma(1e-5, 1e-3, 0.7).p_value(0.07) == pytest.approx(gamma.sf(0.07**2), rel=1e-9)


def test_what_is_known_of_features_without_holding_them_is_what_their_columns_say() -> None:
    rng = random(28)
    rows, bounds = rng.standard_normal((90, 5)), np.array([0, 20, 50, 90])
    edges = [np.array([-1.0, 0.0, 1.0]), np.empty(0), np.array([0.5]), np.array([-0.3, 0.3]), np.empty(0)]
    texts = objects(["a ship", "at sea", None, "a ship at sea", "ahoy"] * 18)
    for block in (Plain(rows), Products(rows), Binned(rows, edges), Hashed(hashed_ngrams(texts))):
        sums, (squares, fourths) = block.sums(bounds), block.moments()
        columns = block.columns(np.arange(sums.shape[1]))
        assert np.add.reduceat(columns, bounds[:-1]) == pytest.approx(sums, rel=1e-5, abs=1e-6)
        assert (columns**2).sum(axis=0) == pytest.approx(squares, rel=1e-5, abs=1e-6)
        assert (columns**4).sum(axis=0) == pytest.approx(fourths, rel=1e-5, abs=1e-6)
        some_places = np.array([0, 2])
        assert np.array_equal(block.columns(some_places), columns[:, some_places])


# --- unchanged data ---------------------------------------------------------------------------------------------------


def at_most(count: int, of: int, chance: float) -> bool:
    """Whether so many successes are no surprise, at one in a thousand, where each has this chance."""
    return float(stats.binom.sf(count - 1, of, chance)) > 1e-3


@pytest.mark.parametrize("rho", [0.0, 0.7])
@of_numbers
def test_p_values_on_unchanged_rows_are_not_too_small(name: str, rho: float) -> None:
    """Independent and autocorrelated rows; a window follows on its reference after a pause."""
    rng, found = random(6, int(10 * rho)), []
    for rows in (120, 400):
        for _ in range(60):
            made = series(1500 + rows, 5, rho, rng)
            found.append(OF_NUMBERS[name](made[:1450], made[1500:], rng).p_value)
    for level in (0.2, 0.05, 0.01, 1e-3):
        assert at_most(sum(p <= level for p in found), len(found), level)
    assert max(found) > 0.3  # and not all large for a bad reason


@of_numbers
def test_a_reference_that_is_restless_from_window_to_window_finds_no_drift_in_one_more_of_these(name: str) -> None:
    rng, found = random(7), []
    for _ in range(150):
        day = np.repeat(np.arange(12), 60)
        spread = np.exp(0.4 * rng.standard_normal((13, 1)))
        before = rng.standard_normal((720, 6)) * spread[day] + 0.5 * rng.standard_normal((12, 6))[day]
        after = rng.standard_normal((360, 6)) * spread[12] + 0.5 * rng.standard_normal(6)
        found.append(OF_NUMBERS[name](before, after, rng, day).p_value)
    for level in (0.1, 0.01, 1e-3):
        assert at_most(sum(p <= level for p in found), len(found), level)
    # Where each day is like the others, the same shift is beyond doubt.
    shift = np.array([0.9, -0.9, 0.6, 0.6, -0.3, 0.0])
    before, after = rng.standard_normal((1800, 6)), rng.standard_normal((900, 6)) + shift
    day = np.repeat(np.arange(12), 150)
    if name != "pca_reconstruction":
        assert OF_NUMBERS[name](before, after, rng, day).p_value < 1e-4


def test_the_permutations_of_mmd_alone_are_right_about_independent_rows() -> None:
    rng, found = random(26), []
    for _ in range(150):
        chance = mmd(rng.standard_normal((900, 3)), rng.standard_normal((150, 3)), rng)
        found.append(chance.nulls[0].p_value(chance.value))
    for level in (0.02, 0.1, 0.3):
        count = sum(p <= level for p in found)
        assert at_most(count, len(found), level)
        assert float(stats.binom.cdf(count, len(found), level)) > 1e-3
    moved = mmd(rng.standard_normal((900, 3)), rng.standard_normal((150, 3)) + 0.5, rng)
    assert moved.nulls[0].p_value(moved.value) < 1e-4


def test_a_category_of_a_few_rows_is_not_learned_from() -> None:
    """One row in two thousand holds each of 60 categories: one of them more or less in the window is chance."""
    rng, screened = random(27), []
    for _ in range(5):
        rare = rng.random((2400, 60)) < 1 / 2000
        layout = lay_out(2000, 400, alike=True)
        features = table_features(rare[:2000] * 1.0, rare[2000:] * 1.0, layout)
        learner = Learner(features, layout)
        screened += [len(learner._weighed(target, 0)[0]) - features.kept for target in range(len(layout.targets))]
    assert np.mean(screened) < 0.5


def test_the_far_tail_on_unchanged_rows_is_not_too_thick() -> None:
    rng = random(8)
    found = [domain_classifier(rng.normal(size=(400, 2)), rng.normal(size=(60, 2)), rng).p_value for _ in range(600)]
    for level in (0.01, 1e-3, 1e-4):
        assert at_most(sum(p <= level for p in found), len(found), level)


# --- changes that are there -------------------------------------------------------------------------------------------


def test_a_correlation_that_flips_is_found_by_the_rows_and_by_no_column() -> None:
    rng = random(9)
    before, after = table(6000, rng), table(1000, rng)
    after[:, 1] *= -1
    assert domain_classifier(before, after, rng).value > 0.8
    assert pca_reconstruction(before, after, rng).value > 0.5
    assert domain_classifier(before, after, rng).p_value < 1e-6
    assert pca_reconstruction(before, after, rng).p_value < 1e-4
    for place in range(20):
        assert stats.ks_2samp(before[:, place], after[:, place]).pvalue > 1e-3 / 20


def test_an_embedding_that_moves_in_one_direction_is_found() -> None:
    rng = random(10)
    before, after = rng.standard_normal((10_000, 64)), rng.standard_normal((2000, 64))
    after[:, 17] += 0.3
    found = domain_classifier(before, after, rng)
    assert found.value > 0.55
    assert found.p_value < 1e-3
    assert mmd(before, after, rng).p_value < 0.05
    moved = mmd(before, rng.standard_normal((2000, 64)) + 0.1, rng)  # all of it, a little
    assert moved.value == pytest.approx(0.1, abs=0.03)
    assert moved.p_value < 1e-5


def test_a_vector_of_many_numbers_is_found_to_have_moved() -> None:
    rng = random(11)
    spread = 1 / np.sqrt(1 + np.arange(300))
    turn = np.linalg.qr(rng.standard_normal((300, 300)))[0]
    before, after = ((rng.standard_normal((rows, 300)) * spread) @ turn for rows in (5000, 800))
    quiet = domain_classifier(before, after, rng)
    moved = domain_classifier(before, after + 0.5 * spread[3] * turn[3], rng)
    assert quiet.p_value > 0.01
    assert moved.value > 0.58
    assert moved.p_value < 1e-3


@pytest.mark.parametrize(
    ("change", "least"),
    [
        (lambda rows, _: rows + np.array([0.3, 0, 0, 0]), 0.55),
        (lambda rows, _: rows * [1, 1.5, 1, 1], 0.57),
        (lambda rows, _: rows * [1000, 1, 1, 1], 0.9),
        (lambda rows, rng: np.where(rng.random(rows.shape) < [0.3, 0, 0, 0], np.nan, rows), 0.6),
        (lambda rows, rng: np.where(rng.random(rows.shape) < [0, 0, 0.2, 0], 1.5, rows), 0.57),
    ],
    ids=["shift", "spread", "unit", "missing values", "one value too often"],
)
def test_the_domain_classifier_finds(change: Callable[..., FloatArray], least: float) -> None:
    rng = random(12)
    before, after = rng.standard_normal((6000, 4)), change(rng.standard_normal((1000, 4)), rng)
    found = domain_classifier(before, after, rng)
    assert found.value > least
    assert found.p_value < 1e-3


# --- tables -----------------------------------------------------------------------------------------------------------

NUMERIC, CATEGORICAL = ColumnKind.NUMERIC, ColumnKind.CATEGORICAL


def objects(values: Any) -> ObjectArray:
    made = np.empty(len(values), dtype=object)
    made[:] = list(values)
    return made


def test_a_category_is_a_column_and_so_are_the_missing_and_the_unseen() -> None:
    stretch = np.array([0, 0, 0, 1, 1, 1])
    columns = (Column("size", NUMERIC), Column("flag", CATEGORICAL))
    before = {"size": np.array([1.0, 2, 3, 4, 5, 6]), "flag": objects(["a", "a", "b", "a", "b", "b"])}
    after = {"size": np.array([1.0, np.nan, 2]), "flag": objects(["b", None, "new"])}
    first, second = encode_table(before, after, columns, stretch)
    assert first[:, 2:].tolist() == [[1, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0]]
    assert second[:, 1:].tolist() == [[0, 0, 1, 0, 0], [1, 0, 0, 1, 0], [0, 0, 0, 0, 1]]
    coded = {**before, "flag": Coded(np.array([0, 0, 1, 0, 1, 1], dtype=np.int32), ("a", "b"))}
    assert np.array_equal(encode_table(coded, after, columns, stretch)[0], first)


def test_a_table_stays_narrow_however_many_categories_there_are() -> None:
    rng = random(13)
    columns = tuple(Column(f"c{place}", CATEGORICAL) for place in range(10))
    before, after = (
        {c.name: objects(rng.integers(0, 5000, rows).astype(str)) for c in columns} for rows in (4000, 500)
    )
    first, second = encode_table(before, after, columns, cut_evenly(4000, 500))
    assert first.shape[1] == second.shape[1] <= WIDTH + 10 * 6


def test_a_column_of_names_in_which_all_is_new_at_all_times_is_no_drift() -> None:
    rng = random(14)
    columns = (Column("id", CATEGORICAL), Column("size", NUMERIC))
    names = objects([f"user-{number}" for number in range(2600)])
    before = {"id": names[:2000], "size": rng.standard_normal(2000)}
    after = {"id": names[2000:], "size": rng.standard_normal(600)}
    stretch = cut_evenly(2000, 600)
    found = domain_classifier(*encode_table(before, after, columns, stretch), rng, stretch)
    assert found.p_value > 0.01
    few = {**before, "id": objects(rng.choice(["a", "b", "c"], 2000))}
    strange = {**after, "id": objects(rng.choice(["a", "b", "c", "d"], 600))}
    found = domain_classifier(*encode_table(few, strange, columns, stretch), rng, stretch)
    assert found.value > 0.58
    assert found.p_value < 1e-3


def adult(shared_data: Path) -> tuple[Any, tuple[Column, ...]]:
    import pandas as pd

    frame = pd.read_parquet(shared_data / "adult" / "adult.parquet")
    left_out = {"row", "fnlwgt", "income_gt_50k", "native_country"}
    kinds = {name: NUMERIC if frame[name].dtype.kind in "if" else CATEGORICAL for name in frame if name not in left_out}
    return frame, tuple(Column(name, kind) for name, kind in kinds.items())


def values_of(frame: Any, columns: tuple[Column, ...]) -> dict[str, Any]:
    return {
        c.name: frame[c.name].to_numpy(np.float64)
        if c.kind is NUMERIC
        else objects([value if isinstance(value, str) else None for value in frame[c.name].tolist()])
        for c in columns
    }


def test_random_halves_of_real_people_are_alike_and_those_born_elsewhere_are_not(shared_data: Path) -> None:
    frame, columns = adult(shared_data)
    home = frame[frame.native_country == "United-States"].sample(frac=1, random_state=1)
    others = frame[frame.native_country.notna() & (frame.native_country != "United-States")]
    sides = {"home": home.iloc[10_000:13_000], "others": others.sample(3000, random_state=1)}
    found = {}
    for name, rows in sides.items():
        stretch = cut_evenly(10_000, 3000)
        pair = encode_table(values_of(home.iloc[:10_000], columns), values_of(rows, columns), columns, stretch)
        found[name] = [statistic(*pair, random(15), stretch) for statistic in (domain_classifier, pca_reconstruction)]
    assert min(each.p_value for each in found["home"]) > 0.01
    assert found["home"][0].value < 0.55
    assert found["others"][0].value > 0.7
    assert max(each.p_value for each in found["others"]) < 1e-3


# --- texts ------------------------------------------------------------------------------------------------------------

ENGLISH = (
    "the a ship lies at anchor in bay wind from west is rising and sea calm watch takes bearings on fixed marks".split()
)
GERMAN = (
    "das ein schiff liegt vor anker in bucht wind aus westen nimmt zu und see ruhig wache peilt feste marken an".split()
)


def sentences(rows: int, words: list[str], rng: np.random.Generator) -> ObjectArray:
    return objects([" ".join(rng.choice(words, 3 + rng.poisson(6))) for _ in range(rows)])


@pytest.mark.parametrize(
    ("change", "least"),
    [
        (lambda texts, rng: sentences(len(texts), GERMAN, rng), 0.99),
        (lambda texts, _: objects([t.replace("e", "Ã©") for t in texts]), 0.95),
        (lambda texts, rng: objects([t if rng.random() < 0.7 else "" for t in texts]), 0.6),
        (lambda texts, rng: objects([t if rng.random() < 0.7 else None for t in texts]), 0.6),
        (lambda texts, _: objects([t + " " + t for t in texts]), 0.9),
        (lambda texts, _: objects([t.replace("anchor", "berth") for t in texts]), 0.6),
    ],
    ids=["another language", "broken encoding", "empty", "missing", "repeated", "another word"],
)
def test_texts_are_told_apart(change: Callable[..., ObjectArray], least: float) -> None:
    rng = random(16)
    before, after = sentences(3000, ENGLISH, rng), sentences(300, ENGLISH, rng)
    assert text_domain_classifier(before, after, rng).p_value > 0.01
    found = text_domain_classifier(before, change(after, rng), rng)
    assert found.value > least
    assert found.p_value < 1e-3


def test_unchanged_texts_are_rarely_told_apart() -> None:
    rng = random(17)
    found = [
        text_domain_classifier(sentences(400, ENGLISH, rng), sentences(60, ENGLISH, rng), rng).p_value
        for _ in range(60)
    ]
    for level in (0.1, 0.01):
        assert at_most(sum(p <= level for p in found), len(found), level)


def test_what_is_said_of_a_text_is_what_one_counts() -> None:
    found = text_descriptors(objects(["Wind: 12 kn", "", None, "   ", "日本 語"]))
    told = {name: column.tolist() for name, column in found.items()}
    expected = {
        "characters": [11, 0, math.nan, 3, 4], "words": [3, 0, math.nan, 0, 2], "mean_word_length": [3, 0, math.nan, 0, 1.5],
        "non_letters": [3 / 11, 0, math.nan, 0, 0], "empty": [0, 1, math.nan, 1, 0],
    }  # fmt: skip
    for name, column in expected.items():
        assert told[name] == pytest.approx(column, nan_ok=True)


@settings(max_examples=60, deadline=None)
@given(some.lists(some.text(max_size=30) | some.none(), min_size=1, max_size=8))
def test_n_grams_are_those_of_the_text_alone(texts: list[str | None]) -> None:
    """Whatever stands in it, and whatever stands beside it: a row is the same in another batch, and of length 1 or 0."""
    whole = hashed_ngrams(objects(texts)).toarray()
    for place, value in enumerate(texts):
        assert np.allclose(whole[place], hashed_ngrams(objects([value])).toarray()[0])
        has_words = value is not None and bool(value.split())
        assert np.linalg.norm(whole[place]) == pytest.approx(float(has_words), abs=1e-5)


def test_n_grams_count_words_and_threes_without_collisions_to_speak_of() -> None:
    found = hashed_ngrams(objects(["ship at"])).toarray()[0]
    # " sh", "shi", "hip", "ip ", "p a", " at", "at " and two words
    assert np.count_nonzero(found) == 9
    words = objects([f"w{number}" for number in range(3000)])
    assert np.unique(hashed_ngrams(words).indices).size > 2000


# --- one column -------------------------------------------------------------------------------------------------------


def test_one_column_is_scored_by_kolmogorov_and_smirnov_with_stretches_held_out() -> None:
    rng = random(18)
    exact = registry.load("statistic", "ks").STATISTIC.exact
    stretch = cut_evenly(3000, 300)
    before, after = rng.poisson(8, 3000).astype(float), rng.poisson(8, 300).astype(float)
    quiet = compare_column(exact, before, after, stretch)
    layout = lay_out(3000, 300, stretch, alike=True)
    both = before[layout.reference], after[layout.current]
    assert quiet.value == pytest.approx(stats.ks_2samp(*both).statistic, abs=1e-12)
    assert quiet.p_value > 0.01
    assert compare_column(exact, before, after + 3, stretch).p_value < 1e-5


# --- what is degenerate -----------------------------------------------------------------------------------------------

NOTHING = np.zeros((300, 0))


@of_numbers
@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (np.zeros((0, 3)), np.zeros((9, 3)), "no rows to compare"),
        (np.ones((300, 3)), np.ones((7, 3)), "expected at least 40 rows, got 7"),
        (np.eye(50, 3), np.ones((60, 3)), "expected at least 200 rows in the reference, got 50"),
        (np.ones((300, 3)), np.ones((60, 4)), "expected rows of 3 numbers as in the reference, got rows of 4"),
        (NOTHING, NOTHING[:60], "no columns to compare"),
    ],
)
def test_too_little_is_no_data_with_what_would_be_enough(name: str, before: Any, after: Any, said: str) -> None:
    with pytest.raises(NoData, match=said):
        OF_NUMBERS[name](before, after, random(0))


def rows_of(kind: str, rows: int, rng: np.random.Generator) -> FloatArray:
    made = {
        "constant": lambda: np.full((rows, 3), 7.0),
        "one column": lambda: rng.standard_normal((rows, 1)),
        "all missing": lambda: np.full((rows, 3), np.nan),
        "half missing": lambda: np.where(rng.random((rows, 3)) < 0.5, np.nan, rng.standard_normal((rows, 3))),
        "infinite": lambda: np.where(rng.random((rows, 3)) < 0.1, np.inf, rng.standard_normal((rows, 3))),
        "huge": lambda: rng.standard_normal((rows, 3)) * 1e300,
        "tiny": lambda: rng.standard_normal((rows, 3)) * 1e-300,
        "two values": lambda: rng.integers(0, 2, (rows, 3)).astype(float),
        "the same twice": lambda: np.repeat(rng.standard_normal((rows, 1)), 3, axis=1),
        "usual": lambda: rng.standard_normal((rows, 3)),
        "one strange": lambda: np.vstack([np.full((1, 3), 1e9), rng.standard_normal((rows - 1, 3))]),
    }
    return made[kind]()


KINDS = ["constant", "one column", "all missing", "half missing", "infinite", "huge", "tiny", "two values", "the same twice",
         "usual", "one strange"]  # fmt: skip


@pytest.mark.filterwarnings("error")
@of_numbers
@pytest.mark.parametrize("after", KINDS)
@pytest.mark.parametrize("before", KINDS)
def test_whatever_the_rows_hold_there_is_a_value_or_a_reason(name: str, before: str, after: str) -> None:
    rng = random(19)
    try:
        found = OF_NUMBERS[name](rows_of(before, 300, rng), rows_of(after, 60, rng), rng)
    except NoData as reason:
        assert str(reason)  # noqa: PT017 - either is right
        return
    statistic = registry.load("statistic", name).STATISTIC
    assert statistic.low <= found.value <= statistic.high
    assert math.isfinite(found.value)
    assert 0 <= found.p_value <= 1
    assert not math.isnan(found.value_at(1e-4))
    if before == after:
        assert found.p_value > 1e-3


@pytest.mark.parametrize(
    "texts", [[""] * 300, [None] * 300, ["\ud800"] * 300, ["x" * 20_000] * 300, ["a"] * 299 + [None]]
)
def test_whatever_the_texts_hold_there_is_a_value_or_a_reason(texts: list[str | None]) -> None:
    rng = random(20)
    usual = sentences(300, ENGLISH, rng)
    for before, after in (
        (objects(texts), usual[:60]),
        (usual, objects(texts[:60])),
        (objects(texts), objects(texts[:60])),
    ):
        try:
            found = text_domain_classifier(before, after, rng)
        except NoData as reason:
            assert str(reason) == "the reference has no text"  # noqa: PT017
            continue
        assert 0 <= found.value <= 1
        assert 0 <= found.p_value <= 1


@of_numbers
def test_the_same_rows_give_the_same_numbers_and_nothing_else_is_touched(name: str) -> None:
    before, after = table(600, random(21)), table(100, random(22))
    copies = before.copy(), after.copy()
    before.flags.writeable = after.flags.writeable = False
    state = np.random.get_state()[1].copy()  # noqa: NPY002 - the global generator is what must not change
    first, second = (OF_NUMBERS[name](before, after, random(23)) for _ in range(2))
    assert (first.value, first.p_value, first.value_at(1e-4)) == (second.value, second.p_value, second.value_at(1e-4))
    assert np.array_equal(before, copies[0])
    assert np.array_equal(after, copies[1])
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_scikit_learn_is_not_imported() -> None:
    """The daemon's slim image has none, and a child that starts without it starts faster."""
    code = (
        "import sys, numpy as np\n"
        "from monitor.stats.domain_classifier import domain_classifier\n"
        "rng = np.random.default_rng(0)\n"
        "domain_classifier(rng.normal(size=(300, 3)), rng.normal(size=(60, 3)), rng)\n"
        "print([name for name in ('sklearn', 'pandas', 'scipy.stats') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_memory_of_mmd_is_bounded() -> None:
    """Vectors of 768 numbers, 5,000 on either side: what is needed beside them is well below 100 MB."""
    code = (
        "import resource, numpy as np\n"
        "from monitor.stats.mmd import mmd\n"
        "rng = np.random.default_rng(0)\n"
        "mmd(rng.normal(size=(300, 8)), rng.normal(size=(60, 8)), rng)\n"
        "rows = rng.normal(size=(5000, 768)), rng.normal(size=(5000, 768))\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "mmd(*rows, rng)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(found.stdout) / 1024 < 100


# --- which rows -------------------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(some.integers(200, 5000), some.integers(40, 5000), some.booleans())
def test_no_stretch_has_more_rows_than_the_window(rows: int, current_rows: int, alike: bool) -> None:
    layout = lay_out(rows, current_rows, alike=alike)
    assert 8 <= len(layout.lengths) <= MOST_STRETCHES
    assert layout.lengths.max() <= current_rows
    assert len(layout.reference) == layout.lengths.sum()
    assert np.all(np.diff(layout.reference) > 0)
    assert layout.reference[-1] < rows
    assert len(layout.current) == (int(np.median(layout.lengths)) if alike else current_rows)
    assert np.all(np.diff(parts_of(layout)) > 0)


def hours(number: int, rows: int) -> FloatArray:
    return np.sort(np.repeat(np.arange(number) * 3600.0, rows) + random(24).uniform(0, 3600, number * rows))


def test_of_a_long_reference_whole_windows_are_picked() -> None:
    times = hours(700, 100)
    order = random(25).permutation(len(times))
    places = pick_stretches(times[order], seconds=3600.0, limit=2000)
    picked = times[order][places]
    assert np.all(np.diff(picked) >= 0)
    assert np.unique(picked // 3600, return_counts=True)[1].tolist() == [100] * 20
    numbers, how = number_stretches(picked, seconds=3600.0, current_rows=100)
    assert how == "by_stretches"
    assert len(np.unique(numbers)) == 20


@pytest.mark.parametrize(
    ("times", "how"),
    [
        (np.zeros(50_000), "undated_reference"),
        (hours(3, 5000), "short_reference"),
        (hours(700, 10), "thin_reference"),
        (np.append(hours(700, 100), np.nan), "by_stretches"),
    ],
)
def test_what_stretches_can_tell_is_named(times: FloatArray, how: str) -> None:
    places: IntArray = pick_stretches(times, seconds=3600.0, limit=5000)
    assert 200 <= len(places) <= 7000
    assert len(places) <= 5000 or len(times) == 7000
    assert number_stretches(times[places], seconds=3600.0, current_rows=400)[1] == how


@settings(max_examples=60, deadline=None)
@given(some.integers(0, 10**6), some.integers(1, 10**6), some.sampled_from([60.0, 3600.0, 86400.0]))
def test_windows_of_a_span_lie_within_it_on_the_grid(start: int, length: int, seconds: float) -> None:
    span = Window(float(start), float(start + length))
    found = windows_of(span, seconds)
    if found == [span]:
        assert length < 10 * seconds
        return
    assert 8 <= len(found) <= 16
    assert all(window.start % seconds == 0 and window.end - window.start == seconds for window in found)
    assert span.start <= found[0].start
    assert found[-1].end <= span.end
    assert all(before.end <= after.start for before, after in pairwise(found))
