"""Interop with the `websockets` package, as our client's server and as our server's client."""

import asyncio
import contextlib

import pytest
import websockets
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

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

# 125/126 and 65535/65536 are where the length field changes its size; the last does not fit one read.
SIZES = [0, 1, 125, 126, 65_535, 65_536, 3_000_000]
HAIKU = "an old silent pond… — カエル — 🐸"


def their_client(port, is_secure, **options):
    return connect(url_of(port, is_secure), ssl=client_context(is_secure), **options)


@contextlib.asynccontextmanager
async def their_server(handler, is_secure, **options):
    async with serve(
        handler, "127.0.0.1", 0, ssl=server_context(is_secure), max_size=None, **options
    ) as server:
        yield server.sockets[0].getsockname()[1]


async def their_echo(connection):
    with contextlib.suppress(websockets.ConnectionClosed):
        while True:
            await connection.send(await connection.recv())


# ---------------------------------------------------------------- their client, our server


@plain_and_tls
@on_each_loop
async def test_their_client_gets_its_messages_back(is_secure):
    factory = RecorderFactory(is_echo=True)
    async with our_server(factory, is_secure) as port, their_client(port, is_secure, max_size=None) as client:
        for size in SIZES:
            await client.send(b"\xa5" * size)
            assert await client.recv() == b"\xa5" * size
        await client.send(HAIKU)

        assert await client.recv() == HAIKU


@plain_and_tls
@on_each_loop
async def test_their_fragments_arrive_as_fragments_and_come_back_as_one_message(is_secure):
    factory = RecorderFactory(is_echo=True)
    async with our_server(factory, is_secure) as port, their_client(port, is_secure) as client:
        await client.send([b"one", b"", b"three"])
        assert await client.recv() == b"onethree"

        server = await factory.first()
        frames = [await server.next() for _ in range(4)]

        assert frames == [
            (WSMsgType.BINARY, b"one", False),
            (WSMsgType.CONTINUATION, b"", False),
            (WSMsgType.CONTINUATION, b"three", False),
            (WSMsgType.CONTINUATION, b"", True),
        ]


@plain_and_tls
@on_each_loop
async def test_their_ping_is_answered_and_ours_too(is_secure):
    factory = RecorderFactory()
    async with our_server(factory, is_secure) as port, their_client(port, is_secure) as client:
        async with asyncio.timeout(TIMEOUT_S):
            await (await client.ping(b"are you there"))
        server = await factory.first()
        server.transport.send_ping(b"and you")

        assert await server.next() == (WSMsgType.PONG, b"and you", True)


@plain_and_tls
@on_each_loop
async def test_their_close_reaches_us_with_code_and_reason(is_secure):
    factory = RecorderFactory()
    async with our_server(factory, is_secure) as port, their_client(port, is_secure) as client:
        await client.close(4001, "enough ☂")
        server = await factory.first()

        assert await server.closed() == (4001, "enough ☂")
        assert (client.protocol.close_rcvd.code, client.protocol.close_rcvd_then_sent) == (4001, False)


@plain_and_tls
@on_each_loop
async def test_our_servers_close_reaches_them_with_code_and_reason(is_secure):
    factory = RecorderFactory()
    async with our_server(factory, is_secure) as port, their_client(port, is_secure) as client:
        server = await factory.first()
        server.transport.send_close(WSCloseCode.SERVICE_RESTART, "back in a minute")
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await client.recv()

        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1012, "back in a minute")
        assert await server.closed() == (1012, "back in a minute")


@plain_and_tls
@on_each_loop
async def test_our_server_and_their_client_agree_on_a_subprotocol(is_secure):
    def choose(request):
        assert request.headers["Sec-WebSocket-Protocol"] == "v2.feed, v1.feed"
        return picows.WSUpgradeResponse.create_101_response({"Sec-WebSocket-Protocol": "v1.feed"})

    factory = RecorderFactory(response=choose)
    async with (
        our_server(factory, is_secure) as port,
        their_client(port, is_secure, subprotocols=["v2.feed", "v1.feed"]) as client,
    ):
        assert client.subprotocol == "v1.feed"


