# cython: binding=False, embedsignature.format=clinic
# Not binding: methods check their self then.
"""Cork: frames sent inside a `with transport.cork():` leave together at its end."""

import cython

from .stream.base cimport Stream

cdef extern from "Python.h":
    unsigned long PyThread_get_thread_ident() noexcept


@cython.final
cdef class Cork:
    """What `WSTransport.cork` returns; a context manager, to be used once and in the transport's thread."""

    def __cinit__(self, Stream stream):
        self._stream = stream
        self._is_set = False
        self._thread = PyThread_get_thread_ident()

    cdef int _check(self) except -1:
        """A cork may be handed on where its transport may not."""
        if PyThread_get_thread_ident() != self._thread:
            raise RuntimeError(
                "Cork used from a wrong thread: it belongs to the one that called transport.cork()")
        return 0

    def __enter__(self):
        self._check()
        if self._is_set:
            raise RuntimeError("this cork is set already: call transport.cork() for each with block")
        self._is_set = True
        if self._stream is not None:
            self._stream.cork()
        return self

    def __exit__(self, exc_type, exc, traceback):
        cdef Stream stream = self._stream
        self._check()
        if self._is_set and stream is not None:
            self._stream = None
            stream.uncork()
        return False
