"""Proxies for the tests: `pproxy` in a process of its own, and one that says what a test makes it say."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time

from .interop_support import TIMEOUT_S, certificate

USER, PASSWORD = "user@home", "p&ss:w?rd"
USER_INFO = "user%40home:p%26ss%3Aw%3Frd"

# It wants an event loop to be set, which uvloop no longer does for it.
START = """
import asyncio, sys
sys.modules["uvloop"] = None
asyncio.set_event_loop(asyncio.new_event_loop())
from pproxy.server import main
main()
"""


@contextlib.contextmanager
def pproxy(scheme, credentials=None):
    """Run pproxy, for all of `scheme` ("http+socks4+socks5"; "+ssl" for TLS); gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    listen = f"{scheme}://127.0.0.1:{port}" + (f"#{credentials}" if credentials else "")
    # --auth 0: credentials are asked for each time, not once for each address.
    command = [sys.executable, "-W", "ignore", "-c", START, "-l", listen, "--auth", "0"]
    if "ssl" in scheme:
        command += ["--ssl", ",".join(map(str, certificate()))]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        _wait_until_listening(process, port)
        yield port
    finally:
        process.kill()
        process.communicate()


def _wait_until_listening(process, port):
    deadline_s = time.monotonic() + TIMEOUT_S
    while True:
        if process.poll() is not None:
            raise RuntimeError(f"pproxy ended: {process.stderr.read().decode()}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        assert time.monotonic() < deadline_s, "pproxy does not listen"
        time.sleep(0.02)


def open_fds():
    return len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0


@contextlib.asynccontextmanager
async def scripted_proxy(script):
    """Run `script(reader, writer)` for each connection; gives the port. All of them have ended afterwards."""
    scripts = set()

    async def serve(reader, writer):
        scripts.add(asyncio.current_task())
        try:
            # Cancelled at the end of the test: asyncio would report that as an error.
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await script(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in scripts:
            task.cancel()
        await asyncio.gather(*scripts, return_exceptions=True)


async def relay(reader, writer, port):
    """From here on, everything goes to a port of 127.0.0.1 and back."""
    target_reader, target_writer = await asyncio.open_connection("127.0.0.1", port)

    async def pump(source, sink):
        with contextlib.suppress(OSError):
            while data := await source.read(65_536):
                sink.write(data)
                await sink.drain()
        sink.close()

    try:
        await asyncio.gather(pump(reader, target_writer), pump(target_reader, writer))
    finally:
        target_writer.close()
        with contextlib.suppress(OSError):
            await target_writer.wait_closed()
