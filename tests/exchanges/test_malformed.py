"""Whatever bytes come, verbs give an event or a documented error; books are true or say that they are not."""

import contextlib
import importlib.util
import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connectors import BookState, Channel, DecodeError, ScaleError
from connectors.booksync import Action, BookSync
from connectors.exchange import Inbound
from connectors.registry import facts_files, load_exchange
from connectors.sink import Sink


def _tables(name):
    path = Path(__file__).with_name(f"test_{name}_wire.py")
    spec = importlib.util.spec_from_file_location(f"_tables_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _messages():
    """(venue, channel, symbol, text) of every message of the documents."""
    binance, okx, bybit = map(_tables, ("binance", "okx", "bybit"))
    for venue, table in (("binance_spot", binance.SPOT), ("binance_usdm", binance.USDM)):
        for channel, symbol, data, _ in table:
            yield venue, channel, symbol, binance.framed("any@stream", data)
    for channel, symbol, text, _ in okx.DOCUMENTED:
        yield "okx", channel, symbol, text
    for venue, channel, symbol, text, _ in bybit.DOCUMENTED:
        yield venue, channel, symbol, text


MESSAGES = list(_messages())
VENUES = {name: load_exchange(name) for name in facts_files()}

# Values that break a careless reader, among ordinary ones.
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        [
            "", "-1", "0", "NaN", "Infinity", "1e400", "1e-400", "-", ".", "0x10", "1" * 400,
            "\uff11", "1.2.3",
            "9223372036854775808", "-9223372036854775808", 2**63, -(2**63), 2**64, 10**30, 1e308,
        ]
    ),
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


