"""The mock plays captures: every message once over a socket, books that can be joined at any time."""

from __future__ import annotations

import asyncio
import ssl
import urllib.request
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from connectors.capture import Record, RecordKind
from connectors.commands.catalog import fetch_instruments
from connectors.exchange import Exchange
from connectors.foreign import connect_record, open_any, rest_record
from connectors.mock import MockExchange, captured_mock
from connectors.mock.build import mock_venue
from connectors.mock.playback import PlaybackSource
from connectors.mock.source import FOREVER_NS
from connectors.recorder import Recorder
from connectors.registry import load_exchange
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

CASES = [
    ("binance_spot", "hftbacktest/binance_spot_btcusdt_20240808.ndtext.gz", 41_248),
    ("binance_spot", "hftbacktest/binance_spot_btcusdt_20240809.ndtext.gz", 58_325),
    ("binance_usdm", "hftbacktest/binance_usdm_btcusdt_20240808.ndtext.gz", 93_953),
    ("binance_spot", "cryptofeed/BINANCE.ws.1.0.gz", 265),
    ("binance_usdm", "cryptofeed/BINANCE_FUTURES.ws.1.0.gz", 1_535),
    ("okx", "cryptofeed/OKX.ws.1.0.gz", 392),
    ("bybit_linear", "cryptofeed/BYBIT.ws.25.0.gz", 3_326),
    ("bybit_linear", "nautilus/bybit_v5_orderbook500_XRPUSDT_20241201.jsonl.gz", 50),
]


class Client(WSListener):
    """Keeps what it gets by topic; `all_there` is set at `expected` data messages."""

    def __init__(self, mock: MockExchange, expected: int = 0) -> None:
        self.mock = mock
        self.expected = expected
        self.data: dict[str, list[bytes]] = {}
        self.other: list[bytes] = []
        self.count = 0
        self.all_there = asyncio.Event()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
            return
        payload = frame.get_payload_as_bytes()
        topic = self.mock.venue.topic_of_frame(payload)
        if topic is None:
            self.other.append(payload)
            return
        self.data.setdefault(topic, []).append(payload)
        self.count += 1
        if self.count == self.expected:
            self.all_there.set()


def requests(exchange: Exchange, topics: list[str]) -> list[bytes]:
    """Subscribe requests as the facts word them, in batches."""
    facts = exchange.facts.subscribe
    size = facts.max_topics
    out = []
    for i in range(0, len(topics), size):
        items = ",".join(facts.item.replace("$topic", topic) for topic in topics[i : i + size])
        out.append(facts.request.replace("$items", items).replace("$id", str(i + 1)).encode())
    return out


@pytest.mark.parametrize(("name", "file", "count"), CASES)
async def test_every_captured_message_arrives_exactly_once_over_tls(captures_dir, name, file, count):
    mock = captured_mock(name, [captures_dir / file], pace="flat", uses_tls=True)
    captured: dict[str, list[bytes]] = {}
    for record in open_any(captures_dir / file):
        topic = mock.venue.topic_of_frame(record.payload) if record.kind == RecordKind.FRAME_IN else None
        if topic is not None:
            captured.setdefault(topic, []).append(record.payload)

    async with mock:
        exchange = mock.venue.exchange
        route = next(iter(exchange.facts.routes))
        context = ssl.create_default_context(cafile=mock.ca_file)
        transport, client = await ws_connect(
            lambda: Client(mock, count), exchange.url(route, mock.url), ssl_context=context
        )
        for request in requests(exchange, sorted(captured)):
            transport.send(WSMsgType.TEXT, request)
        async with asyncio.timeout(60):
            await client.all_there.wait()
            await mock.finished()
        transport.send_close(1000)
        await transport.wait_disconnected()

    assert client.data == captured
    assert mock.sent == Counter({topic: len(frames) for topic, frames in captured.items()})
    assert sum(mock.sent.values()) == count
    assert not mock.source.skipped
    assert client.other  # acks


async def test_data_wait_until_all_topics_are_subscribed(captures_dir):
    mock = captured_mock("okx", [captures_dir / "cryptofeed/OKX.ws.1.0.gz"], pace="flat")
    mock.settle_s = 60.0

    async with mock:
        exchange = mock.venue.exchange
        transport, client = await ws_connect(lambda: Client(mock, 392), exchange.url("public", mock.url))
        first, *rest = sorted(mock.source.topics)
        transport.send(WSMsgType.TEXT, requests(exchange, [first])[0])
        transport.send(WSMsgType.TEXT, b"ping")
        async with asyncio.timeout(10):
            while b"pong" not in client.other:
                await asyncio.sleep(0.001)
        nothing_yet = client.count
        for request in requests(exchange, rest):
            transport.send(WSMsgType.TEXT, request)
        async with asyncio.timeout(10):
            await client.all_there.wait()
        transport.disconnect()

    assert nothing_yet == 0


