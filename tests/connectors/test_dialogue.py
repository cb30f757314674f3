"""The deciders of a connection by themselves: every time is a number that the test passes in."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from connectors.backoff import Backoff, Window
from connectors.dialogue import (
    TRANSITIONS,
    Action,
    Close,
    Dial,
    Dialogue,
    Event,
    Lost,
    Restarted,
    Rotate,
    Send,
    SendPing,
    State,
    Tell,
)
from connectors.exchange import Inbound, Kind
from connectors.facts import Budget
from connectors.settings import BackoffSettings, HeartbeatSettings, RttSettings
from connectors.status import StatusKind
from connectors.subscriptions import SubState

from .dialogue_support import S, Told, kinds, sent


def test_every_state_but_the_last_can_be_stopped() -> None:
    for state in State:
        assert (state, Event.STOP) in TRANSITIONS or state is State.STOPPED
    assert not [state for state, _ in TRANSITIONS if state is State.STOPPED]
    for _, name in TRANSITIONS.values():
        assert hasattr(Dialogue, f"_{name}")


def test_a_good_life(tmp_path: Path) -> None:
    told = Told(tmp_path, "A B")

    opened = told.open()
    acked = told.ack(1)
    first = told.data(told.streams[0])
    second = told.data(told.streams[1])

    assert sent(opened) == ['{"op":"subscribe","args":["trades.AUSDT","trades.BUSDT"],"id":1}']
    assert kinds(opened) == [StatusKind.CONNECTED]
    assert kinds(acked) == [StatusKind.SUBSCRIBED] * 2
    assert kinds(first) == [StatusKind.LIVE]
    assert told.dialogue.state is State.LIVE
    assert kinds(second) == [StatusKind.LIVE] * 2


def test_requests_and_pings_stay_within_the_message_budget(tmp_path: Path) -> None:
    told = Told(
        tmp_path,
        " ".join("ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
        heartbeat=HeartbeatSettings(every_s=0.2, reply_s=100),
    )

    at_once = [(0.0, action) for action in told.open()]
    times = [at for at, action in at_once + told.until(4) if isinstance(action, Send)]

    assert len(times) >= 8  # seven requests of four topics, and pings
    for first, fifth in zip(times, times[4:], strict=False):
        assert fifth - first >= 1.0


def test_missing_ack_is_asked_again_and_then_the_connection_is_left(tmp_path: Path) -> None:
    told = Told(tmp_path, "A")
    told.open()
    actions = told.until(2.0)
    assert sent(actions) == [
        '{"op":"unsubscribe","args":["trades.AUSDT"],"id":2}',
        '{"op":"subscribe","args":["trades.AUSDT"],"id":3}',
    ]
    later = [action for _, action in told.until(4.0)]

    assert any(isinstance(action, Close) and action.is_abort for action in later)
    assert "no ack" in next(action.reason for action in later if isinstance(action, Lost))


def test_ack_without_data_is_asked_again_for_that_stream_alone(tmp_path: Path) -> None:
    told = Told(tmp_path, "A B")
    told.open()
    told.ack(1)
    told.data(told.streams[0])

    actions = told.until(5.0)

    assert [action.stream.topic for _, action in actions if isinstance(action, Restarted)] == ["trades.BUSDT"]
    assert all("AUSDT" not in text for text in sent(actions))
    assert told.dialogue.state is State.SUBSCRIBING
    assert told.dialogue.subscriptions.state_of(told.streams[0]) is SubState.LIVE


def test_stream_that_may_be_silent_for_ever_needs_no_data(tmp_path: Path) -> None:
    told = Told(tmp_path, "A")
    told.streams.append(told._stream("liquidation", "A"))
    told.dialogue.change(told.streams[1:], [], told.now_ns)
    told.open()
    told.ack(1)
    told.data(told.streams[0])

    assert told.dialogue.state is State.LIVE


def test_refused_stream_is_not_told_as_live(tmp_path: Path) -> None:
    told = Told(tmp_path, "A B")
    (request,) = sent(told.open())
    number = int(request.rpartition(":")[2].rstrip("}"))
    error = Inbound(Kind.ERROR, request_id=number, topics=("trades.BUSDT",), code="9", text="no such topic")
    told.dialogue.on_inbound(error, told.now_ns)
    good = next(each for each in told.dialogue.subscriptions.streams if each.topic == "trades.AUSDT")

    tells = [each for each in told.data(good) if isinstance(each, Tell) and each.stream is None]

    assert [(each.kind, each.detail) for each in tells] == [(StatusKind.LIVE, "1 streams, 1 refused")]


def test_refused_batch_is_halved_until_the_bad_topic_is_found(tmp_path: Path) -> None:
    told = Told(tmp_path, "A B C D")
    requests = sent(told.open())
    refused: list[Action] = []
    while requests:
        request = requests.pop(0)
        number = int(request.rpartition(":")[2].rstrip("}"))
        if "trades.CUSDT" in request:
            answer = told.dialogue.on_inbound(
                Inbound(Kind.ERROR, request_id=number, code="9", text="no such topic"), told.now_ns
            )
        else:
            answer = told.ack(number)
        refused += answer
        requests += sent(answer) + sent(told.until(1.1))

    tells = [each for each in refused if isinstance(each, Tell) and each.kind is StatusKind.REFUSED]
    assert [(each.stream.topic, each.detail) for each in tells if each.stream] == [
        ("trades.CUSDT", "9: no such topic")
    ]
    states = told.dialogue.subscriptions.states
    assert [states[f"trades.{name}USDT"] for name in "ABD"] == [SubState.ACKED] * 3


def test_missed_pong_aborts_at_its_deadline(tmp_path: Path) -> None:
    told = Told(tmp_path, "A", heartbeat=HeartbeatSettings(every_s=3, reply_s=1))
    told.live()

    actions = told.until(10.0)

    pinged = next(at for at, action in actions if isinstance(action, Send | SendPing))
    closed = next(at for at, action in actions if isinstance(action, Close))
    assert closed == pytest.approx(pinged + 1.0)


def test_data_do_not_stand_for_a_pong(tmp_path: Path) -> None:
    told = Told(tmp_path, "A", heartbeat=HeartbeatSettings(every_s=3, reply_s=1))
    told.live()
    actions = []
    for _ in range(8):
        actions += told.until(0.5)
        told.activity["trades.AUSDT"] = (9, told.now_ns)
        told.dialogue.last_recv_ns = told.now_ns

    assert any(isinstance(action, Lost) for _, action in actions)


def test_first_retry_is_immediate_and_the_budget_of_dials_is_kept(tmp_path: Path) -> None:
    told = Told(tmp_path, "A", backoff=BackoffSettings(base_s=0.001, max_s=0.002))
    told.dialogue.step(Event.START, told.now_ns)
    dials: list[float] = []
    began = told.now_ns
    while told.now_ns - began < 60 * S:
        for _, action in told.until(max(0.0, (told.dialogue.dial_ns - told.now_ns) / S)):
            if isinstance(action, Dial):
                dials.append((told.now_ns - began) / S)
                told.dialogue.step(Event.DIAL_FAILED, told.now_ns, "refused")

    assert dials[:2] == [0.0, 0.0]
    for first, third in zip(dials, dials[2:], strict=False):
        assert third - first >= 10.0


def test_clean_close_is_a_loss_too(tmp_path: Path) -> None:
    told = Told(tmp_path, "A")
    told.live()

    actions = told.dialogue.step(Event.CLOSED, told.now_ns, "closed by the server: 1000")

    assert kinds(actions) == [StatusKind.LOST]
    assert told.dialogue.state is State.WAITING
    assert told.dialogue.dial_ns == told.now_ns


def test_retry_after_is_honoured(tmp_path: Path) -> None:
    told = Told(tmp_path, "A")
    told.dialogue.step(Event.START, told.now_ns)
    told.until(0)

    told.dialogue.step(Event.DIAL_FAILED, told.now_ns, "429", 33.0)

    assert told.dialogue.dial_ns - told.now_ns == 33 * S


def test_backoff_grows_and_is_reset_only_after_data_for_a_while() -> None:
    class Top(random.Random):
        def uniform(self, a: float, b: float) -> float:
            return b

    backoff = Backoff(1.0, 8.0, 20.0, Top())

    waits = [backoff.on_lost(0, None) / S for _ in range(6)]
    short = backoff.on_lost(100 * S, 81 * S) / S
    long = backoff.on_lost(200 * S, 180 * S) / S

    assert waits == [0.0, 1.0, 2.0, 4.0, 8.0, 8.0]
    assert (short, long) == (8.0, 0.0)


def test_connection_near_its_maximum_age_is_rotated(tmp_path: Path) -> None:
    told = Told(
        tmp_path, "A", heartbeat=HeartbeatSettings(every_s=1000), rtt=RttSettings(every_s=1000, rounds=0)
    )
    told.live()

    rotated = []
    for _ in range(100):
        rotated += [(told.now_ns, action) for _, action in told.until(1.0) if isinstance(action, Rotate)]
        told.activity["trades.AUSDT"] = (told.activity["trades.AUSDT"][0] + 1, told.now_ns)

    assert len(rotated) == 1
    assert (rotated[0][0] - 1000 * S) / S == pytest.approx(90.0, abs=1.0)
    assert "age" in rotated[0][1].reason


@pytest.mark.parametrize("action", ["warn", "reconnect"])
def test_long_round_trip_warns_or_rotates(tmp_path: Path, action: str) -> None:
    told = Told(tmp_path, "A", rtt=RttSettings(rounds=0, max_ms=50, every_s=1, action=action))  # type: ignore[arg-type]
    told.live()
    outcome: list[Action] = []
    for _ in range(5):
        told.until(1.0)
        told.now_ns += S // 10  # each pong comes 100 ms after its ping
        outcome += told.dialogue.on_pong(None, told.now_ns)[1]

    if action == "warn":
        assert kinds(outcome)
        assert set(kinds(outcome)) == {StatusKind.RTT}
    else:
        assert outcome
        assert all(isinstance(each, Rotate) for each in outcome)


def test_stop_is_said_once_and_nothing_follows(tmp_path: Path) -> None:
    told = Told(tmp_path, "A")
    told.live()

    actions = told.dialogue.step(Event.STOP, told.now_ns, "end")

    assert [type(each) for each in actions] == [Close, Tell]
    assert told.dialogue.step(Event.STOP, told.now_ns) == []
    assert told.until(1000) == []


def test_window_admits_exactly_its_budget() -> None:
    window = Window(Budget(count=3, per_s=1.0))
    taken = []
    now_ns = 0
    for _ in range(10):
        now_ns = window.ready_ns(now_ns)
        window.take(now_ns)
        taken.append(now_ns / S)

    step = 1.0 + Window.SLACK_S
    assert taken == pytest.approx([0, 0, 0, step, step, step, 2 * step, 2 * step, 2 * step, 3 * step])


def test_a_slow_dial_counts_until_it_is_over() -> None:
    window = Window(Budget(count=1, per_s=1.0))
    window.take(0)

    window.renew(0, 5 * S)

    assert window.ready_ns(5 * S) == 6 * S + round(Window.SLACK_S * S)
