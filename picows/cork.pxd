# Holding frames back, to send many with one system call.

from .stream.base cimport Stream


cdef class Cork:
    cdef:
        Stream _stream           # None: the block has ended
        bint _is_set
        unsigned long _thread    # the one that runs the event loop
    cdef int _check(self) except -1
