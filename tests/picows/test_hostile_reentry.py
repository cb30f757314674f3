"""Callbacks that run the loop, forks, bodies in crumbs, broken redirects: no crash, silence or stall."""

import asyncio
import contextlib
import os
import subprocess
import sys
import time

import pytest

from picows import WSInvalidURL
from picows.errors import WSInvalidStatusError
from picows.http1 import BodyReader, split_head
from picows.redirect import redirect_target
from picows.upgrade import WSUpgradeResponse
from picows.url import parse_url

from .ws_listeners import Recorder
from .ws_peers import WAIT_S, dial_upgrade

RUNS = 12


class Nesting(Recorder):
    """Runs the event loop inside its first callback, as nest_asyncio does, after `act(transport)`."""

    def __init__(self, act):
        super().__init__()
        self._act = act
        self.has_kept_its_bytes = None

    def on_ws_frame(self, transport, frame):
        is_first = not self.frames
        super().on_ws_frame(transport, frame)
        if is_first:
            view = frame.get_payload_as_memoryview()
            before = bytes(view)
            self._act(transport)
            loop = asyncio.get_running_loop()
            for _ in range(RUNS):
                loop.call_soon(int)
                loop._run_once()
            self.has_kept_its_bytes = bytes(view) == before == frame.get_payload_as_bytes()
            self.note("nested")


def skip_unless_nestable():
    if not hasattr(asyncio.get_running_loop(), "_run_once"):
        pytest.skip("uvloop refuses to be run inside a callback")


@pytest.mark.parametrize("size", [20, 30_000])
async def test_a_stream_that_is_lost_inside_a_callback_leaves_the_callback_its_frame(
    serve, security, size, loop_complaints
):
    skip_unless_nestable()
    listener = Nesting(lambda transport: transport.disconnect(graceful=False))
    serving = await serve(lambda request: listener)
    peer = await dial_upgrade(("127.0.0.1", serving.port), security.client)
    with contextlib.suppress(OSError):  # a reset, where the server is done before all three have left
        await peer.send_raw(b"".join(peer.encoded(2, bytes([number]) * size) for number in range(3)))
    await listener.until(lambda: {"nested", "disconnected"} <= set(listener.events))

    assert listener.has_kept_its_bytes
    assert [frame.payload for frame in listener.frames] == [b"\0" * size]
    peer.close()
    # asyncio's word on a handle that is run while it runs; nest_asyncio is the caller's choice.
    assert all("cannot enter context" in str(context["exception"]) for context in loop_complaints)
    loop_complaints.clear()


FORKING = """
import asyncio, os, socket, sys
from picows import WSListener, WSMsgType, ws_connect, ws_create_server

class Echo(WSListener):
    def on_ws_frame(self, transport, frame):
        transport.send(frame.msg_type, frame.get_payload_as_bytes())

class Client(WSListener):
    def __init__(self):
        self.echoed = asyncio.Event()
    def on_ws_frame(self, transport, frame):
        self.echoed.set()

async def main():
    # Sockets of our own: a resolver would start threads, which do not survive a fork.
    listening = socket.create_server(("127.0.0.1", 0))
    address = listening.getsockname()
    server = await ws_create_server(lambda request: Echo(), sock=listening)
    transport, client = await ws_connect(
        Client, f"ws://127.0.0.1:{address[1]}/",
        socket_factory=lambda host, port: socket.create_connection(address))
    child = os.fork()
    if child == 0:
        sys.exit(0)
    os.waitpid(child, 0)
    transport.send(WSMsgType.TEXT, b"still here")
    async with asyncio.timeout(5):
        await client.echoed.wait()
    print("echoed")

asyncio.run(main())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
@pytest.mark.parametrize("streams", ["epoll", "poll"])
def test_a_forked_child_that_exits_does_not_silence_its_parents_connections(streams):
    """asyncio alone: uvloop closes itself in the child, and its own sockets in the parent go silent, too."""
    if streams == "epoll" and sys.platform != "linux":
        pytest.skip("epoll is Linux's")
    done = subprocess.run(
        [sys.executable, "-c", FORKING],
        env={**os.environ, "PICOWS_STREAMS": streams},
        capture_output=True,
        text=True,
        timeout=4 * WAIT_S,
        check=False,
    )
    assert "echoed" in done.stdout, done.stderr


def test_a_body_of_chunks_of_one_byte_takes_time_in_proportion_to_its_size():
    def cpu_s(count):
        reader = BodyReader("chunked")
        data = b"1\r\nX\r\n" * count
        began_s = time.process_time()
        reader.feed(data)
        spent_s = time.process_time() - began_s
        assert reader.body == b"X" * count
        return spent_s

    small_s = min(cpu_s(4_000) for _ in range(3))
    large_s = min(cpu_s(40_000) for _ in range(3))
    assert large_s < 25 * small_s, f"10 times the body took {large_s / small_s:.0f} times as long"


@pytest.mark.parametrize("location", ["ws://[::1", "//[", "ws://a]b/"])
def test_a_redirect_to_unmatched_brackets_is_an_invalid_url(location):
    """urljoin() raises a bare ValueError, which a reconnect loop that catches WSError would die of."""
    response = WSUpgradeResponse(
        b"HTTP/1.1", 302, split_head(f"\r\nLocation: {location}\r\n\r\n".encode())[1]
    )
    refusal = WSInvalidStatusError("redirected", None, None, response)
    with pytest.raises(WSInvalidURL):
        redirect_target(parse_url("ws://127.0.0.1/"), refusal)
