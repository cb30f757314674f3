"""The fault engine decides: no socket, time passed in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.errors import ConfigError
from connectors.mock.faults import FAULTS, FaultEngine, Silence, make_fault, parse_fault


def engine(*texts: str, seed: int = 0) -> FaultEngine:
    found = FaultEngine(seed, lambda payload: payload + b"!")
    for text in texts:
        found.add(parse_fault(text))
    for conn in (1, 2):
        found.on_open(conn, 100.0)
    return found


def send(
    found: FaultEngine, count: int, topic: str = "t", conn: int = 1, now_s: float = 100.0
) -> list[bytes]:
    """What leaves when messages 0, 1, 2 ... are sent; fragments joined by '|'."""
    out = []
    for i in range(count):
        out += [b"|".join(parts) for parts in found.on_data(conn, topic, b"%d" % i, now_s)]
    return out


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("drop:every=3", b"0 1 3 4 6 7"),
        ("drop:after_n=2,count=2", b"0 1 4 5 6 7"),
        ("duplicate:every=4", b"0 1 2 3 3 4 5 6 7 7"),
        ("reorder:every=3,count=1", b"0 1 3 2 4 5 6 7"),
        ("corrupt_checksum:every=8", b"0 1 2 3 4 5 6 7!"),
        ("freeze:after_n=5", b"0 1 2 3 4"),
        ("drop:topic=x*", b"0 1 2 3 4 5 6 7"),
        ("drop:topic=t*", b""),
        ("drop:conn=2", b"0 1 2 3 4 5 6 7"),
        ("drop:conn=1", b""),
    ],
)
def test_data_faults(fault, expected):
    assert b" ".join(send(engine(fault), 8)) == expected


def test_fragments_are_the_message():
    assert send(engine("fragment:parts=3"), 1) == [b"0"]
    ((parts),) = engine("fragment:parts=3").on_data(1, "t", b"abcdefg", 100.0)
    assert parts == (b"abc", b"def", b"g")


def test_fault_lives_in_its_time_window_of_the_connection():
    found = engine("drop:after_s=1,for_s=2")

    at = [bool(send(found, 1, now_s=100.0 + second)) for second in (0, 0.9, 1, 2.9, 3, 10)]

    assert at == [True, True, False, False, True, True]


def test_new_subscription_ends_a_freeze_of_that_topic_and_connection_only():
    found = engine("freeze:count=2")
    send(found, 1, "a")
    send(found, 1, "b")

    found.on_subscribe(1, "a", 100.0)

    assert send(found, 2, "a") == [b"0", b"1"]
    assert send(found, 2, "b") == []
    assert send(found, 2, "b", conn=2) == [b"0", b"1"]


def test_silent_subscriptions():
    found = engine("never_ack:topic=a", "ack_silent:topic=b")

    assert found.on_subscribe(1, "a", 100.0) is Silence.NEVER_ACKED
    assert found.on_subscribe(1, "b", 100.0) is Silence.ACKED_SILENT
    assert found.on_subscribe(1, "c", 100.0) is None
    assert (send(found, 2, "a"), send(found, 2, "b"), send(found, 2, "c")) == ([], [], [b"0", b"1"])
    # Each strikes once: the second request is served.
    assert found.on_subscribe(1, "a", 100.0) is None
    assert send(found, 1, "a") == [b"0"]


def test_half_open_stays_until_the_connection_is_gone():
    found = engine("half_open:after_s=1,conn=1")

    assert not found.is_half_open(1, 100.5)
    assert found.is_half_open(1, 101.5)
    assert not found.is_half_open(2, 101.5)
    found.on_close(1)
    assert not found.is_half_open(1, 200.0)


def test_clear_takes_a_fault_away():
    found = engine("drop", "delay_pong:rtt_ms=50")
    assert send(found, 1) == []

    found.clear("drop")

    assert send(found, 1) == [b"0"]
    assert found.pong_delay_s(1, 100.0) == 0.05


def test_strikes_are_counted_by_name():
    found = engine("drop:every=2", "duplicate:every=5")
    send(found, 20)
    assert found.struck == {"drop": 10, "duplicate": 4 - 2}


@given(st.integers(0, 1000), st.floats(0.1, 0.9))
def test_same_seed_strikes_the_same_messages(seed, p):
    assert send(engine(f"drop:p={p}", seed=seed), 50) == send(engine(f"drop:p={p}", seed=seed), 50)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("drp", "did you mean 'drop'"),
        ("zzz", "expected one of drop"),
        ("drop:evry=2", "unknown option 'evry'; it has topic, conn"),
        ("drop:every=two", "every: expected int, got 'two'"),
        ("drop:every=0", "expected every >= 1"),
        ("drop:p=2", "p in 0..1"),
        ("drop:=3", "expected name:key=value"),
    ],
)
def test_wrong_fault_is_refused_with_what_was_expected(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_fault(text)


def test_topic_may_hold_commas_and_braces():
    fault = parse_fault('drop:topic={"channel":"books","instId":"*"},every=2')
    assert fault.topic == '{"channel":"books","instId":"*"}'
    assert fault.every == 2


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_of_the_table_can_be_made_with_its_own_options(name):
    own = FAULTS[name][1]
    fault = make_fault(name, **own)
    assert fault.name == name
    for key, value in own.items():
        assert fault.extra.get(key, getattr(fault, key, None)) == value
