"""Every test of the store runs on both databases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers import PostgreSQL, postgresql
from tests.store import rows


@pytest.fixture(scope="session")
def database() -> Iterator[PostgreSQL]:
    """One PostgreSQL for all tests of this process."""
    with postgresql() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)], autouse=True)
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where `rows.opened` puts its stores: files, or schemas of a PostgreSQL."""
    if request.param == "postgresql":
        if request.node.get_closest_marker("files_only"):
            pytest.skip("about files")
        rows.DATABASE = request.getfixturevalue("database").url()
    yield request.param
    rows.DATABASE = None
