"""WSFrame: valid during one callback; a kept frame raises, a kept memoryview keeps its bytes."""

import asyncio
import ctypes
import gc
import pickle
import traceback

import pytest

import picows
from picows import WSCloseCode, WSFrame, WSMsgType

from .wire_support import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    TEXT,
    TIMEOUT_S,
    Recorder,
    client_of_bare_server,
    close_payload,
    frame,
    write_all,
)


async def look_at(data, look, **options):
    """Run `look(frame)` in on_ws_frame of the first frame; its result, or what it raised."""
    results = []

    def on_frame(transport, received):
        if not results:
            try:
                results.append(look(received))
            except Exception as error:
                results.append(error)

    async with client_of_bare_server(Recorder(on_frame), **options) as (_, listener, sock):
        await write_all(sock, data)
        await listener.received(1)
    return results[0]


GETTERS = [
    "get_payload_as_bytes",
    "get_payload_as_utf8_text",
    "get_payload_as_utf8",
    "get_payload_as_ascii_text",
    "get_payload_as_memoryview",
]
CLOSE_GETTERS = ["get_close_code", "get_close_message", "get_close_reason"]


# ---------------------------------------------------------------------------------------- inside the callback


@pytest.mark.parametrize(
    ("getter", "expected"), list(zip(GETTERS, [b"hi", "hi", "hi", "hi", memoryview(b"hi")], strict=True))
)
async def test_getters_give_the_payload(getter, expected):
    def look(received):
        got = getattr(received, getter)()
        return type(got), got == expected

    assert await look_at(frame(TEXT, b"hi"), look) == (type(expected), True)


async def test_getters_give_an_empty_payload():
    def look(received):
        return [getattr(received, getter)() for getter in GETTERS[:4]] + [
            bytes(received.get_payload_as_memoryview())
        ]

    assert await look_at(frame(BINARY), look) == [b"", "", "", "", b""]


async def test_attributes_tell_the_header():
    def look(received):
        return (
            received.msg_type,
            received.fin,
            received.rsv1,
            received.rsv2,
            received.rsv3,
            received.payload_size,
            received.last_in_buffer,
            received.tail_size,
        )

    second = frame(CONTINUATION, b"cd")
    got = await look_at(frame(BINARY, b"abc", fin=False, rsv=5) + second, look, strict=False)

    assert got == (WSMsgType.BINARY, False, True, False, True, 3, False, len(second))


async def test_str_is_that_of_the_documentation():
    text = await look_at(frame(TEXT, b"hello"), str)

    assert text == (
        "WSFrame(TEXT, fin=True, rsv1=False, rsv2=False, rsv3=False, last_in_buffer=True, "
        "payload_sz=5, tail_sz=0)"
    )


async def test_memoryview_compares_with_bytes_and_is_read_only():
    def look(received):
        view = received.get_payload_as_memoryview()
        with pytest.raises(TypeError):
            view[0] = 1
        return view == b"pong", view.readonly, view.format, view.c_contiguous

    assert await look_at(frame(TEXT, b"pong"), look) == (True, True, "B", True)


async def test_a_writable_view_is_refused():
    def look(received):
        with pytest.raises((BufferError, TypeError)):
            (ctypes.c_char * 2).from_buffer(received)
        return "refused"

    assert await look_at(frame(TEXT, b"hi"), look) == "refused"


@pytest.mark.parametrize(
    "getter", ["get_payload_as_utf8_text", "get_payload_as_utf8", "get_payload_as_ascii_text"]
)
async def test_a_payload_that_cannot_be_decoded_raises_unicode_decode_error(getter):
    def look(received):
        error = None
        try:
            getattr(received, getter)()
        except UnicodeDecodeError as raised:
            error = raised
        return type(error), received.get_payload_as_bytes()

    assert await look_at(frame(BINARY, b"\xff\xfe"), look) == (UnicodeDecodeError, b"\xff\xfe")


