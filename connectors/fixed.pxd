"""Decimal text to scaled int64 and back. `value_int = value * 10**scale`, exactly or not at all."""
from libc.stdint cimport int64_t

cdef extern from * nogil:
    """
    #define CONN_ABSENT INT64_MIN
    """
    const int64_t ABSENT "CONN_ABSENT"      # "the venue did not send this number"; None in Python

cdef enum FixedFault:
    FIXED_OK = 0
    FIXED_SYNTAX = 1        # not a decimal number
    FIXED_PRECISION = 2     # more non-zero digits than the scale holds
    FIXED_RANGE = 3         # leaves int64

cdef int64_t parse_fixed(const char* text, Py_ssize_t size, int scale, int* fault) noexcept nogil
# str, bytes, int, float; raises DecodeError, ScaleError
cdef int64_t fixed_of(object text, int scale) except? -1
cdef object text_of(int64_t value, int scale)               # shortest decimal text, no exponent
cdef double pow10_double(int scale) noexcept nogil
