"""Points of the topic guides about sockets, back-pressure, servers and packaging: 35 to 37, 42 to 46, 54."""

import asyncio
import socket
import threading
from pathlib import Path

import pytest

import picows
from picows import WSMsgType, ws_connect, ws_create_server

from .conftest import gone
from .ws_frames import BINARY, TEXT
from .ws_listeners import Echo, Recorder
from .ws_peers import WAIT_S


async def test_p35_pause_and_resume_writing_reach_the_connections_own_listener(open_end, exact_queue):
    slow = await open_end(receive_buffer=4096)
    other = await open_end()

    slow.transport.send(WSMsgType.BINARY, bytes(8_000_000))
    assert slow.listener.events == ["connected", "pause"]
    assert (await slow.peer.recv_frame()).opcode == BINARY
    await slow.listener.until_event("resume")

    assert other.listener.events == ["connected"]


async def test_p36_water_marks_are_set_through_underlying_transport(open_end, exact_queue):
    end = await open_end(receive_buffer=4096)
    stream = end.transport.underlying_transport

    stream.set_write_buffer_limits(high=50_000_000)
    end.transport.send(WSMsgType.BINARY, bytes(20_000_000))
    assert stream.get_write_buffer_limits() == (12_500_000, 50_000_000)
    assert "pause" not in end.listener.events
    stream.set_write_buffer_limits(high=1_000, low=100)
    end.transport.send(WSMsgType.BINARY, b"one more")

    assert end.listener.events == ["connected", "pause"]
    with pytest.raises(ValueError):
        stream.set_write_buffer_limits(high=1, low=2)


def test_p37_declarations_for_cython_are_installed_beside_the_modules():
    here = Path(picows.__file__).parent

    text = "".join(
        (here / f"{name}.pxd").read_text() for name in ("picows", "frame", "listener", "transport")
    )

    for name in (
        "send_reuse_external_buffer",
        "payload_ptr",
        "cdef class WSListener",
        "cpdef enum WSMsgType",
    ):
        assert name in text
    assert not hasattr(picows.WSTransport, "send_reuse_external_buffer")


async def test_p42_the_socket_is_reachable_in_on_ws_connected_for_options(open_end):
    class Tuning(Recorder):
        def on_ws_connected(self, transport):
            sock = transport.underlying_transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self.value = sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            super().on_ws_connected(transport)

    end = await open_end(Tuning())

    assert end.listener.value == 1


async def test_p42_extra_info_has_the_addresses_and_the_tls_object(open_end, security):
    end = await open_end()
    stream = end.transport.underlying_transport

    assert stream.get_extra_info("sockname") == end.peer.sock.getpeername()
    assert stream.get_extra_info("peername") == end.peer.sock.getsockname()
    assert (stream.get_extra_info("ssl_object") is not None) == security.is_tls
    assert end.transport.is_secure == security.is_tls
    assert stream.get_extra_info("no such thing", "default") == "default"


def _plain_socket(host, port):
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM)


def _connected_socket(host, port):
    return socket.create_connection(("127.0.0.1", port))


def _by_url(parsed_url):
    assert parsed_url.host in ("127.0.0.1", "localhost")
    return socket.create_connection(("127.0.0.1", parsed_url.port))


async def _async_socket(host, port):
    await asyncio.sleep(0)
    return _connected_socket(host, port)


async def _async_by_url(parsed_url):
    return _by_url(parsed_url)


def _default_path(host, port):
    return None


@pytest.mark.parametrize(
    "factory", [_plain_socket, _connected_socket, _by_url, _async_socket, _async_by_url, _default_path]
)
async def test_p43_socket_factory_takes_both_signatures_plain_and_async(echo_server, connect, factory):
    transport, listener = await connect(echo_server.port, socket_factory=factory)

    transport.send(WSMsgType.TEXT, b"hello")
    await listener.until_frames(1)

    assert listener.frames[0].payload == b"hello"


async def test_p43_what_a_socket_factory_raises_is_raised(echo_server, connect):
    def factory(host, port):
        raise LookupError("no route of mine")

    with pytest.raises(LookupError):
        await connect(echo_server.port, socket_factory=factory)


async def test_p44_tcp_nodelay_is_on(open_end):
    end = await open_end()

    sock = end.transport.underlying_transport.get_extra_info("socket")

    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


@pytest.mark.skipif(not hasattr(socket, "TCP_QUICKACK"), reason="Linux only")
async def test_p44_tcp_quickack_is_asked_for(serve, connect, monkeypatch):
    from picows.stream import attach

    seen = []

    class Spy:
        def __init__(self, sock):
            self._sock, self.family = sock, sock.family

        def setsockopt(self, *option):
            seen.append(option)
            self._sock.setsockopt(*option)

    tune_socket = attach.tune_socket
    monkeypatch.setattr(attach, "tune_socket", lambda sock: tune_socket(Spy(sock)))
    serving = await serve()
    await connect(serving.port)

    assert (socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1) in seen
    assert (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1) in seen


async def test_p45_loops_in_several_threads_run_side_by_side(security):
    """Each thread serves itself and echoes; what they share must not mix. The GIL itself: a later issue."""
    results, failures = [], []

    async def run(number):
        server = await ws_create_server(lambda request: Echo(), "127.0.0.1", 0, ssl=security.server)
        port = server.sockets[0].getsockname()[1]
        transport, listener = await ws_connect(
            Recorder, security.url(port), ssl_context=security.client, family=socket.AF_INET
        )
        for i in range(200):
            transport.send(WSMsgType.TEXT, b"%d-%d" % (number, i))
        await listener.until_frames(200)
        transport.disconnect()
        await gone(transport)
        server.close()
        results.append(
            [frame.payload for frame in listener.frames] == [b"%d-%d" % (number, i) for i in range(200)]
        )

    def in_thread(number):
        try:
            asyncio.run(run(number))
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=in_thread, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join, WAIT_S)

    assert failures == []
    assert results == [True] * 4


@pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="this platform has no SO_REUSEPORT")
async def test_p46_reuse_port_lets_two_servers_share_a_port(serve, security, connect):
    first = await serve(reuse_port=True)
    second = await ws_create_server(
        lambda request: Echo(), "127.0.0.1", first.port, ssl=security.server, reuse_port=True
    )
    first.server.close()

    transport, listener = await connect(first.port)
    transport.send(WSMsgType.TEXT, b"to the second")
    await listener.until_frames(1)

    transport.disconnect()
    await gone(transport)
    second.close()


async def test_p46_without_reuse_port_the_address_is_taken(echo_server, security):
    with pytest.raises(OSError, match=str(echo_server.port)):
        await ws_create_server(lambda request: Echo(), "127.0.0.1", echo_server.port)


async def test_p36_pause_reading_slows_the_peer_down_by_tcp(open_end):
    end = await open_end()
    stream = end.transport.underlying_transport
    stream.pause_reading()
    assert not stream.is_reading()
    await end.peer.send(TEXT, b"waits")
    await end.peer.until_taken()
    await asyncio.sleep(0.02)  # the loop is what is tested: nothing may be delivered
    assert end.listener.frames == []

    stream.resume_reading()
    await end.listener.until_frames(1)

    assert stream.is_reading()
