"""docs/configuration.md is what the code says."""

from __future__ import annotations

import importlib.util
import re
from types import ModuleType

import pytest

from monitor import registry
from tests.config.files import HERE

TOP = HERE.parents[1]


@pytest.fixture(scope="module")
def program() -> ModuleType:
    path = TOP / "scripts" / "configuration_page.py"
    spec = importlib.util.spec_from_file_location("configuration_page", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_current(program: ModuleType) -> None:
    current = (TOP / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert current == program.build(), "expected the page as the code has it; run scripts/configuration_page.py"


def test_every_plugin_and_every_planned_one_is_on_the_page(program: ModuleType) -> None:
    page = program.PAGE.read_text(encoding="utf-8")
    for kind in ("probe", "source", "check", "receiver", "trigger"):
        for name in registry.known(kind):
            assert f"{kind}: {name}\n" in page or f"`apps[].{'scrape' if name == 'prometheus' else name}`" in page, name
        assert all(f"`{name}`" in page for name in registry.PLANNED[kind])
    assert all(f"| `{name}` |" in page for name in registry.known("guard"))


def test_every_row_of_the_page_has_a_meaning(program: ModuleType) -> None:
    rows = [line for line in program.PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert len(rows) > 80
    assert all(re.fullmatch(r"\| `\S+` \| .+ \| .* \| \S.* \|", row) for row in rows)
