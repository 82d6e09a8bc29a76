"""Writes what is built from the one rule set: `python alerts/build.py`. A test holds them to it."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from monitor.alert.rules import RULES  # noqa: E402
from monitor.provision import alertmanager, grafana_files, prometheus  # noqa: E402
from monitor.provision.rule_page import page  # noqa: E402


def built() -> dict[Path, str]:
    """Every file that is built from the rules, by its path in the checkout."""
    grafana = grafana_files.build(RULES, prometheus_url="http://prometheus:9090", boards="/var/lib/dashboards")
    return {
        Path("alerts") / prometheus.FILE: prometheus.build(),
        Path("alerts") / alertmanager.FILE: alertmanager.build(),
        Path("docs/alerts.md"): page(),
        Path("deploy/anchorwatch.yml"): _opened((ROOT / "examples/bikes/anchorwatch.yml").read_text(encoding="utf-8")),
        Path("deploy/alertmanager.yml"): alertmanager.build(token_file=None, slack_file=None),
        **{Path("deploy/grafana") / name: text for name, text in grafana.items()},
    }


def _opened(example: str) -> str:
    """The example's configuration for compose.yml, where the daemon is reached from other containers."""
    head = "# examples/bikes/anchorwatch.yml for compose.yml, whose network nobody else is on; written by alerts/build.py.\n"
    return f"{head}auth: none\n{example}"


if __name__ == "__main__":
    for path, text in built().items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(text, encoding="utf-8")
