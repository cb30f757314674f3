"""What was delivered does not pass again; what is merely late does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.gate import Gate


def passed(gate: Gate, ids: list[int] | list[str]) -> list[int | str]:
    return [each for each in ids if gate.offer(each)]


@pytest.mark.parametrize("ids", [[7, 8, 7, 9], ["a", "b", "a", "c"]])
def test_id_passes_once(ids: list[int] | list[str]) -> None:
    assert passed(Gate(), ids) == [ids[0], ids[1], ids[3]]


def test_late_id_passes() -> None:
    assert passed(Gate(), [1, 3, 2, 4]) == [1, 3, 2, 4]


def test_what_a_new_socket_repeats_does_not_pass() -> None:
    gate = Gate()
    passed(gate, list(range(1, 200)))

    gate.on_new_socket()

    assert passed(gate, list(range(100, 210))) == list(range(200, 210))


def test_numbering_that_began_anew_passes() -> None:
    gate = Gate()
    passed(gate, [5_000_000_000])

    gate.on_new_socket()

    assert passed(gate, [1, 2, 3]) == [1, 2, 3]


def test_newer_quotes_of_a_venue_that_restarted_pass() -> None:
    """Ids of a quiet book are small: they are not far below, but the venue's time says that they are new."""
    gate = Gate()
    for number in range(5000, 5100):
        gate.offer(number, number * 1000)

    gate.on_new_socket()

    repeated = [gate.offer(number, number * 1000) for number in range(5000, 5100)]
    anew = [gate.offer(number, 6_000_000 + number) for number in range(1, 200)]
    assert (any(repeated), all(anew)) == (False, True)


def test_the_same_id_with_a_later_time_is_a_repetition() -> None:
    gate = Gate()
    gate.offer(7, 1000)

    gate.on_new_socket()

    assert (gate.offer(7, 4000), gate.offer(8, 5000)) == (False, True)


def test_late_id_passes_again_once_the_new_socket_has_moved_on() -> None:
    gate = Gate()
    passed(gate, [1, 2, 5])
    gate.on_new_socket()

    assert passed(gate, [5, 6, 4]) == [6, 4]


@given(st.lists(st.integers(-(2**63) + 1, 2**63 - 1), max_size=300))
def test_nothing_passes_twice_while_two_sockets_deliver(ids: list[int]) -> None:
    gate = Gate()
    gate.begin_overlap()

    out = passed(gate, ids + ids)

    assert sorted(out) == sorted(set(ids))


@pytest.mark.parametrize("make", [int, str])
def test_what_the_socket_that_stayed_still_repeats_does_not_pass(make: type[int | str]) -> None:
    """It lags by more than the gate remembers of a single socket."""
    gate = Gate()
    gate.offer(make(1))
    gate.begin_overlap()
    for number in range(2, 500):
        assert gate.offer(make(number))

    gate.end_overlap()

    repeated = [gate.offer(make(number)) for number in range(2, 500)]
    anew = [gate.offer(make(number)) for number in range(500, 600)]
    assert (any(repeated), all(anew)) == (False, True)


def test_messages_are_known_while_two_sockets_deliver_only() -> None:
    gate = Gate()

    assert not gate.has_frame(b"x")
    gate.begin_overlap()
    assert gate.frames == set()
    gate.end_overlap()
    assert gate.frames is None
    assert gate.seen is None
