from collections.abc import Iterable, Sequence

from connectors.events import BookChange, Candle, Funding, Liquidation, Quote, Ticker, Trade
from connectors.instrument import Instrument, Stream

NS_PER_MS: int

from typing import TypeAlias

from msgspec import Raw

Text: TypeAlias = str | bytes | int | float
Buffer: TypeAlias = Raw | bytes | bytearray | memoryview
Row: TypeAlias = Sequence[Text]

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
        price: Text,
        size: Text,
        side: int,
        trade_id: int | str,
        exchange_ns: int,
        instrument: Instrument | None = None,
        count: int = 1,
    ) -> None: ...
    def quote(
        self,
        bid: Text | None,
        bid_size: Text | None,
        ask: Text | None,
        ask_size: Text | None,
        exchange_ns: int,
        update_id: int | None = None,
        instrument: Instrument | None = None,
    ) -> None: ...
    def book(
        self,
        is_snapshot: bool,
        bids: Iterable[Row] | Buffer,
        asks: Iterable[Row] | Buffer,
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
        last: Text | None = None,
        last_size: Text | None = None,
        bid: Text | None = None,
        bid_size: Text | None = None,
        ask: Text | None = None,
        ask_size: Text | None = None,
        open: Text | None = None,
        high: Text | None = None,
        low: Text | None = None,
        mark: Text | None = None,
        index: Text | None = None,
        volume: Text | None = None,
        turnover: Text | None = None,
        open_interest: Text | None = None,
        instrument: Instrument | None = None,
    ) -> None: ...
    def candle(
        self,
        interval: str,
        open_ns: int,
        open: Text,
        high: Text,
        low: Text,
        close: Text,
        *,
        exchange_ns: int = 0,
        close_ns: int = 0,
        volume: Text | None = None,
        turnover: Text | None = None,
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
        mark: Text | None = None,
        index: Text | None = None,
        instrument: Instrument | None = None,
    ) -> None: ...
    def liquidation(
        self, price: Text, size: Text, side: int, exchange_ns: int, instrument: Instrument | None = None
    ) -> None: ...
    def on_trade(self, trade: Trade) -> None: ...
    def on_quote(self, quote: Quote) -> None: ...
    def on_book(self, change: BookChange) -> None: ...
    def on_ticker(self, ticker: Ticker) -> None: ...
    def on_candle(self, candle: Candle) -> None: ...
    def on_funding(self, funding: Funding) -> None: ...
    def on_liquidation(self, liquidation: Liquidation) -> None: ...
