"""DeadPeerWatch: runs the keep-alive of one open connection on the event loop's timers."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from picows.keepalive import Action, KeepAlive

if TYPE_CHECKING:
    from picows.protocol import Connection


class DeadPeerWatch:
    """Ping a silent peer, and tell the connection to give up one that does not answer.

    connection: open; its options have auto ping on.
    """

    def __init__(self, connection: Connection) -> None:
        options = connection.options
        now_s = time.monotonic()
        self._connection = connection
        self._keepalive = KeepAlive(
            options.auto_ping_strategy,
            options.auto_ping_idle_timeout,
            options.auto_ping_reply_timeout,
            now_s,
        )
        self._timer: asyncio.TimerHandle | None = connection.loop.call_later(
            options.auto_ping_idle_timeout, self._tick
        )

    def on_pong(self) -> None:
        """A pong has come: the peer is alive."""
        self._keepalive.on_pong()

    def stop(self) -> None:
        """The connection is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        """A time that the keep-alive asked for has come."""
        self._timer = None
        connection = self._connection
        if connection.transport.is_disconnected:
            return
        now_s = time.monotonic()
        last_s = connection.last_received_s
        if not connection.transport.underlying_transport.is_reading():
            # Whoever has paused reading does not hear the peer's answer: the silence is our own.
            self._keepalive.on_pong()
            last_s = now_s
        decision = self._keepalive.decide(now_s, last_s)
        if decision.action is Action.GIVE_UP:
            connection.give_up(connection.options.auto_ping_reply_timeout)
            return
        self._timer = connection.loop.call_later(decision.again_in_s, self._tick)
        if decision.action is Action.PING:
            try:
                connection.transport.ping_for(None)
            except Exception as exc:  # noqa: BLE001  whatever the listener's ping raises
                connection.fail_ping(exc)
