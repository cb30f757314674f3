# TLS through ssl.MemoryBIO: works with whatever library Python's ssl module is built on.

from .tls cimport TlsStream


cdef class MemoryTlsStream(TlsStream):
    cdef:
        object _incoming         # ssl.MemoryBIO: records from the peer
        object _outgoing         # ssl.MemoryBIO: records to the peer
        object _read_plain       # bound read and write of the SSLObject
        object _write_plain
