"""WSMessageAssembler: whole messages, under limits, on both sides, plain and TLS."""

import asyncio
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from picows import (
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMessageAssembler,
    WSMsgType,
    WSProtocolError,
    ws_connect,
    ws_create_server,
)

from .conftest import gone
from .cython_support import build, run
from .ws_frames import BINARY, CLOSE, CONT, PING, PONG, TEXT, assert_closes_with, close_payload
from .ws_listeners import Recorder
from .ws_peers import WAIT_S


class Assembling(WSMessageAssembler, Recorder):
    """Notes messages as (type, bytes), and control frames as (type, payload)."""

    def __init__(self, **limits):
        WSMessageAssembler.__init__(self, **limits)
        Recorder.__init__(self)
        self.told = []

    def on_ws_message(self, transport, msg_type, message):
        self.told.append((msg_type, bytes(message)))
        self.note("message")

    def on_ws_control(self, transport, frame):
        self.told.append((frame.msg_type, frame.get_payload_as_bytes()))
        self.note("control")
        super().on_ws_control(transport, frame)

    async def until_told(self, count):
        await self.until(lambda: len(self.told) >= count)


async def send_fragments(peer, opcode, pieces):
    for number, piece in enumerate(pieces):
        await peer.send(CONT if number else opcode, piece, fin=number == len(pieces) - 1)


async def test_fragments_become_one_message_and_whole_ones_stay_as_they_are(open_end):
    end = await open_end(Assembling())

    await end.peer.send(TEXT, "whole")
    await send_fragments(end.peer, TEXT, ["in ", "", "three"])
    await send_fragments(end.peer, BINARY, [b"", bytes(100_000), b"\xff"])
    await end.peer.send(BINARY, b"")
    await end.listener.until_told(4)

    assert end.listener.told == [
        (WSMsgType.TEXT, b"whole"),
        (WSMsgType.TEXT, b"in three"),
        (WSMsgType.BINARY, bytes(100_000) + b"\xff"),
        (WSMsgType.BINARY, b""),
    ]
    assert all(isinstance(msg_type, WSMsgType) for msg_type, _ in end.listener.told)


async def test_control_frames_between_fragments_are_told_in_order(open_end):
    end = await open_end(Assembling(), enable_auto_pong=False)

    await end.peer.send(TEXT, "a", fin=False)
    await end.peer.send(PONG, b"one")
    await end.peer.send(CONT, "b", fin=False)
    await end.peer.send(PING, b"two")
    await end.peer.send(CONT, "c")
    await end.listener.until_told(3)

    assert end.listener.told == [(PONG, b"one"), (PING, b"two"), (TEXT, b"abc")]


async def test_a_close_is_answered_by_default(open_end):
    end = await open_end(Assembling())

    await end.peer.send(CLOSE, close_payload(4000, "enough"))

    assert_closes_with(await end.peer.recv_close(), 4000, "enough")
    await gone(end.transport)
    assert end.listener.told == [(CLOSE, close_payload(4000, "enough"))]


@pytest.mark.parametrize("cuts", [[10], [4, 4, 2], [0, 9, 0, 1]])
async def test_a_message_of_the_limit_is_taken_and_one_byte_more_is_1009(open_end, cuts):
    end = await open_end(Assembling(max_message_size=10))
    await send_fragments(end.peer, BINARY, [b"x" * cut for cut in cuts])
    await end.listener.until_told(1)

    await send_fragments(end.peer, BINARY, [b"x" * cut for cut in [*cuts[:-1], cuts[-1] + 1]])

    assert_closes_with(
        await end.peer.recv_close(), 1009, "received a message of more than 10 bytes (max_message_size)"
    )
    assert end.listener.told == [(BINARY, b"x" * 10)]
    await end.listener.until_event("disconnected")
    assert isinstance(end.transport.disconnect_error, WSProtocolError)
    assert end.transport.disconnect_error.code == WSCloseCode.MESSAGE_TOO_BIG


async def test_more_fragments_than_the_limit_are_1009_though_they_are_empty(open_end):
    end = await open_end(Assembling(max_fragments=3))
    await send_fragments(end.peer, BINARY, [b"", b"", b""])
    await end.listener.until_told(1)

    await send_fragments(end.peer, BINARY, [b"", b"", b"", b""])

    assert_closes_with(
        await end.peer.recv_close(), 1009, "received a message of more than 3 fragments (max_fragments)"
    )
    assert end.listener.told == [(BINARY, b"")]


