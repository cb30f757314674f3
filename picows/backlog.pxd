# Bytes that the kernel has not taken yet.

from .abi cimport PICOWS_LAYOUT

cdef extern from *:
    """
    #include <stddef.h>
    #include <stdlib.h>
    typedef struct ws_chunk {
        struct ws_chunk *next;
        size_t start, end, cap;
        char data[];
    } ws_chunk_t;
    """
    ctypedef struct ws_chunk_t:
        ws_chunk_t* next
        size_t start
        size_t end
        size_t cap
        char* data


cdef class Backlog:
    """A queue of bytes in chunks; what is queued is never moved, and a chunk is freed once it is sent."""
    cdef:
        ws_chunk_t* _first
        ws_chunk_t* _last
        readonly Py_ssize_t size

    cdef char* extend(self, Py_ssize_t n) except NULL
    cdef int append(self, const char* data, Py_ssize_t n) except -1
    cdef const char* front(self, Py_ssize_t* n) noexcept
    cdef void consume(self, Py_ssize_t n) noexcept
    cdef void clear(self) noexcept
