"""The mock on the wire: requests, heartbeats, limits, REST, and its life."""

from __future__ import annotations

import asyncio
import contextlib
import json

import pytest
import uvloop

from connectors.errors import ConfigError
from connectors.mock import MockOptions, generated_mock, serve
from picows import WSInvalidStatusError, WSMsgType, ws_connect

SYMBOLS = ("binance_spot", "binance_usdm", "okx", "bybit_spot", "bybit_linear")


# Requests


@pytest.mark.parametrize("name", SYMBOLS)
async def test_counts_of_both_sides_agree_after_a_clean_close(rig, name):
    async with rig(name) as it:
        topics = it.subscribe("book", "quote")
        await it.client.wait_for(lambda: all(it.client.data[topic] > 5 for topic in topics))
        await it.leave()

        assert it.client.data == it.mock.sent
        assert it.client.texts


async def test_unsubscribed_topic_is_sent_no_more(rig):
    async with rig("okx") as it:
        trade, quote = it.subscribe("trade", "quote")
        await it.client.wait_for(lambda: it.client.data[trade] > 2)
        it.unsubscribe("trade")
        await it.client.wait_for(lambda: any(b'"unsubscribe"' in text for text in it.client.texts))
        before = it.client.data[trade]
        seen = it.client.data[quote]
        await it.client.wait_for(lambda: it.client.data[quote] > seen + 50)

        assert it.client.data[trade] == before


async def test_unknown_symbol_is_told_as_the_venue_does(rig):
    async with rig("okx") as it:
        it.transport.send(
            WSMsgType.TEXT,
            b'{"id":"3","op":"subscribe","args":[{"channel":"trades","instId":"NO-SUCH"},'
            b'{"channel":"trades","instId":"BTC-USDT"}]}',
        )
        await it.client.wait_for(lambda: len(it.client.texts) == 2 and it.client.data)

        error, ack = map(json.loads, it.client.texts)
        assert (error["event"], error["code"], error["id"]) == ("error", "60018", "3")
        assert "instId:NO-SUCH doesn't exist" in error["msg"]
        assert ack["arg"] == {"channel": "trades", "instId": "BTC-USDT"}


async def test_one_bad_topic_refuses_the_request_of_a_venue_that_acks_requests(rig):
    async with rig("bybit_spot") as it:
        it.transport.send(
            WSMsgType.TEXT,
            b'{"req_id":"1","op":"subscribe","args":["publicTrade.NOSUCH","publicTrade.BTCUSDT"]}',
        )
        eleven = ",".join(f'"orderbook.{depth}.BTCUSDT"' for depth in [50] * 11)
        it.transport.send(WSMsgType.TEXT, b'{"req_id":"2","op":"subscribe","args":[%s]}' % eleven.encode())
        await it.client.wait_for(lambda: len(it.client.texts) == 2)

        first, second = map(json.loads, it.client.texts)
        assert (first["success"], first["ret_msg"]) == (False, "Invalid topic: publicTrade.NOSUCH")
        assert (second["success"], second["ret_msg"], second["req_id"]) == (False, "args size >10", "2")
        assert not it.mock.sent


@pytest.mark.parametrize(
    "payload", [b"{", b"[]", b"null", b'{"method":"SUBSCRIB"}', b"\xc3\xa9", b'{"op":1}']
)
@pytest.mark.parametrize("name", ["binance_spot", "okx", "bybit_linear"])
async def test_bad_request_gets_an_error_and_the_connection_lives(rig, name, payload):
    async with rig(name) as it:
        it.transport.send(WSMsgType.TEXT, payload)
        await it.client.wait_for(lambda: it.client.texts)
        (topic,) = it.subscribe("quote")
        await it.client.wait_for(lambda: it.client.data[topic])

        assert it.mock.refused["bad"] == 1


async def test_topics_in_the_url_are_subscribed_and_listed(new_rig, client_of):
    async with new_rig("binance_spot").mock as mock:
        url = f"{mock.url}/stream?streams=btcusdt@trade/ethusdt@bookTicker"
        transport, client = await ws_connect(lambda: client_of(mock), url)
        transport.send(WSMsgType.TEXT, b'{"method":"LIST_SUBSCRIPTIONS","id":3}')
        await client.wait_for(lambda: client.texts and len(client.data) == 2)

        assert json.loads(client.texts[0]) == {"result": ["btcusdt@trade", "ethusdt@bookTicker"], "id": 3}
        transport.disconnect(False)


async def test_unknown_path_is_404(new_rig, client_of):
    async with new_rig("okx").mock as mock:
        with pytest.raises(WSInvalidStatusError, match="404"):
            await ws_connect(lambda: client_of(mock), f"{mock.url}/ws/v5/nothing")


# Heartbeats and limits


@pytest.mark.parametrize("name", ["okx", "bybit_linear"])
async def test_text_ping_is_answered(rig, name):
    async with rig(name) as it:
        it.transport.send(WSMsgType.TEXT, it.exchange.ping(41))
        await it.client.wait_for(lambda: it.client.texts)

        assert it.client.texts[0].startswith(it.exchange.facts.frames.pong[0].encode())


async def test_protocol_ping_is_answered_with_its_payload(rig):
    async with rig("binance_spot") as it:
        it.transport.send_ping(b"abc")
        await it.client.wait_for(lambda: it.client.pongs)

        assert it.client.pongs == [b"abc"]


async def test_server_pings_and_leaves_who_does_not_answer(client_of):
    clock = [0.0]
    mock = generated_mock("binance_spot")
    mock._clock = lambda: clock[0]
    async with mock:
        url = mock.venue.exchange.url("stream", mock.url)
        _, client = await ws_connect(lambda: client_of(mock), url, enable_auto_pong=False)
        clock[0] = 21.0  # every 20 s
        await client.wait_for(lambda: client.pings)
        assert client.pings == [b"1"]
        clock[0] = 85.0  # 60 s without a pong
        await client.wait_for(lambda: client.is_gone)

    assert client.close == (1008, "Pong timeout")


