"""Exchange connectors: frames become market data, connections and books are kept true, strategies are
called."""

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
from connectors.events import BUY, SELL, BookChange, Candle, Event, Funding, Liquidation, Quote, Ticker, Trade
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
