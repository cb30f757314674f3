"""Recorded messages through all of it: mock, TLS socket, connector, strategy; each arrives exactly once."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from connectors import Book, BookChange, Event, Status, StatusKind, Strategy
from connectors.capture import RecordKind
from connectors.engine import Engine
from connectors.foreign import open_any
from connectors.mock import MockExchange, captured_mock
from connectors.settings import ConnectionSettings, Settings, TlsSettings
from connectors.view import EngineView

pytestmark = pytest.mark.captures
OKX_SYMBOLS = ("BTC-USD-220527", "UNI-USD-PERP", "BTC-USDT")
BYBIT_BASES = ("BCH", "XTZ", "UNI", "LTC", "DOT", "LINK", "ADA", "ETH")
BYBIT_SYMBOLS = tuple(f"{base}-USDT-PERP" for base in BYBIT_BASES)
# venue, file, symbols, channels, channels of the MANIFEST and what they come to in events (None: not decoded)
CASES: list[tuple[str, str, tuple[str, ...], tuple[Any, ...], dict[str, str | None]]] = [
    (
        "binance_spot",
        "hftbacktest/binance_spot_btcusdt_20240808.ndtext.gz",
        ("BTC-USDT",),
        ("trade", "quote", "book"),
        {"@trade": "trade", "@bookTicker": "quote", "@depth@100ms": "book"},
    ),
    (
        "binance_usdm",
        "hftbacktest/binance_usdm_btcusdt_20240808.ndtext.gz",
        ("BTC-USDT-PERP",),
        ("trade.fill", "quote", "book.0ms"),
        {"@trade": "trade", "@bookTicker": "quote", "@depth@0ms": "book"},
    ),
    (
        "binance_spot",
        "hftbacktest/binance_spot_btcusdt_20240809.ndtext.gz",
        ("BTC-USDT",),
        ("trade", "quote", "book"),
        {"@trade": "trade", "@bookTicker": "quote", "@depth@100ms": "book"},
    ),
    (
        "binance_spot",
        "cryptofeed/BINANCE.ws.1.0.gz",
        ("NKN-USDT", "BLZ-ETH", "LRC-BTC", "RUNE-EUR"),
        ("trade.agg", "quote", "book", "candle.1m"),
        {"@aggTrade": "trade", "@bookTicker": "quote", "@depth@100ms": "book", "@kline_1m": "candle"},
    ),
    (
        "binance_usdm",
        "cryptofeed/BINANCE_FUTURES.ws.1.0.gz",
        ("SUSHI-USDT-PERP", "AKRO-USDT-PERP", "KEEP-USDT-PERP", "CTK-USDT-PERP"),
        ("trade", "quote", "book", "candle.1m"),
        {"@aggTrade": "trade", "@bookTicker": "quote", "@depth@100ms": "book", "@kline_1m": "candle"},
    ),
    (
        "okx",
        "cryptofeed/OKX.ws.1.0.gz",
        OKX_SYMBOLS,
        ("trade", "ticker", "book"),
        {"trades": "trade", "tickers": "ticker", "books": "book"},
    ),
    (
        "bybit_linear",
        "cryptofeed/BYBIT.ws.25.0.gz",
        BYBIT_SYMBOLS,
        ({"raw": "trade"}, {"raw": "orderBookL2_25"}),
        {"trade": None, "orderBookL2_25": None},
    ),
    (
        "bybit_linear",
        "nautilus/bybit_v5_orderbook500_XRPUSDT_20241201.jsonl.gz",
        ("XRP-USDT-PERP",),
        ("book.500",),
        {"orderbook": "book"},
    ),
]


class Keeper(Strategy):
    """All that comes; `enough` is set at `expected` data frames."""

    def __init__(self, mock: MockExchange, expected: int) -> None:
        super().__init__()
        self.mock = mock
        self.expected = expected
        self.frames: defaultdict[str, list[bytes]] = defaultdict(list)
        self.events: Counter[str] = Counter()
        self.changes: Counter[str] = Counter()
        self.statuses: list[Status] = []
        self.count = 0
        self.enough = asyncio.Event()

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        payload = frame.get_payload_as_bytes()
        topic = self.mock.venue.topic_of_frame(payload)
        self.frames[str(topic)].append(payload)
        self.count += 1
        if self.count >= self.expected:
            # After this very frame was decoded, too.
            asyncio.get_running_loop().call_soon(self.enough.set)

    def _count(self, kind: str, event: Event) -> None:
        self.events[kind] += 1

    def on_trade(self, trade: Any) -> None:
        self._count("trade", trade)

    def on_quote(self, quote: Any) -> None:
        self._count("quote", quote)

    def on_ticker(self, ticker: Any) -> None:
        self._count("ticker", ticker)

    def on_candle(self, candle: Any) -> None:
        self._count("candle", candle)

    def on_book(self, book: Book, change: BookChange) -> None:
        assert book.is_live
        self._count("book", change)
        self.changes[book.instrument.native] += 1

    def on_status(self, status: Status) -> None:
        self.statuses.append(status)


class RestTap:
    """Keeps the REST answers: what the book started from."""

    def __init__(self) -> None:
        self.bodies: list[tuple[str, bytes]] = []

    def on_rest(self, ns: int, exchange: str, url: str, status: int, body: bytes) -> None:
        self.bodies.append((url, body))

    def on_connect(self, *args: object) -> None: ...
    def on_disconnect(self, *args: object) -> None: ...
    def on_frame_in(self, *args: object) -> None: ...
    def on_frame_out(self, *args: object) -> None: ...
    def on_marker(self, *args: object) -> None: ...


class Delivered(NamedTuple):
    """What one run brought, and what the files hold."""

    keeper: Keeper
    captured: dict[str, list[bytes]]  # by topic
    books: dict[str, Any]  # native symbol -> BookSync
    tap: RestTap
    view: EngineView


async def delivered(
    venue: str, files: Sequence[Path], symbols: tuple[str, ...], channels: tuple[Any, ...]
) -> Delivered:
    """Files, one after another: mock, TLS socket, connector, strategy."""
    mock = captured_mock(venue, files, pace="flat", uses_tls=True)
    captured: defaultdict[str, list[bytes]] = defaultdict(list)
    for record in (record for file in files for record in open_any(file)):
        topic = mock.venue.topic_of_frame(record.payload) if record.kind == RecordKind.FRAME_IN else None
        if topic is not None:
            captured[topic].append(record.payload)
    keeper = Keeper(mock, sum(len(each) for each in captured.values()))
    tap = RestTap()
    async with mock:
        connection = ConnectionSettings(
            exchange=venue,
            symbols=symbols,
            channels=channels,
            url=mock.url,
            rest_url=mock.rest_url,
            tls=TlsSettings(ca_file=mock.ca_file),
            instruments="default",
        )
        settings = Settings(connections=(connection,))
        engine = Engine(settings, base_dir=files[0].parent, strategies=[keeper], tap=tap)  # type: ignore[arg-type]
        run = asyncio.ensure_future(engine.run())
        async with asyncio.timeout(60):
            await keeper.enough.wait()
            # A snapshot may still be on its way: books are compared when they are true.
            while any(book.state != "live" for each in engine.view().connections for book in each.books):
                await asyncio.sleep(0.01)
        books = {
            sync.book.instrument.native: sync for each in engine.connections.values() for sync in each.books
        }
        engine.stop()
        view = await asyncio.wait_for(run, 10)
    return Delivered(keeper, dict(captured), books, tap, view)


@pytest.mark.parametrize(
    ("venue", "file", "symbols", "channels", "kinds"),
    CASES,
    ids=[f"{case[0]}-{case[1].split('/')[1]}" for case in CASES],
)
async def test_every_recorded_message_reaches_the_strategy_once(
    captures_dir: Path,
    venue: str,
    file: str,
    symbols: tuple[str, ...],
    channels: tuple[Any, ...],
    kinds: dict[str, str | None],
) -> None:
    it = await delivered(venue, [captures_dir / file], symbols, channels)

    assert dict(it.keeper.frames) == it.captured
    assert_counts_are_the_manifests(captures_dir, file, kinds, it.captured)
    for channel, kind in kinds.items():
        if kind is not None and kind != "book":
            assert it.keeper.events[kind] >= len(of_channel(it.captured, channel))
    assert_nothing_went_wrong(it)
    assert len(it.books) == (len(symbols) if "book" in kinds.values() else 0)
    assert_books_begin_with_the_recorded_answers(captures_dir / file, it.tap)
    assert_books_equal_plain_dicts(venue, it)


async def test_binance_book_goes_on_over_midnight(captures_dir: Path) -> None:
    """The second day has no snapshot of its own; behind the first day its whole book can be judged."""
    days = [
        captures_dir / f"hftbacktest/binance_spot_btcusdt_{day}.ndtext.gz" for day in (20240808, 20240809)
    ]

    it = await delivered("binance_spot", days, ("BTC-USDT",), ("trade", "quote", "book"))

    assert dict(it.keeper.frames) == it.captured
    assert len(it.captured["btcusdt@depth@100ms"]) == 3451 + 3044
    assert it.books["BTCUSDT"].book.epoch == 1
    assert_nothing_went_wrong(it)
    assert_books_equal_plain_dicts("binance_spot", it)


def assert_nothing_went_wrong(it: Delivered) -> None:
    bad = (
        StatusKind.GAP,
        StatusKind.LOST,
        StatusKind.MISSED,
        StatusKind.REFUSED,
        StatusKind.REPEATED,
        StatusKind.RESYNC,
        StatusKind.STALE,
    )
    assert not [each for each in it.keeper.statuses if each.kind in bad]
    streams = [stream for each in it.view.connections for stream in each.streams]
    assert all((stream.errors, stream.gaps, stream.missed or 0) == (0, 0, 0) for stream in streams)


def assert_books_begin_with_the_recorded_answers(file: Path, tap: RestTap) -> None:
    """The first snapshot of each symbol that was served is the one that was recorded, byte by byte."""
    recorded = {
        record.payload.partition(b"\n")[2] for record in open_any(file) if record.kind == RecordKind.REST
    }
    recorded = {body for body in recorded if body.startswith(b'{"lastUpdateId"')}
    first: dict[str, bytes] = {}
    for url, body in tap.bodies:
        if "depth" in url:
            first.setdefault(url, body)
    if recorded:
        assert set(first.values()) == recorded


def of_channel(captured: dict[str, list[bytes]], channel: str) -> list[bytes]:
    """Messages of the topics of a MANIFEST channel."""
    return [
        payload
        for topic, payloads in captured.items()
        if topic.endswith(channel) or f'"{channel}"' in topic or topic.startswith(f"{channel}.")
        for payload in payloads
    ]


def assert_counts_are_the_manifests(
    captures_dir: Path, file: str, kinds: dict[str, str | None], captured: dict[str, list[bytes]]
) -> None:
    manifest = json.loads((captures_dir / "MANIFEST.json").read_text())
    counts = next(each["channels"] for each in manifest if each["file"] == file)
    for channel in kinds:
        assert len(of_channel(captured, channel)) == counts[channel], channel
    known = {channel: count for channel, count in counts.items() if channel in kinds}
    assert sum(len(each) for each in captured.values()) == sum(known.values())


def assert_books_equal_plain_dicts(venue: str, it: Delivered) -> None:
    """Of 20240809 alone: its levels are those that its changes name, for the snapshot that the mock makes is
    empty. What stood at other prices is not in the file and not claimed."""
    for native, sync in it.books.items():
        payloads = [
            json.loads(payload)
            for topic, each in it.captured.items()
            if "depth" in topic or "books" in topic or "orderbook" in topic
            if native in topic or native.lower() in topic
            for payload in each
        ]
        rebuild = {"okx": rebuild_okx, "bybit_linear": rebuild_bybit}.get(venue)
        if rebuild is not None:
            bids, asks = rebuild(payloads)
        else:
            snapshot = next(
                json.loads(body) for url, body in reversed(it.tap.bodies) if f"symbol={native}" in url
            )
            bids, asks = rebuild_binance(snapshot, payloads)
        assert sync.book.bids_decimal() == sorted(bids.items(), reverse=True)
        assert sync.book.asks_decimal() == sorted(asks.items())
        if venue == "okx":
            assert sync.checksums == len(payloads)


Side = dict[Decimal, Decimal]


def put(side: Side, rows: list[list[str]]) -> None:
    for price, size, *_ in rows:
        if Decimal(size) == 0:
            side.pop(Decimal(price), None)
        else:
            side[Decimal(price)] = Decimal(size)


def rebuild_binance(snapshot: dict[str, Any], payloads: list[dict[str, Any]]) -> tuple[Side, Side]:
    bids: Side = {}
    asks: Side = {}
    put(bids, snapshot["bids"])
    put(asks, snapshot["asks"])
    for payload in payloads:
        if payload["data"]["u"] > snapshot["lastUpdateId"]:
            put(bids, payload["data"]["b"])
            put(asks, payload["data"]["a"])
    return bids, asks


def rebuild_okx(payloads: list[dict[str, Any]]) -> tuple[Side, Side]:
    bids: Side = {}
    asks: Side = {}
    for payload in payloads:
        if payload["action"] == "snapshot":
            bids, asks = {}, {}
        for data in payload["data"]:
            put(bids, data["bids"])
            put(asks, data["asks"])
        # The venue keeps 400 levels a side and says nothing of those that fall out.
        bids = dict(sorted(bids.items(), reverse=True)[:400])
        asks = dict(sorted(asks.items())[:400])
    return bids, asks


def rebuild_bybit(payloads: list[dict[str, Any]]) -> tuple[Side, Side]:
    bids: Side = {}
    asks: Side = {}
    for payload in payloads:
        if payload["type"] == "snapshot":
            bids, asks = {}, {}
        put(bids, payload["data"]["b"])
        put(asks, payload["data"]["a"])
    return bids, asks
