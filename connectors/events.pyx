"""Market data as strategies see it: reused views, valid during the callback. See events.pxd for the
fields."""
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from libc.math cimport NAN

from connectors.fixed cimport ABSENT, pow10_double, text_of
from decimal import Decimal

BUY = 1
SELL = -1

cdef inline double as_double(int64_t value, int scale) noexcept:
    return NAN if value == ABSENT else <double> value / pow10_double(scale)


cdef inline object as_int(int64_t value):
    return None if value == ABSENT else value


cdef inline object as_decimal(int64_t value, int scale):
    return None if value == ABSENT else Decimal(text_of(value, scale))


cdef class Event:
    """Base of all events."""

    cdef void _copy_base(self, Event other) noexcept:
        other.instrument = self.instrument
        other.stream = self.stream
        other.exchange_ns = self.exchange_ns
        other.recv_ns = self.recv_ns


cdef class Trade(Event):
    """One trade, or one taker order's fills at one price where the venue aggregates (`count` of them)."""

    @property
    def price_int(self): return self.px
    @property
    def size_int(self): return self.sz
    @property
    def price(self): return as_double(self.px, self.instrument.price_scale)
    @property
    def size(self): return as_double(self.sz, self.instrument.size_scale)
    @property
    def id(self): return self.id_text if self.id_text is not None else as_int(self.id_number)

    def decimal(self):
        """(price, size) as exact Decimals."""
        cdef Instrument instrument = self.instrument
        return as_decimal(self.px, instrument.price_scale), as_decimal(self.sz, instrument.size_scale)

    def copy(self):
        cdef Trade other = Trade.__new__(Trade)
        self._copy_base(other)
        other.px, other.sz, other.side, other.count = self.px, self.sz, self.side, self.count
        other.id_number, other.id_text = self.id_number, self.id_text
        return other

    def __repr__(self):
        price, size = self.decimal()
        side = "sell" if self.side < 0 else "buy"
        return f"Trade({self.instrument.key} {side} {size} @ {price} id={self.id})"


cdef class Quote(Event):
    """Best bid and ask. A side that is empty at the venue has None ints and NaN floats."""

    @property
    def bid_int(self): return as_int(self.bid_px)
    @property
    def bid_size_int(self): return as_int(self.bid_sz)
    @property
    def ask_int(self): return as_int(self.ask_px)
    @property
    def ask_size_int(self): return as_int(self.ask_sz)
    @property
    def bid(self): return as_double(self.bid_px, self.instrument.price_scale)
    @property
    def bid_size(self): return as_double(self.bid_sz, self.instrument.size_scale)
    @property
    def ask(self): return as_double(self.ask_px, self.instrument.price_scale)
    @property
    def ask_size(self): return as_double(self.ask_sz, self.instrument.size_scale)
    @property
    def update_id(self): return as_int(self.sequence)

    def decimal(self):
        """(bid, bid_size, ask, ask_size) as exact Decimals; None for an empty side."""
        cdef int price_scale = self.instrument.price_scale
        cdef int size_scale = self.instrument.size_scale
        return (
            as_decimal(self.bid_px, price_scale), as_decimal(self.bid_sz, size_scale),
            as_decimal(self.ask_px, price_scale), as_decimal(self.ask_sz, size_scale),
        )

    def copy(self):
        cdef Quote other = Quote.__new__(Quote)
        self._copy_base(other)
        other.bid_px, other.bid_sz = self.bid_px, self.bid_sz
        other.ask_px, other.ask_sz = self.ask_px, self.ask_sz
        other.sequence = self.sequence
        return other

    def __repr__(self):
        bid, bid_size, ask, ask_size = self.decimal()
        return f"Quote({self.instrument.key} {bid_size} @ {bid} | {ask} @ {ask_size})"


cdef int _grow(int64_t** levels, Py_ssize_t* room, Py_ssize_t count) except -1:
    cdef Py_ssize_t wanted
    cdef void* grown
    if count < room[0]:
        return 0
    wanted = 64 if room[0] == 0 else room[0] * 2
    grown = PyMem_Realloc(levels[0], <size_t> wanted * 2 * sizeof(int64_t))
    if grown == NULL:
        raise MemoryError
    levels[0] = <int64_t*> grown
    room[0] = wanted
    return 0


cdef list _int_rows(int64_t* levels, Py_ssize_t count):
    cdef Py_ssize_t i
    return [(levels[2 * i], levels[2 * i + 1]) for i in range(count)]


