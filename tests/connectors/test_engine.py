"""Whole runs over loopback sockets: counts, TLS, both loops, strategies at run time, backpressure."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from connectors import ConfigError, StatusKind, Strategy, Trade
from connectors.context import Context
from connectors.engine import Engine
from connectors.errors import StrategyError
from connectors.mock import generated_mock
from connectors.settings import BackoffSettings, ConnectionSettings, Settings, TlsSettings
from picows import WSMsgType

Start = Any
SYMBOLS = {
    "binance_spot": ("BTC-USDT", "ETH-USDT"),
    "binance_usdm": ("BTC-USDT-PERP",),
    "okx": ("BTC-USDT", "ETH-USDT"),
    "bybit_spot": ("BTC-USDT",),
    "bybit_linear": ("BTC-USDT-PERP",),
}
CHANNELS = {"bybit_linear": ("trade", "quote", "book", "ticker", "funding")}


class Counting(Strategy):
    """Stops the run after so many trades."""

    def __init__(self, stop_after: int = 40) -> None:
        super().__init__()
        self.stop_after = stop_after
        self.trades = 0
        self.funding = 0
        self.tickers = 0

    def on_start(self, ctx: Context) -> None:
        self.ctx = ctx

    def on_trade(self, trade: Trade) -> None:
        self.trades += 1
        if self.trades == self.stop_after:
            self.ctx.stop("enough")

    def on_funding(self, funding: Any) -> None:
        self.funding += 1

    def on_ticker(self, ticker: Any) -> None:
        self.tickers += 1


async def run_counted(venue: str, base_dir: Path, *, uses_tls: bool = False, rate: float = 100.0) -> None:
    """A run whose counts have to be the mock's, stream by stream."""
    mock = generated_mock(venue, symbols=SYMBOLS[venue], rate=rate, uses_tls=uses_tls)
    async with mock:
        connection = ConnectionSettings(
            exchange=venue,
            symbols=SYMBOLS[venue],
            channels=CHANNELS.get(venue, ("trade", "quote", "book")),
            url=mock.url,
            rest_url=mock.rest_url,
            tls=TlsSettings(ca_file=mock.ca_file),
        )
        strategy = Counting()
        engine = Engine(Settings(connections=(connection,)), base_dir=base_dir, strategies=[strategy])

        view = await asyncio.wait_for(engine.run(), 30)

        (seen,) = view.connections
        assert {stream.topic: stream.messages for stream in seen.streams} == dict(mock.sent)
        assert strategy.trades == sum(stream.events for stream in seen.streams if stream.kind == "trade")
        assert (seen.losses, seen.unknown) == (0, 0)
        assert all(stream.errors == 0 for stream in seen.streams)
        assert all(instrument.is_scale_known for instrument in engine.instruments.values())
        if venue == "bybit_linear":
            # Two kinds out of one topic.
            assert strategy.tickers > 0
            assert strategy.funding > 0


@pytest.mark.parametrize("venue", SYMBOLS)
async def test_counts_are_those_of_the_mock(tmp_path: Path, venue: str) -> None:
    await run_counted(venue, tmp_path)


async def test_counts_over_tls(tmp_path: Path) -> None:
    await run_counted("okx", tmp_path, uses_tls=True)


def test_counts_on_uvloop(tmp_path: Path) -> None:
    uvloop = pytest.importorskip("uvloop")

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run_counted("okx", tmp_path))


class Asking(Strategy):
    """Raw only: keeps payloads, and sends a request of its own through the transport."""

    def on_start(self, ctx: Context) -> None:
        self.frames: list[bytes] = []
        self.is_zero_copy = True
        self.sent = False

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        view = frame.get_payload_as_memoryview()
        self.is_zero_copy &= view.readonly and bytes(view) == frame.get_payload_as_bytes()
        self.frames.append(bytes(view))
        if not self.sent:
            self.sent = True
            request = '{"id":"900","op":"subscribe","args":[{"channel":"tickers","instId":"BTC-USDT"}]}'
            transport.send(WSMsgType.TEXT, request)


async def test_raw_strategy_gets_every_frame_and_can_send(running: Start) -> None:
    asking = Asking()
    async with running("okx", strategies=(asking,)) as run:
        await run.witness.until(
            lambda: any(b'"tickers"' in each for each in asking.frames), 5.0, "its own stream"
        )
        run.engine.stop("enough")
        await run.witness.until_told(StatusKind.STOPPED, 3.0)

    data = [each for each in asking.frames if b'"tickers"' not in each]
    view = run.engine.view().connections[0]
    assert len(data) == sum(stream.messages for stream in view.streams)
    assert asking.is_zero_copy


async def test_streams_come_and_go_at_run_time(running: Start) -> None:
    async with running("okx", symbols=("BTC-USDT",), channels=("trade",)) as run:
        witness = run.witness
        instrument = witness.ctx.subscribe("BTC-USDT", "book")
        await witness.until(lambda: witness.changes["BTC-USDT"], 5.0, "a book")
        book = witness.ctx.book(instrument)

        witness.ctx.unsubscribe("BTC-USDT", "trade")
        await asyncio.wait_for(gone(run, '"trades"'), 5.0)

        assert book.is_live
        assert [stream.kind for stream in run.engine.view().connections[0].streams] == ["book"]
        with pytest.raises(ConfigError, match="twice"):
            witness.ctx.subscribe("BTC-USDT", "book")
        with pytest.raises(KeyError):
            witness.ctx.unsubscribe("BTC-USDT", "trade")


