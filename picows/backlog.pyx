"""The write side's queue: bytes handed to it are copied once and never overwritten."""

import cython
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

cdef size_t CHUNK_SIZE = 64 * 1024


@cython.final
cdef class Backlog:
    def __cinit__(self):
        self._first = self._last = NULL
        self.size = 0

    def __dealloc__(self):
        self.clear()

    cdef char* extend(self, Py_ssize_t n) except NULL:
        """Room for `n` > 0 more bytes in one piece; they count as queued, the caller writes them at once."""
        cdef ws_chunk_t* chunk = self._last
        cdef size_t cap
        cdef char* where
        if chunk is NULL or chunk.cap - chunk.end < <size_t>n:
            cap = max(<size_t>n, CHUNK_SIZE)
            chunk = <ws_chunk_t*>malloc(sizeof(ws_chunk_t) + cap)
            if chunk is NULL:
                raise MemoryError(f"no memory to queue {n} bytes for sending, {self.size} are queued already")
            chunk.next = NULL
            chunk.start = chunk.end = 0
            chunk.cap = cap
            if self._last is NULL:
                self._first = chunk
            else:
                self._last.next = chunk
            self._last = chunk
        where = chunk.data + chunk.end
        chunk.end += n
        self.size += n
        return where

    cdef int append(self, const char* data, Py_ssize_t n) except -1:
        if n > 0:
            memcpy(self.extend(n), data, n)
        return 0

    cdef const char* front(self, Py_ssize_t* n) noexcept:
        """The oldest bytes in one piece; NULL when there are none."""
        if self._first is NULL:
            n[0] = 0
            return NULL
        n[0] = self._first.end - self._first.start
        return self._first.data + self._first.start

    cdef void consume(self, Py_ssize_t n) noexcept:
        """The first `n` bytes of `front` are sent."""
        cdef ws_chunk_t* chunk = self._first
        chunk.start += n
        self.size -= n
        if chunk.start == chunk.end:
            self._first = chunk.next
            if self._first is NULL:
                self._last = NULL
            free(chunk)

    cdef void clear(self) noexcept:
        cdef ws_chunk_t* chunk
        while self._first is not NULL:
            chunk = self._first
            self._first = chunk.next
            free(chunk)
        self._last = NULL
        self.size = 0
