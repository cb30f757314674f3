"""Nothing that a user can do from Python crashes the process: wrong types, wrong threads, wrong times."""

import asyncio
import os
import socket
import threading

import pytest

import picows
from picows import WSCloseCode, WSMsgType, WSProtocolError
from picows.stream.loopio import STREAMS

from .interop_support import our_server
from .wire_support import (
    CLOSE,
    CONTINUATION,
    PING,
    TEXT,
    TIMEOUT_S,
    Recorder,
    client_of_bare_server,
    frame,
    read_exactly,
    read_to_end,
    write_all,
)

SENDS = {
    "send": (WSMsgType.TEXT, b"x"),
    "send_ping": (b"x",),
    "send_pong": (b"x",),
    "send_close": (WSCloseCode.OK, b"x"),
    "send_reuse_external_bytearray": (WSMsgType.TEXT, bytearray(20), 14),
    "disconnect": (),
    "notify_user_specific_pong_received": (),
}


# -------------------------------------------------------------------------------------------- wrong arguments


BUFFER = bytearray(20)
WRONG_CALLS = {
    "send": [
        (),
        (TEXT,),
        (None, b""),
        ("TEXT", b""),
        (b"", b""),
        (2**70, b""),
        (TEXT, 5),
        (TEXT, []),
        (TEXT, object()),
        (TEXT, memoryview(b"abcd")[::2]),
        (TEXT, b"", 1, 1, 1, 1, 1),
    ],
    "send_ping": [(5,), ([],), (object(),), (b"", b""), (bytes(126),), ("\ud800",)],
    "send_pong": [(5,), ([],), (object(),), (b"", b""), (bytes(126),), ("\ud800",)],
    "send_close": [
        ("x",),
        (None,),
        (b"",),
        (1000, 5),
        (1000, []),
        (999,),
        (1005,),
        (1006,),
        (1015,),
        (2999,),
        (5000,),
        (70000,),
        (-1,),
        (2**70,),
        (1000, "x" * 124),
        (1000, b"\xff"),
        (1000, "\ud800"),
        (0, b"a reason"),
        (1000, b"", 1),
    ],
    "send_reuse_external_bytearray": [
        (),
        (TEXT, None, 14),
        (TEXT, bytes(20), 14),
        (TEXT, "x" * 20, 14),
        (TEXT, BUFFER, 13),
        (TEXT, BUFFER, 21),
        (TEXT, BUFFER, -1),
        (TEXT, BUFFER, 2**70),
        (TEXT, BUFFER, None),
        (CLOSE, BUFFER, 14),
        (7, BUFFER, 14),
        (PING, bytearray(140), 14),
    ],
    "disconnect": [(True, 1)],
    "notify_user_specific_pong_received": [(1,)],
}


@pytest.mark.parametrize("method", WRONG_CALLS)
async def test_wrong_arguments_raise_and_the_connection_goes_on(method):
    async with client_of_bare_server() as (transport, _, sock):
        for arguments in WRONG_CALLS[method]:
            with pytest.raises((TypeError, ValueError, OverflowError, BufferError)):
                getattr(transport, method)(*arguments)

        transport.send(TEXT, b"alive")
        assert (await read_exactly(sock, 11))[0] == 0x81


@pytest.mark.parametrize(
    "arguments",
    [
        (WSMsgType.CLOSE, b"x"),
        (WSMsgType.CLOSE, b"\x03\xed"),
        (WSMsgType.PING, bytes(126)),
        (WSMsgType.PONG, bytes(126)),
        (WSMsgType.PING, b"", False),
        (WSMsgType.CONTINUATION, b""),
        (WSMsgType.TEXT, b"", True, True),
        (WSMsgType.TEXT, "\ud800"),
        (3, b""),
        (7, b""),
        (11, b""),
        (200, b""),
        (-1, b""),
    ],
)
async def test_frames_that_rfc_6455_forbids_are_a_value_error(arguments):
    async with client_of_bare_server() as (transport, _, _s):
        with pytest.raises((ValueError, OverflowError)):
            transport.send(*arguments)
        assert not transport.is_close_frame_sent
        transport.send(TEXT, b"a", False)
        with pytest.raises(ValueError, match=r"5\.4"):
            transport.send(TEXT, b"b")
        transport.send(CONTINUATION, b"b")


