"""What strategies send through their context keeps the venue's limit; nothing of it is lost in silence."""

from __future__ import annotations

from typing import Any

import pytest

from connectors import ConfigError, StatusKind
from connectors.backoff import Window
from connectors.facts import Budget
from connectors.outbox import MAX_WAITING, NEVER_NS, Outbox

Start = Any
SECOND = 1_000_000_000


def outbox(count: int) -> tuple[Outbox, Window]:
    window = Window(Budget(count=count, per_s=1.0))
    return Outbox(window), window


def test_messages_leave_in_order_as_the_budget_allows() -> None:
    box, window = outbox(3)
    window.take(0)  # a ping of ours
    for each in (b"1", b"2", b"3"):
        box.put(each)

    first = box.take(0)
    due_ns = box.next_ns(0)

    assert first == [b"1", b"2"]
    assert due_ns >= SECOND
    assert (box.take(due_ns - 1), box.take(due_ns)) == ([], [b"3"])
    assert box.next_ns(due_ns) == NEVER_NS


def test_full_send_buffer_holds_messages_back() -> None:
    box, _ = outbox(3)
    box.is_paused = True
    box.put(b"1")

    assert (box.take(0), box.next_ns(0), len(box)) == ([], NEVER_NS, 1)


def test_too_many_waiting_messages_are_refused() -> None:
    box, _ = outbox(1)

    assert all(box.put(b"x") for _ in range(MAX_WAITING))
    assert not box.put(b"x")


async def test_burst_of_a_strategy_does_not_break_the_venues_limit(running: Start) -> None:
    """Twelve at once on a venue that closes a connection after five a second."""
    async with running(
        "binance_spot", symbols=("BTC-USDT",), channels=("trade",), ping_s=5.0, reply_s=5.0
    ) as run:
        topics = [f"btcusdt@kline_{each}" for each in ("1m", "3m", "5m", "15m", "30m", "1h", "2h")]
        sent = [
            run.witness.ctx.send(f'{{"method":"SUBSCRIBE","params":["{topic}"],"id":{900 + number}}}')
            for number, topic in enumerate(topics)
        ]
        before = run.engine.view().connections[0]
        await run.witness.until(lambda: all(run.mock.subscribers.get(topic) for topic in topics), 8.0, "all")

        assert all(sent)
        assert not run.mock.refused
        assert run.engine.connections["binance_spot"].counters.sent >= len(topics)
        assert run.engine.view().connections[0].losses == before.losses == 0


async def test_unsent_messages_of_a_lost_connection_are_told(running: Start) -> None:
    fault = "close_storm:code=1011,count=1,after_s=0.6"
    async with running("binance_spot", symbols=("BTC-USDT",), channels=("trade",), faults=(fault,)) as run:
        for number in range(30):
            run.witness.ctx.send(f'{{"method":"LIST_SUBSCRIPTIONS","id":{900 + number}}}')
        await run.witness.until_told(StatusKind.LOST, 4.0)

        assert "messages of strategies were not sent" in run.witness.of(StatusKind.LOST)[0].detail


async def test_sending_to_no_connection_is_an_error(running: Start) -> None:
    async with running("okx", symbols=("BTC-USDT",), channels=("trade",)) as run:
        with pytest.raises(ConfigError, match="connection: expected one of okx"):
            run.witness.ctx.send("x", "okxx")
