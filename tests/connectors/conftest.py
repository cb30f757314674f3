"""An engine beside a mock exchange, in one loop, with deadlines short enough for a test."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from connectors import Book, BookChange, Quote, Status, StatusKind, Strategy, Trade
from connectors.context import Context
from connectors.engine import Engine
from connectors.mock import MockExchange, generated_mock
from connectors.settings import ConnectionSettings, HeartbeatSettings, Settings, StrategySettings

FACTS = Path(__file__).resolve().parents[2] / "configs" / "exchanges"


class Witness(Strategy):
    """Keeps what it is told; a book callback with a book that is not true fails the test."""

    def on_start(self, ctx: Context) -> None:
        self.ctx = ctx
        self.trades: defaultdict[str, list[int | str | None]] = defaultdict(list)
        self.quotes: Counter[str] = Counter()
        self.changes: defaultdict[str, list[int]] = defaultdict(list)
        self.frames: Counter[str] = Counter()
        self.statuses: list[Status] = []
        self.invalid_books = 0
        self.changed = asyncio.Event()

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        self.frames["all"] += 1

    def on_trade(self, trade: Trade) -> None:
        self.trades[trade.instrument.symbol].append(trade.id)
        self.changed.set()

    def on_quote(self, quote: Quote) -> None:
        self.quotes[quote.instrument.symbol] += 1

    def on_book(self, book: Book, change: BookChange) -> None:
        if not book.is_live or (book.bid_count and book.ask_count and book.best_bid >= book.best_ask):
            self.invalid_books += 1
        self.changes[book.instrument.symbol].append(book.last_id)
        self.changed.set()

    def on_status(self, status: Status) -> None:
        self.statuses.append(status)
        self.changed.set()

    def of(self, *kinds: StatusKind) -> list[Status]:
        return [status for status in self.statuses if status.kind in kinds]

    async def until(self, is_true: Callable[[], object], within_s: float, what: str) -> float:
        """Wait for events until the claim holds; how many seconds it took."""
        began = time.monotonic()
        while not is_true():
            left_s = began + within_s - time.monotonic()
            if left_s <= 0:
                told = [f"{each.kind.value} {each.stream or ''} {each.detail}" for each in self.statuses]
                raise AssertionError(f"not within {within_s} s: {what}; told: {told}")
            self.changed.clear()
            try:
                await asyncio.wait_for(self.changed.wait(), left_s)
            except TimeoutError:
                continue
        return time.monotonic() - began

    async def until_told(
        self, kind: StatusKind, within_s: float, *, count: int = 1, stream: str = "", after: int = 0
    ) -> float:
        """Until so many statuses of this kind came after the first `after` ones."""
        return await self.until(
            lambda: (
                sum(each.kind is kind and stream in (each.stream or "") for each in self.statuses[after:])
                >= count
            ),
            within_s,
            f"{count} times {kind.value} {stream}",
        )


class Running:
    """What a test looks at while the engine runs."""

    def __init__(self, engine: Engine, mock: MockExchange, witness: Witness) -> None:
        self.engine = engine
        self.mock = mock
        self.witness = witness

    def stream(self, topic: str) -> Any:
        return next(
            stream
            for each in self.engine.view().connections
            for stream in each.streams
            if topic in stream.topic
        )


Start = Callable[..., AbstractAsyncContextManager[Running]]


@pytest.fixture
def fast_facts(tmp_path: Path) -> Callable[..., Path]:
    """A copy of a venue's facts with deadlines for tests: the connector's own thresholds, not the venue's
    behaviour."""

    def make(name: str, *, ack_s: float = 0.4, first_data_s: float = 0.5, quiet_s: float = 0.6) -> Path:
        facts = yaml.safe_load((FACTS / f"{name}.yaml").read_text())
        facts["subscribe"]["ack_s"] = ack_s
        for channel in facts["channels"].values():
            channel["first_data_s"] = first_data_s
            channel["quiet_s"] = quiet_s
        facts["limits"]["connects"] = {"count": 3, "per_s": 1.0}
        directory = tmp_path / "facts"
        directory.mkdir(exist_ok=True)
        (directory / f"{name}.yaml").write_text(yaml.safe_dump(facts))
        return directory

    return make


@pytest.fixture
def running(fast_facts: Callable[..., Path], tmp_path: Path) -> Start:
    """`async with running("okx", faults=["freeze:topic=*trade*"]) as run:`; at the end the engine is
    stopped."""

    @asynccontextmanager
    async def start(
        venue: str,
        *,
        symbols: tuple[str, ...] = ("BTC-USDT", "ETH-USDT"),
        channels: tuple[str, ...] = ("trade", "quote", "book"),
        faults: tuple[str, ...] = (),
        rate: float = 100.0,
        facts: dict[str, float] | None = None,
        strategies: tuple[Strategy, ...] = (),
        is_live: bool = True,
        ping_s: float = 0.2,
        reply_s: float = 0.4,
        uses_limits: bool = True,
        mock_options: dict[str, Any] | None = None,
        **settings: Any,
    ) -> Any:
        directory = fast_facts(venue, **(facts or {}))
        mock = generated_mock(
            venue,
            symbols=symbols,
            rate=rate,
            faults=faults,
            uses_limits=uses_limits,
            exchange_dirs=[directory],
            **(mock_options or {}),
        )
        async with mock:
            connection = ConnectionSettings(
                exchange=venue,
                symbols=symbols,
                channels=channels,
                url=mock.url,
                rest_url=mock.rest_url,
                heartbeat=HeartbeatSettings(every_s=ping_s, reply_s=reply_s),
                **settings,
            )
            witness = Witness()
            all_strategies = (*strategies, witness)
            engine = Engine(
                Settings(
                    connections=(connection,),
                    exchange_dirs=(str(directory),),
                    strategies=tuple(StrategySettings(use="x:Y", max_errors=3) for _ in all_strategies),
                ),
                base_dir=tmp_path,
                strategies=all_strategies,
            )
            task = asyncio.ensure_future(engine.run())
            run = Running(engine, mock, witness)
            try:
                await _until_started(witness, task)
                if is_live:
                    await witness.until_told(StatusKind.LIVE, 5.0, count=len(symbols) * len(channels) + 1)
                yield run
            finally:
                engine.stop("test is over")
                await asyncio.wait_for(task, 10)

    return start


async def _until_started(witness: Witness, task: Awaitable[Any]) -> None:
    while not hasattr(witness, "statuses"):
        if isinstance(task, asyncio.Future) and task.done():
            task.result()
        await asyncio.sleep(0.005)
