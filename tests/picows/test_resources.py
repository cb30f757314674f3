"""Descriptors, tasks and memory: where they were, whatever the peers do.

Memory is the resident set of this process and the number of objects that the garbage collector knows, so
each test first does the same on a smaller scale: allocators and caches fill up once. What is left is noise of
4 MiB at most; one receive window a round, or the state of one TLS connection, would be ten times that.
"""

import asyncio
import contextlib
import gc
import os
import socket
import struct

import pytest

import picows
from picows import WSMsgType

from .interop_support import (
    TIMEOUT_S,
    client_context,
    on_each_loop,
    our_server,
    plain_and_tls,
    url_of,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc (Linux)"),
]

MIB = 1024 * 1024


def rss():
    """Resident bytes of this process."""
    gc.collect()
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def open_fds():
    return len(os.listdir("/proc/self/fd"))


class Kept:
    """What this process holds; `check()` after the same work again."""

    def __init__(self):
        self.tasks = len(asyncio.all_tasks())
        self.objects = _object_count()
        self.rss = rss()

    def check(self):
        grown = {
            "tasks": len(asyncio.all_tasks()) - self.tasks,
            "objects": _object_count() - self.objects,
            "mib": round((rss() - self.rss) / MIB, 2),
        }
        assert grown["tasks"] == 0, grown
        assert grown["objects"] < 500, grown
        assert grown["mib"] < 6, grown


def _object_count():
    gc.collect()
    return len(gc.get_objects())


async def fds_back_to(count):
    """Wait until closed connections, which linger for their peer's end, have given their descriptors back."""
    async with asyncio.timeout(TIMEOUT_S):
        while open_fds() > count:
            await asyncio.sleep(0.01)


async def in_turns(count, width, job):
    """Run job(i) for i < count, `width` of them at a time."""
    turns = iter(range(count))

    async def work():
        for i in turns:
            await job(i)

    async with asyncio.TaskGroup() as group:
        for _ in range(width):
            group.create_task(work())


class Echo(picows.WSListener):
    def on_ws_frame(self, transport, frame):
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        else:
            transport.send(frame.msg_type, frame.get_payload_as_memoryview())


def masked(msg_type, payload):
    """A client's frame; the mask is all zeros, which RFC 6455 does not rule out."""
    assert len(payload) < 65_536
    length = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + struct.pack(">H", len(payload))
    return bytes([0x80 | msg_type]) + length + bytes(4) + payload


@contextlib.asynccontextmanager
async def raw_client(port, receive_buffer=None):
    """A socket behind a finished upgrade, which reads and writes only what the test makes it."""
    loop = asyncio.get_running_loop()
    request = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    request += "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    with socket.socket() as sock:
        sock.setblocking(False)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await loop.sock_connect(sock, ("127.0.0.1", port))
        await loop.sock_sendall(sock, request.encode())
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += await loop.sock_recv(sock, 1)
        yield sock


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

        fds = open_fds()
        await in_turns(500, 20, fail)
        await fds_back_to(fds)
        kept = Kept()

        await in_turns(2000, 20, fail)
        await fds_back_to(fds)

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

        fds = open_fds()
        await in_turns(500, 20, open_and_close)
        await fds_back_to(fds)
        kept = Kept()

        await in_turns(rounds, 20, open_and_close)
        await fds_back_to(fds)

        kept.check()


# ---------------------------------------------------------------- messages


async def echo_through(sock, batch, batches):
    """Write `batch` so many times, read as many answers (unmasked: 4 bytes fewer a frame)."""
    loop = asyncio.get_running_loop()
    frame_count = len(batch) // len(FRAME)
    expected = batches * (len(batch) - 4 * frame_count)
    buffer = bytearray(256 * 1024)

    async def read():
        left = expected
        while left > 0:
            got = await loop.sock_recv_into(sock, buffer)
            assert got > 0
            left -= got
        assert left == 0

    async def write():
        for _ in range(batches):
            await loop.sock_sendall(sock, batch)

    await asyncio.gather(read(), write())


FRAME = masked(WSMsgType.BINARY, b"0123456789abcdef" * 4)


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


# ---------------------------------------------------------------- peers that mean harm


class Counting(picows.WSListener):
    """Count data frames; tell when one comes that says "last"."""

    def __init__(self):
        self.last = asyncio.get_running_loop().create_future()
        self.transport = None

    def on_ws_connected(self, transport):
        self.transport = transport

    def on_ws_frame(self, transport, frame):
        if frame.get_payload_as_memoryview() == b"last":
            self.last.set_result(None)


