# Frames on their way out.

from libc.stdint cimport uint8_t

from .stream.base cimport Stream
from .stream.loopio cimport LoopIO


cdef class FrameWriter:
    """A header in front of a payload, the mask of a client's side (RFC 6455 5.1), and off to the stream.

    Knows the wire, but not what may be sent: see OutgoingRules.
    """
    cdef:
        Stream stream                # None before the connection was made
        LoopIO _io
        bint _is_client_side

    cdef int put(self, uint8_t byte0, const char* data, Py_ssize_t size) except -1
    cdef int put_in_place(self, uint8_t byte0, char* data, Py_ssize_t size) except -1
    cdef int _put_masked_pieces(self, uint8_t byte0, const char* data, Py_ssize_t size) except -1
