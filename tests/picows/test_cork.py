"""Corks: what is sent under one leaves together, in order, and is never lost."""

import asyncio
import socket
import struct

import pytest

from picows import WSCloseCode, WSMsgType
from picows.stream.loopio import STREAMS

from .conftest import gone
from .ws_frames import BINARY, CLOSE, PING, PONG, TEXT
from .ws_listeners import Recorder, SendsWhenPaused
from .ws_peers import WAIT_S

pytestmark = pytest.mark.skipif(
    not hasattr(socket, "TCP_INFO"), reason="segments are counted by TCP_INFO, which is Linux's"
)


def segments_sent(transport):
    """TCP segments with data that left the socket so far (tcpi_data_segs_out)."""
    sock = transport.underlying_transport.get_extra_info("socket")
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 160)
    return struct.unpack_from("I", info, 156)[0]


async def recv_payloads(peer, count):
    return [(await peer.recv_frame()).payload for _ in range(count)]


async def test_without_a_cork_each_frame_leaves_at_once(open_end):
    end = await open_end()
    before = segments_sent(end.transport)

    for number in range(16):
        end.transport.send(WSMsgType.BINARY, b"%d" % number)
        assert end.transport.underlying_transport.get_write_buffer_size() == 0

    assert (
        segments_sent(end.transport) - before > 1
    )  # fewer than 16 where the kernel joins some (tcp_autocorking)
    assert await recv_payloads(end.peer, 16) == [b"%d" % number for number in range(16)]


async def test_frames_under_a_cork_leave_in_one_segment_at_its_end(open_end):
    end = await open_end()
    before = segments_sent(end.transport)

    with end.transport.cork():
        for number in range(16):
            end.transport.send(WSMsgType.BINARY, b"%d" % number)
        assert segments_sent(end.transport) == before
        assert end.transport.underlying_transport.get_write_buffer_size() > 16

    assert segments_sent(end.transport) - before == 1
    assert end.transport.underlying_transport.get_write_buffer_size() == 0
    assert await recv_payloads(end.peer, 16) == [b"%d" % number for number in range(16)]


async def test_frames_under_a_cork_share_one_tls_record(open_end, security):
    if not security.is_tls:
        pytest.skip("TLS only")
    end = await open_end()

    with end.transport.cork():
        for _ in range(16):
            end.transport.send(WSMsgType.TEXT, b"x" * 100)

    # An SSLSocket reads one record at a time.
    one_record = await end.peer.recv_some()
    end.peer.received += one_record
    assert await recv_payloads(end.peer, 16) == [b"x" * 100] * 16
    assert len(one_record) >= 16 * 102


async def test_corks_may_be_nested_and_the_outer_one_decides(open_end):
    end = await open_end()
    before = segments_sent(end.transport)

    with end.transport.cork():
        end.transport.send(WSMsgType.TEXT, b"outer")
        with end.transport.cork():
            end.transport.send(WSMsgType.TEXT, b"inner")
        assert segments_sent(end.transport) == before

    assert segments_sent(end.transport) - before == 1
    assert await recv_payloads(end.peer, 2) == [b"outer", b"inner"]


async def test_an_exception_inside_sends_what_was_held_and_passes_through(open_end):
    end = await open_end()

    def send_and_raise():
        with end.transport.cork():
            end.transport.send(WSMsgType.TEXT, b"before")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        send_and_raise()

    end.transport.send(WSMsgType.TEXT, b"after")
    assert await recv_payloads(end.peer, 2) == [b"before", b"after"]


async def test_a_cork_is_set_once(open_end):
    end = await open_end()
    cork = end.transport.cork()

    with cork, pytest.raises(RuntimeError, match="set already"):
        cork.__enter__()

    end.transport.send(WSMsgType.TEXT, b"not held")
    assert await recv_payloads(end.peer, 1) == [b"not held"]


