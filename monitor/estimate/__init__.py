"""Performance before the labels come, and whether to believe it. Pure.

`confidence` estimates the metrics of a classifier from its own probabilities, `loss` those of a regression from a model of its
errors, and `reliability` compares earlier estimates with what came true.
"""

from monitor.estimate._estimate import Estimate, Metric
from monitor.estimate.confidence import ConfidenceEstimator, fit_confidence
from monitor.estimate.loss import LossEstimator, fit_loss
from monitor.estimate.reliability import CalibrationCounts, Checked, Reliability, Trust, reliability

__all__ = [
    "CalibrationCounts",
    "Checked",
    "ConfidenceEstimator",
    "Estimate",
    "LossEstimator",
    "Metric",
    "Reliability",
    "Trust",
    "fit_confidence",
    "fit_loss",
    "reliability",
]
