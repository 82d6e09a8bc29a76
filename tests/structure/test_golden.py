"""The fixture `golden` compares, and rewrites only when told to."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # takes seconds, and what it holds seldom breaks

CONFTEST = Path(__file__).resolve().parents[1] / "conftest.py"
TEST = """
def test_page(golden):
    golden("page.txt", {text!r})

def test_other():
    pass
"""


def run(pytester: pytest.Pytester, text: str, *arguments: str) -> pytest.RunResult:
    pytester.makeconftest(CONFTEST.read_text(encoding="utf-8"))
    pytester.makepyfile(TEST.format(text=text))
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments)


def test_a_changed_text_fails_until_the_golden_file_is_rewritten(pytester: pytest.Pytester) -> None:
    page = pytester.path / "golden" / "page.txt"
    run(pytester, "one").assert_outcomes(passed=1, failed=1)
    assert not page.exists()
    run(pytester, "one", "--golden-update").assert_outcomes(passed=1, deselected=1)
    assert page.read_text(encoding="utf-8") == "one"
    run(pytester, "one").assert_outcomes(passed=2)
    run(pytester, "two").assert_outcomes(passed=1, failed=1)
    assert page.read_text(encoding="utf-8") == "one"


def test_absent_real_data_is_said_aloud(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANCHORWATCH_SHARED_DATA", str(pytester.path / "nowhere"))
    pytester.makeconftest(CONFTEST.read_text(encoding="utf-8"))
    pytester.makepyfile("def test_real(shared_data):\n    assert False\n")
    done = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    done.assert_outcomes(skipped=1)
    done.stdout.fnmatch_lines(["*real data*", "*nowhere is absent*SKIPPED*"])
