"""TlsStream: TLS between the socket and the window.

Records are received into scratch memory that all connections of the loop share, and decrypted straight into
the window; as many records as have arrived are handed up at once. Handshake, verification and exceptions are
those of Python's ssl.SSLObject. What differs is how bytes get in and out of it: through direct calls of
OpenSSL (openssl.pyx), or portably through ssl.MemoryBIO (memorybio.pyx).
"""

import os
import ssl
from collections import deque

from libc.string cimport memcpy

from ..wire cimport WS_HEADER_MAX
from .loopio cimport SCRATCH_SIZE
from .tcp cimport WS_EMPTY, TcpStream

# A record carries at most this much plaintext (RFC 8446 5.1); longer writes are cut here, so that the header
# of a frame and its payload share a record.
cdef Py_ssize_t RECORD_SIZE = 16 * 1024

# Records of this much plaintext leave in one send: what a FrameWriter frames at once, header included.
cdef Py_ssize_t SEAL_SIZE = SCRATCH_SIZE + WS_HEADER_MAX

# Answers of TLS itself that may lie behind a queue which does not run empty: some thousand key updates. Who
# asks for more (RFC 8446 4.6.3) and does not read is after our memory.
cdef Py_ssize_t MAX_ANSWERS = 64 * 1024


def _tls_kind():
    """PICOWS_TLS: auto (default: direct where it works), direct (or ImportError) or memorybio."""
    kind = os.environ.get("PICOWS_TLS", "auto")
    if kind not in ("auto", "direct", "memorybio"):
        raise ValueError(f"PICOWS_TLS: expected auto, direct or memorybio, got {kind!r}")
    return kind


TLS = _tls_kind()


