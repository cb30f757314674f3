"""The handshake as it happens on sockets: timeouts, cancellation, HTTP answers, descriptors that run out."""

import asyncio
import contextlib
import errno
import os
import resource
import socket
import ssl

import pytest

from picows import (
    WSHandshakeError,
    WSInvalidStatusError,
    WSMsgType,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_connect,
)

from .conftest import gone, needs_own_streams
from .ws_frames import TEXT
from .ws_listeners import Echo, Recorder
from .ws_peers import WAIT_S, RawListener, dial_raw, dial_upgrade, request_bytes, switching


def open_descriptors():
    return set(os.listdir("/proc/self/fd"))


def open_sockets():
    """Connected sockets of this process, by what they are connected to."""
    found = []
    for fd in open_descriptors():
        try:
            link = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            continue
        if link.startswith("socket:"):
            found.append(link)
    return sorted(found)


# ------------------------------------------------------------------ timeouts


async def test_the_timeout_covers_name_resolution(monkeypatch):
    loop = asyncio.get_running_loop()

    async def never(*args, **kwargs):
        await loop.create_future()

    if type(loop).__module__.startswith("uvloop"):
        pytest.skip("uvloop's getaddrinfo cannot be replaced")
    monkeypatch.setattr(loop, "getaddrinfo", never)

    with pytest.raises(asyncio.TimeoutError):
        await ws_connect(Recorder, "ws://example.invalid/", websocket_handshake_timeout=0.1)


async def test_the_timeout_covers_tls(tls):
    listener = RawListener()  # accepts TCP, says nothing
    try:
        with pytest.raises(asyncio.TimeoutError):
            await ws_connect(
                Recorder,
                f"wss://localhost:{listener.port}/",
                ssl_context=tls.client,
                websocket_handshake_timeout=0.2,
            )
    finally:
        listener.close()


async def test_the_timeout_covers_an_answer_that_comes_byte_by_byte(raw_listener, connect):
    connecting = asyncio.ensure_future(connect(raw_listener.port, websocket_handshake_timeout=0.3))
    peer = await raw_listener.accept()
    await peer.recv_head()

    async def drip():
        for byte in b"HTTP/1.1 101 Switching Protocols\r\n" * 100:
            await peer.send_raw(bytes([byte]))
            await asyncio.sleep(0.02)

    dripping = asyncio.ensure_future(drip())
    with pytest.raises(asyncio.TimeoutError):
        await connecting

    await asyncio.wait([dripping])
    assert isinstance(dripping.exception(), OSError)


async def test_a_refusal_whose_body_never_ends_is_told_as_the_refusal(raw_listener, connect):
    connecting = asyncio.ensure_future(connect(raw_listener.port, websocket_handshake_timeout=0.3))
    peer = await raw_listener.accept()
    await peer.recv_head()
    await peer.send_raw(b"HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\nhalf of it")

    with pytest.raises(WSInvalidStatusError) as raised:
        await connecting

    assert raised.value.raw_body == b"half of it"


async def test_a_server_drops_a_client_that_does_not_finish_its_upgrade(serve, security):
    serving = await serve(websocket_handshake_timeout=0.2)
    peer = await dial_raw(("127.0.0.1", serving.port), security.client)
    await peer.send_raw(b"GET / HTTP/1.1\r\nHost: x\r\n")

    try:
        received = await peer.recv_to_end()
    except ConnectionResetError:
        received = b""

    assert received == b""
    peer.close()


async def test_a_server_drops_a_client_that_does_not_finish_tls(serve, security):
    if not security.is_tls:
        pytest.skip("TLS only")
    serving = await serve(websocket_handshake_timeout=0.2)
    peer = await dial_raw(("127.0.0.1", serving.port))

    with contextlib.suppress(ConnectionResetError):
        assert await peer.recv_to_end() == b""
    peer.close()


# ------------------------------------------------------------------ cancellation


async def settled(condition):
    """Turn the loop until `condition()` holds, for at most WAIT_S."""
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.001)


