"""Where decoders put what they read: text in, reused events out."""
from cpython.buffer cimport PyObject_CheckBuffer
from libc.math cimport NAN
from libc.stdint cimport int32_t

from connectors.fixed cimport ABSENT, fixed_of
from connectors.levels cimport read_levels
from connectors.errors import DecodeError

NS_PER_MS = 1_000_000


cdef inline int64_t optional(object text, int scale) except? -1:
    """None and '' both mean that the venue sent no number."""
    if text is None or type(text) is str and len(<str> text) == 0:
        return ABSENT
    return fixed_of(text, scale)


cdef inline int64_t identifier(object value) except? -1:
    if value is None:
        return ABSENT
    try:
        return value
    except OverflowError:
        raise DecodeError(f"expected an id of 64 bits, got {value}") from None


cdef inline double number(object text) except? -1.0:
    if text is None or type(text) is str and len(<str> text) == 0:
        return NAN
    try:
        return float(text)
    except ValueError:
        raise DecodeError(f"expected a decimal number, got {text!r:.60}") from None


cdef inline int64_t size_of(object text, int scale) except? -1:
    cdef int64_t size = fixed_of(text, scale)
    if size < 0:
        raise DecodeError(f"expected a size of 0 or more, got {text!r:.60}")
    return size


cdef inline object item(object row, Py_ssize_t i):
    if len(row) < 2:
        raise DecodeError(f"expected a level of price and size, got {row!r:.60}")
    return row[i]


