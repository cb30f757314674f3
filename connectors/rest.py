"""HTTP GETs for snapshots and instrument lists, within the venue's weight budget."""

from __future__ import annotations

import asyncio
import ssl
from typing import Protocol

import aiohttp
import msgspec

from connectors.backoff import NS_PER_S, Window, retry_after_s
from connectors.clock import Clock
from connectors.errors import ConnectionLost, RateLimited
from connectors.exchange import Exchange, HttpGet
from connectors.tap import Tap

TIMEOUT_S = 10.0
MAX_BODY = 64 * 1024 * 1024
_TOO_MANY = (418, 429)


class Rest(Protocol):
    """Live: LiveRest. Replay: the recorded answers."""

    async def get(self, request: HttpGet) -> bytes:
        """The body of a 200. Raises RateLimited, ConnectionLost."""
        ...


def moved(request: HttpGet, exchange: Exchange, rest_url: str | None) -> HttpGet:
    """The same request to another host (config: rest_url)."""
    rest = exchange.facts.rest
    if rest_url is None or rest is None:
        return request
    return msgspec.structs.replace(request, url=rest_url.rstrip("/") + request.url.removeprefix(rest.url))


class LiveRest:
    """Of one exchange: `weight` is shared by all who ask it."""

    def __init__(
        self,
        exchange: Exchange,
        clock: Clock,
        *,
        tap: Tap | None = None,
        proxy: str | None = None,
        tls: ssl.SSLContext | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._exchange = exchange
        self._clock = clock
        self._tap = tap
        self._proxy = proxy
        self._tls = tls
        self._timeout_s = timeout_s
        rest = exchange.facts.rest
        self.weight = Window(rest.weight if rest else None)
        self._used_header = rest.used_header if rest else None
        self._client: aiohttp.ClientSession | None = None

    async def get(self, request: HttpGet) -> bytes:
        """Waits for the budget, then asks. Raises RateLimited, ConnectionLost."""
        await self._wait_for_weight(request.weight)
        if self._client is None:
            timeout = aiohttp.ClientTimeout(total=self._timeout_s)
            self._client = aiohttp.ClientSession(timeout=timeout)
        tls = self._tls if self._tls is not None else True
        try:
            async with self._client.get(request.url, proxy=self._proxy, ssl=tls) as response:
                return await self._answer(request, response)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            # The client's own text shows the address of a Python object.
            why = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
            raise ConnectionLost(f"{request.url}: {type(error).__name__}: {why}") from error

    async def _wait_for_weight(self, weight: int) -> None:
        while True:
            now_ns = self._clock.monotonic_ns()
            wait_ns = self.weight.ready_ns(now_ns, weight) - now_ns
            if wait_ns <= 0:
                self.weight.take(now_ns, weight)
                return
            await asyncio.sleep(wait_ns / NS_PER_S)

    async def _answer(self, request: HttpGet, response: aiohttp.ClientResponse) -> bytes:
        body = await response.content.read(MAX_BODY + 1)
        while not response.content.at_eof() and len(body) <= MAX_BODY:
            body += await response.content.read(MAX_BODY + 1 - len(body))
        if self._tap is not None:
            self._tap.on_rest(
                self._clock.time_ns(), self._exchange.facts.name, request.url, response.status, body
            )
        now_ns = self._clock.monotonic_ns()
        used = response.headers.get(self._used_header, "") if self._used_header else ""
        if used.isascii() and used.isdigit() and len(used) < 10:
            self.weight.note_used(now_ns, int(used))
        if response.status in _TOO_MANY:
            wait_s = retry_after_s(response.headers.get("Retry-After", ""))
            self.weight.hold_until(now_ns + round(wait_s * NS_PER_S))
            raise RateLimited(f"{request.url}: HTTP {response.status}", retry_after_s=wait_s)
        if response.status != 200:
            raise ConnectionLost(f"{request.url}: expected HTTP 200, got {response.status}: {body[:200]!r}")
        if len(body) > MAX_BODY:
            raise ConnectionLost(f"{request.url}: the body is longer than {MAX_BODY} bytes")
        return body

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None
