"""Messages that strategies send: one after another, when the venue allows it. A time in, values out."""

from __future__ import annotations

from collections import deque

from connectors.backoff import Window

NEVER_NS = (1 << 63) - 1
MAX_WAITING = 1000  # a strategy that sends faster than the venue allows for long has to be told


class Outbox:
    """Of one socket. messages: the budget of all that is sent on it, shared with requests and pings."""

    def __init__(self, messages: Window) -> None:
        self._messages = messages
        self._waiting: deque[bytes] = deque()
        self.is_paused = False  # the send buffer is full

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, payload: bytes) -> bool:
        """False: too many wait already."""
        if len(self._waiting) >= MAX_WAITING:
            return False
        self._waiting.append(payload)
        return True

    def take(self, now_ns: int) -> list[bytes]:
        """What may leave now; it has been counted."""
        out: list[bytes] = []
        while self._waiting and not self.is_paused and self._messages.ready_ns(now_ns) <= now_ns:
            self._messages.take(now_ns)
            out.append(self._waiting.popleft())
        return out

    def next_ns(self, now_ns: int) -> int:
        """When to call `take` again."""
        if not self._waiting or self.is_paused:
            return NEVER_NS
        return self._messages.ready_ns(now_ns)
