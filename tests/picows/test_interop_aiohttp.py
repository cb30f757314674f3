"""Interop with `aiohttp`, as our client's server and as our server's client."""

import asyncio
import contextlib

import aiohttp
import pytest
from aiohttp import WSMsgType as Theirs
from aiohttp import web

import picows
from picows import WSCloseCode, WSMsgType

from .interop_support import (
    TIMEOUT_S,
    RecorderFactory,
    client_context,
    on_each_loop,
    our_client,
    our_server,
    plain_and_tls,
    server_context,
    url_of,
)

# It answers a CLOSE with a code of its own, where RFC 6455 5.5.1 says that the code is typically echoed.
ANSWER_OF_AIOHTTP = (1000, None)

SIZES = [0, 1, 125, 126, 65_535, 65_536, 3_000_000]
HAIKU = "an old silent pond… — カエル — 🐸"


@contextlib.asynccontextmanager
async def their_client(port, is_secure, **options):
    options = {"max_msg_size": 0, "autoping": True} | options
    url = url_of(port, is_secure).replace("ws", "http", 1)
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, ssl=client_context(is_secure) or True, **options) as client,
    ):
        yield client


@contextlib.asynccontextmanager
async def their_server(handler, is_secure, **options):
    """`handler(ws)` serves each connection."""

    async def handle(request):
        ws = web.WebSocketResponse(**({"max_msg_size": 0} | options))
        await ws.prepare(request)
        await handler(ws)
        return ws

    async def refuse(request):
        return web.Response(status=410, text="gone\n")

    app = web.Application()
    app.router.add_get("/", handle)
    app.router.add_get("/gone", refuse)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server_context(is_secure))
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def their_echo(ws):
    async for message in ws:
        if message.type == Theirs.TEXT:
            await ws.send_str(message.data)
        elif message.type == Theirs.BINARY:
            await ws.send_bytes(message.data)


# ---------------------------------------------------------------- their client, our server


@plain_and_tls
@on_each_loop
async def test_their_client_gets_its_messages_back(is_secure):
    factory = RecorderFactory(is_echo=True)
    async with our_server(factory, is_secure) as port, their_client(port, is_secure) as client:
        for size in SIZES:
            await client.send_bytes(b"\xa5" * size)
            assert await client.receive_bytes() == b"\xa5" * size
        await client.send_str(HAIKU)

        assert await client.receive_str() == HAIKU


@plain_and_tls
@on_each_loop
async def test_our_servers_fragments_arrive_as_one_message(is_secure):
    """The other way round cannot be tested: aiohttp never fragments what it sends."""
    factory = RecorderFactory()
    async with our_server(factory, is_secure) as port, their_client(port, is_secure) as client:
        server = await factory.first()
        server.transport.send(WSMsgType.TEXT, HAIKU.encode()[:-2], fin=False)
        server.transport.send_ping(b"between")
        server.transport.send(WSMsgType.CONTINUATION, HAIKU.encode()[-2:])

        assert await client.receive_str() == HAIKU
        assert await server.next() == (WSMsgType.PONG, b"between", True)


@plain_and_tls
@on_each_loop
async def test_their_ping_is_answered_and_ours_too(is_secure):
    factory = RecorderFactory()
    async with (
        our_server(factory, is_secure) as port,
        their_client(port, is_secure, autoping=False) as client,
    ):
        server = await factory.first()
        await client.ping(b"are you there")
        pong = await client.receive(timeout=TIMEOUT_S)
        assert (pong.type, bytes(pong.data)) == (Theirs.PONG, b"are you there")

        server.transport.send_ping(b"and you")
        ping = await client.receive(timeout=TIMEOUT_S)
        await client.pong(ping.data)

        assert await server.next() == (WSMsgType.PONG, b"and you", True)


@plain_and_tls
@on_each_loop
async def test_their_heartbeat_keeps_the_connection(is_secure):
    factory = RecorderFactory()
    async with (
        our_server(factory, is_secure, enable_auto_pong=False) as port,
        their_client(port, is_secure, heartbeat=0.05) as client,
    ):
        receiving = asyncio.ensure_future(client.receive())
        server = await factory.first()
        for _ in range(3):
            kind, payload, _ = await server.next()
            assert kind == WSMsgType.PING
            server.transport.send_pong(payload)
        server.transport.send(WSMsgType.TEXT, "still here")

        assert (await receiving).data == "still here"


@plain_and_tls
@on_each_loop
async def test_their_close_reaches_us_with_code_and_reason(is_secure):
    factory = RecorderFactory()
    async with our_server(factory, is_secure) as port, their_client(port, is_secure) as client:
        assert await client.close(code=4001, message="enough ☂".encode())
        server = await factory.first()

        assert await server.closed() == (4001, "enough ☂")
        assert client.close_code == 4001


@plain_and_tls
@on_each_loop
async def test_our_servers_close_reaches_them_with_code_and_reason(is_secure):
    factory = RecorderFactory()
    async with our_server(factory, is_secure) as port, their_client(port, is_secure) as client:
        server = await factory.first()
        server.transport.send_close(WSCloseCode.TRY_AGAIN_LATER, "busy")
        close = await client.receive(timeout=TIMEOUT_S)

        assert (close.type, close.data, close.extra) == (Theirs.CLOSE, 1013, "busy")
        assert await server.closed() == ANSWER_OF_AIOHTTP


