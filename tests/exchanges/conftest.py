"""What tests of venues share: a sink that keeps all, sessions without sockets, readers of recordings."""

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from connectors import Channel
from connectors.booksync import Action, BookSync
from connectors.registry import load_exchange
from connectors.sink import Sink


def _price(event, value):
    return None if value is None else event.instrument.price_text(value)


def _size(event, value):
    return None if value is None else event.instrument.size_text(value)


def _levels(event, rows):
    return [(_price(event, px), _size(event, sz)) for px, sz in rows]


def _number(value):
    return None if value != value else value  # NaN: not sent


def _plain(decimals):
    return {name: format(value.normalize(), "f") for name, value in decimals.items()}


TELL = {
    "Trade": lambda e: {
        "price": _price(e, e.price_int), "size": _size(e, e.size_int), "side": e.side, "id": e.id,
        "count": e.count, "ns": e.exchange_ns,
    },
    "Quote": lambda e: {
        "bid": (_price(e, e.bid_int), _size(e, e.bid_size_int)),
        "ask": (_price(e, e.ask_int), _size(e, e.ask_size_int)),
        "id": e.update_id, "ns": e.exchange_ns,
    },
    "BookChange": lambda e: {
        "full": bool(e.is_snapshot), "bids": _levels(e, e.bids_int), "asks": _levels(e, e.asks_int),
        "ids": e.ids, "checksum": e.checksum_value, "ns": e.exchange_ns,
    },
    "Ticker": lambda e: {
        **_plain(e.decimal()), "volume": _number(e.volume), "turnover": _number(e.turnover),
        "open_interest": _number(e.open_interest), "ns": e.exchange_ns,
    },
    "Candle": lambda e: {
        "interval": e.interval, "open_ns": e.open_ns, "close_ns": e.close_ns,
        "ohlc": tuple(format(value.normalize(), "f") for value in e.decimal()), "volume": e.volume,
        "turnover": e.turnover, "count": e.count, "closed": bool(e.is_closed), "ns": e.exchange_ns,
    },
    "Funding": lambda e: {
        "rate": e.rate_text, "next_ns": e.next_ns, "interval_ns": e.interval_ns, "mark": _number(e.mark),
        "index": _number(e.index), "ns": e.exchange_ns,
    },
    "Liquidation": lambda e: {
        "price": _price(e, e.price_int), "size": _size(e, e.size_int), "side": e.side, "ns": e.exchange_ns,
    },
}  # fmt: skip


class Collector(Sink):
    """Keeps a copy of every event, by kind."""

    def __init__(self):
        self.clear()

    def told(self):
        """What was delivered, as texts exact to the last digit and plain values: compared value by value."""
        kinds = [self.trades, self.quotes, self.changes, self.tickers]
        kinds += [self.candles, self.fundings, self.liquidations]
        return [TELL[type(event).__name__](event) for events in kinds for event in events]

    def clear(self):
        self.trades, self.quotes, self.changes, self.tickers = [], [], [], []
        self.candles, self.fundings, self.liquidations = [], [], []

    def on_trade(self, trade):
        self.trades.append(trade.copy())

    def on_quote(self, quote):
        self.quotes.append(quote.copy())

    def on_book(self, change):
        self.changes.append(change.copy())

    def on_ticker(self, ticker):
        self.tickers.append(ticker.copy())

    def on_candle(self, candle):
        self.candles.append(candle.copy())

    def on_funding(self, funding):
        self.fundings.append(funding.copy())

    def on_liquidation(self, liquidation):
        self.liquidations.append(liquidation.copy())


