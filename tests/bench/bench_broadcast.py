"""broadcast() beside a loop of transport.send() over the same connections.

    python tests/bench/bench_broadcast.py [--connections 1000] [--rounds 40]

A process of its own holds the peers and drains them. The two ways take turns over the same connections.
Figures are medians of the sender's CPU time per connection and message (time.process_time around the
synchronous calls, so the kernel's part of `send` is in it, which is nearly all), and their ratio: above 1,
broadcast is cheaper. `loop / loop` is the same ratio of two loops, what the machine can tell apart.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import resource
import selectors
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SIZES = (16, 256, 2048, 16_384)
REQUEST = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


def allow_descriptors(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, count), hard), hard))


def drain(port: int, count: int) -> None:
    """The peers: connect, upgrade, and read whatever comes, until the sender is gone."""
    allow_descriptors(count + 100)
    selector = selectors.DefaultSelector()
    for _ in range(count):
        sock = socket.create_connection(("127.0.0.1", port))
        sock.sendall(REQUEST)
        sock.setblocking(False)
        selector.register(sock, selectors.EVENT_READ)
    room = bytearray(1 << 20)
    while selector.get_map():
        for key, _ in selector.select():
            with contextlib.suppress(BlockingIOError):
                try:
                    got = key.fileobj.recv_into(room)  # type: ignore[union-attr]
                except ConnectionResetError:
                    got = 0
                if not got:
                    selector.unregister(key.fileobj)


def send_each(transports: list[Any], msg_type: Any, message: bytes) -> None:
    for transport in transports:
        transport.send(msg_type, message)


async def until_drained(transports: list[Any]) -> None:
    while any(transport.underlying_transport.get_write_buffer_size() for transport in transports):
        await asyncio.sleep(0.002)
    await asyncio.sleep(0.005)


async def measure(connections: int, rounds: int) -> None:
    from picows import WSListener, WSMsgType, broadcast, ws_create_server

    allow_descriptors(connections + 100)
    transports: list[Any] = []
    complete = asyncio.Event()

    class Peer(WSListener):
        def on_ws_connected(self, transport: Any) -> None:
            transports.append(transport)
            if len(transports) == connections:
                complete.set()

    server = await ws_create_server(lambda request: Peer(), "127.0.0.1", 0, backlog=connections)
    port = server.sockets[0].getsockname()[1]
    command = [sys.executable, __file__, "--drain", str(port), "--connections", str(connections)]
    peers = subprocess.Popen(command)
    try:
        await asyncio.wait_for(complete.wait(), 60)
        print(f"{connections} connections, {rounds} rounds; ns of CPU per connection and message")
        print(f"{'bytes':>7} {'loop':>8} {'broadcast':>10} {'loop / broadcast':>17} {'loop / loop':>12}")
        for size in SIZES:
            message = bytes(size)
            costs: dict[str, list[float]] = {"loop": [], "broadcast": [], "again": []}
            for _ in range(rounds):
                for name, send in (("loop", send_each), ("broadcast", broadcast), ("again", send_each)):
                    began = time.process_time_ns()
                    send(transports, WSMsgType.BINARY, message)
                    costs[name].append((time.process_time_ns() - began) / connections)
                    await until_drained(transports)
            middle = {name: statistics.median(each) for name, each in costs.items()}
            print(
                f"{size:7} {middle['loop']:8.0f} {middle['broadcast']:10.0f} "
                f"{middle['loop'] / middle['broadcast']:17.3f} {middle['loop'] / middle['again']:12.3f}",
                flush=True,
            )
    finally:
        peers.kill()
        peers.wait()
        server.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--drain", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.drain:
        drain(options.drain, options.connections)
        return
    sys.path.insert(0, str(ROOT))
    asyncio.run(measure(options.connections, options.rounds))


if __name__ == "__main__":
    main()
