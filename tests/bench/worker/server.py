"""Runs with this process as the server: many connections that ask, and connections that only stay."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
from typing import Any

from client import Target, opened
from marks import Marks, memory_kib

from picows import WSListener, ws_create_server

WAIT_S = 60


def keep_apart(pid: int) -> None:
    """The runner's last processor for the peer; this process has the first."""
    os.sched_setaffinity(pid, {max(os.sched_getaffinity(os.getppid()))})


class Crowd:
    """Connections that are open now; wait(n) returns when there are n of them."""

    def __init__(self) -> None:
        self.open = 0
        self._wanted = -1
        self._reached: asyncio.Future[None] | None = None

    def add(self, change: int) -> None:
        self.open += change
        if self.open == self._wanted and self._reached and not self._reached.done():
            self._reached.set_result(None)

    async def wait(self, wanted: int) -> None:
        self._wanted, self._reached = wanted, asyncio.get_running_loop().create_future()
        self.add(0)
        await asyncio.wait_for(self._reached, WAIT_S)


class Member(WSListener):
    def __init__(self, crowd: Crowd) -> None:
        self.crowd = crowd

    def on_ws_connected(self, transport: Any) -> None:
        self.crowd.add(1)

    def on_ws_disconnected(self, transport: Any) -> None:
        self.crowd.add(-1)


class Tally:
    """Messages that a server has answered, all connections together."""

    def __init__(self, warm_up: int, count: int) -> None:
        self.marks = Marks()
        self.messages, self.first, self.last = 0, warm_up, warm_up + count


class Answerer(Member):
    def __init__(self, crowd: Crowd, tally: Tally) -> None:
        super().__init__(crowd)
        self.tally = tally

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        transport.send(frame.msg_type, frame.get_payload_as_memoryview())
        tally = self.tally
        tally.messages += 1
        if tally.messages == tally.first:
            tally.marks.begin()
        elif tally.messages == tally.last:
            tally.marks.end()


async def start(target: Target, listener: Any) -> tuple[Any, str]:
    """A server of this library, and its port."""
    server = await ws_create_server(lambda request: listener(), "127.0.0.1", 0, ssl=target.server_tls)
    return server, str(server.sockets[0].getsockname()[1])


async def server(target: Target, size: int, count: int, *, connections: int) -> dict[str, float]:
    """Echo to the peer's connections, each with one message on its way."""
    warm_up = count // 10
    crowd, tally = Crowd(), Tally(warm_up, count)
    listening, port = await start(target, lambda: Answerer(crowd, tally))
    tls = ["tls"] if target.tls else []
    command = [target.peer, "load", port, str(connections), str(warm_up + count), str(size), *tls]
    load = await asyncio.create_subprocess_exec(*command)
    keep_apart(load.pid)
    if status := await asyncio.wait_for(load.wait(), WAIT_S):
        raise ConnectionError(f"the peer ended with status {status}")
    await asyncio.wait_for(tally.marks.ended, WAIT_S)
    await crowd.wait(0)
    listening.close()
    await listening.wait_closed()
    return tally.marks.per(count)


# Memory. The first connections pay for what is made once; the slope over the others is what one costs.

FIRST = 100


async def server_memory(target: Target, connections: int) -> dict[str, float]:
    crowd = Crowd()
    listening, port = await start(target, lambda: Member(crowd))
    tls = ["tls"] if target.tls else []
    peers, seen = [], []
    for more in (FIRST, connections):
        command = [target.peer, "idle", port, str(more), *tls]
        pipe = subprocess.PIPE
        peer = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
        keep_apart(peer.pid)
        peers.append(peer)
        assert peer.stdout is not None
        if await asyncio.wait_for(peer.stdout.readline(), WAIT_S) != b"ready\n":
            raise ConnectionError("the peer could not open its connections")
        await crowd.wait(crowd.open)
        gc.collect()
        seen.append((memory_kib(), crowd.open))
    for peer in peers:
        assert peer.stdin is not None
        peer.stdin.close()
        await peer.wait()
    await crowd.wait(0)
    listening.close()
    return slope(seen)


async def client_memory(target: Target, connections: int) -> dict[str, float]:
    at_once = asyncio.Semaphore(20)
    kept: list[Any] = []

    async def connect() -> None:
        async with at_once:
            kept.append(await opened(WSListener(), target, "/idle"))

    seen = []
    for more in (FIRST, connections):
        await asyncio.gather(*(connect() for _ in range(more)))
        gc.collect()
        seen.append((memory_kib(), len(kept)))
    for transport in kept:
        transport.disconnect()
    await asyncio.gather(*(transport.wait_disconnected() for transport in kept))
    return slope(seen)


def slope(seen: list[tuple[float, int]]) -> dict[str, float]:
    (before_kib, fewer), (after_kib, more) = seen
    return {"kib": (after_kib - before_kib) / (more - fewer)}
