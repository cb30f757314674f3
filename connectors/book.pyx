"""Price levels of one instrument, in int64."""
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from libc.math cimport NAN
from libc.string cimport memmove

from connectors.fixed cimport ABSENT, fixed_of, pow10_double
from connectors.fixed import to_decimal


cdef Py_ssize_t find(Side* side, int64_t px) noexcept nogil:
    """Index of the first level whose sign * px is not below that of `px`; searched from the best."""
    cdef Py_ssize_t low = 0
    cdef Py_ssize_t high = side.count
    cdef Py_ssize_t step = 1
    cdef Py_ssize_t middle
    cdef int64_t wanted = side.sign * px
    # Gallop from the top of the book: most changes are within a few levels of it.
    while high - step >= 0 and side.sign * side.levels[2 * (high - step)] >= wanted:
        high -= step
        step *= 2
    if high - step > 0:
        low = high - step
    while low < high:
        middle = (low + high) // 2
        if side.sign * side.levels[2 * middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low


cdef int set_level(Side* side, int64_t px, int64_t sz) except -1:
    """Insert, replace or (sz 0) delete."""
    cdef Py_ssize_t at = find(side, px)
    cdef int64_t* here = side.levels + 2 * at
    cdef bint is_known = at < side.count and here[0] == px
    if is_known and sz != 0:
        here[1] = sz
    elif is_known:
        memmove(here, here + 2, <size_t> (side.count - at - 1) * 2 * sizeof(int64_t))
        side.count -= 1
    elif sz != 0:
        if side.count == side.room:
            make_room(side)
            here = side.levels + 2 * at
        memmove(here + 2, here, <size_t> (side.count - at) * 2 * sizeof(int64_t))
        here[0] = px
        here[1] = sz
        side.count += 1
    return 0


cdef int fill(Side* side, int64_t* levels, Py_ssize_t count) except -1:
    """All levels of a snapshot. Sorted best first, as venues send them, they are only turned round."""
    cdef Py_ssize_t i
    cdef int64_t* end
    side.count = 0
    while side.room < count:
        make_room(side)
    for i in range(count):
        if levels[2 * i + 1] == 0 or i > 0 and side.sign * levels[2 * i] >= side.sign * levels[2 * i - 2]:
            break
    else:
        end = side.levels + 2 * count
        for i in range(count):
            end -= 2
            end[0] = levels[2 * i]
            end[1] = levels[2 * i + 1]
        side.count = count
        return 0
    for i in range(count):
        set_level(side, levels[2 * i], levels[2 * i + 1])
    return 0


cdef int make_room(Side* side) except -1:
    cdef Py_ssize_t wanted = 256 if side.room == 0 else side.room * 2
    cdef void* grown = PyMem_Realloc(side.levels, <size_t> wanted * 2 * sizeof(int64_t))
    if grown == NULL:
        raise MemoryError
    side.levels = <int64_t*> grown
    side.room = wanted
    return 0


cdef void cut(Side* side, Py_ssize_t depth) noexcept nogil:
    """Forget the worst levels beyond `depth`."""
    cdef Py_ssize_t extra = side.count - depth
    if depth > 0 and extra > 0:
        memmove(side.levels, side.levels + 2 * extra, <size_t> depth * 2 * sizeof(int64_t))
        side.count = depth


cdef list rows(Side* side, Py_ssize_t limit):
    cdef Py_ssize_t i
    cdef Py_ssize_t count = side.count if limit <= 0 or limit > side.count else limit
    cdef Py_ssize_t top = side.count - 1
    return [(side.levels[2 * (top - i)], side.levels[2 * (top - i) + 1]) for i in range(count)]


cdef class Book:
    """Levels of one instrument; best first in every list. `max_depth` levels a side are kept (0: all)."""

    def __cinit__(self, Instrument instrument, Py_ssize_t max_depth=0):
        self.instrument = instrument
        self.max_depth = max_depth
        self.bid_side.sign = 1
        self.ask_side.sign = -1
        self.last_id = ABSENT

    def __dealloc__(self):
        PyMem_Free(self.bid_side.levels)
        PyMem_Free(self.ask_side.levels)

    cdef int apply_change(self, BookChange change) except -1:
        cdef Py_ssize_t i
        if change.is_snapshot:
            fill(&self.bid_side, change.bid_levels, change.bid_count)
            fill(&self.ask_side, change.ask_levels, change.ask_count)
        else:
            for i in range(change.bid_count):
                set_level(&self.bid_side, change.bid_levels[2 * i], change.bid_levels[2 * i + 1])
            for i in range(change.ask_count):
                set_level(&self.ask_side, change.ask_levels[2 * i], change.ask_levels[2 * i + 1])
        cut(&self.bid_side, self.max_depth)
        cut(&self.ask_side, self.max_depth)
        self.exchange_ns = change.exchange_ns
        self.recv_ns = change.recv_ns
        self.last_id = change.last_id
        return 0

    cdef void begin_epoch(self) noexcept:
        self.epoch += 1
        self.state = BookState.LIVE

    cdef void set_state(self, BookState state) noexcept:
        self.state = state

    cdef void wipe(self) noexcept:
        self.bid_side.count = self.ask_side.count = 0
        self.state = BookState.SYNCING
        self.last_id = ABSENT

    cdef bint is_crossed(self) noexcept:
        if self.bid_side.count == 0 or self.ask_side.count == 0:
            return False
        return self.best_bid_px() >= self.best_ask_px()

    cdef int64_t best_bid_px(self) noexcept:
        return self.bid_side.levels[2 * self.bid_side.count - 2] if self.bid_side.count else ABSENT

    cdef int64_t best_ask_px(self) noexcept:
        return self.ask_side.levels[2 * self.ask_side.count - 2] if self.ask_side.count else ABSENT

    cdef int64_t worst_bid_px(self) noexcept:
        return self.bid_side.levels[0] if self.bid_side.count else ABSENT

    cdef int64_t worst_ask_px(self) noexcept:
        return self.ask_side.levels[0] if self.ask_side.count else ABSENT

    def apply(self, BookChange change not None):
        """Apply levels without a continuity check (booksync checks); a snapshot makes the book LIVE."""
        self.apply_change(change)
        if change.is_snapshot:
            self.begin_epoch()

    @property
    def is_live(self): return self.state == BookState.LIVE

    @property
    def bid_count(self): return self.bid_side.count

    @property
    def ask_count(self): return self.ask_side.count

    @property
    def best_bid_int(self):
        return self.bid_side.levels[2 * self.bid_side.count - 2] if self.bid_side.count else None

    @property
    def best_ask_int(self):
        return self.ask_side.levels[2 * self.ask_side.count - 2] if self.ask_side.count else None

    @property
    def best_bid(self):
        return _top(&self.bid_side, 0, self.instrument.price_scale)

    @property
    def best_ask(self):
        return _top(&self.ask_side, 0, self.instrument.price_scale)

    @property
    def best_bid_size(self):
        return _top(&self.bid_side, 1, self.instrument.size_scale)

    @property
    def best_ask_size(self):
        return _top(&self.ask_side, 1, self.instrument.size_scale)

    @property
    def mid(self):
        """Half way between the best prices; NaN if a side is empty."""
        return (<double> self.best_bid + <double> self.best_ask) / 2

    @property
    def spread(self):
        return <double> self.best_ask - <double> self.best_bid

    def bids_int(self, Py_ssize_t limit=0):
        """[(price_int, size_int)] best first; limit 0: all."""
        return rows(&self.bid_side, limit)

    def asks_int(self, Py_ssize_t limit=0):
        """[(price_int, size_int)] best first; limit 0: all."""
        return rows(&self.ask_side, limit)

    def bids(self, Py_ssize_t limit=0):
        """[(price, size)] as floats, best first; limit 0: all."""
        return self._floats(rows(&self.bid_side, limit))

    def asks(self, Py_ssize_t limit=0):
        """[(price, size)] as floats, best first; limit 0: all."""
        return self._floats(rows(&self.ask_side, limit))

    def bids_decimal(self, Py_ssize_t limit=0):
        """[(price, size)] as exact Decimals, best first."""
        return self._decimals(rows(&self.bid_side, limit))

    def asks_decimal(self, Py_ssize_t limit=0):
        """[(price, size)] as exact Decimals, best first."""
        return self._decimals(rows(&self.ask_side, limit))

    def _floats(self, levels):
        cdef double price_unit = pow10_double(self.instrument.price_scale)
        cdef double size_unit = pow10_double(self.instrument.size_scale)
        return [(px / price_unit, sz / size_unit) for px, sz in levels]

    def _decimals(self, levels):
        price_scale = self.instrument.price_scale
        size_scale = self.instrument.size_scale
        return [(to_decimal(px, price_scale), to_decimal(sz, size_scale)) for px, sz in levels]

    def iter_bids_int(self):
        """Levels best first, without a list. The book must not change meanwhile."""
        cdef Py_ssize_t i
        for i in range(self.bid_side.count - 1, -1, -1):
            yield self.bid_side.levels[2 * i], self.bid_side.levels[2 * i + 1]

    def iter_asks_int(self):
        """Levels best first, without a list. The book must not change meanwhile."""
        cdef Py_ssize_t i
        for i in range(self.ask_side.count - 1, -1, -1):
            yield self.ask_side.levels[2 * i], self.ask_side.levels[2 * i + 1]

    def size_at(self, price):
        """Size at a price, bid or ask; 0.0 if there is no such level."""
        cdef int64_t px = fixed_of(price, self.instrument.price_scale)
        cdef double unit = pow10_double(self.instrument.size_scale)
        return (<double> _size_of(&self.bid_side, px) + <double> _size_of(&self.ask_side, px)) / unit

    def copy(self):
        """An independent book with the same levels and state."""
        cdef Book other = Book(self.instrument, self.max_depth)
        _copy_side(&self.bid_side, &other.bid_side)
        _copy_side(&self.ask_side, &other.ask_side)
        other.state = self.state
        other.epoch = self.epoch
        other.exchange_ns = self.exchange_ns
        other.recv_ns = self.recv_ns
        other.last_id = self.last_id
        return other

    def __repr__(self):
        return f"Book({self.instrument.key} {BookState(self.state).name} epoch={self.epoch} " \
               f"{self.bid_side.count}+{self.ask_side.count} levels)"


cdef double _top(Side* side, int which, int scale) noexcept:
    if side.count == 0:
        return NAN
    return <double> side.levels[2 * side.count - 2 + which] / pow10_double(scale)


cdef int64_t _size_of(Side* side, int64_t px) noexcept nogil:
    cdef Py_ssize_t at = find(side, px)
    return side.levels[2 * at + 1] if at < side.count and side.levels[2 * at] == px else 0


cdef int _copy_side(Side* source, Side* target) except -1:
    cdef Py_ssize_t i
    for i in range(source.count):
        set_level(target, source.levels[2 * i], source.levels[2 * i + 1])
    return 0