def play(name: str, path: Path) -> PlaybackSource:
    return PlaybackSource(mock_venue(load_exchange(name)), open_any(path, name))


def levels(rows: list[list[str]]) -> dict[str, str]:
    return {row[0]: row[1] for row in rows}


def apply(book: tuple[dict[str, str], dict[str, str]], bids: list[list[str]], asks: list[list[str]]) -> None:
    for side, rows in zip(book, (bids, asks), strict=True):
        for price, size, *_ in rows:
            side.pop(price, None)
            if float(size):
                side[price] = size


@pytest.mark.parametrize("stop", [1, 60, 500, 3000])
def test_late_rest_snapshot_is_the_book_at_the_streams_position(captures_dir, stop):
    source = play("binance_spot", captures_dir / "hftbacktest/binance_spot_btcusdt_20240808.ndtext.gz")
    topic = "btcusdt@depth@100ms"
    source.subscribe(topic, 0)
    path = "/api/v3/depth?symbol=BTCUSDT&limit=5000"
    recorded = msgspec.json.decode(source.http(path, 0).body)

    book = (levels(recorded["bids"]), levels(recorded["asks"]))
    last = recorded["lastUpdateId"]
    played = 0
    while played < stop:
        for message in source.take(FOREVER_NS, 1):
            played += 1
            data = msgspec.json.decode(message.payload)["data"]
            if data["u"] > recorded["lastUpdateId"]:
                apply(book, data["b"], data["a"])
                last = data["u"]
    late = msgspec.json.decode(source.http(path, 0).body)

    assert late["lastUpdateId"] == last
    assert (levels(late["bids"]), levels(late["asks"])) == book
    assert [float(row[0]) for row in late["bids"]] == sorted((float(p) for p in book[0]), reverse=True)


@pytest.mark.parametrize(
    ("name", "file", "topic"),
    [
        ("okx", "cryptofeed/OKX.ws.1.0.gz", '{"channel":"books","instId":"BTC-USDT"}'),
        (
            "bybit_linear",
            "nautilus/bybit_v5_orderbook500_XRPUSDT_20241201.jsonl.gz",
            "orderbook.500.XRPUSDT",
        ),
    ],
)
def test_who_subscribes_late_gets_a_snapshot_that_the_stream_continues(captures_dir, name, file, topic):
    source = play(name, captures_dir / file)
    venue = mock_venue(load_exchange(name))
    source.subscribe(topic, 0)
    book: tuple[dict[str, str], dict[str, str]] = ({}, {})

    for _ in range(30):
        (message,) = source.take(FOREVER_NS, 1)
        frame = venue.read_book(topic, message.payload)
        if frame.is_snapshot:
            book = ({}, {})
        apply(book, frame.bids, frame.asks)
    (late,) = source.subscribe(topic, 0).first
    snapshot = venue.read_book(topic, late.payload)
    (following,) = source.take(FOREVER_NS, 1)
    next_frame = venue.read_book(topic, following.payload)

    assert snapshot.is_snapshot
    assert (dict(snapshot.bids), dict(snapshot.asks)) == book
    assert next_frame.prev_id == snapshot.last_id
    # The recording's own rule: the checksum of the last frame is the one of the whole book.
    assert snapshot.checksum == frame.checksum


def test_rest_answers_of_the_capture_are_served_byte_for_byte(captures_dir):
    source = play("binance_spot", captures_dir / "cryptofeed/BINANCE.ws.1.0.gz")
    body = None
    for record in open_any(captures_dir / "cryptofeed/BINANCE.ws.1.0.gz"):
        if record.kind == RecordKind.REST and b"depth?symbol=LRCBTC" in record.payload[:200]:
            body = record.payload.partition(b"\n")[2]

    assert source.http("/api/v3/depth?symbol=LRCBTC&limit=1000", 0).body == body
    assert b'"symbol":"LRCBTC"' in source.http("/api/v3/exchangeInfo?symbolStatus=TRADING", 0).body
    assert source.http("/api/v3/unknown", 0) is None


async def test_rest_is_served_over_https(captures_dir):
    mock = captured_mock(
        "binance_spot", [captures_dir / "hftbacktest/binance_spot_btcusdt_20240808.ndtext.gz"], uses_tls=True
    )
    async with mock:
        context = ssl.create_default_context(cafile=mock.ca_file)
        url = f"{mock.rest_url}/api/v3/depth?symbol=BTCUSDT&limit=5000"

        def get() -> tuple[bytes, str]:
            with urllib.request.urlopen(url, context=context) as answer:
                return answer.read(), answer.headers["X-MBX-USED-WEIGHT-1M"]

        body, used = await asyncio.to_thread(get)

    assert msgspec.json.decode(body)["lastUpdateId"] == 50093239218
    assert used == "250"


