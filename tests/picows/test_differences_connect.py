"""Where we differ from picows 2 on purpose (section 0 of its API notes): connecting and the handshake."""

import asyncio
import base64
import contextlib
import gc
import inspect
import os
import socket
import tracemalloc

import pytest

from picows import (
    WSHandshakeError,
    WSInvalidHeaderError,
    WSInvalidStatusError,
    WSMsgType,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_connect,
    ws_create_server,
)

from .conftest import gone, needs_own_streams
from .ws_frames import BINARY, TEXT
from .ws_listeners import Echo, Recorder
from .ws_peers import dial_raw, dial_upgrade, request_bytes, switching


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this platform has no AF_UNIX")
async def test_b0_a_unix_socket_works_on_both_sides(tmp_path):
    path = str(tmp_path / "s")
    server = await ws_create_server(lambda request: Echo(), path=path)

    def connected(host, port):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(path)
        return sock

    transport, listener = await ws_connect(Recorder, "ws://localhost/", socket_factory=connected)
    transport.send(WSMsgType.TEXT, b"hello")
    await listener.until_frames(1)

    transport.disconnect()
    await gone(transport)
    server.close()


@pytest.mark.parametrize(
    "headers",
    [
        {"Connection": "keep-alive, Upgrade"},
        {"Connection": "keep-alive\r\nConnection: upgrade"},
        {"Upgrade": "WebSocket"},
        {"Upgrade": "h2c, websocket"},
    ],
)
async def test_b1_a_server_takes_token_lists(serve, security, headers):
    serving = await serve()

    peer = await dial_upgrade(("127.0.0.1", serving.port), security.client, headers=headers)

    peer.close()


async def test_b1_a_client_takes_token_lists(raw_listener, connect):
    connecting = asyncio.ensure_future(connect(raw_listener.port))
    peer = await raw_listener.accept()
    answer = switching(await peer.recv_head())
    await peer.send_raw(answer.replace(b"Connection: Upgrade", b"connection: keep-alive, UPGRADE"))

    transport, _ = await connecting

    assert transport.response.status == 101


async def test_b2_a_peer_that_hangs_up_during_the_upgrade_is_an_error_and_no_listener_is_made(
    raw_listener, connect
):
    made = []
    for hang_up, error in (("close", WSHandshakeError), ("reset", ConnectionResetError)):
        connecting = asyncio.ensure_future(connect(raw_listener.port, lambda: made.append(1)))
        peer = await raw_listener.accept()
        await peer.recv_head()
        getattr(peer, hang_up)()

        with pytest.raises(error):
            await connecting

    assert made == []


async def test_b5_mask_keys_differ_between_frames_connections_and_processes(serve, connect, raw_listener):
    """Unseeded rand() gives each process the same keys, 0x6b8b4567 first."""
    keys = []
    for _ in range(2):
        accepting = asyncio.ensure_future(raw_listener.accept_upgrade())
        transport, _ = await connect(raw_listener.port)
        peer = await accepting
        for _ in range(100):
            transport.send(WSMsgType.TEXT, bytes(4))  # zeros show the key itself
        while len(peer.received) < 100 * 10:
            peer.received += await peer.recv_some()
        keys += [bytes(peer.received[i + 2 : i + 6]) for i in range(0, 1000, 10)]

    assert len(set(keys)) > 195
    assert keys[0] != (0x6B8B4567).to_bytes(4, "little")


async def test_b7_a_cancelled_ws_connect_closes_its_connection(raw_listener, connect):
    connecting = asyncio.ensure_future(connect(raw_listener.port))
    peer = await raw_listener.accept()
    await peer.recv_head()
    connecting.cancel()
    await asyncio.wait([connecting])

    with contextlib.suppress(ConnectionResetError):
        assert await peer.recv_some() == b""


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({"X-Count": 1}, TypeError),
        ([("X", None)], TypeError),
        ({b"X": "y"}, TypeError),
        ({"X": "a\r\nInjected: yes"}, ValueError),
        ({"X\r\nInjected": "yes"}, ValueError),
    ],
)
async def test_b8_b12_a_bad_header_is_refused_before_a_socket_is_opened(headers, error):
    opened = []

    with pytest.raises(error):
        await ws_connect(
            Recorder, "ws://127.0.0.1:1/", extra_headers=headers, socket_factory=lambda h, p: opened.append(h)
        )

    assert opened == []