cdef list _float_rows(int64_t* levels, Py_ssize_t count, Instrument instrument):
    cdef Py_ssize_t i
    cdef double price_unit = pow10_double(instrument.price_scale)
    cdef double size_unit = pow10_double(instrument.size_scale)
    return [
        (<double> levels[2 * i] / price_unit, <double> levels[2 * i + 1] / size_unit)
        for i in range(count)
    ]


cdef class BookChange(Event):
    """The levels of one book message. Sizes are absolute; 0 deletes. Order as sent."""

    def __cinit__(self):
        self.first_id = self.last_id = self.prev_id = self.checksum = ABSENT

    def __dealloc__(self):
        PyMem_Free(self.bid_levels)
        PyMem_Free(self.ask_levels)

    cdef int reset(self) except -1:
        self.bid_count = self.ask_count = 0
        self.first_id = self.last_id = self.prev_id = self.checksum = ABSENT
        self.is_snapshot = False
        self.exchange_ns = 0
        return 0

    cdef int add_bid(self, int64_t px, int64_t sz) except -1:
        _grow(&self.bid_levels, &self._bid_room, self.bid_count)
        self.bid_levels[2 * self.bid_count] = px
        self.bid_levels[2 * self.bid_count + 1] = sz
        self.bid_count += 1
        return 0

    cdef int add_ask(self, int64_t px, int64_t sz) except -1:
        _grow(&self.ask_levels, &self._ask_room, self.ask_count)
        self.ask_levels[2 * self.ask_count] = px
        self.ask_levels[2 * self.ask_count + 1] = sz
        self.ask_count += 1
        return 0

    @property
    def bids_int(self): return _int_rows(self.bid_levels, self.bid_count)
    @property
    def asks_int(self): return _int_rows(self.ask_levels, self.ask_count)
    @property
    def bids(self): return _float_rows(self.bid_levels, self.bid_count, self.instrument)
    @property
    def asks(self): return _float_rows(self.ask_levels, self.ask_count, self.instrument)

    @property
    def ids(self):
        """(first_id, last_id, prev_id); None where the venue sends none."""
        return as_int(self.first_id), as_int(self.last_id), as_int(self.prev_id)

    @property
    def checksum_value(self): return as_int(self.checksum)

    def copy(self):
        cdef BookChange other = BookChange.__new__(BookChange)
        self._copy_base(other)
        other.is_snapshot = self.is_snapshot
        other.first_id, other.last_id, other.prev_id = self.first_id, self.last_id, self.prev_id
        other.checksum = self.checksum
        cdef Py_ssize_t i
        for i in range(self.bid_count):
            other.add_bid(self.bid_levels[2 * i], self.bid_levels[2 * i + 1])
        for i in range(self.ask_count):
            other.add_ask(self.ask_levels[2 * i], self.ask_levels[2 * i + 1])
        return other

    def __repr__(self):
        what = "snapshot" if self.is_snapshot else "change"
        levels = f"{self.bid_count}+{self.ask_count} levels"
        return f"BookChange({self.instrument.key} {what} ids={self.ids} {levels})"


cdef class Ticker(Event):
    """24 h statistics and whatever else the venue puts beside them. None / NaN: not sent."""

    @property
    def last_int(self): return as_int(self.last_px)
    @property
    def last(self): return as_double(self.last_px, self.instrument.price_scale)
    @property
    def last_size(self): return as_double(self.last_sz, self.instrument.size_scale)
    @property
    def bid(self): return as_double(self.bid_px, self.instrument.price_scale)
    @property
    def bid_size(self): return as_double(self.bid_sz, self.instrument.size_scale)
    @property
    def ask(self): return as_double(self.ask_px, self.instrument.price_scale)
    @property
    def ask_size(self): return as_double(self.ask_sz, self.instrument.size_scale)
    @property
    def open(self): return as_double(self.open_px, self.instrument.price_scale)
    @property
    def high(self): return as_double(self.high_px, self.instrument.price_scale)
    @property
    def low(self): return as_double(self.low_px, self.instrument.price_scale)
    @property
    def mark(self): return as_double(self.mark_px, self.instrument.price_scale)
    @property
    def index(self): return as_double(self.index_px, self.instrument.price_scale)

    def decimal(self):
        """{name: Decimal} of the prices and sizes that were sent."""
        cdef int price_scale = self.instrument.price_scale
        cdef int size_scale = self.instrument.size_scale
        all_values = {
            "last": as_decimal(self.last_px, price_scale), "last_size": as_decimal(self.last_sz, size_scale),
            "bid": as_decimal(self.bid_px, price_scale), "bid_size": as_decimal(self.bid_sz, size_scale),
            "ask": as_decimal(self.ask_px, price_scale), "ask_size": as_decimal(self.ask_sz, size_scale),
            "open": as_decimal(self.open_px, price_scale), "high": as_decimal(self.high_px, price_scale),
            "low": as_decimal(self.low_px, price_scale), "mark": as_decimal(self.mark_px, price_scale),
            "index": as_decimal(self.index_px, price_scale),
        }
        return {name: value for name, value in all_values.items() if value is not None}

    def copy(self):
        cdef Ticker other = Ticker.__new__(Ticker)
        self._copy_base(other)
        other.last_px, other.last_sz = self.last_px, self.last_sz
        other.bid_px, other.bid_sz = self.bid_px, self.bid_sz
        other.ask_px, other.ask_sz = self.ask_px, self.ask_sz
        other.open_px, other.high_px, other.low_px = self.open_px, self.high_px, self.low_px
        other.mark_px, other.index_px = self.mark_px, self.index_px
        other.volume, other.turnover, other.open_interest = self.volume, self.turnover, self.open_interest
        return other

    def __repr__(self):
        return f"Ticker({self.instrument.key} {self.decimal()})"