async def test_ws_connect_cancelled_at_any_await_leaves_nothing_behind(serve, security):
    serving = await serve(lambda request: Recorder())
    url = security.url(serving.port)
    await (await ws_connect(Recorder, url, ssl_context=security.client, family=2))[0].measure_roundtrip_time(
        1
    )
    serving.server.abort_clients()
    await settled(lambda: not serving.server._connections)
    tasks_before = asyncio.all_tasks()
    cancelled = 0

    for turns in range(60):
        connecting = asyncio.ensure_future(
            ws_connect(Recorder, url, ssl_context=security.client, family=2, websocket_handshake_timeout=None)
        )
        for _ in range(turns):
            await asyncio.sleep(0)
        if connecting.done():
            (await connecting)[0].disconnect(False)
        else:
            connecting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await connecting
            cancelled += 1

    await settled(lambda: not serving.server._connections)
    await settled(lambda: asyncio.all_tasks() == tasks_before)
    assert cancelled > 3


async def test_ws_connect_cancelled_between_the_upgrade_and_its_return_closes(raw_listener, security):
    """A frame glued to the 101 is delivered before ws_connect returns: it can still be cancelled."""
    listener = Recorder()
    listener.on_ws_frame = lambda transport, frame: connecting.cancel()
    accepting = asyncio.ensure_future(raw_listener.accept())
    connecting = asyncio.ensure_future(
        ws_connect(lambda: listener, security.url(raw_listener.port), ssl_context=security.client, family=2)
    )
    peer = await accepting
    request = await peer.recv_head()
    await peer.send_raw(switching(request) + peer.encoded(TEXT, b"glued"))

    with pytest.raises(asyncio.CancelledError):
        await connecting

    await listener.until_event("disconnected")


# ------------------------------------------------------------------ HTTP on the wire


@pytest.mark.parametrize(
    ("request_kwargs", "status", "contains"),
    [
        ({"headers": {"Host": None}}, 400, b""),
        ({"headers": {"Sec-WebSocket-Key": "short"}}, 400, b""),
        ({"headers": {"Connection": "keep-alive"}}, 400, b""),
        ({"headers": {"Upgrade": "h2c"}}, 400, b""),
        ({"headers": {"Sec-WebSocket-Version": "8"}}, 426, b"Sec-WebSocket-Version: 13\r\n"),
        ({"headers": {"X-Long": "x" * 17_000}}, 431, b""),
        ({"headers": {f"X-{i}": "y" for i in range(130)}}, 431, b""),
        ({"path": "/none"}, 404, b"404 Not Found"),
        ({"path": "/raise"}, 500, b"500 Internal Server Error"),
        ({"path": "/ok"}, 200, b"healthy"),
        ({"path": "/teapot"}, 418, b"short and stout"),
        ({"method": "POST"}, 405, b"Allow: GET\r\n"),
    ],
)
async def test_the_server_answers_on_the_wire_and_closes(serve, security, request_kwargs, status, contains):
    def factory(request):
        if request.path == b"/none":
            return None
        if request.path == b"/raise":
            raise RuntimeError("not for the peer")
        if request.path == b"/ok":
            return WSUpgradeResponseWithListener(WSUpgradeResponse.create_ok_response(b"healthy"), None)
        if request.path == b"/teapot":
            refusal = WSUpgradeResponse.create_error_response(418, b"short and stout")
            return WSUpgradeResponseWithListener(refusal, None)
        return Echo()

    serving = await serve(factory)
    peer = await dial_raw(("127.0.0.1", serving.port), security.client)
    await peer.send_raw(request_bytes(**request_kwargs))

    answer = await peer.recv_to_end()

    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert contains in answer
    assert b"not for the peer" not in answer
    peer.close()
    await settled(lambda: not serving.server._connections)


async def test_a_refusal_is_reported_with_status_headers_and_body(serve, connect):
    def factory(request):
        refusal = WSUpgradeResponse.create_error_response(429, b"slow down" * 1_000, {"Retry-After": "7"})
        return WSUpgradeResponseWithListener(refusal, None)

    serving = await serve(factory)

    with pytest.raises(WSInvalidStatusError) as raised:
        await connect(serving.port)

    assert raised.value.response.status == 429
    assert raised.value.response.headers["Retry-After"] == "7"
    assert raised.value.raw_body == b"slow down" * 1_000


