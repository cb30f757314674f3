"""Clients in N threads, each with its event loop and its connections.

A transport belongs to the thread that made it. To stop from another thread, a threading.Event is waited for.

python -m picows.examples.echo_client_threaded --url ws://127.0.0.1:9001/ --threads 2 --connections 4
"""

from __future__ import annotations

import argparse
import asyncio
import threading

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect


class Counter(WSListener):
    """Send a message, count its echo, and again."""

    def __init__(self) -> None:
        self.echoes = 0

    def on_ws_connected(self, transport: WSTransport) -> None:
        transport.send(WSMsgType.BINARY, b"ping")

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.BINARY:
            self.echoes += 1
            transport.send(WSMsgType.BINARY, frame.get_payload_as_memoryview())


async def work(url: str, connections: int, stop: threading.Event, echoes: list[int]) -> None:
    opened = await asyncio.gather(*(ws_connect(Counter, url) for _ in range(connections)))
    await asyncio.to_thread(stop.wait)
    for transport, listener in opened:
        transport.disconnect()
        await transport.wait_disconnected()
        assert isinstance(listener, Counter)
        echoes.append(listener.echoes)


def run(url: str, thread_count: int, connections: int, seconds: float) -> None:
    stop = threading.Event()
    echoes: list[int] = []
    threads = [
        threading.Thread(target=lambda: asyncio.run(work(url, connections, stop, echoes)))
        for _ in range(thread_count)
    ]
    for thread in threads:
        thread.start()
    try:
        threading.Event().wait(seconds)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    print(f"{sum(echoes)} echoes over {len(echoes)} connections in {thread_count} threads")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", default="ws://127.0.0.1:9001/", help="echo server (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="event loops (default: %(default)s)")
    parser.add_argument("--connections", type=int, default=4, help="per thread (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=3, help="how long (default: %(default)s)")
    arguments = parser.parse_args()
    run(arguments.url, arguments.threads, arguments.connections, arguments.seconds)


if __name__ == "__main__":
    main()
