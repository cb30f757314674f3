"""AF_UNIX sockets, from both sides; in picows 2 they crashed the process."""

import asyncio
import socket
import time
from types import SimpleNamespace

import pytest

from picows import WSMsgType, ws_connect, ws_create_server

from .conftest import close_for_good, gone
from .ws_frames import TEXT
from .ws_listeners import Echo, Recorder
from .ws_peers import WAIT_S, dial_upgrade

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this platform has no AF_UNIX")


def connected_to(path):
    def factory(host, port):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(path)
        return sock

    return factory


@pytest.fixture
def address(tmp_path):
    return str(tmp_path / "s")


async def serve_unix(address, **options):
    made = []

    def factory(request):
        made.append(Echo())
        return made[-1]

    server = await ws_create_server(factory, path=address, **options)
    return SimpleNamespace(server=server, listeners=made)


@pytest.mark.parametrize("size", [3, 3_000_000])
async def test_client_and_server_talk_over_a_unix_socket(address, tls, size):
    for security in (None, tls):
        serving = await serve_unix(address, ssl=security and security.server)
        scheme = "wss" if security else "ws"
        transport, listener = await ws_connect(
            Recorder,
            f"{scheme}://localhost/",
            socket_factory=connected_to(address),
            ssl_context=security and security.client,
        )

        transport.send(WSMsgType.BINARY, bytes(size))
        await listener.until_frames(1)

        assert listener.frames[0].payload == bytes(size)
        assert transport.underlying_transport.get_extra_info("socket").family == socket.AF_UNIX
        await close_for_good(transport)
        await serving.listeners[0].until_event("disconnected")
        serving.server.close()


async def test_a_path_that_a_former_server_left_behind_is_replaced(address):
    (await serve_unix(address)).server.close()

    serving = await serve_unix(address)
    peer = await dial_upgrade(address)

    peer.close()
    await serving.listeners[0].until_event("disconnected")
    serving.server.close()


async def test_a_file_in_the_way_is_not_removed(tmp_path):
    file = tmp_path / "precious"
    file.write_text("data")

    with pytest.raises(OSError, match="precious"):
        await ws_create_server(lambda request: Echo(), path=str(file))

    assert file.read_text() == "data"


async def test_an_unconnected_unix_socket_from_a_factory_is_refused():
    with pytest.raises(ValueError, match="must be connected"):
        await ws_connect(
            Recorder, "ws://localhost/", socket_factory=lambda h, p: socket.socket(socket.AF_UNIX)
        )


@pytest.mark.parametrize("leaves_unread", [False, True])
async def test_a_paused_connection_whose_peer_has_gone_leaves_the_loop_idle(address, leaves_unread):
    serving = await serve_unix(address)
    peer = await dial_upgrade(address)
    async with asyncio.timeout(WAIT_S):
        while not serving.listeners or serving.listeners[0].transport is None:
            await asyncio.sleep(0)
    listener = serving.listeners[0]
    listener.transport.underlying_transport.pause_reading()
    await peer.send(TEXT, b"received before")
    if leaves_unread:
        listener.transport.send(WSMsgType.TEXT, b"never read")
    peer.close()
    started = time.process_time()

    await asyncio.sleep(0.3)  # idle time is what is measured
    used_s = time.process_time() - started
    listener.transport.underlying_transport.resume_reading()
    await listener.until_event("disconnected")

    assert used_s < 0.15
    assert listener.frames[0].payload == b"received before"
    await gone(listener.transport)
    serving.server.close()
