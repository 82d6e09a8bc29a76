"""What tests of files begin with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def nothing_known(tmp_path: Path) -> Iterator[None]:
    """As a daemon that has just started in an empty folder, before the test and after it."""
    # Not above: what files need is imported by tests of files alone.
    from monitor.source import _delta as delta
    from monitor.source import _index as index
    from monitor.source import _left_out as left_out
    from tests.source.growing import anew

    index.remember_in(tmp_path / "data" / "files")
    left_out._SAID.clear()
    delta._SAID.clear()
    anew()
    yield
    index._FOLDER.clear()
    anew()
