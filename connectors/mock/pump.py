"""The task that takes due messages from the source and publishes them, no faster than clients read."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connectors.mock.server import MockExchange

log = logging.getLogger(__name__)

_BATCH = 128
"""Messages between two looks at the loop: acks and pongs must get through a flood."""


class Pump:
    """Runs while the server does. `finished`: the source is at its end; `wake` makes it look again."""

    def __init__(self, server: MockExchange) -> None:
        self.wake = asyncio.Event()
        self.finished = asyncio.Event()
        self._server = server
        self._task: asyncio.Task[None] | None = None
        self._wanted: frozenset[str] = frozenset()

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None

    def source_now_ns(self) -> int:
        """The present in the source's time; 0 where it has none (flat, or not begun)."""
        pace = self._server.pace
        return 0 if pace.is_flat or not pace.has_begun else pace.until_ns(self._server.now_s())

    async def _run(self) -> None:
        try:
            while True:
                self.wake.clear()
                wait_s = self._step()
                if wait_s == 0:
                    await asyncio.sleep(0)
                    continue
                try:
                    async with asyncio.timeout(wait_s):
                        await self.wake.wait()
                except TimeoutError:
                    pass
        except asyncio.CancelledError:
            raise
        except BaseException:
            log.exception("mock %s: the data have stopped", self._server.venue.facts.name)
            raise

    def _step(self) -> float | None:
        """Publish what is due. How long to wait; 0: more is due; None: until woken."""
        server, source, pace = self._server, self._server.source, self._server.pace
        now_s = server.now_s()
        wait_s = self._hold_s(now_s)
        if wait_s is None or wait_s > 0:
            return wait_s
        if not pace.has_begun:
            first_ns = source.next_ns()
            if first_ns is None:
                return None
            pace.begin(now_s, first_ns)
            self._wanted = frozenset(server.subscribers)
        messages = source.take(pace.until_ns(now_s), _BATCH)
        for message in messages:
            server.publish(message)
        due_ns = source.next_ns()
        if due_ns is None:
            if source.is_finished:
                self.finished.set()
            return None
        return pace.wait_s(now_s, due_ns)

    def _hold_s(self, now_s: float) -> float | None:
        """0: go on. Else how long data wait; None until woken: nobody listens, somebody reads too slowly."""
        server = self._server
        if any(each.paused_s is not None and each.topics for each in server.connections):
            return None
        if server.pace.has_begun and not server.pace.is_flat:
            return 0.0
        if not server.subscribers:
            return None
        # A capture starts, and flat out goes on after a loss, when all its listeners are (back) there.
        wanted = self._wanted if server.pace.has_begun else server.source.topics
        if wanted <= server.subscribers.keys():
            return 0.0
        return max(0.0, server.last_request_s + server.settle_s - now_s)
