"""Writes the dashboards' JSON: `python dashboards/build.py`. A test holds them to it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from dashboards.model import model  # noqa: E402
from dashboards.overview import overview  # noqa: E402


def built() -> dict[str, str]:
    """The text of every dashboard, by file name."""
    boards = {"overview.json": overview(), "model.json": model()}
    return {name: json.dumps(board, indent=2) + "\n" for name, board in boards.items()}


if __name__ == "__main__":
    for name, text in built().items():
        (HERE / name).write_text(text, encoding="utf-8")
