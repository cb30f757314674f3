"""MemoryTlsStream: a TlsStream that works with public interfaces of Python alone.

Slower than openssl.pyx by some Python calls for each record, and dearer in memory by two BIOs.
"""

import ssl

import cython
from cpython.buffer cimport PyBUF_READ, PyBUF_WRITE
from cpython.memoryview cimport PyMemoryView_FromMemory

from .base cimport StreamOwner
from .tcp cimport READS_PER_WAKEUP, ws_recv
from .tls cimport TLS_DATA, TLS_EMPTY, TLS_END, TLS_FAILED, TlsStream


@cython.final
cdef class MemoryTlsStream(TlsStream):
    """Secure a connected socket.

    tls:                an ssl.SSLObject between these two
    incoming, outgoing: ssl.MemoryBIO
    """

    def __cinit__(self, StreamOwner owner not None, sock, tls, incoming, outgoing):
        self._tls = tls
        self._incoming = incoming
        self._outgoing = outgoing
        self._read_plain = tls.read
        self._write_plain = tls.write
        self.io.need_cipher()

    cdef int _read(self) except -1:
        cdef Py_ssize_t got
        cdef int _i
        if self._is_in_tls:
            return 0
        for _i in range(READS_PER_WAKEUP):
            got = ws_recv(self.fd, self.io.cipher_ptr, self.io.cipher_size)
            if got <= 0:
                return self._receiving_over(got)
            self._incoming.write(self.io.cipher_view[:got])
            self._take_records()
            if got < self.io.cipher_size or self._is_closing or self._is_lost or not self._wants_read:
                return 0
        return 1

    cdef int _decrypt(self, char* where, Py_ssize_t room, Py_ssize_t* got) except -1:
        try:
            got[0] = self._read_plain(room, PyMemoryView_FromMemory(where, room, PyBUF_WRITE))
            return TLS_DATA if got[0] else TLS_END
        except ssl.SSLWantReadError:
            return TLS_EMPTY
        except ssl.SSLZeroReturnError:
            return TLS_END
        except ssl.SSLError as exc:
            self._tls_error = exc
            return TLS_FAILED

    cdef int _seal(self, const char* data, Py_ssize_t size) except -1:
        try:
            self._write_plain(PyMemoryView_FromMemory(<char*>data, size, PyBUF_READ))
            return TLS_DATA
        except ssl.SSLWantReadError:
            return TLS_EMPTY
        except ssl.SSLError as exc:
            self._tls_error = exc
            return TLS_FAILED

    cdef int _send_sealed(self) except -1:
        cdef bytes records
        if self._outgoing.pending:
            records = self._outgoing.read()
            self._write_raw(records, len(records), NULL, 0)
        return 0

    cdef int _say_goodbye(self) except -1:
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            pass    # SSLWantReadError: ours is written, and the peer's is not waited for
        return 0

    def get_extra_info(self, str name not None, default=None):
        """As TlsStream."""
        return "memorybio" if name == "tls_implementation" else TlsStream.get_extra_info(self, name, default)
