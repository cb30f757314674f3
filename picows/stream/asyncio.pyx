"""LoopStream: the event loop's own transport as a stream.

One copy and a few Python calls per read dearer than TcpStream; it is what runs where the loop offers no
readiness callbacks (Windows' proactor loop). TLS is the loop's as well.
"""

from asyncio import get_running_loop

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy

from ..buffer cimport Window
from .base cimport Stream, StreamOwner
from .loopio cimport loop_io


class LoopProtocol:
    """The asyncio.Protocol of a LoopStream; the loop calls it."""

    def __init__(self, stream, on_made=None):
        self._stream = stream
        self._on_made = on_made

    def connection_made(self, transport):
        self._stream._made(transport)
        if self._on_made is not None:
            self._on_made(self._stream)
            self._stream._begin()

    def data_received(self, data):
        self._stream._received(data)

    def eof_received(self):
        return self._stream._ended()

    def connection_lost(self, exc):
        self._stream._lost(exc)

    def pause_writing(self):
        self._stream._pause()

    def resume_writing(self):
        self._stream._resume()


cdef class LoopStream(Stream):
    """Adapt an asyncio transport. `LoopProtocol(stream)` is what the loop is given."""

    def __cinit__(self, StreamOwner owner not None):
        self._owner = owner
        self.loop = get_running_loop()
        self.io = loop_io(self.loop)

    cdef int start(self) except -1:
        self._begin()
        return 0

    def _begin(self):
        if self._is_lost:
            return      # the peer hung up right after TLS was done
        if self._transport is None:
            raise RuntimeError("a LoopStream starts after its transport was made")
        self._tell_open()

    # ------------------------------------------------------------------ called by the loop

    def _made(self, transport):
        self._transport = transport
        self.set_write_buffer_limits(self._high, self._low)

    def _received(self, bytes data not None):
        cdef Window window
        if self._is_closing or self._is_lost:
            return
        window = self._owner.window
        window.push(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
        self._owner.on_received()

    def _ended(self):
        if not self._is_closing:
            self._at_eof = True
            self._owner.on_eof()
        return True     # the owner decides when to close

    def _lost(self, exc):
        if self._is_lost:
            return
        self._is_lost = self._is_closing = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        try:
            self._owner.on_lost(exc)
        finally:
            self._owner = None

    def _pause(self):
        self._is_write_paused = True
        self._is_pause_due = True
        self._watermark()

    cdef int _watermark(self) except -1:
        """The loop keeps the marks; here is only what it said while a frame was being written."""
        if self._is_pause_due and not self.holds_pause:
            self._is_pause_due = False
            if not self._is_closing:
                self._owner.on_pause_writing()
        return 0

    def _resume(self):
        self._is_write_paused = False
        if self._is_pause_due:
            self._is_pause_due = False
            return
        if not self._is_closing:
            self._owner.on_resume_writing()

    # ------------------------------------------------------------------ writing and closing

    cdef int write(self, const char* head, Py_ssize_t head_size,
                   const char* body, Py_ssize_t body_size) except -1:
        cdef bytes joined
        if self._is_closing or self._is_lost or self._transport is None:
            return 0
        # In one piece: write() may call pause_writing, and whoever sends from there must not split a frame.
        joined = PyBytes_FromStringAndSize(NULL, head_size + body_size)
        memcpy(PyBytes_AS_STRING(joined), head, head_size)
        if body_size:
            memcpy(PyBytes_AS_STRING(joined) + head_size, body, body_size)
        self._transport.write(joined)
        return 0

    cdef Py_ssize_t queued(self) noexcept:
        try:
            return self._transport.get_write_buffer_size()
        except Exception:
            return 0    # not connected yet, or gone

    cdef int close_now(self, bint graceful) except -1:
        if self._is_lost or self._transport is None:
            return 0
        if not graceful:
            self._is_closing = True
            self._transport.abort()
        elif not self._is_closing:
            self._is_closing = True
            self._transport.close()
            self._timer = self.loop.call_later(self.close_timeout_s, self._transport.abort)
        return 0

    # ------------------------------------------------------------------ for users

    def get_extra_info(self, str name not None, default=None):
        """What the loop's transport offers."""
        if self._transport is None:
            return default
        try:
            return self._transport.get_extra_info(name, default)
        except AttributeError:
            if not self._is_lost:
                raise
            return default      # uvloop asks a socket that it has let go

    def set_write_buffer_limits(self, high=None, low=None):
        """Water marks in bytes, see Stream. What TLS has handed on to TCP already does not count here."""
        if self._transport is None or self._is_lost:
            return
        if high is None and low is None:
            high = 64 * 1024    # the loop's own default is 512 KiB for TLS
        self._transport.set_write_buffer_limits(high=high, low=low)
        self._low, self._high = self._transport.get_write_buffer_limits()

    def is_reading(self):
        return self._transport is not None and not self._is_lost and self._transport.is_reading()

    def pause_reading(self):
        if self._transport is not None and not self._is_lost:
            self._transport.pause_reading()

    def resume_reading(self):
        if self._transport is not None and not self._is_lost:
            self._transport.resume_reading()
