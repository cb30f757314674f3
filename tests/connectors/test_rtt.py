"""Round trips: measured, judged, acted upon; and the switch that costs nothing, also by age."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest

from connectors import Channel, StatusKind
from connectors.backoff import NS_PER_S, Window
from connectors.dialogue import Dialogue, Event, Rotate, SendPing
from connectors.heartbeat import Heartbeat, RttWatch
from connectors.registry import load_exchange
from connectors.settings import ConnectionSettings, HeartbeatSettings, RttSettings

Start = Any
MS = 1_000_000


def test_first_rounds_follow_each_other_at_once() -> None:
    exchange = load_exchange("binance_spot")
    beat = Heartbeat(exchange.facts.heartbeat, HeartbeatSettings(), RttSettings(rounds=3, every_s=30))
    beat.start(0)
    trips = []
    now_ns = 0
    while beat.is_measuring or not trips:
        now_ns = max(now_ns, beat.next_deadline_ns(now_ns))
        number = beat.on_ping_sent(now_ns)
        now_ns += 7 * MS
        trips.append(beat.on_pong(now_ns, number))

    assert trips == [7 * MS] * 3
    assert now_ns == 21 * MS


def test_pong_that_was_overtaken_answers_the_pings_before_it() -> None:
    exchange = load_exchange("binance_spot")
    beat = Heartbeat(exchange.facts.heartbeat, HeartbeatSettings(), RttSettings(rounds=0))
    beat.start(0)
    numbers = [beat.on_ping_sent(at * MS) for at in (0, 10, 20)]

    assert beat.on_pong(30 * MS, numbers[1]) == 20 * MS
    assert beat.on_pong(31 * MS, numbers[0]) is None
    assert beat.on_pong(32 * MS, 99) is None
    assert beat.on_pong(33 * MS, numbers[2]) == 13 * MS


def test_one_long_trip_is_no_reason_but_a_row_of_them_is() -> None:
    watch = RttWatch(RttSettings(max_ms=50))
    for _ in range(20):
        watch.on_sample(10 * MS)

    one = watch.on_sample(200 * MS)
    row = [watch.on_sample(100 * MS) for _ in range(10)]

    assert not one
    assert row[-1]


def test_far_above_its_own_baseline_is_too_long_without_a_limit() -> None:
    watch = RttWatch(RttSettings(max_ms=None, baseline_factor=4))
    for _ in range(50):
        assert not watch.on_sample(5 * MS)

    later = [watch.on_sample(40 * MS) for _ in range(30)]

    assert any(later)
    assert watch.baseline_ns < 10 * MS


def test_tiny_trips_that_vary_are_no_reason() -> None:
    watch = RttWatch(RttSettings(max_ms=None, baseline_factor=4))
    rng = random.Random(1)

    assert not any(watch.on_sample(rng.choice((20_000, 40_000, 400_000))) for _ in range(1000))


@pytest.mark.parametrize("venue", ["binance_spot", "binance_usdm"])
def test_connection_is_rotated_before_the_venues_24_hours(venue: str) -> None:
    """A day on a moved clock: pings are answered, data flow; at 21.6 h the switch begins."""
    exchange = load_exchange(venue)
    symbol = "BTC-USDT" if venue == "binance_spot" else "BTC-USDT-PERP"
    stream = exchange.stream(Channel("trade"), exchange.instrument(symbol))
    messages = [0, 0]
    dialogue = Dialogue(
        exchange,
        ConnectionSettings(exchange=venue, symbols=(symbol,), channels=("trade",)),
        [stream],
        activity=lambda _: (messages[0], messages[1]),
        budget=Window(exchange.facts.limits.connects),
        rng=random.Random(1),
    )
    now_ns = NS_PER_S
    dialogue.step(Event.START, now_ns)
    dialogue.on_timer(now_ns)
    began_ns = now_ns
    actions = dialogue.step(Event.OPENED, now_ns)
    messages[:] = [1, now_ns]
    actions += dialogue.on_first_data(stream, now_ns)
    rotated: list[float] = []

    while now_ns - began_ns < 24 * 3600 * NS_PER_S:
        for action in actions:
            if isinstance(action, SendPing):
                dialogue.on_pong(int(action.payload), now_ns + MS)
            if isinstance(action, Rotate):
                rotated.append((now_ns - began_ns) / NS_PER_S / 3600)
        # The next deadline, but data come every second at least.
        now_ns = max(now_ns + MS, min(dialogue.next_deadline_ns(now_ns), now_ns + 60 * NS_PER_S))
        messages[:] = [messages[0] + 1, now_ns]
        dialogue.last_recv_ns = now_ns
        actions = dialogue.on_timer(now_ns)

    assert exchange.facts.limits.age_s == 24 * 3600
    assert rotated == [pytest.approx(21.6, abs=0.05)]


async def test_old_connection_is_replaced_at_its_age_without_loss(running: Start, tmp_path: Path) -> None:
    async with running("binance_spot", is_live=True) as run:
        (connection,) = run.engine.connections.values()
        (link,) = connection.links
        # As if 90 % of the venue's age were over in a moment.
        link.dialogue._age_ns = run.engine.clock.monotonic_ns()
        link._arm()
        await run.witness.until_told(StatusKind.ROTATED, 6.0)
        count = len(run.witness.trades["BTC-USDT"])
        await run.witness.until(lambda: len(run.witness.trades["BTC-USDT"]) > count + 20, 5.0, "more trades")

        assert "age" in run.witness.of(StatusKind.ROTATED)[0].detail
        for trades in run.witness.trades.values():
            assert trades == list(range(trades[0], trades[0] + len(trades)))
        assert not run.witness.of(StatusKind.GAP, StatusKind.RESYNC, StatusKind.LOST)
        assert connection.links[0] is not link
        await asyncio.wait_for(one_left(run), 5.0)


async def one_left(run: Any) -> None:
    while len(run.mock.connections) > 1:
        await asyncio.sleep(0.01)


async def test_old_socket_that_dies_during_the_switch_hands_over_at_once(running: Start) -> None:
    async with running("okx", faults=("close_storm:conn=1,after_s=1.2,code=0",)) as run:
        (link,) = next(iter(run.engine.connections.values())).links
        await run.witness.until(lambda: len(run.witness.trades["BTC-USDT"]) > 5, 5.0, "trades")
        # From now on the old socket delivers nothing that would let the new one take over.
        run.mock.fault("half_open", conn=1)
        link.rotate("a test asks for it")
        await run.witness.until_told(StatusKind.ROTATED, 8.0)
        count = len(run.witness.trades["BTC-USDT"])
        await run.witness.until(lambda: len(run.witness.trades["BTC-USDT"]) > count + 10, 5.0, "more trades")

        trades = run.witness.trades["BTC-USDT"]
        assert len(set(trades)) == len(trades)
        assert run.witness.invalid_books == 0
        assert all(each.state == "live" for each in run.engine.view().connections[0].books)


async def test_successor_that_fails_leaves_the_old_connection_as_it_was(running: Start) -> None:
    async with running("okx", faults=("close_storm:conn=2,after_s=0,code=1011",)) as run:
        (link,) = next(iter(run.engine.connections.values())).links
        link.rotate("a test asks for it")
        count = len(run.witness.trades["BTC-USDT"])
        await run.witness.until(lambda: len(run.witness.trades["BTC-USDT"]) > count + 40, 8.0, "more trades")

        trades = run.witness.trades["BTC-USDT"]
        assert trades == list(range(trades[0], trades[0] + len(trades)))
        assert not run.witness.of(StatusKind.LOST, StatusKind.ROTATED, StatusKind.GAP)
        assert run.engine.view().connections[0].state == "live"


async def test_round_trips_are_told_and_in_the_picture(running: Start) -> None:
    async with running("okx", faults=("delay_pong:rtt_ms=30",)) as run:
        await run.witness.until_told(StatusKind.RTT, 5.0, count=2)

        told = run.witness.of(StatusKind.RTT)[-1].values
        view = run.engine.view().connections[0]
        assert told["p50_ms"] >= 28
        assert view.rtt_ms is not None
        assert view.rtt_ms >= 28


async def test_race_keeps_the_fastest_candidate(running: Start) -> None:
    # Sockets 2 and 3 are the candidates; 2 answers late.
    async with running(
        "okx",
        rtt=RttSettings(rounds=2, race=2, every_s=5),
        faults=("delay_pong:conn=2,rtt_ms=150",),
        uses_limits=False,
    ) as run:
        (link,) = next(iter(run.engine.connections.values())).links
        link.rotate("a test asks for it")
        await run.witness.until_told(StatusKind.ROTATED, 8.0)

        await asyncio.wait_for(one_left(run), 5.0)
        assert [each.number for each in run.mock.connections] == [3]
