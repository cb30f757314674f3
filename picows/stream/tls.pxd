# TLS over a TCP stream: what the two ways to reach OpenSSL have in common.

from .tcp cimport TcpStream

cdef enum Outcome:
    TLS_DATA                     # done: some plaintext, or all of it in records
    TLS_EMPTY                    # records have to arrive first
    TLS_END                      # close_notify
    TLS_FAILED                   # _tls_error says why


cdef class TlsStream(TcpStream):
    cdef:
        object _tls              # ssl.SSLObject
        object _tls_error        # why decrypting has failed
        bint _is_secured         # the handshake is done
        bint _is_in_tls          # OpenSSL is at work, and may call Python: not to be entered again
        object _unsent           # a deque of plaintext that a renegotiation holds up, or None
        Py_ssize_t _unsent_size
        Py_ssize_t _answers      # bytes of TLS's own behind a queue that has not been empty since

    # What a subclass does.
    cdef int _prepare(self) except -1
    cdef int _decrypt(self, char* where, Py_ssize_t room, Py_ssize_t* got) except -1     # an Outcome
    cdef int _seal(self, const char* data, Py_ssize_t size) except -1                    # an Outcome
    cdef int _send_sealed(self) except -1
    cdef int _say_goodbye(self) except -1
    cdef int _on_secured(self) except -1

    cdef int _take_records(self) except -1
    cdef int _handshake(self) except -1
    cdef int _read_records(self) except -1
    cdef int _receiving_over(self, Py_ssize_t got) except -1
    cdef int _encrypt(self, const char* data, Py_ssize_t size) except -1
    cdef int _encrypt_pieces(self, const char* data, Py_ssize_t size) except -1
    cdef int _send_records(self) except -1
    cdef int _put_by(self, const char* data, Py_ssize_t size) except -1
    cdef int _answer(self) except -1
    cdef int _fail_writing(self) except -1
