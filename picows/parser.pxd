# Bytes in, frames out.

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from .buffer cimport Window
from .frame cimport WSFrame
from .wire cimport ws_header_t


cdef class FrameParser:
    """RFC 6455 sections 5, 7.4 and 8.1. Knows no socket, clock, log or listener."""
    cdef:
        readonly bint is_failed          # terminal: no frame comes out any more
        # bytes from window.start on that the next frame takes in all, as far as known
        readonly Py_ssize_t need

        # What the connection is
        bint _is_strict
        bint _wants_mask                 # a server's parser: 5.1
        uint8_t _allowed_rsv             # bits that an extension has given a meaning (4 = RSV1)
        readonly Py_ssize_t max_frame_size

        # The frame at window.start, if it needs no judging (see ws_ordinary_frame): size in all, and of the
        # header; else 0
        Py_ssize_t _ordinary
        unsigned _ordinary_head

        # Else the header that is read and judged, but whose payload may be on its way still
        ws_header_t _header
        bint _has_header
        object _error                    # what is wrong with that header

        # The message being received; _opcode is 0 between messages (5.4)
        uint8_t _opcode
        uint32_t _utf8_state
        bint _is_opaque                  # text that an extension has transformed (RFC 7692 6)
        bint _is_closed                  # a CLOSE has come: what follows is discarded (1.4)

        Window _own_window               # of the bytes given to feed()

    cdef int next(self, Window window, WSFrame frame) except -1
    cdef int _next_other(self, Window window, WSFrame frame) except -1
    cdef int _look_ahead(self, Window window, WSFrame frame) except -1
    cdef int _read_header(self, const uint8_t* start, Py_ssize_t avail) except -1
    cdef object _judge(self, const uint8_t* start, Py_ssize_t avail, int size)
    cdef object _judge_early(self, Py_ssize_t avail)
    cdef object _judge_data(self)
    cdef int _check_payload(self, const uint8_t* payload, Py_ssize_t size) except -1
    cdef int _check_close(self, const uint8_t* payload, Py_ssize_t size) except -1
    cdef int _fail_text(self) except -1
    cdef int _fail(self, object error) except -1
