# Readiness: which sockets can be read or written now.

from libc.stdint cimport uint32_t

from ..abi cimport PICOWS_LAYOUT


cdef enum:
    READABLE = 1
    WRITABLE = 4


cdef class EventTarget:
    """Something with a file descriptor that is told when it is ready."""
    cdef:
        int fd                  # -1: closed
        uint32_t _watched       # READABLE | WRITABLE: what the poller watches it for
    cdef int on_ready(self, bint readable, bint writable) except -1
    cdef int on_broken(self) except -1      # a report raised: do not leave it half done


cdef class Poller:
    """Watches file descriptors on behalf of one event loop."""
    cdef object _loop
    cdef readonly Py_ssize_t count      # watched descriptors
    cdef int watch(self, EventTarget target, uint32_t events) except -1
    cdef int forget(self, EventTarget target) except -1
