"""Counters and histograms that cost a few nanoseconds to bump."""
from connectors.fixed cimport ABSENT

cdef extern from *:
    """
    #if defined(_MSC_VER)
    #include <intrin.h>
    static int conn_top_bit(unsigned long long v) { unsigned long i; _BitScanReverse64(&i, v); return
    (int)i; }
    #else
    static inline int conn_top_bit(unsigned long long v) { return 63 - __builtin_clzll(v); }
    #endif
    """
    int conn_top_bit(uint64_t value) noexcept nogil


cdef inline int bucket_of(int64_t value_ns) noexcept nogil:
    cdef int top
    if value_ns < 16:
        return <int> value_ns if value_ns > 0 else 0
    top = conn_top_bit(<uint64_t> value_ns)
    return (top - 3) * 16 + <int> ((value_ns >> (top - 4)) & 15)


cdef int64_t bucket_top(int bucket) noexcept nogil:
    """The largest value of a bucket."""
    cdef int top
    if bucket < 16:
        return bucket
    top = bucket // 16 + 3
    return ((<int64_t> (16 + (bucket & 15)) + 1) << (top - 4)) - 1


cdef class Histogram:
    """Times in ns; percentiles within 6.25 %."""

    cdef void record(self, int64_t value_ns) noexcept nogil:
        self._buckets[bucket_of(value_ns)] += 1
        self.count += 1
        self.last_ns = value_ns
        if value_ns > self.max_ns:
            self.max_ns = value_ns

    def add(self, int64_t value_ns):
        """Record one value; negative ones count as 0."""
        self.record(value_ns)

    def percentile_ns(self, double percent):
        """The value that `percent` of all are not above; None if there is none yet. Raises ValueError
        outside 0..100."""
        cdef uint64_t wanted, seen = 0
        cdef int bucket
        if not 0 <= percent <= 100:
            raise ValueError(f"percent: expected 0..100, got {percent}")
        if self.count == 0:
            return None
        wanted = max(<uint64_t> 1, <uint64_t> (percent / 100.0 * self.count + 0.999999))
        for bucket in range(1024):
            seen += self._buckets[bucket]
            if seen >= wanted:
                return min(bucket_top(bucket), self.max_ns)
        return self.max_ns


cdef class StreamCounters:
    """Of one stream."""

    def __cinit__(self):
        self.bid_px = self.ask_px = ABSENT

    def as_dict(self):
        """All counters by name."""
        return {
            "messages": self.messages, "bytes": self.bytes, "events": self.events, "gaps": self.gaps,
            "missed": self.missed, "resyncs": self.resyncs, "duplicates": self.duplicates,
            "dropped": self.dropped, "errors": self.errors, "resubscribes": self.resubscribes,
        }


cdef class ConnectionCounters:
    """Of one connection of the config, over all its sockets."""

    def __cinit__(self):
        self.rtt = Histogram()
        self.callback = Histogram()

    def as_dict(self):
        """All counters by name; histograms are left out."""
        return {
            "frames": self.frames, "bytes": self.bytes, "control": self.control, "unknown": self.unknown,
            "sent": self.sent, "connects": self.connects, "losses": self.losses, "rotations": self.rotations,
            "slow_callbacks": self.slow_callbacks,
        }
