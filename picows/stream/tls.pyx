"""TlsStream: TLS between the socket and the window, through ssl.MemoryBIO.

Records are received into scratch memory that all connections of the loop share, and decrypted straight into
the window; as many records as have arrived are handed up at once.
"""

import ssl

from cpython.buffer cimport PyBUF_READ, PyBUF_WRITE
from cpython.memoryview cimport PyMemoryView_FromMemory
from libc.string cimport memcpy

from .base cimport StreamOwner
from .tcp cimport WS_EMPTY, TcpStream, ws_recv

# A record carries at most this much plaintext (RFC 8446 5.1); longer writes are cut here, so that the header
# of a frame and its payload share a record.
cdef Py_ssize_t RECORD_SIZE = 16 * 1024


cdef class TlsStream(TcpStream):
    """Secure a connected socket.

    context:         an ssl.SSLContext
    server_side:     accept the handshake rather than start it
    server_hostname: the name to verify, None for none (client side)
    """

    def __cinit__(self, StreamOwner owner not None, sock, context, bint server_side, server_hostname):
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=server_hostname)
        self._read_plain = self._tls.read
        self._write_plain = self._tls.write
        self.io.need_cipher()

    cdef int start(self) except -1:
        self._update_watch()
        self._handshake()
        return 0

    # ------------------------------------------------------------------ handshake

    cdef int _handshake(self) except -1:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._send_records()
            return 0
        except (ssl.SSLError, ssl.CertificateError) as exc:
            self._send_records()    # the alert that tells the peer why
            return self._lose(exc)
        self._is_secured = True
        self._send_records()
        self._tell_open()
        if not self._is_closing:
            self._read_records()    # early data behind the handshake
        return 0

    # ------------------------------------------------------------------ reading

    cdef int _read(self) except -1:
        cdef Py_ssize_t got
        cdef int _i
        for _i in range(4):
            got = ws_recv(self.fd, self.io.cipher_ptr, self.io.cipher_size)
            if got <= 0:
                if got == WS_EMPTY:
                    return 0
                if got == 0:
                    self._at_eof = True
                    if not self._is_secured and self._error is None:
                        return self._lose(
                            ConnectionResetError("the peer closed the connection during the TLS handshake"))
                    return self._read_end(None)
                return self._read_end(_os_error_of(-got))
            self._incoming.write(self.io.cipher_view[:got])
            if self._is_secured:
                self._read_records()
            else:
                self._handshake()
            if got < self.io.cipher_size or self._is_closing or self._is_lost or not self._wants_read:
                return 0
        return 1

    cdef int _read_records(self) except -1:
        """Decrypt what has arrived into the window; hand it up when that is full or all is decrypted."""
        cdef Py_ssize_t room, filled, got
        cdef char* where
        cdef bint is_empty = False
        cdef bint at_end = False
        cdef object error = None
        while not is_empty and not self._is_closing and not self._is_lost and self._wants_read:
            room = 0
            filled = 0
            where = self._owner.window.reserve(&room)
            while filled < room:
                try:
                    got = self._read_plain(
                        room - filled, PyMemoryView_FromMemory(where + filled, room - filled, PyBUF_WRITE))
                except ssl.SSLWantReadError:
                    is_empty = True
                    break
                except ssl.SSLZeroReturnError:
                    at_end = is_empty = True
                    break
                except ssl.SSLError as exc:
                    error = exc
                    is_empty = True
                    break
                if got == 0:
                    at_end = is_empty = True
                    break
                filled += got
            if filled:
                self._owner.window.commit(filled)
                self._hand_up()
            else:
                self._owner.window.settle(self._owner.window._need)
        if self._outgoing.pending:
            self._send_records()    # answers of TLS itself: key updates, alerts
        if error is not None and not self._is_lost:
            return self._read_end(error)
        if at_end and not self._is_closing and not self._is_lost:
            # close_notify: a TLS end of stream (RFC 8446 6.1). The TCP one need not be waited for.
            self._read_end(None)
        return 0

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
        if self._is_lost or self._is_closing or self._error is not None or self.fd < 0:
            return 0
        if body_size == 0:
            self._encrypt(head, head_size)
        else:
            # A header alone in a record would cost a second one.
            first = min(body_size, RECORD_SIZE - head_size)
            joined = <char*>self.io.scratch
            memcpy(joined, head, head_size)
            memcpy(joined + head_size, body, first)
            self._encrypt(joined, head_size + first)
            if first < body_size:
                self._encrypt(body + first, body_size - first)
        return self._send_records()

    cdef int _encrypt(self, const char* data, Py_ssize_t size) except -1:
        cdef Py_ssize_t step
        while size > 0:
            step = min(size, 1 << 30)
            if self._unsent is not None:
                self._unsent.append(data[:step])
            else:
                try:
                    self._write_plain(PyMemoryView_FromMemory(<char*>data, step, PyBUF_READ))
                except ssl.SSLWantReadError:
                    # TLS 1.2 renegotiation, or a key exchange that waits for the peer.
                    self._unsent = [data[:step]]
            data += step
            size -= step
        return 0

    cdef int _send_records(self) except -1:
        cdef bytes records
        if self._unsent is not None and self._is_secured:
            self._retry_unsent()
        if self._outgoing.pending:
            records = self._outgoing.read()
            self._write_raw(records, len(records), NULL, 0)
        return 0

    def _retry_unsent(self):
        waiting = self._unsent
        self._unsent = None
        while waiting:
            try:
                self._write_plain(waiting[0])
            except ssl.SSLWantReadError:
                self._unsent = waiting
                return
            waiting.pop(0)

    cdef int _before_shutdown(self) except -1:
        """close_notify (RFC 8446 6.1), so that the peer can tell an end from a cut."""
        if not self._is_secured or self._error is not None:
            return 0
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            pass    # SSLWantReadError: ours is written, and the peer's is not waited for
        self._send_records()
        return 0

    # ------------------------------------------------------------------ for users

    def get_extra_info(self, str name not None, default=None):
        """As TcpStream, and "ssl_object", "sslcontext", "peercert", "cipher", "compression"."""
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


cdef object _os_error_of(Py_ssize_t code):
    import os
    return OSError(<int>code, os.strerror(<int>code))
