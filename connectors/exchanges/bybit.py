"""Verbs of Bybit v5, public topics; one dialect for all products.

Prices and sizes are strings, `ts`, `cts`, `T`, `start`, `end` numbers in ms. Key order differs between
products. `exchange_ns` is the matching engine's time (cts, T) where a message has it, else `ts`.
Source: docs v5 websocket/public.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Generic, Literal, TypeVar

import msgspec
from msgspec import UNSET, UnsetType, field

from connectors.decoding import (
    MALFORMED,
    NS_PER_MS,
    Id,
    Levels,
    Millis,
    Reader,
    Rows,
    TypedExchange,
    excerpt,
    int_of,
    ns_of_text,
    parse_object,
    text_of,
)
from connectors.errors import DecodeError
from connectors.exchange import HttpGet, Inbound, Kind, Payload
from connectors.instrument import Instrument, Stream
from connectors.sink import Sink

NS_PER_HOUR = 3_600_000_000_000
SIDES = {"Buy": 1, "Sell": -1}
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")

# "Invalid topic: invalid.topic.BTCUSDT", "error:handler not found,topic:..."
NAMED_IN_TEXT = re.compile(r"topic:\s*\[?([\w.-]*\w)")

T = TypeVar("T")
Type = Literal["snapshot", "delta"]
Field = str | UnsetType


class _Trade(msgspec.Struct, gc=False):
    time: Millis = field(name="T")
    side: str = field(name="S")
    size: str = field(name="v")
    price: str = field(name="p")
    trade_id: str = field(name="i")


class _Levels(msgspec.Struct, Generic[T], gc=False):
    """T: Levels for books, Rows for level 1."""

    bids: T = field(name="b")
    asks: T = field(name="a")
    update_id: Id = field(name="u")


class _Ticker(msgspec.Struct, gc=False):
    """Each field may be missing: unchanged. Spot sends no bid and ask."""

    last: Field = field(name="lastPrice", default=UNSET)
    bid: Field = field(name="bid1Price", default=UNSET)
    bid_size: Field = field(name="bid1Size", default=UNSET)
    ask: Field = field(name="ask1Price", default=UNSET)
    ask_size: Field = field(name="ask1Size", default=UNSET)
    open: Field = field(name="prevPrice24h", default=UNSET)
    high: Field = field(name="highPrice24h", default=UNSET)
    low: Field = field(name="lowPrice24h", default=UNSET)
    mark: Field = field(name="markPrice", default=UNSET)
    index: Field = field(name="indexPrice", default=UNSET)
    usd_index: Field = field(name="usdIndexPrice", default=UNSET)  # spot
    volume: Field = field(name="volume24h", default=UNSET)
    turnover: Field = field(name="turnover24h", default=UNSET)
    open_interest: Field = field(name="openInterest", default=UNSET)
    rate: Field = field(name="fundingRate", default=UNSET)
    next_time: Field = field(name="nextFundingTime", default=UNSET)
    interval_h: Field = field(name="fundingIntervalHour", default=UNSET)


FUNDING_FIELDS = frozenset(("rate", "next_time", "interval_h", "mark", "index"))


class _Candle(msgspec.Struct, gc=False):
    start: Millis
    end: Millis  # inclusive: the last ms
    open: str
    high: str
    low: str
    close: str
    volume: str
    turnover: str
    is_closed: bool = field(name="confirm")
    timestamp: Millis = 0


class _Liquidation(msgspec.Struct, gc=False):
    time: Millis = field(name="T")
    side: str = field(name="S")
    size: str = field(name="v")
    price: str = field(name="p")


class _ListFrame(msgspec.Struct, Generic[T], gc=False):
    data: list[T]


class _BookFrame(msgspec.Struct, Generic[T], gc=False):
    type: Type
    ts: Millis
    data: _Levels[T]
    cts: Millis = 0


class _TickerFrame(msgspec.Struct, gc=False):
    type: Type
    ts: Millis
    data: _Ticker


class _CandleFrame(msgspec.Struct, gc=False):
    ts: Millis
    data: list[_Candle]


class _PriceFilter(msgspec.Struct, gc=False):
    tick: str = field(name="tickSize")


class _LotFilter(msgspec.Struct, gc=False):
    step: str = field(name="qtyStep", default="")  # derivatives
    base: str = field(name="basePrecision", default="")  # spot


class _Listing(msgspec.Struct, gc=False):
    symbol: str
    status: str
    base: str = field(name="baseCoin")
    quote: str = field(name="quoteCoin")
    prices: _PriceFilter = field(name="priceFilter")
    lots: _LotFilter = field(name="lotSizeFilter")
    contract: str = field(name="contractType", default="")


class _Page(msgspec.Struct, gc=False):
    listings: list[_Listing] = field(name="list")
    cursor: str = field(name="nextPageCursor", default="")


class _Answer(msgspec.Struct, gc=False):
    code: int = field(name="retCode")
    text: str = field(name="retMsg", default="")
    result: msgspec.Raw = msgspec.Raw(b"{}")


read_trades = msgspec.json.Decoder(_ListFrame[_Trade]).decode
read_book = msgspec.json.Decoder(_BookFrame[Levels]).decode
read_level1 = msgspec.json.Decoder(_BookFrame[Rows]).decode
read_ticker = msgspec.json.Decoder(_TickerFrame).decode
read_candles = msgspec.json.Decoder(_CandleFrame).decode
read_liquidations = msgspec.json.Decoder(_ListFrame[_Liquidation]).decode
read_answer = msgspec.json.Decoder(_Answer).decode
read_page = msgspec.json.Decoder(_Page).decode


class _Bybit(TypedExchange):
    """What the products have in common."""

    def readers(self) -> Mapping[str, Reader]:
        return {
            "trade": self._trade,
            "quote": self._quote,
            "book": self._book,
            "ticker": self._ticker,
            "candle": self._candle,
            "funding": self._funding,
            "liquidation": self._liquidation,
        }

    def classify(self, payload: Payload) -> Inbound:
        """`success` with `op`; a pong has op ping (spot, linear) or pong (option); COMMAND_RESP (option)."""
        message = parse_object(payload)
        if message is None:
            return Inbound(Kind.UNKNOWN, text=excerpt(payload))
        topic, op = message.get("topic"), message.get("op")
        text = text_of(message.get("ret_msg"))
        request_id = int_of(message.get("req_id"))
        if isinstance(topic, str):
            return Inbound(Kind.DATA, key=topic.encode("utf-8", "replace"))
        if op == "pong" or text == "pong":
            return Inbound(Kind.PONG, request_id)
        failed = failed_topics(message)
        if message.get("success") is False or failed:
            topics = failed or tuple(NAMED_IN_TEXT.findall(text))
            return Inbound(
                Kind.ERROR, request_id, topics, is_unsubscribe=op == "unsubscribe", text=text or "refused"
            )
        if message.get("success") is True and (
            op in ("subscribe", "unsubscribe") or message.get("type") == "COMMAND_RESP"
        ):
            return Inbound(Kind.ACK, request_id, is_unsubscribe=op == "unsubscribe")
        return Inbound(Kind.UNKNOWN, text=excerpt(payload))

    def _trade(self, stream: Stream, payload: Payload, sink: Sink) -> None:
        for trade in read_trades(payload).data:
            sink.trade(
                trade.price, trade.size, side_of(stream, trade.side), trade.trade_id, trade.time * NS_PER_MS
            )

    def _book(self, stream: Stream, payload: Payload, sink: Sink) -> None:
        frame = read_book(payload)
        levels = frame.data
        sink.book(
            # u = 1: the service restarted; whatever the type says, it replaces the book.
            frame.type == "snapshot" or levels.update_id == 1,
            levels.bids,
            levels.asks,
            (frame.cts or frame.ts) * NS_PER_MS,
            last_id=levels.update_id,
        )

    def _quote(self, stream: Stream, payload: Payload, sink: Sink) -> None:
        """Level 1 sends snapshots; recordings of 2023 have deltas, which are joined in stream.state."""
        frame = read_level1(payload)
        if frame.type == "snapshot":
            best = (joined(None, frame.data.bids), joined(None, frame.data.asks))
        elif stream.state is None:
            raise DecodeError(f"{stream.topic}: expected a snapshot first, got a delta", stream=stream.topic)
        else:
            bid, ask = stream.state
            best = (joined(bid, frame.data.bids), joined(ask, frame.data.asks))
        stream.state = best
        bid, ask = (side or (None, None) for side in best)
        ns = (frame.cts or frame.ts) * NS_PER_MS
        sink.quote(bid[0], bid[1], ask[0], ask[1], ns, frame.data.update_id)

    def _merged(self, stream: Stream, payload: Payload) -> tuple[int, dict[str, str], dict[str, str]]:
        """(ns, all fields known, the fields of this message). Raises DecodeError: a delta comes first."""
        frame = read_ticker(payload)
        new = {name: value for name in TICKER_FIELDS if (value := getattr(frame.data, name)) is not UNSET}
        if frame.type == "snapshot":
            stream.state = dict(new)
        elif stream.state is None:
            raise DecodeError(f"{stream.topic}: expected a snapshot first, got a delta", stream=stream.topic)
        else:
            stream.state.update(new)
        return frame.ts * NS_PER_MS, stream.state, new

    def _ticker(self, stream: Stream, payload: Payload, sink: Sink) -> None:
        ns, state, _ = self._merged(stream, payload)
        known = state.get
        sink.ticker(
            ns,
            last=known("last"),
            bid=known("bid"),
            bid_size=known("bid_size"),
            ask=known("ask"),
            ask_size=known("ask_size"),
            open=known("open"),
            high=known("high"),
            low=known("low"),
            mark=known("mark"),
            index=known("index") or known("usd_index"),
            volume=known("volume"),
            turnover=known("turnover"),
            open_interest=known("open_interest"),
        )

    def _funding(self, stream: Stream, payload: Payload, sink: Sink) -> None:
        """The funding fields of the tickers, when one of them is sent."""
        ns, state, new = self._merged(stream, payload)
        if FUNDING_FIELDS.isdisjoint(new):
            return
        hours = state.get("interval_h", "")
        sink.funding(
            ns,
            rate=state.get("rate"),
            next_ns=ns_of_text(state.get("next_time")),
            interval_ns=int(hours) * NS_PER_HOUR
            if hours.isascii() and hours.isdigit() and len(hours) < 6
            else 0,
            mark=state.get("mark"),
            index=state.get("index"),
        )

    def _candle(self, stream: Stream, payload: Payload, sink: Sink) -> None:
        frame = read_candles(payload)
        for bar in frame.data:
            sink.candle(
                stream.variant,
                bar.start * NS_PER_MS,
                bar.open,
                bar.high,
                bar.low,
                bar.close,
                exchange_ns=(bar.timestamp or frame.ts) * NS_PER_MS,
                close_ns=(bar.end + 1) * NS_PER_MS,
                volume=bar.volume,
                turnover=bar.turnover,
                is_closed=bar.is_closed,
            )

    def _liquidation(self, stream: Stream, payload: Payload, sink: Sink) -> None:
        for each in read_liquidations(payload).data:
            # S is the position's side: Buy means that a long was closed, so the order sold.
            side = -side_of(stream, each.side)
            sink.liquidation(each.price, each.size, side, each.time * NS_PER_MS)

    def parse_instruments(self, body: bytes) -> list[Instrument]:
        """GET instruments-info: those that trade. Raises DecodeError."""
        found = (self._listed(each) for each in self._page(body).listings if each.status == "Trading")
        return [instrument for instrument in found if instrument is not None]

    def next_instruments(self, request: HttpGet, body: bytes) -> HttpGet | None:
        """Derivatives come in pages: `nextPageCursor` asks for the next one."""
        cursor = self._page(body).cursor
        if not cursor:
            return None
        url = re.sub(r"&cursor=[^&]*$", "", request.url)
        return HttpGet(f"{url}&cursor={cursor}", request.weight)

    def _page(self, body: bytes) -> _Page:
        try:
            answer = read_answer(body)
            if answer.code == 0:
                return read_page(answer.result)
        except MALFORMED as error:
            raise DecodeError(f"{self.facts.name}: instruments: {error}: {excerpt(body)}") from error
        raise DecodeError(f"{self.facts.name}: instruments: code {answer.code}: {answer.text}")

    def _listed(self, listing: _Listing) -> Instrument | None:
        symbol, kind = self._unified(listing)
        step = listing.lots.step or listing.lots.base
        is_inverse = listing.contract.startswith("Inverse")
        return self.listed(symbol, listing.symbol, kind, listing.prices.tick, step, is_inverse=is_inverse)

    def _unified(self, listing: _Listing) -> tuple[str, str]:
        return f"{listing.base}-{listing.quote}", "spot"


class BybitSpot(_Bybit):
    """Spot: native BTCUSDT."""


class BybitLinear(_Bybit):
    """USDT and USDC perpetuals and futures; BTCUSDT, BTCPERP, BTCUSDT-26DEC25, BTC-26DEC25."""

    def native_symbol(self, symbol: str) -> str:
        """Dates: yymmdd here, 26DEC25 there (the day without a leading zero)."""
        native = super().native_symbol(symbol)
        stem, _, date = native.rpartition("-")
        if len(date) == 6 and date.isdigit() and 1 <= int(date[2:4]) <= 12:
            return f"{stem}-{int(date[4:])}{MONTHS[int(date[2:4]) - 1]}{date[:2]}"
        return native

    def _unified(self, listing: _Listing) -> tuple[str, str]:
        pair = f"{listing.base}-{listing.quote}"
        match = re.fullmatch(r".*-(\d{1,2})([A-Z]{3})(\d{2})", listing.symbol)
        if match is None or match[2] not in MONTHS:
            return f"{pair}-PERP", "perp"
        return f"{pair}-{match[3]}{MONTHS.index(match[2]) + 1:02}{int(match[1]):02}", "future"


TICKER_FIELDS = _Ticker.__struct_fields__


def side_of(stream: Stream, word: str) -> int:
    """Buy +1, Sell -1. Raises DecodeError."""
    side = SIDES.get(word)
    if side is None:
        raise DecodeError(f"{stream.topic}: expected side Buy or Sell, got {word!r:.60}")
    return side


def joined(best: tuple[str, ...] | None, rows: Rows) -> tuple[str, ...] | None:
    """The one level of a side after `rows`: size 0 empties it, another replaces it. Raises DecodeError."""
    for row in rows:
        if len(row) < 2:
            raise DecodeError(f"expected a level of price and size, got {row!r:.60}")
        if row[1].strip("0."):
            best = row
        elif best is not None and best[0] == row[0]:
            best = None
    return best


def failed_topics(message: Mapping[str, object]) -> tuple[str, ...]:
    """failTopics of a COMMAND_RESP."""
    data = message.get("data")
    failed = data.get("failTopics") if isinstance(data, dict) else None
    return tuple(map(text_of, failed)) if isinstance(failed, list) else ()
