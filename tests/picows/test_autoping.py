"""Dead-peer detection on a live loop, with short timeouts; the decisions alone are keepalive's own tests."""

import asyncio
import time

import pytest

from picows import WSAutoPingStrategy, WSMsgType, ws_connect, ws_create_server

from .conftest import gone
from .ws_frames import PING, PONG, TEXT, assert_closes_with
from .ws_listeners import Recorder
from .ws_peers import PATIENCE

FAST_S = 0.1 * PATIENCE
FAST = {"enable_auto_ping": True, "auto_ping_idle_timeout": FAST_S, "auto_ping_reply_timeout": FAST_S}


async def test_a_silent_connection_is_pinged_and_lives_while_the_peer_answers(open_end):
    end = await open_end(**FAST)

    for _ in range(3):
        frame = await end.peer.recv_frame()
        assert frame.opcode == PING
        await end.peer.send(PONG, frame.payload)

    assert not end.transport.is_disconnected
    assert end.listener.frames == []


async def test_a_peer_that_does_not_answer_is_closed_with_1001(open_end):
    end = await open_end(**FAST)
    assert (await end.peer.recv_frame()).opcode == PING

    assert_closes_with(
        await end.peer.recv_frame(),
        1001,
        f"peer has not replied to ping/heartbeat request within {FAST_S:g} second(s)",
    )
    await gone(end.transport)
    assert isinstance(end.transport.disconnect_error, TimeoutError)


async def test_a_peer_that_reads_nothing_is_given_up_though_its_queue_is_full(open_end):
    end = await open_end(receive_buffer=4096, close_timeout=1000, **FAST)
    end.transport.send(WSMsgType.BINARY, bytes(20_000_000))

    await gone(end.transport)

    assert isinstance(end.transport.disconnect_error, TimeoutError)


async def test_other_data_is_no_answer_to_a_ping(open_end):
    end = await open_end(**FAST)
    assert (await end.peer.recv_frame()).opcode == PING

    await end.peer.send(TEXT, b"chatter")

    assert_closes_with(await end.peer.recv_close(), 1001)


async def test_a_pong_with_another_payload_is_no_answer(open_end):
    class Marking(Recorder):
        def send_user_specific_ping(self, transport):
            transport.send_ping(b"mine")

    end = await open_end(Marking(), **FAST)
    assert (await end.peer.recv_frame()).payload == b"mine"

    await end.peer.send(PONG, b"somebody else's")

    assert_closes_with(await end.peer.recv_close(), 1001)
    assert end.listener.frames[0].payload == b"somebody else's"


async def test_data_postpones_the_ping_when_idle(open_end):
    end = await open_end(enable_auto_ping=True, auto_ping_idle_timeout=0.3, auto_ping_reply_timeout=0.3)
    started = time.monotonic()
    for _ in range(8):
        await end.peer.send(TEXT, b"tick")
        await asyncio.sleep(0.05)

    frame = await end.peer.recv_frame()

    assert frame.opcode == PING
    assert time.monotonic() - started >= 0.35 + 0.3 - 0.05


async def test_periodic_pings_come_every_idle_timeout_even_amid_data(open_end):
    end = await open_end(
        enable_auto_ping=True,
        auto_ping_idle_timeout=0.2,
        auto_ping_reply_timeout=0.2,
        auto_ping_strategy=WSAutoPingStrategy.PING_PERIODICALLY,
    )
    times = []
    for _ in range(4):
        frame = await end.peer.recv_frame()
        times.append(time.monotonic())
        await end.peer.send(PONG, frame.payload)
        await end.peer.send(TEXT, b"data")

    # picows 2 needs idle + reply = 0.4 s for each.
    assert times[-1] - times[0] < 3 * 0.3


async def test_an_exception_in_the_users_ping_closes_with_1011(open_end, side):
    class Failing(Recorder):
        def send_user_specific_ping(self, transport):
            raise RuntimeError("no ping today")

    end = await open_end(Failing(), **FAST)

    assert_closes_with(await end.peer.recv_close(), 1011)
    if side == "client":
        with pytest.raises(RuntimeError, match="no ping today"):
            await gone(end.transport)


async def test_a_ping_that_is_due_after_send_close_is_not_sent_and_ends_the_wait(open_end):
    end = await open_end(**FAST)
    end.transport.send_close(1000)

    frames = await end.peer.recv_frames_to_end()

    assert [frame.opcode for frame in frames] == [8]


@pytest.mark.parametrize("make", [ws_connect, ws_create_server])
async def test_a_reply_timeout_above_the_idle_timeout_is_refused_at_the_door(make):
    target = ["ws://127.0.0.1:1/"] if make is ws_connect else ["127.0.0.1", 0]

    with pytest.raises(ValueError, match="auto_ping_reply_timeout <= auto_ping_idle_timeout"):
        await make(
            Recorder, *target, enable_auto_ping=True, auto_ping_idle_timeout=1, auto_ping_reply_timeout=2
        )


async def test_roundtrip_times_are_measured_in_sequence(open_end):
    end = await open_end()
    measuring = asyncio.ensure_future(end.transport.measure_roundtrip_time(3))

    for _ in range(3):
        frame = await end.peer.recv_frame()
        await asyncio.to_thread(time.sleep, 0.02)  # a loop's timers may fire early: their clock is coarser
        await end.peer.send(PONG, frame.payload)
    times = await measuring

    assert len(times) == 3
    # uvloop's sleep may end a millisecond early: its clock stands still during a turn of the loop.
    assert all(0.018 <= seconds < 5 for seconds in times)


async def test_a_round_trip_measured_while_auto_ping_is_on_leaves_detection_working(open_end):
    end = await open_end(**FAST)
    measuring = asyncio.ensure_future(end.transport.measure_roundtrip_time(1))
    await asyncio.sleep(0)
    measuring.cancel()
    await asyncio.wait([measuring])

    assert_closes_with(await end.peer.recv_close(), 1001)
