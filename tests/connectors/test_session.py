"""From frames to callbacks, without a socket: frames are fed as a replay feeds them."""

from __future__ import annotations

import gzip
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors import Book, BookChange, Channel, Exchange, Status, StatusKind, Strategy, Stream, Trade
from connectors.booksync import BookSync
from connectors.clock import ManualClock
from connectors.dispatch import Slot
from connectors.exchange import Inbound, Kind
from connectors.gate import Gate
from connectors.hub import Hub
from connectors.intake import Entry
from connectors.metrics import ConnectionCounters
from connectors.registry import load_exchange
from connectors.session import Session
from connectors.wanted import mark
from picows import WSFrame, WSMsgType

TEXT, BINARY = 1, 2
FACTS = """
title: Toy venue
source: ["this test"]
read: 2026-11-23
verbs: ./toy.py:Toy
routes: {public: {url: "wss://toy.example/ws"}}
symbols: [{unified: '^(?P<base>[A-Z]+)-(?P<quote>[A-Z]+)$', native: '$base$quote', example: BTC-USDT}]
channels:
  trade: {name: trades, route: public}
  book: {name: depth, route: public, continuity: step}
  ticker: {name: trades, route: public}
frames: {data: [{start: '{"topic":"', end: '",'}], pong: [pong], ENCODING max_message_bytes: 2000}
subscribe: {topic: $name.$symbol, key: $topic, item: $topic, request: $items, unrequest: $items, ack: none}
heartbeat: {client: {send: ping}}
limits: {connects: {count: 10, per_s: 60}}
"""
VERBS = """
import json
from connectors import Exchange
from connectors.exchange import Inbound, Kind

class Toy(Exchange):
    def classify(self, payload):
        try:
            message = json.loads(bytes(payload))
        except ValueError:
            return Inbound(Kind.UNKNOWN, text="no JSON")
        if "ack" in message:
            return Inbound(Kind.ACK, request_id=message["ack"])
        if "raise" in message:
            raise KeyError("a fault of the verbs")
        return Inbound(Kind.DATA, key=message.get("topic", "").encode())

    def decode(self, stream, payload, sink):
        message = json.loads(bytes(payload))
        if stream.kind == "trade":
            for row in message["t"]:
                sink.trade(*row, 0)
        elif stream.kind == "ticker":
            sink.ticker(0, last=message["t"][-1][0])
        else:
            sink.book(message["full"], message["b"], message["a"], 0, last_id=message["u"])
"""


class Listener(Strategy):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.trades: list[tuple[float, float, object]] = []
        self.raw: list[tuple[int, bool, bytes]] = []
        self.books: list[tuple[int, float, float]] = []
        self.tickers: list[float] = []
        self.kept: list[WSFrame] = []
        self.statuses: list[Status] = []

    def on_ws_frame(self, transport: Any, frame: WSFrame) -> None:
        assert isinstance(frame, WSFrame)
        self.raw.append((int(frame.msg_type), bool(frame.fin), frame.get_payload_as_bytes()))
        self.kept.append(frame)

    def on_trade(self, trade: Trade) -> None:
        self.trades.append((trade.price, trade.size, trade.id))

    def on_ticker(self, ticker: Any) -> None:
        self.tickers.append(ticker.last)

    def on_book(self, book: Book, change: BookChange) -> None:
        assert book.is_live
        self.books.append((book.last_id, book.best_bid, book.best_ask))

    def on_status(self, status: Status) -> None:
        self.statuses.append(status)


class Owner:
    def __init__(self) -> None:
        self.first: list[str] = []
        self.inbound: list[Inbound] = []
        self.book_actions: list[tuple[str, int]] = []
        self.told: list[tuple[StatusKind, str]] = []
        self.failures: list[str] = []

    def on_opened(self, transport: Any) -> None: ...
    def on_closed(self, reason: str) -> None: ...
    def on_first_data(self, stream: Stream) -> None:
        self.first.append(stream.topic)

    def on_inbound(self, inbound: Inbound, payload: bytes) -> None:
        self.inbound.append(inbound)

    def on_book_action(self, stream: Stream, action: int, error: Exception | None) -> None:
        self.book_actions.append((stream.topic, action))

    def on_writing(self, is_paused: bool) -> None: ...
    def tell(self, kind: StatusKind, stream: Any = None, detail: str = "", values: Any = None) -> None:
        self.told.append((kind, detail))

    def fail(self, reason: str) -> None:
        self.failures.append(reason)


