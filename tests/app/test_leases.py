"""Who does what: the same answer for all, and little changes hands."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as some

from monitor.app.leases import owner_of, unit_of

NAMES = some.lists(some.text(min_size=1, max_size=8), min_size=1, max_size=5, unique=True)


@given(NAMES, some.text(max_size=8))
def test_all_agree_whose_a_unit_is_in_whichever_order_they_know_each_other(alive: list[str], unit: str) -> None:
    assert owner_of(unit, alive) == owner_of(unit, alive[::-1])
    assert owner_of(unit, alive) in alive


@given(NAMES, some.text(max_size=8))
def test_only_what_was_the_leaver_s_changes_hands(alive: list[str], unit: str) -> None:
    owner = owner_of(unit, alive)
    for gone in alive:
        left = [each for each in alive if each != gone]
        if left and gone != owner:
            assert owner_of(unit, left) == owner


def test_shares_are_about_equal() -> None:
    units = [unit_of(f"app {place}", f"model {place}") for place in range(3000)]
    shares = Counter(owner_of(unit, ["a", "b", "c"]) for unit in units)
    assert all(900 < count < 1100 for count in shares.values())
