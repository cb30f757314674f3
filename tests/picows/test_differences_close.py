"""Where we differ from picows 2 on purpose (section 0 of its API notes): closing, failing, keeping alive."""

import asyncio
import contextlib
import os
import time

import pytest

from picows import WSAutoPingStrategy, WSCloseCode, WSMsgType, WSProtocolError

from .conftest import gone
from .ws_frames import BINARY, CLOSE, PING, PONG, TEXT, assert_closes_with, close_payload
from .ws_listeners import Echo, Recorder


@pytest.mark.parametrize("bad", [(3, b""), (BINARY, bytes(200)), (PING, bytes(126))])
async def test_b3_nothing_is_delivered_after_a_protocol_error(open_end, bad):
    end = await open_end(max_frame_size=100)
    good = end.peer.encoded(TEXT, b"after")
    await end.peer.send_raw(end.peer.encoded(*bad) + good * 5)
    frame = await end.peer.recv_close()
    with contextlib.suppress(OSError):
        await end.peer.send_raw(good)  # in a later read

    await end.listener.until_event("disconnected")

    assert_closes_with(frame, 1009 if bad[0] == BINARY else 1002)
    assert end.listener.frames == []


async def test_b4_large_frames_under_backpressure_arrive_whole(open_end):
    end = await open_end(receive_buffer=4096)
    messages = [os.urandom(700_000) for _ in range(8)]

    for message in messages:
        end.transport.send(WSMsgType.BINARY, message)

    for message in messages:
        assert (await end.peer.recv_frame()).payload == message


async def test_b4_a_reused_buffer_may_be_overwritten_at_once(open_end):
    end = await open_end(receive_buffer=4096)
    expected = []
    buffer = bytearray(14 + 900_000)
    for i in range(6):
        buffer[14:] = bytes([i + 1]) * 900_000
        expected.append(bytes(buffer[14:]))
        end.transport.send_reuse_external_bytearray(WSMsgType.BINARY, buffer, 14)
        buffer[:] = bytes(len(buffer))

    for payload in expected:
        assert (await end.peer.recv_frame()).payload == payload


async def test_b6_a_close_without_code_is_an_empty_close(open_end):
    end = await open_end()
    end.transport.send_close()

    assert_closes_with(await end.peer.recv_frame(), None)


async def test_b6_the_echo_of_an_empty_close_is_empty(open_end):
    end = await open_end(Echo())
    await end.peer.send(CLOSE)

    assert_closes_with(await end.peer.recv_frame(), None)


@pytest.mark.parametrize("code", [1, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535, 70000, -1])
async def test_b6_a_code_that_must_not_be_sent_is_refused(open_end, code):
    end = await open_end()

    with pytest.raises((ValueError, OverflowError)):
        end.transport.send_close(code)

    end.transport.send(WSMsgType.TEXT, b"nothing was sent, the connection is open")
    assert (await end.peer.recv_frame()).opcode == TEXT


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65535])
async def test_b6_a_code_that_must_not_be_received_is_a_protocol_error(open_end, code):
    end = await open_end()
    await end.peer.send(CLOSE, close_payload(code))

    assert_closes_with(await end.peer.recv_close(), 1002)
    assert end.listener.frames == []


async def test_b9_concurrent_round_trip_measurements_each_get_their_result(open_end):
    end = await open_end()
    measuring = [asyncio.ensure_future(end.transport.measure_roundtrip_time(2)) for _ in range(3)]

    for _ in range(6):
        frame = await end.peer.recv_frame()
        await end.peer.send(PONG, frame.payload)
    results = await asyncio.wait_for(asyncio.gather(*measuring), 10)

    assert [len(times) for times in results] == [2, 2, 2]


async def test_b9_measure_roundtrip_time_takes_a_timeout(open_end):
    end = await open_end()

    with pytest.raises(asyncio.TimeoutError):
        await end.transport.measure_roundtrip_time(1, timeout=0.05)

    assert not end.transport.is_disconnected


async def test_b9_a_cancelled_measurement_leaves_dead_peer_detection_working(open_end):
    end = await open_end(enable_auto_ping=True, auto_ping_idle_timeout=0.1, auto_ping_reply_timeout=0.1)
    measuring = asyncio.ensure_future(end.transport.measure_roundtrip_time(1))
    await asyncio.sleep(0)
    measuring.cancel()
    await asyncio.wait([measuring])

    assert_closes_with(await end.peer.recv_close(), 1001)


