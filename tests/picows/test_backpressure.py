"""The write side under pressure: water marks, partial writes, large frames, PINGs without readers."""

import asyncio
import os
import socket

import pytest

from picows import WSCloseCode, WSMsgType

from .conftest import gone
from .ws_frames import BINARY, CLOSE, PING, PONG, TEXT
from .ws_listeners import Recorder, SendsWhenPaused
from .ws_peers import WAIT_S

SIZES = [0, 125, 126, 65_535, 65_536, 300_000, 5_000_000]


@pytest.mark.parametrize("size", SIZES)
async def test_a_frame_of_any_size_arrives_byte_exact(open_end, size):
    end = await open_end()
    payload = os.urandom(size)

    end.transport.send(WSMsgType.BINARY, payload)
    frame = await end.peer.recv_frame()

    assert (frame.opcode, frame.payload == payload) == (BINARY, True)
    assert frame.is_masked == end.transport.is_client_side


async def test_queued_bytes_are_not_touched_by_what_the_sender_does_to_its_buffer(open_end):
    end = await open_end(receive_buffer=4096)
    payload = bytearray(os.urandom(4_000_000))
    sent = bytes(payload)

    end.transport.send(WSMsgType.BINARY, payload)
    payload[:] = bytes(len(payload))
    end.transport.send(WSMsgType.TEXT, b"after")

    assert (await end.peer.recv_frame()).payload == sent
    assert (await end.peer.recv_frame()).payload == b"after"


async def test_sends_after_a_partial_write_keep_their_order(open_end):
    end = await open_end(receive_buffer=4096)
    messages = [os.urandom(100_000 + i) for i in range(60)]

    for message in messages:
        end.transport.send(WSMsgType.BINARY, message)
    assert end.transport.underlying_transport.get_write_buffer_size() > 0

    for message in messages:
        assert (await end.peer.recv_frame()).payload == message


async def test_pause_comes_above_the_high_mark_and_resume_at_the_low_one(open_end):
    sizes = []

    class Watching(Recorder):
        def note(self, event):
            super().note(event)
            if event in ("pause", "resume"):
                sizes.append((event, self.transport.underlying_transport.get_write_buffer_size()))

    end = await open_end(Watching(), receive_buffer=4096)
    end.transport.underlying_transport.set_write_buffer_limits(high=200_000, low=50_000)

    while "pause" not in end.listener.events:
        end.transport.send(WSMsgType.BINARY, bytes(50_000))
    draining = asyncio.ensure_future(end.peer.recv_frame())
    while "resume" not in end.listener.events:
        assert await draining is not None
        draining = asyncio.ensure_future(end.peer.recv_frame())

    assert [event for event, _ in sizes] == ["pause", "resume"]
    assert sizes[0][1] > 200_000
    assert sizes[1][1] <= 50_000
    end.transport.disconnect(False)
    await gone(end.transport)
    end.peer.close()
    await asyncio.wait([draining], timeout=WAIT_S)
    draining.cancel()


async def test_a_producer_that_pauses_keeps_the_queue_bounded(open_end, exact_queue):
    class Producer(Recorder):
        sent = 0

        def produce(self):
            while "pause" not in self.events[self.events.count("resume") * 2 :] and self.sent < 300:
                self.is_paused = False
                self.sent += 1
                self.transport.send(WSMsgType.BINARY, bytes(20_000))
                self.most = max(self.most, self.transport.underlying_transport.get_write_buffer_size())
                if self.is_paused:
                    return

        most = 0
        is_paused = False

        def pause_writing(self):
            self.is_paused = True

        def resume_writing(self):
            self.is_paused = False
            self.produce()

    end = await open_end(Producer(), receive_buffer=4096)

    end.listener.produce()
    frames = [await end.peer.recv_frame() for _ in range(300)]

    assert all(len(frame.payload) == 20_000 for frame in frames)
    assert end.listener.most < 64 * 1024 + 20_000 + 2_000


