# TLS over a TCP stream, through ssl.MemoryBIO.

from .tcp cimport TcpStream


cdef class TlsStream(TcpStream):
    cdef:
        object _tls              # ssl.SSLObject
        object _incoming         # ssl.MemoryBIO: records from the peer
        object _outgoing         # ssl.MemoryBIO: records to the peer
        object _read_plain       # bound read and write of the SSLObject
        object _write_plain
        bint _is_secured         # the handshake is done
        list _unsent             # plaintext that a renegotiation holds up

    cdef int _send_records(self) except -1
    cdef int _handshake(self) except -1
    cdef int _read_records(self) except -1
    cdef int _encrypt(self, const char* data, Py_ssize_t size) except -1
