"""The topic guide's "Exceptions handling", sentence by sentence, on both sides of a connection."""

import asyncio
import contextlib
import logging
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
    WSListener,
    WSMsgType,
    WSProtocolError,
    ws_connect,
)

from .conftest import gone
from .ws_frames import BINARY, PING, PONG, TEXT, assert_closes_with
from .ws_listeners import Raising, Recorder


class Boom(Exception):
    pass


async def outcome(transport):
    """What wait_disconnected raises, or None."""
    try:
        await gone(transport)
    except Exception as exc:
        return exc
    return None


# ------------------------------------------------------------------ what the library raises


async def test_a_refused_connection_is_the_systems_own_error():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))

        with pytest.raises(ConnectionRefusedError):
            await ws_connect(Recorder, f"ws://127.0.0.1:{unused.getsockname()[1]}/")


async def test_a_reset_during_the_upgrade_is_a_connection_reset_error(raw_listener, connect):
    connecting = asyncio.ensure_future(connect(raw_listener.port))
    peer = await raw_listener.accept()
    await peer.recv_head()
    peer.reset()

    with pytest.raises(ConnectionResetError):
        await connecting


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"SSH-2.0-OpenSSH\r\n", WSInvalidMessageError),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", WSInvalidStatusError),
        (
            (
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: bm9wZQ==\r\n\r\n"
            ),
            WSInvalidHeaderError,
        ),
        (b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n", WSInvalidUpgradeError),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", WSInvalidUpgradeError),
    ],
)
async def test_each_handshake_failure_has_its_class(raw_listener, connect, answer, error):
    connecting = asyncio.ensure_future(connect(raw_listener.port))
    peer = await raw_listener.accept()
    await peer.recv_head()
    await peer.send_raw(answer)

    with pytest.raises(WSHandshakeError) as raised:
        await connecting

    assert type(raised.value) is error
    assert isinstance(raised.value, WSError)


async def test_a_peer_that_hangs_up_during_the_upgrade_raises_the_base_handshake_error(raw_listener, connect):
    connecting = asyncio.ensure_future(connect(raw_listener.port))
    peer = await raw_listener.accept()
    await peer.recv_head()
    await peer.send_raw(b"HTTP/1.1 101")
    peer.close()

    with pytest.raises(WSHandshakeError) as raised:
        await connecting

    assert type(raised.value) is WSHandshakeError
    assert raised.value.raw_header == b"HTTP/1.1 101"


@pytest.mark.parametrize("url", ["http://h/", "ws://", "ws://h/#part", "ws://h:99999/"])
async def test_a_bad_url_is_ws_invalid_url(url):
    with pytest.raises(WSInvalidURL):
        await ws_connect(Recorder, url)


async def test_handshake_timeout_is_asyncio_timeout_error_and_not_ws_error(raw_listener, connect):
    with pytest.raises(asyncio.TimeoutError) as raised:
        await connect(raw_listener.port, path="/?token=secret", websocket_handshake_timeout=0.1)

    assert not isinstance(raised.value, WSError)
    assert f":{raw_listener.port}/?... was not upgraded within 0.1 s" in str(raised.value)


async def test_cancelled_error_passes_through_ws_connect(raw_listener, connect):
    connecting = asyncio.ensure_future(connect(raw_listener.port))
    peer = await raw_listener.accept()
    await peer.recv_head()

    connecting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await connecting


async def test_cancelled_error_passes_through_wait_disconnected(open_end):
    end = await open_end()
    waiting = asyncio.ensure_future(end.transport.wait_disconnected())
    await asyncio.sleep(0)

    waiting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.parametrize("error", [Boom("no listener"), TypeError("from inside the factory")])
async def test_an_exception_of_the_clients_factory_is_raised_by_ws_connect(raw_listener, connect, error):
    calls = []

    def factory(request, response):
        calls.append(1)
        raise error

    accepting = asyncio.ensure_future(raw_listener.accept_upgrade())

    with pytest.raises(type(error), match=str(error)):
        await connect(raw_listener.port, factory)

    assert calls == [1]
    with contextlib.suppress(ConnectionResetError):
        assert await (await accepting).recv_frame() is None