@pytest.mark.parametrize("rounds", [0, -1, None, "1", 1.5, True])
async def test_wrong_rounds_are_refused(rounds):
    async with client_of_bare_server() as (transport, _, _s):
        with pytest.raises((TypeError, ValueError, OverflowError)):
            await transport.measure_roundtrip_time(rounds)


async def test_stream_methods_with_wrong_arguments():
    async with client_of_bare_server() as (transport, listener, sock):
        stream = transport.underlying_transport
        for wrong in (
            {"high": -1},
            {"low": -1},
            {"high": 1, "low": 2},
            {"high": "x"},
            {"low": None, "high": 2**80},
        ):
            with pytest.raises((TypeError, ValueError, OverflowError)):
                stream.set_write_buffer_limits(**wrong)
        with pytest.raises(TypeError):
            stream.get_extra_info(None)
        assert stream.get_extra_info("no such thing", 5) == 5
        await write_all(sock, frame(TEXT, b"hi"))
        assert await listener.received(1) == [(TEXT, b"hi", True)]


# ----------------------------------------------------------------------------------------------- wrong thread


@pytest.mark.parametrize("method", SENDS)
async def test_every_method_refuses_a_foreign_thread(method):
    async with client_of_bare_server() as (transport, _, _s):
        raised = []

        def call():
            try:
                getattr(transport, method)(*SENDS[method])
            except Exception as error:
                raised.append(error)

        thread = threading.Thread(target=call)
        thread.start()
        await asyncio.to_thread(thread.join)

        assert isinstance(raised[0], RuntimeError)
        assert method in str(raised[0])
        assert "thread" in str(raised[0])
        assert not transport.is_close_frame_sent


@pytest.mark.parametrize("method", ["wait_disconnected", "measure_roundtrip_time"])
async def test_coroutines_refuse_a_foreign_thread(method):
    async with client_of_bare_server() as (transport, _, _s):
        arguments = (1,) if method == "measure_roundtrip_time" else ()

        def call():
            asyncio.run(getattr(transport, method)(*arguments))

        with pytest.raises(RuntimeError, match="wrong thread"):
            await asyncio.to_thread(call)


# --------------------------------------------------------------------------------------- after the connection


async def test_every_method_is_quiet_after_the_end():
    async with client_of_bare_server() as (transport, listener, _):
        transport.disconnect(graceful=False)
        await asyncio.wait_for(transport.wait_disconnected(), TIMEOUT_S)

        for method, arguments in SENDS.items():
            getattr(transport, method)(*arguments)
        with pytest.raises(ConnectionResetError):
            await transport.measure_roundtrip_time(1)
        stream = transport.underlying_transport
        for name in (
            "close",
            "abort",
            "pause_reading",
            "resume_reading",
            "is_reading",
            "get_write_buffer_size",
            "get_write_buffer_limits",
            "set_write_buffer_limits",
        ):
            getattr(stream, name)()
        assert stream.is_closing()
        for name in ("socket", "peername", "sockname", "ssl_object"):
            stream.get_extra_info(name)
        assert listener.disconnects == 1
        await transport.wait_disconnected()
        assert isinstance(repr(transport), str)


@pytest.mark.skipif(STREAMS == "loop", reason="a socket of uvloop's transports has no shutdown()")
async def test_shutting_the_socket_down_under_us_ends_the_connection():
    async with client_of_bare_server() as (transport, listener, _):
        transport.underlying_transport.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        transport.send(TEXT, b"into the void")

        await asyncio.wait_for(listener.is_disconnected.wait(), TIMEOUT_S)
        assert transport.is_disconnected