async def gone(run: Any, topic: str) -> None:
    while any(topic in each for each in run.mock.subscribers if run.mock.subscribers[each]):
        await asyncio.sleep(0.01)


class Stuck(Strategy):
    def on_start(self, ctx: Context) -> None:
        raise OSError("no such table")


async def test_exception_in_on_start_ends_the_run_before_any_socket(tmp_path: Path) -> None:
    connection = ConnectionSettings(
        exchange="okx",
        symbols=("BTC-USDT",),
        channels=("trade",),
        url="ws://127.0.0.1:9",
        instruments="default",
    )
    engine = Engine(Settings(connections=(connection,)), base_dir=tmp_path, strategies=[Stuck()])

    with pytest.raises(StrategyError, match="no such table"):
        await asyncio.wait_for(engine.run(), 5)
    assert engine.view().connections[0].connects == 0


class Flooding(Strategy):
    """Sends until it is told to pause."""

    def on_start(self, ctx: Context) -> None:
        self.calls: list[str] = []

    def on_trade(self, trade: Trade) -> None: ...

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        if not self.calls:
            for _ in range(200):
                transport.send(WSMsgType.TEXT, b"x" * 100_000)

    def on_pause(self, transport: Any) -> None:
        self.calls.append("pause")

    def on_resume(self, transport: Any) -> None:
        self.calls.append("resume")


async def test_strategy_learns_that_the_send_buffer_is_full(running: Start) -> None:
    flooding = Flooding()
    async with running(
        "okx",
        strategies=(flooding,),
        is_live=False,
        reply_s=30.0,
        faults=("slow_reader:for_s=1,after_s=0.3",),
    ) as run:
        await run.witness.until(lambda: "pause" in flooding.calls, 5.0, "pause")
        await run.witness.until(lambda: "resume" in flooding.calls, 8.0, "resume")

    assert flooding.calls[:2] == ["pause", "resume"]


class Leaving(Strategy):
    def on_trade(self, trade: Trade) -> None:
        sys.exit(3)


async def test_system_exit_of_a_callback_ends_the_run_in_order(
    running: Start, caplog: pytest.LogCaptureFixture
) -> None:
    async with running("okx", strategies=(Leaving(),), is_live=False) as run:
        await run.witness.until_told(StatusKind.STOPPED, 5.0)

        assert run.engine.stop_reason == "okx: strategy Leaving: on_trade raised SystemExit(3)"
        assert run.engine.view().strategies[0].errors == 1
    assert "expected ctx.stop()" in caplog.text


async def test_quotes_that_nobody_reads_are_read_for_the_picture(tmp_path: Path) -> None:
    async with generated_mock("okx", symbols=("BTC-USDT",)) as mock:
        connection = ConnectionSettings(
            exchange="okx", symbols=("BTC-USDT",), channels=("quote",), url=mock.url, rest_url=mock.rest_url
        )
        engine = Engine(Settings(connections=(connection,)), base_dir=tmp_path, strategies=[])
        run = asyncio.ensure_future(engine.run())
        while not any(each.bid for every in engine.view().connections for each in every.streams):
            await asyncio.sleep(0.01)
        engine.stop()
        view = await asyncio.wait_for(run, 5)

    (stream,) = view.connections[0].streams
    assert stream.bid is not None
    assert stream.ask is not None
    assert 0 < stream.bid < stream.ask
    assert (stream.events, stream.errors) == (0, 0)


async def test_every_log_line_of_a_connection_names_it(
    running: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "connectors")
    faults = ('drop:topic=*"books"*,after_n=10,count=1', "half_open:conn=1,after_s=1")
    backoff = BackoffSettings(base_s=0.05, max_s=0.2)
    async with running("okx", name="desk", strategies=(Faulty(),), faults=faults, backoff=backoff) as run:
        await run.witness.until_told(StatusKind.LOST, 5.0)
    unnamed = [
        each.message
        for each in caplog.records
        if not each.name.startswith(("connectors.mock", "picows", "asyncio"))
        and not each.message.startswith(("okx/desk", "strategy_off: "))
    ]

    assert unnamed == []


class Faulty(Strategy):
    def on_trade(self, trade: Trade) -> None:
        raise ZeroDivisionError("a strategy's own mistake")


class Slow(Strategy):
    def on_trade(self, trade: Trade) -> None:
        until = asyncio.get_running_loop().time() + 0.02
        while asyncio.get_running_loop().time() < until:
            pass


async def test_slow_callback_is_told_with_the_strategys_name(running: Start) -> None:
    async with running("okx", strategies=(Slow(None, "snail"),)) as run:
        await run.witness.until_told(StatusKind.SLOW, 5.0)

        told = run.witness.of(StatusKind.SLOW)
        assert "snail: on_trade took" in told[0].detail
        assert run.engine.view().strategies[0].slow > 0


async def test_stop_before_the_run_begins_is_kept(tmp_path: Path) -> None:
    connection = ConnectionSettings(
        exchange="okx",
        symbols=("BTC-USDT",),
        channels=("trade",),
        url="ws://127.0.0.1:9",
        instruments="default",
    )
    engine = Engine(Settings(connections=(connection,)), base_dir=tmp_path, strategies=[])

    engine.stop("never mind")

    assert (await asyncio.wait_for(engine.run(), 5)).connections[0].frames == 0