async def test_a_factory_that_returns_no_listener_is_a_type_error(raw_listener, connect):
    accepting = asyncio.ensure_future(raw_listener.accept_upgrade())

    with pytest.raises(TypeError, match="WSListener"):
        await connect(raw_listener.port, object)

    await accepting


# ------------------------------------------------------------------ what callbacks raise


@pytest.mark.parametrize("where", ["connected", "frame"])
async def test_a_callback_exception_sends_1011_closes_and_then_releases_waiters(
    open_end, side, caplog, where
):
    listener = Raising(where, Boom("in " + where))
    end = await open_end(listener)
    if where == "frame":
        await end.peer.send(TEXT, b"x")

    assert_closes_with(await end.peer.recv_close(), 1011)
    raised = await outcome(end.transport)

    assert listener.events[-1] == "disconnected"
    if side == "client":
        assert isinstance(raised, Boom)
        assert isinstance(await outcome(end.transport), Boom)  # each await is told
    else:
        assert raised is None
        assert "in " + where in caplog.text


async def test_an_exception_in_on_ws_disconnected_is_raised_on_the_client_and_logged_on_the_server(
    open_end, side, caplog
):
    end = await open_end(Raising("disconnected", Boom("at the end")))
    end.transport.disconnect()

    raised = await outcome(end.transport)

    assert isinstance(raised, Boom) == (side == "client")
    assert ("at the end" in caplog.text) == (side == "server")


async def test_the_first_exception_is_kept(open_end, side):
    class RaisesTwice(Recorder):
        def on_ws_frame(self, transport, frame):
            raise Boom("first")

        def on_ws_disconnected(self, transport):
            raise Boom("second")

    end = await open_end(RaisesTwice())
    # A protocol error behind the frame must not take the place of the first failure either.
    await end.peer.send_raw(end.peer.encoded(TEXT, b"x") + end.peer.encoded(3, b"bad"))

    raised = await outcome(end.transport)

    assert side == "server" or str(raised) == "first"
    assert str(end.transport.disconnect_error) == "first"


async def test_an_exception_that_wait_disconnected_does_not_raise_is_logged(open_end, caplog):
    class RaisesTwice(Recorder):
        def on_ws_frame(self, transport, frame):
            raise Boom("first")

        def on_ws_disconnected(self, transport):
            raise Boom("second")

    end = await open_end(RaisesTwice())
    await end.peer.send_raw(end.peer.encoded(TEXT, b"x"))
    await outcome(end.transport)

    assert "second" in caplog.text


async def test_no_pong_is_expected_after_a_ping_that_could_not_be_sent(open_end):
    class CannotPing(Recorder):
        def send_user_specific_ping(self, transport):
            raise Boom("no ping")

        def is_user_specific_pong(self, frame):
            return True

    end = await open_end(CannotPing())
    with pytest.raises(Boom, match="no ping"):
        await end.transport.measure_roundtrip_time(1)
    await end.peer.send_raw(end.peer.encoded(TEXT, b"data, not a pong"))

    await end.listener.until_frames(1)


async def test_no_frame_is_delivered_after_a_callback_has_raised(open_end):
    listener = Raising("frame", Boom())
    end = await open_end(listener)

    await end.peer.send_raw(b"".join(end.peer.encoded(TEXT, b"x") for _ in range(5)))
    await outcome(end.transport)

    assert len(listener.frames) == 1


