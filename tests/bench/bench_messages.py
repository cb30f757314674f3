"""What whole messages cost: WSMessageAssembler and WSReceiver beside a plain listener.

    python tests/bench/bench_messages.py [--count 200000] [--rounds 7]

A process of its own sends messages of 256 bytes as fast as they are read, first in one frame each, then in
four. Figures are medians of the client's CPU time per message (time.process_time), the ways taking turns in
one run; the ratio is to a listener whose on_ws_frame counts.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import socket
import statistics
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SIZE = 256
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def flood(count: int, fragments: int) -> None:
    """Accept a client at a time, and send it `count` messages and a CLOSE."""
    piece = SIZE // fragments
    message = b""
    for number in range(fragments):
        opcode = (0x80 if number == fragments - 1 else 0) | (0 if number else 2)
        head = bytes([opcode, piece]) if piece < 126 else struct.pack("!BBH", opcode, 126, piece)
        message += head + bytes(piece)
    block = message * 256
    listening = socket.create_server(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)
    while True:
        peer, _ = listening.accept()
        request = peer.recv(65536)
        key = next(line.split(b":")[1].strip() for line in request.split(b"\r\n") if b"-Key:" in line)
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        peer.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        for _ in range(count // 256):
            peer.sendall(block)
        peer.sendall(b"\x88\x02\x03\xe8")
        while peer.recv(65536):
            pass
        peer.close()


def clients() -> dict[str, Any]:
    from picows import WSListener, WSMessageAssembler, WSMsgType, WSReceiver

    class Frames(WSListener):
        def __init__(self) -> None:
            self.count = 0

        def on_ws_frame(self, transport: Any, frame: Any) -> None:
            if frame.msg_type == WSMsgType.CLOSE:
                transport.disconnect()
            else:
                self.count += 1

    class Messages(WSMessageAssembler):
        def __init__(self) -> None:
            super().__init__()
            self.count = 0

        def on_ws_message(self, transport: Any, msg_type: Any, message: memoryview) -> None:
            self.count += 1

    return {"on_ws_frame": Frames, "on_ws_message": Messages, "async for": WSReceiver}


async def once(factory: Any, port: int) -> float:
    from picows import WSReceiver, ws_connect

    transport, listener = await ws_connect(factory, f"ws://127.0.0.1:{port}/")
    began = time.process_time()
    if isinstance(listener, WSReceiver):
        async for _ in listener:
            pass
    await transport.wait_disconnected()
    return time.process_time() - began


def measure(count: int, rounds: int, fragments: int) -> None:
    command = [sys.executable, __file__, "--flood", str(fragments), "--count", str(count)]
    peer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert peer.stdout is not None
        port = int(peer.stdout.readline())
        costs: dict[str, list[float]] = {name: [] for name in clients()}
        for _ in range(rounds):
            for name, factory in clients().items():
                costs[name].append(asyncio.run(once(factory, port)) / (count // 256 * 256) * 1e9)
    finally:
        peer.kill()
        peer.wait()
    plain = statistics.median(costs["on_ws_frame"])
    print(f"{SIZE} bytes in {fragments} frame(s); ns of CPU per message, asyncio")
    for name, each in costs.items():
        middle = statistics.median(each)
        print(f"  {name:<14} {middle:8.0f}  {middle / plain:6.2f} x")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--flood", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.flood:
        flood(options.count, options.flood)
        return
    sys.path.insert(0, str(ROOT))
    for fragments in (1, 4):
        measure(options.count, options.rounds, fragments)


if __name__ == "__main__":
    main()
