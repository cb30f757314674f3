# What may be sent.

from libc.stdint cimport uint8_t

from .abi cimport PICOWS_LAYOUT


cdef class OutgoingRules:
    """RFC 6455 5.2, 5.4 and 5.5 for the frames that one side sends."""
    cdef:
        bint _is_strict
        uint8_t _allowed_rsv         # bits that an extension has given a meaning (0x40 = RSV1)
        bint _is_fragmented          # between the first and the last frame of a message

    cdef int check(self, int msg_type, Py_ssize_t size, bint fin, uint8_t rsv) except -1
    cdef int _check_order(self, int msg_type, bint fin) except -1


cdef int refuse_call(str method, bint is_foreign_thread) except -1
cdef int check_close(int code, bytes reason) except -1
cdef bytes as_payload(object message)