cdef class Candle(Event):
    """One bar, running (`is_closed` false) or final."""

    @property
    def open(self): return as_double(self.open_px, self.instrument.price_scale)
    @property
    def high(self): return as_double(self.high_px, self.instrument.price_scale)
    @property
    def low(self): return as_double(self.low_px, self.instrument.price_scale)
    @property
    def close(self): return as_double(self.close_px, self.instrument.price_scale)

    def decimal(self):
        """(open, high, low, close) as exact Decimals."""
        cdef int scale = self.instrument.price_scale
        return (
            as_decimal(self.open_px, scale), as_decimal(self.high_px, scale),
            as_decimal(self.low_px, scale), as_decimal(self.close_px, scale),
        )

    def copy(self):
        cdef Candle other = Candle.__new__(Candle)
        self._copy_base(other)
        other.interval, other.open_ns, other.close_ns = self.interval, self.open_ns, self.close_ns
        other.open_px, other.high_px, other.low_px = self.open_px, self.high_px, self.low_px
        other.close_px, other.volume, other.turnover = self.close_px, self.volume, self.turnover
        other.count, other.is_closed = self.count, self.is_closed
        return other

    def __repr__(self):
        opened, high, low, close = self.decimal()
        return f"Candle({self.instrument.key} {self.interval} o={opened} h={high} l={low} c={close})"


cdef class Funding(Event):
    """Funding rate of a perpetual, with mark and index price where they come in the same message."""

    @property
    def mark(self): return as_double(self.mark_px, self.instrument.price_scale)
    @property
    def index(self): return as_double(self.index_px, self.instrument.price_scale)

    def decimal(self):
        """The rate as an exact Decimal; None if it was not sent."""
        return None if self.rate_text is None else Decimal(self.rate_text)

    def copy(self):
        cdef Funding other = Funding.__new__(Funding)
        self._copy_base(other)
        other.rate, other.rate_text = self.rate, self.rate_text
        other.next_ns, other.interval_ns = self.next_ns, self.interval_ns
        other.mark_px, other.index_px = self.mark_px, self.index_px
        return other

    def __repr__(self):
        return f"Funding({self.instrument.key} {self.rate_text} next_ns={self.next_ns})"


cdef class Liquidation(Event):
    """One forced order. `side`: -1 a long was closed (the order sold), +1 a short was closed."""

    @property
    def price_int(self): return self.px
    @property
    def size_int(self): return self.sz
    @property
    def price(self): return as_double(self.px, self.instrument.price_scale)
    @property
    def size(self): return as_double(self.sz, self.instrument.size_scale)

    def decimal(self):
        """(price, size) as exact Decimals."""
        cdef Instrument instrument = self.instrument
        return as_decimal(self.px, instrument.price_scale), as_decimal(self.sz, instrument.size_scale)

    def copy(self):
        cdef Liquidation other = Liquidation.__new__(Liquidation)
        self._copy_base(other)
        other.px, other.sz, other.side = self.px, self.sz, self.side
        return other

    def __repr__(self):
        price, size = self.decimal()
        return f"Liquidation({self.instrument.key} {'sell' if self.side < 0 else 'buy'} {size} @ {price})"
