"""What has been delivered already: shared by the two sockets of a make-before-break, and by reconnects."""
from libc.stdint cimport int64_t

from connectors.chain cimport TradeChain

cdef class Gate:
    cdef:
        readonly int64_t last_id        # the highest id that passed; INT64_MIN: none
        readonly int64_t newest_ns      # the venue's latest time of what was offered; 0: none
        readonly TradeChain chain       # of trades whose ids have no holes; else None
        int64_t _floor                  # after a new socket: ids up to this one have been delivered
        int64_t[64] _recent
        int _at
        readonly set seen               # ids, while two sockets deliver; else None
        set _past                       # ids of the overlap that ended, until the one left is beyond
        Py_ssize_t _past_left           # text ids have no order: so many pass before it is forgotten
        readonly set frames             # hashes of whole messages, while two sockets deliver; else None

    cdef bint passes(self, int64_t number) except -1            # ids that ascend
    cdef bint passes_at(self, int64_t number, int64_t exchange_ns) except -1
    cdef bint passes_text(self, object text) except -1
    cdef int note_frame(self, object payload) except -1
    cdef bint _is_past(self, int64_t number) except -1
    cdef bint _is_recent(self, int64_t number) noexcept
    cdef void _remember(self, int64_t number) noexcept