@pytest.mark.parametrize("getter", CLOSE_GETTERS)
async def test_close_getters_raise_assertion_error_on_other_frames(getter):
    assert isinstance(await look_at(frame(TEXT, b"hi"), lambda f: getattr(f, getter)()), AssertionError)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"", (WSCloseCode.NO_INFO, None, None)),
        (close_payload(1000), (WSCloseCode.OK, None, None)),
        (close_payload(1001, b"bye"), (WSCloseCode.GOING_AWAY, b"bye", "bye")),
        (close_payload(4999, "é".encode()), (4999, "é".encode(), "é")),
    ],
)
async def test_close_getters(payload, expected):
    def look(received):
        return tuple(getattr(received, getter)() for getter in CLOSE_GETTERS)

    got = await look_at(frame(CLOSE, payload), look)

    assert got == expected
    assert isinstance(got[0], WSCloseCode)


# ------------------------------------------------------------------------------------------------ kept frames


async def test_a_kept_frame_raises_and_says_what_to_do():
    kept = await look_at(frame(TEXT, b"hi"), lambda received: received)

    for getter in GETTERS + CLOSE_GETTERS:
        with pytest.raises(RuntimeError, match="get_payload_as_bytes"):
            getattr(kept, getter)()
    with pytest.raises(RuntimeError):
        memoryview(kept)
    assert (kept.msg_type, kept.payload_size) == (WSMsgType.TEXT, 2)
    assert "TEXT" in str(kept)


async def test_a_kept_frame_does_not_turn_into_a_later_one():
    kept = []

    async with client_of_bare_server(Recorder(lambda _, received: kept.append(received))) as (
        _,
        listener,
        sock,
    ):
        await write_all(sock, b"".join(frame(BINARY, bytes(i)) for i in range(20)))
        await listener.received(20)

    assert [received.payload_size for received in kept] == list(range(20))
    assert len({id(received) for received in kept}) == 20


async def test_one_frame_object_serves_all_frames_that_nobody_keeps():
    ids = []

    async with client_of_bare_server(Recorder(lambda _, received: ids.append(id(received)))) as (
        _,
        listener,
        sock,
    ):
        for count in range(1, 6):
            await write_all(sock, frame(TEXT, b"x") * 3)
            await listener.received(3 * count)

    assert len(set(ids)) == 1


