"""Receive memory: what is announced takes none, what was large is given back, one block serves a loop."""

import asyncio
import gc
import os

import pytest

import picows
from picows.parser import FrameParser

from .wire_support import (
    BINARY,
    MASK,
    TEXT,
    TIMEOUT_S,
    Recorder,
    client_of_bare_server,
    drain,
    frame,
    server_of_bare_client,
    write_all,
)

MIB = 1024 * 1024


def rss_bytes():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


linux = pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="reads /proc/self/statm")


# ------------------------------------------------------------------------------------------- FrameParser.feed


@pytest.mark.parametrize("announced", [100 * MIB, 1024 * MIB, 2**40, 2**61])
def test_an_announced_length_takes_no_memory(announced):
    parser = FrameParser(max_frame_size=2**62 - 1)

    parser.feed(b"\x82\x7f" + announced.to_bytes(8, "big") + b"the first bytes")

    assert parser.next_frame() is None
    assert parser.buffered_size <= MIB


def test_memory_follows_what_has_arrived():
    parser = FrameParser(max_frame_size=2**40)
    parser.feed(b"\x82\x7f" + (2**39).to_bytes(8, "big"))
    for received in range(64 * 1024, 8 * MIB, 64 * 1024):
        parser.feed(bytes(64 * 1024))
        assert parser.next_frame() is None
        assert received <= parser.buffered_size <= max(MIB, 2 * received + 256 * 1024)


