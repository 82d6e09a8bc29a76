"""What all tests share: the real data, free ports and golden files."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

HERE = Path(__file__).resolve().parent
SHARED_DATA = Path(os.environ.get("ANCHORWATCH_SHARED_DATA", HERE.parent.parent / "shared" / "data"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden-update", action="store_true", help="rewrite tests/golden/ instead of comparing with it")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A rewrite of the golden files runs the tests that have one, and no others."""
    if not config.getoption("--golden-update"):
        return
    keep = [item for item in items if "golden" in getattr(item, "fixturenames", ())]
    config.hook.pytest_deselected(items=[item for item in items if item not in keep])
    items[:] = keep


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not SHARED_DATA.is_dir():
        text = f"{SHARED_DATA} is absent: tests on real data were SKIPPED (set ANCHORWATCH_SHARED_DATA to its place)"
        terminalreporter.section("real data", sep="!", red=True, bold=True)
        terminalreporter.line(text, red=True)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the real data sets; the test is skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"expected real data in {SHARED_DATA}, which is absent")
    return SHARED_DATA


def _free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody listens on; all are held until the last is found, so they differ."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@pytest.fixture
def free_port() -> int:
    """One free port of the loopback interface."""
    return _free_ports(1)[0]


@pytest.fixture(scope="session")
def free_ports() -> Callable[[int], list[int]]:
    """So many different free ports of the loopback interface."""
    return _free_ports


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """`golden(name, text)` holds the text against `tests/golden/<name>`, or writes it there with `--golden-update`."""

    def compare(name: str, text: str) -> None:
        path = HERE / "golden" / name
        if request.config.getoption("--golden-update"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            return
        assert path.is_file(), f"expected the golden file {path}; write it with `make golden` and read it"
        assert text == path.read_text(encoding="utf-8"), f"{name} has changed; if that is meant, run `make golden`"

    return compare
