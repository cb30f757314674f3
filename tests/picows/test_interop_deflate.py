"""Interop of permessage-deflate with the `websockets` package, both ways round, and with ourselves."""

import contextlib
import random

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    ServerPerMessageDeflateFactory,
)

from picows import PerMessageDeflate, WSMsgType

from .interop_support import (
    RecorderFactory,
    client_context,
    on_each_loop,
    our_client,
    our_server,
    plain_and_tls,
    server_context,
    url_of,
)

FRESH = {"server_no_context_takeover": True, "client_no_context_takeover": True}
SMALL = {"server_max_window_bits": 9, "client_max_window_bits": 10}

# (what we ask for, what they ask for, what is agreed on); None: no compression.
WISHES = [
    pytest.param({}, {}, "permessage-deflate", id="default"),
    pytest.param(
        FRESH,
        {},
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        id="we forget",
    ),
    pytest.param(
        {},
        FRESH,
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        id="they forget",
    ),
    pytest.param(
        SMALL,
        {},
        "permessage-deflate; server_max_window_bits=9; client_max_window_bits=10",
        id="we are small",
    ),
    pytest.param(
        {},
        SMALL,
        "permessage-deflate; server_max_window_bits=9; client_max_window_bits=10",
        id="they are small",
    ),
    pytest.param(
        FRESH | SMALL,
        FRESH | SMALL,
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
        "server_max_window_bits=9; client_max_window_bits=10",
        id="all of it",
    ),
    pytest.param({}, None, None, id="they do not want it"),
    pytest.param(None, {}, None, id="we do not want it"),
]


def messages():
    """Text and binary, alike and unlike, empty, and larger than one read."""
    noise = random.Random(7).randbytes(100_000)
    book = '{"px":"30123.5","sz":"0.25","ts":1700000000000}'
    return ["", b"", book, book, book * 1000, noise, bytes(3_000_000), "an old silent pond… 🐸", noise, book]


def ours(wish):
    return None if wish is None else PerMessageDeflate(**wish)


def theirs(wish, factory):
    if wish is None:
        return {"compression": None}
    # Theirs has no word for "I can limit my window" but this.
    extra = {"client_max_window_bits": True} if factory is ClientPerMessageDeflateFactory else {}
    return {"compression": None, "extensions": [factory(**(extra | wish))]}


@pytest.mark.parametrize(("our_wish", "their_wish", "agreed"), WISHES)
@plain_and_tls
@on_each_loop
async def test_their_client_gets_its_messages_back(our_wish, their_wish, agreed, is_secure):
    factory = RecorderFactory(is_echo=True)
    async with (
        our_server(factory, is_secure, compression=ours(our_wish)) as port,
        connect(
            url_of(port, is_secure),
            ssl=client_context(is_secure),
            max_size=None,
            **theirs(their_wish, ClientPerMessageDeflateFactory),
        ) as client,
    ):
        for message in messages():
            await client.send(message)
            assert await client.recv() == message
        await client.send(["in ", "", "three parts"])
        assert await client.recv() == "in three parts"

        assert client.response.headers.get("Sec-WebSocket-Extensions") == agreed
        server = await factory.first()
        assert server.transport.response.headers.get("Sec-WebSocket-Extensions") == agreed


async def their_echo(connection):
    with contextlib.suppress(ConnectionClosed):
        while True:
            await connection.send(await connection.recv())


@pytest.mark.parametrize(("our_wish", "their_wish", "agreed"), WISHES)
@plain_and_tls
@on_each_loop
async def test_their_server_sends_our_messages_back(our_wish, their_wish, agreed, is_secure):
    serving = serve(
        their_echo,
        "127.0.0.1",
        0,
        ssl=server_context(is_secure),
        max_size=None,
        **theirs(their_wish, ServerPerMessageDeflateFactory),
    )
    async with serving as server:
        port = server.sockets[0].getsockname()[1]
        async with our_client(port, is_secure, compression=ours(our_wish)) as (transport, listener):
            for message in messages():
                msg_type = WSMsgType.TEXT if isinstance(message, str) else WSMsgType.BINARY
                payload = message.encode() if isinstance(message, str) else message
                transport.send(msg_type, payload)
                assert await listener.next_message() == (msg_type, payload)
            transport.send(WSMsgType.TEXT, "in ", fin=False)
            transport.send(WSMsgType.CONTINUATION, "", fin=False)
            transport.send(WSMsgType.CONTINUATION, "three parts")
            assert await listener.next_message() == (WSMsgType.TEXT, b"in three parts")

            answer = transport.response.headers.get("Sec-WebSocket-Extensions")
            assert sorted((answer or "").split("; ")) == sorted((agreed or "").split("; "))


@pytest.mark.parametrize("bits", [8, 9, 15])
@pytest.mark.parametrize("is_fresh", [False, True])
@on_each_loop
async def test_our_two_sides_understand_each_other(bits, is_fresh):
    options = PerMessageDeflate(
        server_max_window_bits=bits,
        client_max_window_bits=bits,
        server_no_context_takeover=is_fresh,
        client_no_context_takeover=is_fresh,
        threshold=50,
    )
    factory = RecorderFactory(is_echo=True)
    async with (
        our_server(factory, compression=options) as port,
        our_client(port, compression=options) as (transport, listener),
    ):
        for message in messages():
            payload = message.encode() if isinstance(message, str) else message
            transport.send(WSMsgType.BINARY, payload)
            assert await listener.next_message() == (WSMsgType.BINARY, payload)
