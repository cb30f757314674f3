"""What strategies do wrong, or at a bad moment, costs nobody else a message or a connection."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from connectors import Book, BookChange, BookState, Quote, StatusKind, Strategy, Trade
from connectors.clock import ManualClock
from connectors.context import Context
from connectors.dispatch import Slot
from connectors.hub import Hub

Start = Any


class Cancelled(Strategy):
    """The result of a task of its own that was cancelled: no Exception, but a BaseException."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.calls = 0

    def on_trade(self, trade: Trade) -> None:
        self.calls += 1
        raise asyncio.CancelledError

    def on_stop(self) -> None:
        raise asyncio.CancelledError


async def test_a_cancelled_task_of_a_strategy_does_not_touch_the_connection(running: Start) -> None:
    cancelled = Cancelled()
    async with running("okx", symbols=("BTC-USDT",), strategies=(cancelled,), is_live=False) as run:
        await run.witness.until_told(StatusKind.STRATEGY_OFF, 5.0)
        before = len(run.witness.trades["BTC-USDT"])
        await run.witness.until(lambda: len(run.witness.trades["BTC-USDT"]) > before + 10, 5.0, "trades")

    assert cancelled.calls == 3
    assert run.engine.view().strategies[0].errors == 3
    assert run.witness.of(StatusKind.LOST) == []
    assert run.witness.of(StatusKind.STOPPED)


async def test_a_book_that_nobody_feeds_any_more_says_so(running: Start) -> None:
    async with running("okx", symbols=("BTC-USDT",)) as run:
        witness = run.witness
        book = witness.ctx.book("okx:BTC-USDT")
        await witness.until(lambda: book.is_live, 5.0, "a book")

        witness.ctx.unsubscribe("BTC-USDT", "book")
        await asyncio.sleep(0)

        assert (book.state, book.bid_count > 0) == (BookState.STALE, True)


async def test_a_book_that_was_unsubscribed_while_its_snapshot_is_out_comes_back(running: Start) -> None:
    """The venue says 429 to the first request for a snapshot."""
    async with running(
        "binance_spot",
        symbols=("BTC-USDT",),
        channels=("trade", "book"),
        faults=("rate_limit:count=1,retry_after_s=1",),
        instruments="default",
        is_live=False,
    ) as run:
        witness = run.witness
        await witness.until_told(StatusKind.LIVE, 5.0, stream="@depth")
        witness.ctx.unsubscribe("BTC-USDT", "book")
        witness.ctx.subscribe("BTC-USDT", "book")

        await witness.until(lambda: len(witness.changes["BTC-USDT"]) > 5, 8.0, "a book")

        assert (witness.ctx.book("binance_spot:BTC-USDT").is_live, witness.invalid_books) == (True, 0)


class Restless(Strategy):
    """Leaves and takes up its streams in the callbacks themselves."""

    def on_start(self, ctx: Context) -> None:
        self.ctx = ctx
        self.turns = 0

    def on_trade(self, trade: Trade) -> None:
        if self.turns < 10:
            self._turn(trade.instrument.symbol, "trade")

    def on_book(self, book: Book, change: BookChange) -> None:
        if self.turns < 10:
            self._turn(book.instrument.symbol, "book")

    def _turn(self, symbol: str, channel: str) -> None:
        self.turns += 1
        self.ctx.unsubscribe(symbol, channel)
        self.ctx.subscribe(symbol, channel)


@pytest.mark.parametrize("venue", ["okx", "bybit_spot", "binance_spot"])
async def test_streams_that_leave_and_return_in_a_callback_live(running: Start, venue: str) -> None:
    restless = Restless()
    async with running(
        venue, symbols=("BTC-USDT",), strategies=(restless,), is_live=False, uses_limits=False
    ) as run:
        witness = run.witness
        await witness.until(lambda: restless.turns >= 10, 15.0, "ten turns")
        trades, changes = len(witness.trades["BTC-USDT"]), len(witness.changes["BTC-USDT"])

        await witness.until(lambda: len(witness.trades["BTC-USDT"]) > trades + 5, 10.0, "trades")
        await witness.until(lambda: len(witness.changes["BTC-USDT"]) > changes + 5, 10.0, "a book")

        assert witness.invalid_books == 0
        assert run.engine.view().strategies[0].errors == 0
        assert witness.of(StatusKind.LOST) == []


class Leaver(Strategy):
    """Ends the connection itself, once."""

    has_left = False

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        if not self.has_left:
            self.has_left = True
            transport.disconnect()


async def test_a_connection_that_a_strategy_ends_is_dialled_again(running: Start) -> None:
    async with running("okx", symbols=("BTC-USDT",), strategies=(Leaver(),), is_live=False) as run:
        await run.witness.until_told(StatusKind.LOST, 5.0)
        await run.witness.until(lambda: len(run.witness.changes["BTC-USDT"]) > 5, 8.0, "a book")

        assert run.witness.invalid_books == 0


class Halved(Strategy):
    """One of its callbacks never works; the other does."""

    def on_quote(self, quote: Quote) -> None:
        pass

    def on_book(self, book: Book, change: BookChange) -> None:
        raise KeyError(change.ids)


async def test_a_callback_that_never_works_switches_its_strategy_off(running: Start) -> None:
    async with running("okx", symbols=("BTC-USDT",), strategies=(Halved(),)) as run:
        await run.witness.until_told(StatusKind.STRATEGY_OFF, 5.0)

        assert "after 3 exceptions in a row" in run.witness.of(StatusKind.STRATEGY_OFF)[0].detail


def test_exceptions_without_end_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock(0)
    hub = Hub(clock)
    slot = Slot(Cancelled(None, "mine"), hub, max_errors=0)

    for callback in [*["on_trade"] * 1000, "on_quote"]:
        hub.on_error(slot, callback, KeyError("x"), "")
    clock.advance_s(61)
    hub.on_error(slot, "on_trade", KeyError("x"), "")

    callbacks = [message.split()[2] for message in caplog.messages]
    assert callbacks == ["on_trade"] * 3 + ["on_quote", "on_trade"]
    assert "997 more" in caplog.messages[-1]
