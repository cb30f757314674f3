"""Readiness of sockets, two ways behind one interface.

EpollPoller (Linux) keeps one epoll instance per event loop, and the loop watches only its descriptor. It
behaves alike on asyncio and uvloop: uvloop's own poll handles never report a reset that arrives with data.
Many sockets that become ready together cost the loop one wake-up. LoopPoller registers each socket with
`loop.add_reader`, for platforms without epoll.

CPU per echoed message, add_reader / epoll: 0.97 (asyncio) and 0.98 (uvloop) with one connection, 1.26 and
1.00 with 64 (`python tests/bench/bench_poller.py`, CPython 3.11). Never dear, cheaper with many sockets,
and it tells the truth.
"""

import os

import cython

from libc.errno cimport errno
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memset

from .poller cimport READABLE, WRITABLE

cdef extern from *:
    """
    #if defined(__linux__)
      #include <stdint.h>
      #include <sys/epoll.h>
      #include <time.h>
      #include <unistd.h>
      #define WS_HAS_EPOLL 1
    #else
      #include <stdint.h>
      #include <errno.h>
      #define WS_HAS_EPOLL 0
      #define EPOLLIN 1u
      #define EPOLLOUT 4u
      #define EPOLLERR 8u
      #define EPOLLHUP 16u
      #define EPOLLRDHUP 0x2000u
      #define EPOLL_CTL_ADD 1
      #define EPOLL_CTL_DEL 2
      #define EPOLL_CTL_MOD 3
      #define EPOLL_CLOEXEC 0
      typedef union { uint64_t u64; } epoll_data_t;
      struct epoll_event { uint32_t events; epoll_data_t data; };
      static int epoll_create1(int flags) { (void)flags; errno = ENOSYS; return -1; }
      static int epoll_ctl(int a, int b, int c, struct epoll_event *d) { (void)a; (void)b; (void)c; (void)d;
      errno = ENOSYS; return -1; }
      static int epoll_wait(int a, struct epoll_event *b, int c, int d) { (void)a; (void)b; (void)c; (void)d;
      errno = ENOSYS; return -1; }
      static int ws_close_fd(int fd) { (void)fd; return 0; }
      static long ws_pid(void) { return 0; }
      static int64_t ws_now_ns(void) { return 0; }
    #endif
    #if defined(__linux__)
      static int ws_close_fd(int fd) { return close(fd); }
      static long ws_pid(void) { return (long)getpid(); }
      static int64_t ws_now_ns(void)
      {
          struct timespec now;
          clock_gettime(CLOCK_MONOTONIC, &now);
          return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
      }
    #endif
    """
    const bint WS_HAS_EPOLL
    const uint32_t EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP
    const int EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EPOLL_CLOEXEC
    ctypedef union epoll_data_t:
        uint64_t u64
    cdef struct epoll_event:
        uint32_t events
        epoll_data_t data
    int epoll_create1(int flags) noexcept
    int epoll_ctl(int epfd, int op, int fd, epoll_event* event) noexcept
    int epoll_wait(int epfd, epoll_event* events, int maxevents, int timeout) noexcept nogil
    int ws_close_fd(int fd) noexcept
    long ws_pid() noexcept
    int64_t ws_now_ns() noexcept nogil

HAS_EPOLL = WS_HAS_EPOLL

# Events taken per wake-up; the next one reports the rest, so the loop's other callbacks are not starved.
cdef enum:
    BATCH = 64


cdef class EventTarget:
    def __cinit__(self):
        self.fd = -1
        self._watched = 0

    cdef int on_ready(self, bint readable, bint writable) except -1:
        raise NotImplementedError

    cdef int on_broken(self) except -1:
        raise NotImplementedError


cdef class Poller:
    cdef int watch(self, EventTarget target, uint32_t events) except -1:
        """Report `events` of target.fd from now on: READABLE | WRITABLE. 0 still reports a hang-up."""
        raise NotImplementedError

    cdef int forget(self, EventTarget target) except -1:
        """Report nothing of it any more; called before the descriptor is closed."""
        raise NotImplementedError


