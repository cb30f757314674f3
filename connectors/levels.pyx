"""Price levels of a book message, read from their JSON text without Python objects.

A book message is mostly digits: reading them here, and not as Python strings, takes a tenth of the time.
"""
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport INT64_MAX, int64_t, uint64_t

from connectors.events cimport BookChange
from connectors.fixed cimport FIXED_OK, parse_fixed
from connectors.errors import DecodeError
from connectors.fixed import to_fixed


cdef uint64_t[19] POW10
cdef uint64_t[19] LARGEST                # that still fits int64 after a multiplication with POW10
cdef int _i
POW10[0] = 1
for _i in range(1, 19):
    POW10[_i] = POW10[_i - 1] * 10
for _i in range(19):
    LARGEST[_i] = (<uint64_t> INT64_MAX) // POW10[_i]


cdef inline Py_ssize_t plain(
    const char* text, Py_ssize_t at, Py_ssize_t size, int scale, int64_t* value,
) noexcept nogil:
    """The usual number, read in one pass: quoted digits with at most one point. The place behind it.

    -1: another one, or one that does not fit; `number` reads it with care.
    """
    cdef Py_ssize_t i = at + 1
    cdef uint64_t sum = 0
    cdef uint64_t digit
    cdef int digits = 0
    cdef int point = -1
    cdef int shift = scale
    while i < size:
        digit = <uint64_t> (<unsigned char> text[i]) - 48
        if digit <= 9:
            sum = sum * 10 + digit
            digits += 1
        elif text[i] == b"." and point < 0:
            point = digits
        else:
            break
        i += 1
        if digits > 18:
            return -1
    if i >= size or text[i] != b'"' or digits == 0:
        return -1
    if point >= 0:
        shift -= digits - point
    if shift >= 0:
        if sum > LARGEST[shift]:
            return -1
        value[0] = <int64_t> (sum * POW10[shift])
    elif sum % POW10[-shift] == 0:
        value[0] = <int64_t> (sum // POW10[-shift])
    else:
        return -1
    return i + 1


cdef inline Py_ssize_t blank(const char* text, Py_ssize_t at, Py_ssize_t size) noexcept nogil:
    """The first place from `at` on that is no JSON white space."""
    while at < size and (text[at] == b" " or text[at] == b"\n" or text[at] == b"\t" or text[at] == b"\r"):
        at += 1
    return at


cdef Py_ssize_t number(
    const char* text, Py_ssize_t at, Py_ssize_t size, int scale, int64_t* value, Py_ssize_t* start,
) noexcept nogil:
    """Read a number, quoted or bare. The place behind it; -1: none; -2: it does not fit (see *start)."""
    cdef bint is_quoted
    cdef Py_ssize_t end
    cdef int fault = FIXED_OK
    at = blank(text, at, size)
    if at < size and text[at] == b'"':
        end = plain(text, at, size, scale, value)
        if end >= 0:
            return blank(text, end, size)
    is_quoted = at < size and text[at] == b'"'
    at += is_quoted
    end = at
    while end < size and (b"+" <= text[end] <= b"9" and text[end] != b"," and text[end] != b"/"
                          or text[end] == b"e" or text[end] == b"E"):
        end += 1
    if end == at or is_quoted and (end == size or text[end] != b'"'):
        return -1
    value[0] = parse_fixed(text + at, end - at, scale, &fault)
    start[0] = at
    if fault != FIXED_OK:
        return -2
    return blank(text, end + is_quoted, size)


cdef Py_ssize_t row_end(const char* text, Py_ssize_t at, Py_ssize_t size) noexcept nogil:
    """Behind the bracket that closes the row which `at` is in; -1: there is none."""
    cdef int depth = 1
    cdef bint is_inside = False         # of a string
    while at < size:
        if is_inside:
            if text[at] == b"\\":
                at += 1
            elif text[at] == b'"':
                is_inside = False
        elif text[at] == b'"':
            is_inside = True
        elif text[at] == b"[" or text[at] == b"{":
            depth += 1
        elif text[at] == b"]" or text[at] == b"}":
            depth -= 1
            if depth == 0:
                return at + 1
        at += 1
    return -1


cdef int read_levels(object rows, BookChange change, bint is_bid) except -1:
    """Rows into `change`. Raises DecodeError, ScaleError; rows before the bad one were added."""
    cdef Py_buffer view
    PyObject_GetBuffer(rows, &view, PyBUF_SIMPLE)
    try:
        return read_rows(<const char*> view.buf, view.len, change, is_bid)
    finally:
        PyBuffer_Release(&view)


cdef int read_rows(const char* text, Py_ssize_t size, BookChange change, bint is_bid) except -1:
    cdef int price_scale = change.instrument.price_scale
    cdef int size_scale = change.instrument.size_scale
    cdef int64_t px = 0
    cdef int64_t sz = 0
    cdef Py_ssize_t start = 0
    cdef Py_ssize_t at = blank(text, 0, size)
    cdef Py_ssize_t here
    cdef int count = 0
    if at >= size or text[at] != b"[":
        refuse(text, 0, size, "an array of levels")
    at = blank(text, at + 1, size)
    if at < size and text[at] == b"]":
        return 0
    while True:
        here = at
        if at >= size or text[at] != b"[":
            refuse(text, here, size, "a level [price, size]")
        at = number(text, at + 1, size, price_scale, &px, &start)
        if at == -2:
            misfit(text, start, size, price_scale)
        if at < 0 or at >= size or text[at] != b",":
            refuse(text, here, size, "a level [price, size]")
        at = number(text, at + 1, size, size_scale, &sz, &start)
        if at == -2:
            misfit(text, start, size, size_scale)
        if at < 0 or at >= size or text[at] != b"]" and text[at] != b",":
            refuse(text, here, size, "a level [price, size]")
        if sz < 0:
            refuse(text, here, size, "a size of 0 or more")
        at = row_end(text, at, size)
        if at < 0:
            refuse(text, here, size, "a level that ends")
        if is_bid:
            change.add_bid(px, sz)
        else:
            change.add_ask(px, sz)
        count += 1
        at = blank(text, at, size)
        if at < size and text[at] == b"]":
            return count
        if at >= size or text[at] != b",":
            refuse(text, here, size, "an array of levels")
        at = blank(text, at + 1, size)


cdef int refuse(const char* text, Py_ssize_t at, Py_ssize_t size, str wanted) except -1:
    found = text[at:min(at + 60, size)].decode("utf-8", "replace")
    raise DecodeError(f"expected {wanted}, got {found!r}")


cdef int misfit(const char* text, Py_ssize_t start, Py_ssize_t size, int scale) except -1:
    """Let the careful reader say why."""
    cdef Py_ssize_t end = start
    while end < size and text[end] not in (b'"', b",", b"]", b" "):
        end += 1
    to_fixed(text[start:end], scale)
    raise DecodeError(f"expected a decimal number, got {text[start:end]!r:.60}")
