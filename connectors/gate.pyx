"""What has been delivered already: shared by the two sockets of a make-before-break, and by reconnects."""
from libc.stdint cimport INT64_MIN

cdef int RECENT = 64
cdef Py_ssize_t MAX_SEEN = 1_000_000
cdef Py_ssize_t MAX_LAG = 10_000
# A venue that starts its ids anew (a test network after a reset) is far below; it must not be taken for
# old trades.
cdef int64_t MAX_REPEAT = 10_000_000


cdef class Gate:
    """One per stream of a connection. An id that was delivered does not pass again.

    chain: of what passes, where the venue numbers its trades without holes.
    """

    def __cinit__(self, TradeChain chain=None):
        cdef int i
        self.chain = chain
        self.last_id = self._floor = INT64_MIN
        for i in range(RECENT):
            self._recent[i] = INT64_MIN

    cdef bint passes(self, int64_t number) except -1:
        if self.seen is not None:
            if number in self.seen:
                return False
            if len(self.seen) < MAX_SEEN:
                self.seen.add(number)
        if number > self.last_id:
            self.last_id = number
            self._past = None
            # What follows is new: ids below the floor would be late ones, not repeated ones.
            self._floor = INT64_MIN
        elif (number <= self._floor and self._floor - number < MAX_REPEAT or self._is_recent(number)
                or self._is_past(number)):
            return False
        self._remember(number)
        return True

    cdef bint passes_at(self, int64_t number, int64_t exchange_ns) except -1:
        """`passes`, for what has a time of the venue's too (0: none).

        A lower id that is newer begins a numbering anew, as after a restart of the venue.
        """
        cdef bint is_anew = (
            self._floor != INT64_MIN and self.seen is None and number < self.last_id
            and exchange_ns > self.newest_ns > 0 and not self._is_recent(number))
        self.newest_ns = max(self.newest_ns, exchange_ns)
        if not is_anew:
            return self.passes(number)
        self.last_id = number
        self._floor = INT64_MIN
        self._remember(number)
        return True

    cdef bint passes_text(self, object text) except -1:
        cdef int64_t number = <int64_t> hash(text)
        if self.seen is not None:
            if number in self.seen:
                return False
            if len(self.seen) < MAX_SEEN:
                self.seen.add(number)
        if self._is_recent(number) or self._is_past(number):
            return False
        self._past_left -= 1
        self._remember(number)
        return True

    cdef bint _is_past(self, int64_t number) except -1:
        if self._past is None:
            return False
        if number in self._past:
            return True
        if self._past_left <= 0:
            self._past = None
        return False

    cdef bint _is_recent(self, int64_t number) noexcept:
        cdef int i
        for i in range(RECENT):
            if self._recent[i] == number:
                return True
        return False

    cdef void _remember(self, int64_t number) noexcept:
        self._recent[self._at] = number
        self._at = (self._at + 1) % RECENT

    cdef int note_frame(self, object payload) except -1:
        if self.frames is not None and len(self.frames) < MAX_SEEN:
            self.frames.add(hash(payload))
        return 0

    def begin_overlap(self):
        """A second socket is being opened beside the first: remember all that is delivered from now on."""
        self.seen = set()
        self.frames = set()

    def end_overlap(self):
        """One socket is left. It may lag behind the other one: what that has delivered is still to come."""
        self._past = self.seen
        self._past_left = (len(self.seen) if self.seen is not None else 0) + MAX_LAG
        self.seen = None
        self.frames = None

    def on_new_socket(self):
        """The stream is subscribed anew: venues may begin with what they had sent before."""
        self._floor = self.last_id

    def has_frame(self, bytes payload):
        """Whether the other socket has delivered this very message."""
        return self.frames is not None and hash(payload) in self.frames

    def offer(self, trade_id, int64_t exchange_ns=0):
        """Whether an event with this id (int or str) is new; it counts as delivered from now on."""
        if isinstance(trade_id, int):
            return self.passes_at(trade_id, exchange_ns)
        return self.passes_text(trade_id)