@on_each_loop
async def test_headers_that_announce_a_gibibyte_take_no_memory():
    async with (
        our_server(lambda request: Echo(), max_frame_size=4 * 1024 * MIB) as port,
        contextlib.AsyncExitStack() as stack,
    ):
        loop = asyncio.get_running_loop()
        socks = [await stack.enter_async_context(raw_client(port)) for _ in range(100)]
        before = rss()

        for sock in socks:
            await loop.sock_sendall(sock, b"\x82\xff" + struct.pack(">Q", 1024 * MIB) + bytes(4))
            await loop.sock_sendall(sock, b"a few bytes of a gibibyte")
        # An echo on a connection that came later: all that was sent before it has been read.
        async with raw_client(port) as sock:
            await echo_through(sock, FRAME, 1)

        assert rss() - before < 1 * MIB


@on_each_loop
async def test_100000_pings_from_a_peer_that_reads_nothing_stay_under_4_mib():
    listener = Counting()
    ping = masked(WSMsgType.PING, b"p" * 121 + b"0000")
    async with our_server(lambda request: listener) as port, raw_client(port, 4096) as sock:
        loop = asyncio.get_running_loop()
        before = rss()

        for _ in range(100):
            await loop.sock_sendall(sock, ping * 999 + masked(WSMsgType.PING, b"p" * 121 + b"9999"))
        await loop.sock_sendall(sock, masked(WSMsgType.TEXT, b"last"))
        async with asyncio.timeout(TIMEOUT_S):
            await listener.last

        assert rss() - before < 4 * MIB
        assert listener.transport.underlying_transport.get_write_buffer_size() < 4 * MIB

        # RFC 6455 5.5.3: the latest must be answered, once the peer reads at last.
        answers = b""
        async with asyncio.timeout(TIMEOUT_S):
            while not answers.endswith(b"9999"):
                answers = (answers + await loop.sock_recv(sock, 65_536))[-127:]
        assert answers == b"\x8a\x7d" + b"p" * 121 + b"9999"


class Producer(picows.WSListener):
    """Send as fast as it may: stops in pause_writing, goes on in resume_writing."""

    MESSAGE = b"m" * 16_000

    def __init__(self, total):
        self.left = total
        self.most_queued = 0
        self.paused = asyncio.get_running_loop().create_future()
        self.done = asyncio.get_running_loop().create_future()
        self._may_send = True

    def on_ws_connected(self, transport):
        self.transport = transport
        self.produce()

    def produce(self):
        while self._may_send and self.left > 0:
            self.left -= 1
            self.transport.send(WSMsgType.BINARY, self.MESSAGE)
            queued = self.transport.underlying_transport.get_write_buffer_size()
            self.most_queued = max(self.most_queued, queued)
        if self.left == 0 and not self.done.done():
            self.done.set_result(None)

    def pause_writing(self):
        self._may_send = False
        if not self.paused.done():
            self.paused.set_result(None)

    def resume_writing(self):
        self._may_send = True
        self.produce()


@plain_and_tls
@on_each_loop
async def test_a_peer_that_never_reads_bounds_our_memory(is_secure):
    producer = Producer(total=20_000)  # 320 MB
    consumed = asyncio.get_running_loop().create_future()

    class Consumer(picows.WSListener):
        count = 0

        def on_ws_connected(self, transport):
            transport.underlying_transport.pause_reading()

        def on_ws_frame(self, transport, frame):
            self.count += 1
            if self.count == 20_000:
                consumed.set_result(None)

    async with our_server(lambda request: producer, is_secure) as port:
        before = rss()
        transport, _ = await picows.ws_connect(
            Consumer, url_of(port, is_secure), ssl_context=client_context(is_secure)
        )
        async with asyncio.timeout(TIMEOUT_S):
            await producer.paused

        assert rss() - before < 8 * MIB
        # High-water mark of 64 KiB, one message, and what TLS adds to its records.
        assert producer.most_queued < 64 * 1024 + 2 * len(Producer.MESSAGE)
        assert not producer.done.done()

        # Nothing was lost: it all comes once the peer reads.
        transport.underlying_transport.resume_reading()
        async with asyncio.timeout(3 * TIMEOUT_S):
            await producer.done
            await consumed
        assert rss() - before < 8 * MIB
        transport.disconnect()
        await transport.wait_disconnected()
