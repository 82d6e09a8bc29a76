"""What tests of estimation share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from threadpoolctl import threadpool_limits


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads of a boosting that wait for each other make it several times slower on a busy machine."""
    with threadpool_limits(limits=1, user_api="openmp"):
        yield
