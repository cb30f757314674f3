"""The server side of Binance: spot and USD-M futures, combined streams and REST depth.

Source: binance-spot-api-docs web-socket-streams.md and rest-api.md; developers.binance.com, USD-M websocket
market streams (read 2026-11-23).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec

from connectors.mock.events import (
    Feed,
    MockBook,
    MockCandle,
    MockFunding,
    MockLiquidation,
    MockQuote,
    MockTicker,
    MockTrade,
    Row,
)
from connectors.mock.market import Market
from connectors.mock.venue import Answer, MockVenue, Op, Request

_MS = 1_000_000
_SECOND = 10**9
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "M": 30 * 86400}
_CHANNELS: tuple[tuple[str, str, int], ...] = (
    # channel pattern, feed kind, default period in ms (0: at each event)
    (r"(trade|aggTrade)", "trade", 0),
    (r"bookTicker", "quote", 0),
    (r"depth(?P<depth>5|10|20)(@(?P<ms>\d+)ms)?", "top", 250),
    (r"depth(@(?P<ms>\d+)ms)?", "book", 1000),
    (r"kline_(?P<interval>\d+)(?P<unit>[smhdwM])", "candle", 2000),
    (r"(ticker|miniTicker|ticker_(1h|4h|1d))", "ticker", 1000),
    (r"markPrice(@(?P<s>\d)s)?", "funding", 3000),
    (r"forceOrder", "liquidation", 0),
)
_PATTERNS = tuple((re.compile(pattern), kind, ms) for pattern, kind, ms in _CHANNELS)


class _Depth(msgspec.Struct):
    """What the mock itself reads of a captured depth frame or REST snapshot."""

    U: int = 0
    u: int = 0
    pu: int = -1
    b: list[Row] = []
    a: list[Row] = []
    last_update_id: int = msgspec.field(default=0, name="lastUpdateId")
    bids: list[Row] = []
    asks: list[Row] = []


class _Frame(msgspec.Struct):
    data: _Depth


_FRAME = msgspec.json.Decoder(_Frame)
_BODY = msgspec.json.Decoder(_Depth)


class _BinanceMock(MockVenue):
    slow_close = (1008, "Too many requests")

    # Requests

    def read_json(self, value: Any) -> Request:
        request = super().read_json(value)
        if request.op is not Op.BAD or not isinstance(value, dict):
            return request
        method = value.get("method")
        if method == "LIST_SUBSCRIPTIONS":
            return Request(Op.LIST, id=value.get("id"))
        if method is None:
            error = "Invalid request: missing field `method` at line 1 column 73"
        else:
            error = (
                f"Invalid request: unknown variant {method}, expected one of `SUBSCRIBE`, `UNSUBSCRIBE`, "
                "`LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY` at line 1 column 28"
            )
        return Request(Op.BAD, id=value.get("id"), error=error)

    def answer(self, request: Request, unknown: Collection[str], conn: str) -> Answer:
        # Stream names are not checked: an unknown one is acked and stays silent.
        return Answer((msgspec.json.encode({"result": None, "id": request.id}),), request.topics)

    def error(self, request: Request, text: str, conn: str) -> bytes:
        # Errors mostly come without the id.
        return msgspec.json.encode({"code": 3 if text.startswith("Invalid JSON") else 2, "msg": text})

    def listing(self, request: Request, topics: Sequence[str]) -> bytes:
        return msgspec.json.encode({"result": list(topics), "id": request.id})

    def topics_of_url(self, path_qs: str) -> tuple[str, ...]:
        streams = parse_qs(urlsplit(path_qs).query).get("streams", [""])[0]
        return tuple(unquote(each) for each in streams.split("/") if each)

    def notice(self) -> bytes | None:
        return b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}'

    # Captures

    def read_book(self, topic: str, payload: bytes) -> MockBook | None:
        if "@depth" not in topic:
            return None
        try:
            data = _FRAME.decode(payload).data
        except msgspec.DecodeError:
            return None
        return MockBook(0, False, data.b, data.a, data.U, data.u, data.pu, 0)

    def read_snapshot(self, body: bytes) -> MockBook | None:
        try:
            data = _BODY.decode(body)
        except msgspec.DecodeError:
            return None
        if not data.last_update_id:
            return None
        return MockBook(0, True, data.bids, data.asks, data.last_update_id, data.last_update_id, -1, 0)

    # REST

    depth_path = ""
    info_path = ""
    book_ms = 1000  # of `depth` without a period

    def snapshot_symbol(self, path_qs: str) -> str | None:
        parts = urlsplit(path_qs)
        return parse_qs(parts.query).get("symbol", [None])[0] if parts.path == self.depth_path else None

    def snapshot_limit(self, path_qs: str) -> int | None:
        text = parse_qs(urlsplit(path_qs).query).get("limit", ["100"])[0]
        return int(text) if text.isdigit() else 100

    def encode_snapshot(self, native: str, book: MockBook, limit: int | None = None) -> bytes:
        return msgspec.json.encode(
            {"lastUpdateId": book.last_id, "bids": book.bids[:limit], "asks": book.asks[:limit]}
        )

    def instruments(self, path_qs: str, markets: Sequence[Market]) -> bytes | None:
        if urlsplit(path_qs).path != self.info_path:
            return None
        return msgspec.json.encode({"timezone": "UTC", "symbols": [self.info(market) for market in markets]})

    def info(self, market: Market) -> dict[str, Any]:
        """One entry of exchangeInfo."""
        spec = market.spec
        return {
            "symbol": spec.native,
            "status": "TRADING",
            "baseAsset": spec.base,
            "quoteAsset": spec.quote,
            "filters": [
                {"filterType": "PRICE_FILTER", "tickSize": market.price(1), "minPrice": market.price(1)},
                {"filterType": "LOT_SIZE", "stepSize": market.size(1), "minQty": market.size(1)},
            ],
        }

    # Generated data

    def feed(self, topic: str) -> Feed | None:
        symbol, at, name = topic.partition("@")
        if not at or symbol != symbol.lower():
            return None
        for pattern, kind, default_ms in _PATTERNS:
            match = pattern.fullmatch(name)
            if match:
                return self._feed(topic, symbol.upper(), name, kind, default_ms, match.groupdict())
        return None

    def _feed(
        self, topic: str, native: str, name: str, kind: Any, default_ms: int, found: dict[str, str | None]
    ) -> Feed:
        ms = default_ms
        if text := found.get("ms"):
            ms = int(text)
        elif text := found.get("s"):
            ms = int(text) * 1000
        elif kind == "book":
            ms = self.book_ms
        interval = int(found.get("interval") or 1) * _UNITS[found.get("unit") or "m"]
        depth = int(found["depth"] or 0) if found.get("depth") else None
        return Feed(topic, kind, native, name, ms * _MS, depth, interval)

    def _frame(self, feed: Feed, data: str) -> bytes:
        return f'{{"stream":"{feed.topic}","data":{data}}}'.encode()

    def encode_ticker(self, feed: Feed, ticker: MockTicker) -> bytes:
        event = {"miniTicker": "24hrMiniTicker", "ticker": "24hrTicker"}.get(
            feed.name, feed.name.replace("_", "")
        )
        head = f'{{"e":"{event}","E":{ticker.ns // _MS},"s":"{feed.native}"'
        middle = f'"o":"{ticker.open}","h":"{ticker.high}","l":"{ticker.low}"'
        volume = f'"v":"{ticker.volume}","q":"{ticker.turnover}"'
        if feed.name == "miniTicker":
            return self._frame(feed, f'{head},"c":"{ticker.last}",{middle},{volume}}}')
        ids = f'"O":{ticker.ns // _MS - 86_400_000},"C":{ticker.ns // _MS},"F":{ticker.first_trade_id}'
        count = ticker.last_trade_id - ticker.first_trade_id + 1
        tail = f'{ids},"L":{ticker.last_trade_id},"n":{count}}}'
        change = f'"p":"0.0","P":"0.000","w":"{ticker.last}"'
        best = self._ticker_best(ticker)
        last = f'"c":"{ticker.last}","Q":"{ticker.last_size}"'
        return self._frame(feed, f"{head},{change},{best}{last},{middle},{volume},{tail}")

    def _ticker_best(self, ticker: MockTicker) -> str:
        return ""

    def encode_candle(self, feed: Feed, candle: MockCandle) -> bytes:
        interval = feed.name.partition("_")[2]
        ms = candle.ns // _MS
        last_id = candle.first_trade_id + candle.count - 1 if candle.count else -1
        closed = "true" if candle.is_closed else "false"
        times = f'"t":{candle.open_ns // _MS},"T":{candle.close_ns // _MS - 1}'
        times += f',"s":"{feed.native}","i":"{interval}"'
        ids = f'"f":{candle.first_trade_id},"L":{last_id}'
        prices = f'"o":"{candle.open}","c":"{candle.close}","h":"{candle.high}","l":"{candle.low}"'
        volumes = (
            f'"v":"{candle.volume}","n":{candle.count},"x":{closed},"q":"{candle.turnover}","V":"0","Q":"0"'
        )
        inner = f'{times},{ids},{prices},{volumes},"B":"0"'
        return self._frame(feed, f'{{"e":"kline","E":{ms},"s":"{feed.native}","k":{{{inner}}}}}')


class BinanceSpotMock(_BinanceMock):
    """Spot: streams on one route; `U` continues the `u` before."""

    depth_path = "/api/v3/depth"
    info_path = "/api/v3/exchangeInfo"

    def info(self, market: Market) -> dict[str, Any]:
        return {**super().info(market), "baseAssetPrecision": 8, "isSpotTradingAllowed": True}

    def feed(self, topic: str) -> Feed | None:
        found = super().feed(topic)
        return None if found is not None and found.kind in ("funding", "liquidation") else found

    def encode_trade(self, feed: Feed, trade: MockTrade) -> bytes:
        ms, maker = trade.ns // _MS, "true" if trade.side < 0 else "false"
        head = f'{{"e":"{feed.name}","E":{ms},"s":"{feed.native}"'
        size = f'"p":"{trade.price}","q":"{trade.size}"'
        tail = f'"T":{ms},"m":{maker},"M":true}}'
        if feed.name == "trade":
            return self._frame(feed, f'{head},"t":{trade.trade_id},{size},{tail}')
        ids = f'"f":{trade.trade_id},"l":{trade.trade_id}'
        return self._frame(feed, f'{head},"a":{trade.trade_id},{size},{ids},{tail}')

    def encode_quote(self, feed: Feed, quote: MockQuote) -> bytes:
        bid = f'"b":"{quote.bid}","B":"{quote.bid_size}"'
        ask = f'"a":"{quote.ask}","A":"{quote.ask_size}"'
        return self._frame(feed, f'{{"u":{quote.update_id},"s":"{feed.native}",{bid},{ask}}}')

    def encode_book(self, feed: Feed, book: MockBook) -> bytes:
        if feed.kind == "top":
            # Partial books carry neither time nor symbol.
            head = f'{{"lastUpdateId":{book.last_id}'
            return self._frame(feed, f'{head},"bids":{_rows(book.bids)},"asks":{_rows(book.asks)}}}')
        head = f'{{"e":"depthUpdate","E":{book.ns // _MS},"s":"{feed.native}"'
        ids = f'"U":{book.first_id},"u":{book.last_id}'
        return self._frame(feed, f'{head},{ids},"b":{_rows(book.bids)},"a":{_rows(book.asks)}}}')

    def _ticker_best(self, ticker: MockTicker) -> str:
        quote = ticker.quote
        bid = f'"b":"{quote.bid}","B":"{quote.bid_size}"'
        return f'"x":"{ticker.last}",{bid},"a":"{quote.ask}","A":"{quote.ask_size}",'


class BinanceUsdmMock(_BinanceMock):
    """USD-M futures: two routes, a stream on the wrong one is acked and silent; `pu` names the `u` before."""

    depth_path = "/fapi/v1/depth"
    info_path = "/fapi/v1/exchangeInfo"
    book_ms = 250
    id_step = 5  # update ids are shared by all symbols, so they skip
    _public = re.compile(r"(depth.*|bookTicker|trade|rpiDepth.*)")

    def info(self, market: Market) -> dict[str, Any]:
        spec = market.spec
        kind = "PERPETUAL" if spec.kind == "perp" else "CURRENT_QUARTER"
        return {**super().info(market), "pair": spec.native, "contractType": kind, "marginAsset": spec.quote}

    def is_on_route(self, feed: Feed, route: str) -> bool:
        return (route == "public") == bool(self._public.fullmatch(feed.name))

    def encode_snapshot(self, native: str, book: MockBook, limit: int | None = None) -> bytes:
        ms = book.ns // _MS
        head = {"lastUpdateId": book.last_id, "E": ms, "T": ms}
        return msgspec.json.encode({**head, "bids": book.bids[:limit], "asks": book.asks[:limit]})

    def encode_trade(self, feed: Feed, trade: MockTrade) -> bytes:
        ms, maker = trade.ns // _MS, "true" if trade.side < 0 else "false"
        size = f'"p":"{trade.price}","q":"{trade.size}"'
        if feed.name == "trade":
            head = f'{{"e":"trade","E":{ms},"T":{ms},"s":"{feed.native}"'
            return self._frame(feed, f'{head},"t":{trade.trade_id},{size},"X":"MARKET","m":{maker}}}')
        head = f'{{"e":"aggTrade","E":{ms},"s":"{feed.native}","a":{trade.trade_id}'
        ids = f'"nq":"{trade.size}","f":{trade.trade_id},"l":{trade.trade_id}'
        return self._frame(feed, f'{head},{size},{ids},"T":{ms},"m":{maker},"st":1}}')

    def encode_quote(self, feed: Feed, quote: MockQuote) -> bytes:
        ms = quote.ns // _MS
        head = f'{{"e":"bookTicker","u":{quote.update_id},"s":"{feed.native}","ps":"{feed.native}"'
        bid = f'"b":"{quote.bid}","B":"{quote.bid_size}"'
        ask = f'"a":"{quote.ask}","A":"{quote.ask_size}"'
        return self._frame(feed, f'{head},{bid},{ask},"T":{ms},"E":{ms},"st":1}}')

    def encode_book(self, feed: Feed, book: MockBook) -> bytes:
        ms = book.ns // _MS
        head = f'{{"e":"depthUpdate","E":{ms},"T":{ms},"s":"{feed.native}"'
        ids = f'"U":{book.first_id},"u":{book.last_id},"pu":{book.prev_id}'
        rows = f'"b":{_rows(book.bids)},"a":{_rows(book.asks)}'
        return self._frame(feed, f'{head},{ids},{rows},"ps":"{feed.native}","st":1}}')

    def encode_funding(self, feed: Feed, funding: MockFunding) -> bytes:
        head = f'{{"e":"markPriceUpdate","E":{funding.ns // _MS},"s":"{feed.native}"'
        prices = f'"p":"{funding.mark}","i":"{funding.index}","P":"{funding.mark}","ap":"{funding.mark}"'
        return self._frame(
            feed, f'{head},{prices},"r":"{funding.rate}","T":{funding.next_ns // _MS},"st":1}}'
        )

    def encode_liquidation(self, feed: Feed, liquidation: MockLiquidation) -> bytes:
        ms, side = liquidation.ns // _MS, "BUY" if liquidation.side > 0 else "SELL"
        price, size = liquidation.price, liquidation.size
        kind = f'"s":"{feed.native}","S":"{side}","o":"LIMIT","f":"IOC"'
        fill = f'"q":"{size}","p":"{price}","ap":"{price}","X":"FILLED","l":"{size}","z":"{size}","T":{ms}'
        tail = f'"ps":"{feed.native}","st":1'
        return self._frame(feed, f'{{"e":"forceOrder","E":{ms},"o":{{{kind},{fill}}},{tail}}}')


def _rows(rows: Sequence[Row]) -> str:
    return "[" + ",".join(f'["{price}","{size}"]' for price, size in rows) + "]"
