"""Scheduled judgements: a window's profiles and labels, and the reference → findings.

A check is a module with `Options` and `judge(context, options)`, which returns its findings. It never decides on its own
what is a breach: `monitor.check._verdict` does, for all of them alike.
"""

from monitor.check._calibrations import Calibrations
from monitor.check._columns import labelled_columns
from monitor.check._context import Context
from monitor.check._judge import in_order, is_heavy, judge_model, waits_for_labels
from monitor.check._references import References
from monitor.check._together import Said, explained

__all__ = [
    "Calibrations",
    "Context",
    "References",
    "Said",
    "explained",
    "in_order",
    "is_heavy",
    "judge_model",
    "labelled_columns",
    "waits_for_labels",
]
