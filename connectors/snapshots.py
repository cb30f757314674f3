"""Fetches the REST snapshots that books ask for: one request at a time per stream, patient with limits."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from connectors.booksync import Action
from connectors.errors import ConnectorError, RateLimited
from connectors.instrument import Stream
from connectors.rest import Rest, moved

if TYPE_CHECKING:
    from connectors.connection import Connection

log = logging.getLogger(__name__)
AGAIN_S = 0.25  # a snapshot older than the buffered changes: the venue's cache needs a moment
MAX_WAIT_S = 30.0


class Snapshots:
    """Of one connection."""

    def __init__(self, connection: Connection, rest: Rest | None) -> None:
        self._connection = connection
        self._rest = rest
        self._running: dict[str, Stream] = {}  # by topic

    def fetch(self, stream: Stream) -> None:
        """Ask until the book is true, or the stream is gone. Beside the stream: nothing waits for it."""
        if self._running.get(stream.topic) is stream:
            return
        label = self._connection.label
        if self._rest is None:
            log.error("%s: %s: needs a REST snapshot, but there is no REST client", label, stream.topic)
            return
        self._running[stream.topic] = stream
        self._connection.spawn(self._fetch(stream, self._rest))

    async def _fetch(self, stream: Stream, rest: Rest) -> None:
        try:
            await self._ask(stream, rest)
        finally:
            # Here, and not when the task is reaped: a book may ask again between the two.
            if self._running.get(stream.topic) is stream:
                del self._running[stream.topic]

    async def _ask(self, stream: Stream, rest: Rest) -> None:
        label, tries = self._connection.label, 0
        while any(stream is each for each in self._connection.streams.values()):
            tries += 1
            wait_s = min(AGAIN_S * 2.0 ** min(tries - 1, 10), MAX_WAIT_S)
            try:
                if await self._is_done(stream, rest):
                    return
            except RateLimited as error:
                wait_s = error.retry_after_s
                log.warning("%s: %s: snapshot: %s; asked again in %.1f s", label, stream.topic, error, wait_s)
            except ConnectorError as error:
                log.warning("%s: %s: snapshot: %s; asked again in %.1f s", label, stream.topic, error, wait_s)
            except Exception:
                # A fault of the verbs; without another answer the book would never be true.
                log.exception("%s: %s: snapshot: asked again in %.1f s", label, stream.topic, wait_s)
            await asyncio.sleep(wait_s)

    async def _is_done(self, stream: Stream, rest: Rest) -> bool:
        connection = self._connection
        request = connection.exchange.snapshot_request(stream)
        if request is None:
            log.error(
                "%s: %s: needs a REST snapshot, but the facts name none", connection.label, stream.topic
            )
            return True
        body = await rest.get(moved(request, connection.exchange, connection.settings.rest_url))
        link = connection.link_of(stream)
        if link is None or link.session is None:
            return True  # lost in the meantime: the next socket asks anew
        action = link.session.pipeline.on_rest_answer(stream, body, connection.clock.time_ns())
        return action not in (Action.NEED_SNAPSHOT, Action.REFRESH)
