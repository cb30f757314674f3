"""A seeded random market in one instrument: a book of whole levels, trades that take from it, quotes that
follow.

Sans I/O: time goes in, events come out. The same seed gives the same market, step by step.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

import msgspec

from connectors.mock.events import (
    MockBook,
    MockCandle,
    MockFunding,
    MockLiquidation,
    MockQuote,
    MockTicker,
    MockTrade,
    Row,
)

WINDOW = 40
"""Levels live within so many ticks of the best one; a feed of 50 levels shows them all."""
FUNDING_NS = 8 * 3600 * 10**9

_START_PRICES = {
    "BTC": 60_000.0,
    "ETH": 3_000.0,
    "SOL": 150.0,
    "XRP": 0.6,
    "DOGE": 0.12,
    "LTC": 70.0,
    "BNB": 550.0,
}


class Spec(msgspec.Struct, frozen=True):
    """An instrument of the generated market."""

    native: str
    symbol: str  # unified
    kind: str  # spot, perp, future, option
    base: str
    quote: str
    price_digits: int
    size_digits: int
    start_price: float


def spec_of(native: str, symbol: str, kind: str) -> Spec:
    """An instrument with a tick of about 1/100 000 of its price."""
    parts = symbol.split("-")
    base, quote = parts[0], parts[1] if len(parts) > 1 else ""
    start = _START_PRICES.get(base, 10.0)
    digits = 0
    while start * 10**digits < 100_000 and digits < 8:
        digits += 1
    return Spec(native, symbol, kind, base, quote, digits, 4 if start > 1000 else 2, start)


class Step(msgspec.Struct):
    """What one step did. changes: (is_bid, price ticks, size lots or 0), in order."""

    ns: int
    changes: list[tuple[bool, int, int]]
    trade: MockTrade | None = None
    liquidation: MockLiquidation | None = None
    is_quote_new: bool = False


class Market:
    """See the module. Prices are ticks, sizes lots, both int; texts have the instrument's digits."""

    def __init__(self, spec: Spec, seed: int | str, id_step: int = 1) -> None:
        self.spec = spec
        self.rng = random.Random(f"{seed}/{spec.native}")  # noqa: S311 - the same seed, the same market
        self.update_id = self.rng.randrange(10**6, 10**9)
        self.trade_id = self.rng.randrange(10**5, 10**7)
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self._id_step = id_step
        self._first_trade_id = self.trade_id + 1
        self._price_unit = 10**spec.price_digits
        self._size_unit = 10**spec.size_digits
        middle = round(spec.start_price * self._price_unit)
        for offset in range(WINDOW // 2):
            self.bids[middle - 1 - offset] = self._size()
            self.asks[middle + 1 + offset] = self._size()
        self.best_bid, self.best_ask = middle - 1, middle + 1
        self.last = self.open = self.high = self.low = middle
        self.last_size = 1
        self.volume = 0  # lots
        self.turnover = 0  # ticks * lots
        self._candles: dict[int, _Candle] = {}

    # Steps

    def step(self, now_ns: int) -> Step:
        """The next thing that happens."""
        before = (self.best_bid, self.bids[self.best_bid], self.best_ask, self.asks[self.best_ask])
        out = Step(now_ns, [])
        draw = self.rng.random()
        if draw < 0.25:
            self._trade(out)
        elif draw < 0.45 or self.best_ask - self.best_bid > 4:
            self._improve(out)
        else:
            self._rest(out)
        self._trim(out)
        after = (self.best_bid, self.bids[self.best_bid], self.best_ask, self.asks[self.best_ask])
        out.is_quote_new = before != after
        return out

    def _size(self) -> int:
        return 1 + int(self.rng.expovariate(1 / (3 * self._size_unit)))

    def _set(self, out: Step, is_bid: bool, price: int, size: int) -> None:
        side = self.bids if is_bid else self.asks
        if size:
            side[price] = size
        else:
            del side[price]
        self.update_id += 1 if self._id_step == 1 else self.rng.randint(1, self._id_step)
        out.changes.append((is_bid, price, size))
        if is_bid:
            self.best_bid = max(self.bids)
        else:
            self.best_ask = min(self.asks)

    def _rest(self, out: Step) -> None:
        """An order is put, changed or cancelled at some distance from the best."""
        is_bid = self.rng.random() < 0.5
        offset = min(int(self.rng.expovariate(0.15)), WINDOW - 1)
        price = self.best_bid - offset if is_bid else self.best_ask + offset
        side = self.bids if is_bid else self.asks
        is_cancel = price in side and len(side) > 10 and self.rng.random() < 0.4
        self._set(out, is_bid, price, 0 if is_cancel else self._size())

    def _improve(self, out: Step) -> None:
        """A better price on one side, where the spread has room; else an order at rest."""
        if self.best_ask - self.best_bid < 2:
            self._rest(out)
            return
        is_bid = self.rng.random() < 0.5
        self._set(out, is_bid, self.best_bid + 1 if is_bid else self.best_ask - 1, self._size())

    def _trade(self, out: Step) -> None:
        """A taker buys or sells at the best price."""
        side = 1 if self.rng.random() < 0.5 else -1
        is_bid = side < 0
        price = self.best_bid if is_bid else self.best_ask
        levels = self.bids if is_bid else self.asks
        size = min(self._size(), levels[price])
        if size == levels[price] and len(levels) <= 10:
            size = max(1, size // 2)
        rest = levels[price] - size
        if rest == 0 and len(levels) <= 10:
            rest = 1
        self._set(out, is_bid, price, rest)
        self.trade_id += 1
        self._count_trade(out.ns, price, size)
        out.trade = MockTrade(out.ns, self.price(price), self.size(size), side, self.trade_id, self.update_id)
        if self.rng.random() < 0.02:
            out.liquidation = MockLiquidation(
                out.ns, self.spec.native, self.price(price), self.size(size), side
            )

    def _trim(self, out: Step) -> None:
        """Levels that the best price has left behind are cancelled."""
        for price in [price for price in self.bids if price <= self.best_bid - WINDOW]:
            self._set(out, True, price, 0)
        for price in [price for price in self.asks if price >= self.best_ask + WINDOW]:
            self._set(out, False, price, 0)

    def _count_trade(self, ns: int, price: int, size: int) -> None:
        self.last, self.last_size = price, size
        self.high, self.low = max(self.high, price), min(self.low, price)
        self.volume += size
        self.turnover += price * size
        for candle in self._candles.values():
            candle.add(ns, price, size, self.trade_id)

    # Texts

    def price(self, ticks: int) -> str:
        """Ticks as the venue writes them."""
        return _text(ticks, self.spec.price_digits)

    def size(self, lots: int) -> str:
        return _text(lots, self.spec.size_digits)

    def rows(self, levels: Iterable[tuple[int, int]]) -> list[Row]:
        return [(self.price(price), self.size(size) if size else "0") for price, size in levels]

    # Pictures

    def book(self, ns: int, depth: int | None, prev_id: int = -1, number: int = 1) -> MockBook:
        """The whole book, or its top."""
        bids = sorted(self.bids.items(), reverse=True)[:depth]
        asks = sorted(self.asks.items())[:depth]
        return MockBook(
            ns, True, self.rows(bids), self.rows(asks), self.update_id, self.update_id, prev_id, number
        )

    def quote(self, ns: int) -> MockQuote:
        return MockQuote(
            ns,
            self.price(self.best_bid),
            self.size(self.bids[self.best_bid]),
            self.price(self.best_ask),
            self.size(self.asks[self.best_ask]),
            self.update_id,
        )

    def ticker(self, ns: int, is_first: bool = False) -> MockTicker:
        last = self.price(self.last)
        turnover = _text(self.turnover, self.spec.price_digits + self.spec.size_digits)
        return MockTicker(
            ns,
            last,
            self.size(self.last_size),
            self.quote(ns),
            self.price(self.open),
            self.price(self.high),
            self.price(self.low),
            last,
            last,
            self.size(self.volume),
            turnover,
            self._first_trade_id,
            self.trade_id,
            is_first,
        )

    def candle(self, ns: int, interval_s: int) -> MockCandle:
        """The running candle; counted from the first call on."""
        candle = self._candles.get(interval_s)
        if candle is None:
            candle = self._candles[interval_s] = _Candle(interval_s * 10**9, self.last)
        candle.roll(ns)
        return MockCandle(
            ns,
            candle.open_ns,
            candle.open_ns + candle.interval_ns,
            self.price(candle.open),
            self.price(candle.high),
            self.price(candle.low),
            self.price(candle.close),
            self.size(candle.volume),
            _text(candle.turnover, self.spec.price_digits + self.spec.size_digits),
            candle.count,
            candle.first_trade_id,
            False,
        )

    def funding(self, ns: int) -> MockFunding:
        mark = self.price((self.best_bid + self.best_ask) // 2)
        return MockFunding(ns, "0.00010000", (ns // FUNDING_NS + 1) * FUNDING_NS, mark, mark)


class _Candle:
    def __init__(self, interval_ns: int, price: int) -> None:
        self.interval_ns = interval_ns
        self.open_ns = 0
        self.close = price
        self.roll(interval_ns)

    def roll(self, ns: int) -> None:
        start = ns // self.interval_ns * self.interval_ns
        if start == self.open_ns:
            return
        self.open_ns = start
        self.open = self.high = self.low = self.close
        self.volume = self.turnover = self.count = 0
        self.first_trade_id = -1

    def add(self, ns: int, price: int, size: int, trade_id: int) -> None:
        self.roll(ns)
        if not self.count:
            self.open = self.high = self.low = price
            self.first_trade_id = trade_id
        self.high, self.low, self.close = max(self.high, price), min(self.low, price), price
        self.volume += size
        self.turnover += price * size
        self.count += 1


def _text(value: int, digits: int) -> str:
    if not digits:
        return str(value)
    unit = 10**digits
    return f"{value // unit}.{value % unit:0{digits}d}"
