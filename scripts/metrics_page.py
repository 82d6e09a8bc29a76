"""Writes docs/metrics.md from the families in the code; a test holds the page to it."""

from __future__ import annotations

from pathlib import Path

from monitor.metrics import families

PAGE = Path(__file__).resolve().parents[1] / "docs" / "metrics.md"

HEAD = """# Metrics

<!-- Built by scripts/metrics_page.py from the code; a test keeps it true. -->

Everything the daemon exposes on `/metrics`, in the text and the OpenMetrics format. A result that is no longer true is
withdrawn, so a gauge never freezes green; `anchorwatch_check_state` is always there. `anchorwatch_model_performance` has the
unit of its metric, drift scores that of their statistic. Beside these there is `process_*`, about the daemon itself. To see an
app's owner on any series, join `anchorwatch_app_info` by `app`.

| metric | type | labels | what it says |
|---|---|---|---|
"""


def page() -> str:
    """The page as it should be."""
    rows = [
        f"| `{family.name}` | {family.kind} | {', '.join(f'`{label}`' for label in family.labels)} | {family.help} |\n"
        for _, family in sorted(families().items())
    ]
    return HEAD + "".join(rows)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
