"""The contract of a strategy, for `cimport`: a cdef subclass is called through the vtable."""
from connectors.book cimport Book
from connectors.events cimport BookChange, Candle, Funding, Liquidation, Quote, Ticker, Trade

cdef class Strategy:
    cdef:
        readonly object params      # instance of the class's own Params
        readonly str name           # from the config, for logs and the table
        object __weakref__

    cpdef object on_start(self, object ctx)
    cpdef object on_stop(self)
    cpdef object on_ws_frame(self, object transport, object frame)
    cpdef object on_trade(self, Trade trade)
    cpdef object on_quote(self, Quote quote)
    cpdef object on_book(self, Book book, BookChange change)
    cpdef object on_ticker(self, Ticker ticker)
    cpdef object on_candle(self, Candle candle)
    cpdef object on_funding(self, Funding funding)
    cpdef object on_liquidation(self, Liquidation liquidation)
    cpdef object on_status(self, object status)
    cpdef object on_pause(self, object transport)
    cpdef object on_resume(self, object transport)
