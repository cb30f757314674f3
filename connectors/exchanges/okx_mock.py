"""The server side of OKX v5: public and business sockets.

Source: okx.com/docs-v5/en, "WebSocket" and "Order book trading, market data" (read 2026-11-23).
"""

from __future__ import annotations

import re
import zlib
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
_CHANNELS: dict[str, tuple[str, str, int, bool]] = {
    # channel: feed kind, route, period in ms (0: at each event), a first message at once
    "trades": ("trade", "public", 0, False),
    "trades-all": ("trade", "business", 0, False),
    "bbo-tbt": ("quote", "public", 0, True),
    "books": ("book", "public", 100, True),
    "books5": ("top", "public", 100, True),
    "tickers": ("ticker", "public", 100, True),
    "mark-price": ("ticker", "public", 200, True),
    "open-interest": ("ticker", "public", 3000, True),
    "funding-rate": ("funding", "public", 30_000, True),
    "liquidation-orders": ("liquidation", "public", 0, False),
}
_CANDLE = re.compile(r"candle(\d+)([smHDWM])(utc)?")
_UNITS = {"s": 1, "m": 60, "H": 3600, "D": 86400, "W": 7 * 86400, "M": 30 * 86400}
_TYPES = {"spot": "SPOT", "perp": "SWAP", "future": "FUTURES", "option": "OPTION"}
_KINDS = {value: key for key, value in _TYPES.items()}
_CHECKSUM = re.compile(rb'"checksum":(-?\d+)')


class _Arg(msgspec.Struct, rename="camel"):
    channel: str = ""
    inst_id: str = ""
    inst_type: str = ""


class _BookItem(msgspec.Struct, rename="camel"):
    """What the mock itself reads of a captured book message."""

    asks: list[list[str]] = []
    bids: list[list[str]] = []
    checksum: int = 0
    seq_id: int = -1
    prev_seq_id: int = -1


class _BookFrame(msgspec.Struct):
    arg: _Arg
    data: list[_BookItem] = []
    action: str = ""


_BOOK = msgspec.json.Decoder(_BookFrame)
_ARG = msgspec.json.Decoder(_Arg)


