"""Acceptor: take connections off a listening socket; step back when the process runs out of descriptors."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable

from picows.options import Logger

# The client is gone, or a network error of that one connection (accept(2)): on to the next.
_CLIENT_GONE = {
    errno.ECONNABORTED,
    errno.EPROTO,
    errno.EPERM,
    errno.EINTR,
    errno.ENETDOWN,
    errno.EHOSTUNREACH,
}

RETRY_AFTER_S = 1.0


class Acceptor:
    """Accept on one listening socket until closed.

    sock: listening; not closed by the acceptor. accepted: gets each non-blocking socket, and owns it then.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        backlog: int,
        accepted: Callable[[socket.socket], None],
        logger: Logger,
        retry_after_s: float = RETRY_AFTER_S,
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._backlog = backlog
        self._accepted = accepted
        self._logger = logger
        self._retry_after_s = retry_after_s
        self._timer: asyncio.TimerHandle | None = None
        self._is_exhausted = False
        sock.setblocking(False)
        loop.add_reader(sock.fileno(), self._on_readable)

    def close(self) -> None:
        """Stop accepting."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        elif self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock.fileno())

    def _on_readable(self) -> None:
        # A burst larger than the backlog has its next turn after other callbacks of the loop.
        for _ in range(self._backlog + 1):
            if self._sock.fileno() < 0:
                return
            try:
                client, _address = self._sock.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as exc:
                if exc.errno in _CLIENT_GONE:
                    continue
                self._pause(exc)
                return
            self._is_exhausted = False
            client.setblocking(False)
            try:
                self._accepted(client)
            except OSError as exc:
                self._logger.warning("a client was lost while it was accepted: %s", exc)

    def _pause(self, error: OSError) -> None:
        """Say so once, and look again after a while."""
        if not self._is_exhausted:
            self._is_exhausted = True
            self._logger.error(
                "cannot accept connections: %s; trying again every %s s", error, self._retry_after_s
            )
        self._loop.remove_reader(self._sock.fileno())
        self._timer = self._loop.call_later(self._retry_after_s, self._resume)

    def _resume(self) -> None:
        self._timer = None
        self._loop.add_reader(self._sock.fileno(), self._on_readable)
        self._on_readable()