@cython.final
cdef class EpollPoller(Poller):
    cdef:
        int _epfd
        # The process that opened it. A forked child shares the epoll instance with its parent, so what a
        # child removes from it (an exit does that) the parent would never hear of again.
        long _pid
        list _targets            # by file descriptor; None where nothing is watched
        # by file descriptor: tells a reused number from the socket an event was meant for
        uint32_t* _generations
        Py_ssize_t _slots
        # The first target, until there is a second one: the loop itself watches its descriptor for data,
        # which saves a detour in the kernel (echo: 5 % of the CPU time). Errors come through epoll all the
        # same: uvloop does not tell them.
        EventTarget _direct

        # Busy polling: every turn of the loop is spent here, not asleep
        readonly bint is_spinning
        bint _is_turn_due        # a turn is scheduled
        readonly Py_ssize_t turns
        int64_t _turn_ns         # how long one turn looks for events before the loop has its own
        int64_t _idle_ns         # without events for so long, sleep until the next one; 0: never sleep
        int64_t _last_event_ns

    def __cinit__(self, loop):
        self._loop = loop
        self._epfd = -1
        self._pid = 0
        self._targets = []
        self._generations = NULL
        self._slots = 0
        self.is_spinning = self._is_turn_due = False
        self.count = 0

    def __dealloc__(self):
        free(self._generations)
        if self._epfd >= 0:
            ws_close_fd(self._epfd)

    cdef int watch(self, EventTarget target, uint32_t events) except -1:
        cdef int fd = target.fd
        cdef bint is_new
        if self._epfd >= 0 and self._pid != ws_pid():
            return 0
        self._reserve(fd)
        is_new = self._targets[fd] is not target
        if not is_new and target._watched == events:
            return 0
        if not is_new:
            self._set(target, events, EPOLL_CTL_MOD)
            return 0
        self._open()
        self._generations[fd] += 1
        if self._direct is not None:
            self._end_direct()
        elif self.count == 0 and not self.is_spinning:
            self._direct = target
        try:
            self._set(target, events, EPOLL_CTL_ADD)
        except BaseException:
            self._direct = None
            raise
        self._targets[fd] = target
        self.count += 1
        if self.is_spinning and not self._is_turn_due:
            self._begin_turns()
        return 0

    cdef int _set(self, EventTarget target, uint32_t events, int operation) except -1:
        """Tell epoll, and for the direct target the loop, what to report."""
        cdef epoll_event event
        cdef int fd = target.fd
        cdef bint is_direct = target is self._direct
        event.events = EPOLLOUT if events & WRITABLE else 0
        if events & READABLE and not is_direct:
            event.events |= EPOLLIN
        event.data.u64 = (<uint64_t>self._generations[fd] << 32) | <uint32_t>fd
        if epoll_ctl(self._epfd, operation, fd, &event) < 0:
            self._raise("epoll_ctl")
        if is_direct and (events ^ target._watched) & READABLE:
            if events & READABLE:
                self._loop.add_reader(fd, self._on_direct)
            else:
                self._loop.remove_reader(fd)
        target._watched = events
        return 0

    cdef int _end_direct(self) except -1:
        """There are more targets now: the loop watches the epoll instance alone."""
        cdef EventTarget target = self._direct
        cdef uint32_t events = target._watched
        self._set(target, events & ~<uint32_t>READABLE, EPOLL_CTL_MOD)
        self._direct = None
        self._set(target, events, EPOLL_CTL_MOD)
        return 0

    cdef int forget(self, EventTarget target) except -1:
        cdef epoll_event event
        cdef int fd = target.fd
        if fd < 0 or fd >= self._slots or self._targets[fd] is not target:
            return 0
        if self._pid == ws_pid():
            memset(&event, 0, sizeof(event))
            epoll_ctl(self._epfd, EPOLL_CTL_DEL, fd, &event)
            if target is self._direct and target._watched & READABLE and not self._loop.is_closed():
                self._loop.remove_reader(fd)
        if target is self._direct:
            self._direct = None
        self._targets[fd] = None
        target._watched = 0
        self.count -= 1
        if self.count == 0:
            self._close()
        return 0

    def _on_direct(self):
        """The loop says that the direct target is readable; what has happened to it, recv tells."""
        if self._direct is not None:
            self._report(self._direct, EPOLLIN)

    def _on_ready(self):
        """The loop says that some descriptor in the epoll set is ready."""
        self._poll(0)
        if self.is_spinning and not self._is_turn_due and self.count > 0:
            self._begin_turns()

    cdef int _poll(self, int64_t until_ns) except -1:
        """Report what is ready now; with `until_ns`, the first that becomes ready until then."""
        cdef epoll_event events[BATCH]
        cdef int n, i, fd
        cdef EventTarget target
        if until_ns:
            with nogil:
                n = epoll_wait(self._epfd, events, BATCH, 0)
                while n == 0 and ws_now_ns() < until_ns:
                    n = epoll_wait(self._epfd, events, BATCH, 0)
        else:
            n = epoll_wait(self._epfd, events, BATCH, 0)
        # Interrupted (n < 0): it is level-triggered, so the next call reports the same.
        for i in range(n):
            fd = <int><uint32_t>events[i].data.u64
            target = <EventTarget>self._targets[fd]
            if target is None or self._generations[fd] != <uint32_t>(events[i].data.u64 >> 32):
                continue    # closed by a callback of this round, its number perhaps given to another socket
            self._report(target, events[i].events)
        return max(n, 0)

    cdef int _report(self, EventTarget target, uint32_t flags) except -1:
        try:
            target.on_ready((flags & ~EPOLLOUT) != 0, (flags & EPOLLOUT) != 0)
        except Exception as exc:
            self._loop.call_exception_handler(
                {"message": f"unhandled exception in {type(target).__name__}", "exception": exc})
            target.on_broken()
        except BaseException:
            target.on_broken()      # KeyboardInterrupt, SystemExit, CancelledError are the loop's
            raise
        return 0

    # ------------------------------------------------------------------ busy polling

    def spin(self, int64_t turn_ns, int64_t idle_ns):
        """Look for events without sleeping from now on; see picows.BusyPoll."""
        self._turn_ns = turn_ns
        self._idle_ns = idle_ns
        self.is_spinning = True
        if self._direct is not None:
            self._end_direct()      # the loop would look at it between the turns only
        if self.count > 0 and not self._is_turn_due:
            self._begin_turns()

    @property
    def is_awake(self):
        """Whether a turn is scheduled."""
        return self._is_turn_due

    def rest(self):
        """Leave it to the loop again to wake us."""
        self.is_spinning = False

    cdef int _begin_turns(self) except -1:
        self._last_event_ns = ws_now_ns()
        self._is_turn_due = True
        self._loop.call_soon(self._turn)
        return 0

    def _turn(self):
        """Spin for a while, or until something has come: then what callbacks began goes first."""
        cdef int64_t now_ns
        self._is_turn_due = False
        self.turns += 1
        if not self.is_spinning or self.count == 0 or self._pid != ws_pid():
            return
        now_ns = ws_now_ns()
        if self._poll(now_ns + self._turn_ns) != 0:
            self._last_event_ns = now_ns
        elif self._idle_ns and now_ns - self._last_event_ns > self._idle_ns:
            return      # until _on_ready
        if not self._is_turn_due:
            self._is_turn_due = True
            self._loop.call_soon(self._turn)

    cdef int _reserve(self, int fd) except -1:
        cdef uint32_t* grown
        cdef Py_ssize_t slots
        if fd < self._slots:
            return 0
        slots = max(2 * self._slots, <Py_ssize_t>fd + 1, 64)
        grown = <uint32_t*>realloc(self._generations, slots * sizeof(uint32_t))
        if grown is NULL:
            raise MemoryError(f"no memory to watch {slots} sockets")
        memset(grown + self._slots, 0, (slots - self._slots) * sizeof(uint32_t))
        self._generations = grown
        self._targets.extend([None] * (slots - self._slots))
        self._slots = slots
        return 0

    cdef int _open(self) except -1:
        if self._epfd >= 0:
            return 0
        self._epfd = epoll_create1(EPOLL_CLOEXEC)
        if self._epfd < 0:
            self._raise("epoll_create1")
        self._pid = ws_pid()
        try:
            self._loop.add_reader(self._epfd, self._on_ready)
        except BaseException:
            ws_close_fd(self._epfd)
            self._epfd = -1
            raise
        return 0

    cdef int _close(self) except -1:
        """Nothing is watched any more: leave no descriptor behind."""
        if self._epfd < 0:
            return 0
        if not self._loop.is_closed() and self._pid == ws_pid():
            self._loop.remove_reader(self._epfd)
        ws_close_fd(self._epfd)
        self._epfd = -1
        return 0

    cdef int _raise(self, str what) except -1:
        raise OSError(errno, f"{what}: {os.strerror(errno)}")


