"""Verbs of the Binance dialect: spot and USD-M futures, combined streams.

Prices and sizes are JSON strings, ids and times numbers, times in ms. `exchange_ns` is the matching engine's
time (T) where a message has it, else that of publication (E), else 0 (spot quotes and partial books).
Source: binance-spot-api-docs web-socket-streams.md; USDS-margined futures "Websocket Market Streams".
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import field

from connectors.decoding import (
    MALFORMED,
    NS_PER_MS,
    Id,
    Levels,
    Millis,
    Reader,
    TypedExchange,
    excerpt,
    int_of,
    parse_object,
    text_of,
)
from connectors.errors import DecodeError
from connectors.exchange import Inbound, Kind, Payload
from connectors.flat import Flat, FlatQuote, FlatTrade
from connectors.instrument import Instrument, Stream
from connectors.sink import Sink

SHUTDOWN = "serverShutdown"


class _Trade(msgspec.Struct, gc=False):
    """trade: one fill. In old ones `a` and `b` are order ids."""

    price: str = field(name="p")
    size: str = field(name="q")
    time: Millis = field(name="T")
    is_buyer_maker: bool = field(name="m")
    trade_id: Id = field(name="t")


class _Aggregate(msgspec.Struct, gc=False):
    """aggTrade: the fills of one taker order at one price."""

    price: str = field(name="p")
    size: str = field(name="q")
    time: Millis = field(name="T")
    is_buyer_maker: bool = field(name="m")
    trade_id: Id = field(name="a")
    first_trade: Id = field(name="f")
    last_trade: Id = field(name="l")


class _Quote(msgspec.Struct, gc=False):
    update_id: Id = field(name="u")
    bid: str = field(name="b")
    bid_size: str = field(name="B")
    ask: str = field(name="a")
    ask_size: str = field(name="A")
    time: Millis = field(name="T", default=0)


class _Depth(msgspec.Struct, gc=False):
    """depthUpdate. `pu` and `T`: futures only."""

    first_id: Id = field(name="U")
    last_id: Id = field(name="u")
    bids: Levels = field(name="b")
    asks: Levels = field(name="a")
    published: Millis = field(name="E")
    time: Millis = field(name="T", default=0)
    prev_id: Id | None = field(name="pu", default=None)


class _Snapshot(msgspec.Struct, gc=False):
    """A REST book, or a spot partial book."""

    last_id: Id = field(name="lastUpdateId")
    bids: Levels
    asks: Levels
    published: Millis = field(name="E", default=0)
    time: Millis = field(name="T", default=0)


class _Ticker(msgspec.Struct, gc=False):
    """24hrTicker, 24hrMiniTicker, rolling-window tickers. Bid and ask: spot only."""

    published: Millis = field(name="E")
    last: str = field(name="c")
    open: str = field(name="o")
    high: str = field(name="h")
    low: str = field(name="l")
    volume: str = field(name="v")
    turnover: str = field(name="q")
    last_size: str | None = field(name="Q", default=None)
    bid: str | None = field(name="b", default=None)
    bid_size: str | None = field(name="B", default=None)
    ask: str | None = field(name="a", default=None)
    ask_size: str | None = field(name="A", default=None)


class _Bar(msgspec.Struct, gc=False):
    start: Millis = field(name="t")
    end: Millis = field(name="T")  # inclusive: the last ms
    open: str = field(name="o")
    high: str = field(name="h")
    low: str = field(name="l")
    close: str = field(name="c")
    volume: str = field(name="v")
    turnover: str = field(name="q")
    count: Id = field(name="n")
    is_closed: bool = field(name="x")


class _Candle(msgspec.Struct, gc=False):
    published: Millis = field(name="E")
    bar: _Bar = field(name="k")


class _Mark(msgspec.Struct, gc=False):
    published: Millis = field(name="E")
    mark: str = field(name="p")
    index: str | None = field(name="i", default=None)
    rate: str | None = field(name="r", default=None)  # "" where there is no funding (dated futures)
    next: Millis = field(name="T", default=0)


class _Order(msgspec.Struct, gc=False):
    side: str = field(name="S")
    price: str = field(name="ap")  # average of the fills; the order's own `p` is the bankruptcy price
    size: str = field(name="q")
    time: Millis = field(name="T")


class _Liquidation(msgspec.Struct, gc=False):
    order: _Order = field(name="o")


class _TradeFrame(msgspec.Struct, gc=False):
    data: _Trade


class _AggregateFrame(msgspec.Struct, gc=False):
    data: _Aggregate


class _QuoteFrame(msgspec.Struct, gc=False):
    data: _Quote


class _DepthFrame(msgspec.Struct, gc=False):
    data: _Depth


class _PartialFrame(msgspec.Struct, gc=False):
    data: _Snapshot


class _TickerFrame(msgspec.Struct, gc=False):
    data: _Ticker


class _CandleFrame(msgspec.Struct, gc=False):
    data: _Candle


class _MarkFrame(msgspec.Struct, gc=False):
    data: _Mark


class _LiquidationFrame(msgspec.Struct, gc=False):
    data: _Liquidation


class _Filter(msgspec.Struct, gc=False):
    kind: str = field(name="filterType")
    tick: str = field(name="tickSize", default="")
    step: str = field(name="stepSize", default="")


class _Symbol(msgspec.Struct, gc=False):
    symbol: str
    base: str = field(name="baseAsset")
    quote: str = field(name="quoteAsset")
    status: str
    filters: list[_Filter]
    contract: str = field(name="contractType", default="")

    def filter(self, kind: str) -> _Filter:
        """Raises DecodeError if the symbol has no such filter."""
        for each in self.filters:
            if each.kind == kind:
                return each
        raise DecodeError(f"{self.symbol}: expected a filter {kind}, got none")


class _Symbols(msgspec.Struct, gc=False):
    symbols: list[_Symbol]


read_trade = msgspec.json.Decoder(_TradeFrame).decode
read_aggregate = msgspec.json.Decoder(_AggregateFrame).decode
read_quote = msgspec.json.Decoder(_QuoteFrame).decode
read_depth = msgspec.json.Decoder(_DepthFrame).decode
read_partial = msgspec.json.Decoder(_PartialFrame).decode
read_ticker = msgspec.json.Decoder(_TickerFrame).decode
read_candle = msgspec.json.Decoder(_CandleFrame).decode
read_mark = msgspec.json.Decoder(_MarkFrame).decode
read_liquidation = msgspec.json.Decoder(_LiquidationFrame).decode
read_snapshot = msgspec.json.Decoder(_Snapshot).decode
read_symbols = msgspec.json.Decoder(_Symbols).decode


class _Binance(TypedExchange):
    """What spot and futures have in common."""

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

    def flat(self, stream: Stream) -> Flat | None:
        """Trades and quotes are flat objects of one-letter keys: _Trade, _Aggregate and _Quote."""
        if type(self).decode is not TypedExchange.decode or stream.kind not in ("trade", "quote"):
            return None
        prefix = self.facts.frames.data[0]
        head = prefix.start.encode() + stream.key + f'{prefix.end},"data":'.encode()
        if stream.kind == "quote":
            return FlatQuote(
                head, b"}", bid="b", bid_size="B", ask="a", ask_size="A", update_id="u", time_ms="T"
            )
        if stream.name == "aggTrade":
            return FlatTrade(
                head, b"}", price="p", size="q", is_maker="m", trade_id="a", time_ms="T", first="f", last="l"
            )
        return FlatTrade(head, b"}", price="p", size="q", is_maker="m", trade_id="t", time_ms="T")

    def classify(self, payload: Payload) -> Inbound:
        """Acks `{"result":null,"id":1}`, errors `{"code":2,"msg":".."}` (often no id), serverShutdown."""
        message = parse_object(payload)
        if message is None:
            return Inbound(Kind.UNKNOWN, text=excerpt(payload))
        name = message.get("stream")
        if name == f"!{SHUTDOWN}" or message.get("e") == SHUTDOWN:
            return Inbound(Kind.NOTICE, code=SHUTDOWN, text="this server is going away")
        if isinstance(name, str):
            return Inbound(Kind.DATA, key=name.encode("utf-8", "replace"))
        request_id = int_of(message.get("id"))
        error = message.get("error", message)
        if isinstance(error, dict) and "code" in error:
            return Inbound(
                Kind.ERROR, request_id, code=text_of(error["code"]), text=text_of(error.get("msg"))
            )
        if "result" in message:
            return Inbound(Kind.ACK, request_id)
        return Inbound(Kind.UNKNOWN, text=excerpt(payload))

    def _trade(self, stream: Stream, payload: Payload, sink: Sink) -> None:
        if stream.name == "aggTrade":
            self._aggregate(payload, sink)
            return
        trade = read_trade(payload).data
        side = -1 if trade.is_buyer_maker else 1
        sink.trade(trade.price, trade.size, side, trade.trade_id, trade.time * NS_PER_MS)

    def _aggregate(self, payload: Payload, sink: Sink) -> None:
        trade = read_aggregate(payload).data
        side = -1 if trade.is_buyer_maker else 1
        count = min(max(trade.last_trade - trade.first_trade + 1, 1), 2**31 - 1)
        sink.trade(trade.price, trade.size, side, trade.trade_id, trade.time * NS_PER_MS, None, count)

    def _quote(self, stream: Stream, payload: Payload, sink: Sink) -> None:
        quote = read_quote(payload).data
        sink.quote(
            quote.bid, quote.bid_size, quote.ask, quote.ask_size, quote.time * NS_PER_MS, quote.update_id
        )

    def _book(self, stream: Stream, payload: Payload, sink: Sink) -> None:
        change = read_depth(payload).data
        is_whole = stream.fact is not None and stream.fact.continuity == "full"
        sink.book(
            is_whole,
            change.bids,
            change.asks,
            (change.time or change.published) * NS_PER_MS,
            first_id=change.first_id,
            last_id=change.last_id,
            prev_id=change.prev_id,
        )

    def _ticker(self, stream: Stream, payload: Payload, sink: Sink) -> None:
        ticker = read_ticker(payload).data
        sink.ticker(
            ticker.published * NS_PER_MS,
            last=ticker.last,
            last_size=ticker.last_size,
            bid=ticker.bid,
            bid_size=ticker.bid_size,
            ask=ticker.ask,
            ask_size=ticker.ask_size,
            open=ticker.open,
            high=ticker.high,
            low=ticker.low,
            volume=ticker.volume,
            turnover=ticker.turnover,
        )

    def _candle(self, stream: Stream, payload: Payload, sink: Sink) -> None:
        candle = read_candle(payload).data
        bar = candle.bar
        sink.candle(
            stream.variant,
            bar.start * NS_PER_MS,
            bar.open,
            bar.high,
            bar.low,
            bar.close,
            exchange_ns=candle.published * NS_PER_MS,
            close_ns=(bar.end + 1) * NS_PER_MS,
            volume=bar.volume,
            turnover=bar.turnover,
            count=bar.count,
            is_closed=bar.is_closed,
        )

    def _funding(self, stream: Stream, payload: Payload, sink: Sink) -> None:
        mark = read_mark(payload).data
        sink.funding(
            mark.published * NS_PER_MS,
            rate=mark.rate,
            next_ns=mark.next * NS_PER_MS,
            mark=mark.mark,
            index=mark.index,
        )

    def _liquidation(self, stream: Stream, payload: Payload, sink: Sink) -> None:
        order = read_liquidation(payload).data.order
        # S is the side of the liquidation order: SELL closes a long.
        side = {"BUY": 1, "SELL": -1}.get(order.side)
        if side is None:
            raise DecodeError(f"{stream.topic}: expected side BUY or SELL, got {order.side!r:.60}")
        sink.liquidation(order.price, order.size, side, order.time * NS_PER_MS)

    def parse_snapshot(self, stream: Stream, body: bytes, sink: Sink) -> None:
        """GET depth: `{"lastUpdateId":..,"bids":[..],"asks":[..]}`. Raises DecodeError."""
        try:
            snapshot = read_snapshot(body)
        except MALFORMED as error:
            raise DecodeError(f"{stream.topic}: snapshot: {error}: {excerpt(body)}") from error
        ns = (snapshot.time or snapshot.published) * NS_PER_MS
        sink.book(True, snapshot.bids, snapshot.asks, ns, last_id=snapshot.last_id)

    def parse_instruments(self, body: bytes) -> list[Instrument]:
        """GET exchangeInfo: the symbols that trade. Raises DecodeError."""
        try:
            symbols = read_symbols(body).symbols
        except MALFORMED as error:
            raise DecodeError(f"{self.facts.name}: instruments: {error}: {excerpt(body)}") from error
        found = (self._listed(symbol) for symbol in symbols if symbol.status == "TRADING")
        return [instrument for instrument in found if instrument is not None]

    def _listed(self, symbol: _Symbol) -> Instrument | None:
        unified, kind = self._unified(symbol)
        tick, step = symbol.filter("PRICE_FILTER").tick, symbol.filter("LOT_SIZE").step
        return self.listed(unified, symbol.symbol, kind, tick, step)

    def _unified(self, symbol: _Symbol) -> tuple[str, str]:
        return f"{symbol.base}-{symbol.quote}", "spot"


class BinanceSpot(_Binance):
    """Spot: partial books have a shape of their own."""

    def _book(self, stream: Stream, payload: Payload, sink: Sink) -> None:
        if stream.fact is None or stream.fact.continuity != "full":
            return super()._book(stream, payload, sink)
        book = read_partial(payload).data
        return sink.book(True, book.bids, book.asks, 0, last_id=book.last_id)


class BinanceUsdm(_Binance):
    """USD-M futures: perpetuals BTCUSDT (as on spot, another instrument), dated BTCUSDT_261225."""

    def _unified(self, symbol: _Symbol) -> tuple[str, str]:
        pair = f"{symbol.base}-{symbol.quote}"
        if symbol.contract.endswith("PERPETUAL"):
            return f"{pair}-PERP", "perp"
        return f"{pair}-{symbol.symbol.rpartition('_')[2]}", "future"