@pytest.mark.parametrize("sizes", [[30_000] * 7, [10, 200_000, 10], [65_536, 65_530, 1], [0, 0, 5]])
async def test_more_than_a_cork_holds_leaves_in_pieces_and_in_order(open_end, sizes):
    end = await open_end()
    payloads = [bytes([number]) * size for number, size in enumerate(sizes)]
    receiving = asyncio.ensure_future(recv_payloads(end.peer, len(sizes)))

    with end.transport.cork():
        for payload in payloads:
            end.transport.send(WSMsgType.BINARY, payload)
            assert end.transport.underlying_transport.get_write_buffer_size() < 64 * 1024 + 210_000

    async with asyncio.timeout(WAIT_S):
        assert await receiving == payloads


async def test_a_bytearray_sent_in_place_is_held_as_it_was(open_end):
    end = await open_end()
    message = bytearray(14) + bytearray(b"as it was")

    with end.transport.cork():
        end.transport.send_reuse_external_bytearray(WSMsgType.TEXT, message, 14)
        message[:] = b"?" * len(message)

    assert await recv_payloads(end.peer, 1) == [b"as it was"]


async def test_close_and_disconnect_under_a_cork_send_what_is_held(open_end):
    end = await open_end()

    with end.transport.cork():
        end.transport.send(WSMsgType.TEXT, b"last words")
        end.transport.send_close(WSCloseCode.OK, b"bye")
        end.transport.disconnect()

    frames = await end.peer.recv_frames_to_end()
    assert [(frame.opcode, frame.payload) for frame in frames] == [
        (TEXT, b"last words"),
        (CLOSE, b"\x03\xe8bye"),
    ]
    end.peer.close()
    await gone(end.transport)


async def test_closing_the_underlying_transport_under_a_cork_sends_what_is_held(open_end):
    end = await open_end()

    with end.transport.cork():
        end.transport.send(WSMsgType.TEXT, b"held")
        end.transport.underlying_transport.close()

    assert [frame.payload for frame in await end.peer.recv_frames_to_end()] == [b"held"]


async def test_an_abort_under_a_cork_drops_what_is_held(open_end):
    end = await open_end()

    with end.transport.cork():
        end.transport.send(WSMsgType.TEXT, b"dropped")
        end.transport.disconnect(graceful=False)
        end.transport.send(WSMsgType.TEXT, b"no-op")

    await gone(end.transport)
    try:
        assert await end.peer.recv_frames_to_end() == []
    except ConnectionResetError:
        assert not end.peer.received


async def test_a_cork_on_a_closed_connection_does_nothing(open_end):
    end = await open_end()
    end.transport.disconnect(graceful=False)
    await gone(end.transport)

    with end.transport.cork():
        end.transport.send(WSMsgType.TEXT, b"no-op")

    assert end.transport.underlying_transport.get_write_buffer_size() == 0


async def test_a_lost_connection_under_a_cork_is_told_and_leaves_nothing(open_end):
    end = await open_end()

    with end.transport.cork():
        end.transport.send(WSMsgType.TEXT, b"held")
        end.peer.reset()
        await end.listener.until_event("disconnected")
        end.transport.send(WSMsgType.TEXT, b"no-op")

    assert end.transport.underlying_transport.get_write_buffer_size() == 0
    assert isinstance(end.transport.disconnect_error, ConnectionResetError)


async def test_an_automatic_pong_waits_for_the_end_of_the_cork(open_end):
    end = await open_end()

    with end.transport.cork():
        end.transport.send(WSMsgType.TEXT, b"first")
        await end.peer.send(PING, b"?")
        await end.peer.send(TEXT, b"behind the ping")
        await end.listener.until_frames(1)

    frames = [await end.peer.recv_frame() for _ in range(2)]
    assert [(frame.opcode, frame.payload) for frame in frames] == [(TEXT, b"first"), (PONG, b"?")]


