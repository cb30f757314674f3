from collections.abc import Iterable, Sequence
from typing import TypeAlias

from msgspec import Raw
from typing_extensions import disjoint_base

from connectors.events import BookChange, Candle, Funding, Liquidation, Quote, Ticker, Trade
from connectors.instrument import Instrument, Stream

NS_PER_MS: int

_Text: TypeAlias = str | bytes | int | float
_Buffer: TypeAlias = Raw | bytes | bytearray | memoryview
_Row: TypeAlias = Sequence[_Text]

@disjoint_base
class Sink:
    stream: Stream
    recv_ns: int
    instruments: dict[str, Instrument]
    trade_event: Trade
    quote_event: Quote
    book_event: BookChange
    ticker_event: Ticker
    candle_event: Candle
    funding_event: Funding
    liquidation_event: Liquidation
    def find(self, native: str) -> Instrument | None: ...
    def trade(
        self,
        price: _Text,
        size: _Text,
        side: int,
        trade_id: int | str,
        exchange_ns: int,
        instrument: Instrument | None = None,
        count: int = 1,
    ) -> None: ...
    def quote(
        self,
        bid: _Text | None,
        bid_size: _Text | None,
        ask: _Text | None,
        ask_size: _Text | None,
        exchange_ns: int,
        update_id: int | None = None,
        instrument: Instrument | None = None,
    ) -> None: ...
    def book(
        self,
        is_snapshot: bool,
        bids: Iterable[_Row] | _Buffer,
        asks: Iterable[_Row] | _Buffer,
        exchange_ns: int,
        *,
        first_id: int | None = None,
        last_id: int | None = None,
        prev_id: int | None = None,
        checksum: int | None = None,
        instrument: Instrument | None = None,
    ) -> None: ...
    def ticker(
        self,
        exchange_ns: int,
        *,
        last: _Text | None = None,
        last_size: _Text | None = None,
        bid: _Text | None = None,
        bid_size: _Text | None = None,
        ask: _Text | None = None,
        ask_size: _Text | None = None,
        open: _Text | None = None,  # noqa: A002 - the word for it
        high: _Text | None = None,
        low: _Text | None = None,
        mark: _Text | None = None,
        index: _Text | None = None,
        volume: _Text | None = None,
        turnover: _Text | None = None,
        open_interest: _Text | None = None,
        instrument: Instrument | None = None,
    ) -> None: ...
    def candle(
        self,
        interval: str,
        open_ns: int,
        open: _Text,  # noqa: A002 - the word for it
        high: _Text,
        low: _Text,
        close: _Text,
        *,
        exchange_ns: int = 0,
        close_ns: int = 0,
        volume: _Text | None = None,
        turnover: _Text | None = None,
        count: int = 0,
        is_closed: bool = False,
        instrument: Instrument | None = None,
    ) -> None: ...
    def funding(
        self,
        exchange_ns: int,
        *,
        rate: str | None = None,
        next_ns: int = 0,
        interval_ns: int = 0,
        mark: _Text | None = None,
        index: _Text | None = None,
        instrument: Instrument | None = None,
    ) -> None: ...
    def liquidation(
        self, price: _Text, size: _Text, side: int, exchange_ns: int, instrument: Instrument | None = None
    ) -> None: ...
    def on_trade(self, trade: Trade) -> None: ...
    def on_quote(self, quote: Quote) -> None: ...
    def on_book(self, change: BookChange) -> None: ...
    def on_ticker(self, ticker: Ticker) -> None: ...
    def on_candle(self, candle: Candle) -> None: ...
    def on_funding(self, funding: Funding) -> None: ...
    def on_liquidation(self, liquidation: Liquidation) -> None: ...