def places(value, path=()):
    """Paths of every value inside a JSON document."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from places(each, (*path, key))


def altered(draw, text):
    """The message with some of its values replaced or removed."""
    document = json.loads(text)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places(document))[1:] or [()]))
        if not path:
            return json.dumps(draw(values))
        where = document
        for key in path[:-1]:
            where = where[key]
        if draw(st.booleans()) and isinstance(where, dict):
            del where[path[-1]]
        else:
            where[path[-1]] = draw(values)
    return json.dumps(document)


@st.composite
def bad_payloads(draw, text):
    """Altered values, cut and flipped bytes, or anything at all."""
    how = draw(st.integers(0, 3))
    if how == 0:
        return altered(draw, text).encode("utf-8", "surrogatepass")
    payload = bytearray(text.encode())
    if how == 1:
        return bytes(payload[: draw(st.integers(0, len(payload)))])
    if how == 2:
        for _ in range(draw(st.integers(1, 4))):
            payload[draw(st.integers(0, len(payload) - 1))] = draw(st.integers(0, 255))
        return bytes(payload)
    return draw(st.binary(max_size=60) | values.map(json.dumps).map(str.encode))


def decoded(exchange, payload, sink):
    """None, or the class of what was raised."""
    try:
        exchange.decode(sink.stream, payload, sink)
    except Exception as error:
        return type(error)
    return None


class Nothing(Sink):
    """Reads every event as a strategy would; keeps none."""

    def on_trade(self, trade):
        repr(trade), trade.price, trade.id

    def on_quote(self, quote):
        repr(quote), quote.bid

    def on_book(self, change):
        repr(change), change.bids

    def on_ticker(self, ticker):
        repr(ticker), ticker.volume

    def on_candle(self, candle):
        repr(candle), candle.open

    def on_funding(self, funding):
        repr(funding), funding.mark

    def on_liquidation(self, liquidation):
        repr(liquidation), liquidation.price


@pytest.mark.parametrize(("venue", "channel", "symbol", "text"), MESSAGES, ids=lambda value: value[:20])
@given(data=st.data())
@settings(max_examples=30)
def test_a_malformed_message_is_a_decode_error(venue, channel, symbol, text, data):
    exchange = VENUES[venue]
    instrument = exchange.instrument(symbol)
    sink = Nothing()
    sink.stream = exchange.stream(Channel.parse(channel), instrument)
    sink.instruments = {instrument.native: instrument}

    for _ in range(3):
        payload = data.draw(bad_payloads(text))
        assert decoded(exchange, memoryview(payload), sink) in (None, DecodeError, ScaleError)


@pytest.mark.parametrize("venue", sorted(VENUES))
@given(data=st.data())
def test_classify_never_raises(venue, data):
    texts = [text for name, _, _, text in MESSAGES if name == venue]
    texts.append(
        '{"id":"1","event":"error","msg":"x","code":"1","success":true,"ret_msg":"","req_id":"1","op":"subscribe"}'
    )
    payload = data.draw(bad_payloads(data.draw(st.sampled_from(texts))))

    assert isinstance(VENUES[venue].classify(memoryview(payload)), Inbound)


@pytest.mark.parametrize(
    "payload", [b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe", b'"\\ud800"', b"1" * 5000]
)
@pytest.mark.parametrize("venue", sorted(VENUES))
def test_hostile_bytes(venue, payload):
    exchange = VENUES[venue]
    sink = Nothing()
    sink.stream = exchange.stream(
        Channel.parse("trade"), exchange.instrument(exchange.facts.symbols[0].example)
    )

    assert isinstance(exchange.classify(payload), Inbound)
    for frame in (payload, b'{"data":' + payload + b"}", b'{"x":' + payload + b',"data":[]}'):
        assert decoded(exchange, frame, sink) in (None, DecodeError)


@pytest.mark.parametrize("venue", sorted(name for name, each in VENUES.items() if each.facts.rest))
@given(body=st.binary(max_size=50) | values.map(json.dumps).map(str.encode))
@example(body=b'{"retCode":0,"result":null}')
@example(
    body=b'{"symbols":[{"symbol":"A","status":"TRADING","baseAsset":"A","quoteAsset":"B","filters":[]}]}'
)
def test_a_malformed_rest_answer_is_a_decode_error(venue, body):
    exchange = VENUES[venue]
    stream = exchange.stream(Channel.parse("book"), exchange.instrument(exchange.facts.symbols[0].example))
    sink = Nothing()
    sink.stream = stream

    for read in (
        lambda: exchange.parse_instruments(body),
        lambda: exchange.parse_snapshot(stream, body, sink),
    ):
        with contextlib.suppress(DecodeError):
            read()


class Follower(Sink):
    """A book as the session keeps it: an unreadable message breaks it."""

    def __init__(self, exchange, stream):
        self.stream, self.exchange = stream, exchange
        self.sync = BookSync(stream, exchange)

    def feed(self, payload):
        self.action = None
        try:
            self.exchange.decode(self.stream, payload, self)
        except DecodeError as error:
            self.action = self.sync.on_error(error)

    def on_book(self, change):
        self.action = self.sync.on_change(change)
        if self.action in (Action.APPLIED, Action.REFRESH):
            assert self.sync.book.state == BookState.LIVE


BOOKS = [row for row in MESSAGES if row[1].startswith("book") and "REST" not in row[3]]


@pytest.mark.parametrize(("venue", "channel", "symbol", "text"), BOOKS, ids=lambda value: value[:12])
@given(data=st.data())
@settings(max_examples=30)
def test_no_message_makes_a_book_that_is_wrong_and_live(venue, channel, symbol, text, data):
    exchange = VENUES[venue]
    stream = exchange.stream(Channel.parse(channel), exchange.instrument(symbol))
    follower = Follower(exchange, stream)
    may_cross = stream.fact.may_cross

    for _ in range(data.draw(st.integers(1, 6))):
        payload = text.encode() if data.draw(st.booleans()) else data.draw(bad_payloads(text))
        follower.feed(payload)

        book = follower.sync.book
        if book.state in (BookState.INVALID, BookState.SYNCING):
            assert (book.bids_int(), book.asks_int()) == ([], [])
        if book.bid_count and book.ask_count:
            assert may_cross or book.best_bid_int < book.best_ask_int
        assert all(size > 0 for _, size in book.bids_int() + book.asks_int())
