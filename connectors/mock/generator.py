"""A source without a capture: seeded markets, encoded by the venue's dialect."""

# ruff: noqa: ARG002 - every Source is asked alike

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Sequence

import msgspec

from connectors.errors import ConfigError
from connectors.exchange import Exchange
from connectors.mock.events import Feed, MockBook, MockCandle
from connectors.mock.market import Market, Spec, Step, spec_of
from connectors.mock.source import FOREVER_NS, Message, Opening
from connectors.mock.venue import HttpAnswer, MockVenue

BASES = ("BTC", "ETH", "SOL", "XRP", "DOGE", "LTC", "BNB")
DEFAULT_SYMBOLS = tuple(f"{base}-{tail}" for base in BASES for tail in ("USDT", "USDT-PERP", "USD-PERP"))


def specs(exchange: Exchange, symbols: Sequence[str] = ()) -> list[Spec]:
    """Instruments of the generated market: `symbols` (unified), else those of DEFAULT_SYMBOLS the venue has.

    Raises ConfigError: the venue has no symbol of such a shape.
    """
    found: dict[str, Spec] = {}
    for symbol in symbols or DEFAULT_SYMBOLS:
        try:
            instrument = exchange.instrument(symbol)
        except ConfigError:
            if symbols:
                raise
            continue
        found[instrument.native] = spec_of(instrument.native, symbol, instrument.kind)
    return list(found.values())


