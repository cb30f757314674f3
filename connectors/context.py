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

    def send(self, payload: str | bytes, connection: str | None = None, route: str = "") -> bool:
        """A text frame of your own, when the venue's limit on messages allows it: counted with our requests
        and pings, and recorded. What `transport` sends goes out at once and is neither.

        connection: needed where there are several. route: of the facts, where it has several sockets.
        False: no socket is open, or 1000 messages wait; what waits when a connection is lost is not sent.
        Raises ConfigError: no such connection.
        """
        ...

    def stop(self, reason: str = "") -> None:
        """End the run cleanly."""
        ...
