"""The receive window: reserve, commit, take. Bounded, and empty-handed when idle.

All connections of an event loop read into one shared block, because callbacks are synchronous: when `recv` of
the next connection runs, the frames of the last one have been handled. What stays behind is the tail of an
unfinished frame, copied into a block of exactly the size that the frame needs, into which the rest is read
directly. So a large frame is read once into its exact size, and its memory is given back right after its
callback.

A block that a kept memoryview points into is never written again (see WSFrame): whoever reads next gets a
new one.
"""

import cython
from libc.string cimport memcpy, memmove


# One recv asks for at most this much, once a connection has shown that it has so much to read. Each recv
# costs the kernel an acknowledgement and a wake-up of the sender besides the copy: CPU time per received
# frame of 256 B with reads of up to 256 KiB, 512 KiB, 1, 2 and 4 MiB is 82, 64, 53, 42 and 41 ns (`make bench
# BENCH_ARGS="--only firehose"`).
cdef Py_ssize_t MAX_READ_SIZE = 2 * 1024 * 1024

# A tail whose frame is at most this long goes back into the arena before the next read, so that many small
# frames are taken with one recv. A longer frame gets a block of its own.
cdef Py_ssize_t SMALL_FRAME = 16 * 1024

# An announced length is believed up to this size; beyond it memory grows with what has really arrived, so
# that a header alone (RFC 6455 10.4) takes none.
cdef Py_ssize_t TRUSTED_SIZE = 1024 * 1024


@cython.final
cdef class Arena:
    def __cinit__(self):
        self._block = NULL
        self._borrower = None

    def __dealloc__(self):
        ws_block_drop(self._block)

    cdef ws_block_t* borrow(self, Window window, Py_ssize_t size) except NULL:
        """The shared block for one read of `size` bytes; a fresh one if a kept view still points into it."""
        if self._borrower is not None and self._borrower is not window:
            raise RuntimeError("the receive arena is in use by another connection of the same event loop")
        if self._block is not NULL and (
                <Py_ssize_t>self._block.cap < size or ws_block_is_shared(self._block)):
            ws_block_drop(self._block)
            self._block = NULL
        if self._block is NULL:
            self._block = ws_block_new(size)
            if self._block is NULL:
                raise MemoryError(f"no memory for the receive arena of {size} bytes")
        self._borrower = window
        return self._block

    cdef void give_back(self, Window window) noexcept:
        if self._borrower is window:
            self._borrower = None


