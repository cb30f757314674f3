"""What a strategy is given in on_start."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Protocol

from connectors.book import Book
from connectors.clock import Clock
from connectors.instrument import Instrument


class Context(Protocol):
    """Lives as long as the run. Keys of instruments: "exchange:SYMBOL"."""

    @property
    def instruments(self) -> Mapping[str, Instrument]: ...
    @property
    def connections(self) -> tuple[str, ...]: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def log(self) -> logging.Logger: ...

    def book(self, instrument: Instrument | str) -> Book:
        """The instrument's book, kept from now on even if no strategy overrides on_book; look at its `state`.

        Raises KeyError: unknown instrument. Raises ConfigError: no connection subscribes its `book` channel.
        """
        ...

    def subscribe(self, symbol: str, channel: str, connection: str | None = None) -> Instrument:
        """At run time. channel: "trade", "candle.1m". connection: needed where there are several. Raises
        ConfigError."""
        ...

    def unsubscribe(self, symbol: str, channel: str, connection: str | None = None) -> None:
        """Raises KeyError if there is no such stream."""
        ...

    def stop(self, reason: str = "") -> None:
        """End the run cleanly."""
        ...
