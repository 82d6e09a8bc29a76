"""Backtests of real data by the command itself, and promises about what they find."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from benchmarks._populations import ROOT


@dataclass(frozen=True)
class Promise:
    """What is expected, and what was seen."""

    data: str
    text: str
    seen: str
    holds: bool


@dataclass(frozen=True)
class Replay:
    """The result of one backtest."""

    findings: list[dict[str, Any]]
    alerts: list[dict[str, Any]]
    starts: list[str] = field(init=False)

    def __post_init__(self) -> None:
        judged = sorted({each["window"]["start"] for each in self.of("drift")})
        object.__setattr__(self, "starts", judged)

    def of(self, check: str, *features: str) -> list[dict[str, Any]]:
        """The last word on each window: findings of a check, about these features if any are named."""
        last: dict[tuple[Any, ...], dict[str, Any]] = {}
        for each in self.findings:
            key = each["feature"], each["statistic"], each["version"], each["window"]["start"]
            if each["check"] == check and (key not in last or not each["provisional"]):
                last[key] = each
        return [each for each in last.values() if not features or each["feature"] in features]

    def breached(self, *features: str, check: str = "drift", since: str = "", until: str = "~") -> list[str]:
        """Starts of the windows in which any of these features has a breach; "~" is after every date."""
        found = {each["window"]["start"] for each in self.of(check, *features) if each["verdict"] == "breached"}
        return sorted(start for start in found if since <= start < until)

    def windows(self, since: str = "", until: str = "~") -> list[str]:
        """Starts of the windows that were judged."""
        return [start for start in self.starts if since <= start < until]

    def ever(self) -> list[str]:
        """Every feature that is judged, in order."""
        return list(dict.fromkeys(each["feature"] for each in self.of("drift") if each["feature"]))


def backtest(model: dict[str, Any]) -> Replay:
    """Replay one model with the command itself.

    Raises:
        RuntimeError: the command failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "anchorwatch.yml"
        config.write_text(yaml.safe_dump({"data_dir": "data", "apps": [{"name": "real", "models": [model]}]}))
        output = Path(folder) / "found.json"
        command = [sys.executable, "-m", "monitor.cli", "backtest", "-c", str(config), "--quiet"]
        command += ["--format", "json", "--output", str(output)]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if ended.returncode:
            raise RuntimeError(f"backtest failed: {ended.stderr.strip()[-1000:]}")
        found = json.loads(output.read_text(encoding="utf-8"))
    return Replay(found["findings"], found["alerts"])


def dates(starts: Sequence[str]) -> str:
    """Some dates."""
    if not starts:
        return "none"
    return ", ".join(start[:10] for start in starts[:4]) + (f" and {len(starts) - 4} more" if len(starts) > 4 else "")


def share(found: Sequence[Any], among: Any) -> str:
    return f"{len(found)} of {len(among)}"