@cython.final
cdef class Window:
    def __cinit__(self, Arena arena not None, Py_ssize_t read_size=16 * 1024):
        self._arena = arena
        self._most = MAX_READ_SIZE
        self._read_size = min(max(read_size, 2048), MAX_READ_SIZE)
        self.block = NULL
        self._is_own = False
        self.base = NULL
        self.start = self.end = 0
        self._need = 0

    def __dealloc__(self):
        if self._is_own:
            ws_block_drop(self.block)

    cdef char* reserve(self, Py_ssize_t* room) except NULL:
        """Where to read the next bytes, and how many fit there (at least one)."""
        cdef ws_block_t* shared
        cdef Py_ssize_t pending = self.end - self.start
        cdef Py_ssize_t wanted
        if not self._is_own or (self._need <= SMALL_FRAME and pending <= SMALL_FRAME):
            if self._arena._borrower is None or (self._arena._borrower is self and pending == 0):
                shared = self._arena.borrow(self, self._read_size + SMALL_FRAME)
                if self._is_own:
                    memcpy(ws_block_data(shared), self.base + self.start, pending)
                    ws_block_drop(self.block)
                    self._is_own = False
                self.block = shared
                self.base = ws_block_data(shared)
                self.start = 0
                self.end = pending
                room[0] = self._read_size
                return self.base + pending
            if not self._is_own:
                # Asked for from inside a callback of another connection.
                self._make_own(self._read_size)
        if self.end >= <Py_ssize_t>self.block.cap:
            wanted = max(self._need, self.end - self.start + 2048)
            self._enlarge(min(wanted, max(TRUSTED_SIZE, 2 * pending)))
        room[0] = <Py_ssize_t>self.block.cap - self.end
        return self.base + self.end

    cdef void commit(self, Py_ssize_t n) noexcept:
        """`n` bytes have been written to where `reserve` said."""
        if n == self._read_size and not self._is_own and n < self._most:
            # The kernel had more for us: ask for more next time.
            self._read_size = min(2 * n, self._most)
        self.end += n

    cdef void limit_reads(self, Py_ssize_t most) noexcept:
        """Ask for at most `most` bytes at once from now on, but for the rest of a frame that has begun."""
        self._most = min(max(most, 2048), MAX_READ_SIZE)
        self._read_size = min(self._read_size, self._most)

    cdef int push(self, const char* data, Py_ssize_t n) except -1:
        """Append a copy of bytes that came another way: behind a handshake, or from a test."""
        cdef Py_ssize_t room = 0
        cdef Py_ssize_t step
        cdef char* where
        while n > 0:
            where = self.reserve(&room)
            step = min(room, n)
            memcpy(where, data, step)
            self.end += step
            data += step
            n -= step
            if n > 0:
                self.settle(self.end - self.start + n)
        return 0

    cdef int settle(self, Py_ssize_t need) except -1:
        """Parsing has stopped: keep what is left, give back the rest.

        need: bytes from `start` on that the unfinished frame takes in all, as far as is known.
        """
        cdef Py_ssize_t pending = self.end - self.start
        cdef Py_ssize_t cap
        cdef ws_block_t* own
        self._need = need
        if pending == 0:
            self.clear()
            return 0
        cap = max(need, pending)
        if cap > TRUSTED_SIZE:
            cap = max(pending, min(cap, max(TRUSTED_SIZE, 2 * pending)))
        if self._is_own:
            if self.start == 0 and not ws_block_is_shared(self.block):
                if <Py_ssize_t>self.block.cap < cap:
                    self._enlarge(cap)
                return 0
            if cap <= <Py_ssize_t>self.block.cap < 2 * cap and not ws_block_is_shared(self.block):
                memmove(self.base, self.base + self.start, pending)
                self.start = 0
                self.end = pending
                return 0
        own = ws_block_new(cap)
        if own is NULL:
            raise MemoryError(f"no memory for a frame: {cap} bytes wanted, {pending} received so far")
        memcpy(ws_block_data(own), self.base + self.start, pending)
        self._swap(own, pending)
        return 0

    cdef void clear(self) noexcept:
        """Drop all buffered bytes and whatever memory they lie in."""
        if self._is_own:
            ws_block_drop(self.block)
            self._is_own = False
        else:
            self._arena.give_back(self)
        self.block = NULL
        self.base = NULL
        self.start = self.end = 0

    cdef int _make_own(self, Py_ssize_t cap) except -1:
        cdef ws_block_t* own = ws_block_new(cap)
        if own is NULL:
            raise MemoryError(f"no memory for a receive block of {cap} bytes")
        self._swap(own, 0)
        return 0

    cdef int _enlarge(self, Py_ssize_t cap) except -1:
        """Own block, more room; the bytes move to its front if they must move at all."""
        cdef Py_ssize_t pending = self.end - self.start
        cdef ws_block_t* grown
        if cap <= pending:
            cap = pending + 2048
        if self.start == 0 and not ws_block_is_shared(self.block):
            if <size_t>cap <= self.block.cap:
                return 0
            grown = ws_block_grow(self.block, cap)
            if grown is NULL:
                raise MemoryError(f"no memory for a frame: {cap} bytes wanted, {pending} received so far")
            self.block = grown
            self.base = ws_block_data(grown)
            return 0
        grown = ws_block_new(cap)
        if grown is NULL:
            raise MemoryError(f"no memory for a frame: {cap} bytes wanted, {pending} received so far")
        memcpy(ws_block_data(grown), self.base + self.start, pending)
        self._swap(grown, pending)
        return 0

    cdef void _swap(self, ws_block_t* own, Py_ssize_t pending) noexcept:
        if self._is_own:
            ws_block_drop(self.block)
        else:
            self._arena.give_back(self)
        self.block = own
        self._is_own = True
        self.base = ws_block_data(own)
        self.start = 0
        self.end = pending