@cython.final
cdef class LoopPoller(Poller):
    cdef long _pid               # as in EpollPoller: the loop's selector is shared with a forked child, too

    def __cinit__(self, loop):
        self._loop = loop
        self._pid = os.getpid()
        self.count = 0

    cdef int watch(self, EventTarget target, uint32_t events) except -1:
        cdef uint32_t before = target._watched
        if self._pid != os.getpid():
            return 0
        if before == 0 and events:
            self.count += 1
        if events & READABLE and not before & READABLE:
            self._loop.add_reader(target.fd, self._report, target, True, False)
        elif before & READABLE and not events & READABLE:
            self._loop.remove_reader(target.fd)
        if events & WRITABLE and not before & WRITABLE:
            self._loop.add_writer(target.fd, self._report, target, False, True)
        elif before & WRITABLE and not events & WRITABLE:
            self._loop.remove_writer(target.fd)
        if before and not events:
            self.count -= 1
        target._watched = events
        return 0

    cdef int forget(self, EventTarget target) except -1:
        if self._loop.is_closed() or self._pid != os.getpid():
            target._watched = 0
            return 0
        return self.watch(target, 0)

    def _report(self, EventTarget target not None, bint readable, bint writable):
        if not target._watched:
            return
        try:
            target.on_ready(readable, writable)
        except BaseException:
            target.on_broken()
            raise
