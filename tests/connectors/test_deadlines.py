"""Faults are acted on at their deadlines: not before, and later only by what the loop itself was late.

Times are those of the statuses. How late this loop runs is measured beside each test and added to the bound.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from connectors import StatusKind, Strategy
from connectors.settings import BackoffSettings
from connectors.subscriptions import GIVE_UP_AFTER

Start = Any
NS = 1e9
# Of the fixture `running` and its facts.
PING_S, REPLY_S, ACK_S, FIRST_DATA_S, QUIET_S = 0.2, 0.4, 0.4, 0.5, 0.6
STEP_S = 0.02  # the mock's markets step every 10 ms: the last sign of life may be so old at the fault
SLACK_S = 0.05
BACKOFF = BackoffSettings(base_s=0.05, max_s=0.2)
VENUES = ("binance_spot", "okx", "bybit_spot")
BOOK_OF = {"binance_spot": "btcusdt@depth", "okx": '"books","instId":"BTC', "bybit_spot": "orderbook.50.BTC"}
QUOTES_OF = {
    "binance_spot": "btcusdt@bookTicker",
    "okx": '*"bbo-tbt","instId":"BTC*',
    "bybit_spot": "orderbook.1.BTC*",
}


class Lateness:
    """The worst delay of this loop's timers."""

    def __init__(self) -> None:
        self.worst_s = 0.0

    @property
    def slack_s(self) -> float:
        # Mock and connector share the loop: a step may be late on either side.
        return SLACK_S + 3 * self.worst_s

    async def watch(self) -> None:
        while True:
            due = time.monotonic() + 0.005
            await asyncio.sleep(0.005)
            self.worst_s = max(self.worst_s, time.monotonic() - due)


@contextlib.asynccontextmanager
async def measured() -> AsyncIterator[Lateness]:
    lateness = Lateness()
    task = asyncio.ensure_future(lateness.watch())
    try:
        yield lateness
    finally:
        task.cancel()


def assert_within(took_s: float, deadline_s: float, late: Lateness, *, most_s: float = 0.0) -> None:
    """deadline_s <= took_s <= most_s (default: the deadline itself) + slack."""
    # Wall clock and monotonic clock may differ by a little.
    assert took_s >= deadline_s - 0.002, f"{took_s:.3f} s: before the deadline of {deadline_s} s"
    limit_s = max(most_s, deadline_s) + late.slack_s
    assert took_s <= limit_s, f"{took_s:.3f} s: after {limit_s:.3f} s (lateness {late.worst_s:.3f} s)"


class LastFrame(Strategy):
    """When the last frame came; the first one of a later socket does not count once `is_held`."""

    ns = 0
    is_held = False

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        if not self.is_held:
            self.ns = time.time_ns()

    def on_status(self, status: Any) -> None:
        self.is_held |= status.kind is StatusKind.LOST


async def test_half_open_socket_is_left_when_its_pong_is_overdue(running: Start) -> None:
    last = LastFrame()
    async with (
        measured() as late,
        running("okx", backoff=BACKOFF, strategies=(last,), faults=("half_open:conn=1,after_s=1",)) as run,
    ):
        await run.witness.until_told(StatusKind.LOST, 5.0)

        # The ping that nobody answers left between the fault and one period later.
        took_s = (run.witness.of(StatusKind.LOST)[0].ns - last.ns) / NS
        assert_within(took_s, REPLY_S - STEP_S, late, most_s=PING_S + REPLY_S + STEP_S)


async def test_wrong_pong_is_a_missed_pong_at_its_deadline(running: Start) -> None:
    fault = "wrong_pong:conn=1,after_s=0.5"
    async with measured() as late, running("binance_spot", backoff=BACKOFF, faults=(fault,)) as run:
        await run.witness.until_told(StatusKind.LOST, 5.0)

        # The last right pong was told as a round trip; its ping left just before it.
        (lost,) = run.witness.of(StatusKind.LOST)[:1]
        right = [each for each in run.witness.of(StatusKind.RTT) if each.ns < lost.ns]
        took_s = (lost.ns - right[-1].ns) / NS
        # Five messages a second, one of them kept free: a ping may have to wait for the next second.
        assert_within(took_s, REPLY_S - STEP_S, late, most_s=1.1 + REPLY_S + STEP_S)