class Player(Sink):
    """Decodes recorded frames as a session does: key, stream, decode, book sync. Counts everything."""

    def __init__(self, exchange, symbols, channels):
        self.exchange = exchange
        self.streams = {}
        self.syncs = {}
        self.frames = Counter()  # data frames by channel name
        self.events = Counter()  # events by kind
        self.actions = Counter()
        self.others = Counter()  # frames that are no data, by Kind
        self.after_book = []  # called with (sync, change) after each applied change
        self.before_book = []  # called with (sync, change) before each change
        for instrument in map(exchange.instrument, symbols):
            self.instruments[instrument.native] = instrument
            for text in channels:
                stream = exchange.stream(Channel.parse(text), instrument)
                self.streams[stream.key] = stream
                if stream.kind == "book":
                    self.syncs[stream.key] = BookSync(stream, exchange)
        self._prefix = [(p.start.encode(), p.end.encode()) for p in exchange.facts.frames.data]

    def sync(self, symbol):
        return next(s for s in self.syncs.values() if s.stream.instrument.symbol == symbol)

    def feed(self, payload):
        for start, end in self._prefix:
            if payload.startswith(start):
                stream = self.streams.get(payload[len(start) : payload.index(end, len(start))])
                if stream is not None:
                    self.stream, self.recv_ns = stream, 1
                    self.frames[stream.name] += 1
                    # As the session does: a view of the receive buffer.
                    return self.exchange.decode(stream, memoryview(payload), self)
        self.others[self.exchange.classify(memoryview(payload)).kind.name] += 1
        return None

    def feed_snapshot(self, symbol, body):
        sync = self.sync(symbol)
        collector = Collector()
        collector.stream, collector.recv_ns = sync.stream, 1
        self.exchange.parse_snapshot(sync.stream, body, collector)
        return sync.on_snapshot(collector.changes[0])

    def on_book(self, change):
        self.events["book"] += 1
        sync = self.syncs[change.stream.key]
        for call in self.before_book:
            call(sync, change)
        action = sync.on_change(change)
        self.actions[Action(action).name] += 1
        if action in (Action.APPLIED, Action.REFRESH):
            for call in self.after_book:
                call(sync, change)

    def on_trade(self, trade):
        self.events["trade"] += 1

    def on_quote(self, quote):
        self.events["quote"] += 1

    def on_ticker(self, ticker):
        self.events["ticker"] += 1

    def on_candle(self, candle):
        self.events["candle"] += 1


class Recordings:
    """Foreign recordings, read independently of the package's own readers."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.manifest = {entry["file"]: entry for entry in json.loads((folder / "MANIFEST.json").read_text())}

    def counts(self, name):
        return self.manifest[name]["channels"]

    def ndtext(self, name):
        """(ns, payload) of an .ndtext.gz."""
        with gzip.open(self.folder / name) as lines:
            for line in lines:
                ns, payload = line.rstrip(b"\n").split(b" ", 1)
                yield int(ns), payload

    def received(self, name):
        """(time in s, payload) of what a session log received."""
        with gzip.open(self.folder / name) as lines:
            for line in lines:
                if b": " in line and not line.startswith(b"wss://"):
                    time_s, payload = line.rstrip(b"\n").split(b": ", 1)
                    yield float(time_s), payload

    def answers(self, name):
        """(time in s, url, body) of a log of REST answers."""
        with gzip.open(self.folder / name) as lines:
            for line in lines:
                if line.startswith(b"http"):
                    url, rest = line.rstrip(b"\n").split(b" -> ", 1)
                    time_s, body = rest.split(b": ", 1)
                    yield float(time_s), url.decode(), body.split(b" header: ")[0]

    def lines(self, name):
        """Payloads of a .jsonl.gz."""
        with gzip.open(self.folder / name) as lines:
            return [line.rstrip(b"\n") for line in lines]

    def fixtures(self, name):
        """{name of the source file: message} of single messages."""
        lines = (self.folder / "nautilus" / name).read_text().splitlines()
        return {Path(row["source_path"]).stem: row["message"] for row in map(json.loads, lines)}


@pytest.fixture(scope="session")
def recordings(captures_dir):
    return Recordings(captures_dir)


@pytest.fixture(scope="session")
def player():
    return Player


@pytest.fixture
def collector():
    return Collector()


@pytest.fixture
def decode(collector):
    """decode(venue, channel, symbol, message) -> the Collector with what the message gave."""
    streams = {}

    def run(venue, channel, symbol, message, *, name=None):
        exchange = load_exchange(venue)
        key = (venue, channel, symbol, name)
        if key not in streams:
            parsed = Channel.parse(channel)
            streams[key] = exchange.stream(
                Channel(parsed.kind, parsed.variant, name), exchange.instrument(symbol)
            )
        collector.clear()
        collector.stream, collector.recv_ns = streams[key], 7
        collector.instruments = {exchange.native_symbol(symbol): exchange.instrument(symbol)}
        text = message if isinstance(message, str) else json.dumps(message, separators=(",", ":"))
        exchange.decode(streams[key], memoryview(text.encode()), collector)
        return collector

    return run
