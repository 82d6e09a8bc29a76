"""Pages built from the code say what the code says, and no link leads nowhere."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").rglob("*.md")])


def test_the_metrics_page_is_current() -> None:
    """Every metric with its labels and its help: `python scripts/metrics_page.py` writes it anew."""
    path = ROOT / "scripts" / "metrics_page.py"
    spec = importlib.util.spec_from_file_location("metrics_page", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text(encoding="utf-8") == module.page()


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}, which is not there"


def test_no_page_keeps_a_placeholder() -> None:
    for page in PAGES:
        assert "@@" not in page.read_text(encoding="utf-8"), page.name