class Rig:
    """A session of a toy venue with two instruments."""

    def __init__(
        self,
        directory: Path,
        *strategies: Strategy,
        encoding: str = "",
        kinds: str = "trade book",
        max_errors: int = 3,
    ) -> None:
        (directory / "toy.yaml").write_text(FACTS.replace("ENCODING", encoding))
        (directory / "toy.py").write_text(VERBS)
        self.exchange: Exchange = load_exchange("toy", [directory])
        self.owner = Owner()
        self.counters = ConnectionCounters()
        self.hub = Hub(ManualClock())
        for strategy in strategies:
            self.hub.add(Slot(strategy, self.hub, max_errors=3))
        self.streams = [
            self.exchange.stream(Channel(kind), instrument)
            for instrument in (self.exchange.instrument("BTC-USDT"), self.exchange.instrument("ETH-USDT"))
            for kind in kinds.split()
        ]
        mark(self.streams, self.hub.slots)
        self.gates = {stream.topic: Gate() for stream in self.streams}
        self.syncs = {
            stream.topic: BookSync(stream, self.exchange)
            for stream in self.streams
            if stream.kind == "book" and stream.is_wanted
        }
        self.session = self.new_session()

    def new_session(self) -> Session:
        entries: dict[str, Entry] = {}
        for stream in self.streams:
            entry = Entry(stream, self.gates[stream.topic], self.syncs.get(stream.topic))
            if stream.topic in entries:
                entries[stream.topic].add_sibling(entry)
            else:
                entries[stream.topic] = entry
        return Session(
            self.exchange,
            entries.values(),
            self.hub.slots,
            owner=self.owner,
            conn_id=1,
            connection="toy",
            clock=ManualClock(),
            counters=self.counters,
        )

    def feed(self, *payloads: bytes, opcode: int = TEXT, session: Session | None = None) -> None:
        for payload in payloads:
            (session or self.session).feed(opcode, payload, 5)


def trades(*rows: tuple[str, str, int, int | str], symbol: str = "BTCUSDT") -> bytes:
    return json.dumps({"topic": f"trades.{symbol}", "t": rows}, separators=(",", ":")).encode()


def depth(number: int, bids: list[list[str]], asks: list[list[str]], *, full: bool = False) -> bytes:
    message = {"topic": "depth.BTCUSDT", "u": number, "full": full, "b": bids, "a": asks}
    return json.dumps(message, separators=(",", ":")).encode()


def test_data_go_raw_first_as_a_view_and_then_decoded(tmp_path: Path) -> None:
    listener = Listener()
    rig = Rig(tmp_path, listener)
    payload = trades(("10.5", "2", 1, 7), ("10.6", "1", -1, 8))

    rig.feed(payload)

    assert listener.raw == [(TEXT, True, payload)]
    assert listener.trades == [(10.5, 2.0, 7), (10.6, 1.0, 8)]
    with pytest.raises(RuntimeError, match="kept"):
        listener.kept[0].get_payload_as_bytes()
    assert rig.owner.first == ["trades.BTCUSDT"]
    counters = rig.streams[0].counters
    assert counters is not None
    assert (counters.messages, counters.events, counters.bytes) == (1, 2, len(payload))


def test_what_nobody_wants_is_not_decoded(tmp_path: Path) -> None:
    rig = Rig(tmp_path, Strategy())

    rig.feed(b'{"topic":"trades.BTCUSDT",this is no JSON and nobody looks}')

    counters = rig.streams[0].counters
    assert counters is not None
    assert (counters.messages, counters.errors) == (1, 0)


