# TCP and AF_UNIX sockets, without the event loop's transports.

from ..backlog cimport Backlog
from .base cimport Stream

cdef extern from "sock.h" nogil:
    const Py_ssize_t WS_EMPTY
    void ws_close(int fd) noexcept
    Py_ssize_t ws_recv(int fd, char* to, size_t n) noexcept
    Py_ssize_t ws_send(int fd, const char* data, size_t n) noexcept
    Py_ssize_t ws_send2(int fd, const char* head, size_t head_size,
                        const char* body, size_t body_size) noexcept

cdef enum:
    # A TLS socket that always has more gets this many reads per wake-up, then the others have their turn.
    READS_PER_WAKEUP = 4


cdef class TcpStream(Stream):
    cdef:
        object _sock             # owns the descriptor
        Backlog _backlog         # None until something must wait
        bint _wants_read
        bint _at_eof             # the peer has ended its side
        bint _is_graceful        # closing after the backlog is sent
        bint _is_lingering       # lost as far as the owner knows; waiting for the peer's end of stream
        bint _is_detached        # _sock has given its descriptor to us alone
        bint _is_handing_up      # the owner is being told of received bytes; no second read until it returns
        bint _was_disturbed      # one was wanted meanwhile, by an event loop that a callback runs
        object _error            # why it closes
        object _timer            # of close() or of lingering

    # Raw bytes to and from the socket; a subclass with a cipher sits between these and write/on_received.
    cdef int _write_raw(self, const char* head, Py_ssize_t head_size,
                        const char* body, Py_ssize_t body_size) except -1
    cdef int _read(self) except -1
    cdef int _read_end(self, object error) except -1
    cdef int _hand_up(self) except -1
    cdef int _before_shutdown(self) except -1

    cdef int _write_failed(self, Py_ssize_t code) except -1
    cdef int _queue(self, const char* head, Py_ssize_t head_size,
                    const char* body, Py_ssize_t body_size) except -1
    cdef int _flush(self) except -1
    cdef int _update_watch(self) except -1
    cdef int _lose(self, object error) except -1
    cdef int _discard(self) except -1
    cdef int _close_fd(self) except -1
