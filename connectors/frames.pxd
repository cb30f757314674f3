"""A picows.WSFrame over bytes that came from elsewhere: a capture, or a frame that was kept back."""
from picows.buffer cimport ws_block_t
from picows.frame cimport WSFrame

cdef class StoredFrame:
    cdef:
        readonly WSFrame frame
        ws_block_t* _block

    cdef WSFrame open(self, int opcode, bytes payload, bint fin)
    cdef void close(self) noexcept