async def test_pause_writing_is_called_when_a_cork_lets_go_and_may_send(open_end, exact_queue):
    end = await open_end(SendsWhenPaused(b"from pause_writing"), receive_buffer=4096)
    end.transport.underlying_transport.set_write_buffer_limits(high=0)
    count = 0

    while "pause" not in end.listener.events:
        with end.transport.cork():
            for _ in range(8):
                end.transport.send(WSMsgType.BINARY, bytes(8_000))
                count += 1
            assert "pause" not in end.listener.events or count > 8

    payloads = await recv_payloads(end.peer, count + 1)
    assert payloads.index(b"from pause_writing") > 0
    assert sum(len(payload) for payload in payloads) == count * 8_000 + len(b"from pause_writing")


async def test_a_frame_that_overfills_a_cork_goes_in_front_of_what_pause_writing_sends(open_end, exact_queue):
    end = await open_end(SendsWhenPaused(b"from pause_writing"), receive_buffer=4096)
    end.transport.underlying_transport.set_write_buffer_limits(high=0)
    sent = []

    with end.transport.cork():
        while "pause" not in end.listener.events:
            sent.append(b"%06d" % len(sent) * 200)
            end.transport.send(WSMsgType.BINARY, sent[-1])

    assert await recv_payloads(end.peer, len(sent) + 1) == [*sent, b"from pause_writing"]


async def test_auto_cork_sends_the_replies_to_one_read_together(open_end):
    class Replies(Recorder):
        def on_ws_frame(self, transport, frame):
            transport.send(WSMsgType.BINARY, frame.get_payload_as_bytes())
            super().on_ws_frame(transport, frame)

    end = await open_end(Replies(), auto_cork=True)
    before = segments_sent(end.transport)

    await end.peer.send_raw(b"".join(end.peer.encoded(BINARY, b"%d" % number) for number in range(16)))
    await end.listener.until_frames(16)

    assert await recv_payloads(end.peer, 16) == [b"%d" % number for number in range(16)]
    assert segments_sent(end.transport) - before == 1


async def test_auto_cork_sends_the_close_of_a_failing_callback(open_end):
    class Fails(Recorder):
        def on_ws_frame(self, transport, frame):
            transport.send(WSMsgType.TEXT, b"reply")
            raise ZeroDivisionError

    end = await open_end(Fails(), auto_cork=True)

    await end.peer.send(TEXT, b"?")

    frames = await end.peer.recv_frames_to_end()
    assert [(frame.opcode, frame.payload[:2]) for frame in frames] == [(TEXT, b"re"), (CLOSE, b"\x03\xf3")]


async def test_auto_cork_is_off_by_default(open_end):
    class Replies(Recorder):
        def on_ws_frame(self, transport, frame):
            before = segments_sent(transport)
            transport.send(WSMsgType.BINARY, b"at once")
            self.left.append(segments_sent(transport) - before)
            super().on_ws_frame(transport, frame)

        def __init__(self):
            super().__init__()
            self.left = []

    if STREAMS == "loop":
        pytest.skip("the loop's transports send when they like")
    end = await open_end(Replies())

    await end.peer.send_raw(b"".join(end.peer.encoded(BINARY, b"x") for _ in range(4)))
    await end.listener.until_frames(4)

    assert sum(end.listener.left) > 1


@pytest.mark.parametrize("size", [100, 60_000, 100_000])
async def test_a_send_that_makes_a_full_cork_let_go_is_not_mixed_with_one_from_pause_writing(
    open_end, exact_queue, size
):
    """The frame under way lies in scratch memory that pause_writing's send takes for its own."""

    end = await open_end(SendsWhenPaused(b"from pause_writing"), receive_buffer=4096)
    end.transport.underlying_transport.set_write_buffer_limits(high=0)
    sent = []

    def send(payload):
        sent.append(payload)
        end.transport.send(WSMsgType.BINARY, payload)

    while "pause" not in end.listener.events:
        with end.transport.cork():
            for _ in range(64):
                send(len(sent).to_bytes(4, "big") * 256)
            send(bytes([len(sent) % 256]) * size)

    payloads = await recv_payloads(end.peer, len(sent) + 1)
    assert payloads.count(b"from pause_writing") == 1
    payloads.remove(b"from pause_writing")
    assert payloads == sent
