"""From a data message to the strategies' callbacks. Knows no socket; a session or a replay feeds it."""
from libc.stdint cimport int64_t

from connectors.intake cimport Entry, Intake

cdef class Pipeline(Intake):
    cdef:
        public object transport         # handed to on_ws_frame

        # Strategies by callback: dispatch.Slot.
        list _frame_slots
        list _trade_slots
        list _quote_slots
        list _book_slots
        list _ticker_slots
        list _candle_slots
        list _funding_slots
        list _liquidation_slots
        int64_t _slow_ns
        Entry _entry                    # of the message being decoded
        bint _is_taking_over
        bint _is_sampling               # the quote is for pictures only

    cdef int _count(self, Entry entry, Py_ssize_t size) except -1
    cdef tuple _keep(self, object frame)
    cdef int _decode_all(self, Entry entry, object payload, Py_ssize_t size) except -1
    cdef int _sample(self, Entry entry, object payload) except -1
    cdef int _decode(self, Entry entry, object payload) except -1
    cdef int _deliver(self, list slots, int which, object first, object second) except -1
    cdef int _deliver_book(self, object book, object change) except -1
