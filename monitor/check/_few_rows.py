"""The share of rows that is too much where there are so few rows that one of them is a large share."""

from __future__ import annotations

from functools import lru_cache

from monitor.calibrate.special import beta_distribution

PLAIN = 100  # from so many rows on a share is what it is
CHANCE = 0.001


@lru_cache(maxsize=4096)
def limit_for(limit: float, rows: int) -> float:
    """The limit of a share for so many rows: at most this is still ok.

    Below a hundred rows a breach takes more rows than would come by chance if the share in the long run were just the limit:
    the exact binomial tail (Clopper & Pearson, Biometrika 26, 1934) is at most one in a thousand. So one missing value
    of twenty is no breach of a limit of 1 %, and four are.

    Args:
        limit: between 0 and 1.
        rows: at least 0.

    >>> limit_for(0.01, 100), limit_for(0.01, 20), limit_for(0.0, 20)
    (0.01, 0.15, 0.0)
    """
    if rows >= PLAIN or rows <= 0 or limit in (0.0, 1.0):
        return limit
    for count in range(1, rows + 1):
        if float(beta_distribution(float(count), rows - count + 1.0, limit)) <= CHANCE:
            return max((count - 1) / rows, limit)
    return 1.0
