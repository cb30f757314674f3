"""A dialogue of a toy venue with a clock that the test moves."""

from __future__ import annotations

import random
from pathlib import Path

from connectors.backoff import NS_PER_S, Window
from connectors.dialogue import (
    Action,
    Dialogue,
    Event,
    Send,
    Tell,
)
from connectors.exchange import Channel, Exchange, Inbound, Kind
from connectors.instrument import Stream
from connectors.registry import load_exchange
from connectors.settings import BackoffSettings, ConnectionSettings, HeartbeatSettings, RttSettings
from connectors.status import StatusKind

S = NS_PER_S
FACTS = """
title: Toy venue
source: ["this test"]
read: 2026-11-23
routes: {public: {url: "wss://toy.example/ws"}}
symbols: [{unified: '^(?P<base>[A-Z]+)-(?P<quote>[A-Z]+)$', native: '$base$quote', example: BTC-USDT}]
channels:
  trade: {name: trades, route: public, first_data_s: 5, quiet_s: 10}
  quote: {name: quotes, route: public, first_data_s: 5, quiet_s: 300}
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
        self.dialogue = self.make_dialogue(**settings)

    def make_dialogue(self, **settings: object) -> Dialogue:
        defaults: dict[str, object] = {
            "backoff": BackoffSettings(base_s=1, max_s=8, reset_s=20),
            "heartbeat": HeartbeatSettings(every_s=1e6),
            "rtt": RttSettings(rounds=0, every_s=1e6),
        }
        return Dialogue(
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
