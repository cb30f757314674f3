"""Counters and histograms that cost a few nanoseconds to bump."""
from libc.stdint cimport int64_t, uint64_t

cdef class Histogram:
    """Log-linear: 16 buckets a power of two, so a percentile is within 6.25 % of the true value. Unit: ns."""
    cdef:
        uint64_t[1024] _buckets
        readonly uint64_t count
        readonly int64_t max_ns
        readonly int64_t last_ns

    cdef void record(self, int64_t value_ns) noexcept nogil

cdef class StreamCounters:
    """One stream. Plain C fields: the session bumps them."""
    cdef:
        public uint64_t messages        # data frames (whole messages) received
        public uint64_t bytes
        public uint64_t events          # typed events delivered
        public uint64_t gaps
        public int64_t missed           # trades that the ids say were skipped, and have not come since
        public uint64_t resyncs
        public uint64_t duplicates      # dropped: seen before (rotation, venue)
        public uint64_t dropped         # older than the snapshot, or while syncing
        public uint64_t errors          # could not be decoded
        public uint64_t resubscribes
        public int64_t last_recv_ns
        public int64_t first_recv_ns
        # The last quote, for pictures. Where no strategy wants quotes, one is read when is_sampled is set.
        public int64_t bid_px           # ABSENT: none
        public int64_t ask_px
        public bint is_sampled

cdef class ConnectionCounters:
    cdef:
        public uint64_t frames
        public uint64_t bytes
        public uint64_t control         # acks, pongs, notices
        public uint64_t unknown         # frames that nobody understood
        public uint64_t sent
        public uint64_t connects
        public uint64_t losses
        public uint64_t rotations
        public uint64_t slow_callbacks
        readonly Histogram rtt          # ping to pong
        readonly Histogram callback     # recv to end of the last callback of a frame