cdef class Sink:
    """Fills the reused events. Subclass it and override `on_*` to receive them.

    Prices and sizes: decimal text as sent (str or bytes; int and float where the venue sends JSON numbers).
    Times: int ns. `instrument=None` means the stream's own. Raises DecodeError, ScaleError.
    """

    def __cinit__(self):
        self.instruments = {}
        self.trade_event = Trade.__new__(Trade)
        self.quote_event = Quote.__new__(Quote)
        self.book_event = BookChange.__new__(BookChange)
        self.ticker_event = Ticker.__new__(Ticker)
        self.candle_event = Candle.__new__(Candle)
        self.funding_event = Funding.__new__(Funding)
        self.liquidation_event = Liquidation.__new__(Liquidation)

    def find(self, native):
        """The instrument of a native symbol, or None: nobody asked for it (skip that part of the message)."""
        return self.instruments.get(native)

    cdef Instrument _begin(self, Event event, Instrument instrument, int64_t exchange_ns):
        if instrument is None:
            if self.stream is None or self.stream.instrument is None:
                raise DecodeError(f"{self.stream}: a message about many instruments names none")
            instrument = self.stream.instrument
        event.instrument = instrument
        event.stream = self.stream
        event.exchange_ns = exchange_ns
        event.recv_ns = self.recv_ns
        return instrument

    def trade(self, price, size, int32_t side, trade_id, int64_t exchange_ns, Instrument instrument=None,
              int32_t count=1):
        """side: +1 taker bought, -1 taker sold, 0 not told. trade_id: int or str."""
        cdef Trade event = self.trade_event
        instrument = self._begin(event, instrument, exchange_ns)
        event.px = fixed_of(price, instrument.price_scale)
        event.sz = size_of(size, instrument.size_scale)
        event.side = side
        event.count = count
        if isinstance(trade_id, int):
            event.id_number, event.id_text = identifier(trade_id), None
        else:
            event.id_number, event.id_text = ABSENT, trade_id
        self.on_trade(event)

    def quote(self, bid, bid_size, ask, ask_size, int64_t exchange_ns, update_id=None,
              Instrument instrument=None):
        """None or '' for both numbers of a side that is empty."""
        cdef Quote event = self.quote_event
        instrument = self._begin(event, instrument, exchange_ns)
        event.bid_px = optional(bid, instrument.price_scale)
        event.bid_sz = optional(bid_size, instrument.size_scale)
        event.ask_px = optional(ask, instrument.price_scale)
        event.ask_sz = optional(ask_size, instrument.size_scale)
        event.sequence = identifier(update_id)
        self.on_quote(event)

    def book(self, bint is_snapshot, bids, asks, int64_t exchange_ns, *, first_id=None, last_id=None,
             prev_id=None, checksum=None, Instrument instrument=None):
        """bids, asks: rows whose first two items are price and size text; size 0 deletes. A list of rows, or
        the undecoded JSON array (msgspec.Raw, bytes), which is read several times faster.

        Ids: as the venue sends them; None where it sends none. checksum: None where it is unused.
        """
        cdef BookChange event = self.book_event
        cdef int price_scale, size_scale
        event.reset()
        instrument = self._begin(event, instrument, exchange_ns)
        price_scale = instrument.price_scale
        size_scale = instrument.size_scale
        event.is_snapshot = is_snapshot
        event.first_id = identifier(first_id)
        event.last_id = identifier(last_id)
        event.prev_id = identifier(prev_id)
        event.checksum = identifier(checksum)
        if PyObject_CheckBuffer(bids) and PyObject_CheckBuffer(asks):
            read_levels(bids, event, True)
            read_levels(asks, event, False)
        else:
            for row in bids:
                event.add_bid(fixed_of(item(row, 0), price_scale), size_of(item(row, 1), size_scale))
            for row in asks:
                event.add_ask(fixed_of(item(row, 0), price_scale), size_of(item(row, 1), size_scale))
        self.on_book(event)

    def ticker(self, int64_t exchange_ns, *, last=None, last_size=None, bid=None, bid_size=None, ask=None,
               ask_size=None, open=None, high=None, low=None, mark=None, index=None, volume=None,
               turnover=None, open_interest=None, Instrument instrument=None):
        """All numbers optional text."""
        cdef Ticker event = self.ticker_event
        instrument = self._begin(event, instrument, exchange_ns)
        cdef int price_scale = instrument.price_scale
        cdef int size_scale = instrument.size_scale
        event.last_px = optional(last, price_scale)
        event.last_sz = optional(last_size, size_scale)
        event.bid_px = optional(bid, price_scale)
        event.bid_sz = optional(bid_size, size_scale)
        event.ask_px = optional(ask, price_scale)
        event.ask_sz = optional(ask_size, size_scale)
        event.open_px = optional(open, price_scale)
        event.high_px = optional(high, price_scale)
        event.low_px = optional(low, price_scale)
        event.mark_px = optional(mark, price_scale)
        event.index_px = optional(index, price_scale)
        event.volume = number(volume)
        event.turnover = number(turnover)
        event.open_interest = number(open_interest)
        self.on_ticker(event)

    def candle(self, str interval, int64_t open_ns, open, high, low, close, *, int64_t exchange_ns=0,
               int64_t close_ns=0, volume=None, turnover=None, int64_t count=0, bint is_closed=False,
               Instrument instrument=None):
        """interval: the unified name (stream.variant); close_ns: exclusive end."""
        cdef Candle event = self.candle_event
        instrument = self._begin(event, instrument, exchange_ns)
        cdef int scale = instrument.price_scale
        event.interval = interval
        event.open_ns = open_ns
        event.close_ns = close_ns
        event.open_px = fixed_of(open, scale)
        event.high_px = fixed_of(high, scale)
        event.low_px = fixed_of(low, scale)
        event.close_px = fixed_of(close, scale)
        event.volume = number(volume)
        event.turnover = number(turnover)
        event.count = count
        event.is_closed = is_closed
        self.on_candle(event)

    def funding(self, int64_t exchange_ns, *, rate=None, int64_t next_ns=0, int64_t interval_ns=0, mark=None,
                index=None, Instrument instrument=None):
        """rate: decimal text, a fraction (0.0001 = 1 basis point) of the settlement at next_ns."""
        cdef Funding event = self.funding_event
        instrument = self._begin(event, instrument, exchange_ns)
        event.rate = number(rate)
        event.rate_text = rate if rate else None
        event.next_ns = next_ns
        event.interval_ns = interval_ns
        event.mark_px = optional(mark, instrument.price_scale)
        event.index_px = optional(index, instrument.price_scale)
        self.on_funding(event)

    def liquidation(self, price, size, int32_t side, int64_t exchange_ns, Instrument instrument=None):
        """side: of the liquidating order; -1 a long was closed, +1 a short was closed."""
        cdef Liquidation event = self.liquidation_event
        instrument = self._begin(event, instrument, exchange_ns)
        event.px = fixed_of(price, instrument.price_scale)
        event.sz = size_of(size, instrument.size_scale)
        event.side = side
        self.on_liquidation(event)

    cpdef object on_trade(self, Trade trade):
        """Overridden by who wants them."""

    cpdef object on_quote(self, Quote quote):
        """Overridden by who wants them."""

    cpdef object on_book(self, BookChange change):
        """Overridden by who wants them."""

    cpdef object on_ticker(self, Ticker ticker):
        """Overridden by who wants them."""

    cpdef object on_candle(self, Candle candle):
        """Overridden by who wants them."""

    cpdef object on_funding(self, Funding funding):
        """Overridden by who wants them."""

    cpdef object on_liquidation(self, Liquidation liquidation):
        """Overridden by who wants them."""
