# cython: language_level=3
"""A listener in Cython, compiled against the .pxd of whichever library its venv holds."""

from picows.picows cimport WSFrame, WSListener, WSTransport


cdef class Counting(WSListener):
    """Counts frames; tells `marks` (an object with begin() and end()) at the first and the last measured one."""

    cdef Py_ssize_t frames
    cdef Py_ssize_t payload_bytes
    cdef Py_ssize_t first
    cdef Py_ssize_t last
    cdef object marks

    def __init__(self, marks, Py_ssize_t warm_up, Py_ssize_t count):
        self.marks = marks
        self.first = warm_up
        self.last = warm_up + count

    cpdef on_ws_frame(self, WSTransport transport, WSFrame frame):
        self.frames += 1
        self.payload_bytes += frame.payload_size
        if self.frames == self.first:
            self.marks.begin()
        elif self.frames == self.last:
            self.marks.end()
