"""The native reader of flat messages: what it accepts gives the event that the verbs' own reader gives."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import Channel, Quote, Trade
from connectors.capture import RecordKind
from connectors.errors import DecodeError
from connectors.exchange import Exchange
from connectors.flat import FlatQuote
from connectors.foreign import open_any
from connectors.instrument import Stream
from connectors.registry import load_exchange
from connectors.sink import Sink

Row = tuple[object, ...]
QUOTE = (
    b'{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":400900217,"s":"BTCUSDT","b":"25.35190000",'
    b'"B":"31.21000000","a":"25.36520000","A":"40.66000000","T":1568014460891,"E":1568014460893}}'
)
TRADE = (
    b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1672515782136,"s":"BTCUSDT","t":12345,"p":"0.001",'
    b'"q":"100","T":1672515782134,"m":true,"M":true,"X":"MARKET"}}'
)
AGGREGATE = (
    b'{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":1672515782136,"s":"BTCUSDT","a":12345,"p":"0.001",'
    b'"q":"100","f":100,"l":105,"T":1672515782134,"m":false,"M":true}}'
)
MESSAGES = {"quote": QUOTE, "trade": TRADE, "trade.agg": AGGREGATE}


PIECES = (
    *(b"", b'"', b",", b"}", b"{", b"-", b"0", b"1e5", b"null", b"\\", b".", b" "),
    *(b'"T":5,', b'"m":1,', b"\xc3\xa9", b"\x00", b"9" * 20),
)
DAYS = "hftbacktest/binance_{}_btcusdt_20240808.ndtext.gz"


class Collector(Sink):
    """Events as plain values."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def on_trade(self, trade: Trade) -> None:
        self.rows.append(
            (
                trade.price_int,
                trade.size_int,
                trade.side,
                trade.id,
                trade.count,
                trade.exchange_ns,
                trade.instrument,
            )
        )

    def on_quote(self, quote: Quote) -> None:
        self.rows.append(
            (
                quote.bid_int,
                quote.bid_size_int,
                quote.ask_int,
                quote.ask_size_int,
                quote.update_id,
                quote.exchange_ns,
                quote.instrument,
            )
        )


SPOT = load_exchange("binance_spot")
BTC = SPOT.instrument("BTC-USDT")


def stream_of(channel: str, exchange: Exchange = SPOT, instrument: Any = BTC) -> Stream:
    return exchange.stream(Channel.parse(channel), instrument)


def native(exchange: Exchange, stream: Stream, message: bytes) -> list[Row] | None:
    """None: it is left to the verbs' reader."""
    flat = exchange.flat(stream)
    assert flat is not None
    sink = Collector()
    sink.stream = stream
    is_read = flat.offer(sink, message)
    assert is_read == bool(sink.rows)
    return sink.rows if is_read else None


def by_verbs(exchange: Exchange, stream: Stream, message: bytes) -> list[Row]:
    """Raises DecodeError."""
    sink = Collector()
    sink.stream = stream
    exchange.decode(stream, message, sink)
    return sink.rows


def assert_same_or_left(stream: Stream, message: bytes) -> None:
    found = native(SPOT, stream, message)
    if found is not None:
        assert found == by_verbs(SPOT, stream, message), message


@pytest.mark.parametrize("channel", MESSAGES)
def test_documented_message_is_read_natively(channel: str) -> None:
    stream = stream_of(channel)

    found = native(SPOT, stream, MESSAGES[channel])

    assert found == by_verbs(SPOT, stream, MESSAGES[channel])


