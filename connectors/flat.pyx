"""Trades and quotes of flat JSON, read in C without Python objects.

A message is `head` + one flat object (scan.h) + `tail`. Fields have the types that the verbs' own reader asks
for; whatever differs (a missing field, another type, a number that does not fit) is refused, and that reader
reads the message and says what is wrong.

Instructions of Intake.take for a best-bid-ask message, with the callback of a Python strategy (1,600): 5,300,
by msgspec 11,600 (valgrind --tool=callgrind, CPython 3.11, futures of 2024-08-08).
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int32_t
from libc.string cimport memcmp

from connectors.events cimport Quote, Trade
from connectors.fixed cimport ABSENT, FIXED_OK, parse_fixed
from connectors.instrument cimport Instrument

cdef int64_t NS_PER_MS = 1_000_000
cdef int64_t MAX_MS = 9_223_372_036_853     # decoding.Millis
cdef int64_t MAX_COUNT = 2**31 - 1


def _place(str name, str key):
    """The place of a one-letter key in the scanned values."""
    if len(key) != 1 or not "A" <= key <= "z":
        raise ValueError(f"{name}: expected a key of one letter, got {key!r}")
    return scan_place(<char> ord(key))


cdef class Flat:
    """head, tail: the bytes around the object. Subclasses name the keys of its fields, one letter each."""

    def __init__(self, bytes head not None, bytes tail not None):
        self.head = head
        self.tail = tail

    cdef int read(self, Sink sink, const char* data, Py_ssize_t size) except -1:
        return 0

    cdef bint _scan(self, const char* data, Py_ssize_t size) noexcept:
        cdef Py_ssize_t head = PyBytes_GET_SIZE(self.head)
        cdef Py_ssize_t tail = PyBytes_GET_SIZE(self.tail)
        cdef Py_ssize_t left = size - head - tail
        if left <= 0 or memcmp(data, PyBytes_AS_STRING(self.head), head) != 0:
            return False
        if memcmp(data + head + left, PyBytes_AS_STRING(self.tail), tail) != 0:
            return False
        return scan_flat(data + head, <size_t> left, self._values, &self._found) == <size_t> left

    cdef bint _has(self, int place, int kind) noexcept:
        return (self._found >> place) & 1 and self._values[place].kind == kind

    cdef bint _number(self, int place, int scale, bint is_optional, int64_t* out) noexcept:
        cdef int fault = FIXED_OK
        if not self._has(place, SCAN_STRING):
            return False
        if is_optional and self._values[place].size == 0:
            out[0] = ABSENT
            return True
        out[0] = parse_fixed(self._values[place].text, <Py_ssize_t> self._values[place].size, scale, &fault)
        return fault == FIXED_OK

    cdef bint _time(self, int place, bint is_optional, int64_t* out) noexcept:
        if is_optional and not (self._found >> place) & 1:
            out[0] = 0
            return True
        if not self._has(place, SCAN_INTEGER) or not 0 <= self._values[place].integer <= MAX_MS:
            return False
        out[0] = self._values[place].integer * NS_PER_MS
        return True

    def offer(self, Sink sink not None, bytes message not None):
        """Read one whole message into the sink. False: nothing was delivered, it is for the verbs' reader."""
        return bool(self.read(sink, PyBytes_AS_STRING(message), PyBytes_GET_SIZE(message)))


cdef class FlatQuote(Flat):
    """Prices and sizes are strings ('' for an empty side), the id an integer, the time ms or missing."""

    def __init__(self, head, tail, *, bid, bid_size, ask, ask_size, update_id, time_ms):
        Flat.__init__(self, head, tail)
        self._bid, self._bid_size = _place("bid", bid), _place("bid_size", bid_size)
        self._ask, self._ask_size = _place("ask", ask), _place("ask_size", ask_size)
        self._update_id, self._time_ms = _place("update_id", update_id), _place("time_ms", time_ms)

    cdef int read(self, Sink sink, const char* data, Py_ssize_t size) except -1:
        cdef Instrument instrument = sink.stream.instrument
        cdef Quote event = sink.quote_event
        cdef int64_t bid, bid_size, ask, ask_size, ns
        if instrument is None or not self._scan(data, size):
            return 0
        if not (self._number(self._bid, instrument.price_scale, True, &bid)
                and self._number(self._bid_size, instrument.size_scale, True, &bid_size)
                and self._number(self._ask, instrument.price_scale, True, &ask)
                and self._number(self._ask_size, instrument.size_scale, True, &ask_size)
                and self._has(self._update_id, SCAN_INTEGER)
                and self._time(self._time_ms, True, &ns)):
            return 0
        sink._begin(event, instrument, ns)
        event.bid_px = bid
        event.bid_sz = bid_size
        event.ask_px = ask
        event.ask_sz = ask_size
        event.sequence = self._values[self._update_id].integer
        sink.on_quote(event)
        return 1


cdef class FlatTrade(Flat):
    """Price and size are strings, ids integers, the time ms; is_maker: true where the buyer was the maker.

    first, last: ids of the fills of an aggregated trade; None: every message is one fill.
    """

    def __init__(self, head, tail, *, price, size, is_maker, trade_id, time_ms, first=None, last=None):
        Flat.__init__(self, head, tail)
        self._price, self._size = _place("price", price), _place("size", size)
        self._is_maker, self._trade_id = _place("is_maker", is_maker), _place("trade_id", trade_id)
        self._time_ms = _place("time_ms", time_ms)
        self._first = -1 if first is None else _place("first", first)
        self._last = -1 if last is None else _place("last", last)

    cdef int read(self, Sink sink, const char* data, Py_ssize_t size) except -1:
        cdef Instrument instrument = sink.stream.instrument
        cdef Trade event = sink.trade_event
        cdef int64_t price, amount, ns, first, last
        cdef int32_t count = 1
        if instrument is None or not self._scan(data, size):
            return 0
        if not (self._number(self._price, instrument.price_scale, False, &price)
                and self._number(self._size, instrument.size_scale, False, &amount)
                and amount >= 0
                and self._has(self._trade_id, SCAN_INTEGER)
                and self._time(self._time_ms, False, &ns)
                and (self._has(self._is_maker, SCAN_TRUE) or self._has(self._is_maker, SCAN_FALSE))):
            return 0
        if self._first >= 0:
            if not (self._has(self._first, SCAN_INTEGER) and self._has(self._last, SCAN_INTEGER)):
                return 0
            first = self._values[self._first].integer
            last = self._values[self._last].integer
            if first < 0 or last < 0:
                return 0    # none that we know; the difference of two of them fits
            count = <int32_t> max(1, min(last - first, MAX_COUNT - 1) + 1)
        sink._begin(event, instrument, ns)
        event.px = price
        event.sz = amount
        event.side = -1 if self._values[self._is_maker].kind == SCAN_TRUE else 1
        event.count = count
        event.id_number = self._values[self._trade_id].integer
        event.id_text = None
        sink.on_trade(event)
        return 1
