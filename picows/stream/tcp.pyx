"""TcpStream: a connected, non-blocking TCP or AF_UNIX socket; recv goes into the window.

Closing follows RFC 6455 7.1.1: what is queued is sent, then the sending side is shut down, then whatever the
peer still sends is read and dropped until it closes too. Closing a socket with unread data resets the
connection instead, and a reset may destroy a CLOSE frame that the peer has not read yet.
"""

import asyncio
import os
import socket
from asyncio.trsock import TransportSocket

from ..backlog cimport Backlog
from .base cimport Stream, StreamOwner
from .loopio cimport loop_io
from .poller cimport READABLE, WRITABLE

# A socket that has given so much at a wake-up is not read again in it: the others have their turn.
cdef Py_ssize_t BYTES_PER_WAKEUP = 1024 * 1024

# How long a closed stream waits for the peer's end. The owner has been told already; the descriptor lives on.
cdef double LINGER_S = 2.0


cdef class TcpStream(Stream):
    """Own a connected socket. Nothing is read before `start`.

    sock: connected, non-blocking; closed by the stream.
    """

    def __cinit__(self, StreamOwner owner not None, sock, *args):
        self._owner = owner
        self.loop = asyncio.get_running_loop()
        self.io = loop_io(self.loop)
        self._sock = sock
        self.fd = sock.fileno()
        self._backlog = Backlog()
        self._wants_read = True
        if self.fd < 0:
            raise ValueError("expected a connected socket, got a closed one")

    def __del__(self):
        # Only where the event loop went away under an open connection.
        if self.fd >= 0 and not self._is_detached:
            self._close_fd()

    def __dealloc__(self):
        # Or under a lingering one, perhaps as late as the end of the interpreter: no Python any more.
        if self.fd >= 0 and self._is_detached:
            ws_close(self.fd)

    cdef int start(self) except -1:
        self._update_watch()
        self._tell_open()
        return 0

    # ------------------------------------------------------------------ reading
    cdef int on_ready(self, bint readable, bint writable) except -1:
        if self._is_lingering:
            self._discard()
            return 0
        if writable:
            self._flush()
        if readable and self.fd >= 0 and not self._is_lost:
            if self._is_closing:
                self._check_reset()
            elif self._is_handing_up:
                self._put_off()
            elif self._wants_read:
                self._read()
            else:
                self._reset_while_paused()
        return 0

    cdef int on_broken(self) except -1:
        if not self._is_closing:
            self.close_now(False)
        return 0

    cdef int _read(self) except -1:
        """Take what the kernel has, read by read, and hand it up. 1: it may have more."""
        cdef Py_ssize_t room, got
        cdef Py_ssize_t total = 0
        cdef char* where
        while total < BYTES_PER_WAKEUP:
            room = 0
            where = self._owner.window.reserve(&room)
            got = ws_recv(self.fd, where, room)
            if got <= 0:
                self._owner.window.settle(self._owner.window._need)
                if got == WS_EMPTY:
                    return 0
                if got == 0:
                    self._at_eof = True
                    return self._read_end(None)
                return self._read_end(_os_error(<int>-got))
            self._owner.window.commit(got)
            self._hand_up()
            total += got
            if got < room or self._is_closing or self._is_lost or not self._wants_read:
                # Fewer than asked for: it is empty. If not, or after an error, the poller reports it again.
                return 0
        return 1

    cdef int _hand_up(self) except -1:
        """Tell the owner. A callback may run the event loop, and that may lose the stream and the owner."""
        cdef StreamOwner owner = self._owner
        self._is_handing_up = True
        try:
            owner.on_received()
        finally:
            self._is_handing_up = False
            if self._was_disturbed:
                self._was_disturbed = False
                self._update_watch()
                self.loop.call_soon(self._catch_up)
        return 0

    def _put_off(self):
        """Readable while the frames of the last read are out: their memory must not be written. Look away."""
        self._was_disturbed = True
        if self._backlog.size > 0:
            self.io.poller.watch(self, WRITABLE)
        else:
            self.io.poller.forget(self)

    def _catch_up(self):
        """After a disturbed callback: what no event will tell again."""
        if self._error is not None:
            self._read_after_write_failed()

    cdef int _read_end(self, object error) except -1:
        """Reading is over: end of stream (error is None) or an error."""
        self._wants_read = False
        if error is not None:
            return self._lose(self._error or error)
        if self._error is not None:
            return self._lose(self._error)
        self._update_watch()
        self._owner.on_eof()
        return 0

    def _reset_while_paused(self):
        """Epoll reports a reset (on AF_UNIX any hang-up) of a socket that is not read, for ever: look away.

        What the peer sent before it is delivered when reading resumes, then the end.
        """
        code = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._error = _os_error(code)
            self._backlog.clear()
        self.io.poller.forget(self)

    def _check_reset(self):
        """While what is queued is being sent: a reset ends it. Received data is left where it is."""
        code = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._lose(self._error or _os_error(code))

    # ------------------------------------------------------------------ writing

    cdef int write(self, const char* head, Py_ssize_t head_size,
                   const char* body, Py_ssize_t body_size) except -1:
        if self._is_closing:
            return 0
        return self._write_raw(head, head_size, body, body_size)

    cdef int _write_raw(self, const char* head, Py_ssize_t head_size,
                        const char* body, Py_ssize_t body_size) except -1:
        cdef Py_ssize_t sent = 0
        if self._is_lost or self._error is not None or self.fd < 0:
            return 0
        if self._backlog.size == 0:
            sent = ws_send2(self.fd, head, head_size, body, body_size) if body_size else \
                ws_send(self.fd, head, head_size)
            if sent == head_size + body_size:
                return 0
            if sent < 0:
                if sent != WS_EMPTY:
                    return self._write_failed(-sent)
                sent = 0
        if sent < head_size:
            self._queue(head + sent, head_size - sent, body, body_size)
        else:
            self._queue(body + (sent - head_size), body_size - (sent - head_size), NULL, 0)
        return 0

    cdef int _queue(self, const char* head, Py_ssize_t head_size,
                    const char* body, Py_ssize_t body_size) except -1:
        self._backlog.append(head, head_size)
        self._backlog.append(body, body_size)
        self._update_watch()
        if not self._is_write_paused and not self._is_closing:
            self._watermark()
        return 0

    cdef int _write_failed(self, Py_ssize_t code) except -1:
        """Sending is over. What the peer sent before may still be there, perhaps a CLOSE that says why.

        It is read to the end from the event loop, since the caller may be in the middle of a callback.
        """
        self._error = _os_error(<int>code)
        self._backlog.clear()
        if not self._is_closing:
            self._update_watch()
        self.loop.call_soon(self._read_after_write_failed)
        return 0

    def _read_after_write_failed(self):
        """Deliver what is left, a few reads for each turn of the loop, then end with the error."""
        if self._is_lost:
            return
        if not self._is_closing:
            if self._is_handing_up:
                self._was_disturbed = True
                return      # _catch_up comes back here
            if not self._wants_read:
                return      # resume_reading comes back here
            try:
                has_more = self._read()
            except BaseException:
                self.on_broken()
                raise
            if self._is_lost or (not self._wants_read and not self._is_closing):
                return
            if has_more and not self._is_closing:
                self.loop.call_soon(self._read_after_write_failed)
                return
        self._lose(self._error)

    cdef int _flush(self) except -1:
        """Send from the backlog until it is empty or the kernel has no room."""
        cdef const char* front
        cdef Py_ssize_t n, sent
        while self._backlog.size > 0:
            front = self._backlog.front(&n)
            sent = ws_send(self.fd, front, n)
            if sent == WS_EMPTY:
                break
            if sent < 0:
                self._write_failed(-sent)
                return 0
            self._backlog.consume(sent)
        if self._backlog.size == 0:
            self._update_watch()
            if self._is_graceful:
                return self._lose(self._error)
        if self._is_write_paused and not self._is_closing:
            self._watermark()
        return 0

    cdef Py_ssize_t queued(self) noexcept:
        return self._backlog.size

    # ------------------------------------------------------------------ closing
    cdef int close_now(self, bint graceful) except -1:
        if self._is_lost:
            return 0
        if graceful:
            if self._is_closing:
                return 0
            self._is_closing = self._is_graceful = True     # first: nothing is sent behind a close_notify
            self._before_shutdown()
            if self._backlog.size == 0:
                self.loop.call_soon(self._lose_soon)
            else:
                self._timer = self.loop.call_later(self.close_timeout_s, self._give_up)
        else:
            if self._is_closing and not self._is_graceful:
                return 0
            self._is_closing = True
            self._is_graceful = False
            self._backlog.clear()
            self.loop.call_soon(self._lose_soon)
        self._update_watch()
        return 0

    cdef int _before_shutdown(self) except -1:
        """The last chance to send something: close_notify, for a cipher."""
        return 0

    def _lose_soon(self):
        if not self._is_lost and (self._backlog.size == 0 or not self._is_graceful):
            self._lose(self._error)

    def _give_up(self):
        """close() has waited long enough for a peer that does not read."""
        if not self._is_lost:
            self._is_graceful = False
            self._backlog.clear()
            self._lose(self._error)

    cdef int _lose(self, object error) except -1:
        """The one door out: shut down, tell the owner, then linger or close the descriptor."""
        if self._is_lost:
            return 0
        self._is_lost = self._is_closing = True
        self._backlog.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._is_graceful and error is None and not self._at_eof and self._shut_down_sending():
            self._is_lingering = True
            # Nobody sees the socket any more. If the event loop ends meanwhile, its descriptor is closed
            # without the warning that an unclosed socket object gives.
            self._sock.detach()
            self._is_detached = True
            self._timer = self.loop.call_later(LINGER_S, self._stop_lingering)
            self.io.poller.watch(self, READABLE)
        else:
            self._close_fd()
        try:
            self._owner.on_lost(error)
        finally:
            self._owner = None
        return 0

    def _shut_down_sending(self):
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            return False
        return True

    cdef int _discard(self) except -1:
        """Lingering: drop what the peer still sends; its end is ours."""
        cdef Py_ssize_t got
        cdef int _i
        for _i in range(4):
            got = ws_recv(self.fd, <char*>self.io.scratch, 64 * 1024)
            if got == WS_EMPTY:
                return 0
            if got <= 0:
                self._stop_lingering()
                return 0
        return 0

    def _stop_lingering(self):
        self._is_lingering = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._close_fd()

    cdef int _close_fd(self) except -1:
        if self.fd < 0:
            return 0
        cdef int fd = self.fd
        self.io.poller.forget(self)
        self.fd = -1
        if self._is_detached:
            ws_close(fd)
            return 0
        try:
            self._sock.close()
        except OSError:
            pass    # somebody has closed the descriptor under us: the owner is told all the same
        return 0

    cdef int _update_watch(self) except -1:
        if self.fd >= 0 and not self._is_lost:
            self.io.poller.watch(
                self, (READABLE if self._wants_read and not self._is_closing else 0)
                | (WRITABLE if self._backlog.size > 0 else 0))
        return 0

    # ------------------------------------------------------------------ for users

    def get_extra_info(self, str name not None, default=None):
        """"socket" (an asyncio.trsock.TransportSocket), "peername", "sockname"; else `default`."""
        if name == "socket":
            return TransportSocket(self._sock)
        try:
            if name == "peername":
                return self._sock.getpeername()
            if name == "sockname":
                return self._sock.getsockname()
        except OSError:
            return default
        return default

    def is_reading(self):
        return self._wants_read and not self._is_closing

    def pause_reading(self):
        if not self._is_closing:
            self._wants_read = False
            self._update_watch()

    def resume_reading(self):
        if not self._is_closing and not self._at_eof:
            self._wants_read = True
            self._update_watch()
            if self._error is not None:
                self.loop.call_soon(self._read_after_write_failed)


cdef object _os_error(int code):
    # An OSError of the right subclass: ConnectionResetError, BrokenPipeError ...
    return OSError(code, os.strerror(code))
