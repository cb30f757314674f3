"""The examples in a run: over real sockets, against a mock exchange."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from connectors.engine import Engine
from connectors.mock import generated_mock
from connectors.settings import ConnectionSettings, Settings, StrategySettings

ASK = '{"method":"LIST_SUBSCRIPTIONS","id":7700}'


class Witness:
    """A tap that ends the run when so many answers to ASK and so many data frames have come."""

    def __init__(self, answers: int, frames: int) -> None:
        self.engine: Engine | None = None
        self.answers = answers
        self.frames = frames

    def on_frame_in(self, ns: int, conn_id: int, opcode: int, is_final: bool, payload: memoryview) -> None:
        if b'"id":7700' in bytes(payload):
            self.answers -= 1
        else:
            self.frames -= 1
        if self.answers <= 0 and self.frames <= 0 and self.engine is not None:
            self.engine.stop("seen enough")

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


async def run(
    mock: Any, channels: tuple[str, ...], strategies: tuple[StrategySettings, ...], tap: Any
) -> Engine:
    connection = ConnectionSettings(
        exchange=mock.venue.facts.name,
        symbols=("BTC-USDT",),
        channels=channels,
        url=mock.url,
        rest_url=mock.rest_url,
    )
    engine = Engine(Settings(connections=(connection,), strategies=strategies), base_dir=Path.cwd(), tap=tap)
    tap.engine = engine
    await engine.run(for_s=30)
    return engine


@pytest.mark.parametrize(
    "use", ["strategies.frame_counter:FrameCounter", "strategies.cython_counter:CythonCounter"]
)
async def test_raw_strategy_gets_every_data_frame_and_can_send(use: str) -> None:
    tap = Witness(answers=1, frames=100)
    async with generated_mock("binance_spot", seed=1, symbols=("BTC-USDT",), rate=200.0) as mock:
        settings = StrategySettings(use=use, params={"send": ASK})

        engine = await run(mock, ("trade", "quote", "book"), (settings,), tap)

    (slot,) = engine.hub.slots
    strategy = slot.strategy
    frames = strategy.frames if isinstance(strategy.frames, int) else strategy.frames.total()
    assert tap.answers == 0
    assert strategy.sent == 1
    assert frames == mock.sent.total() > 0
    # Nothing was decoded for a strategy that reads raw frames only.
    assert all(stream.events == 0 for each in engine.view().connections for stream in each.streams)


async def test_imbalance_and_quotes_follow_a_live_book(capsys: pytest.CaptureFixture[str]) -> None:
    tap = Witness(answers=0, frames=300)
    uses = (
        StrategySettings(
            use="strategies.order_flow_imbalance:OrderFlowImbalance", params={"report_every_s": 0}
        ),
        StrategySettings(use="strategies.print_quotes:PrintQuotes", params={"every": 5}),
    )
    async with generated_mock("okx", seed=1, symbols=("BTC-USDT",), rate=200.0) as mock:
        engine = await run(mock, ("quote", "book"), uses, tap)

    imbalance, quotes = (slot.strategy for slot in engine.hub.slots)
    (connection,) = engine.view().connections
    by_kind = {stream.kind: stream for stream in connection.streams}
    printed = [line for line in capsys.readouterr().out.splitlines() if " x " in line]
    assert len(imbalance.windows["okx:BTC-USDT"]) > 0
    assert quotes.seen == {"okx:BTC-USDT": by_kind["quote"].events}
    assert len(printed) == by_kind["quote"].events // 5
