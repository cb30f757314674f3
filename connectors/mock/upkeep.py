"""What a venue does by the clock: its pings, its deadlines, and faults that begin at a time."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from connectors.mock.connection import MockConnection

if TYPE_CHECKING:
    from connectors.mock.server import MockExchange

log = logging.getLogger(__name__)

TICK_S = 0.02
SLOW_S = 10.0
"""A client that reads nothing for so long is closed; until then it holds up the others."""


class Upkeep:
    """Looks at every connection each TICK_S."""

    def __init__(self, server: MockExchange) -> None:
        self._server = server
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            for connection in list(self._server.connections):
                self.look(connection, self._server.now_s())

    def look(self, connection: MockConnection, now_s: float) -> None:
        """One connection, now."""
        server = self._server
        if connection.is_closing or not server.answers(connection):
            return
        self._faults(connection, now_s)
        if connection.paused_s is not None and now_s - connection.paused_s > SLOW_S:
            connection.close(*server.venue.slow_close)
        if server.uses_limits:
            self._deadlines(connection, now_s)
        self._ping(connection, now_s)

    def _faults(self, connection: MockConnection, now_s: float) -> None:
        faults, number = self._server.faults, connection.number
        if not faults.faults:
            return
        notice = self._server.venue.notice()
        if notice is not None and faults.notice(number, now_s):
            connection.send(notice)
        connection.set_deaf(faults.stops_reading(number, now_s))
        close = faults.close(number, now_s)
        if close is not None:
            connection.close(*close)

    def _deadlines(self, connection: MockConnection, now_s: float) -> None:
        venue = self._server.venue
        age_s = venue.facts.limits.age_s
        if age_s is not None and now_s - connection.opened_s > age_s:
            connection.close(1001, "maximum age")
        silent_s = now_s - max(connection.heard_s, connection.said_s)
        if venue.idle_s is not None and silent_s > venue.idle_s:
            connection.close(*venue.idle_close)
        server_ping = venue.facts.heartbeat.server
        waiting_s = 0.0 if connection.unanswered_s is None else now_s - connection.unanswered_s
        if server_ping is not None and waiting_s > server_ping.deadline_s:
            connection.close(1008, "Pong timeout")

    def _ping(self, connection: MockConnection, now_s: float) -> None:
        """The venue's own heartbeat."""
        facts = self._server.venue.facts.heartbeat.server
        if facts is None or now_s - connection.pinged_s < facts.every_s:
            return
        connection.pinged_s = now_s
        connection.ping_number += 1
        if connection.unanswered_s is None:
            connection.unanswered_s = now_s
        text = self._server.venue.server_ping(connection.ping_number)
        if text is None:
            connection.send_ping(b"%d" % connection.ping_number)
        else:
            connection.send(text)
