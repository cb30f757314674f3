"""The end of a connection: graceful and abrupt, half-close, resets, and what is delivered before the end."""

import asyncio
import errno
import gc
import time
import weakref

import pytest

from picows import WSCloseCode, WSMsgType, ws_connect

from .conftest import gone, needs_own_streams, skip_where_poll_drops_resets
from .ws_frames import BINARY, CLOSE, TEXT, assert_closes_with, close_payload
from .ws_listeners import Echo, Recorder
from .ws_peers import WAIT_S


async def test_graceful_disconnect_sends_what_is_queued(open_end):
    end = await open_end(receive_buffer=4096, close_timeout=WAIT_S)
    end.transport.send(WSMsgType.BINARY, bytes(3_000_000))
    end.transport.send_close(WSCloseCode.OK, b"done")
    end.transport.disconnect()

    frames = await end.peer.recv_frames_to_end()

    assert [frame.opcode for frame in frames] == [BINARY, CLOSE]
    assert len(frames[0].payload) == 3_000_000
    assert frames[1].payload == close_payload(1000, "done")
    end.peer.close()
    await gone(end.transport)


async def test_abort_drops_what_is_queued(open_end):
    end = await open_end(receive_buffer=4096)
    end.transport.send(WSMsgType.BINARY, bytes(20_000_000))

    end.transport.disconnect(graceful=False)
    await gone(end.transport)

    received = 0
    try:
        while data := await end.peer.recv_some():
            received += len(data)
    except OSError:
        pass
    assert received < 20_000_000


@pytest.mark.parametrize("how", ["close", "abort"])
async def test_nothing_is_sent_once_the_underlying_transport_is_closing(open_end, how):
    end = await open_end()

    getattr(end.transport.underlying_transport, how)()
    end.transport.send(WSMsgType.TEXT, "too late")
    end.transport.send_close(WSCloseCode.OK)

    assert await end.peer.recv_frames_to_end() == []
    await gone(end.transport)


@needs_own_streams
async def test_abort_after_a_graceful_disconnect_does_not_wait_for_the_queue(open_end):
    end = await open_end(receive_buffer=4096, close_timeout=WAIT_S * 10)
    end.transport.send(WSMsgType.BINARY, bytes(20_000_000))
    end.transport.disconnect()

    end.transport.disconnect(graceful=False)

    await gone(end.transport)
    assert end.transport.underlying_transport.get_write_buffer_size() == 0


async def test_close_timeout_ends_a_disconnect_that_the_peer_does_not_read(open_end):
    end = await open_end(receive_buffer=4096, close_timeout=0.2)
    end.transport.send(WSMsgType.BINARY, bytes(20_000_000))
    started = time.monotonic()

    end.transport.disconnect()
    assert not end.transport.is_disconnected
    await gone(end.transport)

    assert time.monotonic() - started >= 0.15
    assert end.listener.events[-1] == "disconnected"


async def test_a_closed_connection_does_not_wait_for_the_garbage_collector(serve, security):
    class Keeps(Recorder):
        def on_ws_disconnected(self, transport):
            super().on_ws_disconnected(transport)
            disconnected.set()

    disconnected = asyncio.Event()
    serving = await serve(lambda request: Keeps())
    url, context = security.url(serving.port), security.client
    transport, listener = await ws_connect(Recorder, url, ssl_context=context, enable_auto_ping=True)
    await transport.measure_roundtrip_time(1)
    ends = [weakref.ref(transport), weakref.ref(serving.server.connections[0])]
    gc.collect()
    gc.disable()
    try:
        transport.disconnect()
        await gone(transport)
        del transport, listener
        await disconnected.wait()
        for _ in range(3):
            await asyncio.sleep(0)
        assert [end() for end in ends] == [None, None]
    finally:
        gc.enable()