@pytest.mark.captures
@pytest.mark.parametrize(
    ("venue", "symbol", "channels", "file"),
    [
        ("binance_spot", "BTC-USDT", ("trade", "quote"), DAYS.format("spot")),
        ("binance_usdm", "BTC-USDT-PERP", ("trade.fill", "quote"), DAYS.format("usdm")),
        ("binance_usdm", "CTK-USDT-PERP", ("trade", "quote"), "cryptofeed/BINANCE_FUTURES.ws.1.0.gz"),
    ],
)
def test_every_recorded_message_is_read_natively_and_equal(
    captures_dir: Path, venue: str, symbol: str, channels: tuple[str, ...], file: str
) -> None:
    exchange = load_exchange(venue)
    instrument = exchange.instrument(symbol)
    streams = {each.key: each for each in (stream_of(name, exchange, instrument) for name in channels)}
    count = 0
    for record in open_any(captures_dir / file):
        key = re.match(rb'\{"stream":"([^"]+)"', record.payload)
        if record.kind == RecordKind.FRAME_IN and key and key[1] in streams:
            stream = streams[key[1]]
            assert native(exchange, stream, record.payload) == by_verbs(exchange, stream, record.payload)
            count += 1
    assert count > 90


@given(st.sampled_from(sorted(MESSAGES)), st.data())
def test_changed_bytes_give_the_same_event_or_are_left_to_the_reader(channel: str, data: Any) -> None:
    message = bytearray(MESSAGES[channel])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(message) - 1))
        piece = data.draw(st.sampled_from(PIECES))
        message[at : at + data.draw(st.integers(0, 3))] = piece

    assert_same_or_left(stream_of(channel), bytes(message))


_numbers = st.one_of(
    st.integers(-(2**65), 2**65).map(str),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.sampled_from(
        ("", "0", "-0", "0.000000001", "92233720368.54775807", "92233720368.54775808", "1e3", ".", "+1")
    ),
)
_values = st.one_of(
    _numbers.map(lambda text: f'"{text}"'),
    _numbers,
    st.sampled_from(["true", "false", "null", "[]", "{}", "1.0"]),
)


@given(st.sampled_from(sorted(MESSAGES)), st.data())
def test_changed_fields_give_the_same_event_or_are_left_to_the_reader(channel: str, data: Any) -> None:
    text = MESSAGES[channel].decode()
    for key in data.draw(st.lists(st.sampled_from("uBbaApqTtmfl"), max_size=4)):
        text = re.sub(
            rf'"{key}":("[^"]*"|[^,}}]+)', lambda _, key=key: f'"{key}":{data.draw(_values)}', text, count=1
        )

    assert_same_or_left(stream_of(channel), text.encode())


@pytest.mark.parametrize(
    ("channel", "before", "after"),
    [
        ("trade", b'"p":"0.001"', b'"p":0.001'),
        ("trade", b'"p":"0.001"', b'"p":"0.0000000001"'),
        ("trade", b'"q":"100"', b'"q":"-1"'),
        ("trade", b'"m":true', b'"m":1'),
        ("trade", b'"t":12345,', b""),
        ("trade", b'"T":1672515782134', b'"T":99999999999999'),
        ("quote", b'"u":400900217', b'"u":"400900217"'),
        ("trade.agg", b'"f":100,', b""),
    ],
)
def test_what_is_wrong_is_left_to_the_reader_who_says_it(channel: str, before: bytes, after: bytes) -> None:
    message = MESSAGES[channel].replace(before, after)
    assert message != MESSAGES[channel]

    assert native(SPOT, stream_of(channel), message) is None
    with pytest.raises(DecodeError):
        by_verbs(SPOT, stream_of(channel), message)


def test_message_of_another_stream_is_left_to_the_reader() -> None:
    assert native(SPOT, stream_of("quote"), TRADE) is None
    assert native(SPOT, stream_of("trade"), b"") is None


def test_key_of_more_than_one_letter_is_an_error() -> None:
    with pytest.raises(ValueError, match="one letter"):
        FlatQuote(b"", b"", bid="bid", bid_size="B", ask="a", ask_size="A", update_id="u", time_ms="T")


class Doubling(type(SPOT)):  # type: ignore[misc]
    """Verbs of a user, who changes what the shipped ones decode."""

    def decode(self, stream: Stream, payload: Any, sink: Sink) -> None:
        super().decode(stream, payload, sink)
        super().decode(stream, payload, sink)


def test_verbs_that_decode_themselves_are_not_passed_by() -> None:
    exchange = Doubling(SPOT.facts)

    assert exchange.flat(stream_of("quote")) is None
    assert exchange.reader(stream_of("quote")) == exchange.decode
