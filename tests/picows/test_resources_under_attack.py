"""Memory under peers that announce much, send much, or read nothing."""

import asyncio
import contextlib
import struct

import pytest

import picows
from picows import WSMsgType

from .interop_support import TIMEOUT_S, client_context, on_each_loop, our_server, plain_and_tls, url_of
from .resource_support import FRAME, MIB, Echo, echo_through, masked, needs_proc, raw_client, rss

pytestmark = [pytest.mark.slow, needs_proc]


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


@pytest.mark.rss
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


@pytest.mark.rss
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


@pytest.mark.rss
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
