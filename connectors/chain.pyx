"""Continuity of trades: where a venue numbers them without holes, a hole is a loss."""
from connectors.fixed cimport ABSENT

TRADE_IDS = ("", "step", "count")

cdef Py_ssize_t MAX_HOLES = 64          # older ones stay counted as missed, whatever comes late
# As in gate.pyx: a venue that starts its ids anew is far below.
cdef int64_t MAX_BACK = 10_000_000


cdef class TradeChain:
    """Of one stream; it outlives its sockets, so that what a lost connection cost is counted too.

    rule (facts: channels.trade.trade_ids): "step", ids rise by one; "count", an id is the last of `count`
    consecutive ones. Feed it each trade that was not delivered before. Raises ValueError: another rule.
    """

    def __init__(self, str rule not None):
        if rule not in ("step", "count"):
            raise ValueError(f"rule: expected step or count, got {rule!r}")
        self._has_count = rule == "count"
        self._holes = []
        self.last_id = ABSENT

    cdef int64_t note(self, int64_t number, int32_t count) except? -1:
        cdef int64_t first = number - count + 1 if self._has_count and count > 1 else number
        if first - 1 == self.last_id:
            self.last_id = number
            return 0
        return self._jumped(first, number)

    cdef int64_t _jumped(self, int64_t first, int64_t number) except? -1:
        cdef int64_t missing
        if self.last_id == ABSENT or number < self.last_id - MAX_BACK:
            # The first one, or a numbering that has begun anew.
            self._holes.clear()
            self.last_id = number
            return 0
        if first > self.last_id:
            missing = first - self.last_id - 1
            self._holes.append([self.last_id + 1, first - 1])
            if len(self._holes) > MAX_HOLES:
                del self._holes[0]
            self.missed += missing
            self.last_id = number
            return missing
        return -self._filled(first, number)

    def _filled(self, first, last):
        """How many of the missing ones are in first..last."""
        left, filled = [], 0
        for low, high in self._holes:
            common = min(high, last) - max(low, first) + 1
            if common <= 0:
                left.append([low, high])
                continue
            filled += common
            if low < first:
                left.append([low, first - 1])
            if last < high:
                left.append([last + 1, high])
        self._holes = left
        self.missed -= filled
        self.last_id = max(self.last_id, last)
        return filled

    def offer(self, int64_t number, int32_t count=1):
        """One trade. > 0: so many are missing before it; < 0: so many missing ones came late; 0: in order."""
        return self.note(number, count)


def chain_of(stream):
    """A chain for a stream, by its facts; None: its venue promises nothing of its ids."""
    rule = stream.fact.trade_ids if stream.kind == "trade" and stream.fact is not None else ""
    return TradeChain(rule) if rule else None
