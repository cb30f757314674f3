"""What this process holds, and clients that speak in raw bytes: for the tests of resources."""

import asyncio
import contextlib
import gc
import os
import socket
import struct

import pytest

import picows
from picows import WSMsgType

from .interop_support import TIMEOUT_S

MIB = 1024 * 1024

needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc (Linux)")


# Tasks, objects and descriptors count the same under `make sanitize`. Resident memory does not: it holds the
# sanitizer's shadow of memory, red zones, and freed blocks in quarantine (16 MB) and thread caches, too.
IS_SANITIZED = "libasan" in os.environ.get("LD_PRELOAD", "")


def rss():
    """Resident bytes of this process."""
    gc.collect()
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def open_fds():
    return len(os.listdir("/proc/self/fd"))


class Kept:
    """What this process holds; `check()` after the same work again."""

    def __init__(self):
        self.tasks = len(asyncio.all_tasks())
        self.objects = _object_count()
        self.rss = rss()

    def check(self):
        grown = {
            "tasks": len(asyncio.all_tasks()) - self.tasks,
            "objects": _object_count() - self.objects,
            "mib": round((rss() - self.rss) / MIB, 2),
        }
        assert grown["tasks"] == 0, grown
        assert grown["objects"] < 500, grown
        assert grown["mib"] < 6 or IS_SANITIZED, grown


def _object_count():
    gc.collect()
    return len(gc.get_objects())


async def fds_back_to(count, tasks=None):
    """Wait until closed connections, which linger for their peer's end, have given their descriptors back.

    tasks: wait until no more than these run, too: the peer's end of a connection may be a task.
    """
    async with asyncio.timeout(TIMEOUT_S):
        while open_fds() > count or (tasks is not None and len(asyncio.all_tasks()) > tasks):
            await asyncio.sleep(0.01)


async def in_turns(count, width, job):
    """Run job(i) for i < count, `width` of them at a time."""
    turns = iter(range(count))

    async def work():
        for i in turns:
            await job(i)

    async with asyncio.TaskGroup() as group:
        for _ in range(width):
            group.create_task(work())


class Echo(picows.WSListener):
    def on_ws_frame(self, transport, frame):
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        else:
            transport.send(frame.msg_type, frame.get_payload_as_memoryview())


def masked(msg_type, payload):
    """A client's frame; the mask is all zeros, which RFC 6455 does not rule out."""
    assert len(payload) < 65_536
    length = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + struct.pack(">H", len(payload))
    return bytes([0x80 | msg_type]) + length + bytes(4) + payload


@contextlib.asynccontextmanager
async def raw_client(port, receive_buffer=None):
    """A socket behind a finished upgrade, which reads and writes only what the test makes it."""
    loop = asyncio.get_running_loop()
    request = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    request += "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    with socket.socket() as sock:
        sock.setblocking(False)
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await loop.sock_connect(sock, ("127.0.0.1", port))
        await loop.sock_sendall(sock, request.encode())
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += await loop.sock_recv(sock, 1)
        yield sock


async def echo_through(sock, batch, batches):
    """Write `batch` so many times, read as many answers (unmasked: 4 bytes fewer a frame).

    At most 8 batches are under way: what the server queues for us must not depend on who runs first.
    """
    loop = asyncio.get_running_loop()
    frame_count = len(batch) // len(FRAME)
    answer_size = len(batch) - 4 * frame_count
    buffer = bytearray(256 * 1024)
    under_way = asyncio.Semaphore(8)

    async def read():
        received = answered = 0
        while received < batches * answer_size:
            got = await loop.sock_recv_into(sock, buffer)
            assert got > 0
            received += got
            while answered < received // answer_size:
                answered += 1
                under_way.release()
        assert received == batches * answer_size

    async def write():
        for _ in range(batches):
            await under_way.acquire()
            await loop.sock_sendall(sock, batch)

    await asyncio.gather(read(), write())


FRAME = masked(WSMsgType.BINARY, b"0123456789abcdef" * 4)