async def test_a_frame_in_the_traceback_of_an_exception_is_closed():
    async with client_of_bare_server(Recorder(lambda _, received: 1 // 0), disconnect_on_exception=False) as (
        _,
        listener,
        sock,
    ):
        await write_all(sock, frame(TEXT, b"one") + frame(TEXT, b"two"))
        await listener.received(2)

    for error in listener.errors:
        held = [
            tb.f_locals["received"]
            for tb, _ in traceback.walk_tb(error.__traceback__)
            if "received" in tb.f_locals
        ]
        assert len(held) == 1
        with pytest.raises(RuntimeError):
            held[0].get_payload_as_bytes()


def test_a_frame_made_by_a_user_is_closed():
    made = WSFrame()

    for getter in GETTERS + CLOSE_GETTERS:
        with pytest.raises(RuntimeError):
            getattr(made, getter)()
    assert isinstance(repr(made), str)
    with pytest.raises(AttributeError):
        made.payload_size = 10**9


# ------------------------------------------------------------------------------------------- kept memoryviews


async def test_a_kept_memoryview_keeps_its_bytes_through_later_traffic():
    views = []

    def keep_some(_, received):
        if len(received.get_payload_as_memoryview()) <= 8 or received.payload_size > 100_000:
            views.append(received.get_payload_as_memoryview())

    async with client_of_bare_server(Recorder(keep_some)) as (_, listener, sock):
        expected = []
        count = 0
        for i in range(30):
            small, large = i.to_bytes(4, "big") * 2, bytes([i]) * 150_000
            expected += [small, large]
            await write_all(sock, frame(BINARY, small) + frame(TEXT, b"-" * 5000) * 3 + frame(BINARY, large))
            count += 5
            await listener.received(count)
            assert [bytes(view) for view in views] == expected
        gc.collect()

    assert [bytes(view) for view in views] == expected


async def test_a_memoryview_of_a_kept_view_keeps_its_bytes_too():
    views = await look_at(
        frame(BINARY, bytes(range(200))),
        lambda received: memoryview(received.get_payload_as_memoryview()[50:60])[2:4].cast("H"),
    )

    for _ in range(50):
        bytearray(256 * 1024)

    assert bytes(views) == bytes([52, 53])


async def test_a_kept_memoryview_survives_an_exception_in_the_callback():
    views = []

    def keep_and_raise(_, received):
        views.append(received.get_payload_as_memoryview())
        raise LookupError

    async with client_of_bare_server(Recorder(keep_and_raise), disconnect_on_exception=False) as (
        _,
        listener,
        sock,
    ):
        for i in range(20):
            await write_all(sock, frame(BINARY, bytes([i]) * 3000) * 2)
            await listener.received(2 * i + 2)

    listener.errors.clear()
    gc.collect()
    assert [bytes(view) for view in views] == [bytes([i // 2]) * 3000 for i in range(40)]


async def test_a_kept_memoryview_survives_a_failing_connection():
    views = []

    def keep(_, received):
        views.append(received.get_payload_as_memoryview())

    async with client_of_bare_server(Recorder(keep)) as (transport, _, sock):
        await write_all(sock, frame(BINARY, b"x" * 1000) + frame(3))
        with pytest.raises(picows.WSProtocolError):
            await asyncio.wait_for(transport.wait_disconnected(), TIMEOUT_S)
    del transport, _
    gc.collect()

    assert bytes(views[0]) == b"x" * 1000


async def test_releasing_inside_and_outside_the_callback():
    views = []

    def keep_one_of_three(_, received):
        first, second, third = (received.get_payload_as_memoryview() for _ in range(3))
        first.release()
        views.append(second)
        with third:
            pass

    async with client_of_bare_server(Recorder(keep_one_of_three)) as (_, listener, sock):
        for i in range(10):
            await write_all(sock, frame(BINARY, bytes([i]) * 100))
            await listener.received(i + 1)
            if i % 2:
                views.pop().release()

    assert [bytes(view)[0] for view in views] == [0, 2, 4, 6, 8]


async def test_a_released_view_leaves_a_closed_frame():
    view = await look_at(frame(BINARY, b"x"), lambda received: received.get_payload_as_memoryview())
    owner = view.obj

    assert isinstance(owner, WSFrame)
    assert bytes(view) == b"x"
    view.release()
    with pytest.raises(RuntimeError):
        memoryview(owner)


async def test_a_ping_that_is_delivered_is_a_frame_like_any_other():
    view = await look_at(
        frame(PING, b"p" * 125), lambda received: received.get_payload_as_memoryview(), enable_auto_pong=False
    )

    assert bytes(view) == b"p" * 125


def test_the_enums_are_enums_though_their_members_are_read_plainly():
    assert (WSMsgType.TEXT.name, WSMsgType.TEXT.value, WSMsgType["TEXT"]) == ("TEXT", 1, WSMsgType.TEXT)
    assert [member.name for member in WSMsgType][:2] == ["CONTINUATION", "TEXT"]
    assert pickle.loads(pickle.dumps(WSMsgType.BINARY)) is WSMsgType.BINARY
    assert repr(WSMsgType(200)) == "<WSMsgType: 200>"
    with pytest.raises(AttributeError, match="WSMsgType"):
        WSMsgType.NOTHING  # noqa: B018
    with pytest.raises(AttributeError, match="reassign"):
        WSMsgType.TEXT = 2
