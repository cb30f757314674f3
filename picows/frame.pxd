# What a listener is handed: one frame, a view that is valid during one callback.

from cpython.object cimport PyObject
from libc.stdint cimport uint8_t

from .buffer cimport ws_block_t


cpdef enum WSMsgType:
    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


cpdef enum WSCloseCode:
    NO_INFO = 0
    OK = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    ABNORMAL_CLOSURE = 1006
    INVALID_TEXT = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    MANDATORY_EXTENSION = 1010
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014


cpdef enum WSAutoPingStrategy:
    PING_WHEN_IDLE = 1
    PING_PERIODICALLY = 2


cdef class WSFrame:
    cdef:
        # The payload: valid during the callback only, NULL afterwards. 256 bytes behind it are readable.
        char* payload_ptr
        readonly Py_ssize_t payload_size
        readonly Py_ssize_t tail_size        # received bytes behind this frame

        readonly WSMsgType msg_type
        PyObject* msg_type_member            # the same as a Python object; borrowed, lives for ever
        readonly bint fin
        readonly bint rsv1
        readonly bint rsv2
        readonly bint rsv3
        readonly bint last_in_buffer         # no further whole frame has been received

        uint8_t _byte0                       # what the fields from msg_type to rsv3 were set from

        # Borrowed, NULL after the callback. Views may outlive it: each holds the block it points into.
        ws_block_t* _block

    cpdef bytes get_payload_as_bytes(self)
    cpdef str get_payload_as_utf8_text(self)
    cpdef str get_payload_as_utf8(self)
    cpdef str get_payload_as_ascii_text(self)
    cpdef object get_payload_as_memoryview(self)
    cpdef WSCloseCode get_close_code(self) except? WSCloseCode.NO_INFO
    cpdef bytes get_close_message(self)
    cpdef str get_close_reason(self)
    cdef void set_head(self, uint8_t byte0) noexcept
    cdef void begin(self, ws_block_t* block) noexcept
    cdef void end(self) noexcept
    cdef int _check_open(self) except -1
    cdef int _check_close(self) except -1
