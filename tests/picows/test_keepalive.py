"""KeepAlive: when to ping and when to give up. Time is a number here."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from picows import WSAutoPingStrategy
from picows.keepalive import PING_PERIODICALLY, PING_WHEN_IDLE, Action, KeepAlive, check_options

BOTH = pytest.mark.parametrize("strategy", [PING_WHEN_IDLE, PING_PERIODICALLY])


def idle(idle_timeout_s=10.0, reply_timeout_s=4.0):
    return KeepAlive(PING_WHEN_IDLE, idle_timeout_s, reply_timeout_s, 0.0)


def periodic(idle_timeout_s=10.0, reply_timeout_s=4.0):
    return KeepAlive(PING_PERIODICALLY, idle_timeout_s, reply_timeout_s, 0.0)


def test_the_strategies_are_the_public_ones():
    assert (PING_WHEN_IDLE, PING_PERIODICALLY) == (
        WSAutoPingStrategy.PING_WHEN_IDLE,
        WSAutoPingStrategy.PING_PERIODICALLY,
    )


# ----------------------------------------------------------------------------------------------------- idle


def test_a_silent_peer_is_pinged_after_the_idle_timeout():
    keepalive = idle()

    assert keepalive.decide(9.9, 0.0) == (Action.WAIT, pytest.approx(0.1))
    assert keepalive.decide(10.0, 0.0) == (Action.PING, 4.0)
    assert keepalive.expects_pong


def test_received_bytes_put_the_ping_off():
    keepalive = idle()

    assert keepalive.decide(10.0, 7.0) == (Action.WAIT, pytest.approx(7.0))
    assert keepalive.decide(17.0, 16.5) == (Action.WAIT, pytest.approx(9.5))
    assert keepalive.decide(26.5, 16.5).action is Action.PING


def test_no_pong_in_time_gives_the_peer_up():
    keepalive = idle()
    keepalive.decide(10.0, 0.0)

    assert keepalive.decide(13.9, 0.0) == (Action.WAIT, pytest.approx(0.1))
    assert keepalive.decide(14.0, 0.0).action is Action.GIVE_UP


def test_other_data_is_not_the_answer():
    keepalive = idle()
    keepalive.decide(10.0, 0.0)

    assert keepalive.decide(14.0, 13.9).action is Action.GIVE_UP


def test_a_pong_starts_a_new_idle_time():
    keepalive = idle()
    keepalive.decide(10.0, 0.0)
    keepalive.on_pong()

    assert not keepalive.expects_pong
    assert keepalive.decide(14.0, 11.0) == (Action.WAIT, pytest.approx(7.0))
    assert keepalive.decide(21.0, 11.0) == (Action.PING, 4.0)


def test_a_pong_that_nobody_asked_for_changes_nothing():
    keepalive = idle()
    keepalive.on_pong()

    assert keepalive.decide(10.0, 0.0).action is Action.PING


# ------------------------------------------------------------------------------------------------- periodic


def test_periodic_pings_come_every_idle_timeout_whatever_is_received():
    keepalive = periodic()
    pings = []
    now = 0.0
    while now < 55:
        decision = keepalive.decide(now, now)
        if decision.action is Action.PING:
            pings.append(now)
            keepalive.on_pong()
        now += decision.again_in_s

    assert pings == pytest.approx([10.0, 20.0, 30.0, 40.0, 50.0])


def test_periodic_gives_up_like_idle():
    keepalive = periodic()

    assert keepalive.decide(10.0, 10.0) == (Action.PING, 4.0)
    assert keepalive.decide(12.0, 12.0) == (Action.WAIT, pytest.approx(2.0))
    assert keepalive.decide(14.0, 14.0).action is Action.GIVE_UP


def test_missed_periodic_pings_do_not_pile_up():
    keepalive = periodic()
    decision = keepalive.decide(57.0, 57.0)
    keepalive.on_pong()

    assert decision.action is Action.PING
    assert keepalive.decide(61.0, 61.0).action is Action.WAIT
    assert keepalive.decide(66.9, 66.9).action is Action.WAIT
    assert keepalive.decide(67.0, 67.0).action is Action.PING


@BOTH
def test_a_loop_that_was_held_up_looks_once_more_before_it_gives_up(strategy):
    keepalive = KeepAlive(strategy, 10.0, 4.0, 0.0)
    keepalive.decide(10.0, 0.0)

    # Asked at 30 rather than 14: the pong may have come at 11, and has not been read.
    held_up = keepalive.decide(30.0, 0.0)
    assert held_up.action is Action.WAIT
    assert 0 < held_up.again_in_s <= 0.1
    assert keepalive.decide(30.0 + held_up.again_in_s, 0.0).action is Action.GIVE_UP


@BOTH
def test_a_pong_that_a_held_up_loop_reads_late_keeps_the_peer(strategy):
    keepalive = KeepAlive(strategy, 10.0, 4.0, 0.0)
    keepalive.decide(10.0, 0.0)
    again_in_s = keepalive.decide(30.0, 0.0).again_in_s
    keepalive.on_pong()

    assert keepalive.decide(30.0 + again_in_s, 30.0).action is not Action.GIVE_UP


def test_equal_timeouts_give_up_rather_than_ping_again():
    keepalive = periodic(10.0, 10.0)
    keepalive.decide(10.0, 10.0)

    assert keepalive.decide(20.0, 20.0).action is Action.GIVE_UP


# ------------------------------------------------------------------------------------------ what always holds


@given(
    strategy=st.sampled_from([PING_WHEN_IDLE, PING_PERIODICALLY]),
    idle_timeout_s=st.floats(0.1, 100),
    share=st.floats(0.01, 1),
    events=st.lists(
        st.tuples(st.floats(0, 1), st.sampled_from(["data", "pong", "late", "nothing"])), max_size=40
    ),
)
def test_a_dead_peer_is_found_in_idle_plus_reply_timeout(strategy, idle_timeout_s, share, events):
    reply_timeout_s = idle_timeout_s * share
    keepalive = KeepAlive(strategy, idle_timeout_s, reply_timeout_s, 0.0)
    now = last_received = 0.0

    for part, event in events:
        decision = keepalive.decide(now, last_received)
        if decision.action is Action.GIVE_UP:
            return
        assert decision.again_in_s >= 0
        if event in ("data", "pong"):
            last_received = now + part * decision.again_in_s
        if event == "pong":
            keepalive.on_pong()
        now += decision.again_in_s + (part if event == "late" else 0)
    silent_from = now
    for _ in range(6):
        decision = keepalive.decide(now, last_received)
        if decision.action is Action.GIVE_UP:
            break
        now += decision.again_in_s

    assert decision.action is Action.GIVE_UP
    assert now - silent_from <= idle_timeout_s + reply_timeout_s + 0.011


@BOTH
@given(now=st.floats(0, 1000), last=st.floats(0, 1000))
def test_waiting_is_never_for_nothing(strategy, now, last):
    decision = KeepAlive(strategy, 10.0, 4.0, 0.0).decide(now, min(now, last))

    assert decision.action is Action.PING or decision.again_in_s > 0


# -------------------------------------------------------------------------------------------------- options


@pytest.mark.parametrize("strategy", [0, 3, -1, None, "idle"])
def test_an_unknown_strategy_is_refused(strategy):
    with pytest.raises(ValueError, match="auto_ping_strategy"):
        check_options(strategy, 10, 10)


@pytest.mark.parametrize(
    ("idle_s", "reply_s"), [(0, 1), (1, 0), (-1, -2), (float("nan"), 1), (1, float("nan")), (5, 6)]
)
def test_timeouts_that_cannot_work_are_refused(idle_s, reply_s):
    with pytest.raises(ValueError, match="auto_ping_"):
        check_options(PING_WHEN_IDLE, idle_s, reply_s)


@BOTH
def test_equal_timeouts_are_allowed(strategy):
    check_options(strategy, 10, 10)