async def test_disconnect_on_exception_false_logs_and_stays_open(open_end, caplog):
    listener = Raising("frame", Boom("only logged"))
    end = await open_end(listener, disconnect_on_exception=False)

    await end.peer.send_raw(b"".join(end.peer.encoded(TEXT, b"x") for _ in range(5)))
    await listener.until_frames(5)
    end.transport.send(WSMsgType.TEXT, b"still here")

    assert (await end.peer.recv_frame()).payload == b"still here"
    assert caplog.text.count("Boom: only logged") == 5
    end.transport.disconnect()
    assert await outcome(end.transport) is None


async def test_disconnect_on_exception_false_applies_to_on_ws_frame_only(open_end):
    end = await open_end(Raising("connected", Boom()), disconnect_on_exception=False)

    assert_closes_with(await end.peer.recv_close(), 1011)


@pytest.mark.parametrize("where", ["connected", "frame"])
@pytest.mark.parametrize("disconnect_on_exception", [True, False])
async def test_a_ws_protocol_error_closes_with_its_code_and_reason(open_end, where, disconnect_on_exception):
    error = WSProtocolError(4001, "not in this house")
    end = await open_end(Raising(where, error), disconnect_on_exception=disconnect_on_exception)
    await end.peer.send(TEXT, b"x")

    assert_closes_with(await end.peer.recv_close(), 4001, "not in this house")


async def test_a_protocol_violation_is_raised_by_the_clients_wait_disconnected(open_end, side):
    end = await open_end()
    await end.peer.send(3, b"reserved opcode")

    assert_closes_with(await end.peer.recv_close(), 1002)
    raised = await outcome(end.transport)

    if side == "client":
        assert isinstance(raised, WSProtocolError)
        assert raised.code == 1002
    else:
        assert raised is None


async def test_an_exception_in_is_user_specific_pong_is_treated_like_one_in_on_ws_frame(open_end, side):
    class Failing(Recorder):
        def is_user_specific_pong(self, frame):
            raise Boom("pong")

    end = await open_end(Failing())
    measuring = asyncio.ensure_future(end.transport.measure_roundtrip_time(1))
    assert (await end.peer.recv_frame()).opcode == PING
    await end.peer.send(PONG)

    assert_closes_with(await end.peer.recv_close(), 1011)
    with pytest.raises(ConnectionResetError):
        await measuring
    assert isinstance(await outcome(end.transport), Boom) == (side == "client")


@pytest.mark.parametrize("where", ["connected", "frame", "disconnected"])
async def test_cancelled_error_in_a_callback_ends_the_connection_and_hangs_nobody(
    open_end, loop_complaints, where
):
    end = await open_end(Raising(where, asyncio.CancelledError()))
    await end.peer.send(BINARY, b"x")
    if where == "disconnected":
        end.transport.disconnect()

    await outcome(end.transport)

    assert end.transport.is_disconnected
    loop_complaints.clear()  # what a cancelled callback is to the loop, is the loop's business


async def test_a_servers_factory_exception_is_answered_with_500_and_logged(serve, security, caplog):
    from .ws_peers import dial_raw, request_bytes

    def factory(request):
        raise Boom("secret detail")

    serving = await serve(factory)
    peer = await dial_raw(("127.0.0.1", serving.port), security.client)
    await peer.send_raw(request_bytes())

    answer = await peer.recv_to_end()

    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"secret detail" not in answer
    assert "secret detail" in caplog.text
    peer.close()


async def test_a_listener_that_raises_is_an_error_record_on_the_server_only(open_end, side, caplog):
    caplog.set_level(logging.DEBUG, logger="picows")
    end = await open_end(Raising("frame", Boom("x")))
    await end.peer.send(TEXT, b"x")
    await outcome(end.transport)

    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]

    assert len(errors) == (1 if side == "server" else 0)


async def test_a_plain_listener_may_be_returned_by_a_class_or_a_function(raw_listener, connect):
    for factory in (WSListener, WSListener, lambda request, response: WSListener()):
        accepting = asyncio.ensure_future(raw_listener.accept_upgrade())
        transport, listener = await connect(raw_listener.port, factory)
        await accepting

        assert type(listener) is WSListener
        assert transport.response.status == 101
