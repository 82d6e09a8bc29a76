"""Can rows of one stretch be told apart from those of the others? A linear discriminant on many simple features.

The features are screened before they are weighed, since a shift that is worth seeing is often one of few columns, or of one
pair: of those that are not always kept, only what differs by more than the largest of so many independent normal values would
(Donoho and Johnstone's universal threshold, Biometrika 81, 1994) has a say. What is left is weighed by a ridge regression with
a penalty of its own for each feature, as if its weight came from a normal distribution with the variance that the screening saw.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monitor.records import FloatArray, IntArray
from monitor.stats._comparison import Comparison, Student, beyond_stretches, by_blocks
from monitor.stats._features import Features
from monitor.stats._layout import FOLDS, Layout, block_means, blocks_of, parts_of, spread

SCREENED = 64  # at most so many features beside those that are always kept
PRIOR = (
    0.05  # squared distance of the two sides' means, in standard deviations, that the kept features may hold together
)
COVARIANCE_ROWS = 3000
SPARSE = 4.0  # how much less is believed of a feature that few rows hold


@dataclass(frozen=True, slots=True)
class Fold:
    """Scores of rows that had no part in learning: of the target (a window or a stretch), and of the others, by stretch."""

    target: FloatArray
    others: list[FloatArray]
    stretches: list[int]


def compare_by_discriminant(features: Features, layout: Layout) -> Comparison:
    """AUC of the window against the reference: 0.5 where they are alike, 1 where they are told apart perfectly.

    Learned on three quarters of the window and of the reference's stretches and scored on the last quarter, in turns; the
    quarters of the window are consecutive, and no stretch is in two of them. Somewhat below 0.5 is chance too, and stays so.
    """
    learner = Learner(features, layout)
    window = len(layout.lengths)
    folds = learner.out_of_fold(window)
    held_out = np.array([mean_auc(learner.out_of_fold(target)) for target in range(window)])
    rows, stretch = len(layout.reference), float(np.median(layout.lengths))
    nulls = (
        _null_by_blocks(folds, layout),
        beyond_stretches(held_out, center=0.5, least=_mann_whitney(stretch, rows - stretch)),
    )
    return Comparison(mean_auc(folds), nulls, held_out, len(layout.current), rows)


class Learner:
    """Learns to tell any target, the window or one of the stretches, from the (other) stretches of the reference.

    Args:
        features: of all rows.
        layout: how the rows are cut.
    """

    def __init__(self, features: Features, layout: Layout) -> None:
        self.features, self.layout = features, layout
        self.bounds = parts_of(layout)
        rows = int(self.bounds[-1])
        means = features.sums.sum(axis=0) / rows
        variances = np.maximum(features.squares / rows - means**2, 0.0)
        # A feature of few rows (a rare category) has a mean that is far from normal: its kurtosis tells how far.
        tails = features.fourths / rows / np.maximum(variances, 1e-12) ** 2
        scale = np.sqrt(variances * (1 + SPARSE * tails / float(np.median(layout.lengths))))
        self.scale = np.where(variances > 1e-9, scale, np.inf)
        self.stretch_sums = features.sums.reshape(-1, FOLDS, features.sums.shape[1])[:-1].sum(axis=1)
        self.fold_of = np.arange(len(layout.lengths)) % FOLDS

    def out_of_fold(self, target: int) -> list[Fold]:
        """The scores of each fold by what was learned on the others; `target` is a stretch, or their number for the window."""
        weighed = [self._weighed(target, fold) for fold in range(FOLDS)]
        used = np.unique(np.concatenate([places for places, _, _ in weighed]))
        values = self.features.columns(used) / self.scale[used]
        covariance = np.atleast_2d(np.cov(values[spread(len(values), COVARIANCE_ROWS)], rowvar=False, bias=True))
        folds = []
        for fold, (places, difference, penalty) in enumerate(weighed):
            at = np.searchsorted(used, places)
            weight = np.linalg.solve(covariance[np.ix_(at, at)] + np.diag(penalty), difference)
            first, end = self.bounds[target * FOLDS + fold], self.bounds[target * FOLDS + fold + 1]
            others = [s for s in np.flatnonzero(self.fold_of == fold).tolist() if s != target]
            scores = values[:, at] @ weight
            told = [scores[self.layout.stretches[stretch]] for stretch in others]
            folds.append(Fold(scores[first:end], told, others))
        return folds

    def _weighed(self, target: int, fold: int) -> tuple[IntArray, FloatArray, FloatArray]:
        """The features that are heard, how far apart the two sides are in each, and the ridge's penalty on it."""
        own = [target * FOLDS + other for other in range(FOLDS) if other != fold]
        sizes = np.diff(self.bounds)
        others = [s for s in np.flatnonzero(self.fold_of != fold).tolist() if s != target]
        rows, other_rows = sizes[own].sum(), self.layout.lengths[others].sum()
        apart = self.features.sums[own].sum(axis=0) / rows - self.stretch_sums[others].sum(axis=0) / other_rows
        apart = apart / self.scale
        weight = rows * other_rows / (rows + other_rows)
        beyond = np.maximum(weight * apart**2 - self.features.gates, 0.0)
        kept = self.features.kept
        loudest = kept + np.argsort(-beyond[kept:], kind="stable")[:SCREENED]
        places = np.append(np.arange(kept), np.sort(loudest[beyond[loudest] > 0]))
        prior = beyond[places] / weight + np.where(places < kept, PRIOR / max(kept, 1), 0.0)
        return places, apart[places], 1 / (weight * prior)


def mean_auc(folds: list[Fold]) -> float:
    """The mean over the folds of the area under the ROC curve, ties counted half."""
    return float(np.mean([placements(fold.target, np.concatenate(fold.others)).mean() for fold in folds]))


def placements(scores: FloatArray, others: FloatArray) -> FloatArray:
    """For each score the share of the others that lie below it, ties counted half; their mean is the AUC.

    >>> placements(np.array([0.0, 2.0]), np.array([0.0, 1.0])).tolist()
    [0.25, 1.0]
    """
    rising = np.sort(others)
    below, upto = (np.searchsorted(rising, scores, side=side) for side in ("left", "right"))
    return np.asarray((below + upto) / (2 * len(others)))


def _null_by_blocks(folds: list[Fold], layout: Layout) -> Student:
    """What the AUC follows where nothing differs but blocks: clustered placements (Obuchowski, Biometrics 53, 1997)."""
    own = np.concatenate([placements(fold.target, np.concatenate(fold.others)) for fold in folds])
    stretches = [1 - placements(told, fold.target).mean() for fold in folds for told in fold.others]
    chance = _mann_whitney(len(layout.current), len(layout.reference))
    return by_blocks(block_means(own, blocks_of(len(own))), np.array(stretches), center=0.5, least_current=chance)


def _mann_whitney(rows: float, other_rows: float) -> float:
    """Standard deviation of the AUC of independent rows that are alike (Mann and Whitney, 1947)."""
    return float(np.sqrt((rows + other_rows + 1) / (12 * rows * other_rows)))
