"""FrameWriter: payloads become frames, and leave at once unless the stream is corked."""

import cython
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy

from .stream.base cimport Stream
from .stream.loopio cimport SCRATCH_SIZE, LoopIO
from .wire cimport ws_header_size, ws_header_write, ws_mask

# Copying a payload behind its header costs less than a second iovec up to here. Not measured on ARM.
cdef Py_ssize_t COPY_LIMIT = 2048


cdef inline size_t write_frame(uint8_t* out, bint is_masked, uint8_t byte0, uint32_t mask, const char* data,
                               Py_ssize_t size) noexcept:
    """The frame in one piece. Returns the size of its header."""
    cdef size_t head = ws_header_write(out, byte0, is_masked, mask, size)
    if is_masked:
        ws_mask(out + head, <const uint8_t*>data, size, mask, 0)
    elif size:
        memcpy(out + head, data, size)
    return head


@cython.final
cdef class FrameWriter:
    def __cinit__(self, LoopIO io not None, bint is_client_side):
        self._io = io
        self._is_client_side = is_client_side

    cdef int put(self, uint8_t byte0, const char* data, Py_ssize_t size) except -1:
        """Frame and send. `data` is copied before this returns."""
        cdef Stream stream = self.stream
        cdef uint32_t mask = 0
        cdef uint8_t* out
        cdef uint8_t header[14]
        cdef size_t head
        if self._is_client_side:
            if size > SCRATCH_SIZE:
                return self._put_masked_pieces(byte0, data, size)
            mask = self._io.next_mask()
        if stream.corks:
            out = <uint8_t*>stream.room(ws_header_size(size, self._is_client_side) + size)
            if out is not NULL:
                write_frame(out, self._is_client_side, byte0, mask, data, size)
                return 0
        if size > COPY_LIMIT and not self._is_client_side:
            head = ws_header_write(header, byte0, 0, 0, size)
            return stream.put(<const char*>header, head, data, size)
        out = self._io.scratch
        head = write_frame(out, self._is_client_side, byte0, mask, data, size)
        if stream.corks:
            return stream.put(<const char*>out, head + size, NULL, 0)
        return stream.write(<const char*>out, head + size, NULL, 0)

    cdef int _put_masked_pieces(self, uint8_t byte0, const char* data, Py_ssize_t size) except -1:
        """A large frame of a client: masked and sent in pieces that stay in the cache."""
        cdef uint8_t* out = self._io.scratch
        cdef uint32_t mask = self._io.next_mask()
        cdef size_t head = ws_header_write(out, byte0, 1, mask, size)
        cdef Py_ssize_t done = 0
        cdef Py_ssize_t step
        cdef Stream stream = self.stream
        # A listener that sends from pause_writing must not get its frame into the middle of this one.
        stream.holds_pause = True
        try:
            while done < size:
                step = min(size - done, SCRATCH_SIZE)
                ws_mask(out + head, <const uint8_t*>data + done, step, mask, done)
                stream.put(<const char*>out, head + step, NULL, 0)
                head = 0
                done += step
        finally:
            stream.holds_pause = False
        return stream._watermark()

    cdef int put_in_place(self, uint8_t byte0, char* data, Py_ssize_t size) except -1:
        """Frame with the header written into the 14 bytes in front of `data`, masked where it lies."""
        cdef uint8_t header[14]
        cdef uint32_t mask = self._io.next_mask() if self._is_client_side else 0
        cdef size_t head = ws_header_write(header, byte0, self._is_client_side, mask, size)
        memcpy(data - head, header, head)
        if self._is_client_side:
            ws_mask(<uint8_t*>data, <const uint8_t*>data, size, mask, 0)
        return self.stream.put(data - head, head + size, NULL, 0)
