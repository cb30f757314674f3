# TLS through direct calls of the OpenSSL that Python's ssl module uses.

from .tls cimport TlsStream

cdef extern from "openssl.h" nogil:
    ctypedef struct ws_pool_t:
        pass
    ctypedef struct ws_records_t:
        const char* next
        const char* end
        char* out
        size_t out_size
        size_t out_cap
        ws_pool_t* pool


cdef class SslHandle:
    cdef void* ssl               # SSL; NULL once a stream has it
    cdef object tls              # the ssl.SSLObject that owns it
    cdef int _check(self) except -1


cdef class RecordPool:
    """Memory for records of all connections of an event loop; see LoopIO.tls_pool."""
    cdef:
        ws_pool_t memory
        DirectTlsStream warm     # the one connection whose SSL keeps its buffers, or None


cdef class DirectTlsStream(TlsStream):
    cdef:
        void* _ssl               # SSL, alive as long as _tls
        void* _bio               # our reference of the BIO between _ssl and _records
        ws_records_t _records
        RecordPool _pool
        char* _rest              # received records that wait for resume_reading; _records points into it
        int _is_whole            # the SSL holds no plaintext and no part of a record

    cdef int _failed(self, bint is_writing) except -1
    cdef inline void _drop_rest(self) noexcept
    cdef int _keep_rest(self, char* scratch) except -1
    cdef int _warm_up(self) except -1
    cdef void _cool_down(self) noexcept