async def test_idle_connection_is_closed_as_the_venue_does(client_of):
    clock = [0.0]
    mock = generated_mock("okx")
    mock._clock = lambda: clock[0]
    async with mock:
        _, client = await ws_connect(lambda: client_of(mock), mock.venue.exchange.url("public", mock.url))
        clock[0] = 29.0
        await asyncio.sleep(0.1)
        assert client.close is None
        clock[0] = 31.0
        await client.wait_for(lambda: client.is_gone)

    assert client.close == (4004, "No data received in 30s")


async def test_too_many_messages_close_the_connection(rig):
    async with rig("binance_spot") as it:
        for _ in range(6):
            it.transport.send_ping(b"x")
        await it.client.wait_for(lambda: it.client.is_gone)

        assert it.client.close == (1008, "Too many requests")
        assert it.mock.refused == {"message": 1}


async def test_too_many_connects_are_refused_with_429(new_rig, client_of):
    async with new_rig("okx").mock as mock:
        url = mock.venue.exchange.url("public", mock.url)
        opened = [(await ws_connect(lambda: client_of(mock), url))[0] for _ in range(3)]
        with pytest.raises(WSInvalidStatusError, match="429"):
            await ws_connect(lambda: client_of(mock), url)
        for transport in opened:
            transport.disconnect(False)

        assert mock.refused == {"connect": 1}


async def test_rest_weight_budget_is_enforced(new_rig, get):
    async with new_rig("binance_spot").mock as mock:
        path = "/api/v3/depth?symbol=BTCUSDT&limit=5000"  # weight 250 of 6000
        answers = [await get(mock.rest_url + path) for _ in range(25)]

    assert [status for status, _, _ in answers] == [200] * 24 + [429]
    assert answers[23][1]["X-MBX-USED-WEIGHT-1M"] == "6000"
    assert 1 <= int(answers[24][1]["Retry-After"]) <= 61


async def test_rest_tells_its_counts_and_404(rig, get):
    async with rig("bybit_spot") as it:
        (topic,) = it.subscribe("quote")
        await it.client.wait_for(lambda: it.client.data[topic] > 3)
        it.unsubscribe("quote")
        await it.client.wait_for(lambda: len(it.client.texts) == 2)
        status, _, body = await get(it.mock.rest_url + "/__mock__/sent")
        missing, _, _ = await get(it.mock.rest_url + "/nothing")

        assert (status, json.loads(body)) == (200, dict(it.mock.sent))
        assert missing == 404


@pytest.mark.parametrize(
    "raw", [b"GET\r\n\r\n", b"POST / HTTP/1.1\r\n\r\n", b"x" * 40_000, b"GET / HTTP/1.1\r\nHost"]
)
async def test_bad_http_neither_hangs_nor_harms(new_rig, get, raw):
    async with new_rig("okx").mock as mock:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(mock.rest_url.rpartition(":")[2]))
        writer.write(raw)
        writer.write_eof()
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionError):
                answer = await reader.read()
                assert answer == b"" or answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 405"))
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

        status, _, _ = await get(mock.rest_url + "/__mock__/sent")
        assert status == 200


async def test_client_that_does_not_read_is_closed(client_of):
    clock = [0.0]
    mock = generated_mock("binance_spot", pace="flat", uses_limits=False)
    mock._clock = lambda: clock[0]
    async with mock:
        transport, client = await ws_connect(
            lambda: client_of(mock), mock.venue.exchange.url("stream", mock.url)
        )
        transport.send(WSMsgType.TEXT, b'{"method":"SUBSCRIBE","params":["btcusdt@depth@100ms"],"id":1}')
        await client.wait_for(lambda: client.data)
        transport.underlying_transport.pause_reading()
        async with asyncio.timeout(10):
            while mock.connections[0].paused_s is None:
                await asyncio.sleep(0.01)
        clock[0] = 11.0
        async with asyncio.timeout(10):
            while not mock.connections[0].is_closing:
                await asyncio.sleep(0.01)
        transport.underlying_transport.resume_reading()
        await client.wait_for(lambda: client.is_gone)

    assert client.close == (1008, "Too many requests")


# Life


async def test_serve_reports_what_was_sent():
    stop = asyncio.Event()
    started = []

    def on_ready(mocks):
        started.extend(mocks)
        stop.set()

    first, second = await serve(
        [MockOptions(exchange="okx"), MockOptions(exchange="bybit_spot")], stop, on_ready
    )

    assert (first.exchange, second.exchange) == ("okx", "bybit_spot")
    assert started[0].url.startswith("ws://127.0.0.1:")


async def test_close_tells_the_clients_and_can_be_repeated(new_rig):
    found = new_rig("okx")
    await found.mock.start()
    client = await found.connect()
    await found.mock.close()
    await found.mock.close()
    await client.wait_for(lambda: client.is_gone)

    assert client.close == (1001, "the mock exchange stops")


@pytest.mark.parametrize("options", [{"pace": "quick"}, {"symbols": ("BTC/USDT",)}, {"faults": ("drp",)}])
def test_wrong_options_are_config_errors(options):
    with pytest.raises(ConfigError):
        generated_mock("okx", **options)


def test_mock_runs_on_uvloop(rig):
    async def session():
        async with rig("binance_usdm", uses_tls=False) as it:
            topics = it.subscribe("quote", "book")
            await it.client.wait_for(lambda: all(it.client.data[topic] > 5 for topic in topics))
            await it.leave()
            assert it.client.data == it.mock.sent

    uvloop.run(session())
