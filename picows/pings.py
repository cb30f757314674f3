"""Which pings are out, and which pong answers which: round-trip times and dead-peer detection share a queue.

A peer answers pings in order (RFC 6455 5.5.3 lets it skip all but the latest). Protocol pongs are told apart
by their payload; pongs of a venue's own making (JSON, text) by their order.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

# An answer that never comes must not make the queue grow: beyond this many pings the oldest are forgotten.
_MAX_OUTSTANDING = 1024


class Ping:
    """One ping that is out. payload is None for a ping of the user's own making."""

    __slots__ = ("payload", "sent_s", "waiter")

    def __init__(self, sent_s: float, waiter: asyncio.Future[float] | None) -> None:
        self.payload: bytes | None = None
        self.sent_s = sent_s
        self.waiter = waiter


class Pings:
    """The pings of one connection that await their pong.

    send:  sends the user-specific ping; `note_payload` is called from inside it if that is a protocol PING.
    clock: seconds, monotonic.
    """

    def __init__(self, send: Callable[[], object], clock: Callable[[], float]) -> None:
        self._send = send
        self._clock = clock
        self._outstanding: deque[Ping] = deque()
        self._being_sent: Ping | None = None

    def __bool__(self) -> bool:
        return bool(self._outstanding)

    def send(self, waiter: asyncio.Future[float] | None = None) -> None:
        """Send a ping; `waiter` gets its round-trip time in seconds."""
        ping = Ping(self._clock(), waiter)
        self._being_sent = ping
        if len(self._outstanding) >= _MAX_OUTSTANDING:
            _fail(self._outstanding.popleft(), TimeoutError("no pong came, and too many pings are out"))
        # Queued before it is sent: a peer in this process could answer from inside the call.
        self._outstanding.append(ping)
        try:
            self._send()
        except BaseException:
            if ping in self._outstanding:
                self._outstanding.remove(ping)
            raise
        finally:
            self._being_sent = None

    def note_payload(self, payload: bytes) -> None:
        """A protocol PING with this payload is being sent."""
        if self._being_sent is not None:
            self._being_sent.payload = payload

    def matches(self, payload: bytes) -> bool:
        """Whether a protocol PONG with this payload answers one of ours."""
        return any(ping.payload is None or ping.payload == payload for ping in self._outstanding)

    def on_pong(self, payload: bytes | None = None) -> None:
        """A pong has come: answer the oldest ping it fits, and all before it.

        payload: of a protocol PONG; None for a pong of the user's own making, which fits any ping.
        """
        now_s = self._clock()
        fitting = next(
            (ping for ping in self._outstanding if payload is None or ping.payload in (None, payload)), None
        )
        while fitting is not None and self._outstanding:
            ping = self._outstanding.popleft()
            if ping.waiter is not None and not ping.waiter.done():
                ping.waiter.set_result(now_s - ping.sent_s)
            if ping is fitting:
                return

    def fail(self, error: Exception) -> None:
        """The connection is gone: nobody waits any longer."""
        while self._outstanding:
            _fail(self._outstanding.popleft(), error)


def _fail(ping: Ping, error: Exception) -> None:
    if ping.waiter is not None and not ping.waiter.done():
        ping.waiter.set_exception(error)
