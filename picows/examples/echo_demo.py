"""An echo server and a client on loopback that prints round trips: what `make echo` shows.

python -m picows.examples.echo_demo
python -m picows.examples.echo_demo --rounds 200000 --size 1024 --loop asyncio
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Callable, Coroutine
from typing import Any

from picows import (
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    ws_connect,
    ws_create_server,
)


class EchoServer(WSListener):
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
            return
        transport.send(frame.msg_type, frame.get_payload_as_memoryview(), frame.fin)


class EchoClient(WSListener):
    def __init__(self, message: bytes, rounds: int) -> None:
        self.message = message
        self.rounds = rounds
        self.roundtrips_us: list[float] = []
        self._sent_s = 0.0

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._send(transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
            return
        self.roundtrips_us.append((time.perf_counter() - self._sent_s) * 1e6)
        if len(self.roundtrips_us) < self.rounds:
            self._send(transport)
        elif not transport.is_close_frame_sent:
            transport.send_close(WSCloseCode.OK, b"done")

    def _send(self, transport: WSTransport) -> None:
        self._sent_s = time.perf_counter()
        transport.send(WSMsgType.BINARY, self.message)


def accept(_request: WSUpgradeRequest) -> WSListener:
    return EchoServer()


async def demo(rounds: int, size: int) -> None:
    server = await ws_create_server(accept, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()[:2]
        print(f"echo server on ws://{host}:{port}/, {rounds} round trips of {size} bytes")
        transport, listener = await ws_connect(
            lambda: EchoClient(bytes(size), rounds), f"ws://{host}:{port}/", enable_auto_ping=True
        )
        await transport.wait_disconnected()
        assert isinstance(listener, EchoClient)
        report(listener.roundtrips_us)
        print(f"closed: {transport.close_handshake}")


def report(roundtrips_us: list[float]) -> None:
    cuts = statistics.quantiles(roundtrips_us, n=100)
    print(f"round trips: {len(roundtrips_us)}")
    for name, value in (("min", min(roundtrips_us)), ("median", cuts[49]), ("p99", cuts[98])):
        print(f"  {name:<7}{value:8.1f} us")


def runner(name: str) -> Callable[[Coroutine[Any, Any, None]], None]:
    """asyncio.run, or uvloop's where it is installed."""
    if name != "asyncio":
        try:
            import uvloop

            run: Callable[[Coroutine[Any, Any, None]], None] = uvloop.run
            return run
        except ImportError:
            if name == "uvloop":
                raise
    return asyncio.run


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20_000, help="messages to send (default: %(default)s)")
    parser.add_argument("--size", type=int, default=256, help="payload bytes (default: %(default)s)")
    parser.add_argument("--loop", choices=("auto", "asyncio", "uvloop"), default="auto", help="event loop")
    arguments = parser.parse_args()
    if arguments.rounds < 2 or arguments.size < 0:
        parser.error("expected --rounds >= 2 and --size >= 0")
    runner(arguments.loop)(demo(arguments.rounds, arguments.size))


if __name__ == "__main__":
    main()