async def test_b10_no_descriptors_pauses_accepting():
    """The whole story on sockets: test_handshake_io.py. Here: the reader is removed, so nothing can spin."""
    import errno

    from picows.accept import Acceptor
    from picows.options import get_logger

    class Exhausted:
        calls = 0

        def fileno(self):
            return reader.fileno()

        def setblocking(self, flag):
            pass

        def accept(self):
            self.calls += 1
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    reader, writer = socket.socketpair()
    writer.send(b"x")  # readable for ever
    sock = Exhausted()
    acceptor = Acceptor(
        asyncio.get_running_loop(),
        sock,
        10,
        lambda client: None,
        get_logger(None, "server"),
        retry_after_s=0.05,
    )
    await asyncio.sleep(0.22)  # the loop's own time is what is tested
    acceptor.close()

    assert 2 <= sock.calls <= 6
    reader.close()
    writer.close()


async def test_b11_userinfo_is_sent_as_authorization_and_not_as_host(raw_listener, security):
    url = security.url(raw_listener.port).replace("://", "://me:p%40ss@")
    accepting = asyncio.ensure_future(raw_listener.accept_upgrade())
    transport, _ = await ws_connect(Recorder, url, ssl_context=security.client, family=socket.AF_INET)
    request = (await accepting).request

    assert b"\r\nAuthorization: Basic " + base64.b64encode(b"me:p@ss") + b"\r\n" in request
    assert b"@" not in request.split(b"Host: ")[1].split(b"\r\n")[0]
    transport.disconnect(False)
    await gone(transport)


async def test_b12_a_server_response_with_crlf_is_never_sent(serve, security, caplog):
    def factory(request):
        response = WSUpgradeResponse.create_101_response()
        response.headers["X-Echo"] = "a\r\nInjected: yes"
        return WSUpgradeResponseWithListener(response, Echo())

    serving = await serve(factory)
    peer = await dial_raw(("127.0.0.1", serving.port), security.client)
    await peer.send_raw(request_bytes())

    answer = await peer.recv_to_end()

    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"Injected" not in answer
    peer.close()


@pytest.mark.parametrize("line", [b"HTTP/1.1 520 ", b"HTTP/1.1 520", b"HTTP/1.1 499 Odd", b"HTTP/1.1 403"])
async def test_b15_an_unknown_status_or_empty_reason_is_an_invalid_status(raw_listener, connect, line):
    connecting = asyncio.ensure_future(connect(raw_listener.port))
    peer = await raw_listener.accept()
    await peer.recv_head()
    await peer.send_raw(line + b"\r\nContent-Length: 0\r\n\r\n")

    with pytest.raises(WSInvalidStatusError) as raised:
        await connecting

    assert raised.value.response.status == int(line.split()[1])


@needs_own_streams
@pytest.mark.rss
async def test_b17_memory_of_a_large_frame_is_given_back(open_end):
    class Counting(Recorder):
        def on_ws_frame(self, transport, frame):
            self.note(frame.payload_size)

    end = await open_end(Counting(), max_frame_size=100_000_000)
    rss_before = resident_kib()
    for _ in range(2):
        await end.peer.send(BINARY, bytes(40_000_000))
        await end.listener.until_event(40_000_000)
        end.listener.events.clear()
    end.peer.received.clear()
    gc.collect()

    assert resident_kib() - rss_before < 60_000


def resident_kib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


async def test_b17_a_header_that_announces_much_takes_no_memory(open_end):
    end = await open_end(max_frame_size=1 << 40)
    rss_before = resident_kib()
    announced = end.peer.encoded(BINARY, bytes(65_536))
    head = announced[:2] + (1 << 32).to_bytes(8, "big") + (bytes(4) if end.peer.is_client else b"")

    await end.peer.send_raw(head + bytes(1_000))
    await end.peer.until_taken()
    await asyncio.sleep(0.02)  # the read event has its turn

    assert resident_kib() - rss_before < 20_000
    assert not end.transport.is_disconnected