async def test_silent_server_is_left_after_two_doubled_deadlines(running: Start) -> None:
    faults = ("ack_silent:count=0,conn=1",)
    async with (
        measured() as late,
        running("okx", backoff=BACKOFF, faults=faults, is_live=False, channels=("trade",)) as run,
    ):
        await run.witness.until_told(StatusKind.LOST, 6.0)

        acked = run.witness.of(StatusKind.SUBSCRIBED)[0]
        deadline_s = FIRST_DATA_S * sum(2**n for n in range(GIVE_UP_AFTER))
        took_s = (run.witness.of(StatusKind.LOST)[0].ns - acked.ns) / NS
        assert_within(took_s, deadline_s, late)


async def test_acked_but_silent_topic_is_stale_at_the_deadline_of_first_data(running: Start) -> None:
    fault = 'ack_silent:count=1,topic=*"trades","instId":"BTC*'
    async with measured() as late, running("okx", faults=(fault,), is_live=False) as run:
        await run.witness.until_told(StatusKind.STALE, 4.0)

        (stale,) = run.witness.of(StatusKind.STALE)
        acked = next(each for each in run.witness.of(StatusKind.SUBSCRIBED) if each.stream == stale.stream)
        assert_within((stale.ns - acked.ns) / NS, FIRST_DATA_S, late)


async def test_request_that_is_never_acked_is_stale_at_its_deadline(running: Start) -> None:
    fault = "never_ack:count=1,topic=*trades*"
    async with measured() as late, running("okx", faults=(fault,), is_live=False) as run:
        await run.witness.until_told(StatusKind.STALE, 4.0)

        # The request leaves as soon as the socket is open.
        opened = run.witness.of(StatusKind.CONNECTED)[0]
        assert_within((run.witness.of(StatusKind.STALE)[0].ns - opened.ns) / NS, ACK_S, late)


@pytest.mark.parametrize("venue", VENUES)
async def test_frozen_stream_is_stale_at_its_threshold(running: Start, venue: str) -> None:
    fault = f"freeze:topic={QUOTES_OF[venue]},after_n=20,count=1"
    async with measured() as late, running(venue, faults=(fault,)) as run:
        frozen = run.stream(QUOTES_OF[venue].strip("*"))
        streams = run.engine.connections[venue].streams
        counters = next(each.counters for each in streams.values() if each.topic == frozen.topic)
        last_ns = [0]
        while not run.witness.of(StatusKind.STALE):
            last_ns.append(counters.last_recv_ns)
            await asyncio.sleep(0.001)

        (stale,) = run.witness.of(StatusKind.STALE)
        assert_within((stale.ns - max(ns for ns in last_ns if ns < stale.ns)) / NS, QUIET_S, late)


@pytest.mark.parametrize("venue", VENUES)
async def test_gap_is_mended_before_a_second_request_is_due(running: Start, venue: str) -> None:
    fault = f"drop:topic=*{BOOK_OF[venue]}*,after_n=10,count=1"
    async with measured() as late, running(venue, faults=(fault,)) as run:
        await run.witness.until_told(StatusKind.RESYNC, 5.0)

        (gap,), (resync,) = run.witness.of(StatusKind.GAP), run.witness.of(StatusKind.RESYNC)
        # One round trip and the next message, far from the deadline of the ack: then it would be asked again.
        assert_within((resync.ns - gap.ns) / NS, 0.0, late, most_s=ACK_S)
        assert not run.witness.of(StatusKind.STALE)
