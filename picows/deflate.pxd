# permessage-deflate (RFC 7692): what compresses and inflates on one connection.

from libc.stdint cimport uint8_t, uint32_t

from .buffer cimport ws_block_t
from .frame cimport WSFrame
from .outgoing cimport OutgoingRules


cdef class Inflater:
    """Received frames of compressed messages -> their inflated payload. Knows no socket, log or listener."""
    cdef:
        int _bits                    # of the peer's window, at most
        bint _starts_afresh          # the peer compresses each message by itself
        bint _is_strict
        readonly Py_ssize_t max_message_size

        # The message being received
        object _stream               # zlib's; None while there is nothing to remember
        bint _is_compressed
        bint _is_text
        uint32_t _utf8_state
        Py_ssize_t _size             # inflated bytes so far, over all fragments

        # The frame being handed out: its payload lies in a block of ours, as received bytes lie in a window's
        ws_block_t* _block
        Py_ssize_t _filled

    cdef int inflate(self, WSFrame frame) except -1
    cdef void release(self) noexcept
    cdef int _inflate_payload(self, const char* data, Py_ssize_t size, bint fin) except -1
    cdef int _feed(self, bytes piece, int* ends) except -1
    cdef int _append(self, bytes data) except -1
    cdef int _reserve(self, Py_ssize_t need) except -1
    cdef int _check_text(self, bint fin) except -1


cdef class Deflater:
    """Messages to be sent -> payloads of compressed frames."""
    cdef:
        uint8_t byte0                # the first byte of the frame whose payload `pack` has given
        int _bits                    # of our window
        bint _starts_afresh          # we compress each message by itself
        int _level
        int _mem_level
        readonly Py_ssize_t threshold

        # The message being sent
        object _stream               # zlib's; None while there is nothing to remember
        bint _is_compressed

    cdef bytes pack(self, OutgoingRules rules, int msg_type, object message, bint fin, uint8_t rsv)
    cdef bytes _deflate(self, bytes payload, bint fin)
