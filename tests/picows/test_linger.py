"""A closed stream waits for its peer to end too; an event loop that ends meanwhile leaves nothing behind."""

import asyncio
import gc
import os
import socket
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import picows
from picows.handshake import build_101, check_request, parse_request

from .interop_support import loop_factories

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="needs /proc (Linux)")


def socket_links():
    """inode links of the sockets that this process has open."""
    links = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{fd}"))
        except OSError:
            continue
    return sorted(link for link in links if link.startswith("socket:"))


async def disconnect_from_a_peer_that_stays(listening):
    """The peer's socket, still open."""
    loop = asyncio.get_running_loop()
    port = listening.getsockname()[1]
    connecting = asyncio.ensure_future(picows.ws_connect(picows.WSListener, f"ws://127.0.0.1:{port}/"))
    peer, _ = await loop.sock_accept(listening)
    request = parse_request(await loop.sock_recv(peer, 65_536))
    await loop.sock_sendall(peer, build_101(check_request(request), None, request))
    transport, _ = await connecting

    transport.disconnect()
    await transport.wait_disconnected()
    return peer


@pytest.mark.parametrize("loop_factory", loop_factories())
def test_loops_may_end_right_after_a_disconnect(loop_factory):
    """What an ended loop still holds is closed, at the latest, when the thread's next loop connects."""
    gc.collect()
    before = len(socket_links())
    with warnings.catch_warnings(record=True) as caught, socket.create_server(("127.0.0.1", 0)) as listening:
        warnings.simplefilter("always")
        listening.setblocking(False)
        for _ in range(5):
            with asyncio.Runner(loop_factory=loop_factory) as runner:
                peer = runner.run(disconnect_from_a_peer_that_stays(listening))
            peer.close()
            gc.collect()

    assert [str(warning.message) for warning in caught] == []
    assert len(socket_links()) <= before + 1


def test_a_process_may_end_right_after_a_disconnect():
    """Streams that are found at the very end of the interpreter are closed without Python."""
    script = f"import sys; sys.path[:0] = {sys.path!r}\n" + Path(__file__).read_text().partition("@pytest")[0]
    script = (
        script.replace("from .interop_support import loop_factories", "")
        + """
with socket.create_server(("127.0.0.1", 0)) as listening:
    listening.setblocking(False)
    peer = asyncio.run(disconnect_from_a_peer_that_stays(listening))
"""
    )

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
