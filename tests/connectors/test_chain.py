"""Trades whose ids have no holes: what is skipped is counted, what comes late is taken off again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.chain import TradeChain


def noted(chain: TradeChain, *ids: int) -> list[int]:
    return [chain.offer(each) for each in ids]


def test_ids_in_order_miss_nothing() -> None:
    chain = TradeChain("step")

    assert noted(chain, 5, 6, 7) == [0, 0, 0]
    assert (chain.missed, chain.last_id) == (0, 7)


def test_first_id_is_no_jump() -> None:
    assert TradeChain("step").offer(10**12) == 0


def test_skipped_ids_are_counted() -> None:
    chain = TradeChain("step")

    assert noted(chain, 5, 9, 10) == [0, 3, 0]
    assert chain.missed == 3


def test_late_trade_is_taken_off_again() -> None:
    chain = TradeChain("step")

    assert noted(chain, 5, 9, 7) == [0, 3, -1]
    assert noted(chain, 6, 8, 10) == [-1, -1, 0]
    assert chain.missed == 0


def test_trade_from_before_the_first_one_changes_nothing() -> None:
    chain = TradeChain("step")

    assert noted(chain, 5, 3, 6) == [0, 0, 0]


def test_numbering_that_begins_anew_is_no_loss() -> None:
    chain = TradeChain("step")

    assert noted(chain, 10**9, 5, 6) == [0, 0, 0]
    assert chain.missed == 0


def test_id_stands_for_count_consecutive_ones() -> None:
    chain = TradeChain("count")

    assert [chain.offer(5, 1), chain.offer(8, 3), chain.offer(12, 2)] == [0, 0, 2]
    assert chain.missed == 2


def test_count_of_an_aggregated_trade_with_an_id_of_its_own_does_not_matter() -> None:
    chain = TradeChain("step")

    assert [chain.offer(5, 1), chain.offer(6, 3)] == [0, 0]


def test_unknown_rule_is_an_error() -> None:
    with pytest.raises(ValueError, match="step or count"):
        TradeChain("often")


@given(st.permutations(range(1, 30)), st.integers(0, 25))
def test_missed_are_those_between_the_first_and_the_highest_that_never_came(
    order: list[int], kept: int
) -> None:
    chain = TradeChain("step")
    chain.offer(0)

    for each in order[: kept + 1]:
        chain.offer(each)

    came = {0, *order[: kept + 1]}
    assert chain.missed == sum(each not in came for each in range(max(came)))