async def test_a_subprotocol_is_chosen_by_the_servers_listener(serve, connect):
    def factory(request):
        response = WSUpgradeResponse.create_101_response({"Sec-WebSocket-Protocol": "v2.book"})
        return WSUpgradeResponseWithListener(response, Echo())

    serving = await serve(factory)
    transport, _ = await connect(serving.port, extra_headers={"Sec-WebSocket-Protocol": "v1.book, v2.book"})

    assert transport.response.headers["Sec-WebSocket-Protocol"] == "v2.book"
    assert transport.request.headers["Sec-WebSocket-Protocol"] == "v1.book, v2.book"


async def test_frames_glued_to_the_handshake_are_delivered_in_order_after_on_ws_connected(open_end, side):
    from .ws_frames import encode

    glued = b"".join(encode(TEXT, b"%d" % i, is_masked=side == "server") for i in range(500))

    end = await open_end(glued=glued)
    await end.listener.until_frames(500)

    assert end.listener.events[0] == "connected"
    assert [frame.payload for frame in end.listener.frames] == [b"%d" % i for i in range(500)]


async def test_a_handshake_that_arrives_byte_by_byte_is_accepted(serve, security):
    serving = await serve()
    peer = await dial_raw(("127.0.0.1", serving.port), security.client)

    for byte in request_bytes():
        await peer.send_raw(bytes([byte]))

    assert (await peer.recv_head()).startswith(b"HTTP/1.1 101 ")
    peer.close()


async def test_an_untrusted_certificate_is_an_ssl_error_and_the_server_goes_on(tls, serve, security, connect):
    if not security.is_tls:
        pytest.skip("TLS only")
    serving = await serve()

    with pytest.raises(ssl.SSLCertVerificationError):
        await connect(serving.port, ssl_context=ssl.create_default_context())

    transport, listener = await connect(serving.port)
    transport.send(WSMsgType.TEXT, b"hello")
    await listener.until_frames(1)


async def test_tls_on_a_plain_port_and_plain_on_a_tls_port_fail_at_once(serve, connect, security):
    serving = await serve()
    wrong = "ws" if security.is_tls else "wss"

    with pytest.raises((WSHandshakeError, OSError)):
        await ws_connect(Recorder, f"{wrong}://127.0.0.1:{serving.port}/", websocket_handshake_timeout=None)


# ------------------------------------------------------------------ descriptors run out


@needs_own_streams
async def test_a_server_out_of_descriptors_waits_logs_once_and_goes_on(serve, security, caplog, monkeypatch):
    monkeypatch.setattr("picows.accept.RETRY_AFTER_S", 0.1)
    monkeypatch.setattr("picows.accept.Acceptor.__init__.__defaults__", (0.1,))
    serving = await serve()
    clients = [socket.socket() for _ in range(3)]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(fd) for fd in open_descriptors())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
    fillers = []
    try:
        try:
            while True:
                fillers.append(os.dup(0))
        except OSError:
            pass
        for client in clients:
            client.setblocking(False)
            await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", serving.port))
        await settled(lambda: "cannot accept connections" in caplog.text)
        await asyncio.sleep(0.35)  # three retries
    finally:
        for fd in fillers:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    peer = await dial_upgrade(("127.0.0.1", serving.port), security.client)

    assert caplog.text.count("cannot accept connections") == 1
    peer.close()
    for client in clients:
        client.close()


async def test_a_client_out_of_descriptors_raises_and_leaves_nothing(serve, security):
    serving = await serve()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(fd) for fd in open_descriptors())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
    fillers = []
    try:
        try:
            while True:
                fillers.append(os.dup(0))
        except OSError:
            pass
        with pytest.raises(OSError) as raised:
            await ws_connect(Recorder, security.url(serving.port), ssl_context=security.client, family=2)
    finally:
        for fd in fillers:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert raised.value.errno in (errno.EMFILE, socket.EAI_SYSTEM, -3, -2)
    transport, _ = await ws_connect(
        Recorder, security.url(serving.port), ssl_context=security.client, family=2
    )
    transport.disconnect()
    await gone(transport)
