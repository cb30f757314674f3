# cython: binding=False, embedsignature.format=clinic
# Not binding: methods check their self then.
"""Cork: frames sent inside a `with transport.cork():` leave together at its end."""

import cython

from .stream.base cimport Stream


@cython.final
cdef class Cork:
    """What `WSTransport.cork` returns; a context manager, to be used once and in the transport's thread."""

    def __cinit__(self, Stream stream):
        self._stream = stream
        self._is_set = False

    def __enter__(self):
        if self._is_set:
            raise RuntimeError("this cork is set already: call transport.cork() for each with block")
        self._is_set = True
        if self._stream is not None:
            self._stream.cork()
        return self

    def __exit__(self, exc_type, exc, traceback):
        cdef Stream stream = self._stream
        if self._is_set and stream is not None:
            self._stream = None
            stream.uncork()
        return False
