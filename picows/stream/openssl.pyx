"""DirectTlsStream: a TlsStream that calls OpenSSL itself, without Python between recv and the window.

The SSL is Python's own, made by SSLContext.wrap_bio(); openssl.h says how it is found. Only its BIO is
replaced, by one that hands out what recv has put into scratch memory of the event loop and gathers what is to
be sent.

An idle connection has no buffers: OpenSSL's are taken from it as soon as another connection of the same event
loop has something to do. The last one keeps them, since one busy connection is the common case.
"""

import _ssl
from ssl import OPENSSL_VERSION as _OPENSSL_VERSION, SSLError as _SSLError, SSLObject as _SSLObject

import cython
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from .base cimport StreamOwner
from .tcp cimport READS_PER_WAKEUP, ws_recv
from .tls cimport TLS_DATA, TLS_EMPTY, TLS_END, TLS_FAILED, TlsStream
from .tls import TLS as _TLS

cdef extern from "openssl.h" nogil:
    const int WS_TLS_DATA, WS_TLS_EMPTY, WS_TLS_END
    const Py_ssize_t WS_RECORDS_IN
    char* ws_pool_take_in(ws_pool_t* pool) noexcept
    void ws_pool_put_in(ws_pool_t* pool, char* scratch) noexcept
    void ws_pool_put_out(ws_pool_t* pool, char* out, size_t cap) noexcept
    void ws_pool_clear(ws_pool_t* pool) noexcept
    const char* ws_openssl_load(const char* path, const char* version) noexcept
    void* ws_ssl_of(const void* owner) noexcept
    void ws_ssl_forget() noexcept
    void ws_ssl_clear_errors() noexcept
    void* ws_ssl_attach(void* ssl, ws_records_t* records) noexcept
    void ws_ssl_detach(void* bio) noexcept
    int ws_ssl_read(void* ssl, ws_records_t* records, char* to, size_t n, size_t* got, int* is_whole) noexcept
    int ws_ssl_write(void* ssl, ws_records_t* records, const char* data, size_t n) noexcept
    void ws_ssl_say_goodbye(void* ssl) noexcept
    void ws_ssl_keep_buffers(void* ssl) noexcept
    void ws_ssl_drop_buffers(void* ssl) noexcept


def _load():
    """Why direct calls do not work here; None: they do."""
    cdef object path = getattr(_ssl, "__file__", None)
    cdef bytes path_bytes = path.encode() if path else None
    cdef bytes version = _OPENSSL_VERSION.encode()
    cdef const char* missing = ws_openssl_load(<const char*>path_bytes if path_bytes else NULL, version)
    return None if missing is NULL else missing.decode()


MISSING = _load()
if _TLS == "direct" and MISSING is not None:
    raise ImportError(f"PICOWS_TLS=direct: OpenSSL cannot be called directly here: there is no {MISSING}")


@cython.final
cdef class SslHandle:
    """The SSL inside of an ssl.SSLObject, kept alive by it."""

    cdef int _check(self) except -1:
        if self.ssl is NULL:
            raise TypeError("an SslHandle is made by find_ssl")
        return 0


def about_to_wrap():
    """Call this in front of SSLContext.wrap_bio, and `find_ssl` right behind it, in the same thread."""
    ws_ssl_forget()


def find_ssl(tls):
    """The SslHandle of an ssl.SSLObject that has just been made; None where it is not to be found.

    Also None for a context with a message callback: `_ssl` has its own way to report what that raises. And
    for one whose `sslobject_class` reads or writes in a way of its own.
    """
    cdef SslHandle handle
    cdef object inner = getattr(tls, "_sslobj", None)
    cdef void* found
    if MISSING is not None or inner is None or _has_message_callback(tls) or _has_own_methods(type(tls)):
        return None
    found = ws_ssl_of(<void*>inner)
    if found is NULL:
        return None
    handle = SslHandle.__new__(SslHandle)
    handle.ssl = found
    handle.tls = tls
    return handle


def _has_message_callback(tls):
    return getattr(getattr(tls, "context", None), "_msg_callback", None) is not None


def _has_own_methods(kind):
    return any(getattr(kind, name, None) is not getattr(_SSLObject, name)
               for name in ("read", "write", "unwrap", "pending"))


@cython.final
cdef class RecordPool:
    def __dealloc__(self):
        ws_pool_clear(&self.memory)


