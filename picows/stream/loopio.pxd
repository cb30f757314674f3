# What the connections of one event loop share.

from libc.stdint cimport uint8_t, uint32_t

from ..buffer cimport Arena
from .poller cimport Poller

cdef enum:
    SCRATCH_SIZE = 64 * 1024        # payload bytes framed at once


cdef class LoopIO:
    cdef:
        readonly object loop
        readonly Poller poller
        Arena arena                 # received bytes
        uint8_t* scratch            # WS_HEADER_MAX + SCRATCH_SIZE bytes: a frame on its way to the kernel
        object cipher_view          # memoryview: TLS records on their way from the kernel
        char* cipher_ptr
        Py_ssize_t cipher_size
        bytearray _cipher
        object tls_pool             # RecordPool of the direct TLS streams, or None
        uint8_t* _masks             # unused random bytes lie at [_mask_pos, MASK_POOL)
        Py_ssize_t _mask_pos
        long _mask_fork

    cdef uint32_t next_mask(self) except? 0
    cdef int need_cipher(self) except -1


cdef LoopIO loop_io(object loop)
