"""What kind of frame is it, and of which stream? Fragments joined, gzip inflated, one look at the first
bytes."""
from libc.stdint cimport int64_t, uint64_t

from connectors.booksync cimport BookSync
from connectors.chain cimport TradeChain
from connectors.flat cimport Flat
from connectors.gate cimport Gate
from connectors.instrument cimport Stream
from connectors.metrics cimport ConnectionCounters, StreamCounters
from connectors.sink cimport Sink

cdef class Entry:
    """One stream on one socket."""
    cdef:
        readonly Stream stream
        readonly Gate gate
        readonly TradeChain chain       # of the gate
        object read                     # Exchange.reader of the stream; None: not looked up yet
        Flat flat                       # Exchange.flat of the stream; None: it has none
        readonly BookSync sync          # None: no book, or nobody wants it
        readonly uint64_t messages      # on this socket
        readonly int64_t last_ns        # monotonic, of the last of them; 0: none
        readonly bint is_awaited        # tell the owner of the next message
        readonly bint is_muted          # another socket delivers this stream now
        bint is_catching_up             # taken over, and not yet beyond what the other socket has applied
        # payloads kept back until this socket takes over; None: deliver at once
        readonly list held
        # Entry: other kinds in the same messages (ticker and funding); or None
        readonly list siblings
        StreamCounters counters
        int64_t epoch                   # of the book, at the last callback
        int64_t _error_told_ns
        int64_t _missed_told_ns         # recv_ns, as the next one
        int64_t _repeat_told_ns
        int64_t _missed_told            # so many of the chain's missed ones have been told
        uint64_t _repeat_told

cdef struct Prefix:
    char* start
    Py_ssize_t start_size
    char* end
    Py_ssize_t end_size

cdef class Intake(Sink):
    cdef:
        readonly object exchange
        readonly dict entries           # key (bytes) -> Entry
        readonly ConnectionCounters counters
        readonly str connection
        readonly str label              # the same with the venue, for logs
        public object owner             # connectors.owner.Owner
        readonly int64_t mono_ns        # when the last bytes came

        # Facts, as C.
        Prefix[8] _prefixes
        int _prefix_count
        list _alive                     # the bytes objects that the prefixes point into
        tuple _pongs
        bint _is_gzip
        Py_ssize_t _max_message

        # The message being joined.
        bytearray _joined
        bint _is_joining
        bint _is_joining_data
        Py_ssize_t _held_count          # streams whose messages are kept back
        Entry _last                     # of the last message
        const char* _text               # of the message in hand; NULL: it came by another way than take()
        Py_ssize_t _text_size
        set _unknown_told

    cdef int take(self, object frame, object payload, int opcode, bint fin, const char* data,
                  Py_ssize_t size) except -1
    cdef int _fragment(self, object frame, int opcode, bint fin, const char* data, Py_ssize_t size) except -1
    cdef int _inflate(self, object frame, object payload) except -1
    cdef int _message(self, object frame, object payload, const char* data, Py_ssize_t size) except -1
    cdef Entry _find(self, const char* data, Py_ssize_t size)
    cdef bint _starts_data(self, const char* data, Py_ssize_t size) noexcept
    cdef int _classify(self, object frame, object payload, Py_ssize_t size, bint is_data) except -1

    # pipeline.pyx
    cdef int _data(self, Entry entry, object frame, object payload, Py_ssize_t size) except -1
    cdef int _raw(self, object frame) except -1
