"""The design's one-way rule: a module imports only what stands above it."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from monitor.registry import FOLDERS
from tests.structure.import_graph import imports, modules, violations

ROOT = Path(__file__).resolve().parents[2] / "monitor"
HEAVY = ["pandas", "scipy", "duckdb", "pyarrow", "sklearn", "evidently"]


def test_the_code_keeps_the_one_way_rule() -> None:
    """No import goes against the order, the pure parts are pure, no plug-in knows another."""
    assert not violations(ROOT, FOLDERS)


def test_the_walk_sees_the_real_code() -> None:
    """The rule above isn't kept by looking at nothing."""
    seen = {(each.importer, each.imported) for each in imports(ROOT)}
    assert ("monitor.options", "pydantic") in seen
    assert ("monitor.stats.psi", "monitor.records") in seen
    assert len(modules(ROOT)) > 30


def test_the_daemon_starts_without_what_is_heavy() -> None:
    """Importing the daemon loads none of the libraries that are kept for rare work."""
    program = "import json, sys, monitor.app; print(json.dumps(sorted(sys.modules)))"
    if not (ROOT / "app.py").is_file() and not (ROOT / "app").is_dir():
        pytest.skip("monitor.app is still to come")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT.parent)
    loaded = json.loads(done.stdout)
    assert "monitor.app" in loaded
    assert [name for name in HEAVY if name in loaded] == []


def test_every_library_the_code_imports_is_declared() -> None:
    """Nothing works only because another library happens to bring it along."""
    project = tomllib.loads((ROOT.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {_distribution(line) for line in project["dependencies"] + project["optional-dependencies"]["reports"]}
    declared |= {"anchorwatch", "pydantic-core"}  # the latter is pinned to the version by pydantic
    tops = {each.imported.partition(".")[0] for each in imports(ROOT)} - set(sys.stdlib_module_names) - {"monitor"}
    owners = packages_distributions()
    undeclared = {top for top in tops if not {_distribution(name) for name in owners.get(top, [])} & declared}
    assert "numpy" in tops
    assert undeclared == set()


def test_what_is_loaded_when_asked_for_is_in_the_extra_that_is_named() -> None:
    """The message that a package is missing says what to install, and that brings it."""
    project = tomllib.loads((ROOT.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {name: {_distribution(line) for line in held} for name, held in project["optional-dependencies"].items()}
    always = {_distribution(line) for line in project["dependencies"]}
    named = set()
    for path in modules(ROOT).values():
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "optional":
                said = [each.value if isinstance(each, ast.Constant) else None for each in call.args]
                if said[1] is not None and said[2] is not None:
                    named.add((said[1], said[2]))
    assert ("redis", "redis") in named
    assert [(package, extra) for package, extra in named if package not in always | extras.get(extra, set())] == []


def _distribution(requirement: str) -> str:
    return re.split(r"[<>=!~\[;]", requirement)[0].strip().lower().replace("_", "-")


CLEAN = {
    "__init__.py": "",
    "records.py": "import json\n",
    "profile/__init__.py": "from monitor.records import Window\nfrom .bins import draw\n",
    "profile/bins.py": "import math\nimport numpy as np\nfrom .. import records\n",
    "stats/__init__.py": "",
    "stats/psi.py": "from monitor.profile import bins\n",
    "stats/mae.py": "",
    "check/__init__.py": "",
    "check/_windows.py": "",
    "check/drift.py": "import requests\nfrom monitor.check import _windows\nfrom monitor.stats import psi\n",
    "retrain/__init__.py": "",
    "retrain/guards/__init__.py": "",
    "retrain/guards/cooldown.py": "",
    "client.py": "import requests\n",
    "cli.py": "from monitor import retrain, check\n",
}


def planted(folder: Path, **changes: str) -> Path:
    for name, text in (CLEAN | changes).items():
        path = folder / "monitor" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder / "monitor"


def test_a_tree_that_keeps_the_rule_has_no_violations(tmp_path: Path) -> None:
    kinds = {"check": "check", "guard": "retrain/guards"}
    assert violations(planted(tmp_path), kinds) == []


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (
            "records.py",
            "import monitor.cli\n",
            ["monitor/records.py:1: records imports cli, which doesn't stand above it"],
        ),
        (
            "records.py",
            "import os\nfrom . import check\n",
            ["monitor/records.py:2: records imports check, which doesn't stand above it"],
        ),
        (
            "check/_windows.py",
            "def late():\n    from ..cli import main\n",
            ["monitor/check/_windows.py:2: check imports cli, which doesn't stand above it"],
        ),
        (
            "check/_windows.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from monitor.retrain.guards import cooldown\n",
            ["monitor/check/_windows.py:3: check imports retrain, which doesn't stand above it"],
        ),
        (
            "check/_windows.py",
            "import importlib\nimportlib.import_module('monitor.cli')\n",
            ["monitor/check/_windows.py:2: check imports cli, which doesn't stand above it"],
        ),
        (
            "__init__.py",
            "from monitor.records import Window\n",
            ["monitor/__init__.py:1: monitor imports records, which doesn't stand above it"],
        ),
        ("stats/psi.py", "import requests\n", ["monitor/stats/psi.py:1: stats is pure and imports requests"]),
        (
            "stats/psi.py",
            "def f():\n    from os import path\n",
            ["monitor/stats/psi.py:2: stats is pure and imports os"],
        ),
        ("stats/psi.py", "import datetime\n", ["monitor/stats/psi.py:1: stats is pure and imports datetime"]),
        (
            "retrain/guards/cooldown.py",
            "from monitor.check import drift\n",
            [
                "monitor/retrain/guards/cooldown.py:1: the plug-in monitor.retrain.guards.cooldown imports the plug-in monitor.check.drift"
            ],
        ),
        (
            "client.py",
            "from monitor.records import Window\n",
            ["monitor/client.py:1: client imports records, which doesn't stand above it"],
        ),
        (
            "cli.py",
            "from monitor import client\n",
            ["monitor/cli.py:1: cli imports client, which doesn't stand above it"],
        ),
        (
            "helpers.py",
            "import os\n",
            ["monitor/helpers: expected a part that stands in ORDER (tests/structure/import_graph.py)"],
        ),
    ],
)
def test_a_planted_violation_is_reported(tmp_path: Path, name: str, text: str, expected: list[str]) -> None:
    """Whatever way an import is written, the rule sees it, and says where it stands."""
    kinds = {"check": "check", "guard": "retrain/guards"}
    assert violations(planted(tmp_path, **{name: text}), kinds) == expected


def test_a_pure_part_may_not_use_what_stands_above_it_but_is_not_pure(tmp_path: Path) -> None:
    root = planted(tmp_path, **{"options.py": "", "profile/bins.py": "from monitor.options import Options\n"})
    assert violations(root, {}) == ["monitor/profile/bins.py:1: profile is pure and imports monitor.options"]