def test_pongs_and_acks_are_no_data(tmp_path: Path) -> None:
    listener = Listener()
    rig = Rig(tmp_path, listener)

    rig.feed(b"pong", b'{"ack":4}')

    assert [(each.kind, each.request_id) for each in rig.owner.inbound] == [(Kind.PONG, None), (Kind.ACK, 4)]
    assert not listener.raw


def test_data_with_another_key_order_are_found_by_the_slow_path(tmp_path: Path) -> None:
    listener = Listener()
    rig = Rig(tmp_path, listener)

    rig.feed(b'{"t":[["1","1",1,5]],"topic":"trades.ETHUSDT"}')

    assert listener.trades == [(1.0, 1.0, 5)]


def test_unknown_messages_are_counted_and_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(tmp_path, Listener())

    rig.feed(*[b'{"topic":"trades.XRPUSDT","t":[]}'] * 3, b"\xff\xfe", b'{"raise":1}', b"")

    assert rig.counters.unknown == 6
    assert sum("XRPUSDT" in each.message for each in caplog.records) == 1


def test_undecodable_message_is_counted_and_the_next_one_delivered(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    listener = Listener()
    rig = Rig(tmp_path, listener)

    rig.feed(trades(("x", "2", 1, 1)), trades(("y", "2", 1, 2)), trades(("3", "2", 1, 3)))

    counters = rig.streams[0].counters
    assert counters is not None
    assert counters.errors == 2
    assert listener.trades == [(3.0, 2.0, 3)]
    assert sum("could not decode" in each.message for each in caplog.records) == 1


def test_undecodable_book_message_asks_for_a_new_book(tmp_path: Path) -> None:
    listener = Listener()
    rig = Rig(tmp_path, listener)
    rig.feed(depth(1, [["9", "1"]], [["11", "1"]], full=True))

    rig.feed(depth(2, [["oops", "1"]], []), depth(3, [["10", "1"]], []))

    assert listener.books == [(1, 9.0, 11.0)]
    assert rig.owner.book_actions == [("depth.BTCUSDT", 4)]
    assert [kind for kind, _ in rig.owner.told] == [StatusKind.GAP]


def test_gap_stops_book_callbacks_until_a_new_snapshot(tmp_path: Path) -> None:
    listener = Listener()
    rig = Rig(tmp_path, listener)
    rig.feed(depth(1, [["9", "1"]], [["11", "1"]], full=True), depth(2, [["10", "1"]], []))

    rig.feed(depth(4, [["10.5", "1"]], []), depth(5, [["10.6", "1"]], []))
    rig.session.pipeline.restart(rig.streams[1])
    rig.feed(depth(7, [["8", "1"]], [["11", "1"]], full=True), depth(8, [["8.5", "1"]], []))

    assert listener.books == [(1, 9.0, 11.0), (2, 10.0, 11.0), (7, 8.0, 11.0), (8, 8.5, 11.0)]
    assert rig.owner.book_actions == [("depth.BTCUSDT", 4)]
    assert [kind for kind, _ in rig.owner.told] == [StatusKind.GAP, StatusKind.RESYNC]


@given(cuts=st.lists(st.integers(0, 80), max_size=6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_fragments_give_what_the_whole_gives(tmp_path: Path, cuts: list[int]) -> None:
    listener = Listener()
    rig = Rig(tmp_path, listener)
    payload = trades(("10.5", "2", 1, 7), ("10.6", "1", -1, 8))
    edges = [0, *sorted(min(cut, len(payload)) for cut in cuts), len(payload)]
    parts = [payload[a:b] for a, b in itertools.pairwise(edges)]

    for number, part in enumerate(parts):
        rig.session.feed(TEXT if number == 0 else 0, part, 5, number == len(parts) - 1)

    assert listener.trades == [(10.5, 2.0, 7), (10.6, 1.0, 8)]
    assert b"".join(part for _, _, part in listener.raw) == payload


def test_fragmented_message_is_bounded(tmp_path: Path) -> None:
    rig = Rig(tmp_path, Listener())

    rig.session.feed(TEXT, b'{"topic":"trades.BTCUSDT",' + b" " * 1000, 5, False)
    for _ in range(3):
        rig.session.feed(0, b" " * 900, 5, False)

    assert "2000 bytes" in rig.owner.failures[0]


def test_gzip_is_inflated_and_bounded(tmp_path: Path) -> None:
    listener = Listener()
    rig = Rig(tmp_path, listener, encoding="encoding: gzip,")
    squeezed = gzip.compress(trades(("10.5", "2", 1, 7)))

    rig.feed(squeezed, b"no gzip", gzip.compress(b" " * 100_000), opcode=BINARY)

    assert listener.trades == [(10.5, 2.0, 7)]
    assert listener.raw[0] == (int(WSMsgType.BINARY), True, squeezed)
    assert rig.counters.unknown == 1
    assert "2000 bytes" in rig.owner.failures[0]


def test_two_kinds_in_one_message_are_both_delivered(tmp_path: Path) -> None:
    listener = Listener()
    rig = Rig(tmp_path, listener, kinds="trade ticker")

    rig.feed(trades(("10.5", "2", 1, 7)))

    assert (listener.trades, listener.tickers, len(listener.raw)) == ([(10.5, 2.0, 7)], [10.5], 1)


@pytest.mark.parametrize("ids", [(7, 8, 7, 9), ("a", "b", "a", "c")])
def test_trade_that_was_delivered_is_not_delivered_again(tmp_path: Path, ids: tuple[int | str, ...]) -> None:
    listener = Listener()
    rig = Rig(tmp_path, listener)

    rig.feed(*(trades(("1", "1", 1, each)) for each in ids))

    assert [each[2] for each in listener.trades] == [ids[0], ids[1], ids[3]]
    counters = rig.streams[0].counters
    assert counters is not None
    assert counters.duplicates == 1


class Broken(Strategy):
    def on_trade(self, trade: Trade) -> None:
        raise ValueError("mine")


def test_exception_is_isolated_and_n_in_a_row_switch_off(tmp_path: Path) -> None:
    listener, broken = Listener(), Broken()
    rig = Rig(tmp_path, broken, listener)

    rig.feed(*(trades(("1", "1", 1, each)) for each in range(5)))

    slot = rig.hub.slots[0]
    assert len(listener.trades) == 5
    assert (slot.errors, slot.calls, slot.is_on) == (3, 3, False)
    assert [each.kind for each in listener.statuses] == [StatusKind.STRATEGY_OFF]


def test_held_messages_are_delivered_once_at_the_take_over(tmp_path: Path) -> None:
    listener = Listener()
    rig = Rig(tmp_path, listener)
    old, trade_stream, book_stream = rig.session, rig.streams[0], rig.streams[1]
    rig.feed(trades(("1", "1", 1, 1)), depth(1, [["9", "1"]], [["11", "1"]], full=True))
    for gate in rig.gates.values():
        gate.begin_overlap()
    new = rig.new_session()
    new.pipeline.hold()

    # The new socket is one message ahead; the old one still delivers.
    rig.feed(depth(2, [["9.5", "1"]], [["11", "1"]], full=True), session=new)
    for number in (2, 3):
        rig.feed(trades(("1", "1", 1, number)), session=new)
    rig.feed(depth(3, [["9.6", "1"]], []), session=new)
    rig.feed(trades(("1", "1", 1, 2)), depth(2, [["9.5", "1"]], []), session=old)
    before = len(listener.trades), len(listener.books), len(listener.raw)
    for stream in (trade_stream, book_stream):
        old.pipeline.mute(stream)
        new.pipeline.take_over(stream, 9)
    rig.feed(trades(("1", "1", 1, 3)), depth(3, [["9.6", "1"]], []), session=old)
    rig.feed(trades(("1", "1", 1, 4)), depth(4, [["9.7", "1"]], []), session=new)

    assert before == (2, 2, 4)
    assert [each[2] for each in listener.trades] == [1, 2, 3, 4]
    assert [each[0] for each in listener.books] == [1, 2, 3, 4]
    assert not rig.owner.told
    texts = [payload for _, _, payload in listener.raw]
    assert len([each for each in texts if b"trades" in each]) == 4
