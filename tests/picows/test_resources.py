"""Descriptors, tasks and memory: where they were, whatever the peers do.

Memory is the resident set of this process and the number of objects that the garbage collector knows, so
each test first does the same on a smaller scale: allocators and caches fill up once. What is left is noise of
4 MiB at most; one receive window a round, or the state of one TLS connection, would be ten times that.
"""

import asyncio
import contextlib
import socket

import pytest

import picows
from picows import WSMsgType

from .interop_support import TIMEOUT_S, client_context, on_each_loop, our_server, plain_and_tls, url_of
from .resource_support import (
    FRAME,
    Echo,
    Kept,
    echo_through,
    fds_back_to,
    in_turns,
    needs_proc,
    open_fds,
    raw_client,
)

pytestmark = [pytest.mark.slow, needs_proc]


# ---------------------------------------------------------------- connections that come and go


@contextlib.asynccontextmanager
async def a_server_that_says(answer):
    """The port of a server that answers every request with these bytes and hangs up; None: never answers."""

    async def serve(reader, writer):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            if answer is None:
                await reader.read()
            else:
                writer.write(answer)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@on_each_loop
async def test_2000_failed_connects_leave_nothing():
    context = client_context()
    refused = socket.create_server(("127.0.0.1", 0))
    closed_port = refused.getsockname()[1]
    refused.close()

    async with (
        a_server_that_says(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone") as not_found,
        a_server_that_says(
            b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"
        ) as no_accept,
        a_server_that_says(b"") as hangs_up,
        a_server_that_says(b"SSH-2.0-OpenSSH\r\n") as no_http,
        a_server_that_says(None) as silent,
        our_server(lambda request: Echo(), logger_name="quiet") as plain,
        our_server(lambda request: Echo(), is_secure=True, logger_name="quiet") as secure,
    ):
        failures = [
            (url_of(closed_port, False), picows.WSListener, OSError),
            (url_of(not_found, False), picows.WSListener, picows.WSInvalidStatusError),
            (url_of(no_accept, False), picows.WSListener, picows.WSInvalidHeaderError),
            (url_of(hangs_up, False), picows.WSListener, picows.WSHandshakeError),
            (url_of(no_http, False), picows.WSListener, picows.WSInvalidMessageError),
            (url_of(silent, False), picows.WSListener, TimeoutError),
            (url_of(plain, True), picows.WSListener, OSError),  # TLS to a plain port
            (url_of(secure, False), picows.WSListener, picows.WSHandshakeError),  # plain to a TLS port
            (url_of(plain, False), lambda: 1 / 0, ZeroDivisionError),
            (url_of(secure, True), lambda: 1 / 0, ZeroDivisionError),
        ]

        async def fail(i):
            url, factory, expected = failures[i % len(failures)]
            timeout_s = 0.05 if expected is TimeoutError else TIMEOUT_S
            with pytest.raises(expected):
                await picows.ws_connect(
                    factory, url, ssl_context=context, websocket_handshake_timeout=timeout_s
                )

        fds, tasks = open_fds(), len(asyncio.all_tasks())
        await in_turns(500, 20, fail)
        await fds_back_to(fds, tasks)
        kept = Kept()

        await in_turns(2000, 20, fail)
        await fds_back_to(fds, tasks)

        kept.check()


@on_each_loop
async def test_connects_cancelled_at_any_step_leave_nothing():
    context = client_context()
    async with our_server(lambda request: Echo(), is_secure=True, logger_name="quiet") as port:
        tasks = len(asyncio.all_tasks())
        fds = open_fds()
        for steps in range(300):
            connecting = asyncio.ensure_future(
                picows.ws_connect(picows.WSListener, url_of(port, True), ssl_context=context)
            )
            # Cancelled at every await it has, and when it is through.
            for _ in range(steps % 30):
                await asyncio.sleep(0)
            connecting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                transport, _ = await connecting
                transport.disconnect(graceful=False)
        await fds_back_to(fds)

        assert len(asyncio.all_tasks()) == tasks


@plain_and_tls
@on_each_loop
async def test_connections_opened_and_closed_leave_nothing(is_secure):
    rounds = 600 if is_secure else 2000  # a TLS handshake takes 5 ms of a processor
    context = client_context(is_secure)

    async with our_server(lambda request: Echo(), is_secure, logger_name="quiet") as port:

        async def open_and_close(i):
            transport, _ = await picows.ws_connect(
                Echo, url_of(port, is_secure), ssl_context=context, enable_auto_ping=True
            )
            if i % 4 == 0:
                transport.disconnect(graceful=False)
            else:
                transport.send(WSMsgType.BINARY, b"x" * 100)
                transport.send_close(1000)
            if i % 4 == 1:
                transport.disconnect()
            await transport.wait_disconnected()

        fds, tasks = open_fds(), len(asyncio.all_tasks())
        await in_turns(500, 20, open_and_close)
        await fds_back_to(fds, tasks)
        kept = Kept()

        await in_turns(rounds, 20, open_and_close)
        await fds_back_to(fds, tasks)

        kept.check()


# ---------------------------------------------------------------- messages


@on_each_loop
async def test_1000000_echoes_leave_nothing():
    batch = FRAME * 500
    async with our_server(lambda request: Echo()) as port, raw_client(port) as sock:
        fds = open_fds()
        await echo_through(sock, batch, 100)
        kept = Kept()

        await echo_through(sock, batch, 2000)

        kept.check()
        assert open_fds() == fds
