"""What happens in the generated market, before a dialect words it. Prices and sizes are texts."""

from __future__ import annotations

from typing import Literal

import msgspec

FeedKind = Literal["trade", "quote", "book", "top", "ticker", "candle", "funding", "liquidation"]
Row = tuple[str, str]
"""Price, size; size "0" deletes the level."""


class Feed(msgspec.Struct, frozen=True):
    """A topic, understood. kind "book": snapshot and changes; "top": each message is a whole top."""

    topic: str
    kind: FeedKind
    native: str  # the venue's symbol
    name: str  # the venue's channel name
    every_ns: int = 0  # period; 0: at each event
    depth: int | None = None
    interval_s: int = 60  # of candles
    pushes_snapshot: bool = False  # the first message after a subscribe is the whole book
    market_kind: str = ""  # of a topic about all instruments of a kind, where `native` is ""


class MockTrade(msgspec.Struct, frozen=True):
    ns: int
    price: str
    size: str
    side: int  # +1: the taker bought
    trade_id: int
    update_id: int


class MockQuote(msgspec.Struct, frozen=True):
    ns: int
    bid: str
    bid_size: str
    ask: str
    ask_size: str
    update_id: int


class MockBook(msgspec.Struct, frozen=True):
    """A snapshot, or what changed since the feed's message before. Best levels first."""

    ns: int
    is_snapshot: bool
    bids: list[Row]
    asks: list[Row]
    first_id: int  # of the changes in here
    last_id: int
    prev_id: int  # last_id of the feed's message before; -1: none
    number: int  # counts the feed's messages
    checksum: int = 0  # of recordings that carry one


class MockTicker(msgspec.Struct, frozen=True):
    """Last 24 hours."""

    ns: int
    last: str
    last_size: str
    quote: MockQuote
    open: str
    high: str
    low: str
    mark: str
    index: str
    volume: str
    turnover: str
    first_trade_id: int
    last_trade_id: int
    is_first: bool = False  # of a subscription


class MockCandle(msgspec.Struct, frozen=True):
    ns: int
    open_ns: int
    close_ns: int  # the next one's open_ns
    open: str
    high: str
    low: str
    close: str
    volume: str
    turnover: str
    count: int
    first_trade_id: int
    is_closed: bool


class MockFunding(msgspec.Struct, frozen=True):
    ns: int
    rate: str
    next_ns: int
    mark: str
    index: str


class MockLiquidation(msgspec.Struct, frozen=True):
    ns: int
    native: str
    price: str
    size: str
    side: int  # of the order: -1, a long is closed
