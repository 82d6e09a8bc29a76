"""The recording rules that compute PSI from the counters of rows by bin, over a range of time and over all replicas."""

from __future__ import annotations

from typing import Any

from monitor.stats._shares import FLOOR

EVERY, EVERY_OF_DAYS = "30s", "5m"

_COUNTER, _REFERENCE = "anchorwatch_feature_bin_total", "anchorwatch_feature_bin_reference_ratio"
_GROWTH = f"anchorwatch:feature_bin:increase{EVERY}"
_OF_FEATURE = "app, model, version, feature, reference"
_OF_BIN = f"{_OF_FEATURE}, bin"


def _growth() -> dict[str, str]:
    """Rows since the evaluation before, of all replicas; one that began anew has counted what its counter shows.

    Not `increase`, which extrapolates to the ends of its range, by other factors for replicas that are scraped at other
    moments: these differences are whole numbers, and add up to exactly what was counted.
    """
    before = f"{_COUNTER} offset {EVERY}"
    expr = f"sum by ({_OF_BIN}) (\n  {_COUNTER} - {before} >= 0\n  or\n  {_COUNTER} < {before}\n)\n"
    return {"record": _GROWTH, "expr": expr}


def _shares(over: str) -> dict[str, str]:
    rows = f"(sum_over_time({_GROWTH}[{over}]))"
    expr = f"sum by ({_OF_BIN}) {rows}\n/ on ({_OF_FEATURE}) group_left ()\n(sum by ({_OF_FEATURE}) {rows} > 0)\n"
    return {"record": f"anchorwatch:feature_bin_ratio:{over}", "expr": expr}


def _psi(over: str) -> dict[str, str]:
    """As `monitor.stats.psi` has it: shares are floored, and not scaled again."""
    current = f"clamp_min(anchorwatch:feature_bin_ratio:{over}, {FLOOR:g})"
    reference = f"clamp_min(max by ({_OF_BIN}) ({_REFERENCE}), {FLOOR:g})"
    expr = f"sum by ({_OF_FEATURE}) (\n  ({current} - {reference})\n  * ln({current} / {reference})\n)\n"
    return {"record": f"anchorwatch:feature_psi:{over}", "expr": expr}


HOURLY: tuple[dict[str, str], ...] = (_growth(), _shares("1h"), _psi("1h"))
DAILY: tuple[dict[str, str], ...] = (_shares("1d"), _psi("1d"))
RULES = (*HOURLY, *DAILY)

MEANINGS = {
    _GROWTH: f"rows by bin that came in since the evaluation {EVERY} before, over all daemons",
    "anchorwatch:feature_bin_ratio:1h": "share of the last hour's rows in each bin, over all daemons",
    "anchorwatch:feature_psi:1h": "PSI of the last hour's rows against the reference, over all daemons",
    "anchorwatch:feature_bin_ratio:1d": "share of the last day's rows in each bin, over all daemons",
    "anchorwatch:feature_psi:1d": "PSI of the last day's rows against the reference, over all daemons",
}

TEXT = f"""
PSI is computed from `{_COUNTER}`, which counts rows **as they arrive**, whatever their event time, by the bins of the
reference. The label `reference` names its content, so it is the same on every replica, wherever this has its copy. What is
compared is the reference as it was drawn: one that trails, or is matched by season, is judged by the daemon alone.

- **Exact**: a row is counted once, in one transaction with a mark in the store. Series stand at 0 for a minute before they
  count, so a new version, a restart and rows that waited are seen whole where Prometheus scrapes at least once a minute.
- **Lost** to Prometheus is what a process had counted when it ended and no scrape and evaluation had seen; and what grew
  while the rules were not evaluated though the daemons were scraped.
- **For another range** ask for `sum by ({_OF_BIN}) (sum_over_time({_GROWTH}[6h]))`.
  `increase({_COUNTER}[6h])` will do where a small error does. It extrapolates to the ends of its range: by one factor for all
  bins of a daemon, whose shares therefore stay what they are (but for bins that stood near 0 when the range began), and by
  different factors for different daemons, so that their weights are off by up to a scrape interval over the range.
- **The offset is the interval** of the group: who evaluates it at another interval changes both.
"""


def groups() -> list[dict[str, Any]]:
    """The groups of the rules file: days are long to read, and change slowly."""
    return [
        {"name": "anchorwatch-bins", "interval": EVERY, "rules": list(HOURLY)},
        {"name": "anchorwatch-bins-of-a-day", "interval": EVERY_OF_DAYS, "rules": list(DAILY)},
    ]
