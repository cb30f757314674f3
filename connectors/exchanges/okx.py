"""Verbs of OKX v5.

Every price, size and time is a JSON string; seqId, prevSeqId and checksum are integers. Sizes of derivatives
are in contracts (Instrument.contract_size each). `data` may hold several items. Fields were added over time:
missing and extra ones are accepted.
Source: docs-v5, "Order Book Trading / Market Data", "Public Data / WebSocket".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Generic, TypeVar
from zlib import crc32

import msgspec

from connectors.book import Book
from connectors.decoding import (
    MALFORMED,
    NS_PER_MS,
    Id,
    Levels,
    Millis,
    Reader,
    Rows,
    TypedExchange,
    decimal_of,
    excerpt,
    int_of,
    ns_of_text,
    parse_object,
    text_of,
)
from connectors.errors import DecodeError
from connectors.exchange import Inbound, Kind, Payload
from connectors.instrument import Instrument, Stream
from connectors.sink import Sink

T = TypeVar("T")

SIDES = {"buy": 1, "sell": -1}
INST_TYPES = {"spot": "SPOT", "perp": "SWAP", "future": "FUTURES", "option": "OPTION"}
KINDS = {word: kind for kind, word in INST_TYPES.items()}
ARG_ORDER = ("channel", "instType", "instFamily", "uly", "instId")
CHECKSUM_DEPTH = 25

# "Wrong URL or channel:index-tickers, instId:NEAR-USDT-SWAP doesn't exist. Please use ..."
NAMED_IN_TEXT = re.compile(r"channel:\s*([\w-]+),\s*(instId|instType|instFamily):\s*([\w.-]*\w)")
CODE_UPGRADE = "64008"
CODE_TOO_FREQUENT = "60014"


class _Trade(msgspec.Struct, gc=False):
    trade_id: Id = msgspec.field(name="tradeId")
    price: str = msgspec.field(name="px")
    size: str = msgspec.field(name="sz")
    side: str
    ts: Millis
    count: Id = 1


class _Book(msgspec.Struct, Generic[T], gc=False):
    """T: Levels for books, Rows for the best bid and offer."""

    asks: T
    bids: T
    ts: Millis
    checksum: Id = 0
    seq_id: Id | None = msgspec.field(name="seqId", default=None)
    prev_seq_id: Id | None = msgspec.field(name="prevSeqId", default=None)


class _Ticker(msgspec.Struct, gc=False):
    """tickers, mark-price and open-interest."""

    ts: Millis
    last: str | None = None
    last_size: str | None = msgspec.field(name="lastSz", default=None)
    ask: str | None = msgspec.field(name="askPx", default=None)
    ask_size: str | None = msgspec.field(name="askSz", default=None)
    bid: str | None = msgspec.field(name="bidPx", default=None)
    bid_size: str | None = msgspec.field(name="bidSz", default=None)
    open: str | None = msgspec.field(name="open24h", default=None)
    high: str | None = msgspec.field(name="high24h", default=None)
    low: str | None = msgspec.field(name="low24h", default=None)
    volume: str | None = msgspec.field(name="vol24h", default=None)
    volume_ccy: str | None = msgspec.field(name="volCcy24h", default=None)
    mark: str | None = msgspec.field(name="markPx", default=None)
    open_interest: str | None = msgspec.field(name="oi", default=None)


class _Funding(msgspec.Struct, gc=False):
    rate: str = msgspec.field(name="fundingRate")
    time: str = msgspec.field(name="fundingTime")
    next_time: str = msgspec.field(name="nextFundingTime", default="")
    ts: str = ""


class _Order(msgspec.Struct, gc=False):
    side: str
    price: str = msgspec.field(name="bkPx")
    size: str = msgspec.field(name="sz")
    ts: Millis


class _Liquidation(msgspec.Struct, gc=False):
    native: str = msgspec.field(name="instId")
    details: list[_Order]


class _TradeFrame(msgspec.Struct, gc=False):
    data: list[_Trade]


class _BookFrame(msgspec.Struct, Generic[T], gc=False):
    data: list[_Book[T]]
    action: str = ""


class _TickerFrame(msgspec.Struct, gc=False):
    data: list[_Ticker]


class _CandleFrame(msgspec.Struct, gc=False):
    data: list[list[str]]


class _FundingFrame(msgspec.Struct, gc=False):
    data: list[_Funding]


class _LiquidationFrame(msgspec.Struct, gc=False):
    data: list[_Liquidation]


class _Listing(msgspec.Struct, gc=False):
    inst_type: str = msgspec.field(name="instType")
    native: str = msgspec.field(name="instId")
    state: str
    tick: str = msgspec.field(name="tickSz")
    lot: str = msgspec.field(name="lotSz")
    value: str = msgspec.field(name="ctVal", default="")
    multiplier: str = msgspec.field(name="ctMult", default="")
    contract: str = msgspec.field(name="ctType", default="")


class _Listings(msgspec.Struct, gc=False):
    data: list[_Listing]
    code: str = "0"
    msg: str = ""


# strict=False: ints that stand in strings ("ts":"1597026383085") are read as ints.
read_trades = msgspec.json.Decoder(_TradeFrame, strict=False).decode
read_books = msgspec.json.Decoder(_BookFrame[Levels], strict=False).decode
read_quotes = msgspec.json.Decoder(_BookFrame[Rows], strict=False).decode
read_tickers = msgspec.json.Decoder(_TickerFrame, strict=False).decode
read_candles = msgspec.json.Decoder(_CandleFrame).decode
read_funding = msgspec.json.Decoder(_FundingFrame).decode
read_liquidations = msgspec.json.Decoder(_LiquidationFrame, strict=False).decode
read_listings = msgspec.json.Decoder(_Listings).decode


def topic_of(arg: Mapping[str, Any]) -> str:
    """An `arg` object as facts.subscribe.topic writes it, whatever the order of its keys."""
    known = {name: arg[name] for name in ARG_ORDER if name in arg}
    return msgspec.json.encode({**known, **arg}).decode()


class Okx(TypedExchange):
    """OKX v5, public and business endpoints."""

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

    def _names(self, instrument: Instrument | None, name: str, word: str) -> dict[str, str]:
        inst_type = INST_TYPES[instrument.kind] if instrument else ""
        return {**super()._names(instrument, name, word), "inst_type": inst_type}

    def classify(self, payload: Payload) -> Inbound:
        """Acks (one per arg), errors (the arg stands only in the text), the upgrade notice, literal pong."""
        if bytes(payload[:5]) == b"pong":
            return Inbound(Kind.PONG)
        message = parse_object(payload)
        if message is None:
            return Inbound(Kind.UNKNOWN, text=excerpt(payload))
        event, arg = message.get("event"), message.get("arg")
        request_id = int_of(message.get("id"))
        code, text = text_of(message.get("code")) or None, text_of(message.get("msg"))
        if event in ("subscribe", "unsubscribe") and isinstance(arg, dict):
            return Inbound(Kind.ACK, request_id, (topic_of(arg),), is_unsubscribe=event == "unsubscribe")
        if event == "error":
            wait_s = self._refill_s() if code == CODE_TOO_FREQUENT else None
            return Inbound(Kind.ERROR, request_id, named_in(text), code=code, text=text, retry_after_s=wait_s)
        if event == "notice":
            kind = Kind.NOTICE if code == CODE_UPGRADE else Kind.INFO
            return Inbound(kind, code=code, text=text)
        if event is not None:
            return Inbound(Kind.INFO, code=code, text=text or excerpt(payload))
        if isinstance(arg, dict) and "data" in message:
            return Inbound(Kind.DATA, key=topic_of(arg).encode().removesuffix(b"}"))
        return Inbound(Kind.UNKNOWN, text=excerpt(payload))

    def _refill_s(self) -> float | None:
        """When the budget of requests allows the next one."""
        budget = self.facts.limits.requests
        return budget.per_s / budget.count if budget else None

    def _trade(self, stream: Stream, payload: Payload, sink: Sink) -> None:
        for trade in read_trades(payload).data:
            side = side_of(stream, trade.side)
            count = min(max(trade.count, 1), 2**31 - 1)
            sink.trade(trade.price, trade.size, side, trade.trade_id, trade.ts * NS_PER_MS, None, count)

    def _quote(self, stream: Stream, payload: Payload, sink: Sink) -> None:
        for book in read_quotes(payload).data:
            bid, bid_size = top(book.bids)
            ask, ask_size = top(book.asks)
            sink.quote(bid, bid_size, ask, ask_size, book.ts * NS_PER_MS, book.seq_id)

    def _book(self, stream: Stream, payload: Payload, sink: Sink) -> None:
        frame = read_books(payload)
        # books5 sends whole books and no action.
        if frame.action not in ("snapshot", "update", ""):
            raise DecodeError(f"{stream.topic}: expected action snapshot or update, got {frame.action!r:.60}")
        for book in frame.data:
            sink.book(
                frame.action != "update",
                book.bids,
                book.asks,
                book.ts * NS_PER_MS,
                last_id=book.seq_id,
                prev_id=book.prev_seq_id,
                # Always 0 since 2026-06-23: not used.
                checksum=book.checksum or None,
            )

    def _ticker(self, stream: Stream, payload: Payload, sink: Sink) -> None:
        is_spot = stream.instrument is None or stream.instrument.kind == "spot"
        for ticker in read_tickers(payload).data:
            sink.ticker(
                ticker.ts * NS_PER_MS,
                last=ticker.last,
                last_size=ticker.last_size,
                bid=ticker.bid,
                bid_size=ticker.bid_size,
                ask=ticker.ask,
                ask_size=ticker.ask_size,
                open=ticker.open,
                high=ticker.high,
                low=ticker.low,
                mark=ticker.mark,
                # Spot: vol24h base, volCcy24h quote. Derivatives: vol24h contracts, volCcy24h base.
                volume=ticker.volume if is_spot else ticker.volume_ccy,
                turnover=ticker.volume_ccy if is_spot else None,
                open_interest=ticker.open_interest,
            )

    def _candle(self, stream: Stream, payload: Payload, sink: Sink) -> None:
        is_spot = stream.instrument is None or stream.instrument.kind == "spot"
        for row in read_candles(payload).data:
            if len(row) < 9:
                raise DecodeError(
                    f"{stream.topic}: expected 9 columns of a candle, got {len(row)}: {row!r:.200}"
                )
            start, opened, high, low, close, volume, volume_ccy, turnover, confirm = row[:9]
            sink.candle(
                stream.variant,
                ns_of_text(start),
                opened,
                high,
                low,
                close,
                volume=volume if is_spot else volume_ccy,
                turnover=turnover,
                is_closed=confirm == "1",
            )

    def _funding(self, stream: Stream, payload: Payload, sink: Sink) -> None:
        for funding in read_funding(payload).data:
            due_ns, then_ns = ns_of_text(funding.time), ns_of_text(funding.next_time)
            # The interval is not always 8 h.
            interval_ns = then_ns - due_ns if then_ns > due_ns else 0
            sink.funding(ns_of_text(funding.ts), rate=funding.rate, next_ns=due_ns, interval_ns=interval_ns)

    def _liquidation(self, stream: Stream, payload: Payload, sink: Sink) -> None:
        for each in read_liquidations(payload).data:
            instrument = sink.find(each.native)
            if instrument is None:
                continue  # nobody asked for it
            for order in each.details:
                side = side_of(stream, order.side)
                sink.liquidation(order.price, order.size, side, order.ts * NS_PER_MS, instrument)

    def checksum(self, book: Book) -> int:
        """CRC32, signed, of the 25 best levels as price:size, bid and ask in turn; a longer side ends alone.

        Computed from our numbers; equal to that of the wire's texts as OKX writes no trailing zeros.
        Source: docs-v5, "Checksum" (the method before 2026-06-23).
        """
        instrument = book.instrument
        sides = [
            [f"{instrument.price_text(px)}:{instrument.size_text(sz)}" for px, sz in levels]
            for levels in (book.bids_int(CHECKSUM_DEPTH), book.asks_int(CHECKSUM_DEPTH))
        ]
        parts = [side[i] for i in range(CHECKSUM_DEPTH) for side in sides if i < len(side)]
        value = crc32(":".join(parts).encode())
        return value - 2**32 if value >= 2**31 else value

    def parse_instruments(self, body: bytes) -> list[Instrument]:
        """GET instruments: those whose state is live. Raises DecodeError."""
        try:
            answer = read_listings(body)
        except MALFORMED as error:
            raise DecodeError(f"{self.facts.name}: instruments: {error}: {excerpt(body)}") from error
        if answer.code != "0":
            raise DecodeError(f"{self.facts.name}: instruments: code {answer.code}: {answer.msg}")
        found = (self._listed(each) for each in answer.data if each.state == "live")
        return [instrument for instrument in found if instrument is not None]

    def _listed(self, listing: _Listing) -> Instrument | None:
        kind = KINDS.get(listing.inst_type)
        if kind is None:
            return None
        symbol = listing.native.removesuffix("-SWAP") + "-PERP" if kind == "perp" else listing.native
        contract_size = Decimal(1)
        if listing.value:
            contract_size = decimal_of(listing.value) * decimal_of(listing.multiplier or "1")
        return self.listed(
            symbol,
            listing.native,
            kind,
            listing.tick,
            listing.lot,
            contract_size=contract_size,
            is_inverse=listing.contract == "inverse",
        )


def side_of(stream: Stream, word: str) -> int:
    """buy +1, sell -1. Raises DecodeError."""
    side = SIDES.get(word)
    if side is None:
        raise DecodeError(f"{stream.topic}: expected side buy or sell, got {word!r:.60}")
    return side


def top(levels: Rows) -> tuple[str | None, str | None]:
    """Price and size of the only level of a best-bid-offer side; None: empty. Raises DecodeError."""
    if not levels:
        return None, None
    if len(levels[0]) < 2:
        raise DecodeError(f"expected a level of price and size, got {levels[0]!r:.60}")
    return levels[0][0], levels[0][1]


def named_in(text: str) -> tuple[str, ...]:
    """The topics that an error text names; () if none."""
    return tuple(topic_of({"channel": name, key: value}) for name, key, value in NAMED_IN_TEXT.findall(text))
