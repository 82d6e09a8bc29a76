"""Result tables: printed, and committed under `results/` with the command and the machine that made them."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy

HERE = Path(__file__).resolve().parent / "results"


def machine() -> str:
    """What ran it, in one line."""
    cpu = platform.processor() or platform.machine()
    told = Path("/proc/cpuinfo")
    if told.exists():
        names = [
            line.partition(":")[2].strip() for line in told.read_text().splitlines() if line.startswith("model name")
        ]
        cpu = names[0] if names else cpu
    python = f"Python {platform.python_version()}, NumPy {np.__version__}, SciPy {scipy.__version__}"
    return f"{cpu}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}; {python}"


def command() -> str:
    """How this program was called, from the top of the repository."""
    program = Path(sys.argv[0])
    return " ".join([f"python benchmarks/{program.name}", *sys.argv[1:]])


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """A Markdown table; the first `left` columns are text, the others figures.

    >>> print(markdown(["a", "b"], [["x", "1"]]))
    | a | b |
    |---|--:|
    | x | 1 |
    """
    marks = ["---" if place < left else "--:" for place in range(len(header))]
    lines = [f"| {' | '.join(header)} |", f"|{'|'.join(marks)}|", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join(lines)


def write(name: str, title: str, body: str, data: Any, folder: Path = HERE) -> None:
    """Write `name.md` and `name.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    head = f"# {title}\n\nMade by `{command()}` on {machine()}.\n"
    (folder / f"{name}.md").write_text(f"{head}\n{body.rstrip()}\n", encoding="utf-8")
    told = {"command": command(), "machine": machine(), **data}
    text = json.dumps(told, indent=1, allow_nan=False, default=_plain)
    (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"expected something JSON can hold, got {type(value).__name__}")
