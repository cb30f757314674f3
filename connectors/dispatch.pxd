"""One strategy as the hot path sees it: callbacks resolved once, exceptions isolated, time measured."""
from libc.stdint cimport int64_t, uint64_t

from connectors.strategy cimport Strategy

cdef enum Call:
    CALL_FRAME = 0
    CALL_TRADE = 1
    CALL_QUOTE = 2
    CALL_BOOK = 3
    CALL_TICKER = 4
    CALL_CANDLE = 5
    CALL_FUNDING = 6
    CALL_LIQUIDATION = 7
    CALL_STATUS = 8
    CALL_PAUSE = 9
    CALL_RESUME = 10

cdef int64_t monotonic_ns() noexcept nogil
cdef int64_t wall_ns() noexcept nogil

cdef class Slot:
    cdef:
        readonly Strategy strategy
        readonly str name
        readonly frozenset callbacks    # names it overrides
        readonly tuple connections      # names; (): all
        readonly bint is_on
        readonly uint64_t calls
        readonly uint64_t errors
        readonly uint64_t slow
        readonly int errors_in_row      # of the callback that raised last
        readonly int max_errors         # 0: never switched off
        readonly bint is_native         # a cdef class: called through the vtable
        list _bound                     # by Call: bound method, or None
        object _hub
        int[16] _rows                   # by Call: exceptions in a row

    # Returns the monotonic ns after the call. slow_ns: the budget of one call. What comes out is
    # KeyboardInterrupt and its like.
    cdef int64_t call(self, int which, object first, object second, int64_t start_ns, int64_t slow_ns,
                      str connection) except -1
    cdef int _failed(self, int which, object error, str connection) except -1
