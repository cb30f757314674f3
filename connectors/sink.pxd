"""Where decoders put what they read: text in, reused events out. One per session, never kept by a decoder."""
from libc.stdint cimport int64_t

from connectors.events cimport BookChange, Candle, Event, Funding, Liquidation, Quote, Ticker, Trade
from connectors.instrument cimport Instrument, Stream

cdef class Sink:
    cdef:
        public Stream stream            # set by the session before decode
        public int64_t recv_ns          # set by the session before decode
        public dict instruments         # native symbol -> Instrument, for streams about many

        # The reused events. A native decoder fills them and calls the `on_*` below.
        readonly Trade trade_event
        readonly Quote quote_event
        readonly BookChange book_event
        readonly Ticker ticker_event
        readonly Candle candle_event
        readonly Funding funding_event
        readonly Liquidation liquidation_event

    cdef Instrument _begin(self, Event event, Instrument instrument, int64_t exchange_ns)

    # Called with the filled event; a session overrides them in C.
    cpdef object on_trade(self, Trade trade)
    cpdef object on_quote(self, Quote quote)
    cpdef object on_book(self, BookChange change)
    cpdef object on_ticker(self, Ticker ticker)
    cpdef object on_candle(self, Candle candle)
    cpdef object on_funding(self, Funding funding)
    cpdef object on_liquidation(self, Liquidation liquidation)