@pytest.mark.skipif(STREAMS == "loop", reason="the loop's own transport owns the descriptor")
async def test_closing_the_descriptor_under_us_ends_the_connection_at_the_next_send():
    async with client_of_bare_server() as (transport, listener, _):
        kept = transport.underlying_transport.get_extra_info("socket")
        number = kept.fileno()
        os.close(number)
        transport.send(TEXT, b"into the void")

        await asyncio.wait_for(listener.is_disconnected.wait(), TIMEOUT_S)
        assert isinstance(transport.disconnect_error, OSError)


async def test_a_dead_or_closed_socket_of_a_factory_fails_the_connect():
    kept, theirs = socket.socketpair()
    theirs.close()
    with pytest.raises((picows.WSHandshakeError, OSError)):
        await picows.ws_connect(Recorder, "ws://test/", socket_factory=lambda host, port: kept)

    closed = socket.socket()
    closed.close()
    with pytest.raises((OSError, ValueError)):
        await picows.ws_connect(Recorder, "ws://test/", socket_factory=lambda host, port: closed)


# ----------------------------------------------------------------------------------------- listeners that err


@pytest.mark.parametrize(
    "error",
    [
        WSProtocolError("not a code", "message"),
        WSProtocolError(None, None),
        WSProtocolError(10**30, "x"),
        WSProtocolError(0, "x"),
        WSProtocolError(1005, b"bytes"),
        WSProtocolError(-1, ["list"]),
        WSProtocolError(4000, "é" * 500),
        WSProtocolError(4000, "\ud800"),
    ],
)
async def test_a_listener_may_raise_any_protocol_error(error):
    def fail(transport, received):
        raise error

    async with client_of_bare_server(Recorder(fail)) as (transport, _, sock):
        await write_all(sock, frame(TEXT, b"x"))
        with pytest.raises(WSProtocolError) as caught:
            await asyncio.wait_for(transport.wait_disconnected(), TIMEOUT_S)
        wire = await read_to_end(sock)

    assert caught.value is error
    payload = bytes(byte ^ wire[2 + i % 4] for i, byte in enumerate(wire[6:]))
    assert wire[0] == 0x88
    assert len(payload) <= 125
    assert int.from_bytes(payload[:2], "big") == (4000 if error.code == 4000 else 1011)
    payload[2:].decode()


async def test_a_listener_that_frees_everything_it_is_given():
    async with client_of_bare_server() as (transport, listener, sock):

        def hostile(given, received):
            given.disconnect(graceful=False)
            given.send(TEXT, b"late")
            given.send_close()
            given.underlying_transport.abort()
            given.underlying_transport.resume_reading()

        listener.on_frame = hostile
        await write_all(sock, frame(TEXT, b"a") + frame(TEXT, b"b"))
        await asyncio.wait_for(transport.wait_disconnected(), TIMEOUT_S)

    assert listener.frames == [(TEXT, b"a", True)]
    assert listener.disconnects == 1


class WantsOne(picows.WSListener):
    def __init__(self, url):
        self.url = url


@pytest.mark.parametrize("factory", [WantsOne, lambda one: picows.WSListener()])
async def test_a_factory_of_one_argument_is_told_what_it_is_called_with(raw_listener, connect, factory):
    accepting = asyncio.ensure_future(raw_listener.accept_upgrade())

    with pytest.raises(TypeError, match=r"ws_listener_factory: .* f\(\) or f\(request, response\)") as caught:
        await connect(raw_listener.port, factory)

    assert "missing 1 required positional argument" in str(caught.value)
    await accepting


async def test_a_type_error_inside_a_factory_without_arguments_is_raised_as_it_is(raw_listener, connect):
    def factory():
        raise TypeError("from inside")

    accepting = asyncio.ensure_future(raw_listener.accept_upgrade())

    with pytest.raises(TypeError, match=r"^from inside$"):
        await connect(raw_listener.port, factory)

    await accepting


async def test_plain_connection_to_a_tls_port_is_told_of_wss():
    async with our_server(lambda request: Recorder(), is_secure=True) as port:
        with pytest.raises(picows.WSHandshakeError, match=r"before it answered.*wss://"):
            await picows.ws_connect(Recorder, f"ws://127.0.0.1:{port}/")
