"""Points of the topic guides about errors: 6 to 16 and 55. The rules in full: test_exceptions_rules.py."""

import asyncio
import socket

import pytest

from picows import (
    WSError,
    WSHandshakeError,
    WSInvalidHeaderError,
    WSInvalidMessageError,
    WSInvalidStatusError,
    WSInvalidUpgradeError,
    WSInvalidURL,
    WSMsgType,
    WSProtocolError,
    ws_connect,
)

from .conftest import gone
from .ws_frames import TEXT, assert_closes_with
from .ws_listeners import Echo, Raising, Recorder


class Boom(Exception):
    pass


async def test_p06_system_exceptions_are_not_wrapped(raw_listener, connect):
    connecting = asyncio.ensure_future(connect(raw_listener.port))
    peer = await raw_listener.accept()
    await peer.recv_head()
    peer.reset()

    with pytest.raises(ConnectionResetError) as raised:
        await connecting

    assert not isinstance(raised.value, WSError)


async def test_p06_send_never_raises_io_errors_they_end_in_on_ws_disconnected(open_end):
    end = await open_end()
    end.peer.reset()
    while "disconnected" not in end.listener.events:
        end.transport.send(WSMsgType.BINARY, bytes(10_000))
        await asyncio.sleep(0)

    assert isinstance(end.transport.disconnect_error, (ConnectionResetError, BrokenPipeError))


def test_p07_the_exception_tree():
    assert issubclass(WSInvalidUpgradeError, WSInvalidHeaderError)
    for error in (WSInvalidMessageError, WSInvalidStatusError, WSInvalidHeaderError):
        assert error.__bases__ == (WSHandshakeError,)
    for error in (WSHandshakeError, WSProtocolError, WSInvalidURL):
        assert error.__bases__ == (WSError,)


async def test_p09_a_protocol_error_is_raised_by_wait_disconnected_on_the_client_side(open_end, side):
    end = await open_end()
    await end.peer.send(0xB, b"")

    if side == "client":
        with pytest.raises(WSProtocolError):
            await gone(end.transport)
    else:
        await gone(end.transport)


async def test_p10_a_bad_websocket_url_is_ws_invalid_url():
    with pytest.raises(WSInvalidURL):
        await ws_connect(Recorder, "https://example.com/")


async def test_p11_a_handshake_timeout_is_asyncio_timeout_error(raw_listener, connect):
    with pytest.raises(asyncio.TimeoutError) as raised:
        await connect(raw_listener.port, websocket_handshake_timeout=0.1)

    assert not isinstance(raised.value, WSError)


async def test_p12_cancelled_error_passes_through(open_end):
    end = await open_end()
    waiting = asyncio.ensure_future(end.transport.wait_disconnected())
    measuring = asyncio.ensure_future(end.transport.measure_roundtrip_time(1))
    await asyncio.sleep(0)

    waiting.cancel()
    measuring.cancel()

    for task in (waiting, measuring):
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_p13_callback_exception_sends_1011_then_closes_then_releases_waiters(open_end, side):
    order = []

    class Failing(Recorder):
        def on_ws_frame(self, transport, frame):
            raise Boom

        def on_ws_disconnected(self, transport):
            order.append(("closed", transport.is_close_frame_sent, transport.close_handshake.sent.code))

    end = await open_end(Failing())

    async def wait():
        try:
            await gone(end.transport)
        except Boom:
            assert side == "client"
        order.append("released")

    waiting = asyncio.ensure_future(wait())
    await end.peer.send(TEXT, b"x")

    assert_closes_with(await end.peer.recv_frame(), 1011, "")
    assert await end.peer.recv_frame() is None
    await waiting
    assert order == [("closed", True, 1011), "released"]


async def test_p14_the_first_handler_exception_is_kept_for_wait_disconnected(open_end, side):
    class FailsTwice(Recorder):
        def on_ws_connected(self, transport):
            super().on_ws_connected(transport)
            raise Boom("first")

        def on_ws_disconnected(self, transport):
            raise Boom("second")

    end = await open_end(FailsTwice())

    if side == "client":
        with pytest.raises(Boom, match="first"):
            await gone(end.transport)
    else:
        await gone(end.transport)


@pytest.mark.parametrize("where", ["connected", "frame", "disconnected"])
async def test_p15_a_server_logs_callback_exceptions_and_never_raises_them(open_end, side, caplog, where):
    end = await open_end(Raising(where, Boom("for the log")))
    await end.peer.send(TEXT, b"x")
    if where == "disconnected":
        end.transport.disconnect()

    try:
        await gone(end.transport)
        is_raised = False
    except Boom:
        is_raised = True

    assert is_raised == (side == "client")
    assert ("Boom: for the log" in caplog.text) == (side == "server")


async def test_p16_disconnect_on_exception_is_true_by_default_and_false_only_logs(open_end, caplog):
    by_default = await open_end(Raising("frame", Boom()))
    await by_default.peer.send(TEXT, b"x")
    assert_closes_with(await by_default.peer.recv_close(), 1011)
    lenient = await open_end(Raising("frame", Boom("logged")), disconnect_on_exception=False)

    await lenient.peer.send_raw(lenient.peer.encoded(TEXT, b"1") + lenient.peer.encoded(TEXT, b"2"))
    await lenient.listener.until_frames(2)

    assert not lenient.transport.underlying_transport.is_closing()
    assert "Boom: logged" in caplog.text


async def test_p55_a_reconnect_loop_goes_on_after_errors_and_ends_when_cancelled(serve, security):
    serving = await serve(lambda request: Echo())
    rounds = []

    class Fails(Recorder):
        def on_ws_connected(self, transport):
            rounds.append("connected")
            raise Boom

    async def reconnect():
        while True:
            try:
                transport, listener = await ws_connect(
                    Fails, security.url(serving.port), ssl_context=security.client, family=socket.AF_INET
                )
                assert isinstance(listener, Fails)
                await transport.wait_disconnected()
            except Boom:
                rounds.append("failed")

    running = asyncio.ensure_future(reconnect())
    while rounds.count("failed") < 3:
        await asyncio.sleep(0.001)
    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
