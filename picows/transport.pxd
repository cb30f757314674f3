# What a listener sends through, and how a connection ends.

from libc.stdint cimport uint8_t

from .deflate cimport Deflater
from .frame cimport WSCloseCode, WSMsgType
from .framing cimport FrameWriter
from .outgoing cimport OutgoingRules
from .stream.base cimport Stream
from .stream.loopio cimport LoopIO


cdef class WSTransport:
    cdef:
        # For everybody
        readonly Stream underlying_transport
        readonly object request            # WSUpgradeRequest
        readonly object response           # WSUpgradeResponse
        readonly object close_handshake    # WSCloseHandshake, None before the first CLOSE
        readonly object disconnect_error   # why the connection ended, None after a clean end
        readonly bint is_client_side
        readonly bint is_secure
        readonly bint is_close_frame_sent
        readonly bint is_disconnected
        object __weakref__

        # For the connection that this is the sending side of
        bint is_mute                       # after send_close or disconnect: sends are no-ops
        bint is_delivering                 # False: nothing more is delivered to the listener
        bint is_debug
        bint expects_pong
        object logger
        object pings                       # Pings, None before the first one
        object ping_sender                 # sends the listener's ping
        Deflater deflater                  # None: nothing is compressed
        object stored_error                # what wait_disconnected raises

        OutgoingRules _rules
        FrameWriter _writer
        unsigned long _thread
        LoopIO _io
        object _gone                       # Future of wait_disconnected
        object _rtt_turn                   # asyncio.Lock: one round of pings at a time
        bytes _late_pong                   # the answer to the latest PING, while nothing can be sent

    cpdef send(self, WSMsgType msg_type, message, bint fin=*, bint rsv1=*, bint rsv2=*, bint rsv3=*)
    cpdef send_reuse_external_bytearray(self, WSMsgType msg_type, bytearray buffer, Py_ssize_t msg_offset,
                                        bint fin=*, bint rsv1=*, bint rsv2=*, bint rsv3=*)
    cpdef send_ping(self, message=*)
    cpdef send_pong(self, message=*)
    cpdef send_close(self, WSCloseCode close_code=*, close_message=*)
    cpdef disconnect(self, bint graceful=*)
    cpdef notify_user_specific_pong_received(self)

    # Cython only. 14 writable bytes lie in front of `buffer`, which a client masks in place.
    cdef send_reuse_external_buffer(self, WSMsgType msg_type, char* buffer, Py_ssize_t size,
                                    bint fin=*, bint rsv1=*, bint rsv2=*, bint rsv3=*)

    cdef int run_on(self, Stream stream) except -1
    cdef int answer_ping(self, const char* payload, Py_ssize_t size) except -1
    cdef int send_late_pong(self) except -1
    cdef int close_with(self, int code, str reason) except -1
    cdef int end(self, object error) except -1
    cdef int note_close_received(self, int code, object reason) except -1

    cdef int _check(self, str method) except -1
    cdef int _send_any(self, int msg_type, object message, bint fin, uint8_t rsv) except -1
    cdef int _put_packed(self, bytes payload) except -1
    cdef int _put(self, uint8_t byte0, const char* data, Py_ssize_t size) except -1
    cdef int _send_close(self, int code, bytes reason) except -1