@plain_and_tls
@on_each_loop
async def test_our_server_and_their_client_agree_on_a_subprotocol(is_secure):
    def choose(request):
        return picows.WSUpgradeResponse.create_101_response({"Sec-WebSocket-Protocol": "v1.feed"})

    factory = RecorderFactory(response=choose)
    async with (
        our_server(factory, is_secure) as port,
        their_client(port, is_secure, protocols=["v2.feed", "v1.feed"]) as client,
    ):
        assert client.protocol == "v1.feed"


@plain_and_tls
@on_each_loop
async def test_a_plain_request_gets_our_servers_page(is_secure):
    page = picows.WSUpgradeResponse.create_ok_response(b"<p>hi", {"Content-Type": "text/html"})
    async with (
        our_server(lambda _: picows.WSUpgradeResponseWithListener(page, None), is_secure) as port,
        aiohttp.ClientSession() as session,
        session.get(
            url_of(port, is_secure).replace("ws", "http", 1), ssl=client_context(is_secure) or True
        ) as answer,
    ):
        assert (answer.status, answer.content_type, await answer.text()) == (200, "text/html", "<p>hi")


# ---------------------------------------------------------------- our client, their server


@plain_and_tls
@on_each_loop
async def test_our_client_gets_its_messages_back(is_secure):
    async with (
        their_server(their_echo, is_secure) as port,
        our_client(port, is_secure) as (transport, listener),
    ):
        for size in SIZES:
            transport.send(WSMsgType.BINARY, b"\x5a" * size)
            assert await listener.next_message() == (WSMsgType.BINARY, b"\x5a" * size)
        transport.send(WSMsgType.TEXT, HAIKU)

        assert await listener.next_message() == (WSMsgType.TEXT, HAIKU.encode())


@plain_and_tls
@on_each_loop
async def test_our_fragments_arrive_as_one_message(is_secure):
    text = HAIKU.encode()
    async with (
        their_server(their_echo, is_secure) as port,
        our_client(port, is_secure) as (transport, listener),
    ):
        transport.send(WSMsgType.TEXT, text[:-2], fin=False)
        transport.send_ping(b"between fragments")
        transport.send(WSMsgType.CONTINUATION, b"", fin=False)
        transport.send(WSMsgType.CONTINUATION, text[-2:])

        assert await listener.next() == (WSMsgType.PONG, b"between fragments", True)
        assert await listener.next_message() == (WSMsgType.TEXT, text)


@plain_and_tls
@on_each_loop
async def test_their_servers_ping_is_answered(is_secure):
    answer = asyncio.get_running_loop().create_future()

    async def ping(ws):
        await ws.ping(b"?")
        answer.set_result(await ws.receive(timeout=TIMEOUT_S))

    async with their_server(ping, is_secure, autoping=False) as port, our_client(port, is_secure):
        pong = await answer

        assert (pong.type, bytes(pong.data)) == (Theirs.PONG, b"?")


@plain_and_tls
@on_each_loop
async def test_our_clients_close_reaches_them_with_code_and_reason(is_secure):
    closed = asyncio.get_running_loop().create_future()

    async def until_closed(ws):
        message = await ws.receive(timeout=TIMEOUT_S)
        closed.set_result((message.type, message.data, message.extra))

    async with (
        their_server(until_closed, is_secure) as port,
        our_client(port, is_secure) as (transport, listener),
    ):
        transport.send_close(4321, "done ☂")

        assert await closed == (Theirs.CLOSE, 4321, "done ☂")
        assert await listener.closed() == ANSWER_OF_AIOHTTP
        assert not transport.close_handshake.recv_then_sent


@plain_and_tls
@on_each_loop
async def test_their_servers_close_reaches_us_with_code_and_reason(is_secure):
    async def go_away(ws):
        await ws.close(code=1001, message=b"maintenance")

    async with their_server(go_away, is_secure) as port, our_client(port, is_secure) as (transport, listener):
        assert await listener.closed() == (1001, "maintenance")
        await transport.wait_disconnected()
        assert transport.close_handshake.recv_then_sent


@plain_and_tls
@on_each_loop
async def test_our_client_agrees_with_their_server_on_a_subprotocol(is_secure):
    async with their_server(their_echo, is_secure, protocols=("v1.feed",)) as port:
        offer = {"Sec-WebSocket-Protocol": "v2.feed, v1.feed"}
        async with our_client(port, is_secure, extra_headers=offer) as (transport, _):
            assert transport.response.headers["Sec-WebSocket-Protocol"] == "v1.feed"


@plain_and_tls
@on_each_loop
async def test_a_refusal_of_their_server_is_raised_with_status_and_body(is_secure):
    async with their_server(their_echo, is_secure) as port:
        with pytest.raises(picows.WSInvalidStatusError) as refused:
            async with our_client(port, is_secure, path="/gone"):
                raise AssertionError("connected")

        assert (refused.value.response.status, refused.value.raw_body) == (410, b"gone\n")
