"""Each fault of the mock exchange: the right action within its deadline, and nothing else disturbed."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from connectors import StatusKind, Strategy, Trade
from connectors.settings import BackoffSettings, RttSettings

Start = Any
VENUES = ("binance_spot", "okx", "bybit_spot")
BOOK_OF = {"binance_spot": "btcusdt@depth", "okx": '"books","instId":"BTC', "bybit_spot": "orderbook.50.BTC"}
TRADES_OF = {
    "binance_spot": "btcusdt@trade",
    "okx": '"trades","instId":"BTC',
    "bybit_spot": "publicTrade.BTC",
}
BACKOFF = BackoffSettings(base_s=0.05, max_s=0.2)


def no_gaps(ids: list[Any]) -> bool:
    """Ids of one market of the generator follow each other (as text: at least none is there twice)."""
    if ids and isinstance(ids[0], str):
        return len(set(ids)) == len(ids)
    return all(after == before + 1 for before, after in itertools.pairwise(ids))


async def test_half_open_socket_is_noticed_by_a_missed_pong(running: Start) -> None:
    async with running("okx", backoff=BACKOFF, faults=("half_open:conn=1,after_s=1",)) as run:
        took_s = await run.witness.until_told(StatusKind.LOST, 3.0)

        # after_s of the mock + one ping period + the reply deadline, and a little for a busy machine
        assert took_s < 1.0 + 0.2 + 0.4 + 0.6
        assert "ping" in run.witness.of(StatusKind.LOST)[0].detail
        before = len(run.witness.statuses)
        await run.witness.until_told(StatusKind.LIVE, 3.0, count=7, after=before)
        assert run.witness.invalid_books == 0


@pytest.mark.parametrize("venue", VENUES)
async def test_frozen_subscription_is_resubscribed_alone(running: Start, venue: str) -> None:
    topic = {
        "binance_spot": "btcusdt@bookTicker",
        "okx": '*"bbo-tbt","instId":"BTC*',
        "bybit_spot": "orderbook.1.BTC*",
    }
    async with running(venue, faults=(f"freeze:topic={topic[venue]},after_n=20,count=1",)) as run:
        await run.witness.until_told(StatusKind.STALE, 4.0)
        stale = run.witness.of(StatusKind.STALE)
        before = run.witness.statuses.index(stale[0])
        await run.witness.until_told(StatusKind.LIVE, 2.0, stream=str(stale[0].stream), after=before)

        assert {each.stream for each in run.witness.of(StatusKind.STALE)} == {stale[0].stream}
        assert not run.witness.of(StatusKind.LOST)
        assert run.engine.view().connections[0].connects == 1
        assert no_gaps(run.witness.trades["ETH-USDT"])


async def test_request_that_is_never_acked_is_sent_again(running: Start) -> None:
    async with running("okx", faults=("never_ack:count=1,topic=*trades*",), is_live=False) as run:
        await run.witness.until_told(StatusKind.LIVE, 4.0, count=7)

        stale = run.witness.of(StatusKind.STALE)
        assert stale
        assert all("no ack" in each.detail for each in stale)
        assert not run.witness.of(StatusKind.LOST)


async def test_acked_but_silent_topic_is_resubscribed_alone(running: Start) -> None:
    async with running(
        "okx", faults=('ack_silent:count=1,topic=*"trades","instId":"BTC*',), is_live=False
    ) as run:
        await run.witness.until_told(StatusKind.LIVE, 4.0, count=7)

        stale = run.witness.of(StatusKind.STALE)
        assert [each.symbol for each in stale] == ["BTC-USDT"]
        assert "no data" in stale[0].detail
        assert not run.witness.of(StatusKind.LOST)


async def test_silent_server_is_left(running: Start) -> None:
    async with running(
        "binance_spot", backoff=BACKOFF, faults=("ack_silent:count=0,conn=1",), is_live=False
    ) as run:
        await run.witness.until_told(StatusKind.LOST, 5.0)

        assert "no other stream lives" in run.witness.of(StatusKind.LOST)[0].detail
        await run.witness.until_told(StatusKind.LIVE, 5.0, count=7)


@pytest.mark.parametrize("code", [1000, 1011, 0])
async def test_close_storm_does_not_redial_more_than_the_budget_allows(running: Start, code: int) -> None:
    # The venue closes each connection 50 ms after it was opened; the budget is 3 dials per second.
    async with running(
        "okx",
        backoff=BackoffSettings(base_s=0.001, max_s=0.002),
        faults=(f"close_storm:code={code},after_s=0.05",),
        is_live=False,
    ) as run:
        await run.witness.until_told(StatusKind.LOST, 6.0, count=7)

        times = [each.ns for each in run.witness.of(StatusKind.CONNECTING)]
        for first, fourth in zip(times, times[3:], strict=False):
            assert fourth - first >= 0.99e9
        assert run.mock.refused["connect"] == 0


async def test_server_that_does_not_read_is_noticed(running: Start) -> None:
    async with running("okx", backoff=BACKOFF, faults=("slow_reader:conn=1,after_s=0.8,for_s=30",)) as run:
        await run.witness.until_told(StatusKind.LOST, 4.0)

        before = len(run.witness.statuses)
        await run.witness.until_told(StatusKind.LIVE, 3.0, count=7, after=before)


async def test_fragmented_messages_are_joined(running: Start) -> None:
    async with running("okx", faults=("fragment:parts=3",)) as run:
        await run.witness.until(lambda: len(run.witness.trades["BTC-USDT"]) > 30, 5.0, "30 trades")
        run.engine.stop("enough")
        await run.witness.until_told(StatusKind.STOPPED, 2.0)

        assert no_gaps(run.witness.trades["BTC-USDT"])
        assert not run.witness.of(StatusKind.GAP)
        # Raw strategies get the fragments as they come.
        messages = sum(stream.messages for stream in run.engine.view().connections[0].streams)
        assert run.witness.frames["all"] > 2 * messages


async def test_wrong_pong_is_a_missed_pong(running: Start) -> None:
    # Text pongs carry no id; the venue with protocol pings shows it.
    async with running("binance_spot", backoff=BACKOFF, faults=("wrong_pong:conn=1,after_s=0.5",)) as run:
        await run.witness.until_told(StatusKind.LOST, 4.0)

        assert "ping" in run.witness.of(StatusKind.LOST)[0].detail
        assert run.engine.view().connections[0].unknown > 0


@pytest.mark.parametrize("venue", VENUES)
async def test_gap_in_a_book_resyncs_that_book_alone(running: Start, venue: str) -> None:
    async with running(venue, faults=(f"drop:topic=*{BOOK_OF[venue]}*,after_n=10,count=1",)) as run:
        await run.witness.until_told(StatusKind.GAP, 4.0)
        await run.witness.until_told(StatusKind.RESYNC, 3.0)

        assert {each.symbol for each in run.witness.of(StatusKind.GAP, StatusKind.RESYNC)} == {"BTC-USDT"}
        assert run.witness.invalid_books == 0
        assert not run.witness.of(StatusKind.LOST, StatusKind.STALE)
        books = {each.symbol: each for each in run.engine.view().connections[0].books}
        assert (books["BTC-USDT"].epoch, books["ETH-USDT"].epoch) == (2, 1)
        assert (run.stream(BOOK_OF[venue]).gaps, run.stream(BOOK_OF[venue]).resyncs) == (1, 1)


@pytest.mark.parametrize("venue", VENUES)
async def test_reordered_book_messages_are_a_gap(running: Start, venue: str) -> None:
    async with running(venue, faults=(f"reorder:topic=*{BOOK_OF[venue]}*,after_n=10,count=1",)) as run:
        await run.witness.until_told(StatusKind.RESYNC, 5.0)

        assert run.witness.invalid_books == 0


@pytest.mark.parametrize("venue", VENUES)
async def test_reordered_trades_are_all_delivered(running: Start, venue: str) -> None:
    async with running(venue, faults=(f"reorder:topic=*{TRADES_OF[venue]}*,every=5",)) as run:
        await run.witness.until(lambda: len(run.witness.trades["BTC-USDT"]) > 40, 5.0, "40 trades")

        trades = run.witness.trades["BTC-USDT"]
        assert len(set(trades)) == len(trades)
        assert run.stream(TRADES_OF[venue]).duplicates == 0


@pytest.mark.parametrize("venue", VENUES)
async def test_doubled_messages_are_delivered_once(running: Start, venue: str) -> None:
    async with running(venue, faults=("duplicate:every=3",)) as run:
        await run.witness.until(lambda: len(run.witness.trades["BTC-USDT"]) > 40, 5.0, "40 trades")

        trades = run.witness.trades["BTC-USDT"]
        assert len(set(trades)) == len(trades)
        assert run.stream(TRADES_OF[venue]).duplicates > 5
        assert run.witness.invalid_books == 0
        assert not run.witness.of(StatusKind.GAP, StatusKind.LOST)


async def test_refused_topic_is_told_and_the_others_live(running: Start) -> None:
    async with running("okx", faults=('reject:topic=*"trades","instId":"ETH*',), is_live=False) as run:
        await run.witness.until_told(StatusKind.REFUSED, 4.0)
        await run.witness.until_told(StatusKind.LIVE, 4.0, count=6)

        assert [each.symbol for each in run.witness.of(StatusKind.REFUSED)] == ["ETH-USDT"]


async def test_rate_limited_snapshot_is_asked_again_when_allowed(running: Start) -> None:
    async with running(
        "binance_spot", faults=("rate_limit:count=1,retry_after_s=1",), instruments="default"
    ) as run:
        await run.witness.until(lambda: run.witness.changes["BTC-USDT"], 5.0, "a book")
        await run.witness.until(lambda: run.witness.changes["ETH-USDT"], 5.0, "a book")

        assert not run.witness.of(StatusKind.LOST)


@pytest.mark.parametrize("venue", VENUES)
async def test_notice_leads_to_make_before_break(running: Start, venue: str) -> None:
    if venue == "bybit_spot":
        pytest.skip("the venue sends no notice")
    async with running(venue, faults=("notice:conn=1,after_s=0.5",)) as run:
        await run.witness.until_told(StatusKind.ROTATED, 6.0)
        count = len(run.witness.trades["BTC-USDT"])
        await run.witness.until(lambda: len(run.witness.trades["BTC-USDT"]) > count + 10, 5.0, "more trades")

        assert_nothing_lost(run)


@pytest.mark.parametrize("venue", VENUES)
async def test_long_round_trip_leads_to_a_switch_without_loss(running: Start, venue: str) -> None:
    async with running(
        venue,
        rtt=RttSettings(rounds=2, max_ms=60, every_s=0.1, action="reconnect", race=2),
        reply_s=2.0,
        faults=("delay_pong:conn=1,after_s=0.7,rtt_ms=300",),
    ) as run:
        await run.witness.until_told(StatusKind.ROTATED, 8.0)
        count = len(run.witness.trades["BTC-USDT"])
        await run.witness.until(lambda: len(run.witness.trades["BTC-USDT"]) > count + 10, 5.0, "more trades")

        assert len(run.witness.of(StatusKind.ROTATED)) == 1
        assert "round trip" in run.witness.of(StatusKind.ROTATED)[0].detail
        assert_nothing_lost(run)
        view = run.engine.view().connections[0]
        assert (view.rotations, view.losses) == (1, 0)
        assert view.rtt_ms is not None
        assert view.rtt_ms < 60


def assert_nothing_lost(run: Any) -> None:
    """No trade lost or doubled, books chained: nothing but the switch was told."""
    for trades in run.witness.trades.values():
        assert no_gaps(trades), trades
    for ids in run.witness.changes.values():
        assert ids == sorted(ids)
    assert not run.witness.of(StatusKind.GAP, StatusKind.LOST, StatusKind.STALE)
    assert run.witness.invalid_books == 0


class Faulty(Strategy):
    def on_trade(self, trade: Trade) -> None:
        raise ZeroDivisionError("a strategy's own mistake")


async def test_strategy_exception_does_not_touch_the_connection(
    running: Start, caplog: pytest.LogCaptureFixture
) -> None:
    async with running("okx", strategies=(Faulty(),)) as run:
        await run.witness.until_told(StatusKind.STRATEGY_OFF, 4.0)
        count = len(run.witness.trades["BTC-USDT"])
        await run.witness.until(lambda: len(run.witness.trades["BTC-USDT"]) > count + 10, 5.0, "more trades")

        faulty = run.engine.view().strategies[0]
        assert (faulty.errors, faulty.is_on) == (3, False)
        assert "Faulty" in run.witness.of(StatusKind.STRATEGY_OFF)[0].detail
        assert not run.witness.of(StatusKind.LOST)
        assert no_gaps(run.witness.trades["BTC-USDT"])
    assert "ZeroDivisionError" in caplog.text


async def test_server_that_is_not_there_is_dialled_with_growing_waits(running: Start) -> None:
    async with running("okx", backoff=BACKOFF) as run:
        await run.mock.close()
        await run.witness.until_told(StatusKind.LOST, 6.0, count=4)

        assert any("ConnectionRefused" in each.detail for each in run.witness.of(StatusKind.LOST))
        await asyncio.sleep(0)