@pytest.mark.parametrize(
    "frames",
    [
        [(CONT, b"lost", True)],
        [(TEXT, b"a", False), (TEXT, b"b", True)],
        [(TEXT, b"", True), (CONT, b"", True)],
    ],
)
async def test_an_odd_order_is_1002_though_the_connection_is_lax(open_end, frames):
    end = await open_end(Assembling(), strict=False)

    for opcode, payload, fin in frames:
        await end.peer.send(opcode, payload, fin=fin)

    assert_closes_with(await end.peer.recv_close(), 1002)


async def test_a_kept_message_never_changes(open_end):
    class Keeping(Assembling):
        def on_ws_message(self, transport, msg_type, message):
            self.told.append(message)
            self.note("message")

    end = await open_end(Keeping())
    for number in range(50):
        await end.peer.send(BINARY, b"%04d" % number * 500)
        await send_fragments(end.peer, BINARY, [b"%04d" % number * 200, b"%04d" % number * 300])
    await end.listener.until_told(100)

    assert [bytes(view) for view in end.listener.told[::2]] == [b"%04d" % n * 500 for n in range(50)]
    assert [bytes(view) for view in end.listener.told[1::2]] == [b"%04d" % n * 500 for n in range(50)]
    assert all(view.readonly for view in end.listener.told)


async def test_a_message_in_one_frame_is_a_view_of_the_frame(open_end):
    seen = []

    class Looking(Assembling):
        def on_ws_message(self, transport, msg_type, message):
            seen.append(type(message.obj))
            self.note("message")

    end = await open_end(Looking())
    await end.peer.send(BINARY, b"one")
    await end.listener.until(lambda: seen)

    assert seen == [WSFrame]


async def test_on_ws_frame_of_a_subclass_sees_each_frame_and_passes_on_what_it_likes(open_end):
    class Both(Assembling):
        def on_ws_frame(self, transport, frame):
            self.frames.append((frame.msg_type, frame.fin))
            if frame.get_payload_as_bytes() != b"hidden":
                super().on_ws_frame(transport, frame)

    end = await open_end(Both())
    await end.peer.send(TEXT, "hidden")
    await send_fragments(end.peer, TEXT, ["a", "b"])
    await end.listener.until_told(1)

    assert end.listener.frames == [(TEXT, True), (TEXT, False), (CONT, True)]
    assert end.listener.told == [(TEXT, b"ab")]


async def test_the_class_itself_is_a_factory_of_a_client(echo_server, connect):
    class Client(WSMessageAssembler):
        def on_ws_message(self, transport, msg_type, message):
            seen.set_result(bytes(message))

    seen = asyncio.get_running_loop().create_future()
    transport, _ = await connect(echo_server.port, Client)
    transport.send(WSMsgType.TEXT, "there and back")

    assert await asyncio.wait_for(seen, WAIT_S) == b"there and back"


async def test_an_exception_in_on_ws_message_is_one_of_on_ws_frame(open_end, caplog):
    class Failing(Assembling):
        def on_ws_message(self, transport, msg_type, message):
            super().on_ws_message(transport, msg_type, message)
            if message == b"bad":
                raise LookupError("no such thing")

    end = await open_end(Failing(), disconnect_on_exception=False)
    await send_fragments(end.peer, TEXT, ["b", "ad"])
    await send_fragments(end.peer, TEXT, ["go", "od"])
    await end.listener.until_told(2)

    assert end.listener.told == [(TEXT, b"bad"), (TEXT, b"good")]
    assert "exception in on_ws_frame, the connection stays open" in caplog.text


async def test_a_message_that_a_lost_connection_left_unfinished_does_not_reach_the_next(open_end):
    listener = Assembling()
    first = await open_end(listener)
    await first.peer.send(TEXT, "half of ", fin=False)
    await first.peer.send(PONG)
    await listener.until_told(1)
    first.peer.close()
    await listener.until_event("disconnected")

    listener.transport = None
    second = await open_end(listener)
    await send_fragments(second.peer, TEXT, ["an", "other"])
    await listener.until_told(2)

    assert listener.told[1:] == [(TEXT, b"another")]


async def test_one_assembler_does_not_mix_two_connections(open_end):
    listener = Assembling()
    first = await open_end(listener)
    await first.peer.send(TEXT, "mine", fin=False)
    await first.peer.send(PONG)
    await listener.until_told(1)

    listener.transport = None
    second = await open_end(listener)
    await second.peer.send(TEXT, "yours", fin=False)

    assert_closes_with(await second.peer.recv_close(), 1011)
    assert isinstance(second.transport.disconnect_error, RuntimeError)