def toy_records(topics: list[str], frames: int) -> list[Record]:
    return [
        Record(
            i * 1000, 1, RecordKind.FRAME_IN, 1, payload=b'{"stream":"%s","data":{"n":%d}}' % (t.encode(), i)
        )
        for i in range(frames)
        for t in topics
    ]


def test_frames_of_topics_nobody_has_are_counted_as_skipped():
    source = PlaybackSource(mock_venue(load_exchange("binance_spot")), toy_records(["a@trade", "b@trade"], 5))
    source.subscribe("a@trade", 0)

    played = source.take(2000, 100)

    assert [message.topic for message in played] == ["a@trade"] * 3
    assert source.skipped == {"b@trade": 3}
    assert source.next_ns() == 3000
    assert not source.is_finished


def toy(conn_id: int, ns: int, number: int) -> Record:
    payload = b'{"stream":"a@trade","data":{"n":%d}}' % number
    return Record(ns, conn_id, RecordKind.FRAME_IN, 1, payload=payload)


def test_recording_of_several_venues_is_played_for_one():
    records = [
        connect_record(0, 1, "binance_usdm", ""),
        connect_record(0, 2, "binance_spot", ""),
        toy(1, 1, 100),
        toy(2, 2, 200),
        rest_record(3, "binance_usdm", "https://x/api/v3/depth?symbol=A", b'{"lastUpdateId":1}'),
    ]
    source = PlaybackSource(mock_venue(load_exchange("binance_spot")), records)
    source.subscribe("a@trade", 0)

    assert [message.payload for message in source.take(FOREVER_NS, 9)] == [toy(2, 2, 200).payload]
    assert source.http("/api/v3/depth?symbol=A", 0) is None


def test_message_that_two_recorded_sockets_had_is_played_once():
    records = [
        connect_record(0, 1, "binance_spot", ""),
        toy(1, 1, 1),
        connect_record(2, 2, "binance_spot", ""),
        toy(1, 3, 2),
        toy(2, 4, 2),
        toy(2, 5, 3),
        toy(1, 6, 3),
        Record(7, 1, RecordKind.DISCONNECT, payload=b"{}"),
        toy(2, 8, 4),
        toy(2, 9, 4),
    ]
    source = PlaybackSource(mock_venue(load_exchange("binance_spot")), records)
    source.subscribe("a@trade", 0)

    numbers = [msgspec.json.decode(message.payload)["data"]["n"] for message in source.take(FOREVER_NS, 99)]
    assert numbers == [1, 2, 3, 4, 4]
    assert source.repeated == 2


async def test_our_own_recording_can_be_served(tmp_path):
    recorder = Recorder(tmp_path)
    recorder.start()
    recorder.on_connect(1, 1, "okx", "public", "wss://x")
    payload = b'{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[]}'
    recorder.on_frame_in(2, 1, 1, False, memoryview(payload[:10]))
    recorder.on_frame_in(2, 1, 0, True, memoryview(payload[10:]))
    recorder.close()

    mock = captured_mock("okx", recorder.paths, pace="flat")
    async with mock:
        url = mock.venue.exchange.url("public", mock.url)
        transport, client = await ws_connect(lambda: Client(mock, 1), url)
        transport.send(WSMsgType.TEXT, requests(mock.venue.exchange, sorted(mock.source.topics))[0])
        async with asyncio.timeout(10):
            await client.all_there.wait()
        transport.disconnect()

    assert list(client.data.values()) == [[payload]]


@pytest.mark.parametrize(
    ("venue", "file", "symbols"),
    [
        ("binance_spot", "cryptofeed/BINANCE.ws.1.0.gz", ("NKN-USDT", "BLZ-ETH", "LRC-BTC", "RUNE-EUR")),
        ("binance_usdm", "cryptofeed/BINANCE_FUTURES.ws.1.0.gz", ("SUSHI-USDT-PERP", "AKRO-USDT-PERP")),
        ("okx", "cryptofeed/OKX.ws.1.0.gz", ("BTC-USD-220527", "UNI-USD-PERP", "BTC-USDT")),
    ],
)
async def test_symbols_of_a_capture_are_in_the_list_that_is_served(captures_dir, venue, file, symbols):
    async with captured_mock(venue, [captures_dir / file]) as mock:
        listed = await fetch_instruments(load_exchange(venue), mock.rest_url)

    assert set(symbols) <= {each.symbol for each in listed}
