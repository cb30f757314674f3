"""Points of the topic guides about callbacks and frames: 1, 3, 4, 5, 49 to 53."""

import asyncio
import inspect
import logging

import pytest

import picows
from picows import PICOWS_DEBUG_LL, WSListener, WSMsgType

from .conftest import gone
from .ws_frames import BINARY, CLOSE, CONT, TEXT, close_payload
from .ws_listeners import Recorder, Seen

CALLBACKS = [
    "on_ws_connected",
    "on_ws_frame",
    "on_ws_disconnected",
    "send_user_specific_ping",
    "is_user_specific_pong",
    "pause_writing",
    "resume_writing",
]


def test_p01_all_callbacks_are_plain_functions():
    assert not any(inspect.iscoroutinefunction(getattr(WSListener, name)) for name in CALLBACKS)


async def test_p01_frames_of_one_read_are_delivered_inside_one_read_event(open_end):
    turns = []

    class Watching(Recorder):
        def on_ws_frame(self, transport, frame):
            asyncio.get_running_loop().call_soon(turns.append, "turn")
            turns.append("frame")
            super().on_ws_frame(transport, frame)

    end = await open_end(Watching())
    await end.peer.send_raw(b"".join(end.peer.encoded(TEXT, b"x") for _ in range(5)))
    await end.listener.until_frames(5)

    assert turns[:5] == ["frame"] * 5


async def test_p01_payloads_are_views_of_the_receive_buffer_and_not_copies(open_end):
    class Slicing(Recorder):
        def on_ws_frame(self, transport, frame):
            self.view = frame.get_payload_as_memoryview()
            self.note("viewed")

    end = await open_end(Slicing())
    await end.peer.send(BINARY, b"0123456789")
    await end.listener.until_event("viewed")

    assert type(end.listener.view.obj) is picows.WSFrame
    assert end.listener.view.readonly


async def test_p03_fragments_are_delivered_as_frames_and_never_concatenated(open_end):
    end = await open_end()
    await end.peer.send(TEXT, b"one ", fin=False)
    await end.peer.send(CONT, b"two ", fin=False)
    await end.peer.send(CONT, b"three", fin=True)
    await end.listener.until_frames(3)

    assert end.listener.frames == [
        Seen(WSMsgType.TEXT, b"one ", False),
        Seen(WSMsgType.CONTINUATION, b"two ", False),
        Seen(WSMsgType.CONTINUATION, b"three", True),
    ]


async def test_p04_fin_false_sends_a_fragment(open_end):
    end = await open_end()
    end.transport.send(WSMsgType.BINARY, b"a", fin=False)
    end.transport.send(WSMsgType.CONTINUATION, b"b", fin=False)
    end.transport.send(WSMsgType.CONTINUATION, b"c", True)

    frames = [await end.peer.recv_frame() for _ in range(3)]

    assert [(frame.opcode, frame.fin) for frame in frames] == [(BINARY, False), (CONT, False), (CONT, True)]


async def test_p05_the_level_of_the_picows_logger_enables_debug_logs(open_end, caplog):
    caplog.set_level(logging.INFO)
    quiet = await open_end()
    quiet.transport.send(WSMsgType.TEXT, b"unseen")
    before = caplog.text
    caplog.set_level(PICOWS_DEBUG_LL, logger="picows")
    loud = await open_end()
    loud.transport.send(WSMsgType.TEXT, b"seen")

    assert "send TEXT" not in before
    assert "send TEXT" in caplog.text


async def test_p49_a_frame_is_valid_until_the_first_await_of_an_eager_task(open_end):
    """Eager tasks need 3.12; what they do, running a coroutine's first part at once, does not."""
    results = []

    class Eager(Recorder):
        def on_ws_frame(self, transport, frame):
            coroutine = self.handle(frame)
            coroutine.send(None)
            self.rest = coroutine
            self.note("handled")

        async def handle(self, frame):
            results.append(frame.get_payload_as_bytes())
            await asyncio.sleep(0)
            try:
                frame.get_payload_as_bytes()
            except RuntimeError as exc:
                results.append(str(exc))

    end = await open_end(Eager())
    await end.peer.send(TEXT, b"early")
    await end.listener.until_event("handled")
    with pytest.raises(StopIteration):
        end.listener.rest.send(None)

    assert results[0] == b"early"
    assert "kept after on_ws_frame returned" in results[1]


async def test_p49_a_kept_memoryview_never_shows_later_data(open_end):
    class Keeping(Recorder):
        def on_ws_frame(self, transport, frame):
            self.kept = [*getattr(self, "kept", []), frame.get_payload_as_memoryview()]
            self.note("kept")

    end = await open_end(Keeping())
    for i in range(50):
        await end.peer.send(BINARY, b"%050d" % i)
    await end.listener.until(lambda: end.listener.events.count("kept") == 50)
    end.transport.disconnect(False)
    await gone(end.transport)

    assert [bytes(view) for view in end.listener.kept] == [b"%050d" % i for i in range(50)]


@pytest.mark.parametrize("size", [0, 100, 10_000, 2_000_000])
async def test_p50_a_frames_own_payload_can_be_sent_back_though_it_must_be_queued(open_end, size):
    class Echoing(Recorder):
        def on_ws_frame(self, transport, frame):
            for _ in range(3):
                transport.send(frame.msg_type, frame.get_payload_as_memoryview())

    end = await open_end(Echoing(), receive_buffer=4096)
    payload = bytes(i * 7 % 251 for i in range(size))
    await end.peer.send(BINARY, payload)

    for _ in range(3):
        assert (await end.peer.recv_frame()).payload == payload


async def test_p51_both_names_of_the_text_getter_exist(open_end):
    class Reading(Recorder):
        def on_ws_frame(self, transport, frame):
            self.texts = (frame.get_payload_as_utf8(), frame.get_payload_as_utf8_text())
            self.note("read")

    end = await open_end(Reading())
    await end.peer.send(TEXT, "Grüße")
    await end.listener.until_event("read")

    assert end.listener.texts == ("Grüße", "Grüße")


async def test_p52_callbacks_are_methods_with_self(open_end):
    end = await open_end()  # Recorder's callbacks take self; the guide's examples leave it out by mistake
    await end.peer.send(TEXT, b"x")

    await end.listener.until_frames(1)


async def test_p52_a_callback_may_be_assigned_to_the_listener_before_it_connects(open_end):
    listener = Recorder()
    seen = []
    listener.on_ws_frame = lambda transport, frame: (
        seen.append(frame.get_payload_as_bytes()),
        listener.note("seen"),
    )
    end = await open_end(listener)

    await end.peer.send(TEXT, b"x")
    await listener.until_event("seen")

    assert seen == [b"x"]


@pytest.mark.parametrize(
    ("payload", "code", "message"),
    [
        (b"", picows.WSCloseCode.NO_INFO, None),
        (close_payload(1000), 1000, None),
        (close_payload(4000, "why"), 4000, b"why"),
    ],
)
async def test_p53_close_message_is_bytes_and_none_if_absent(open_end, payload, code, message):
    class Reading(Recorder):
        def on_ws_frame(self, transport, frame):
            self.close = (frame.get_close_code(), frame.get_close_message())
            self.note("read")

    end = await open_end(Reading())
    await end.peer.send(CLOSE, payload)
    await end.listener.until_event("read")

    assert end.listener.close == (code, message)
