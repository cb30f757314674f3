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

from libc.errno cimport EINTR, errno
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memset

from .poller cimport READABLE, WRITABLE

cdef extern from *:
    """
    #if defined(__linux__)
      #include <sys/epoll.h>
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
    #endif
    #if defined(__linux__)
      static int ws_close_fd(int fd) { return close(fd); }
      static long ws_pid(void) { return (long)getpid(); }
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
    int epoll_wait(int epfd, epoll_event* events, int maxevents, int timeout) noexcept
    int ws_close_fd(int fd) noexcept
    long ws_pid() noexcept

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
        EventTarget _only        # the target, while there is just one that is watched; else None

    def __cinit__(self, loop):
        self._loop = loop
        self._epfd = -1
        self._pid = 0
        self._targets = []
        self._generations = NULL
        self._slots = 0
        self.count = 0

    def __dealloc__(self):
        free(self._generations)
        if self._epfd >= 0:
            ws_close_fd(self._epfd)

    cdef int watch(self, EventTarget target, uint32_t events) except -1:
        cdef epoll_event event
        cdef int fd = target.fd
        cdef bint is_new
        if self._epfd >= 0 and self._pid != ws_pid():
            return 0
        self._reserve(fd)
        is_new = self._targets[fd] is not target
        if not is_new and target._watched == events:
            return 0
        event.events = (EPOLLIN if events & READABLE else 0) | (EPOLLOUT if events & WRITABLE else 0)
        if is_new:
            self._open()
            self._generations[fd] += 1
        event.data.u64 = (<uint64_t>self._generations[fd] << 32) | <uint32_t>fd
        if epoll_ctl(self._epfd, EPOLL_CTL_ADD if is_new else EPOLL_CTL_MOD, fd, &event) < 0:
            self._raise("epoll_ctl")
        if is_new:
            self._targets[fd] = target
            self.count += 1
            self._only = target if self.count == 1 else None
        target._watched = events
        return 0

    cdef int forget(self, EventTarget target) except -1:
        cdef epoll_event event
        cdef int fd = target.fd
        if fd < 0 or fd >= self._slots or self._targets[fd] is not target:
            return 0
        if self._pid == ws_pid():
            memset(&event, 0, sizeof(event))
            epoll_ctl(self._epfd, EPOLL_CTL_DEL, fd, &event)
        self._targets[fd] = None
        target._watched = 0
        self.count -= 1
        self._only = None
        if self.count == 0:
            self._close()
        elif self.count == 1:
            self._only = next(other for other in self._targets if other is not None)
        return 0

    def _on_ready(self):
        """The loop says that some descriptor in the epoll set is ready."""
        cdef epoll_event events[BATCH]
        cdef int n, i, fd
        cdef uint32_t flags
        cdef EventTarget target
        if self._only is not None and self._only._watched == READABLE:
            # It is this one, and recv will tell what it is about: a system call less for each wake-up.
            self._report(self._only, True, False)
            return
        while True:
            n = epoll_wait(self._epfd, events, BATCH, 0)
            if n >= 0 or errno != EINTR:
                break
        for i in range(n):
            fd = <int>(events[i].data.u64 & 0xffffffff)
            target = <EventTarget>self._targets[fd]
            if target is None or self._generations[fd] != <uint32_t>(events[i].data.u64 >> 32):
                continue    # closed by a callback of this round, its number perhaps given to another socket
            flags = events[i].events
            self._report(target, (flags & ~EPOLLOUT) != 0, (flags & EPOLLOUT) != 0)

    cdef int _report(self, EventTarget target, bint readable, bint writable) except -1:
        try:
            target.on_ready(readable, writable)
        except Exception as exc:
            self._loop.call_exception_handler(
                {"message": f"unhandled exception in {type(target).__name__}", "exception": exc})
            target.on_broken()
        except BaseException:
            target.on_broken()      # KeyboardInterrupt, SystemExit, CancelledError are the loop's
            raise
        return 0

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
