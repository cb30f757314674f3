"""Keeps one book true: continuity, snapshot join, checksum, crossing. Sans-I/O: the session acts."""
from libc.stdint cimport int64_t

from connectors.book cimport Book
from connectors.events cimport BookChange
from connectors.instrument cimport Stream
from connectors.sequence cimport Rule

cpdef enum Action:
    APPLIED = 0             # the book changed and is true: tell the strategies
    BUFFERED = 1            # kept until a snapshot comes; nothing to do
    DROPPED = 2             # seen already, or of no use without a snapshot; nothing to do
    NEED_SNAPSHOT = 3       # get the REST snapshot, then on_snapshot
    NEED_RESUBSCRIBE = 4    # unsubscribe and subscribe this one stream: the venue sends a snapshot
    REFRESH = 5             # APPLIED; and get a REST snapshot meanwhile: the price nears unknown levels

cdef enum Phase:
    FOLLOWING = 0           # the book is built; each change is checked against the one before
    JOINING = 1             # the snapshot is newer than every change so far: the next one must join it
    AWAITING_REST = 2       # asked for a REST snapshot; changes are buffered
    AWAITING_STREAM = 3     # asked for a resubscription; changes are dropped

cdef class BookSync:
    cdef:
        readonly Book book
        readonly Stream stream
        readonly Action action          # what the last call asked for

        # Counters since creation.
        readonly int64_t gaps           # sequence gaps
        readonly int64_t failures       # wrong checksums, crossed books, unreadable messages
        readonly int64_t refreshes      # snapshots asked for as the price neared the edge of the last one
        readonly int64_t dropped        # changes older than the snapshot, or without a book to go to
        readonly int64_t duplicates     # changes that were applied already
        readonly int64_t checksums      # compared and equal
        readonly object error           # the last failure, a BookError or DecodeError; None: none yet

        # How this venue does it.
        object _exchange
        Rule _rule
        bint _has_rest
        bint _may_cross
        bint _has_checksum
        Py_ssize_t _max_buffer
        Py_ssize_t _snapshot_levels     # a REST snapshot has at most that many a side; 0: all there are

        # Where we are.
        Phase _phase
        object _buffer                  # deque of BookChange copies
        BookChange _held                # a REST snapshot that came before the first change
        int64_t _last_id
        int _drops_in_a_row
        int _without_snapshot           # changes since the subscription
        int _asked_in_vain              # times that a subscription brought no snapshot
        bint _is_refreshing             # a REST snapshot was asked for; the book is followed meanwhile
        int64_t _low_bid                # best prices beyond these near the edge of a truncated snapshot
        int64_t _high_ask               # ABSENT: the snapshot had everything

    cpdef Action on_change(self, BookChange change) except *
    cpdef list on_snapshot(self, BookChange snapshot)
    cpdef Action start(self) except *
    cpdef Action on_resubscribed(self) except *
    cpdef Action on_error(self, object error) except *
    cpdef bint covers(self, BookChange change) except *
    cpdef object on_stale(self)
    cpdef object on_lost(self)

    cdef Action _follow(self, BookChange change) except *
    cdef Action _wait(self, BookChange change) except *
    cdef Action _without(self, BookChange change) except *
    cdef Action _replace(self, BookChange snapshot) except *
    cdef Action _apply(self, BookChange change) except *
    cdef object _fault(self, BookChange change)
    cdef Action _drop(self, BookChange change, bint is_repeated) except *
    cdef Action _gap(self, BookChange change) except *
    cdef Action _look_ahead(self) except *
    cdef Action _fail(self, object error) except *
    cdef list _join(self, BookChange snapshot)
    cdef list _too_old(self, BookChange snapshot, BookChange first)
    cdef int _note_edges(self, BookChange snapshot) except -1
    cdef int _keep(self, BookChange change) except -1
