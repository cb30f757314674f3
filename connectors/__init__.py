"""Exchange connectors: frames become market data, connections and books are kept true, strategies are
called.

Names are loaded when they are first used: the command line can then be stopped while it loads them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connectors.book import Book, BookState
    from connectors.errors import (
        BookError,
        ConfigError,
        ConnectionLost,
        ConnectorError,
        DecodeError,
        Remedy,
        ScaleError,
        SubscribeError,
    )
    from connectors.events import (
        BUY,
        SELL,
        BookChange,
        Candle,
        Event,
        Funding,
        Liquidation,
        Quote,
        Ticker,
        Trade,
    )
    from connectors.exchange import Channel, Exchange
    from connectors.facts import Facts
    from connectors.instrument import Instrument, Stream
    from connectors.status import Status, StatusKind
    from connectors.strategy import Strategy

__all__ = [
    "BUY",
    "SELL",
    "Book",
    "BookChange",
    "BookError",
    "BookState",
    "Candle",
    "Channel",
    "ConfigError",
    "ConnectionLost",
    "ConnectorError",
    "DecodeError",
    "Event",
    "Exchange",
    "Facts",
    "Funding",
    "Instrument",
    "Liquidation",
    "Quote",
    "Remedy",
    "ScaleError",
    "Status",
    "StatusKind",
    "Strategy",
    "Stream",
    "SubscribeError",
    "Ticker",
    "Trade",
]

_NAMES: dict[str, tuple[str, ...]] = {
    "connectors.book": (
        "Book",
        "BookState",
    ),
    "connectors.errors": (
        "BookError",
        "ConfigError",
        "ConnectionLost",
        "ConnectorError",
        "DecodeError",
        "Remedy",
        "ScaleError",
        "SubscribeError",
    ),
    "connectors.events": (
        "BUY",
        "SELL",
        "BookChange",
        "Candle",
        "Event",
        "Funding",
        "Liquidation",
        "Quote",
        "Ticker",
        "Trade",
    ),
    "connectors.exchange": (
        "Channel",
        "Exchange",
    ),
    "connectors.facts": ("Facts",),
    "connectors.instrument": (
        "Instrument",
        "Stream",
    ),
    "connectors.status": (
        "Status",
        "StatusKind",
    ),
    "connectors.strategy": ("Strategy",),
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