cdef class TlsStream(TcpStream):
    cdef int start(self) except -1:
        self._update_watch()
        self._handshake()
        return 0

    # ------------------------------------------------------------------ what a subclass does

    cdef int _prepare(self) except -1:
        """Called in front of a run of _decrypt, after others have had their turn."""
        return 0

    cdef int _decrypt(self, char* where, Py_ssize_t room, Py_ssize_t* got) except -1:
        """Plaintext of what has been received."""
        raise NotImplementedError

    cdef int _seal(self, const char* data, Py_ssize_t size) except -1:
        """Make records of 0 < size <= SEAL_SIZE bytes. TLS_EMPTY: not before the peer has spoken."""
        raise NotImplementedError

    cdef int _send_sealed(self) except -1:
        """Send what _seal, or TLS itself, has made."""
        raise NotImplementedError

    cdef int _say_goodbye(self) except -1:
        """Make a close_notify; the peer's is not waited for."""
        raise NotImplementedError

    cdef int _on_secured(self) except -1:
        return 0

    # ------------------------------------------------------------------ handshake

    cdef int _handshake(self) except -1:
        try:
            self._is_in_tls = True
            try:
                self._tls.do_handshake()
            finally:
                self._is_in_tls = False
        except ssl.SSLWantReadError:
            return self._send_records()
        except (ssl.SSLError, ssl.CertificateError) as exc:
            self._send_records()    # the alert that tells the peer why
            return self._lose(exc)
        self._is_secured = True
        self._on_secured()
        self._send_records()
        self._tell_open()
        if not self._is_closing:
            self._read_records()    # early data behind the handshake
        return 0

    # ------------------------------------------------------------------ reading

    cdef int _take_records(self) except -1:
        """Records have been received."""
        return self._read_records() if self._is_secured else self._handshake()

    cdef int _receiving_over(self, Py_ssize_t got) except -1:
        """recv has given no bytes."""
        if got == WS_EMPTY:
            return 0
        if got < 0:
            return self._read_end(OSError(-got, os.strerror(<int>-got)))
        self._at_eof = True
        if not self._is_secured and self._error is None:
            return self._lose(ConnectionResetError("the peer closed the connection during the TLS handshake"))
        return self._read_end(None)

    cdef int _read_records(self) except -1:
        """Decrypt what has arrived into the window; hand it up when that is full or all is decrypted."""
        cdef Py_ssize_t room, filled, got
        cdef char* where
        cdef int result = TLS_DATA
        if self._is_in_tls:
            return 0
        while result == TLS_DATA and not self._is_closing and not self._is_lost and self._wants_read:
            room = 0
            filled = 0
            where = self._owner.window.reserve(&room)
            self._is_in_tls = True
            try:
                self._prepare()
                while filled < room:
                    result = self._decrypt(where + filled, room - filled, &got)
                    if result != TLS_DATA:
                        break
                    filled += got
            finally:
                self._is_in_tls = False
            if filled:
                self._owner.window.commit(filled)
                self._hand_up()
            else:
                self._owner.window.settle(self._owner.window._need)
        self._answer()
        if self._is_lost:
            return 0
        if result == TLS_FAILED:
            return self._read_end(self._tls_error)
        if result == TLS_END and not self._is_closing:
            # close_notify: a TLS end of stream (RFC 8446 6.1). The TCP one need not be waited for.
            self._read_end(None)
        return 0

    cdef int _answer(self) except -1:
        """Send answers of TLS itself: key updates, alerts; then what waits. Counts what nobody takes."""
        cdef Py_ssize_t queued = self._backlog.size
        cdef bint is_held = self.holds_pause
        if queued == 0:
            self._answers = 0
            return self._send_records()
        self.holds_pause = True     # what a listener sends from pause_writing is no answer
        try:
            self._send_sealed()
        finally:
            self.holds_pause = is_held
        self._answers += self._backlog.size - queued
        if self._answers > MAX_ANSWERS and not self._is_lost and not self._is_closing:
            return self._read_end(ConnectionAbortedError(
                f"{self._answers} bytes of TLS's own answers are queued: the peer asks and does not read"))
        self._send_records()
        return self._watermark()

    def resume_reading(self):
        # First what is decrypted or received already: the socket may be at its end.
        if self._is_secured:
            self.loop.call_soon(self._resume_records)
        TcpStream.resume_reading(self)

    def _catch_up(self):
        self._resume_records()
        TcpStream._catch_up(self)

    def _resume_records(self):
        if self._is_handing_up:
            self._was_disturbed = True
        elif self._is_secured and self._wants_read and not self._is_closing and not self._is_lost:
            try:
                self._read_records()
            except BaseException:
                self.on_broken()
                raise

    # ------------------------------------------------------------------ writing

    cdef int write(self, const char* head, Py_ssize_t head_size,
                   const char* body, Py_ssize_t body_size) except -1:
        cdef Py_ssize_t first
        cdef char* joined
        cdef bint is_held
        if self._is_lost or self._is_closing or self._error is not None or self.fd < 0:
            return 0
        if body_size == 0:
            return self._encrypt(head, head_size)
        # A header alone in a record would cost a second one.
        first = min(body_size, RECORD_SIZE - head_size)
        joined = <char*>self.io.scratch
        memcpy(joined, head, head_size)
        memcpy(joined + head_size, body, first)
        if first == body_size:
            return self._encrypt(joined, head_size + first)
        # A listener that sends from pause_writing must not get its frame into the middle of this one.
        is_held = self.holds_pause
        self.holds_pause = True
        try:
            self._encrypt(joined, head_size + first)
            self._encrypt(body + first, body_size - first)
        finally:
            self.holds_pause = is_held
        return self._watermark()

    cdef int _encrypt(self, const char* data, Py_ssize_t size) except -1:
        """Make records and send them."""
        cdef int result
        if size > SEAL_SIZE or self._unsent is not None or self._is_in_tls:
            return self._encrypt_pieces(data, size)
        if size:
            result = self._seal(data, size)
            if result == TLS_EMPTY:
                self._put_by(data, size)
                self._send_sealed()
                return self._watermark()
            elif result == TLS_FAILED:
                self._fail_writing()
        return self._send_sealed()

    cdef int _encrypt_pieces(self, const char* data, Py_ssize_t size) except -1:
        cdef Py_ssize_t step
        cdef bint is_held = self.holds_pause
        self.holds_pause = True
        try:
            while size > 0 and self._error is None and not self._is_lost:
                step = min(size, SEAL_SIZE)
                if self._unsent is not None or self._is_in_tls:
                    self._put_by(data, step)
                else:
                    self._encrypt(data, step)
                data += step
                size -= step
        finally:
            self.holds_pause = is_held
        return self._watermark()

    cdef int _put_by(self, const char* data, Py_ssize_t size) except -1:
        """Keep plaintext until OpenSSL takes it; it counts as queued."""
        if self._unsent is None:
            self._unsent = deque()
        self._unsent.append(data[:size])
        self._unsent_size += size
        return 0

    cdef Py_ssize_t queued(self) noexcept:
        return self._backlog.size + (0 if self._is_closing else self._unsent_size)

    cdef int _send_records(self) except -1:
        """Send what TLS itself has made, then what had to wait for the peer."""
        cdef bytes waiting
        cdef int result
        self._send_sealed()
        while self._unsent is not None and self._is_secured and not self._is_in_tls:
            waiting = self._unsent[0]
            result = self._seal(waiting, len(waiting))
            if result == TLS_FAILED:
                self._fail_writing()
            if result != TLS_DATA:
                return self._send_sealed()
            self._unsent.popleft()
            self._unsent_size -= len(waiting)
            if not self._unsent:
                self._unsent = None
            self._send_sealed()
            if self._is_write_paused:
                self._watermark()
        return 0

    cdef int _fail_writing(self) except -1:
        """As _write_failed, with an error of TLS."""
        self._unsent = None
        self._unsent_size = 0
        if self._error is None and not self._is_lost:
            self._error = self._tls_error
            self._backlog.clear()
            if not self._is_closing:
                self._update_watch()
            self.loop.call_soon(self._read_after_write_failed)
        return 0

    cdef int _before_shutdown(self) except -1:
        """close_notify (RFC 8446 6.1), so that the peer can tell an end from a cut."""
        if not self._is_secured or self._error is not None or self._is_in_tls:
            return 0
        self._say_goodbye()
        return self._send_records()

    # ------------------------------------------------------------------ for users

    def get_extra_info(self, str name not None, default=None):
        """As TcpStream, and "ssl_object", "sslcontext", "peercert", "cipher", "compression".

        "tls_implementation" is "direct" or "memorybio": how OpenSSL is called.
        """
        if name == "ssl_object":
            return self._tls
        if name == "sslcontext":
            return self._tls.context
        if name == "peercert":
            return self._tls.getpeercert() if self._is_secured else default
        if name == "cipher":
            return self._tls.cipher() or default
        if name == "compression":
            return self._tls.compression() or default
        return TcpStream.get_extra_info(self, name, default)
