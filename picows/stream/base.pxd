# The interface between a stream of bytes and the connection on it.

from ..backlog cimport Backlog
from ..buffer cimport Window
from .loopio cimport LoopIO
from .poller cimport EventTarget


cdef class StreamOwner:
    """The layer above a stream: what the stream reports to it, and the window it reads into."""
    cdef Window window
    cdef int on_open(self) except -1                      # connected and, with TLS, secured
    cdef int on_received(self) except -1                  # bytes were committed to the window
    cdef int on_eof(self) except -1                       # the peer has ended its side
    # closed; error is None after a clean end. Told once.
    cdef int on_lost(self, object error) except -1
    cdef int on_pause_writing(self) except -1
    cdef int on_resume_writing(self) except -1


cdef class Stream(EventTarget):
    cdef:
        readonly object loop
        LoopIO io
        StreamOwner _owner
        Py_ssize_t _high
        Py_ssize_t _low
        bint _is_write_paused
        bint holds_pause         # a frame is being written in pieces: pause_writing waits
        bint _is_closing         # close() or abort() was called, or writing has failed
        bint _is_lost            # on_lost is told or about to be
        double close_timeout_s

        int corks                # how many are set; what is put is held back while there is one
        Backlog _held

    # What frames go through: write, or hold back under a cork.
    cdef int put(self, const char* head, Py_ssize_t head_size,
                 const char* body, Py_ssize_t body_size) except -1
    # Under a cork: where to write the next `size` bytes at once; NULL if they are to be put.
    cdef char* room(self, Py_ssize_t size) except? NULL
    cdef int cork(self) except -1
    cdef int uncork(self) except -1
    cdef int finish(self, bint graceful) except -1         # close, what a cork holds included

    # Queue or send head then body, at once where the kernel takes it. Never blocks, never raises I/O errors.
    cdef int write(self, const char* head, Py_ssize_t head_size,
                   const char* body, Py_ssize_t body_size) except -1
    cdef Py_ssize_t queued(self) noexcept
    cdef int start(self) except -1
    cdef int close_now(self, bint graceful) except -1
    cdef int _tell_open(self) except -1
    cdef int _watermark(self) except -1
    cdef int _hold(self, const char* head, Py_ssize_t head_size,
                   const char* body, Py_ssize_t body_size) except -1
    cdef int _release(self) except -1
