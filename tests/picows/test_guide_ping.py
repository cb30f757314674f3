"""Points of the topic guides about pings and pongs: 17 to 24 and 34. More of it: test_autoping.py."""

import asyncio
import inspect
import json

import pytest

from picows import WSListener, WSMsgType, ws_connect, ws_create_server

from .conftest import gone
from .ws_frames import PING, PONG, TEXT, assert_closes_with
from .ws_listeners import Recorder
from .ws_peers import PATIENCE

FAST_S = 0.1 * PATIENCE
FAST = {"enable_auto_ping": True, "auto_ping_idle_timeout": FAST_S, "auto_ping_reply_timeout": FAST_S}


class TextPing(Recorder):
    """The guide's example: TEXT "ping" and "pong"."""

    def send_user_specific_ping(self, transport):
        transport.send(WSMsgType.TEXT, b"ping")

    def is_user_specific_pong(self, frame):
        return frame.msg_type == WSMsgType.TEXT and frame.get_payload_as_memoryview() == b"pong"


@pytest.mark.parametrize("function", [ws_connect, ws_create_server])
def test_p17_auto_ping_is_off_by_default_and_has_three_parameters(function):
    parameters = inspect.signature(function).parameters

    assert parameters["enable_auto_ping"].default is False
    assert {"auto_ping_idle_timeout", "auto_ping_reply_timeout"} <= parameters.keys()


async def test_p18_a_ping_follows_inactivity_and_no_pong_in_time_disconnects(open_end):
    end = await open_end(**FAST)

    assert (await end.peer.recv_frame()).opcode == PING
    assert_closes_with(await end.peer.recv_frame(), 1001)

    await gone(end.transport)


async def test_p19_send_user_specific_ping_can_be_text(open_end):
    end = await open_end(TextPing(), **FAST)

    frame = await end.peer.recv_frame()

    assert (frame.opcode, frame.payload) == (TEXT, b"ping")


async def test_p19_the_default_ping_is_a_ping_frame(open_end):
    end = await open_end()
    WSListener.send_user_specific_ping(end.listener, end.transport)

    frame = await end.peer.recv_frame()

    assert (frame.opcode, frame.payload) == (PING, b"")


async def test_p20_is_user_specific_pong_is_asked_before_on_ws_frame(open_end):
    class Watching(TextPing):
        def is_user_specific_pong(self, frame):
            self.note("asked")
            return super().is_user_specific_pong(frame)

    end = await open_end(Watching(), **FAST)
    await end.peer.recv_frame()
    await end.peer.send(TEXT, b"data")
    await end.listener.until_frames(1)

    assert end.listener.events == ["connected", "asked", "frame"]


async def test_p21_a_recognised_pong_is_not_delivered_and_keeps_the_connection(open_end):
    end = await open_end(TextPing(), **FAST)

    for _ in range(4):
        assert (await end.peer.recv_frame()).payload == b"ping"
        await end.peer.send(TEXT, b"pong")

    assert end.listener.frames == []
    assert not end.transport.is_disconnected


async def test_p22_a_pong_can_be_told_late_from_on_ws_frame(open_end):
    class JsonPing(Recorder):
        def send_user_specific_ping(self, transport):
            transport.send(WSMsgType.TEXT, b'{"op":"ping"}')

        def is_user_specific_pong(self, frame):
            return False

        def on_ws_frame(self, transport, frame):
            if json.loads(frame.get_payload_as_utf8())["op"] == "pong":
                transport.notify_user_specific_pong_received()

    end = await open_end(JsonPing(), **FAST)

    for _ in range(4):
        assert (await end.peer.recv_frame()).payload == b'{"op":"ping"}'
        await end.peer.send(TEXT, b'{"op":"pong"}')

    assert not end.transport.is_disconnected


async def test_p22_notify_without_a_ping_does_nothing(open_end):
    end = await open_end()

    end.transport.notify_user_specific_pong_received()

    assert not end.transport.is_disconnected


async def test_p23_a_memoryview_compares_equal_to_bytes(open_end):
    class Comparing(Recorder):
        def on_ws_frame(self, transport, frame):
            view = frame.get_payload_as_memoryview()
            self.note((view == b"pong", view == b"ping"))

    end = await open_end(Comparing())
    await end.peer.send(TEXT, b"pong")

    await end.listener.until_event((True, False))


@pytest.mark.parametrize("payload", [b"", b"abc", bytes(125)])
async def test_p24_auto_pong_answers_with_the_same_payload_and_delivers_nothing(open_end, payload):
    end = await open_end()
    await end.peer.send(PING, payload)

    frame = await end.peer.recv_frame()

    assert (frame.opcode, frame.payload) == (PONG, payload)
    assert end.listener.frames == []


async def test_p24_without_auto_pong_pings_are_delivered_and_answered_by_hand(open_end):
    class Manual(Recorder):
        def on_ws_frame(self, transport, frame):
            super().on_ws_frame(transport, frame)
            if frame.msg_type == WSMsgType.PING:
                transport.send_pong(frame.get_payload_as_bytes() + b"!")

    end = await open_end(Manual(), enable_auto_pong=False)
    await end.peer.send(PING, b"hey")

    assert (await end.peer.recv_frame()).payload == b"hey!"
    assert end.listener.frames[0].msg_type == WSMsgType.PING


async def test_p34_measure_roundtrip_time_uses_the_users_ping_and_pong_repeatedly(open_end):
    end = await open_end(TextPing())
    measuring = asyncio.ensure_future(end.transport.measure_roundtrip_time(3))

    for _ in range(3):
        assert (await end.peer.recv_frame()).payload == b"ping"
        assert not measuring.done()
        await end.peer.send(TEXT, b"pong")

    assert len(await measuring) == 3
    assert end.listener.frames == []
