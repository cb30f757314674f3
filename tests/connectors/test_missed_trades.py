"""A trade that the venue's ids say was lost is counted and told; so is one that came twice."""

from __future__ import annotations

from typing import Any

import pytest

from connectors import Channel, StatusKind, Strategy, Stream
from connectors.chain import chain_of
from connectors.clock import ManualClock
from connectors.dispatch import Slot
from connectors.gate import Gate
from connectors.hub import Hub
from connectors.intake import Entry
from connectors.metrics import ConnectionCounters
from connectors.registry import load_exchange
from connectors.session import Session

Start = Any
TRADES_OF = {
    "binance_spot": "btcusdt@trade",
    "okx": '"trades","instId":"BTC',
    "bybit_spot": "publicTrade.BTC",
}
NUMBERED = ("binance_spot", "okx")  # without holes


@pytest.mark.parametrize("venue", NUMBERED)
async def test_dropped_trade_is_told_and_counted(running: Start, venue: str) -> None:
    async with running(venue, faults=(f"drop:topic=*{TRADES_OF[venue]}*,after_n=10,count=1",)) as run:
        await run.witness.until_told(StatusKind.MISSED, 4.0)

        (told,) = run.witness.of(StatusKind.MISSED)
        assert (told.symbol, told.values) == ("BTC-USDT", {"missing": 1.0, "missed": 1.0})
        assert run.stream(TRADES_OF[venue]).missed == 1
        assert not run.witness.of(StatusKind.GAP, StatusKind.STALE, StatusKind.LOST)


@pytest.mark.parametrize("venue", NUMBERED)
async def test_swapped_trades_are_not_missed(running: Start, venue: str) -> None:
    async with running(venue, faults=(f"reorder:topic=*{TRADES_OF[venue]}*,every=5",)) as run:
        await run.witness.until(lambda: len(run.witness.trades["BTC-USDT"]) > 40, 5.0, "40 trades")

        # A swap under way may have its second half still to come.
        assert run.stream(TRADES_OF[venue]).missed <= 1


async def test_repeated_trades_are_told_once_a_minute(running: Start) -> None:
    async with running("okx", faults=(f"duplicate:topic=*{TRADES_OF['okx']}*,every=3",)) as run:
        await run.witness.until(lambda: run.stream(TRADES_OF["okx"]).duplicates > 5, 5.0, "5 duplicates")

        assert len(run.witness.of(StatusKind.REPEATED)) == 1
        assert run.witness.of(StatusKind.REPEATED)[0].values == {"repeated": 1.0}


async def test_ids_that_promise_nothing_are_not_judged(running: Start) -> None:
    async with running("bybit_spot", faults=(f"drop:topic=*{TRADES_OF['bybit_spot']}*,every=3",)) as run:
        await run.witness.until(lambda: len(run.witness.trades["BTC-USDT"]) > 30, 5.0, "30 trades")

        assert not run.witness.of(StatusKind.MISSED)
        assert run.stream(TRADES_OF["bybit_spot"]).missed is None


class Told:
    """Owner of two sessions of one stream, one after the other."""

    def __init__(self) -> None:
        self.told: list[tuple[StatusKind, dict[str, float]]] = []

    def on_first_data(self, stream: Stream) -> None: ...
    def tell(self, kind: StatusKind, stream: Any, detail: str, values: dict[str, float]) -> None:
        self.told.append((kind, values))


def trade(number: int) -> bytes:
    data = f'{{"e":"trade","s":"BTCUSDT","t":{number},"p":"1","q":"1","T":1,"m":true}}'
    return f'{{"stream":"btcusdt@trade","data":{data}}}'.encode()


class Trades(Strategy):
    def on_trade(self, trade: Any) -> None: ...


def test_trades_of_the_time_between_two_sockets_are_missed() -> None:
    exchange = load_exchange("binance_spot")
    stream = exchange.stream(Channel("trade"), exchange.instrument("BTC-USDT"))
    stream.is_wanted = True
    gate, owner, hub = Gate(chain_of(stream)), Told(), Hub(ManualClock())

    def session() -> Session:
        return Session(
            exchange, [Entry(stream, gate)], [Slot(Trades(), hub)], owner=owner, conn_id=1,  # type: ignore[arg-type]
            connection="spot", clock=ManualClock(), counters=ConnectionCounters(),
        )  # fmt: skip

    first, second = session(), session()
    for at, number in enumerate((1, 2, 3)):
        first.feed(1, trade(number), at)
    gate.on_new_socket()
    for at, number in enumerate((3, 7, 8)):
        second.feed(1, trade(number), 10 + at)

    assert owner.told == [
        (StatusKind.REPEATED, {"repeated": 1.0}),
        (StatusKind.MISSED, {"missing": 3.0, "missed": 3.0}),
    ]
    assert stream.counters is not None
    assert (stream.counters.events, stream.counters.duplicates, stream.counters.missed) == (5, 1, 3)
