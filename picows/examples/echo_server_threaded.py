"""An echo server in N threads, each with its event loop; the system spreads new connections over them.

The threads run in parallel on a free-threaded Python. Stop it with Ctrl-C.

python -m picows.examples.echo_server_threaded --port 9001 --threads 4
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
import threading

from picows import ws_create_server
from picows.examples.echo_server import accept


async def serve(host: str, port: int, stop: threading.Event) -> None:
    # reuse_port: each thread has a listening socket of its own on the same port.
    server = await ws_create_server(accept, host, port, reuse_port=True)
    async with server:
        await asyncio.to_thread(stop.wait)
        server.abort_clients()


def reserve_port(host: str, port: int) -> socket.socket:
    """A bound socket that does not listen: it keeps a port that was chosen by the system for the threads."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections of an earlier run in TIME_WAIT
    sock.bind((host, port))
    return sock


def run(host: str, port: int, thread_count: int) -> None:
    stop = threading.Event()
    with reserve_port(host, port) as reserved:
        port = reserved.getsockname()[1]
        threads = [
            threading.Thread(target=lambda: asyncio.run(serve(host, port, stop))) for _ in range(thread_count)
        ]
        for thread in threads:
            thread.start()
        print(f"listening on {host}:{port} in {thread_count} threads", flush=True)
        try:
            for thread in threads:
                thread.join()
        finally:
            stop.set()
            for thread in threads:
                thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=9001, help="0: any free one (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=4, help="event loops (default: %(default)s)")
    arguments = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        run(arguments.host, arguments.port, arguments.threads)


if __name__ == "__main__":
    main()
