"""The deciders of a connection by themselves: every time is a number that the test passes in."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from connectors.backoff import NS_PER_S, Backoff, Window
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
from connectors.exchange import Channel, Exchange, Inbound, Kind
from connectors.facts import Budget
from connectors.instrument import Stream
from connectors.registry import load_exchange
from connectors.settings import BackoffSettings, ConnectionSettings, HeartbeatSettings, RttSettings
from connectors.status import StatusKind
from connectors.subscriptions import SubState

S = NS_PER_S
FACTS = """
title: Toy venue
source: ["this test"]
read: 2026-11-23
routes: {public: {url: "wss://toy.example/ws"}}
symbols: [{unified: '^(?P<base>[A-Z]+)-(?P<quote>[A-Z]+)$', native: '$base$quote', example: BTC-USDT}]
channels:
  trade: {name: trades, route: public, first_data_s: 5, quiet_s: 10}
  liquidation: {name: forced, route: public, quiet_s: null}
frames: {data: [{start: '{"topic":"', end: '"'}], pong: [pong]}
subscribe:
  topic: "$name.$symbol"
  key: "$topic"
  item: '"$topic"'
  request: '{"op":"subscribe","args":[$items],"id":$id}'
  unrequest: '{"op":"unsubscribe","args":[$items],"id":$id}'
  ack: request
  ack_s: 2
  max_topics: 4
heartbeat: {client: {send: PING, every_s: 3, reply_s: 1}}
limits: {connects: {count: 2, per_s: 10}, messages: {count: 4, per_s: 1}, age_s: 100}
"""


class Told:
    """A dialogue with a clock that the test moves."""

    def __init__(self, directory: Path, symbols: str = "A B C D", **settings: object) -> None:
        (directory / "toy.yaml").write_text(FACTS)
        self.exchange: Exchange = load_exchange("toy", [directory])
        self.streams = [self._stream("trade", symbol) for symbol in symbols.split()]
        self.activity: dict[str, tuple[int, int]] = {}
        self.now_ns = 1000 * S
        self.budget = Window(self.exchange.facts.limits.connects)
        defaults: dict[str, object] = {
            "backoff": BackoffSettings(base_s=1, max_s=8, reset_s=20),
            "heartbeat": HeartbeatSettings(every_s=1e6),
            "rtt": RttSettings(rounds=0, every_s=1e6),
        }
        self.dialogue = Dialogue(
            self.exchange,
            ConnectionSettings(exchange="toy", symbols=(), channels=(), **{**defaults, **settings}),  # type: ignore[arg-type]
            self.streams,
            activity=lambda stream: self.activity.get(stream.topic, (0, 0)),
            budget=self.budget,
            rng=random.Random(7),
        )

    def _stream(self, kind: str, symbol: str) -> Stream:
        return self.exchange.stream(Channel(kind), self.exchange.instrument(f"{symbol}-USDT"))

    def until(self, seconds: float) -> list[tuple[float, Action]]:
        """Run all deadlines of the next `seconds`, each at its time."""
        began, end = self.now_ns, self.now_ns + round(seconds * S)
        out: list[tuple[float, Action]] = []
        while (due := self.dialogue.next_deadline_ns(self.now_ns)) <= end:
            self.now_ns = max(due, self.now_ns)
            actions = self.dialogue.on_timer(self.now_ns)
            out.extend(((self.now_ns - began) / S, action) for action in actions)
            if not actions and self.dialogue.next_deadline_ns(self.now_ns) <= self.now_ns:
                raise AssertionError("a deadline that has passed leads to nothing: this would spin")
        self.now_ns = end
        return out

    def open(self) -> list[Action]:
        self.dialogue.step(Event.START, self.now_ns)
        self.until(0)
        return self.dialogue.step(Event.OPENED, self.now_ns)

    def data(self, stream: Stream) -> list[Action]:
        count, _ = self.activity.get(stream.topic, (0, 0))
        self.activity[stream.topic] = (count + 1, self.now_ns)
        self.dialogue.last_recv_ns = self.now_ns
        return self.dialogue.on_first_data(stream, self.now_ns)

    def live(self) -> None:
        self.open()
        self.dialogue.on_pong(None, self.now_ns)
        for stream in self.streams:
            self.data(stream)

    def ack(self, request_id: int) -> list[Action]:
        return self.dialogue.on_inbound(Inbound(Kind.ACK, request_id=request_id), self.now_ns)


def sent(actions: list[Action] | list[tuple[float, Action]]) -> list[str]:
    """Texts of all Send, pings left out."""
    plain = [each[1] if isinstance(each, tuple) else each for each in actions]
    return [each.payload.decode() for each in plain if isinstance(each, Send) and each.payload != b"PING"]


def kinds(actions: list[Action]) -> list[StatusKind]:
    return [each.kind for each in actions if isinstance(each, Tell)]


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


def test_silence_is_measured_by_the_streams_own_rate(tmp_path: Path) -> None:
    told = Told(tmp_path, "A B")
    told.live()
    # A: a message a second, then silence. B: one message in 4 s, then silence.
    for second in range(40):
        told.until(1.0)
        for stream, is_due in ((told.streams[0], True), (told.streams[1], second % 4 == 0)):
            count = told.activity[stream.topic][0]
            if is_due:
                told.activity[stream.topic] = (count + 1, told.now_ns)

    actions = told.until(30.0)

    restarted = [(at, action.stream.topic) for at, action in actions if isinstance(action, Restarted)]
    # quiet_s is 10. A's mean gap is 1 s: it may be silent for 20 s; B's is 4 s: 80 s.
    assert restarted[0] == (pytest.approx(20.0, abs=1.0), "trades.AUSDT")
    assert {topic for _, topic in restarted} == {"trades.AUSDT"}


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
