"""From a probability to a decision."""

from __future__ import annotations

import math
from collections.abc import Sequence

from monitor.records import FloatArray
from monitor.stats._outcomes import BoolArray


def decided(score: FloatArray, threshold: float) -> BoolArray:
    """Whether each row is taken to be positive: from the threshold on, shape (n,).

    >>> import numpy as np
    >>> decided(np.array([0.4, 0.5, 0.6]), 0.5).tolist()
    [False, True, True]
    """
    decisions: BoolArray = score >= threshold
    return decisions


def threshold_of_costs(costs: Sequence[Sequence[float]]) -> float:
    """The probability from which on it costs less, in the mean, to decide for the positive class.

    `(fp − tn) / ((fp − tn) + (fn − tp))`, if the probabilities hold. Source: Elkan, The foundations of cost-sensitive learning
    (IJCAI 2001), equation 2; his matrix has the predictions in its rows, ours the truth, as a confusion matrix has.

    Args:
        costs: what each outcome costs, `[[tn, fp], [fn, tp]]`, in any unit; what is gained is negative.

    Raises:
        ValueError: it is no such matrix of finite numbers, or a wrong decision costs no more than the right one, so that there is
            nothing to decide.

    >>> threshold_of_costs([[0, 1], [4, 0]])
    0.2
    """
    if len(costs) != 2 or any(len(row) != 2 for row in costs):
        raise ValueError("expected costs [[tn, fp], [fn, tp]]")
    # In quarters, which keeps the differences and their sum within the range of floats.
    (tn, fp), (fn, tp) = ((float(cost) / 4 for cost in row) for row in costs)
    if not all(map(math.isfinite, (tn, fp, fn, tp))):
        raise ValueError("expected costs that are finite")
    if fp <= tn:
        raise ValueError(f"expected a false positive to cost more than a true negative, got {fp * 4:g} and {tn * 4:g}")
    if fn <= tp:
        raise ValueError(f"expected a false negative to cost more than a true positive, got {fn * 4:g} and {tp * 4:g}")
    return (fp - tn) / ((fp - tn) + (fn - tp))
