"""Stream: a two-way flow of bytes, and the asyncio-transport-like face of it that users see.

`WSTransport.underlying_transport` is a Stream. Its Python methods are named and mean as asyncio transports'.
"""

from ..backlog cimport Backlog
from .poller cimport EventTarget

# asyncio's defaults (`asyncio.transports._FlowControlMixin`), which code written for it relies on.
cdef Py_ssize_t DEFAULT_HIGH = 64 * 1024

# A cork holds back this much, then it lets go of what it has: one chunk of a Backlog, one system call.
cdef Py_ssize_t CORK_SIZE = 64 * 1024


cdef class StreamOwner:
    cdef int on_open(self) except -1:
        raise NotImplementedError

    cdef int on_received(self) except -1:
        raise NotImplementedError

    cdef int on_eof(self) except -1:
        raise NotImplementedError

    cdef int on_lost(self, object error) except -1:
        raise NotImplementedError

    cdef int on_pause_writing(self) except -1:
        raise NotImplementedError

    cdef int on_resume_writing(self) except -1:
        raise NotImplementedError


cdef class Stream(EventTarget):
    """Bytes to and from one peer; a subclass for each way to move them."""

    def __cinit__(self):
        self._high = DEFAULT_HIGH
        self._low = DEFAULT_HIGH // 4
        self.close_timeout_s = 10.0

    cdef int write(self, const char* head, Py_ssize_t head_size,
                   const char* body, Py_ssize_t body_size) except -1:
        raise NotImplementedError

    # ------------------------------------------------------------------ corks

    cdef int put(self, const char* head, Py_ssize_t head_size,
                 const char* body, Py_ssize_t body_size) except -1:
        if self.corks:
            return self._hold(head, head_size, body, body_size)
        return self.write(head, head_size, body, body_size)

    cdef int cork(self) except -1:
        """Hold back what is put, until as many `uncork` have come."""
        self.corks += 1
        return 0

    cdef int uncork(self) except -1:
        self.corks -= 1
        return self._release() if self.corks == 0 else 0

    cdef char* room(self, Py_ssize_t size) except? NULL:
        if self._is_closing or self._is_lost or size > CORK_SIZE:
            return NULL
        if self._held is not None and self._held.size + size > CORK_SIZE:
            self._release()
        if self._held is None:
            self._held = Backlog()
        return self._held.extend(size)

    cdef int _hold(self, const char* head, Py_ssize_t head_size,
                   const char* body, Py_ssize_t body_size) except -1:
        cdef Py_ssize_t size = head_size + body_size
        if self._is_closing or self._is_lost:
            return 0
        if self._held is not None and self._held.size + size > CORK_SIZE:
            self._release()
        if size > CORK_SIZE:
            return self.write(head, head_size, body, body_size)
        if self._held is None:
            self._held = Backlog()
        self._held.append(head, head_size)
        return self._held.append(body, body_size)

    cdef int _release(self) except -1:
        """Write what is held. Taken off first: a listener may send or close from pause_writing."""
        cdef Backlog held = self._held
        cdef const char* front
        cdef Py_ssize_t n
        self._held = None
        while held is not None and held.size > 0:
            front = held.front(&n)
            self.write(front, n, NULL, 0)
            held.consume(n)
        return 0

    cdef int finish(self, bint graceful) except -1:
        if graceful:
            self._release()
        else:
            self._held = None
        return self.close_now(graceful)

    # ------------------------------------------------------------------ for subclasses and users

    cdef Py_ssize_t queued(self) noexcept:
        return 0

    cdef int start(self) except -1:
        """Begin: report on_open, then what arrives."""
        raise NotImplementedError

    cdef int close_now(self, bint graceful) except -1:
        """End the stream: after what is queued is sent, or at once. on_lost follows from the event loop."""
        raise NotImplementedError

    cdef int _tell_open(self) except -1:
        self._owner.on_open()
        return 0

    cdef int _watermark(self) except -1:
        """Compare what is queued with the limits and tell the owner when it crosses one."""
        cdef Py_ssize_t queued = self.queued()
        cdef StreamOwner owner = self._owner    # kept alive: a listener may run the loop and lose it
        if owner is None or self._is_lost or self._is_closing or self.holds_pause:
            return 0
        if not self._is_write_paused:
            if queued > self._high:
                self._is_write_paused = True
                owner.on_pause_writing()
        elif queued <= self._low:
            self._is_write_paused = False
            owner.on_resume_writing()
        return 0

    def get_extra_info(self, str name not None, default=None):
        """What asyncio transports call extra info: "socket", "peername", "sockname", "ssl_object" ..."""
        raise NotImplementedError

    def get_write_buffer_size(self):
        """Bytes queued, not yet taken by the kernel; those that a cork holds back included."""
        return self.queued() + (0 if self._held is None else self._held.size)

    def get_write_buffer_limits(self):
        """(low, high) water marks in bytes."""
        return (self._low, self._high)

    def set_write_buffer_limits(self, high=None, low=None):
        """Water marks in bytes: above `high` the listener's pause_writing is called, at `low` resume_writing.

        Defaults as asyncio has them: high 64 KiB (or 4 * low), low high // 4.
        Raises ValueError unless 0 <= low <= high.
        """
        if high is None:
            high = DEFAULT_HIGH if low is None else 4 * low
        if low is None:
            low = high // 4
        if not 0 <= low <= high:
            raise ValueError(f"expected 0 <= low <= high, got low={low!r}, high={high!r}")
        self._high = high
        self._low = low
        self._watermark()

    def is_closing(self):
        """True once the stream is closing or closed."""
        return self._is_closing or self._is_lost

    def close(self):
        """Send what is queued, then close. What the kernel does not take within close_timeout is dropped."""
        self.finish(True)

    def abort(self):
        """Close at once; what is queued is dropped."""
        self.finish(False)

    def is_reading(self):
        """True while received bytes are reported."""
        raise NotImplementedError

    def pause_reading(self):
        """Stop reading from the socket; TCP slows the peer down. Bytes read already are still delivered."""
        raise NotImplementedError

    def resume_reading(self):
        """Read again."""
        raise NotImplementedError