@needs_own_streams
async def test_a_close_frame_reaches_a_peer_that_is_still_sending(open_end):
    class ClosesAtFirst(Recorder):
        def on_ws_frame(self, transport, frame):
            super().on_ws_frame(transport, frame)
            transport.send_close(WSCloseCode.POLICY_VIOLATION, b"enough")
            transport.disconnect()

    end = await open_end(ClosesAtFirst())

    async def keep_sending():
        for _ in range(30):
            await end.peer.send(BINARY, bytes(10_000))

    await keep_sending()
    frame = await end.peer.recv_close()

    assert_closes_with(frame, 1008, "enough")


async def test_disconnect_is_idempotent_and_tells_the_listener_once(open_end):
    end = await open_end()

    for graceful in (True, True, False, True, False):
        end.transport.disconnect(graceful)
    await gone(end.transport)
    end.transport.disconnect()
    await gone(end.transport)

    assert end.listener.events == ["connected", "disconnected"]


async def test_is_disconnected_turns_true_before_the_listener_and_the_waiters_are_told(open_end):
    order = []

    class Watching(Recorder):
        def on_ws_disconnected(self, transport):
            order.append(("listener", transport.is_disconnected))

    end = await open_end(Watching())

    async def wait():
        await end.transport.wait_disconnected()
        order.append(("waiter", end.transport.is_disconnected))

    waiters = [asyncio.ensure_future(wait()) for _ in range(3)]
    await asyncio.sleep(0)
    end.transport.disconnect(False)
    assert not end.transport.is_disconnected
    async with asyncio.timeout(WAIT_S):
        await asyncio.gather(*waiters)

    assert order == [("listener", True)] + [("waiter", True)] * 3


async def test_a_cancelled_wait_disconnected_leaves_the_others_waiting(open_end):
    end = await open_end()
    first, second = (asyncio.ensure_future(end.transport.wait_disconnected()) for _ in range(2))
    await asyncio.sleep(0)

    first.cancel()
    await asyncio.wait([first])
    assert not second.done()
    end.transport.disconnect()

    async with asyncio.timeout(WAIT_S):
        await second


async def test_the_peers_end_of_stream_is_delivered_after_its_last_frame(open_end):
    end = await open_end()
    await end.peer.send(TEXT, b"last words")
    end.peer.close()

    await end.listener.until_event("disconnected")

    assert end.listener.events == ["connected", "frame", "disconnected"]
    await gone(end.transport)


async def test_half_close_by_the_peer_still_gets_what_is_queued(open_end, security):
    if security.is_tls:
        pytest.skip("a half-close is TCP's; in TLS the stream ends for both (RFC 8446 6.1)")
    end = await open_end(receive_buffer=4096)
    end.transport.send(WSMsgType.BINARY, bytes(3_000_000))
    end.peer.end_sending()

    frames = await end.peer.recv_frames_to_end()

    assert [len(frame.payload) for frame in frames] == [3_000_000]
    await gone(end.transport)


async def test_a_reset_is_reported(open_end):
    end = await open_end()

    end.peer.reset()
    await gone(end.transport)

    assert isinstance(end.transport.disconnect_error, ConnectionResetError)
    assert end.listener.events == ["connected", "disconnected"]


@needs_own_streams
@pytest.mark.parametrize("size", [5, 40_000])
async def test_a_reset_that_arrives_with_data_is_reported_after_the_data(open_end, size):
    skip_where_poll_drops_resets()
    end = await open_end(read_buffer_init_size=2048)

    end.peer.send_and_reset_at_once(end.peer.encoded(TEXT, b"x" * size))
    await end.listener.until_event("disconnected")

    assert end.listener.events == ["connected", "frame", "disconnected"]
    assert len(end.listener.frames[0].payload) == size
    assert isinstance(end.transport.disconnect_error, ConnectionResetError)


@needs_own_streams
async def test_data_in_front_of_a_reset_is_delivered_though_a_send_fails_first(open_end):
    class Answers(Recorder):
        """Answers every frame: the answers meet the reset."""

        def on_ws_frame(self, transport, frame):
            super().on_ws_frame(transport, frame)
            transport.send(WSMsgType.BINARY, b"answer")

    end = await open_end(Answers(), read_buffer_init_size=2048)
    end.transport.underlying_transport.pause_reading()
    for _ in range(6):
        await end.peer.send(BINARY, bytes(10_000))
    await end.peer.until_taken()
    end.peer.reset()

    end.transport.underlying_transport.resume_reading()
    await end.listener.until_event("disconnected")

    assert [len(frame.payload) for frame in end.listener.frames] == [10_000] * 6
    assert end.transport.disconnect_error.errno in (errno.ECONNRESET, errno.EPIPE)


