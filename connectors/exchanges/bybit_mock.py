"""The server side of Bybit v5: spot and linear public sockets.

Source: bybit-exchange.github.io/docs/v5, "Connect" and "WebSocket stream, public" (read 2026-11-23).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

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
from connectors.mock.venue import Answer, MockVenue, Request

_MS = 1_000_000
_UNITS = {"D": 86400, "W": 7 * 86400, "M": 30 * 86400}
_BOOK_MS = {"1": 10, "50": 20, "200": 100, "500": 100, "1000": 200}
_TOPIC = re.compile(
    r"(?P<name>publicTrade|tickers|allLiquidation|orderbook\.(?P<depth>\d+)|kline\.(?P<interval>\d+|[DWM]))"
    r"\.(?P<symbol>[^.]+)"
)


class _BookData(msgspec.Struct):
    """What the mock itself reads of a captured book message."""

    b: list[Row] = []
    a: list[Row] = []
    u: int = 0


class _BookFrame(msgspec.Struct):
    data: _BookData
    type: str = ""


_BOOK = msgspec.json.Decoder(_BookFrame)


class _BybitMock(MockVenue):
    """One ack per request; one bad topic refuses all of it."""

    slow_close = (1008, "slow consumer")
    idle_s = 600.0
    category = ""
    max_args: int | None = None

    # Requests

    def answer(self, request: Request, unknown: Collection[str], conn: str) -> Answer:
        if self.max_args is not None and len(request.topics) > self.max_args:
            return Answer((self.error(request, f"args size >{self.max_args}", conn),))
        bad = [topic for topic in request.topics if topic in unknown]
        if bad:
            return Answer((self.error(request, f"Invalid topic: {bad[0]}", conn),))
        text = request.op.value if self.category == "spot" else ""
        reply = {
            "success": True,
            "ret_msg": text,
            "conn_id": conn,
            "req_id": request.id or "",
            "op": request.op.value,
        }
        return Answer((msgspec.json.encode(reply),), request.topics)

    def error(self, request: Request, text: str, conn: str) -> bytes:
        op = "subscribe" if request.op.value == "bad" else request.op.value
        reply = {"success": False, "ret_msg": text, "conn_id": conn, "req_id": request.id or "", "op": op}
        return msgspec.json.encode(reply)

    def pong(self, request: Request, conn: str) -> bytes:
        reply = {
            "success": True,
            "ret_msg": "pong",
            "conn_id": conn,
            "req_id": request.id or "",
            "op": "ping",
        }
        return msgspec.json.encode(reply)

    def wrong_pong(self, pong: bytes) -> bytes:
        return msgspec.json.encode({**msgspec.json.decode(pong), "ret_msg": "gnop", "req_id": "0"})

    # Captures

    def read_book(self, topic: str, payload: bytes) -> MockBook | None:
        if not topic.startswith("orderbook."):
            return None
        try:
            frame = _BOOK.decode(payload)
        except msgspec.DecodeError:
            return None
        data = frame.data
        return MockBook(0, frame.type == "snapshot", data.b, data.a, data.u, data.u, data.u - 1, data.u - 1)

    # REST

    def instruments(self, path_qs: str, markets: Sequence[Market]) -> bytes | None:
        parts = urlsplit(path_qs)
        if parts.path != "/v5/market/instruments-info":
            return None
        category = parse_qs(parts.query).get("category", [""])[0]
        found = [self.info(market) for market in markets] if category == self.category else []
        result = {"category": category, "list": found, "nextPageCursor": ""}
        return msgspec.json.encode({"retCode": 0, "retMsg": "OK", "result": result, "time": 0})

    def info(self, market: Market) -> dict[str, Any]:
        """One entry of instruments-info."""
        spec = market.spec
        return {
            "symbol": spec.native,
            "status": "Trading",
            "baseCoin": spec.base,
            "quoteCoin": spec.quote,
            "priceFilter": {"tickSize": market.price(1), "minPrice": market.price(1)},
            "lotSizeFilter": self.lot(market),
        }

    def lot(self, market: Market) -> dict[str, str]:
        return {"qtyStep": market.size(1), "minOrderQty": market.size(1)}

    # Generated data

    def feed(self, topic: str) -> Feed | None:
        match = _TOPIC.fullmatch(topic)
        if match is None:
            return None
        name, native = match["name"], match["symbol"]
        if match["depth"]:
            ms = _BOOK_MS.get(match["depth"])
            if ms is None:
                return None
            if match["depth"] == "1":
                # Level 1 sends snapshots only.
                return Feed(topic, "quote", native, name, 0, 1, 60, True)
            return Feed(topic, "book", native, name, ms * _MS, int(match["depth"]), 60, True)
        if match["interval"]:
            text = match["interval"]
            interval_s = _UNITS[text] if text in _UNITS else int(text) * 60
            return Feed(topic, "candle", native, name, 1000 * _MS, None, interval_s)
        return self.feed_of(topic, name, native)

    def feed_of(self, topic: str, name: str, native: str) -> Feed | None:
        """Topics without a depth or an interval."""
        if name == "publicTrade":
            return Feed(topic, "trade", native, name)
        if name == "tickers":
            return Feed(topic, "ticker", native, name, 100 * _MS, None, 60, True)
        return None

    def _frame(self, feed: Feed, kind: str, ns: int, data: str, tail: str = "") -> bytes:
        head = f'{{"topic":"{feed.topic}","type":"{kind}","ts":{ns // _MS},'
        return f'{head}"data":{data}{tail}}}'.encode()

    def encode_trade(self, feed: Feed, trade: MockTrade) -> bytes:
        ms, side = trade.ns // _MS, "Buy" if trade.side > 0 else "Sell"
        size = f'"S":"{side}","v":"{trade.size}","p":"{trade.price}"'
        head = f'[{{"T":{ms},"s":"{feed.native}",{size},{self.trade_tick()}"i":"{self.trade_id(trade)}"'
        return self._frame(
            feed, "snapshot", trade.ns, f'{head},"BT":false,"RPI":false,"seq":{trade.update_id}}}]'
        )

    def trade_tick(self) -> str:
        return ""

    def trade_id(self, trade: MockTrade) -> str:
        return str(trade.trade_id)

    def encode_quote(self, feed: Feed, quote: MockQuote) -> bytes:
        rows = f'"b":[["{quote.bid}","{quote.bid_size}"]],"a":[["{quote.ask}","{quote.ask_size}"]]'
        data = f'{{"s":"{feed.native}",{rows},"u":{quote.update_id},"seq":{quote.update_id}}}'
        return self._frame(feed, "snapshot", quote.ns, data, f',"cts":{quote.ns // _MS}')

    def encode_book(self, feed: Feed, book: MockBook) -> bytes:
        kind = "snapshot" if book.is_snapshot else "delta"
        rows = f'"b":{_rows(book.bids)},"a":{_rows(book.asks)}'
        # u counts the messages of a topic; seq rises over all products. u 1 means: the service was restarted.
        data = f'{{"s":"{feed.native}",{rows},"u":{book.number + 1},"seq":{book.last_id}}}'
        return self._frame(feed, kind, book.ns, data, f',"cts":{book.ns // _MS}')

    def encode_candle(self, feed: Feed, candle: MockCandle) -> bytes:
        times = f'"start":{candle.open_ns // _MS},"end":{candle.close_ns // _MS - 1}'
        prices = (
            f'"open":"{candle.open}","close":"{candle.close}","high":"{candle.high}","low":"{candle.low}"'
        )
        tail = f'"volume":"{candle.volume}","turnover":"{candle.turnover}"'
        closed = "true" if candle.is_closed else "false"
        interval = feed.name.partition(".")[2]
        end = f'"confirm":{closed},"timestamp":{candle.ns // _MS}'
        return self._frame(
            feed, "snapshot", candle.ns, f'[{{{times},"interval":"{interval}",{prices},{tail},{end}}}]'
        )


class BybitSpotMock(_BybitMock):
    """Spot: at most 10 topics a request; tickers without best bid and ask."""

    category = "spot"
    max_args = 10

    def lot(self, market: Market) -> dict[str, str]:
        return {"basePrecision": market.size(1), "minOrderQty": market.size(1), "minOrderAmt": "1"}

    def encode_ticker(self, feed: Feed, ticker: MockTicker) -> bytes:
        prices = f'"lastPrice":"{ticker.last}","highPrice24h":"{ticker.high}","lowPrice24h":"{ticker.low}"'
        tail = (
            f'"prevPrice24h":"{ticker.open}","volume24h":"{ticker.volume}","turnover24h":"{ticker.turnover}"'
        )
        index = f'"price24hPcnt":"0","usdIndexPrice":"{ticker.index}"'
        data = f'{{"symbol":"{feed.native}",{prices},{tail},{index}}}'
        head = (
            f'{{"topic":"{feed.topic}","ts":{ticker.ns // _MS},"type":"snapshot","cs":{ticker.last_trade_id}'
        )
        return f'{head},"data":{data}}}'.encode()


class BybitLinearMock(_BybitMock):
    """Linear: funding, mark and open interest are in the tickers: a snapshot, then what changed."""

    category = "linear"

    def info(self, market: Market) -> dict[str, Any]:
        spec = market.spec
        contract = "LinearPerpetual" if spec.kind == "perp" else "LinearFutures"
        return {
            **super().info(market),
            "contractType": contract,
            "settleCoin": spec.quote,
            "fundingInterval": 480,
            "priceScale": str(spec.price_digits),
        }

    def feed_of(self, topic: str, name: str, native: str) -> Feed | None:
        if name == "allLiquidation":
            return Feed(topic, "liquidation", native, name)
        return super().feed_of(topic, name, native)

    def trade_tick(self) -> str:
        return '"L":"PlusTick",'

    def trade_id(self, trade: MockTrade) -> str:
        return str(uuid.UUID(int=trade.trade_id * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128))

    def encode_ticker(self, feed: Feed, ticker: MockTicker) -> bytes:
        quote = ticker.quote
        best = f'"bid1Price":"{quote.bid}","bid1Size":"{quote.bid_size}"'
        best += f',"ask1Price":"{quote.ask}","ask1Size":"{quote.ask_size}","lastPrice":"{ticker.last}"'
        head = f'{{"symbol":"{feed.native}","tickDirection":"PlusTick"'
        if not ticker.is_first:
            return self._ticker(feed, ticker, "delta", f"{head},{best}}}")
        day = f'"price24hPcnt":"0","prevPrice24h":"{ticker.open}","highPrice24h":"{ticker.high}"'
        day += f',"lowPrice24h":"{ticker.low}","prevPrice1h":"{ticker.open}"'
        mark = f'"markPrice":"{ticker.mark}","indexPrice":"{ticker.index}"'
        mark += f',"openInterest":"{ticker.volume}","openInterestValue":"{ticker.turnover}"'
        volume = f'"turnover24h":"{ticker.turnover}","volume24h":"{ticker.volume}"'
        return self._ticker(
            feed, ticker, "snapshot", f"{head},{day},{best},{mark},{volume},{self._funding(ticker)}}}"
        )

    def _funding(self, ticker: MockTicker) -> str:
        eight_hours = 8 * 3600 * 10**9
        next_ms = (ticker.ns // eight_hours + 1) * eight_hours // _MS
        return f'"fundingIntervalHour":"8","nextFundingTime":"{next_ms}","fundingRate":"0.0001"'

    def _ticker(self, feed: Feed, ticker: MockTicker, kind: str, data: str) -> bytes:
        head = f'{{"topic":"{feed.topic}","type":"{kind}","data":{data}'
        return f'{head},"cs":{ticker.last_trade_id},"ts":{ticker.ns // _MS}}}'.encode()

    def encode_funding(self, feed: Feed, funding: MockFunding) -> bytes:
        raise self._no("a funding topic: it is in the tickers")

    def encode_liquidation(self, feed: Feed, liquidation: MockLiquidation) -> bytes:
        ms = liquidation.ns // _MS
        # S is the side of the position: Buy, a long was liquidated.
        side = "Buy" if liquidation.side < 0 else "Sell"
        size = f'"S":"{side}","v":"{liquidation.size}","p":"{liquidation.price}"'
        return self._frame(feed, "snapshot", liquidation.ns, f'[{{"T":{ms},"s":"{feed.native}",{size}}}]')


def _rows(rows: Sequence[Row]) -> str:
    return "[" + ",".join(f'["{price}","{size}"]' for price, size in rows) + "]"
