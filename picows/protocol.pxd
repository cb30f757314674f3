# One connection: stream, handshake, parser, keep-alive and listener tied together.

from .deflate cimport Inflater
from .frame cimport WSFrame
from .listener cimport Callbacks, WSListener
from .parser cimport FrameParser
from .stream.base cimport Stream, StreamOwner
from .transport cimport WSTransport


cdef class Connection(StreamOwner):
    cdef:
        readonly WSTransport transport
        readonly object options          # ConnectionOptions
        readonly object loop
        Stream _stream
        # ClientRole or ServerRole: what differs before the connection is open
        object _role
        object _logger

        # Once open
        readonly bint is_open
        WSListener _listener
        Callbacks _callbacks
        FrameParser _parser
        Inflater _inflater               # None: no compression was agreed on
        WSFrame _frame
        bint _is_busy                    # with received bytes: frames point into the window
        bint _in_callback                # an exception now is the listener's, not the parser's
        bint _auto_pong
        bint _auto_cork                  # replies to the frames of one read leave together

        # Dead-peer detection
        object _watch                    # DeadPeerWatch, None if auto ping is off
        readonly double last_received_s

    cdef int _upgrade(self) except -1
    cdef int _let_go(self) except -1
    cdef int _open(self, object upgraded) except -1
    cdef int _deliver(self) except -1
    cdef int _deliver_frames(self) except -1
    cdef int _control(self, WSFrame frame) except -1
    cdef bint _take_pong(self, WSFrame frame) except -1
    cdef WSFrame _release(self, WSFrame frame)
    cdef int _on_exception(self, object error) except -1
    cdef int _fail_as_asked(self, object error) except -1
    cdef int _fail(self, object error, int code, str reason) except -1
    cdef int _connected(self) except -1