async def test_b13_after_abort_nothing_is_delivered_and_after_either_nothing_is_sent(open_end):
    class Ends(Recorder):
        def __init__(self, graceful):
            super().__init__()
            self.graceful = graceful

        def on_ws_frame(self, transport, frame):
            super().on_ws_frame(transport, frame)
            transport.disconnect(self.graceful)
            transport.send(WSMsgType.TEXT, b"too late")

    for graceful in (True, False):
        end = await open_end(Ends(graceful))
        await end.peer.send_raw(end.peer.encoded(TEXT, b"1") + end.peer.encoded(TEXT, b"2"))
        await end.listener.until_event("disconnected")
        try:
            assert await end.peer.recv_frames_to_end() == []
        except ConnectionResetError:
            assert not graceful

        assert graceful or len(end.listener.frames) == 1


async def test_b14_periodic_pings_come_every_idle_timeout(open_end):
    end = await open_end(
        enable_auto_ping=True,
        auto_ping_idle_timeout=0.3,
        auto_ping_reply_timeout=0.3,
        auto_ping_strategy=WSAutoPingStrategy.PING_PERIODICALLY,
    )
    times = []
    for _ in range(3):
        frame = await end.peer.recv_frame()
        times.append(time.monotonic())
        await end.peer.send(PONG, frame.payload)

    assert times[2] - times[0] < 0.9  # picows 2: 1.2 s


async def test_a_graceful_disconnect_ends_though_the_peer_does_not_read(open_end):
    end = await open_end(receive_buffer=4096, close_timeout=0.1)
    end.transport.send(WSMsgType.BINARY, bytes(20_000_000))
    end.transport.disconnect()

    await gone(end.transport)


async def test_a_reset_that_arrives_with_data_is_always_reported(open_end):
    for _ in range(5):
        end = await open_end()
        await end.peer.send(TEXT, b"data")
        end.peer.reset()
        await end.listener.until_event("disconnected")

        assert end.listener.events == ["connected", "frame", "disconnected"]
        assert isinstance(end.transport.disconnect_error, ConnectionResetError)


async def test_unread_pings_queue_a_bounded_number_of_pongs(open_end, exact_queue):
    end = await open_end(receive_buffer=4096)
    end.transport.send(WSMsgType.BINARY, bytes(8_000_000))
    before = end.transport.underlying_transport.get_write_buffer_size()

    for _ in range(5):
        await end.peer.send_raw(end.peer.encoded(PING, bytes(125)) * 2_000)
    await end.peer.send(TEXT, b"all are in")
    await end.listener.until_frames(1)

    assert end.transport.underlying_transport.get_write_buffer_size() - before < 70_000


async def test_a_valid_frame_in_front_of_a_bad_one_is_delivered_and_answered_first(open_end, side):
    class Answering(Recorder):
        def on_ws_frame(self, transport, frame):
            super().on_ws_frame(transport, frame)
            transport.send(WSMsgType.TEXT, b"answer")

    end = await open_end(Answering())
    await end.peer.send_raw(end.peer.encoded(TEXT, b"good") + end.peer.encoded(7, b"bad"))

    assert (await end.peer.recv_frame()).payload == b"answer"
    assert_closes_with(await end.peer.recv_frame(), 1002)
    if side == "client":
        with pytest.raises(WSProtocolError):
            await gone(end.transport)


async def test_pong_payloads_are_compared_and_asked_for_only_while_expected(open_end):
    class Counting(Recorder):
        asked = 0

        def is_user_specific_pong(self, frame):
            self.asked += 1
            return frame.msg_type == WSMsgType.PONG

        def send_user_specific_ping(self, transport):
            transport.send_ping(b"mine")

    end = await open_end(Counting())
    await end.peer.send(PONG, b"unsolicited")
    await end.listener.until_frames(1)
    assert end.listener.asked == 0
    measuring = asyncio.ensure_future(end.transport.measure_roundtrip_time(1))
    await end.peer.recv_frame()
    await end.peer.send(PONG, b"other")
    await end.listener.until_frames(2)
    assert not measuring.done()
    await end.peer.send(PONG, b"mine")

    assert len(await measuring) == 1
    assert [frame.payload for frame in end.listener.frames] == [b"unsolicited", b"other"]


async def test_get_payload_as_utf8_is_there(open_end):
    class Reading(Recorder):
        def on_ws_frame(self, transport, frame):
            self.note(frame.get_payload_as_utf8())

    end = await open_end(Reading())
    await end.peer.send(TEXT, "ü")

    await end.listener.until_event("ü")


def test_close_code_zero_is_no_info():
    assert WSCloseCode.NO_INFO == 0
