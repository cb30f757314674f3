"""What the connections of one event loop share: poller, receive arena, scratch memory, random mask keys.

One thread runs a loop, so nothing here needs a lock. The objects are found through the thread that runs the
loop and go away with it.
"""

import asyncio
import os
import sys
import threading

import cython
from cpython.bytearray cimport PyByteArray_AS_STRING
from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from .poller import HAS_EPOLL, EpollPoller, LoopPoller

from ..wire cimport WS_HEADER_MAX

cdef Py_ssize_t MASK_POOL = 4096
cdef Py_ssize_t CIPHER_SIZE = 128 * 1024

_local = threading.local()
cdef long _forks = 0


def _after_fork():
    """A child must not use the mask keys that its parent will use as well."""
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@cython.final
cdef class LoopIO:
    def __cinit__(self, loop, str poller="auto"):
        self.loop = loop
        if poller == "auto":
            poller = "epoll" if HAS_EPOLL else "loop"
        self.poller = EpollPoller(loop) if poller == "epoll" else LoopPoller(loop)
        self.arena = Arena()
        self._masks = <uint8_t*>malloc(MASK_POOL)
        self._mask_pos = MASK_POOL
        self._mask_fork = _forks
        self.scratch = <uint8_t*>malloc(WS_HEADER_MAX + SCRATCH_SIZE)
        if self._masks is NULL or self.scratch is NULL:
            raise MemoryError("no memory for the buffers of an event loop")

    def __dealloc__(self):
        free(self._masks)
        free(self.scratch)

    cdef uint32_t next_mask(self) except? 0:
        """A fresh mask key from the system's CSPRNG, drawn in pools: RFC 6455 5.3, 10.3.

        7.5 ns a key, against 517 for os.urandom(4).
        """
        cdef uint32_t mask
        if self._mask_pos == MASK_POOL or self._mask_fork != _forks:
            self._refill()
        memcpy(&mask, self._masks + self._mask_pos, 4)
        self._mask_pos += 4
        return mask

    def _refill(self):
        cdef bytes fresh = os.urandom(MASK_POOL)
        memcpy(self._masks, <const char*>fresh, MASK_POOL)
        self._mask_pos = 0
        self._mask_fork = _forks

    cdef int need_cipher(self) except -1:
        """Make the scratch that TLS records are received into; loops without TLS never pay for it."""
        if self._cipher is None:
            self._cipher = bytearray(CIPHER_SIZE)
            self.cipher_view = memoryview(self._cipher)
            self.cipher_ptr = PyByteArray_AS_STRING(self._cipher)
            self.cipher_size = CIPHER_SIZE
        return 0


def _streams_kind():
    """PICOWS_STREAMS: auto (default), epoll, poll (add_reader per socket) or loop (its own transports)."""
    kind = os.environ.get("PICOWS_STREAMS", "auto")
    if kind not in ("auto", "epoll", "poll", "loop"):
        raise ValueError(f"PICOWS_STREAMS: expected auto, epoll, poll or loop, got {kind!r}")
    if kind == "auto":
        kind = "epoll" if HAS_EPOLL else "loop" if sys.platform == "win32" else "poll"
    return kind


STREAMS = _streams_kind()


cdef LoopIO loop_io(object loop):
    """The LoopIO of a running loop; called in the thread that runs it."""
    cdef dict known = getattr(_local, "by_loop", None)
    cdef LoopIO io
    if known is None:
        known = _local.by_loop = {}
    io = known.get(loop)
    if io is None:
        if not isinstance(loop, asyncio.AbstractEventLoop):
            raise TypeError(f"loop: expected an event loop, got {type(loop).__name__}")
        for other in [other for other in known if other.is_closed()]:
            del known[other]
        io = known[loop] = LoopIO(loop, "epoll" if STREAMS == "epoll" else "loop")
    return io


def running_poller():
    """The poller of the running event loop."""
    return loop_io(asyncio.get_running_loop()).poller
