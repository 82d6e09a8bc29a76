"""Every metric: its name, its help text, its labels; the values behind them; and their exposition.

The families of the collectors stand in the collectors' own files and are gathered from there.
"""

from monitor.metrics._families import CORE, families
from monitor.metrics._models import OF_CHECKS
from monitor.metrics._page import Metrics

__all__ = ["CORE", "OF_CHECKS", "Metrics", "families"]