async def test_a_close_notify_that_fills_the_queue_costs_nothing_that_is_queued(open_end, exact_queue):
    end = await open_end(SendsWhenPaused(b"too late"), receive_buffer=4096)
    stream = end.transport.underlying_transport
    stream.set_write_buffer_limits(high=1 << 30)
    while not stream.get_write_buffer_size():
        end.transport.send(WSMsgType.BINARY, bytes(1_000_000))
    end.transport.send(WSMsgType.TEXT, b"last")
    stream.set_write_buffer_limits(high=stream.get_write_buffer_size())

    stream.close()

    assert (await end.peer.recv_frames_to_end())[-1].payload == b"last"
    end.peer.close()
    await gone(end.transport)
    assert "pause" not in end.listener.events
    assert end.transport.disconnect_error is None


async def test_pause_writing_sends_nothing_behind_a_close_frame(open_end, exact_queue):
    """RFC 6455 5.5.1."""

    end = await open_end(SendsWhenPaused(b"too late"), receive_buffer=4096)
    stream = end.transport.underlying_transport
    stream.set_write_buffer_limits(high=1 << 30)
    while not stream.get_write_buffer_size():
        end.transport.send(WSMsgType.BINARY, bytes(1_000_000))
    stream.set_write_buffer_limits(high=stream.get_write_buffer_size())

    end.transport.send_close(WSCloseCode.OK)
    assert "pause" in end.listener.events
    end.transport.disconnect()

    assert (await end.peer.recv_frames_to_end())[-1].opcode == CLOSE


async def test_an_exception_in_pause_writing_is_logged_and_the_connection_lives(
    open_end, caplog, exact_queue
):
    class Failing(Recorder):
        def pause_writing(self):
            raise RuntimeError("boom in pause")

    end = await open_end(Failing(), receive_buffer=4096)

    end.transport.send(WSMsgType.BINARY, bytes(8_000_000))

    assert "boom in pause" in caplog.text
    assert len((await end.peer.recv_frame()).payload) == 8_000_000
    assert not end.transport.is_disconnected


async def test_pongs_for_a_peer_that_reads_nothing_stay_few(open_end):
    end = await open_end(receive_buffer=4096)
    flood = b"".join(end.peer.encoded(PING, b"%0125d" % i) for i in range(2_000))

    for _ in range(50):
        await end.peer.send_raw(flood)
    await end.peer.send(TEXT, b"flood is over")
    await end.listener.until_frames(1)

    assert end.transport.underlying_transport.get_write_buffer_size() < 4 * 1024 * 1024


async def test_the_latest_ping_is_answered_once_the_peer_reads_again(open_end):
    end = await open_end(receive_buffer=4096)
    end.transport.send(WSMsgType.BINARY, bytes(6_000_000))

    for number in range(1_000):
        await end.peer.send(PING, b"%d" % number)
    await end.peer.send(TEXT, b"all pings are in")
    await end.listener.until_frames(1)
    frame = await end.peer.recv_frame()
    while frame.payload != b"999":
        frame = await end.peer.recv_frame()

    assert frame.opcode == PONG


async def test_a_ping_is_answered_though_the_queue_never_runs_empty(open_end):
    class Refilling(Recorder):
        """Keeps some bytes queued for as long as the test runs."""

        def resume_writing(self):
            self.refill()

        def refill(self):
            queue = self.transport.underlying_transport
            while queue.get_write_buffer_size() <= 500_000:
                self.transport.send(WSMsgType.BINARY, bytes(20_000))

    end = await open_end(Refilling(), receive_buffer=4096)
    sock = end.transport.underlying_transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    end.transport.underlying_transport.set_write_buffer_limits(high=500_000, low=400_000)
    end.listener.refill()

    await end.peer.send(PING, b"are you there")
    await end.peer.send(TEXT, b"ping is in")
    await end.listener.until_frames(1)
    for _ in range(300):
        frame = await end.peer.recv_frame()
        if frame.opcode == PONG:
            break

    assert frame == (PONG, b"are you there", True, 0, end.transport.is_client_side)
