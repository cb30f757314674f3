"""The generated markets speak the venues' dialects: our own verbs read all of it, books stay equal."""

from __future__ import annotations

import itertools
from collections import Counter

import msgspec
import pytest

from connectors.booksync import Action
from connectors.exchange import Channel, Kind
from connectors.mock.build import mock_venue
from connectors.mock.generator import GeneratorSource
from connectors.mock.market import Market, spec_of
from connectors.registry import load_exchange

START_NS = 1_795_441_952_000_000_000
MINUTE_NS = 60 * 10**9
VENUES = {
    "binance_spot": "BTC-USDT",
    "binance_usdm": "ETH-USDT-PERP",
    "okx": "BTC-USDT-PERP",
    "bybit_spot": "XRP-USDT",
    "bybit_linear": "BTC-USDT-PERP",
}


class Rig:
    """A generator and, on its other end, the venue's own verbs."""

    def __init__(self, name, player, *, seed=1, channels=None, pace_symbols=()):
        self.exchange = load_exchange(name)
        self.symbol = VENUES[name]
        self.venue = mock_venue(self.exchange)
        self.source = GeneratorSource(self.venue, seed=seed, start_ns=START_NS, symbols=pace_symbols)
        # One book per player: `book`, and the partial ones apart.
        self.channels = channels or [
            kind for kind in self.exchange.facts.channels if not kind.startswith("book.")
        ]
        self.player = player(self.exchange, [self.symbol], self.channels)
        self.texts: list[bytes] = []

    def subscribe(self):
        for stream in self.player.streams.values():
            assert self.source.has(stream.topic, stream.route), stream.topic
            for message in self.source.subscribe(stream.topic, START_NS).first:
                self.feed(message)

    def feed(self, message):
        assert self.venue.topic_of_frame(message.payload) == message.topic
        self.texts.append(message.payload)
        self.player.feed(message.payload)

    def run(self, until_ns):
        while messages := self.source.take(until_ns, 100):
            for message in messages:
                self.feed(message)

    def snapshot(self):
        request = self.exchange.snapshot_request(self.player.sync(self.symbol).stream)
        path = request.url.removeprefix(self.exchange.facts.rest.url)
        return self.source.http(path, 0).body

    def market(self) -> Market:
        native = self.exchange.native_symbol(self.symbol)
        return self.source.markets[native].market


@pytest.mark.parametrize("name", VENUES)
def test_every_channel_of_the_facts_is_generated_and_read(name, player):
    rig = Rig(name, player)
    rig.subscribe()

    rig.run(START_NS + MINUTE_NS)

    got = rig.player.frames
    wanted = {stream.name for stream in rig.player.streams.values()}
    assert set(got) == wanted
    assert sum(got.values()) == len(rig.texts)
    assert not rig.player.others


