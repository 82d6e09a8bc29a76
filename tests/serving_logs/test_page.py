"""The page says what the code does, and the package does nothing but read."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from monitor.serving_logs import Reason, cloudevents
from monitor.serving_logs._binary import DATATYPES
from monitor.serving_logs._outcomes import PREDICTION_NAMES, PROBABILITY_NAMES
from tests.structure.import_graph import imports, part

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "serving-logs.md").read_text(encoding="utf-8")
IMPURE = {
    "asyncio",
    "os",
    "pathlib",
    "shutil",
    "socket",
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "urllib.request",
}


def test_every_reason_is_explained() -> None:
    told = re.findall(r"^\| `(\w+)` \|", PAGE.partition("## What is refused")[2], flags=re.MULTILINE)
    assert sorted(told) == sorted(Reason)


def test_every_reason_is_given_by_some_reader() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "monitor" / "serving_logs").glob("*.py"))
    assert [reason.name for reason in Reason if f"Reason.{reason.name}" not in code] == []


def test_the_names_that_decide_are_told() -> None:
    told = set(re.findall(r"`([^`]+)`", PAGE))
    assert {*PREDICTION_NAMES, *PROBABILITY_NAMES, *DATATYPES, *cloudevents.TYPES} <= told


def test_the_readers_import_nothing_that_reads_the_world() -> None:
    """Bytes in, records out: no I/O, no clock, and nothing of ours but the records."""
    found = {each.imported for each in imports(ROOT / "monitor") if part(each.importer) == "serving_logs"}
    ours = {name for name in found if name.startswith("monitor")}
    assert {part(name) for name in ours} == {"serving_logs", "records"}
    others = {name.partition(".")[0] for name in found - ours}
    assert others <= set(sys.stdlib_module_names) | {"msgspec"}
    assert not (found | others) & IMPURE
