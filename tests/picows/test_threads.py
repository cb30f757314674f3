"""N threads, each with its event loop: nothing is lost, mixed up or shared.

`make freethreaded` runs this on a CPython without the GIL, where a race is a race; an ordinary build switches
threads between two byte codes, and gets fewer rounds.
"""

import asyncio
import collections
import hashlib
import os
import queue
import random
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import picows
from picows import WSMsgType, ws_connect, ws_create_server
from picows.examples.echo_server_threaded import reserve_port

from .interop_support import TIMEOUT_S, loop_factories
from .thread_support import HAS_NO_GIL, at_short_turns, run_in_threads

THREADS = 4
CLIENTS = 4  # of each thread
MESSAGES = 1_500 if HAS_NO_GIL else 150  # of each client
IN_FLIGHT = 16
DEADLINE_S = 120

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SO_REUSEPORT")

each_loop = pytest.mark.parametrize("loop_factory", loop_factories())


# ---------------------------------------------------------------- counts


class Tally(collections.Counter):
    """Frames, bytes and a digest of all payloads that one end has seen."""

    def __init__(self):
        super().__init__(frames=0, bytes=0)
        self.digest = hashlib.blake2b(digest_size=16)

    def note(self, payload):
        self["frames"] += 1
        self["bytes"] += len(payload)
        self.digest.update(payload)

    def result(self):
        return self["frames"], self["bytes"], self.digest.hexdigest()


class CountingEcho(picows.WSListener):
    def __init__(self, tallies):
        self.tally = Tally()
        tallies.append(self.tally)

    def on_ws_frame(self, transport, frame):
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
            return
        self.tally.note(frame.get_payload_as_memoryview())
        transport.send(frame.msg_type, frame.get_payload_as_memoryview())


class CountingClient(picows.WSListener):
    """Send MESSAGES of its own random numbers, IN_FLIGHT at a time; `done` when all have come back."""

    def __init__(self, seed):
        self._sizes = random.Random(seed)
        self._content = random.Random(seed).randbytes(70_000)
        self._sent = 0
        self.sent_tally = Tally()
        self.tally = Tally()
        self.done = asyncio.Event()

    def on_ws_connected(self, transport):
        for _ in range(IN_FLIGHT):
            self._send_next(transport)

    def on_ws_frame(self, transport, frame):
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
            return
        self.tally.note(frame.get_payload_as_memoryview())
        self._send_next(transport)
        if self.tally["frames"] == MESSAGES:
            self.done.set()

    def _send_next(self, transport):
        if self._sent < MESSAGES:
            size = self._sizes.choice([0, 1, 125, 126, 256, 2_000, 2_100, 20_000, 66_000])
            start = self._sizes.randrange(4_000)
            payload = self._content[start : start + size]
            self._sent += 1
            self.sent_tally.note(payload)
            transport.send(WSMsgType.BINARY, payload)


async def serve_and_ask(number, port, security, everybody):
    """One thread: a server on the common port, clients of it, and the tallies of both."""
    served = []
    server = await ws_create_server(
        lambda request: CountingEcho(served), "127.0.0.1", port, reuse_port=True, ssl=security.server
    )
    await asyncio.to_thread(everybody.wait)
    opened = [
        await ws_connect(
            lambda seed=number * 1_000 + index: CountingClient(seed),
            security.url(port),
            ssl_context=security.client,
        )
        for index in range(CLIENTS)
    ]
    async with asyncio.timeout(DEADLINE_S):
        for transport, client in opened:
            await client.done.wait()
            transport.send_close(picows.WSCloseCode.OK)
            await transport.wait_disconnected()
    # The kernel gives a connection to any of the threads: all listen until the last client is done.
    await asyncio.to_thread(everybody.wait)
    server.close()
    server.abort_clients()
    await server.wait_closed()
    return served, [client for _, client in opened]


