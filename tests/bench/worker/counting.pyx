# cython: language_level=3
"""A listener in Cython, compiled against the .pxd of whichever library its venv holds."""

from picows.picows cimport WSFrame, WSListener, WSTransport


cdef class Counting(WSListener):
    """Counts frames; calls marks.begin() after `warm_up` of them, and marks.end() `count` later and so on."""

    cdef Py_ssize_t frames
    cdef Py_ssize_t payload_bytes
    cdef Py_ssize_t first
    cdef Py_ssize_t last
    cdef Py_ssize_t count
    cdef object marks

    def __init__(self, marks, Py_ssize_t warm_up, Py_ssize_t count):
        self.marks = marks
        self.first = warm_up
        self.last = warm_up + count
        self.count = count

    cpdef on_ws_frame(self, WSTransport transport, WSFrame frame):
        self.frames += 1
        self.payload_bytes += frame.payload_size
        if self.frames == self.first:
            self.marks.begin()
        elif self.frames == self.last:
            self.last += self.count
            self.marks.end()
