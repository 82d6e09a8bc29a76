"""What the README and the CI tell people to type exists."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]


def targets() -> set[str]:
    """The targets of the Makefile, as make itself reads them."""
    listed = subprocess.run(["make", "-pnq", "help"], cwd=TOP, capture_output=True, text=True, check=False).stdout
    return set(re.findall(r"^([a-z][a-z-]*):", listed, re.MULTILINE))


def commands(text: str) -> list[str]:
    """The targets of all `make …` commands in a text, in code blocks and in inline code."""
    lines = re.findall(r"^\s*(?:\$ |exec )?make ((?:[a-z][a-z-]*[ \t]*)+)", text, re.MULTILINE)
    return [target for line in [*lines, *re.findall(r"`make ([a-z-]+)`", text)] for target in line.split()]


def test_the_promised_targets_exist() -> None:
    assert {"install", "run", "test", "test-fast", "lint", "golden", "bench"} <= targets()


@pytest.mark.parametrize("page", ["README.md", ".ci/run", "CONTRIBUTING.md", ".pre-commit-config.yaml"])
def test_every_make_command_that_is_told_exists(page: str) -> None:
    path = TOP / page
    told = commands(path.read_text(encoding="utf-8")) if path.is_file() else []
    assert set(told) <= targets()


def test_a_command_is_found_wherever_it_stands() -> None:
    """The rule above isn't kept by finding no commands."""
    text = "Say `make lint`, or:\n\n    make run\n\n```\n$ make test golden\n```\nThis will make sense.\n"
    assert commands(text) == ["run", "test", "golden", "lint"]


def test_ci_runs_all_tests() -> None:
    script = TOP / ".ci" / "run"
    assert commands(script.read_text(encoding="utf-8")) == ["test"]
    assert os.access(script, os.X_OK)
