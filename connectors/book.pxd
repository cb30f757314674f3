"""Price levels of one instrument, in int64; knows no sequence numbers (booksync does) and no venue."""
from libc.stdint cimport int64_t

from connectors.events cimport BookChange
from connectors.instrument cimport Instrument

cpdef enum BookState:
    SYNCING = 0         # no levels yet: waiting for a snapshot
    LIVE = 1            # true as of the last message
    STALE = 2           # levels kept, the stream is silent or the connection lost
    INVALID = 3         # a gap or a wrong checksum: do not use

cdef struct Side:
    int64_t* levels     # pairs px, sz, worst first: the best is at the end, where most changes are
    Py_ssize_t count
    Py_ssize_t room
    int sign            # +1 bids, -1 asks: levels ascend by sign * px

cdef class Book:
    cdef:
        readonly Instrument instrument
        readonly BookState state
        readonly int64_t epoch              # +1 at each snapshot that made the book live
        readonly int64_t exchange_ns        # of the last applied change
        readonly int64_t recv_ns
        readonly int64_t last_id            # of the last applied change; ABSENT: none
        readonly Py_ssize_t max_depth       # levels a side that are kept; 0: all
        Side bid_side
        Side ask_side

    cdef int apply_change(self, BookChange change) except -1    # unchecked; a snapshot replaces all
    cdef void begin_epoch(self) noexcept                        # LIVE with other levels than before
    cdef void set_state(self, BookState state) noexcept
    cdef void wipe(self) noexcept                               # no levels, state SYNCING
    cdef bint is_crossed(self) noexcept
    cdef int64_t best_bid_px(self) noexcept                     # ABSENT: that side is empty
    cdef int64_t best_ask_px(self) noexcept
    cdef int64_t worst_bid_px(self) noexcept
    cdef int64_t worst_ask_px(self) noexcept
