"""A picows.WSFrame over bytes that came from elsewhere: a capture, or a frame that was kept back.

Strategies get the very type they get from a socket, with the same life: valid during the callback, closed
after it.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.string cimport memcpy
from picows.buffer cimport ws_block_data, ws_block_drop, ws_block_new


cdef class StoredFrame:
    """`open` before the callback, `close` after it."""

    def __dealloc__(self):
        ws_block_drop(self._block)

    cdef WSFrame open(self, int opcode, bytes payload, bint fin):
        cdef WSFrame frame = WSFrame.__new__(WSFrame)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(payload)
        self._block = ws_block_new(<size_t> size)
        if self._block == NULL:
            raise MemoryError
        memcpy(ws_block_data(self._block), PyBytes_AS_STRING(payload), <size_t> size)
        frame.set_head((fin << 7) | (opcode & 0x0f))
        frame.last_in_buffer = True
        frame.payload_size = size
        frame.begin(self._block)
        frame.payload_ptr = ws_block_data(self._block)
        self.frame = frame
        return frame

    cdef void close(self) noexcept:
        """A memoryview that somebody kept holds the block from now on."""
        self.frame.end()
        ws_block_drop(self._block)
        self._block = NULL
        self.frame = None
