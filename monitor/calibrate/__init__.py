"""Thresholds from the reference and a budget of false alarms. Pure.

A reference is calibrated once: its own stretches tell how much unchanged data differ from it. From that come, for so many rows,
the p-value of a score and the score that a budget of false alarms allows. `docs/drift.md` tells it in plain words.
"""

from monitor.calibrate.budget import extremal_index, significance_level
from monitor.calibrate.calibration import (
    Calibration,
    Evidence,
    Significance,
    calibrate,
    far_evidence,
    far_p_value,
    kolmogorov_evidence,
    outside_p_value,
    significance,
)

__all__ = [
    "Calibration",
    "Evidence",
    "Significance",
    "calibrate",
    "extremal_index",
    "far_evidence",
    "far_p_value",
    "kolmogorov_evidence",
    "outside_p_value",
    "significance",
    "significance_level",
]
