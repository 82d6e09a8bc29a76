"""Writes the table of statistics into docs/drift.md from the code; a test holds the page to it."""

from __future__ import annotations

from pathlib import Path

from monitor import registry
from monitor.records import Statistic

PAGE = Path(__file__).resolve().parents[1] / "docs" / "drift.md"
START = "<!-- statistics: built by scripts/drift_page.py from the code; a test keeps them true -->\n"
END = "<!-- end of statistics -->\n"
HEAD = """| statistic | for | says | unit, range | floor (`material`) | computed from | significance by |
|---|---|---|---|---|---|---|
"""
SIGNIFICANCE = {
    "g_test": "G-test on the same counts",
    "kolmogorov": "Kolmogorov's distribution",
    "resampled": "resampling",
}
FROM = {"counts": "profile", "histogram": "profile", "rows": "rows"}


def table() -> str:
    """The rows of the table, numeric and categorical statistics first."""
    found: list[Statistic] = [registry.load("statistic", name).STATISTIC for name in registry.known("statistic")]
    drift = [statistic for statistic in found if statistic.family == "drift" and statistic.needs in FROM]
    return HEAD + "".join(map(_row, sorted(drift, key=lambda s: (s.needs == "rows", s.name))))


def _row(statistic: Statistic) -> str:
    doc = registry.load("statistic", statistic.name).__doc__ or ""
    says = doc.strip().splitlines()[0].rstrip(".")
    floor = "" if statistic.default_material is None else f"{statistic.default_material:g}"
    kinds = ", ".join(sorted(statistic.applies_to, reverse=True))
    span = f"{statistic.unit}, {statistic.low:g} to {statistic.high:g}".replace("inf", "∞")
    by = "its own resampling" if statistic.needs == "rows" else SIGNIFICANCE[statistic.null]
    return f"| `{statistic.name}` | {kinds} | {says} | {span} | {floor} | {FROM[statistic.needs]} | {by} |\n"


def page() -> str:
    """The page as it should be."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return f"{before}{START}{table()}{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
