"""Every fault of the mock as a client sees it."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from connectors.errors import ConfigError
from connectors.mock import generated_mock
from picows import WSMsgType


async def test_dropped_and_doubled_messages_are_not_and_twice_counted(rig):
    async with rig(
        "binance_spot", faults=("drop:topic=*@trade,every=2", "duplicate:topic=*@bookTicker")
    ) as it:
        trade, quote = it.subscribe("trade", "quote")
        await it.client.wait_for(lambda: it.client.data[trade] > 10)
        await it.leave()

        assert it.client.data == it.mock.sent
        assert it.mock.sent[trade] in (it.mock.published[trade] // 2, (it.mock.published[trade] + 1) // 2)
        assert it.mock.sent[quote] == 2 * it.mock.published[quote]


async def test_half_open_socket_is_silent_and_open(rig):
    async with rig("okx") as it:
        (topic,) = it.subscribe("quote")
        await it.client.wait_for(lambda: it.client.data[topic] > 3)
        it.mock.fault("half_open")
        it.transport.send(WSMsgType.TEXT, b"ping")
        it.transport.send_ping(b"x")
        await asyncio.sleep(0.2)
        count = sum(it.client.data.values())
        await asyncio.sleep(0.2)

        assert sum(it.client.data.values()) == count
        assert (it.client.pongs, it.client.is_gone, b"pong" in it.client.texts) == ([], False, False)


async def test_frozen_topic_wakes_when_subscribed_anew_and_others_go_on(rig):
    async with rig("bybit_linear", faults=("freeze:topic=publicTrade*,after_n=3,count=1",)) as it:
        trade, quote = it.subscribe("trade", "quote")
        await it.client.wait_for(lambda: it.client.data[quote] > 100)
        assert it.client.data[trade] == 3
        it.unsubscribe("trade")
        it.subscribe("trade")
        await it.client.wait_for(lambda: it.client.data[trade] > 10)


async def test_never_acked_request_is_served_the_second_time(rig):
    async with rig("okx", faults=("never_ack:topic=*trades*",)) as it:
        (topic,) = it.subscribe("trade")
        it.transport.send(WSMsgType.TEXT, b"ping")
        await it.client.wait_for(lambda: it.client.texts)
        assert it.client.texts == [b"pong"]
        it.subscribe("trade")
        await it.client.wait_for(lambda: it.client.data[topic])


async def test_acked_and_silent(rig):
    async with rig("binance_spot", faults=("ack_silent:topic=*@trade",)) as it:
        trade, quote = it.subscribe("trade", "quote")
        await it.client.wait_for(lambda: it.client.data[quote] > 100)

        assert len(it.client.texts) == 1
        assert it.client.data[trade] == 0


@pytest.mark.parametrize("code", [1000, 1001, 1011, 1012])
async def test_close_storm_closes_every_connection_with_its_code(new_rig, code):
    found = new_rig("bybit_spot", faults=(f"close_storm:code={code},reason=bye,after_s=0.05",))
    async with found.mock:
        for _ in range(3):
            client = await found.connect()
            await client.wait_for(lambda client=client: client.is_gone)
            assert client.close == (code, "bye")


async def test_close_storm_code_0_is_a_reset(new_rig):
    found = new_rig("bybit_spot", faults=("close_storm:code=0,after_s=0.05",))
    async with found.mock:
        client = await found.connect()
        await client.wait_for(lambda: client.is_gone)

        assert client.close is None
        assert isinstance(found.transport.disconnect_error, ConnectionResetError)


async def test_fragmented_messages_join_to_whole_ones(rig):
    async with rig("okx", faults=("fragment:parts=4",)) as it:
        (topic,) = it.subscribe("book")
        await it.client.wait_for(lambda: it.client.data[topic] > 5)

        assert it.client.fragments >= 3 * it.client.data[topic]
        assert json.loads(it.client.last[topic])["data"]


async def test_slow_reader_makes_the_client_pause(rig):
    async with rig("bybit_spot") as it:
        paused = asyncio.Event()
        resumed = asyncio.Event()
        it.client.pause_writing, it.client.resume_writing = paused.set, resumed.set
        stream = it.transport.underlying_transport
        it.mock.fault("slow_reader", for_s=0.6)
        await asyncio.sleep(0.1)
        sent = 0
        while stream.get_write_buffer_size() < 200_000 and sent < 3_000:
            it.transport.send(WSMsgType.BINARY, b" " * 10_000)
            sent += 1
        assert stream.get_write_buffer_size() >= 200_000
        async with asyncio.timeout(10):
            while stream.get_write_buffer_size():
                await asyncio.sleep(0.01)


async def test_wrong_pongs(rig):
    async with rig("okx", faults=("wrong_pong",)) as it:
        it.transport.send(WSMsgType.TEXT, b"ping")
        it.transport.send_ping(b"abc")
        await it.client.wait_for(lambda: it.client.texts and it.client.pongs)

        assert it.client.texts == [b"gnop"]
        assert it.client.pongs != [b"abc"]


async def test_raised_round_trip_time_of_the_first_connection_only(new_rig):
    found = new_rig("okx", faults=("delay_pong:rtt_ms=150,conn=1",))
    async with found.mock:
        took = []
        for _ in range(2):
            client = await found.connect()
            start = time.monotonic()
            found.transport.send(WSMsgType.TEXT, b"ping")
            await client.wait_for(lambda client=client: client.texts)
            took.append(time.monotonic() - start)
            found.transport.disconnect(False)

        assert took[0] >= 0.15
        assert took[1] < 0.1


async def test_corrupt_checksum_is_in_the_frame_or_refused(rig):
    async with rig("okx", faults=("corrupt_checksum:after_n=1",)) as it:
        it.subscribe("book")
        await it.client.wait_for(lambda: it.client.data.total() == 1)
        sound = json.loads(next(iter(it.client.last.values())))["data"][0]["checksum"]
        await it.client.wait_for(lambda: it.client.data.total() > 3)
        corrupt = json.loads(next(iter(it.client.last.values())))["data"][0]["checksum"]

        # 0 is the venue's "no checksum"; anything else is compared, and wrong.
        assert (sound, corrupt) == (0, 0x55AA)
    with pytest.raises(ConfigError, match="sends no checksums"):
        generated_mock("binance_spot", faults=("corrupt_checksum",))


async def test_rate_limited_rest(new_rig, get):
    async with new_rig(
        "binance_usdm", faults=("rate_limit:count=1,status=418,retry_after_s=7",)
    ).mock as mock:
        first = await get(mock.rest_url + "/fapi/v1/exchangeInfo")
        second = await get(mock.rest_url + "/fapi/v1/exchangeInfo")

    assert (first[0], first[1]["Retry-After"]) == (418, "7")
    assert second[0] == 200


async def test_notice_comes_before_the_venue_leaves(rig):
    async with rig("binance_spot", faults=("notice:after_s=0.05",)) as it:
        await it.client.wait_for(lambda: it.client.data)
        assert b"serverShutdown" in next(iter(it.client.last.values()))


async def test_rejected_topic_is_accepted_the_second_time(rig):
    async with rig("okx", faults=("reject:topic=*trades*",)) as it:
        it.subscribe("trade")
        await it.client.wait_for(lambda: it.client.texts)
        (topic,) = it.subscribe("trade")
        await it.client.wait_for(lambda: it.client.data[topic])

        assert b"60018" in it.client.texts[0]


async def test_flat_pace_sends_no_faster_than_the_client_reads(rig):
    async with rig("binance_spot", pace="flat") as it:
        (topic,) = it.subscribe("quote")
        await it.client.wait_for(lambda: it.client.data[topic] > 1000)
        it.transport.underlying_transport.pause_reading()
        await asyncio.sleep(0.3)
        before = it.mock.sent[topic]
        await asyncio.sleep(0.3)
        stalled = it.mock.sent[topic] - before
        it.transport.underlying_transport.resume_reading()
        await it.client.wait_for(lambda: it.client.data[topic] > before + 1000)

        assert stalled < 20_000