class OkxMock(MockVenue):
    """One ack per topic; errors name the topic in their text; text ping and pong; snapshots in the stream."""

    slow_close = (4005, "Buffer full")
    idle_s = 30.0
    idle_close = (4004, "No data received in 30s")
    id_step = 3  # sequence numbers skip

    # Requests

    def topic_of_item(self, item: Any) -> str:
        if isinstance(item, dict):
            # The channel stands first in every data frame, whatever order the client wrote.
            item = dict(sorted(item.items(), key=lambda pair: pair[0] != "channel"))
        return super().topic_of_item(item)

    def answer(self, request: Request, unknown: Collection[str], conn: str) -> Answer:
        replies = []
        for topic in request.topics:
            if topic in unknown:
                replies.append(self._refusal(request, topic, conn))
                continue
            # "id" comes back where one was sent.
            head = f'{{"id":"{request.id}",' if request.id is not None else "{"
            text = f'{head}"event":"{request.op.value}","arg":{topic},"connId":"{conn}"}}'
            replies.append(text.encode())
        return Answer(tuple(replies), tuple(topic for topic in request.topics if topic not in unknown))

    def _refusal(self, request: Request, topic: str, conn: str) -> bytes:
        arg = _ARG.decode(topic) if topic.startswith("{") else _Arg(channel=topic)
        name = f"instId:{arg.inst_id}" if arg.inst_id else f"instType:{arg.inst_type}"
        text = (
            f"Wrong URL or channel:{arg.channel},{name} doesn't exist. "
            "Please use the correct URL, channel and parameters referring to API document."
        )
        head = {} if request.id is None else {"id": request.id}
        return msgspec.json.encode({**head, "event": "error", "msg": text, "code": "60018", "connId": conn})

    def error(self, request: Request, text: str, conn: str) -> bytes:
        head = {} if request.id is None else {"id": request.id}
        return msgspec.json.encode({**head, "event": "error", "code": "60012", "msg": text, "connId": conn})

    def pong(self, request: Request, conn: str) -> bytes:
        return b"pong"

    def wrong_pong(self, pong: bytes) -> bytes:
        return b"gnop"

    def notice(self) -> bytes | None:
        text = "The connection will soon be closed for a service upgrade. Please reconnect."
        return msgspec.json.encode({"event": "notice", "msg": text, "code": "64008", "connId": "8517149b"})

    # Captures

    def read_book(self, topic: str, payload: bytes) -> MockBook | None:
        if not topic.startswith('{"channel":"books"'):
            return None
        try:
            frame = _BOOK.decode(payload)
        except msgspec.DecodeError:
            return None
        if not frame.data:
            return None
        item = frame.data[0]
        return MockBook(
            0,
            frame.action == "snapshot",
            [(row[0], row[1]) for row in item.bids],
            [(row[0], row[1]) for row in item.asks],
            item.seq_id,
            item.seq_id,
            item.prev_seq_id,
            0,
            item.checksum,
        )

    def corrupt_checksum(self, payload: bytes) -> bytes | None:
        match = _CHECKSUM.search(payload)
        if match is None:
            return None
        value = int(match[1]) ^ 0x55AA or 1
        return payload[: match.start(1)] + str(value).encode() + payload[match.end(1) :]

    # REST

    def instruments(self, path_qs: str, markets: Sequence[Market]) -> bytes | None:
        parts = urlsplit(path_qs)
        if parts.path != "/api/v5/public/instruments":
            return None
        kind = parse_qs(parts.query).get("instType", [""])[0]
        data = [self._info(market) for market in markets if _TYPES[market.spec.kind] == kind]
        return msgspec.json.encode({"code": "0", "msg": "", "data": data})

    def _info(self, market: Market) -> dict[str, str]:
        spec = market.spec
        is_spot = spec.kind == "spot"
        return {
            "instType": _TYPES[spec.kind],
            "instId": spec.native,
            "baseCcy": spec.base if is_spot else "",
            "quoteCcy": spec.quote if is_spot else "",
            "settleCcy": "" if is_spot else spec.base if spec.quote == "USD" else spec.quote,
            "ctType": "" if is_spot else "inverse" if spec.quote == "USD" else "linear",
            "ctVal": "" if is_spot else "0.01",
            "ctMult": "" if is_spot else "1",
            "ctValCcy": "" if is_spot else "USD" if spec.quote == "USD" else spec.base,
            "uly": "" if is_spot else f"{spec.base}-{spec.quote}",
            "instFamily": "" if is_spot else f"{spec.base}-{spec.quote}",
            "tickSz": market.price(1),
            "lotSz": market.size(1),
            "minSz": market.size(1),
            "state": "live",
        }

    # Generated data

    def feed(self, topic: str) -> Feed | None:
        try:
            arg = _ARG.decode(topic)
        except msgspec.DecodeError:
            return None
        candle = _CANDLE.fullmatch(arg.channel)
        if candle and arg.inst_id:
            interval_s = int(candle[1]) * _UNITS[candle[2]]
            return Feed(topic, "candle", arg.inst_id, arg.channel, 1000 * _MS, None, interval_s)
        if arg.channel not in _CHANNELS or (not arg.inst_id and arg.channel != "liquidation-orders"):
            return None
        kind, _, ms, is_pushed = _CHANNELS[arg.channel]
        depth = {"books5": 5, "books": 400}.get(arg.channel)
        feed_kind: Any = kind
        return Feed(
            topic,
            feed_kind,
            arg.inst_id,
            arg.channel,
            ms * _MS,
            depth,
            60,
            is_pushed,
            _KINDS.get(arg.inst_type, ""),
        )

    def is_on_route(self, feed: Feed, route: str) -> bool:
        return route == ("business" if feed.kind == "candle" else _CHANNELS[feed.name][1])

    def _frame(self, feed: Feed, data: str, action: str = "") -> bytes:
        head = f'{{"arg":{feed.topic},'
        return f'{head}{action}"data":[{data}]}}'.encode()

    def encode_trade(self, feed: Feed, trade: MockTrade) -> bytes:
        side = "buy" if trade.side > 0 else "sell"
        head = f'{{"instId":"{feed.native}","tradeId":"{trade.trade_id}"'
        head += f',"px":"{trade.price}","sz":"{trade.size}"'
        tail = f'"side":"{side}","ts":"{trade.ns // _MS}","source":"0"'
        if feed.name == "trades":
            tail += f',"count":"1","seqId":{trade.update_id}'
        return self._frame(feed, f"{head},{tail}}}")

    def encode_quote(self, feed: Feed, quote: MockQuote) -> bytes:
        asks = f'[["{quote.ask}","{quote.ask_size}","0","1"]]'
        bids = f'[["{quote.bid}","{quote.bid_size}","0","1"]]'
        return self._frame(
            feed, f'{{"asks":{asks},"bids":{bids},"ts":"{quote.ns // _MS}","seqId":{quote.update_id}}}'
        )

    def encode_book(self, feed: Feed, book: MockBook) -> bytes:
        rows = f'"asks":{_rows(book.asks)},"bids":{_rows(book.bids)}'
        ts = f'"ts":"{book.ns // _MS}"'
        if feed.kind == "top":
            return self._frame(feed, f'{{{rows},"instId":"{feed.native}",{ts},"seqId":{book.last_id}}}')
        action = "snapshot" if book.is_snapshot else "update"
        # A snapshot follows nothing; the checksum is always 0 since 2026-06-23 (recordings before have one).
        prev_id = -1 if book.is_snapshot else book.prev_id
        ids = f'"checksum":{book.checksum}'
        if book.last_id >= 0:
            ids += f',"seqId":{book.last_id},"prevSeqId":{prev_id}'
        return self._frame(feed, f"{{{rows},{ts},{ids}}}", f'"action":"{action}",')

    def checksum(self, bids: Sequence[Row], asks: Sequence[Row]) -> int:
        """Of recordings before 2026-06-23: CRC32, signed, over the best 25 levels, bid and ask in turn."""
        parts: list[str] = []
        for i in range(25):
            parts += [f"{side[i][0]}:{side[i][1]}" for side in (bids, asks) if i < len(side)]
        value = zlib.crc32(":".join(parts).encode())
        return value - 2**32 if value >= 2**31 else value

    def encode_ticker(self, feed: Feed, ticker: MockTicker) -> bytes:
        kind = "SWAP" if feed.native.endswith("-SWAP") else "SPOT"
        head = f'{{"instType":"{kind}","instId":"{feed.native}"'
        ts = f'"ts":"{ticker.ns // _MS}"'
        if feed.name == "mark-price":
            return self._frame(feed, f'{head},"markPx":"{ticker.mark}",{ts}}}')
        if feed.name == "open-interest":
            amount = f'"oi":"{ticker.volume}","oiCcy":"{ticker.volume}","oiUsd":"{ticker.turnover}"'
            return self._frame(feed, f"{head},{amount},{ts}}}")
        quote = ticker.quote
        last = f'"last":"{ticker.last}","lastSz":"{ticker.last_size}"'
        best = f'"askPx":"{quote.ask}","askSz":"{quote.ask_size}"'
        best += f',"bidPx":"{quote.bid}","bidSz":"{quote.bid_size}"'
        day = f'"open24h":"{ticker.open}","high24h":"{ticker.high}","low24h":"{ticker.low}"'
        utc = f'"sodUtc0":"{ticker.open}","sodUtc8":"{ticker.open}"'
        volume = f'"volCcy24h":"{ticker.turnover}","vol24h":"{ticker.volume}"'
        return self._frame(feed, f"{head},{last},{best},{day},{utc},{volume},{ts}}}")

    def encode_candle(self, feed: Feed, candle: MockCandle) -> bytes:
        prices = f'"{candle.open}","{candle.high}","{candle.low}","{candle.close}"'
        volumes = f'"{candle.volume}","{candle.turnover}","{candle.turnover}"'
        return self._frame(
            feed, f'["{candle.open_ns // _MS}",{prices},{volumes},"{1 if candle.is_closed else 0}"]'
        )

    def encode_funding(self, feed: Feed, funding: MockFunding) -> bytes:
        times = (
            f'"fundingTime":"{funding.next_ns // _MS}",'
            f'"nextFundingTime":"{(funding.next_ns + 8 * 3600 * 10**9) // _MS}"'
        )
        head = f'{{"formulaType":"withRate","fundingRate":"{funding.rate}",{times}'
        tail = f'"instId":"{feed.native}","instType":"SWAP","method":"current_period","nextFundingRate":""'
        return self._frame(feed, f'{head},{tail},"ts":"{funding.ns // _MS}"}}')

    def encode_liquidation(self, feed: Feed, liquidation: MockLiquidation) -> bytes:
        arg = _ARG.decode(feed.topic)
        side, position = ("buy", "short") if liquidation.side > 0 else ("sell", "long")
        ms = liquidation.ns // _MS
        size = f'"sz":"{liquidation.size}","ts":"{ms}"'
        sides = f'"posSide":"{position}","side":"{side}"'
        detail = f'{{"bkLoss":"0","bkPx":"{liquidation.price}","ccy":"",{sides},{size}}}'
        name = f'"instId":"{liquidation.native}","instType":"{arg.inst_type}"'
        return self._frame(feed, f'{{"details":[{detail}],"instFamily":"",{name},"uly":""}}')


def _rows(rows: Sequence[Row]) -> str:
    return "[" + ",".join(f'["{price}","{size}","0","1"]' for price, size in rows) + "]"
