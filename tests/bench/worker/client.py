"""Runs with this process as the client: echo, receive, send, latency."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

from marks import Marks, median, undisturbed

import picows
from picows import WSListener, WSMsgType, ws_connect

BINARY, TEXT = WSMsgType.BINARY, WSMsgType.TEXT
ECHO_BATCH = 16


class Target:
    """The peer: where it listens, the program that connects to a server of ours; TLS contexts, or None."""

    def __init__(self, port: int, peer: str, tls: Any = None, server_tls: Any = None) -> None:
        self.url = f"{'wss' if tls else 'ws'}://127.0.0.1:{port}"
        self.peer, self.tls, self.server_tls = peer, tls, server_tls


class Client(WSListener):
    """Tells its run when the connection is lost, so that a failed run ends."""

    def __init__(self, marks: Marks) -> None:
        self.marks = marks

    def on_ws_disconnected(self, transport: Any) -> None:
        self.marks.fail()


async def opened(listener: WSListener, target: Target, path: str) -> Any:
    transport, _ = await ws_connect(lambda: listener, target.url + path, ssl_context=target.tls)
    return transport


async def ended(transport: Any, marks: Marks) -> None:
    await asyncio.wait_for(marks.ended, 60)
    transport.disconnect()
    await transport.wait_disconnected()


# Echo


class Pinger(Client):
    def __init__(self, marks: Marks, size: int, warm_up: int, count: int) -> None:
        super().__init__(marks)
        self.payload = bytes(size)
        self.warm_up, self.left = warm_up, warm_up + count
        self.batch, self.batches, self.since = ECHO_BATCH, [], 0

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        self.left -= 1
        if self.left:
            transport.send(BINARY, self.payload)
        self.batch -= 1
        if not self.batch:
            self.on_batch()

    def on_batch(self) -> None:
        now = time.perf_counter_ns()
        self.batches.append(now - self.since)
        self.since, self.batch = now, ECHO_BATCH
        if self.warm_up:
            self.warm_up -= ECHO_BATCH
            if not self.warm_up:
                self.batches.clear()
                self.marks.begin()
        elif not self.left:
            self.marks.end()


async def echo(target: Target, size: int, count: int) -> dict[str, float]:
    """Round trips, one on its way at a time. round_us: of the median batch of 16."""
    count -= count % ECHO_BATCH
    marks = Marks()
    pinger = Pinger(marks, size, 4 * ECHO_BATCH, count)
    transport = await opened(pinger, target, "/echo")
    transport.send(BINARY, pinger.payload)
    await ended(transport, marks)
    return {**marks.per(count), "round_us": median(pinger.batches) / 1e3 / ECHO_BATCH}


# Receive


class Counter(Client):
    def __init__(self, marks: Marks, warm_up: int, count: int) -> None:
        super().__init__(marks)
        self.frames = 0
        self.first, self.last = warm_up, warm_up + count

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        self.frames += 1
        if self.frames == self.first:
            self.marks.begin()
        elif self.frames == self.last:
            self.marks.end()


async def firehose(
    target: Target, size: int, count: int, *, cython: bool = False, record: bool = False
) -> dict[str, float]:
    """Receive what the peer can send."""
    marks, warm_up = Marks(), count // 10
    if cython:
        from counting import Counting

        listener = Counting(marks, warm_up, count)
    else:
        listener = Counter(marks, warm_up, count)
    path = f"/firehose?count={warm_up + count}&size={size}&record={int(record)}"
    transport = await opened(listener, target, path)
    transport.send(BINARY, b"go")
    await ended(transport, marks)
    return marks.per(count)


# Send


class Sender(Client):
    """Sends bursts that socket buffers hold; the sink's answer to a TEXT asks for the next one."""

    def __init__(self, marks: Marks, size: int, burst: int, bursts: int, corked: int) -> None:
        super().__init__(marks)
        self.payload = bytes(size)
        self.burst, self.bursts, self.left, self.corked = burst, bursts, bursts + 2, corked
        self.inside_ns = 0  # CPU time of the sends alone

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        if self.left == self.bursts:
            self.inside_ns = 0
            self.marks.begin()
        if not self.left:
            self.marks.end()
            return
        self.left -= 1
        began_ns = time.thread_time_ns()
        if self.corked:
            self.send_corked(transport)
        else:
            send, payload = transport.send, self.payload
            for _ in range(self.burst):
                send(BINARY, payload)
        self.inside_ns += time.thread_time_ns() - began_ns
        transport.send(TEXT, b"all sent?")

    def send_corked(self, transport: Any) -> None:
        send, payload = transport.send, self.payload
        for _ in range(self.burst // self.corked):
            with transport.cork():
                for _ in range(self.corked):
                    send(BINARY, payload)


async def send(target: Target, size: int, count: int, *, burst: int, cork: int = 0) -> dict[str, float]:
    """cork: frames under one transport.cork(), where the library has it. inside_us: of the sends alone."""
    marks, bursts = Marks(), max(1, count // burst)
    sender = Sender(marks, size, burst, bursts, cork)
    transport = await opened(sender, target, "/sink")
    if cork and not hasattr(transport, "cork"):
        sender.corked = 0
    transport.send(TEXT, b"all sent?")
    await ended(transport, marks)
    inside_us = sender.inside_ns / 1e3 / (bursts * burst)
    return {**marks.per(bursts * burst), "inside_us": inside_us, "corked": float(sender.corked)}


# Latency


class Taker(Client):
    def __init__(self, marks: Marks, warm_up: int, count: int) -> None:
        super().__init__(marks)
        self.delays_ns: list[int] = []
        self.warm_up, self.left = warm_up, warm_up + count

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        now = time.monotonic_ns()
        self.delays_ns.append(now - int.from_bytes(frame.get_payload_as_memoryview()[:8], "little"))
        self.left -= 1
        if not self.left:
            self.marks.end()


async def latency(
    target: Target, size: int, count: int, *, rate: int, busy: bool = False
) -> dict[str, float]:
    """From the peer's send() to the callback, by CLOCK_MONOTONIC on both sides. busy: under BusyPoll."""
    marks, warm_up = Marks(), max(10, count // 20)
    taker = Taker(marks, warm_up, count)
    is_busy = busy and hasattr(picows, "BusyPoll")
    with undisturbed() as is_alone, picows.BusyPoll() if is_busy else contextlib.nullcontext():
        transport = await opened(taker, target, f"/paced?count={warm_up + count}&size={size}&rate={rate}")
        marks.begin()
        transport.send(BINARY, b"go")
        await ended(transport, marks)
    ordered = sorted(taker.delays_ns[warm_up:])
    picked = {f"p{q}_us": ordered[min(len(ordered) - 1, len(ordered) * q // 100)] / 1e3 for q in (50, 90, 99)}
    return {**picked, **marks.per(count), "busy": float(is_busy), "alone": float(is_alone)}