@pytest.mark.parametrize("size", [0, 1, 16_000, 16_384, 16_385, 200_000, 262_144, 262_145, MIB, 5 * MIB])
@pytest.mark.parametrize("step", [1000, 65_536, 10 * MIB])
def test_a_frame_of_any_size_comes_out_whole_and_its_memory_is_given_back(size, step):
    payload = os.urandom(1024) * (size // 1024 + 1)
    payload = payload[:size]
    wire = frame(BINARY, payload) + frame(TEXT, b"next")
    parser = FrameParser()
    frames = []
    for start in range(0, len(wire), step):
        parser.feed(wire[start : start + step])
        frames += drain(parser)[0]

    assert frames == [(BINARY, payload, True), (TEXT, b"next", True)]
    assert parser.buffered_size == 0


def test_an_idle_parser_holds_nothing():
    parser = FrameParser()
    assert parser.buffered_size == 0
    for _ in range(100):
        parser.feed(frame(BINARY, bytes(1000)) * 3 + frame(BINARY, bytes(50))[:20])
        drain(parser)
        assert 0 < parser.buffered_size < 4096
        parser.feed(frame(BINARY, bytes(50))[20:])
        drain(parser)
        assert parser.buffered_size == 0


# ----------------------------------------------------------------------------------------------- real sockets


@linux
async def test_a_header_of_1_gib_takes_no_memory_of_the_process():
    async with server_of_bare_client(lambda request: Recorder(), max_frame_size=2**40) as (server, sock):
        await asyncio.get_running_loop().sock_recv(sock, 4096)
        while not server.connections:
            await asyncio.sleep(0)
        gc.collect()
        before = rss_bytes()
        await write_all(sock, b"\x82\xff" + (1024 * MIB).to_bytes(8, "big") + MASK + bytes(100_000))
        await write_all(sock, bytes(100_000))

        assert rss_bytes() - before < 8 * MIB


@linux
async def test_the_memory_of_a_large_frame_is_given_back():
    async with client_of_bare_server(max_frame_size=64 * MIB) as (_, listener, sock):
        wire = frame(BINARY, bytes(32 * MIB))
        await write_all(sock, wire)
        await listener.received(1)
        assert len(listener.frames.pop()[1]) == 32 * MIB
        del wire
        gc.collect()
        settled = rss_bytes()
        for _ in range(3):
            wire = frame(BINARY, bytes(32 * MIB))
            await write_all(sock, wire)
            await listener.received(1)
            listener.frames.clear()
            del wire
            gc.collect()

        assert rss_bytes() - settled < 16 * MIB


async def test_a_frame_over_the_limit_is_refused_before_its_payload_has_come():
    async with client_of_bare_server(max_frame_size=1000) as (transport, listener, sock):
        await write_all(sock, frame(TEXT, b"ok") + frame(BINARY, bytes(1001))[:4])

        with pytest.raises(picows.WSProtocolError) as caught:
            await asyncio.wait_for(transport.wait_disconnected(), TIMEOUT_S)

    assert caught.value.code == 1009
    assert listener.frames == [(TEXT, b"ok", True)]


@pytest.mark.parametrize("count", [2, 50])
async def test_connections_of_one_loop_do_not_mix_their_bytes(count):
    """Unfinished frames of all of them wait at the same time, small and large."""
    async with Connections(count) as connections:
        expected = []
        wires = []
        for i in range(count):
            sizes = [10 + i, 15_000 + i, 20_000 + i, 300_000 // count + i]
            frames = [(BINARY, bytes([i]) * size, True) for size in sizes]
            expected.append(frames)
            wires.append(b"".join(frame(kind, payload) for kind, payload, _ in frames))
        for start in range(0, max(len(wire) for wire in wires), 7001):
            for (_, _, sock), wire in zip(connections, wires, strict=True):
                await write_all(sock, wire[start : start + 7001])
        for (_, listener, _), frames in zip(connections, expected, strict=True):
            assert await listener.received(len(frames)) == frames


class Connections:
    """`count` connections at once."""

    def __init__(self, count):
        self._managers = [client_of_bare_server() for _ in range(count)]

    async def __aenter__(self):
        return [await manager.__aenter__() for manager in self._managers]

    async def __aexit__(self, *exc):
        for manager in self._managers:
            await manager.__aexit__(*exc)


async def test_a_callback_may_open_and_feed_another_parser():
    """Reads of one connection while another one's callback runs: the loop's block is taken."""
    inner = []

    def on_frame(transport, received):
        parser = FrameParser()
        parser.feed(frame(TEXT, received.get_payload_as_bytes()) * 3)
        inner.extend(drain(parser)[0])

    async with client_of_bare_server(Recorder(on_frame)) as (_, listener, sock):
        await write_all(sock, frame(TEXT, b"one") + frame(TEXT, b"two"))
        assert await listener.received(2) == [(TEXT, b"one", True), (TEXT, b"two", True)]

    assert inner == [(TEXT, b"one", True)] * 3 + [(TEXT, b"two", True)] * 3


async def test_kept_views_of_many_connections_stay_what_they_were():
    views = []

    def keep(transport, received):
        views.append((received.get_payload_as_bytes(), received.get_payload_as_memoryview()))

    managers = [client_of_bare_server(Recorder(keep)) for _ in range(5)]
    opened = [await manager.__aenter__() for manager in managers]
    for turn in range(20):
        for i, (_, listener, sock) in enumerate(opened):
            await write_all(sock, frame(BINARY, bytes([turn, i]) * (100 + 4000 * (turn % 3))))
            await listener.received(turn + 1)
        if turn % 4 == 3:
            del views[::2]
    for manager in managers:
        await manager.__aexit__(None, None, None)
    gc.collect()

    assert len(views) > 10
    for copied, view in views:
        assert view == copied


@pytest.mark.parametrize("size", [65_536, 65_537, 300_000])
async def test_a_frame_sent_from_pause_writing_does_not_split_a_large_one(size):
    class Sender(Recorder):
        pauses = 0

        def pause_writing(self):
            self.pauses += 1
            if self.pauses == 1:
                self.transport.send(TEXT, b"from pause_writing")

        def resume_writing(self):
            pass

    async with client_of_bare_server(Sender()) as (transport, listener, sock):
        transport.underlying_transport.set_write_buffer_limits(high=1000)
        payload = os.urandom(size)
        for _ in range(20):
            transport.send(BINARY, payload)
        parser = FrameParser(is_client=False)
        frames = []
        while len(frames) < 21:
            parser.feed(await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, MIB), TIMEOUT_S))
            got, error = drain(parser)
            assert error is None
            frames += got

    assert listener.pauses >= 1
    assert [one for one in frames if one[0] == TEXT] == [(TEXT, b"from pause_writing", True)]
    assert all(one == (BINARY, payload, True) for one in frames if one[0] == BINARY)