async def test_limits_may_be_attributes_of_a_class_or_of_an_instance(open_end):
    class Small(Assembling):
        max_message_size = 3

    end = await open_end(Small())
    await end.peer.send(TEXT, "four")
    assert_closes_with(await end.peer.recv_close(), 1009)

    listener = Assembling()
    listener.max_fragments = 1
    end = await open_end(listener)
    await send_fragments(end.peer, TEXT, ["a", "b"])
    assert_closes_with(await end.peer.recv_close(), 1009)


@pytest.mark.parametrize("limits", [{"max_message_size": 0}, {"max_fragments": -1}])
def test_limits_that_let_nothing_through_are_refused(limits):
    with pytest.raises(ValueError, match=next(iter(limits))):
        WSMessageAssembler(**limits)


def test_a_misused_assembler_does_not_crash():
    listener = WSMessageAssembler()
    for call in (listener.on_ws_frame, listener.on_ws_control):
        with pytest.raises(TypeError):
            call(None, None)
        with pytest.raises((TypeError, AttributeError)):
            call(1, 2)
    with pytest.raises(TypeError):
        WSMessageAssembler.on_ws_frame(WSListener(), None, None)
    listener.on_ws_message(None, None, None)


async def test_a_joined_message_takes_no_more_than_an_eighth_beyond_its_bytes(open_end):
    taken = []

    class Measuring(Assembling):
        def on_ws_message(self, transport, msg_type, message):
            taken.append((len(message), sys.getsizeof(message.obj)))
            self.note("message")

    end = await open_end(Measuring())
    await send_fragments(end.peer, BINARY, [bytes(1 << 15)] * 64)
    await end.listener.until(lambda: taken)

    ((size, allocated),) = taken
    assert size == 64 << 15
    assert allocated < size * 9 / 8 + 1024


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.lists(st.binary(max_size=300), min_size=1, max_size=5)), max_size=8)
)
def test_however_messages_are_cut_they_come_out_whole(messages):
    """Control frames stand between them."""

    async def main():
        listener = Assembling(max_fragments=5)
        server = await ws_create_server(lambda request: listener, "127.0.0.1", 0)
        transport, _ = await ws_connect(WSListener, f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        for is_text, pieces in messages:
            for number, piece in enumerate(pieces):
                kind = CONT if number else TEXT if is_text else BINARY
                data = piece.hex().encode() if is_text else piece
                transport.send(kind, data, number == len(pieces) - 1)
                transport.send(PONG, b"between")
        async with asyncio.timeout(WAIT_S):
            await listener.until(lambda: sum(t[0] != PONG for t in listener.told) == len(messages))
        transport.disconnect()
        await transport.wait_disconnected()
        server.close()
        return [told for told in listener.told if told[0] != PONG]

    expected = [
        (TEXT if is_text else BINARY, b"".join(p.hex().encode() if is_text else p for p in pieces))
        for is_text, pieces in messages
    ]
    assert asyncio.run(main()) == expected


CYTHON = """
from picows.picows cimport WSMessageAssembler, WSTransport

cdef class Counter(WSMessageAssembler):
    cdef readonly list told

    def __init__(self):
        self.told = []
        self.max_message_size = 100

    cpdef on_ws_message(self, WSTransport transport, object msg_type, object message):
        self.told.append(bytes(message))

class OnTop(Counter):
    seen = 0
    def on_ws_message(self, transport, msg_type, message):
        OnTop.seen += 1
        Counter.on_ws_message(self, transport, msg_type, message)
"""

CYTHON_RUN = """
import asyncio, usercode
from picows import WSListener, WSMsgType, ws_connect, ws_create_server

async def main():
    for factory in (usercode.Counter, usercode.OnTop):
        listener = factory()
        server = await ws_create_server(lambda request: listener, "127.0.0.1", 0)
        transport, _ = await ws_connect(WSListener, f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        transport.send(WSMsgType.TEXT, "whole")
        transport.send(WSMsgType.TEXT, "in ", fin=False)
        transport.send(WSMsgType.CONTINUATION, "two")
        transport.send(WSMsgType.TEXT, "x" * 101)
        await transport.wait_disconnected()
        assert transport.close_handshake is None or transport.close_handshake.recv.code == 1009
        assert listener.told == [b"whole", b"in two"], listener.told
        server.close()
    assert usercode.OnTop.seen == 2
    print("ok")

asyncio.run(main())
"""


@pytest.mark.user_build
@pytest.mark.slow
def test_a_subclass_in_cython_is_called_through_the_vtable(tmp_path):
    build(tmp_path, CYTHON)
    (tmp_path / "run.py").write_text(CYTHON_RUN)

    ran = run(tmp_path, "run.py")

    assert (ran.returncode, ran.stdout) == (0, "ok\n"), ran.stderr