@plain_and_tls
@on_each_loop
async def test_a_refusal_of_our_server_is_read_by_their_client(is_secure):
    async with our_server(lambda request: None, is_secure) as port:
        with pytest.raises(websockets.InvalidStatus) as refused:
            await their_client(port, is_secure)

        assert (refused.value.response.status_code, refused.value.response.body) == (404, b"404 Not Found")


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
        # The cut goes through the middle of a character.
        transport.send(WSMsgType.TEXT, text[:-2], fin=False)
        transport.send_ping(b"between fragments")
        transport.send(WSMsgType.CONTINUATION, b"", fin=False)
        transport.send(WSMsgType.CONTINUATION, text[-2:])

        assert await listener.next() == (WSMsgType.PONG, b"between fragments", True)
        assert await listener.next_message() == (WSMsgType.TEXT, text)


@plain_and_tls
@on_each_loop
async def test_their_fragments_arrive_as_fragments(is_secure):
    async def in_pieces(connection):
        await connection.send(["sp", "li", "t"])
        await connection.wait_closed()

    async with their_server(in_pieces, is_secure) as port, our_client(port, is_secure) as (_, listener):
        assert await listener.next_message() == (WSMsgType.TEXT, b"split")


@plain_and_tls
@on_each_loop
async def test_their_servers_ping_is_answered(is_secure):
    answered = asyncio.get_running_loop().create_future()

    async def ping(connection):
        answered.set_result(await (await connection.ping(b"?")))
        await connection.wait_closed()

    async with their_server(ping, is_secure) as port, our_client(port, is_secure):
        async with asyncio.timeout(TIMEOUT_S):
            assert await answered >= 0


@plain_and_tls
@on_each_loop
async def test_our_round_trip_times_come_from_their_pongs(is_secure):
    async with their_server(their_echo, is_secure) as port, our_client(port, is_secure) as (transport, _):
        times_s = await transport.measure_roundtrip_time(5, timeout=TIMEOUT_S)

        assert len(times_s) == 5
        assert all(0 < seconds < TIMEOUT_S for seconds in times_s)


@plain_and_tls
@on_each_loop
async def test_our_clients_close_reaches_them_with_code_and_reason(is_secure):
    closed = asyncio.get_running_loop().create_future()

    async def until_closed(connection):
        await connection.wait_closed()
        closed.set_result((connection.close_code, connection.close_reason))

    async with (
        their_server(until_closed, is_secure) as port,
        our_client(port, is_secure) as (transport, _),
    ):
        transport.send_close(4321, "done ☂")
        async with asyncio.timeout(TIMEOUT_S):
            assert await closed == (4321, "done ☂")
            await transport.wait_disconnected()

        assert (transport.close_handshake.recv.code, transport.close_handshake.recv.reason) == (
            4321,
            "done ☂",
        )
        assert not transport.close_handshake.recv_then_sent


@plain_and_tls
@on_each_loop
async def test_their_servers_close_reaches_us_with_code_and_reason(is_secure):
    async def go_away(connection):
        await connection.close(1001, "maintenance")

    async with their_server(go_away, is_secure) as port, our_client(port, is_secure) as (transport, listener):
        assert await listener.closed() == (1001, "maintenance")
        await transport.wait_disconnected()
        assert transport.close_handshake.recv_then_sent


@plain_and_tls
@on_each_loop
async def test_our_client_agrees_with_their_server_on_a_subprotocol(is_secure):
    async with their_server(their_echo, is_secure, subprotocols=["v1.feed"]) as port:
        offer = {"Sec-WebSocket-Protocol": "v2.feed, v1.feed"}
        async with our_client(port, is_secure, extra_headers=offer) as (transport, _):
            assert transport.response.headers["Sec-WebSocket-Protocol"] == "v1.feed"


@plain_and_tls
@on_each_loop
async def test_a_refusal_of_their_server_is_raised_with_status_and_body(is_secure):
    def refuse(connection, request):
        return connection.respond(403, "members only\n")

    async with their_server(their_echo, is_secure, process_request=refuse) as port:
        with pytest.raises(picows.WSInvalidStatusError) as refused:
            async with our_client(port, is_secure):
                raise AssertionError("connected")

        assert (refused.value.response.status, refused.value.raw_body) == (403, b"members only\n")


@plain_and_tls
@on_each_loop
async def test_their_server_drops_the_connection_and_we_are_told(is_secure):
    async def drop(connection):
        connection.transport.abort()

    async with their_server(drop, is_secure) as port, our_client(port, is_secure) as (transport, listener):
        async with asyncio.timeout(TIMEOUT_S):
            await listener.gone

        assert transport.is_disconnected
        assert transport.close_handshake is None
