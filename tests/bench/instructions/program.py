"""What runs under callgrind: segments between two calls of getppid(), at which callgrind writes its counts.

    program.py PORT PEER   prints `ROW SHARE OPERATIONS` for each segment, in the order of callgrind's files

Everything is in lock step with a peer that is not counted: it sends when asked, and all at once, so that each
run takes the same path. What a segment holds beyond its operations is the same in two segments of one row.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from typing import Any

import uvloop
from counting import Counting

from picows import WSListener, WSMsgType, ws_connect, ws_create_server

BINARY, TEXT = WSMsgType.BINARY, WSMsgType.TEXT
SIZE = 256
ROUNDS = 64
FEW, MANY = 1, 33


class Turn:
    """Rounds of lock step: `again` asks for the next one, until they are done."""

    def __init__(self, again: Any) -> None:
        self.again, self.left = again, 0
        self.done: asyncio.Future[None] | None = None

    def end(self) -> None:
        self.left -= 1
        if self.left:
            self.again()
        else:
            assert self.done is not None
            self.done.set_result(None)

    async def play(self, rounds: int) -> None:
        self.left, self.done = rounds, asyncio.get_running_loop().create_future()
        self.again()
        await self.done

    async def segment(self, row: str, rounds: int, operations: int) -> None:
        await self.play(8)  # the interpreter has specialised its code, buffers have their size
        os.getppid()
        await self.play(rounds)
        os.getppid()
        print(row, rounds, operations, flush=True)


class Receiver(WSListener):
    """Tells its turn after each `count` frames."""

    def __init__(self, count: int) -> None:
        self.count = self.left = count
        self.turn: Any = None

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        self.left -= 1
        if not self.left:
            self.left = self.count
            self.turn.end()


async def client(url: str, path: str, listener: Any) -> Any:
    transport, _ = await ws_connect(lambda: listener, url + path)
    return transport


async def echo(url: str) -> None:
    """One frame and one send in each wake-up; twice, for the slope over the wake-ups."""
    listener = Receiver(1)
    transport = await client(url, "/echo", listener)
    payload = bytes(SIZE)
    listener.turn = turn = Turn(lambda: transport.send(BINARY, payload))
    for rounds in (ROUNDS, 3 * ROUNDS):
        await turn.segment("echo", rounds, rounds)
    transport.disconnect()


async def receive(url: str, row: str, frames: int, is_cython: bool) -> None:
    """Each round brings some frames at once."""
    turn = Turn(lambda: transport.send(BINARY, b"go"))
    if is_cython:
        listener: Any = Counting(turn, 0, frames)
    else:
        listener = Receiver(frames)
        listener.turn = turn
    transport = await client(url, f"/firehose?count={frames}&size={SIZE}&chunk={frames}", listener)
    await turn.segment(row, ROUNDS, frames * ROUNDS)
    transport.disconnect()


async def send(url: str, row: str, frames: int, is_corked: bool) -> None:
    """Each round sends some frames, and one that is answered."""
    payload = bytes(SIZE)
    listener = Receiver(1)
    transport = await client(url, "/sink", listener)
    send_them = send_corked if is_corked else send_all
    listener.turn = turn = Turn(lambda: send_them(transport, payload, frames))
    await turn.segment(row, ROUNDS, frames * ROUNDS)
    transport.disconnect()


def send_all(transport: Any, payload: bytes, frames: int) -> None:
    for _ in range(frames):
        transport.send(BINARY, payload)
    transport.send(TEXT, b"next")


def send_corked(transport: Any, payload: bytes, frames: int) -> None:
    with transport.cork():
        send_all(transport, payload, frames)


class Answerer(WSListener):
    """A server that answers each message with frames; the peer begins when it is started."""

    def __init__(self, frames: int) -> None:
        self.frames, self.payload, self.left = frames, bytes(SIZE), 8 + ROUNDS
        self.done = asyncio.get_running_loop().create_future()

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        if self.left == ROUNDS:
            os.getppid()
        elif not self.left:
            os.getppid()
            self.done.set_result(None)
        self.left -= 1
        send_all(transport, self.payload, self.frames)


async def serve(peer: str, frames: int) -> None:
    listener = Answerer(frames)
    server = await ws_create_server(lambda request: listener, "127.0.0.1", 0)
    port = str(server.sockets[0].getsockname()[1])
    load = await asyncio.create_subprocess_exec(peer, "load", port, "1", str(10 + ROUNDS), "8", "text")
    await listener.done
    print("sent by a server", ROUNDS, frames * ROUNDS, flush=True)
    await load.wait()
    server.close()


async def main(port: str, peer: str) -> None:
    gc.disable()
    url = f"ws://127.0.0.1:{port}"
    await echo(url)
    for row, is_cython in (("received, Python", False), ("received, Cython", True)):
        for frames in (FEW, MANY):
            await receive(url, row, frames, is_cython)
    for row, is_corked in (("sent by a client", False), ("sent under a cork", True)):
        for frames in (FEW, MANY):
            await send(url, row, frames, is_corked)
    for frames in (FEW, MANY):
        await serve(peer, frames)


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
