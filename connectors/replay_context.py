"""What strategies are given in a replay: the context of a live run, as far as a recording can answer it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from connectors.book import Book
from connectors.clock import Clock
from connectors.errors import ConfigError
from connectors.instrument import Instrument
from connectors.replay_venue import ReplayVenue
from connectors.streams import parse_channel

if TYPE_CHECKING:
    from connectors.replay import Replay


class ReplayContext:
    """Implements context.Context. A stream that is not in the recording can be asked for and is silent."""

    def __init__(self, replay: Replay, name: str) -> None:
        self._replay = replay
        self.log = logging.getLogger(f"strategies.{name}")

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        return self._replay.instruments

    @property
    def connections(self) -> tuple[str, ...]:
        return tuple(self._replay.venues)

    @property
    def clock(self) -> Clock:
        return self._replay.clock

    def book(self, instrument: Instrument | str) -> Book:
        known = self._replay.instruments[instrument] if isinstance(instrument, str) else instrument
        venue = self._replay.venues.get(known.exchange)
        stream = venue.book_stream(known) if venue is not None else None
        if venue is None or stream is None:
            raise ConfigError(f"{known.key}: the recording has no book of it")
        self._replay.keep_book(known)
        sync = venue.sync_of(stream)
        assert sync is not None
        return sync.book

    def subscribe(self, symbol: str, channel: str, connection: str | None = None) -> Instrument:
        venue = self._venue(symbol, connection)
        key = f"{venue.exchange.facts.name}:{symbol}"
        instrument = self._replay.instruments.get(key) or venue.exchange.instrument(symbol)
        for wanted in parse_channel(channel):
            stream = venue.exchange.stream(wanted, instrument, venue.name)
            if all((each.key, each.kind) != (stream.key, stream.kind) for each in venue.streams):
                venue.add(stream)
        self._replay.mark()
        return self._replay.instruments.setdefault(key, instrument)

    def unsubscribe(self, symbol: str, channel: str, connection: str | None = None) -> None:
        venue = self._venue(symbol, connection)
        for stream in list(venue.streams):
            has_symbol = stream.instrument is not None and stream.instrument.symbol == symbol
            if has_symbol and any(each.kind == stream.kind for each in parse_channel(channel)):
                venue.remove(stream)
                return
        raise KeyError(f"{symbol} {channel}")

    def _venue(self, symbol: str, connection: str | None) -> ReplayVenue:
        venues = self._replay.venues
        if connection is None and len(venues) == 1:
            return next(iter(venues.values()))
        if connection in venues:
            return venues[connection]
        raise ConfigError(f"{symbol}: connection: expected one of {', '.join(venues)}, got {connection!r}")

    def send(self, payload: str | bytes, connection: str | None = None, route: str = "") -> bool:  # noqa: ARG002
        """Nothing is sent; what the venue answered is in the recording, if it is."""
        return True

    def stop(self, reason: str = "") -> None:
        self._replay.stop(reason)