@pytest.mark.parametrize("name", VENUES)
def test_book_stays_whole_and_equals_the_markets(name, player):
    rig = Rig(name, player, channels=["book"])
    rig.subscribe()
    sync = rig.player.sync(rig.symbol)
    if sync.action == Action.NEED_SNAPSHOT:
        rig.run(START_NS + MINUTE_NS // 60)
        rig.player.feed_snapshot(rig.symbol, rig.snapshot())

    rig.run(START_NS + MINUTE_NS)
    stream = sync.stream
    rest = [m.payload for m in rig.source.subscribe(stream.topic, 0).before]
    for payload in rest:
        rig.player.feed(payload)

    market = rig.market()
    book = sync.book
    assert book.is_live
    assert (sync.gaps, sync.duplicates, sync.failures) == (0, 0, 0)
    assert rig.player.actions["APPLIED"] > 500
    bids = sorted(market.bids.items(), reverse=True)
    assert book.bids() == [(float(market.price(p)), float(market.size(s))) for p, s in bids]
    asks = sorted(market.asks.items())
    assert book.asks() == [(float(market.price(p)), float(market.size(s))) for p, s in asks]


@pytest.mark.parametrize("name", ["binance_spot", "binance_usdm"])
def test_snapshot_in_the_middle_of_the_stream_joins(name, player):
    rig = Rig(name, player, channels=["book"])
    rig.subscribe()
    sync = rig.player.sync(rig.symbol)
    for i in range(1, 40):
        sync.on_resubscribed()
        rig.run(START_NS + i * 170_000_000)
        rig.player.feed_snapshot(rig.symbol, rig.snapshot())
        rig.run(START_NS + i * 170_000_000 + 120_000_000)
        assert sync.book.is_live, i
        assert sync.gaps == 0


@pytest.mark.parametrize("name", ["okx", "bybit_spot", "bybit_linear"])
def test_second_subscriber_gets_a_snapshot_that_both_go_on_from(name, player):
    first = Rig(name, player, channels=["book"])
    first.subscribe()
    first.run(START_NS + MINUTE_NS // 7)
    second = player(first.exchange, [first.symbol], ["book"])
    stream = first.player.sync(first.symbol).stream

    opening = first.source.subscribe(stream.topic, 0)
    for message in opening.before:
        first.feed(message)
    for message in opening.first:
        second.feed(message.payload)
    start = len(first.texts)
    first.run(START_NS + MINUTE_NS)
    for payload in first.texts[start:]:
        second.feed(payload)

    one, two = first.player.sync(first.symbol), second.sync(first.symbol)
    assert (one.gaps, two.gaps) == (0, 0)
    assert one.book.bids() == two.book.bids()
    assert one.book.asks() == two.book.asks()


@pytest.mark.parametrize("name", VENUES)
def test_same_seed_gives_the_same_bytes_and_another_seed_others(name, player):
    def texts(seed):
        rig = Rig(name, player, seed=seed)
        rig.subscribe()
        rig.run(START_NS + MINUTE_NS // 6)
        return rig.texts

    assert texts(5) == texts(5)
    assert texts(5) != texts(6)


@pytest.mark.parametrize("name", VENUES)
def test_instrument_list_gives_every_generated_symbol_its_tick(name, player):
    rig = Rig(name, player)
    found = {}
    for request in rig.exchange.instrument_requests():
        body = rig.source.http(request.url.removeprefix(rig.exchange.facts.rest.url), 0).body
        found |= {each.native: each for each in rig.exchange.parse_instruments(body)}

    for native, live in rig.source.markets.items():
        assert str(found[native].price_tick) == live.market.price(1)
        assert str(found[native].size_step) == live.market.size(1)
        assert found[native].symbol == live.market.spec.symbol


@pytest.mark.parametrize("name", VENUES)
def test_partial_books_are_read(name, player):
    partial = [kind for kind in load_exchange(name).facts.channels if kind.startswith("book.")]
    for kind in partial:
        rig = Rig(name, player, channels=[kind])
        stream = next(iter(rig.player.streams.values()))
        if not rig.source.has(stream.topic, stream.route):
            continue
        rig.subscribe()
        rig.run(START_NS + MINUTE_NS // 20)

        assert rig.player.sync(rig.symbol).book.is_live, kind


def test_trades_have_consecutive_ids_and_quotes_follow_the_book(player):
    rig = Rig("binance_spot", player, channels=["trade", "quote"])
    rig.subscribe()
    rig.run(START_NS + MINUTE_NS)

    frames = [msgspec.json.decode(text)["data"] for text in rig.texts]
    ids = [frame["t"] for frame in frames if "t" in frame]
    assert len(ids) > 500
    assert all(b == a + 1 for a, b in itertools.pairwise(ids))
    quotes = [frame for frame in frames if "A" in frame]
    assert all(float(quote["b"]) < float(quote["a"]) for quote in quotes)


def test_candle_is_told_closed_once_when_its_minute_is_over(player):
    rig = Rig("bybit_linear", player, channels=["candle"])
    rig.subscribe()
    rig.run(START_NS + 5 * MINUTE_NS)

    rows = [msgspec.json.decode(text)["data"][0] for text in rig.texts]
    closed = [row["start"] for row in rows if row["confirm"]]
    assert len(closed) == 5
    assert all(b - a == 60_000 for a, b in itertools.pairwise(closed))
    by_start = Counter(row["start"] for row in rows)
    assert by_start[closed[1]] > 50


def test_wrong_route_is_silent_and_right_route_is_not():
    venue = mock_venue(load_exchange("binance_usdm"))
    source = GeneratorSource(venue, start_ns=START_NS)

    assert source.has("btcusdt@aggTrade", "market")
    assert not source.has("btcusdt@aggTrade", "public")
    assert source.has("btcusdt@depth@100ms", "public")
    assert not source.has("BTCUSDT@depth@100ms", "public")
    assert not source.has("nosuch@trade", "public")


def test_acks_and_errors_are_what_the_verbs_understand():
    for name, symbol in VENUES.items():
        exchange = load_exchange(name)
        venue = mock_venue(exchange)
        instrument = exchange.instrument(symbol)
        streams = [exchange.stream(Channel.parse(kind), instrument) for kind in ("trade", "book")]
        request = venue.read(exchange.subscribe(streams, 7))
        assert request.topics == tuple(stream.topic for stream in streams)

        answer = venue.answer(request, [], "c1")
        acks = [exchange.classify(reply) for reply in answer.replies]

        assert {ack.kind for ack in acks} == {Kind.ACK}
        assert answer.accepted == request.topics
        error = exchange.classify(venue.error(request, "Invalid request", "c1"))
        assert error.kind is Kind.ERROR
        ping = exchange.ping(9)
        if ping is not None:
            pong = exchange.classify(venue.pong(venue.read(ping), "c1"))
            assert pong.kind is Kind.PONG
            wrong = exchange.classify(venue.wrong_pong(venue.pong(venue.read(ping), "c1")))
            assert wrong.kind is not Kind.PONG or wrong.request_id != 9
        notice = venue.notice()
        if notice is not None:
            assert exchange.classify(notice).kind is Kind.NOTICE


def test_market_never_crosses_and_every_level_is_in_its_window():
    market = Market(spec_of("X", "BTC-USDT", "spot"), 3)
    for i in range(20_000):
        market.step(i)
        assert market.best_bid == max(market.bids) < min(market.asks) == market.best_ask
    assert len(market.bids) <= 50
    assert len(market.asks) <= 50
    assert min(market.bids.values()) > 0
