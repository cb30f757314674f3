"""Trades and quotes of flat JSON, read in C without Python objects; what is unusual, by the verbs' reader."""
from libc.stdint cimport int64_t, uint64_t

from connectors.sink cimport Sink

cdef extern from "scan.h" nogil:
    enum:
        SCAN_STRING
        SCAN_INTEGER
        SCAN_TRUE
        SCAN_FALSE
        SCAN_KEYS
    ctypedef struct scan_value:
        const char* text
        size_t size
        int64_t integer
        int kind
    size_t scan_flat(const char* data, size_t size, scan_value* values, uint64_t* found) noexcept
    unsigned scan_place(char key) noexcept

cdef class Flat:
    cdef:
        readonly bytes head             # of the message, up to the object
        readonly bytes tail             # what follows the object
        scan_value[64] _values          # SCAN_KEYS; of the message being read
        uint64_t _found                 # which of them it has

    # 1: read and delivered; 0: not the usual message, nothing was delivered. Raises what a callback raises.
    cdef int read(self, Sink sink, const char* data, Py_ssize_t size) except -1
    cdef bint _scan(self, const char* data, Py_ssize_t size) noexcept
    cdef bint _has(self, int place, int kind) noexcept
    cdef bint _number(self, int place, int scale, bint is_optional, int64_t* out) noexcept
    cdef bint _time(self, int place, bint is_optional, int64_t* out) noexcept

cdef class FlatQuote(Flat):
    cdef int _bid, _bid_size, _ask, _ask_size, _update_id, _time_ms

cdef class FlatTrade(Flat):
    cdef int _price, _size, _is_maker, _trade_id, _time_ms
    cdef int _first, _last              # -1: every message is one fill