@each_loop
def test_threads_with_servers_and_clients_count_every_frame_and_byte(loop_factory, security):
    everybody = threading.Barrier(THREADS, timeout=DEADLINE_S)
    with reserve_port("127.0.0.1", 0) as reserved, at_short_turns():
        port = reserved.getsockname()[1]
        results = run_in_threads(
            [
                lambda number=number: serve_and_ask(number, port, security, everybody)
                for number in range(THREADS)
            ],
            loop_factory,
        )

    served = [tally.result() for tallies, _ in results for tally in tallies]
    clients = [client for _, clients in results for client in clients]
    assert len(clients) == THREADS * CLIENTS
    assert [client.sent_tally["frames"] for client in clients] == [MESSAGES] * len(clients)
    assert [client.tally.result() for client in clients] == [client.sent_tally.result() for client in clients]
    assert sorted(served) == sorted(client.sent_tally.result() for client in clients)


# ---------------------------------------------------------------- what is handed to other threads


class HandingOut(picows.WSListener):
    """Put each frame, a view of it and a copy into a queue; never wait for who takes them."""

    def __init__(self, taken):
        self._taken = taken
        self.count = 0

    def on_ws_frame(self, transport, frame):
        if frame.msg_type == WSMsgType.BINARY:
            self.count += 1
            self._taken.put((frame, frame.get_payload_as_memoryview(), frame.get_payload_as_bytes()))


class Taker:
    """What a foreign thread does with frames: read them while they close, keep some, release them late."""

    def __init__(self, taken):
        self._taken = taken
        self._kept = collections.deque(maxlen=64)
        self.count = 0

    def run(self):
        while (item := self._taken.get(timeout=TIMEOUT_S)) is not None:
            self.count += 1
            self._read(*item)
            self._kept.append(item)
            self._look_at_kept()
        self._kept.clear()

    def _read(self, frame, view, copy):
        """Its callback may return at any moment: the payload as it was, or the documented error."""
        while True:
            try:
                payloads = frame.get_payload_as_bytes(), bytes(memoryview(frame))
            except RuntimeError:
                return
            assert payloads == (copy, copy), "a frame of another thread had somebody else's bytes"

    def _look_at_kept(self):
        """A frame that is kept here is never handed out again, and a view never changes."""
        for frame, view, copy in (self._kept[0], self._kept[-1]):
            with pytest.raises(RuntimeError, match="kept after"):
                frame.get_payload_as_bytes()
            assert (frame.payload_size, frame.msg_type) == (len(copy), WSMsgType.BINARY)
            assert view == copy


async def firehose(security, taken, rounds):
    """Take frames from a server of this loop, all handed out; returns how many."""
    sizes = random.Random(7)
    payloads = [sizes.randbytes(sizes.choice([1, 100, 300, 5_000, 40_000])) for _ in range(64)]

    class Source(picows.WSListener):
        def on_ws_frame(self, transport, frame):
            for index in range(64):
                transport.send(WSMsgType.BINARY, payloads[index])
            transport.send(WSMsgType.TEXT, b"more?")

    class Sink(HandingOut):
        left = rounds

        def on_ws_connected(self, transport):
            transport.send(WSMsgType.TEXT, b"go")

        def on_ws_frame(self, transport, frame):
            if frame.msg_type == WSMsgType.TEXT:
                self.left -= 1
                if self.left:
                    transport.send(WSMsgType.TEXT, b"go")
                else:
                    transport.disconnect()
            super().on_ws_frame(transport, frame)

    server = await ws_create_server(lambda request: Source(), "127.0.0.1", 0, ssl=security.server)
    async with server:
        port = server.sockets[0].getsockname()[1]
        transport, sink = await ws_connect(
            lambda: Sink(taken), security.url(port), ssl_context=security.client
        )
        async with asyncio.timeout(DEADLINE_S):
            await transport.wait_disconnected()
        server.abort_clients()
    return sink.count


@each_loop
def test_frames_and_views_may_go_to_another_thread_and_end_there(loop_factory, security):
    rounds = 60 if HAS_NO_GIL else 10
    taken = [queue.SimpleQueue() for _ in range(2)]
    takers = [Taker(one) for one in taken]
    with ThreadPoolExecutor(len(takers)) as pool, at_short_turns():
        running = [pool.submit(taker.run) for taker in takers]
        try:
            counts = run_in_threads(
                [lambda one=one: firehose(security, one, rounds) for one in taken], loop_factory
            )
        finally:
            for one in taken:
                one.put(None)
        for one in running:
            one.result()

    assert counts == [taker.count for taker in takers] == [rounds * 64] * len(takers)