class GeneratorSource:
    """Implements source.Source. Markets move only while somebody has subscribed something of theirs.

    rate: steps per second and market (exponential gaps). start_ns: first instant of the source's time (since
    1970). The same seed, symbols and calls give the same messages.
    """

    is_finished = False
    topics: frozenset[str] = frozenset()

    def __init__(
        self,
        venue: MockVenue,
        *,
        seed: int = 1,
        symbols: Sequence[str] = (),
        rate: float = 100.0,
        start_ns: int,
    ) -> None:
        self.skipped: Counter[str] = Counter()
        self.markets: dict[str, _Live] = {}
        self._venue = venue
        self._rate = rate
        self._now_ns = start_ns
        self._feeds: dict[str, _LiveFeed] = {}
        self._due: list[tuple[int, int, _Live | _LiveFeed]] = []
        self._order = itertools.count()
        self._ready: list[Message] = []
        id_step = getattr(venue, "id_step", 1)
        for spec in specs(venue.exchange, symbols):
            self.markets[spec.native] = _Live(Market(spec, f"{seed}/{venue.facts.name}", id_step))

    # Subscriptions

    def has(self, topic: str, route: str) -> bool:
        feed = self._venue.feed(topic)
        return feed is not None and self._market_of(feed) is not None and self._venue.is_on_route(feed, route)

    def is_silent(self, topic: str, route: str) -> bool:
        return not self.has(topic, route)

    def _market_of(self, feed: Feed) -> _Live | None:
        if feed.native:
            live = self.markets.get(feed.native)
            is_spot = live is not None and live.market.spec.kind == "spot"
            return None if is_spot and feed.kind in ("funding", "liquidation") else live
        # A topic about all instruments of a kind: the first one's events stand for them.
        found = (live for live in self.markets.values() if live.market.spec.kind == feed.market_kind)
        return next(found, None)

    def subscribe(self, topic: str, now_ns: int) -> Opening:
        self._now_ns = max(self._now_ns, min(now_ns, FOREVER_NS))
        live = self._feeds.get(topic)
        before: list[Message] = []
        if live is None:
            live = self._start(topic)
        elif live.feed.kind == "book":
            # The newcomer's snapshot must join the others' changes: these go out first.
            before = self._emit_changes(live)
        return Opening(before, self._first(live))

    def _start(self, topic: str) -> _LiveFeed:
        feed = self._venue.feed(topic)
        assert feed is not None
        home = self._market_of(feed)
        assert home is not None
        live = _LiveFeed(feed, home)
        live.last_id = home.market.update_id
        if feed.kind == "candle":
            live.candle = home.market.candle(self._now_ns, feed.interval_s)
        self._feeds[topic] = live
        if not home.is_moving:
            home.is_moving = True
            self._schedule(home, self._now_ns + self._gap_ns(home.market))
        home.feeds[topic] = live
        if feed.every_ns:
            self._schedule(live, self._now_ns + feed.every_ns)
        return live

    def _first(self, live: _LiveFeed) -> list[Message]:
        """The message a subscription starts with."""
        feed, market = live.feed, live.home.market
        if feed.kind == "book":
            if not feed.pushes_snapshot:
                return []
            live.number = max(live.number, 1)
            book = market.book(self._now_ns, feed.depth, number=live.number)
            return [Message(feed.topic, self._venue.encode_book(feed, book))]
        if feed.kind in ("quote", "top", "ticker", "funding") and feed.pushes_snapshot:
            return self._periodic(live, is_first=True)
        return []

    def unsubscribe(self, topic: str) -> None:
        live = self._feeds.pop(topic, None)
        if live is not None:
            live.is_on = False
            live.home.feeds.pop(topic, None)

    # Time

    def _gap_ns(self, market: Market) -> int:
        return 1 + int(market.rng.expovariate(self._rate) * 1e9)

    def _schedule(self, what: _Live | _LiveFeed, due_ns: int) -> None:
        heapq.heappush(self._due, (due_ns, next(self._order), what))

    def next_ns(self) -> int | None:
        if self._ready:
            return self._now_ns
        return self._due[0][0] if self._due else None

    def take(self, until_ns: int, limit: int) -> list[Message]:
        out = self._ready
        while len(out) < limit and self._due and self._due[0][0] <= until_ns:
            due_ns, _, what = heapq.heappop(self._due)
            self._now_ns = max(self._now_ns, due_ns)
            if isinstance(what, _Live):
                out += self._step(what, due_ns)
            elif what.is_on:
                out += self._periodic(what)
                self._schedule(what, due_ns + what.feed.every_ns)
        self._ready = out[limit:]
        return out[:limit]

    def _step(self, home: _Live, due_ns: int) -> list[Message]:
        if not home.feeds:
            home.is_moving = False
            return []
        step = home.market.step(due_ns)
        self._schedule(home, due_ns + self._gap_ns(home.market))
        return [message for live in list(home.feeds.values()) for message in self._on_step(live, step)]

    def _on_step(self, live: _LiveFeed, step: Step) -> list[Message]:
        """What one step means for one feed."""
        feed, venue = live.feed, self._venue
        if feed.kind == "book":
            for is_bid, price, size in step.changes:
                live.changes[is_bid][price] = size
            return self._emit_changes(live) if not feed.every_ns else []
        if feed.kind == "trade" and step.trade is not None:
            return [Message(feed.topic, venue.encode_trade(feed, step.trade))]
        if feed.kind == "quote" and step.is_quote_new and not feed.every_ns:
            return [Message(feed.topic, venue.encode_quote(feed, live.home.market.quote(step.ns)))]
        if feed.kind == "liquidation" and step.liquidation is not None:
            return [Message(feed.topic, venue.encode_liquidation(feed, step.liquidation))]
        return []

    # Messages

    def _periodic(self, live: _LiveFeed, is_first: bool = False) -> list[Message]:
        feed, market, venue, now = live.feed, live.home.market, self._venue, self._now_ns
        if feed.kind == "book":
            return self._emit_changes(live)
        if feed.kind == "top":
            payload = venue.encode_book(feed, market.book(now, feed.depth))
        elif feed.kind == "quote":
            payload = venue.encode_quote(feed, market.quote(now))
        elif feed.kind == "ticker":
            payload = venue.encode_ticker(feed, market.ticker(now, is_first))
        elif feed.kind == "candle":
            return [Message(feed.topic, venue.encode_candle(feed, each)) for each in self._candles(live)]
        elif feed.kind == "funding":
            payload = venue.encode_funding(feed, market.funding(now))
        else:
            return []
        return [Message(feed.topic, payload)]

    def _candles(self, live: _LiveFeed) -> list[MockCandle]:
        """The running candle; when the interval has turned, the closed one before it."""
        market, last = live.home.market, live.candle
        live.candle = market.candle(self._now_ns, live.feed.interval_s)
        if last is None or last.open_ns == live.candle.open_ns:
            return [live.candle]
        return [msgspec.structs.replace(last, is_closed=True), live.candle]

    def _emit_changes(self, live: _LiveFeed) -> list[Message]:
        bids, asks = live.changes[True], live.changes[False]
        if not bids and not asks:
            return []
        market = live.home.market
        live.number = max(live.number, 1) + 1
        book = MockBook(
            self._now_ns,
            False,
            market.rows(sorted(bids.items(), reverse=True)),
            market.rows(sorted(asks.items())),
            live.last_id + 1,
            market.update_id,
            live.last_id,
            live.number,
        )
        live.last_id = market.update_id
        bids.clear()
        asks.clear()
        return [Message(live.feed.topic, self._venue.encode_book(live.feed, book))]

    # REST

    def http(self, path_qs: str, now_ns: int) -> HttpAnswer | None:
        native = self._venue.snapshot_symbol(path_qs)
        if native is not None and native in self.markets:
            limit = self._venue.snapshot_limit(path_qs)
            book = self.markets[native].market.book(self._now_ns, limit)
            return HttpAnswer(200, self._venue.encode_snapshot(native, book, limit))
        body = self._venue.instruments(path_qs, [each.market for each in self.markets.values()])
        return None if body is None else HttpAnswer(200, body)


class _Live:
    """A market and the feeds that watch it."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.feeds: dict[str, _LiveFeed] = {}
        self.is_moving = False  # its next step is scheduled


class _LiveFeed:
    """A subscribed topic. changes: by side (True: bids), price -> size, since the last message."""

    def __init__(self, feed: Feed, home: _Live) -> None:
        self.feed = feed
        self.home = home
        self.is_on = True
        self.changes: dict[bool, dict[int, int]] = {True: {}, False: {}}
        self.last_id = 0
        self.number = 0
        self.candle: MockCandle | None = None
