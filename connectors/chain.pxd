"""Continuity of trades: where a venue numbers them without holes, a hole is a loss."""
from libc.stdint cimport int32_t, int64_t

cdef class TradeChain:
    cdef:
        readonly int64_t last_id        # the highest id so far; ABSENT: none yet
        readonly int64_t missed         # trades that were skipped and have not come since
        bint _has_count                 # an id is the last of `count` consecutive ones
        list _holes                     # [first, last] of what is missing, ascending

    # > 0: so many are missing just before this one; < 0: so many missing ones have come late; 0: in order.
    cdef int64_t note(self, int64_t number, int32_t count) except? -1
    cdef int64_t _jumped(self, int64_t first, int64_t number) except? -1
