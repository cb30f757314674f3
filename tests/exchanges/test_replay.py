"""Replay gives strategies what the live run gave them, twice the same; our captures and foreign ones."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest

from connectors import ConfigError, Strategy
from connectors.capture import Record, RecordKind
from connectors.capture_file import CaptureWriter, read_capture
from connectors.engine import Engine
from connectors.errors import CaptureError
from connectors.foreign import connect_record
from connectors.inverse import StreamFinder, unified_symbol
from connectors.mock import generated_mock
from connectors.registry import load_exchange
from connectors.replay import Replay
from connectors.settings import ConnectionSettings, RecordSettings, RttSettings, Settings
from connectors.status import StatusKind

NOTHING = Settings(connections=())


class Witness(Strategy):
    """Writes down every call."""

    def __init__(self):
        super().__init__()
        self.calls = []
        self.frames = Counter()
        self.books = {}
        self.statuses = []
        self.invalid = 0

    def on_start(self, ctx):
        self.ctx = ctx

    def on_ws_frame(self, transport, frame):
        self.calls.append(("frame", bytes(frame.get_payload_as_bytes())))

    def on_trade(self, trade):
        self.calls.append(
            ("trade", trade.instrument.symbol, trade.id, trade.price_int, trade.size_int, trade.side)
        )

    def on_quote(self, quote):
        self.calls.append(("quote", quote.instrument.symbol, quote.bid_int, quote.ask_int, quote.update_id))

    def on_book(self, book, change):
        self.invalid += not book.is_live
        self.calls.append(("book", book.instrument.symbol, change.ids, book.best_bid, book.best_ask))
        self.books[book.instrument.symbol] = (book.bids(50), book.asks(50))

    def on_ticker(self, ticker):
        self.calls.append(("ticker", ticker.instrument.symbol, ticker.last_int))

    def on_status(self, status):
        self.statuses.append(status.kind)

    def typed(self):
        return [call for call in self.calls if call[0] != "frame"]


async def recorded(tmp_path, name, symbol, channels, *, faults=(), until=400, rtt=None):
    """A live run against the mock, recorded. Returns (its Witness, path of the capture, settings)."""
    mock = generated_mock(name, seed=4, symbols=(symbol,), rate=200.0, faults=faults)
    witness = Witness()
    async with mock:
        connection = ConnectionSettings(
            exchange=name,
            symbols=(symbol,),
            channels=channels,
            url=mock.url,
            rest_url=mock.rest_url,
            rtt=rtt or RttSettings(),
        )
        settings = Settings(connections=(connection,), record=RecordSettings(dir=str(tmp_path / "rec")))
        engine = Engine(settings, base_dir=tmp_path, strategies=[witness])
        run = asyncio.create_task(engine.run())
        async with asyncio.timeout(30):
            while len(witness.calls) < until or (
                rtt is not None and StatusKind.ROTATED not in witness.statuses
            ):
                await asyncio.sleep(0.01)
        engine.stop()
        await run
    (path,) = (tmp_path / "rec").glob("*.cap.zst")
    return witness, path, settings


VENUES = {
    "binance_spot": ("BTC-USDT", ("trade", "quote", "book")),
    "binance_usdm": ("BTC-USDT-PERP", ("trade", "quote", "book")),
    "okx": ("BTC-USDT", ("trade", "quote", "book", "ticker")),
    "bybit_linear": ("BTC-USDT-PERP", ("trade", "quote", "book", "ticker")),
}


@pytest.mark.parametrize("has_config", [True, False])
@pytest.mark.parametrize("name", VENUES)
async def test_replay_makes_the_calls_of_the_live_run(tmp_path, name, has_config):
    symbol, channels = VENUES[name]
    live, path, settings = await recorded(tmp_path, name, symbol, channels)

    again = Witness()
    replay = Replay(path, settings if has_config else NOTHING, [again])
    replay.run()

    assert again.calls == live.calls
    assert again.books == live.books
    assert again.invalid == 0
    assert {kind for kind, *_ in again.calls} == {"frame", *channels}


async def test_two_replays_are_equal_and_time_is_the_recordings(tmp_path):
    _, path, settings = await recorded(tmp_path, "okx", "BTC-USDT", ("trade", "book"))

    def run():
        witness = Witness()
        replay = Replay(path, settings, [witness])
        times = []
        replay.start()
        while replay.step() is not None:
            times.append((replay.clock.time_ns(), len(witness.calls)))
        replay.close()
        view = replay.view()
        return (
            witness.calls,
            witness.statuses,
            times,
            [
                (each.frames, each.unknown, [(s.topic, s.messages, s.gaps) for s in each.streams])
                for each in view.connections
            ],
        )

    first, second = run(), run()
    assert first == second
    ns = [record.ns for record in read_capture(path)]
    assert first[2][-1][0] == max(ns)


async def test_lost_connection_in_a_recording_is_played_as_it_was(tmp_path):
    faults = ("close_storm:code=1011,after_s=0.6,conn=1",)
    live, path, settings = await recorded(
        tmp_path, "bybit_linear", "BTC-USDT-PERP", ("trade", "book"), faults=faults, until=900
    )
    again = Witness()
    Replay(path, settings, [again]).run()

    assert again.typed() == live.typed()
    assert StatusKind.LOST in again.statuses
    assert again.invalid == 0


async def test_recorded_make_before_break_loses_and_doubles_nothing(tmp_path):
    rtt = RttSettings(rounds=2, every_s=0.1, max_ms=80.0, action="reconnect")
    live, path, settings = await recorded(
        tmp_path,
        "okx",
        "BTC-USDT",
        ("trade", "book"),
        faults=("delay_pong:rtt_ms=150,conn=1,after_s=0.5",),
        until=900,
        rtt=rtt,
    )
    again = Witness()
    Replay(path, settings, [again]).run()

    ids = [call[2] for call in again.calls if call[0] == "trade"]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert ids == [call[2] for call in live.calls if call[0] == "trade"]
    assert again.invalid == 0
    assert again.books == live.books
    assert StatusKind.ROTATED in again.statuses


# Foreign captures


@pytest.mark.parametrize(
    ("name", "file", "books"),
    [
        ("binance_spot", "hftbacktest/binance_spot_btcusdt_20240808.ndtext.gz", ["BTC-USDT"]),
        ("binance_usdm", "hftbacktest/binance_usdm_btcusdt_20240808.ndtext.gz", ["BTC-USDT-PERP"]),
        ("binance_spot", "cryptofeed/BINANCE.ws.1.0.gz", ["NKN-USDT", "BLZ-ETH", "LRC-BTC", "RUNE-EUR"]),
        ("okx", "cryptofeed/OKX.ws.1.0.gz", ["BTC-USDT", "UNI-USD-PERP", "BTC-USD-220527"]),
        ("bybit_linear", "cryptofeed/BYBIT.ws.25.0.gz", []),
        ("bybit_linear", "nautilus/bybit_v5_orderbook500_XRPUSDT_20241201.jsonl.gz", ["XRP-USDT-PERP"]),
    ],
)
def test_foreign_capture_gives_every_data_frame_and_true_books(captures_dir, name, file, books):
    entry = next(e for e in json.loads((captures_dir / "MANIFEST.json").read_text()) if e["file"] == file)
    witness = Witness()

    view = Replay(captures_dir / file, NOTHING, [witness], exchange=name).run()

    no_data = sum(entry["channels"].get(key, 0) for key in ("subscribe", "other", "REST depth snapshot"))
    frames = [call for call in witness.calls if call[0] == "frame"]
    assert len(frames) == entry["messages"] - no_data
    (connection,) = view.connections
    assert sum(stream.gaps + stream.errors for stream in connection.streams) == 0
    # A topic with two kinds (ticker and funding) is counted for both.
    by_topic = {stream.topic: stream.messages for stream in connection.streams}
    assert sum(by_topic.values()) == len(frames)
    live = {book.symbol for book in connection.books if book.state == "live"}
    assert live == set(books)


def test_file_that_names_no_exchange_asks_for_one(captures_dir):
    with pytest.raises(CaptureError, match="does not name its exchange"):
        Replay(captures_dir / "cryptofeed/OKX.ws.1.0.gz", NOTHING, []).run()


# Pace


def small_capture(path: Path) -> Path:
    writer = CaptureWriter(path, {})
    writer.write(connect_record(1_000_000_000, 1, "okx", "wss://x"))
    for i in range(5):
        payload = (
            b'{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"%d",'
            b'"px":"1.5","sz":"2","side":"buy","ts":"1","count":"1"}]}' % i
        )
        writer.write(Record(1_000_000_000 + i * 500_000_000, 1, RecordKind.FRAME_IN, 1, payload=payload))
    writer.close(4_000_000_000)
    return path


def test_paced_waits_as_recorded_times_speed(tmp_path):
    now, waits = [0.0], []

    def sleep(seconds):
        waits.append(round(seconds, 6))
        now[0] += seconds

    replay = Replay(
        small_capture(tmp_path / "a.cap.zst"), NOTHING, [Witness()], pace="paced", speed=2.0,
        sleep=sleep, monotonic=lambda: now[0],
    )  # fmt: skip
    replay.first_ns = 0
    replay.run()

    assert waits[-5:] == [0.25, 0.25, 0.25, 0.25, 0.5]


def test_stepped_gives_one_record_at_a_time(tmp_path):
    witness = Witness()
    replay = Replay(small_capture(tmp_path / "a.cap.zst"), NOTHING, [witness], pace="stepped")
    replay.start()

    kinds = []
    while (record := replay.step()) is not None:
        kinds.append((record.kind.name, len(witness.typed())))

    assert kinds[:4] == [("HEADER", 0), ("CONNECT", 0), ("FRAME_IN", 1), ("FRAME_IN", 2)]


def test_strategy_may_stop_the_replay(tmp_path):
    class Stopper(Witness):
        def on_trade(self, trade):
            super().on_trade(trade)
            self.ctx.stop("enough")

    witness = Stopper()
    Replay(small_capture(tmp_path / "a.cap.zst"), NOTHING, [witness]).run()

    assert len(witness.typed()) == 1


def test_context_of_a_replay(tmp_path):
    class Asker(Witness):
        def on_start(self, ctx):
            super().on_start(ctx)
            self.instrument = ctx.subscribe("ETH-USDT", "trade")
            with pytest.raises(ConfigError, match="no book of it"):
                ctx.book("okx:BTC-USDT")
            with pytest.raises(KeyError):
                ctx.book("okx:NO-SUCH")

    witness = Asker()
    Replay(small_capture(tmp_path / "a.cap.zst"), NOTHING, [witness]).run()

    assert witness.instrument.symbol == "ETH-USDT"
    assert set(witness.ctx.instruments) == {"okx:BTC-USDT", "okx:ETH-USDT"}


@pytest.mark.parametrize("options", [{"pace": "quick"}, {"speed": 0.0}])
def test_wrong_options_are_config_errors(tmp_path, options):
    with pytest.raises(ConfigError, match="expected"):
        Replay(small_capture(tmp_path / "a.cap.zst"), NOTHING, [], **options)


# Overlap of two sockets


def frame(conn_id: int, ns: int, trade_id: int) -> Record:
    data = b'{"e":"trade","E":1,"s":"BTCUSDT","t":%d,"p":"1","q":"2","T":1,"m":true}' % trade_id
    payload = b'{"stream":"btcusdt@trade","data":' + data + b"}"
    return Record(ns, conn_id, RecordKind.FRAME_IN, 1, payload=payload)


def test_two_sockets_with_the_same_stream_lose_and_double_nothing(tmp_path):
    path = tmp_path / "a.cap.zst"
    writer = CaptureWriter(path, {})
    writer.write(connect_record(1, 1, "binance_spot", "wss://a"))
    for i in range(1, 7):
        writer.write(frame(1, 10 * i, i))
    writer.write(connect_record(45, 2, "binance_spot", "wss://b"))
    for i in range(5, 10):
        writer.write(frame(2, 100 + i, i))
    writer.write(Record(200, 1, RecordKind.DISCONNECT, payload=b'{"reason":"replaced"}'))
    writer.write(frame(2, 210, 10))
    writer.close()
    witness = Witness()

    Replay(path, NOTHING, [witness]).run()

    assert [call[2] for call in witness.typed()] == list(range(1, 11))
    assert StatusKind.ROTATED in witness.statuses


# From keys to streams


@pytest.mark.parametrize(
    ("name", "native", "symbol"),
    [
        ("binance_spot", "BTCUSDT", "BTC-USDT"),
        ("binance_usdm", "BTCUSDT_260925", "BTC-USDT-260925"),
        ("okx", "BTC-USDT-SWAP", "BTC-USDT-PERP"),
        ("okx", "BTC-USD-250328-92000-C", "BTC-USD-250328-92000-C"),
        ("bybit_linear", "XRPUSDT", "XRP-USDT-PERP"),
        ("binance_spot", "WEIRD", "WEIRD"),
    ],
)
def test_native_symbol_back_to_the_unified_one(name, native, symbol):
    assert unified_symbol(load_exchange(name), native) == symbol


@pytest.mark.parametrize("name", ["binance_spot", "binance_usdm", "okx", "bybit_spot", "bybit_linear"])
def test_every_channel_of_the_facts_is_found_by_its_key(name):
    exchange = load_exchange(name)
    finder = StreamFinder(exchange, {})
    symbol = exchange.facts.symbols[0].example
    from connectors.exchange import Channel

    for kind in exchange.facts.channels:
        wanted = exchange.stream(Channel.parse(kind), exchange.instrument(symbol))
        found = {stream.kind: stream for stream in finder.find(wanted.key)}
        assert found[wanted.kind].topic == wanted.topic