@needs_own_streams
async def test_a_paused_connection_delivers_all_it_has_received_before_a_reset(open_end):
    skip_where_poll_drops_resets()
    end = await open_end(read_buffer_init_size=2048)
    end.transport.underlying_transport.pause_reading()
    for _ in range(6):
        await end.peer.send(BINARY, bytes(10_000))
    await end.peer.until_taken()
    end.peer.reset()

    await asyncio.sleep(0.05)  # the loop is what is tested: it must not end the connection meanwhile
    assert end.listener.events == ["connected"]
    end.transport.underlying_transport.resume_reading()
    await end.listener.until_event("disconnected")

    assert [len(frame.payload) for frame in end.listener.frames] == [10_000] * 6
    assert isinstance(end.transport.disconnect_error, ConnectionResetError)


@needs_own_streams
async def test_a_send_that_fails_while_reading_is_paused_keeps_what_was_received(open_end):
    end = await open_end(read_buffer_init_size=2048)
    end.transport.underlying_transport.pause_reading()
    for _ in range(6):
        await end.peer.send(BINARY, bytes(10_000))
    await end.peer.until_taken()
    end.peer.reset()

    for _ in range(3):
        end.transport.send(WSMsgType.BINARY, b"nobody reads this")
    await asyncio.sleep(0.02)  # whatever the failed send has scheduled runs
    assert end.listener.events == ["connected"]
    end.transport.underlying_transport.resume_reading()
    await end.listener.until_event("disconnected")

    assert len(end.listener.frames) == 6


async def test_a_paused_connection_whose_peer_has_gone_leaves_the_loop_idle(open_end):
    end = await open_end()
    end.transport.underlying_transport.pause_reading()
    end.peer.reset()
    started = time.process_time()

    await asyncio.sleep(0.3)  # idle time is what is measured

    assert time.process_time() - started < 0.15


async def test_nothing_is_delivered_after_abort(open_end):
    class AbortsAtFirst(Recorder):
        def on_ws_frame(self, transport, frame):
            super().on_ws_frame(transport, frame)
            transport.disconnect(graceful=False)

    end = await open_end(AbortsAtFirst())

    await end.peer.send_raw(b"".join(end.peer.encoded(TEXT, b"%d" % i) for i in range(10)))
    await end.listener.until_event("disconnected")

    assert end.listener.events == ["connected", "frame", "disconnected"]


async def test_sends_after_disconnect_do_nothing(open_end):
    end = await open_end()
    end.transport.send(WSMsgType.TEXT, b"before")
    end.transport.disconnect()

    end.transport.send(WSMsgType.TEXT, b"after")
    end.transport.send_ping(b"after")
    end.transport.send_close(WSCloseCode.OK)
    frames = await end.peer.recv_frames_to_end()

    assert [frame.payload for frame in frames] == [b"before"]
    assert not end.transport.is_close_frame_sent


async def test_close_handshake_says_who_closed_first(open_end):
    first = await open_end(Echo())
    await first.peer.send(CLOSE, close_payload(1001, "bye"))
    assert_closes_with(await first.peer.recv_close(), 1001, "bye")
    await gone(first.transport)
    second = await open_end()
    second.transport.send_close(3000, "mine")
    await second.peer.send(CLOSE, close_payload(3000, "yours"))
    await second.listener.until_frames(1)

    theirs, ours = first.transport.close_handshake, second.transport.close_handshake

    assert (theirs.recv.code, theirs.recv.reason, theirs.recv_then_sent) == (1001, "bye", True)
    assert (theirs.sent.code, theirs.sent.reason) == (1001, "bye")
    assert (ours.sent.code, ours.recv.reason, ours.recv_then_sent) == (3000, "yours", False)
