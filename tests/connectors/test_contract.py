"""The contracts hold together: a toy venue of facts and ten lines of verbs goes from bytes to events."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from connectors import Book, BookChange, Channel, ConfigError, DecodeError, ScaleError, Strategy, Trade
from connectors.fixed import to_fixed, to_text
from connectors.metrics import Histogram
from connectors.registry import load_exchange
from connectors.sink import Sink
from connectors.strategy import overridden

FACTS = """
title: Toy venue
source: ["this test"]
read: 2026-11-23
verbs: ./toy.py:Toy
routes: {public: {url: "wss://toy.example/ws"}}
symbols: [{unified: '^(?P<base>[A-Z]+)-(?P<quote>[A-Z]+)$', native: '$base$quote', example: BTC-USDT}]
channels:
  trade: {name: trades, route: public}
  book: {name: depth, route: public, continuity: none}
frames: {data: [{start: '{"topic":"', end: '"'}], pong: [pong]}
subscribe:
  topic: "$name.$symbol"
  key: "$topic"
  item: '"$topic"'
  request: '{"op":"subscribe","args":[$items],"id":$id}'
  unrequest: '{"op":"unsubscribe","args":[$items],"id":$id}'
  ack: request
  max_topics: 2
heartbeat: {client: {send: ping}}
limits: {connects: {count: 10, per_s: 60}}
"""
VERBS = """
import msgspec
from connectors import Exchange

class Toy(Exchange):
    def decode(self, stream, payload, sink):
        message = msgspec.json.decode(payload)
        if stream.kind == "trade":
            sink.trade(message["p"], message["q"], 1, message["id"], 5_000_000)
        else:
            sink.book(message["full"], message["b"], message["a"], 0, last_id=message["u"])
"""


class Collector(Sink):
    """Keeps copies of what a decoder delivers."""

    def __init__(self) -> None:
        self.trades: list[Trade] = []
        self.changes: list[BookChange] = []

    def on_trade(self, trade: Trade) -> None:
        self.trades.append(trade.copy())

    def on_book(self, change: BookChange) -> None:
        self.changes.append(change.copy())


@pytest.fixture
def toy_dir(tmp_path: Path) -> Path:
    (tmp_path / "toy.yaml").write_text(FACTS)
    (tmp_path / "toy.py").write_text(VERBS)
    return tmp_path


def test_facts_make_streams_and_requests(toy_dir: Path) -> None:
    exchange = load_exchange("toy", [toy_dir])
    symbols = [exchange.instrument(symbol) for symbol in ("BTC-USDT", "ETH-USDT", "SOL-USDT")]

    streams = [exchange.stream(Channel.parse("trade"), instrument) for instrument in symbols]
    first, second = exchange.batches(streams)

    assert (
        exchange.subscribe(first, 7)
        == b'{"op":"subscribe","args":["trades.BTCUSDT","trades.ETHUSDT"],"id":7}'
    )
    assert [stream.key for stream in second] == [b"trades.SOLUSDT"]


def test_decoded_trade_is_exact_and_copied(toy_dir: Path) -> None:
    exchange = load_exchange("toy", [toy_dir])
    sink = Collector()
    sink.stream = exchange.stream(Channel.parse("trade"), exchange.instrument("BTC-USDT"))
    sink.recv_ns = 9

    exchange.decode(sink.stream, memoryview(b'{"topic":"x","p":"61800.30","q":"0.006","id":12}'), sink)
    exchange.decode(sink.stream, memoryview(b'{"topic":"x","p":"2","q":"3","id":"a-b"}'), sink)

    first, second = sink.trades
    assert first.decimal() == (Decimal("61800.3"), Decimal("0.006"))
    assert (first.price_int, first.price, first.id, first.recv_ns) == (6180030000000, 61800.3, 12, 9)
    assert (second.price, second.id) == (2.0, "a-b")


def test_book_applies_absolute_levels(toy_dir: Path) -> None:
    exchange = load_exchange("toy", [toy_dir])
    sink = Collector()
    sink.stream = exchange.stream(Channel.parse("book"), exchange.instrument("BTC-USDT"))
    full = b'{"full":true,"u":1,"b":[["10","1"],["9","2"],["11","3"]],"a":[["13","1"],["12","5"]]}'
    change = b'{"full":false,"u":2,"b":[["11","0"],["9.5","4"]],"a":[["12","6"],["99","0"]]}'
    for payload in (full, change):
        exchange.decode(sink.stream, payload, sink)

    book = Book(exchange.instrument("BTC-USDT"))
    for each in sink.changes:
        book.apply(each)

    assert book.bids() == [(10.0, 1.0), (9.5, 4.0), (9.0, 2.0)]
    assert book.asks() == [(12.0, 6.0), (13.0, 1.0)]
    assert (book.best_bid, book.best_ask, book.is_live, book.epoch) == (10.0, 12.0, True, 1)


def test_unknown_names_are_told_with_the_nearest_one(toy_dir: Path) -> None:
    exchange = load_exchange("toy", [toy_dir])

    with pytest.raises(ConfigError, match="did you mean 'toy'"):
        load_exchange("toyy", [toy_dir])
    with pytest.raises(ConfigError, match="BTC-USDT"):
        exchange.native_symbol("btc/usdt")
    with pytest.raises(ConfigError, match="trade, book"):
        exchange.stream(Channel.parse("trades"), exchange.instrument("BTC-USDT"))


@pytest.mark.parametrize(
    ("text", "scale", "value"),
    [
        ("0.006", 3, 6),
        ("-1.50", 1, -15),
        ("1e-8", 8, 1),
        ("1.16539E8", 0, 116539000),
        ("0.00000000", 2, 0),
        ("7", 18, 7 * 10**18),
    ],
)
def test_decimal_text_is_read_exactly(text: str, scale: int, value: int) -> None:
    assert to_fixed(text, scale) == value
    assert Decimal(to_text(value, scale)) == Decimal(text)


@pytest.mark.parametrize("text", ["", "-", ".", "1.2.3", "NaN", "1e", "0x1", "1 "])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(DecodeError):
        to_fixed(text, 8)


@pytest.mark.parametrize(
    ("text", "scale"), [("0.123", 2), ("9223372036854775808", 0), ("10", 18), ("1e400", 2)]
)
def test_a_number_that_does_not_fit_is_never_rounded(text: str, scale: int) -> None:
    with pytest.raises(ScaleError):
        to_fixed(text, scale)


def test_overridden_callbacks_are_known_by_name() -> None:
    class Two(Strategy):
        def on_trade(self, trade: Trade) -> None: ...
        def on_stop(self) -> None: ...

    assert overridden(Two()) == {"on_trade"}


def test_percentile_is_within_one_bucket() -> None:
    histogram = Histogram()

    for value in range(1, 1001):
        histogram.add(value * 1000)

    median = histogram.percentile_ns(50)
    assert median is not None
    assert 500_000 <= median <= 500_000 * 1.0625
    assert histogram.percentile_ns(100) == 1_000_000
