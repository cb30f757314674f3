"""Points of the topic guides about the end of a connection, sends and threads: 25 to 33, 47, 48."""

import asyncio
import threading

import pytest

from picows import WSCloseCode, WSMsgType, ws_connect

from .conftest import gone, needs_own_streams
from .ws_frames import BINARY, CLOSE, TEXT, assert_closes_with, close_payload
from .ws_listeners import Echo, Recorder
from .ws_peers import WAIT_S


async def test_p25_disconnect_sends_no_close_frame(open_end):
    end = await open_end()
    end.transport.disconnect()

    assert await end.peer.recv_frames_to_end() == []


async def test_p26_an_incoming_close_is_delivered_and_not_answered(open_end):
    end = await open_end()
    await end.peer.send(CLOSE, close_payload(1000))
    await end.listener.until_frames(1)
    end.transport.send(WSMsgType.TEXT, b"still able to send")

    frame = await end.peer.recv_frame()

    assert end.listener.frames[0].msg_type == WSMsgType.CLOSE
    assert frame.payload == b"still able to send"
    assert not end.transport.is_close_frame_sent


@pytest.mark.parametrize(
    "payload", [b"", close_payload(1000), close_payload(1001, "bye"), close_payload(4999, "ü" * 61)]
)
async def test_p27_the_guides_echo_of_a_close_is_legal_for_every_close(open_end, payload):
    end = await open_end(Echo())
    await end.peer.send(CLOSE, payload)

    frames = await end.peer.recv_frames_to_end()

    assert [(frame.opcode, frame.payload) for frame in frames] == [(CLOSE, payload)]
    await gone(end.transport)


async def test_p28_after_send_close_every_send_is_a_silent_no_op(open_end):
    end = await open_end()
    end.transport.send_close(WSCloseCode.OK, b"done")

    end.transport.send(WSMsgType.TEXT, b"x")
    end.transport.send(99, object())  # not even its arguments are looked at
    end.transport.send_ping()
    end.transport.send_pong()
    end.transport.send_close(WSCloseCode.GOING_AWAY)
    end.transport.send_reuse_external_bytearray(WSMsgType.TEXT, bytearray(20), 14)
    end.transport.disconnect()

    frames = await end.peer.recv_frames_to_end()
    assert [frame.payload for frame in frames] == [close_payload(1000, "done")]


async def test_p29_disconnect_is_idempotent(open_end):
    end = await open_end()
    for _ in range(3):
        end.transport.disconnect()
        end.transport.disconnect(graceful=False)
    await gone(end.transport)
    end.transport.disconnect()

    assert end.listener.events == ["connected", "disconnected"]


async def test_p30_send_close_then_disconnect_reaches_the_peer_behind_queued_data(open_end):
    end = await open_end(receive_buffer=4096)
    end.transport.send(WSMsgType.BINARY, bytes(2_000_000))
    end.transport.send_close(WSCloseCode.OK, b"done")
    end.transport.disconnect()

    assert (await end.peer.recv_frame()).opcode == BINARY
    assert_closes_with(await end.peer.recv_frame(), 1000, "done")
    await gone(end.transport)


@needs_own_streams
async def test_p31_graceful_false_drops_queued_data(open_end):
    end = await open_end(receive_buffer=4096)
    end.transport.send(WSMsgType.BINARY, bytes(20_000_000))

    end.transport.disconnect(graceful=False)

    assert end.transport.underlying_transport.get_write_buffer_size() == 0
    await gone(end.transport)


async def test_p32_send_buffers_and_never_blocks(open_end):
    end = await open_end(receive_buffer=4096)

    for _ in range(20):
        end.transport.send(WSMsgType.BINARY, bytes(1_000_000))

    assert end.transport.underlying_transport.get_write_buffer_size() > 10_000_000


async def test_p33_on_ws_disconnected_comes_before_wait_disconnected_returns(open_end):
    order = []

    class Watching(Recorder):
        def on_ws_disconnected(self, transport):
            order.append("on_ws_disconnected")

    end = await open_end(Watching())

    async def wait():
        await gone(end.transport)
        order.append("wait_disconnected")

    waiting = asyncio.ensure_future(wait())
    await asyncio.sleep(0)
    end.peer.close()
    await waiting

    assert order == ["on_ws_disconnected", "wait_disconnected"]


CALLS = {
    "send": lambda t: t.send(WSMsgType.TEXT, b"x"),
    "send_reuse_external_bytearray": lambda t: t.send_reuse_external_bytearray(
        WSMsgType.TEXT, bytearray(20), 14
    ),
    "send_ping": lambda t: t.send_ping(),
    "send_pong": lambda t: t.send_pong(),
    "send_close": lambda t: t.send_close(),
    "cork": lambda t: t.cork(),
    "disconnect": lambda t: t.disconnect(),
    "notify_user_specific_pong_received": lambda t: t.notify_user_specific_pong_received(),
    "wait_disconnected": lambda t: t.wait_disconnected().send(None),
    "measure_roundtrip_time": lambda t: t.measure_roundtrip_time(1).send(None),
}


@pytest.mark.parametrize("method", CALLS)
async def test_p47_a_call_from_a_foreign_thread_raises(open_end, method):
    end = await open_end()

    with pytest.raises(RuntimeError, match=f"WSTransport.{method} called from a wrong thread"):
        await asyncio.to_thread(CALLS[method], end.transport)

    end.transport.send(WSMsgType.TEXT, b"unharmed")
    assert (await end.peer.recv_frame()).payload == b"unharmed"


async def test_p47_every_public_method_is_covered_above(open_end):
    end = await open_end()
    methods = {
        name
        for name in dir(end.transport)
        if not name.startswith("_") and callable(getattr(end.transport, name))
    }

    # ping_for and release_waiters are between the core's own modules.
    assert methods - {"ping_for", "release_waiters"} <= CALLS.keys()


async def test_p48_a_client_in_a_thread_stops_on_a_threading_event(serve, security):
    serving = await serve(lambda request: Echo())
    stop, ready = threading.Event(), threading.Event()
    received = []

    class Client(Recorder):
        def on_ws_frame(self, transport, frame):
            received.append(frame.get_payload_as_bytes())
            ready.set()

    async def client():
        transport, _ = await ws_connect(
            Client, security.url(serving.port), ssl_context=security.client, family=2
        )
        transport.send(WSMsgType.TEXT, b"hello")
        await asyncio.to_thread(stop.wait)
        transport.disconnect()
        await transport.wait_disconnected()

    thread = threading.Thread(target=lambda: asyncio.run(client()))
    thread.start()
    await asyncio.to_thread(ready.wait, WAIT_S)
    stop.set()
    await asyncio.to_thread(thread.join, WAIT_S)

    assert received == [b"hello"]
    assert not thread.is_alive()


async def test_p26_a_close_between_data_frames_ends_delivery(open_end):
    end = await open_end()
    await end.peer.send_raw(
        end.peer.encoded(TEXT, b"1") + end.peer.encoded(CLOSE) + end.peer.encoded(TEXT, b"2")
    )
    end.peer.close()
    await end.listener.until_event("disconnected")

    assert [frame.msg_type for frame in end.listener.frames] == [1, 8]
