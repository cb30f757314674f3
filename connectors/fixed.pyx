"""Decimal text to scaled int64 and back."""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport INT64_MAX, uint64_t
from decimal import Decimal

from connectors.errors import DecodeError, ScaleError

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL

cdef double[19] POW10_DOUBLE
cdef uint64_t[20] POW10
POW10[0] = 1
POW10_DOUBLE[0] = 1.0
cdef int _i
for _i in range(1, 20):
    POW10[_i] = POW10[_i - 1] * 10
for _i in range(1, 19):
    POW10_DOUBLE[_i] = POW10_DOUBLE[_i - 1] * 10.0

MAX_SCALE = 18
cdef char ZERO = b"0"


cdef double pow10_double(int scale) noexcept nogil:
    return POW10_DOUBLE[scale]


cdef int64_t parse_fixed(const char* text, Py_ssize_t size, int scale, int* fault) noexcept nogil:
    """[-]digits[.digits][e[+-]digits] as an int64 of `scale` decimal digits. 0 with *fault set on failure."""
    cdef Py_ssize_t i = 0
    cdef uint64_t mantissa = 0
    cdef int shift = scale          # power of ten still to multiply with
    cdef int exponent = 0
    cdef int exponent_sign = 1
    cdef bint negative = False
    cdef bint seen_point = False
    cdef bint seen_digit = False
    cdef char c
    fault[0] = FIXED_SYNTAX
    if size == 0:
        return 0
    if text[0] == b"-":
        negative = True
        i = 1
    while i < size:
        c = text[i]
        if b"0" <= c <= b"9":
            seen_digit = True
            if mantissa > 922337203685477579ULL:
                # The next digit would leave int64; zeros behind the point change nothing.
                if c != b"0" or not seen_point:
                    fault[0] = FIXED_RANGE
                    return 0
            else:
                mantissa = mantissa * 10 + <uint64_t> (c - ZERO)
                if seen_point:
                    shift -= 1
        elif c == b"." and not seen_point:
            seen_point = True
        elif (c == b"e" or c == b"E") and seen_digit:
            i += 1
            if i < size and (text[i] == b"+" or text[i] == b"-"):
                exponent_sign = -1 if text[i] == b"-" else 1
                i += 1
            if i == size:
                return 0
            while i < size:
                c = text[i]
                if not (b"0" <= c <= b"9"):
                    return 0
                if exponent < 10000:
                    exponent = exponent * 10 + (c - ZERO)
                i += 1
            shift += exponent_sign * exponent
            break
        else:
            return 0
        i += 1
    if not seen_digit:
        return 0
    if mantissa == 0:
        fault[0] = FIXED_OK
        return 0
    while shift < 0:
        if mantissa % 10 != 0:
            fault[0] = FIXED_PRECISION
            return 0
        mantissa //= 10
        shift += 1
    if shift > 18 or mantissa > (<uint64_t> INT64_MAX) // POW10[shift]:
        fault[0] = FIXED_RANGE
        return 0
    mantissa *= POW10[shift]
    fault[0] = FIXED_OK
    return -<int64_t> mantissa if negative else <int64_t> mantissa


cdef int64_t fixed_of(object text, int scale) except? -1:
    """Text (or a number, by its shortest repr) as int64 of `scale` digits."""
    cdef Py_ssize_t size
    cdef const char* data
    cdef int fault = 0
    cdef int64_t value
    if type(text) is str:
        data = PyUnicode_AsUTF8AndSize(text, &size)
    elif type(text) is bytes:
        data = PyBytes_AS_STRING(text)
        size = PyBytes_GET_SIZE(text)
    else:
        return fixed_of(_number_text(text), scale)
    value = parse_fixed(data, size, scale, &fault)
    if fault != FIXED_OK:
        _raise(text, scale, fault)
    return value


def _number_text(value):
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return str(value)
    raise DecodeError(f"expected a decimal number, got {type(value).__name__}: {value!r:.60}")


def _raise(text, scale, fault):
    if fault == FIXED_SYNTAX:
        raise DecodeError(f"expected a decimal number, got {text!r:.60}")
    if fault == FIXED_PRECISION:
        raise ScaleError(
            f"{text!r:.60} has more than {scale} decimal digits; set a larger scale for this instrument")
    raise ScaleError(f"{text!r:.60} at scale {scale} leaves int64; set a smaller scale for this instrument")


cdef object text_of(int64_t value, int scale):
    """Shortest exact decimal text: 12300 at scale 4 is '1.23'; no exponent, no trailing zeros."""
    if scale == 0:
        return str(value)
    cdef uint64_t size = <uint64_t> (-value if value < 0 else value)
    sign = "-" if value < 0 else ""
    whole = size // POW10[scale]
    digits = str(size % POW10[scale]).rjust(scale, "0").rstrip("0")
    return f"{sign}{whole}.{digits}" if digits else f"{sign}{whole}"


def to_fixed(text, int scale):
    """Decimal text (str, bytes) or a number as an int of `scale` digits. Raises DecodeError, ScaleError."""
    if not 0 <= scale <= 18:
        raise ValueError(f"scale: expected 0..18, got {scale}")
    return fixed_of(text, scale)


def to_text(value, int scale):
    """The shortest exact decimal text of a scaled int."""
    return text_of(value, scale)


def to_decimal(value, int scale):
    """A scaled int as an exact Decimal that keeps the scale's digits."""
    return Decimal(value).scaleb(-scale)
