"""Market data as strategies see it. Reused views: valid during the callback; `.copy()` keeps one.

Every event: instrument, stream, exchange_ns (0: the venue sends none), recv_ns (one clock read per recv).
Every `*_int` is value * 10**scale of the instrument (price_scale, size_scale); ABSENT (None in Python) =
not sent.
"""
from libc.stdint cimport int32_t, int64_t

from connectors.instrument cimport Instrument, Stream

cdef class Event:
    cdef:
        readonly Instrument instrument
        readonly Stream stream
        readonly int64_t exchange_ns
        readonly int64_t recv_ns

    cdef void _copy_base(self, Event other) noexcept

cdef class Trade(Event):
    cdef:
        int64_t px
        int64_t sz
        readonly int32_t side           # +1 the taker bought, -1 the taker sold, 0 not told
        readonly int32_t count          # fills in this one (aggregated trades); 1 otherwise
        int64_t id_number               # the id where it is an integer, else ABSENT
        object id_text                  # the id where it is text, else None

cdef class Quote(Event):
    cdef:
        int64_t bid_px
        int64_t bid_sz
        int64_t ask_px
        int64_t ask_sz
        int64_t sequence                # the venue's update id, or ABSENT

cdef class BookChange(Event):
    """Levels of one book message, sizes absolute, 0 deletes. C arrays grow, never shrink below what was
    needed."""
    cdef:
        readonly bint is_snapshot       # replaces the whole book
        int64_t first_id                # ABSENT where the venue sends none
        int64_t last_id
        int64_t prev_id                 # last_id of the message before this one, as the venue says
        int64_t checksum                # as sent, signed or not; ABSENT: none (or a venue's "not used")
        int64_t* bid_levels             # pairs px, sz: 2 * bid_count numbers, as sent (not sorted)
        int64_t* ask_levels
        Py_ssize_t bid_count
        Py_ssize_t ask_count
        Py_ssize_t _bid_room
        Py_ssize_t _ask_room

    cdef int reset(self) except -1
    cdef int add_bid(self, int64_t px, int64_t sz) except -1
    cdef int add_ask(self, int64_t px, int64_t sz) except -1

cdef class Ticker(Event):
    cdef:
        int64_t last_px
        int64_t last_sz
        int64_t bid_px
        int64_t bid_sz
        int64_t ask_px
        int64_t ask_sz
        int64_t open_px
        int64_t high_px
        int64_t low_px
        int64_t mark_px
        int64_t index_px
        # base units; aggregates are doubles: they may leave int64 at a fine scale. NaN: absent
        readonly double volume
        readonly double turnover        # quote units
        readonly double open_interest   # the venue's unit (base or contracts)

cdef class Candle(Event):
    cdef:
        readonly str interval           # 1m, 5m, 1h, 1d ...
        readonly int64_t open_ns        # start of the interval
        readonly int64_t close_ns       # its end, exclusive; 0: not told
        int64_t open_px
        int64_t high_px
        int64_t low_px
        int64_t close_px
        readonly double volume
        readonly double turnover
        readonly int64_t count          # trades; 0: not told
        readonly bint is_closed

cdef class Funding(Event):
    cdef:
        readonly double rate            # of the settlement at next_ns; NaN: absent
        readonly object rate_text       # as sent, exact; None: absent
        readonly int64_t next_ns        # the settlement the rate is for; 0: absent
        readonly int64_t interval_ns    # 0: absent
        int64_t mark_px
        int64_t index_px

cdef class Liquidation(Event):
    cdef:
        int64_t px
        int64_t sz
        # side of the liquidating order: -1 a long was closed, +1 a short was closed
        readonly int32_t side
