"""A venue's instrument list, read before a run: asked again until it is there, and never guessed unasked.

Scales, ticks and contract sizes come from it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterable, Mapping

from connectors.backoff import NS_PER_S, Backoff
from connectors.clock import Clock
from connectors.errors import ConfigError, ConnectorError, ListingError, RateLimited
from connectors.exchange import Exchange, HttpGet
from connectors.instrument import Instrument
from connectors.loader import nearest
from connectors.rest import Rest, moved
from connectors.settings import ConnectionSettings

log = logging.getLogger(__name__)
MAX_PAGES = 100  # of one list

Known = Mapping[str, Instrument]
"""By native symbol."""


async def read_listing(
    label: str,
    exchange: Exchange,
    settings: ConnectionSettings,
    rest: Rest | None,
    clock: Clock,
    rng: random.Random,
) -> Known:
    """What the venue lists, as `settings.instruments` asks for it. label: the connection's, for the log.

    A request that fails is repeated with backoff, a rate limit is waited for, all within
    `settings.instruments_s`.
    Raises ListingError: still no list, and the connection has a symbol whose scales nobody gave.
    """
    if settings.instruments == "default" or rest is None:
        return {}
    reader = _Reader(label, exchange, settings, rest, clock, rng)
    try:
        return await reader.read()
    except ListingError as error:
        if settings.instruments == "rest" and any(each not in settings.scales for each in settings.symbols):
            raise
        log.warning("%s: %s", label, error)
        return {}


class _Reader:
    """One list: some requests, each of some pages."""

    def __init__(
        self,
        label: str,
        exchange: Exchange,
        settings: ConnectionSettings,
        rest: Rest,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._label = label
        self._exchange = exchange
        self._settings = settings
        self._rest = rest
        self._clock = clock
        self._rng = rng
        self._end_ns = clock.monotonic_ns() + round(settings.instruments_s * NS_PER_S)

    async def read(self) -> Known:
        found: dict[str, Instrument] = {}
        requests = self._exchange.instrument_requests()
        for first in requests:
            request: HttpGet | None = first
            pages = 0
            while request is not None and pages < MAX_PAGES:
                page, request = await self._page(request)
                found.update((each.native, each) for each in page)
                pages += 1
        if requests and not found:
            raise self._given_up("nothing that trades is in it", 1)
        return found

    async def _page(self, request: HttpGet) -> tuple[list[Instrument], HttpGet | None]:
        """The instruments of one answer, and the request of the next page. Raises ListingError."""
        exchange, patience = self._exchange, self._settings.backoff
        backoff = Backoff(patience.base_s, patience.max_s, patience.reset_s, self._rng)
        where = moved(request, exchange, self._settings.rest_url)
        while True:
            try:
                async with asyncio.timeout(
                    max((self._end_ns - self._clock.monotonic_ns()) / NS_PER_S, 0.001)
                ):
                    body = await self._rest.get(where)
                return exchange.parse_instruments(body), exchange.next_instruments(request, body)
            except TimeoutError as error:
                raise self._given_up(f"{where.url}: no answer", backoff.losses + 1) from error
            except ConnectorError as error:
                await self._wait(backoff, error)

    async def _wait(self, backoff: Backoff, error: ConnectorError) -> None:
        now_ns = self._clock.monotonic_ns()
        wait_s = backoff.on_lost(now_ns, None) / NS_PER_S
        if isinstance(error, RateLimited):
            wait_s = max(wait_s, error.retry_after_s)
        if now_ns + round(wait_s * NS_PER_S) >= self._end_ns:
            raise self._given_up(str(error), backoff.losses) from error
        log.warning(
            "%s: instrument list: %s; asked again in %.1f s (%d in vain)",
            self._label, error, wait_s, backoff.losses,
        )  # fmt: skip
        await asyncio.sleep(wait_s)

    def _given_up(self, why: str, tries: int) -> ListingError:
        return ListingError(
            f"{self._label}: the instrument list cannot be read within {self._settings.instruments_s:g} s "
            f"({tries} in vain): {why}. Prices need its scales: give `scales` for every symbol, or allow "
            f"default ones with `instruments: rest_or_default`"
        )


def check_listed(
    label: str, symbols: Iterable[str], settings: ConnectionSettings, exchange: Exchange, known: Known
) -> None:
    """Symbols whose scales would be guessed are refused, or (where the config allows it) marked in the log.

    Raises ConfigError: the list was read and has no such instrument, and the config gives no scales for it.
    """
    guessed = [
        each for each in symbols if each not in settings.scales and exchange.native_symbol(each) not in known
    ]
    if not guessed:
        return
    facts = exchange.facts
    if settings.instruments == "rest" and known:
        near = nearest(guessed[0], [each.symbol for each in known.values()])
        hint = f"; {near}" if near.startswith("did") else ""
        raise ConfigError(
            f"{label}: {', '.join(guessed)}: expected instruments that the venue lists as trading now{hint}; "
            f"else give their `scales`, or allow default ones with `instruments: rest_or_default`"
        )
    log.warning(
        "%s: %s: the scales are GUESSED: %d decimal digits of prices, %d of sizes; ticks are unknown",
        label, ", ".join(guessed), facts.price_scale, facts.size_scale,
    )  # fmt: skip