@each_loop
def test_calls_from_another_thread_are_refused_under_load(loop_factory, security):
    """RuntimeError for each of them, and the frames of the owner's thread go on, none more, none less."""

    def misuse(transport, stop, unset, corked):
        buffer = bytearray(64)
        calls = [
            lambda: transport.send(WSMsgType.BINARY, b"foreign"),
            lambda: transport.send_reuse_external_bytearray(WSMsgType.BINARY, buffer, 14),
            lambda: transport.send_ping(b"foreign"),
            lambda: transport.send_pong(b"foreign"),
            transport.send_close,
            transport.notify_user_specific_pong_received,
            transport.disconnect,
            lambda: transport.disconnect(graceful=False),
            lambda: transport.wait_disconnected().send(None),
            transport.cork,
            unset.__enter__,
            lambda: corked.__exit__(None, None, None),
            lambda: transport.measure_roundtrip_time(1).send(None),
        ]
        refused = 0
        while not stop.is_set() or not refused:
            for call in calls:
                with pytest.raises(RuntimeError, match="wrong thread"):
                    call()
                refused += 1
        return refused

    async def echo_under_fire():
        served = []
        server = await ws_create_server(
            lambda request: CountingEcho(served), "127.0.0.1", 0, ssl=security.server
        )
        stop = threading.Event()
        async with server:
            port = server.sockets[0].getsockname()[1]
            transport, client = await ws_connect(
                lambda: CountingClient(1), security.url(port), ssl_context=security.client
            )
            corked = transport.cork()
            with corked:
                pass
            begun = asyncio.to_thread(misuse, transport, stop, transport.cork(), corked)
            firing = asyncio.ensure_future(begun)
            done = asyncio.ensure_future(client.done.wait())
            await asyncio.wait([done, firing], timeout=DEADLINE_S, return_when=asyncio.FIRST_COMPLETED)
            stop.set()
            refused = await firing
            async with asyncio.timeout(DEADLINE_S):
                await done
            transport.send_close(picows.WSCloseCode.OK)
            await transport.wait_disconnected()
        assert refused
        assert served[0].result() == client.sent_tally.result() == client.tally.result(), (
            "a foreign call has reached the wire"
        )

    with at_short_turns():
        run_in_threads([echo_under_fire], loop_factory)


READ_WHILE_IT_CLOSES = """
import asyncio, queue, threading
from picows import WSListener, WSMsgType, ws_connect, ws_create_server

SIZE, FRAMES = 8 << 20, 20
frames, started, done = queue.SimpleQueue(), queue.SimpleQueue(), queue.SimpleQueue()

def read():
    while (frame := frames.get()) is not None:
        started.put(None)
        try:
            payload = frame.get_payload_as_bytes()
            done.put(payload.count(b"x") == SIZE)
        except RuntimeError:
            done.put(True)

class Source(WSListener):
    def on_ws_frame(self, transport, frame):
        transport.send(WSMsgType.BINARY, b"x" * SIZE)
    def pause_writing(self): pass
    def resume_writing(self): pass

class Sink(WSListener):
    def __init__(self):
        self.count = self.good = 0
    def on_ws_connected(self, transport):
        transport.send(WSMsgType.TEXT, b"next")
    def on_ws_frame(self, transport, frame):
        frames.put(frame)
        started.get()
        for _ in range(200 * (self.count % 8)):     # the reader is at another point each time
            pass
        asyncio.get_running_loop().call_soon(self.go_on, transport)
    def go_on(self, transport):
        self.count += 1
        self.good += done.get()
        if self.count < FRAMES:
            transport.send(WSMsgType.TEXT, b"next")
        else:
            transport.disconnect()

async def main():
    server = await ws_create_server(lambda request: Source(), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        transport, sink = await ws_connect(Sink, f"ws://127.0.0.1:{port}/")
        await transport.wait_disconnected()
        server.abort_clients()
    print(sink.good)

reader = threading.Thread(target=read)
reader.start()
try:
    asyncio.run(main())
finally:
    frames.put(None)
"""


def test_a_payload_is_not_freed_while_another_thread_copies_it():
    """Without a GIL the callback may return meanwhile. The C library is told to unmap large blocks."""
    done = subprocess.run(
        [sys.executable, "-c", READ_WHILE_IT_CLOSES],
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )

    assert (done.returncode, done.stdout.split()) == (0, ["20"]), done.stderr