async def test_the_handshake_timeout_covers_tls(tls):
    silent = socket.socket()
    silent.bind(("127.0.0.1", 0))
    silent.listen()

    with pytest.raises(asyncio.TimeoutError):
        await ws_connect(
            Recorder,
            f"wss://localhost:{silent.getsockname()[1]}/",
            ssl_context=tls.client,
            websocket_handshake_timeout=0.1,
        )

    silent.close()


@pytest.mark.parametrize(
    "line", ["Sec-WebSocket-Protocol: not-offered\r\n", "Sec-WebSocket-Extensions: permessage-deflate\r\n"]
)
async def test_a_subprotocol_or_extension_that_was_not_offered_fails_the_handshake(
    raw_listener, connect, line
):
    accepting = asyncio.ensure_future(raw_listener.accept_upgrade(headers=line))

    with pytest.raises(WSInvalidHeaderError) as raised:
        await connect(raw_listener.port)

    assert raised.value.name == line.split(":")[0]
    await accepting


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": None}, b"400"),
        ({"Host": "a\r\nHost: b"}, b"400"),
        (
            {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Key: BAAAAAAAAAAAAAAAAAAAAA=="},
            b"400",
        ),
        ({"Sec-WebSocket-Version": "8"}, b"426"),
        ({"Sec-WebSocket-Version": "7"}, b"426"),
        ({"Sec-WebSocket-Version": None}, b"426"),
    ],
)
async def test_a_server_refuses_what_picows_2_accepted(serve, security, headers, status):
    serving = await serve()
    peer = await dial_raw(("127.0.0.1", serving.port), security.client)
    await peer.send_raw(request_bytes(headers=headers))

    answer = await peer.recv_to_end()

    assert answer.split(b" ")[1] == status
    assert (b"Sec-WebSocket-Version: 13\r\n" in answer) == (status == b"426")
    peer.close()


async def test_the_500_body_is_fixed_and_the_exception_is_logged(serve, security, caplog):
    def factory(request):
        raise RuntimeError("password=hunter2")

    serving = await serve(factory)
    peer = await dial_raw(("127.0.0.1", serving.port), security.client)
    await peer.send_raw(request_bytes())

    answer = await peer.recv_to_end()

    assert b"hunter2" not in answer
    assert "hunter2" in caplog.text
    peer.close()


@pytest.mark.parametrize("factory", [lambda host, port: None, lambda parsed_url: None])
async def test_socket_factory_has_two_signatures(echo_server, connect, factory):
    transport, _ = await connect(echo_server.port, socket_factory=factory)

    assert not transport.is_disconnected


async def test_a_socket_factory_of_picows_2_with_an_option_of_its_own_gets_the_url(echo_server, connect):
    seen = []

    def factory(parsed_url, nodelay=True):
        seen.append((parsed_url.port, nodelay))

    await connect(echo_server.port, socket_factory=factory)

    assert seen == [(echo_server.port, True)]


@pytest.mark.parametrize("value", [None, True, False])
async def test_use_aiofastnet_is_accepted_and_ignored(serve, connect, value):
    serving = await serve(use_aiofastnet=value)

    transport, listener = await connect(serving.port, use_aiofastnet=value)
    transport.send(WSMsgType.TEXT, b"x")
    await listener.until_frames(1)


async def test_frames_taken_one_by_one_leave_no_python_memory_behind(open_end):
    end = await open_end()
    await end.peer.send_raw(end.peer.encoded(TEXT, bytes(100)) * 100)
    await end.listener.until_frames(100)
    end.listener.frames.clear()
    tracemalloc.start()
    try:
        for _ in range(5):
            await end.peer.send_raw(end.peer.encoded(TEXT, bytes(100)) * 1_000)
            await end.listener.until_frames(1_000)
            end.listener.frames.clear()
            end.listener.events.clear()
        gc.collect()
        left, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert left < 300_000


def test_both_doors_take_close_timeout_with_ten_seconds():
    for door in (ws_connect, ws_create_server):
        assert inspect.signature(door).parameters["close_timeout"].default == 10
