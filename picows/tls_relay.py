"""TLS to an https proxy as a plain socket: a pair of sockets, and a relay from the far one into the TLS.

The WebSocket's own TLS, if any, then runs inside it like over any other socket. Both halves of the relay are
the event loop's transports, so what passes is copied once more; only https proxies pay for that.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from typing import cast


async def secured(sock: socket.socket, context: ssl.SSLContext, server_hostname: str) -> socket.socket:
    """Do a TLS handshake on `sock` and return a non-blocking socket whose bytes travel inside.

    sock: connected; taken over, closed when the returned socket is closed, or on failure.
    Raises ssl.SSLError, OSError.
    """
    loop = asyncio.get_running_loop()
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    outer, inner = _Half(), _Half()
    outer.other, inner.other = inner, outer
    try:
        await loop.create_connection(lambda: outer, sock=sock, ssl=context, server_hostname=server_hostname)
        await loop.create_connection(lambda: inner, sock=far)
    except BaseException:
        near.close()
        outer.close(is_broken=True)
        inner.close(is_broken=True)
        if inner.transport is None:
            far.close()
        raise
    return near


class _Half(asyncio.Protocol):
    """One side of the relay: what arrives goes to the other side, at the speed the other side takes it."""

    other: _Half

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.is_over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        if self.is_over:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self.other.transport is not None:
            self.other.transport.write(data)

    def pause_writing(self) -> None:
        if self.other.transport is not None:
            with contextlib.suppress(RuntimeError):  # it was closed meanwhile
                self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other.transport is not None:
            with contextlib.suppress(RuntimeError):
                self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_over = True
        self.other.close(is_broken=exc is not None)

    def close(self, is_broken: bool = False) -> None:
        """End this side too: what is queued is sent first, unless the connection broke."""
        self.is_over = True
        if self.transport is None:
            return
        if is_broken:
            self.transport.abort()
        else:
            self.transport.close()