@cython.final
@cython.no_gc_clear     # the garbage collector must not take _tls away before __dealloc__
cdef class DirectTlsStream(TlsStream):
    """Secure a connected socket.

    handle: from find_ssl; of one stream only, before its handshake
    """

    def __cinit__(self, StreamOwner owner not None, sock, SslHandle handle not None):
        handle._check()
        self._tls = handle.tls
        self._ssl = handle.ssl
        handle.ssl = NULL
        if self.io.tls_pool is None:
            self.io.tls_pool = RecordPool()
        self._pool = self.io.tls_pool
        self._records.pool = &self._pool.memory
        self._bio = ws_ssl_attach(self._ssl, &self._records)
        if self._bio is NULL:
            raise MemoryError("no memory for the BIO of a TLS connection")

    def __dealloc__(self):
        # Somebody may keep the SSLObject, with the SSL and its BIO.
        if self._bio is not NULL:
            ws_ssl_detach(self._bio)
        free(self._rest)
        free(self._records.out)

    cdef int _on_secured(self) except -1:
        ws_ssl_keep_buffers(self._ssl)
        self._warm_up()
        return 0

    # ------------------------------------------------------------------ buffers of OpenSSL

    cdef int _warm_up(self) except -1:
        """This connection has something to do: its buffers stay, another's go."""
        if self._pool.warm is not None:
            self._pool.warm._cool_down()
        self._pool.warm = self
        return 0

    cdef void _cool_down(self) noexcept:
        self._pool.warm = None
        if self._is_whole and not self._is_in_tls:
            ws_ssl_drop_buffers(self._ssl)

    cdef int _close_fd(self) except -1:
        if self._pool is not None and self._pool.warm is self:
            self._cool_down()
        return TlsStream._close_fd(self)

    cdef int _prepare(self) except -1:
        if self._pool.warm is not self:
            self._warm_up()
        ws_ssl_clear_errors()
        return 0

    # ------------------------------------------------------------------ reading

    cdef int _read(self) except -1:
        cdef Py_ssize_t got = 0
        cdef char* scratch
        cdef int _i
        if self._is_in_tls:
            return 0
        for _i in range(READS_PER_WAKEUP):
            if self._records.next != self._records.end:
                self._take_records()
                if self._records.next != self._records.end or self._is_closing or not self._wants_read:
                    return 0
            self._drop_rest()
            scratch = ws_pool_take_in(self._records.pool)
            if scratch is NULL:
                raise MemoryError(f"no memory to receive {WS_RECORDS_IN} bytes")
            try:
                got = ws_recv(self.fd, scratch, WS_RECORDS_IN)
                if got <= 0:
                    return self._receiving_over(got)
                self._records.next = scratch
                self._records.end = scratch + got
                self._take_records()
            finally:
                self._keep_rest(scratch)
                ws_pool_put_in(self._records.pool, scratch)
            if got < WS_RECORDS_IN or self._is_closing or self._is_lost or not self._wants_read:
                return 0
        return 1

    cdef inline void _drop_rest(self) noexcept:
        if self._rest is not NULL:
            free(self._rest)
            self._rest = NULL

    cdef int _keep_rest(self, char* scratch) except -1:
        """Reading has been paused, or has failed: keep what is not decrypted, the scratch is others' now."""
        cdef size_t size = self._records.end - self._records.next
        cdef const char* there = self._records.next
        self._records.next = self._records.end = NULL
        if size == 0 or self._is_closing or self._is_lost:
            return 0
        self._rest = <char*>malloc(size)
        if self._rest is NULL:
            raise MemoryError(f"no memory to keep {size} received bytes")
        memcpy(self._rest, there, size)
        self._records.next = self._rest
        self._records.end = self._rest + size
        return 0

    cdef int _decrypt(self, char* where, Py_ssize_t room, Py_ssize_t* got) except -1:
        cdef int result
        cdef size_t n = 0
        if self._records.next == self._records.end:
            self._drop_rest()
            if self._is_whole:
                return TLS_EMPTY    # it would only ask for the next header
        result = ws_ssl_read(self._ssl, &self._records, where, room, &n, &self._is_whole)
        if result == WS_TLS_DATA:
            got[0] = n
            return TLS_DATA
        if result == WS_TLS_EMPTY:
            return TLS_EMPTY
        if result == WS_TLS_END:
            return TLS_END
        return self._failed(False)

    cdef int _failed(self, bint is_writing) except -1:
        """Let `ssl` make the exception: the error is in OpenSSL's queue, a broken SSL adds nothing to it."""
        try:
            self._tls.write(b"x") if is_writing else self._tls.read(1)
            self._tls_error = _SSLError("TLS has failed for an unknown reason")
        except _SSLError as exc:
            self._tls_error = exc
        return TLS_FAILED

    # ------------------------------------------------------------------ writing

    cdef int _seal(self, const char* data, Py_ssize_t size) except -1:
        cdef int result
        if self._pool.warm is not self:
            self._warm_up()
        result = ws_ssl_write(self._ssl, &self._records, data, size)
        if result == WS_TLS_DATA:
            return TLS_DATA
        if result == WS_TLS_EMPTY:
            return TLS_EMPTY
        return self._failed(True)

    cdef int _send_sealed(self) except -1:
        cdef char* out = self._records.out
        cdef size_t size = self._records.out_size
        cdef size_t cap = self._records.out_cap
        if out is NULL:
            return 0
        # Sending may call a listener, and that may send.
        self._records.out = NULL
        self._records.out_size = self._records.out_cap = 0
        try:
            self._write_raw(out, size, NULL, 0)
        finally:
            ws_pool_put_out(self._records.pool, out, cap)
        return 0

    cdef int _say_goodbye(self) except -1:
        ws_ssl_say_goodbye(self._ssl)
        return 0

    def get_extra_info(self, str name not None, default=None):
        """As TlsStream."""
        return "direct" if name == "tls_implementation" else TlsStream.get_extra_info(self, name, default)
