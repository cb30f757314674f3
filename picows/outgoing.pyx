"""What may be sent: a caller's mistake is a ValueError at the door, not a connection that the peer fails."""

import cython
from libc.stdint cimport uint8_t

from .wire cimport ws_close_code_is_valid_sent

cdef Py_ssize_t MAX_CONTROL_PAYLOAD = 125   # RFC 6455 5.5


@cython.final
cdef class OutgoingRules:
    """strict=False lets RSV bits and any order of fragments through."""

    def __cinit__(self, bint is_strict, uint8_t allowed_rsv=0):
        self._is_strict = is_strict
        self._allowed_rsv = allowed_rsv
        self._is_fragmented = False

    cdef int check(self, int msg_type, Py_ssize_t size, bint fin, uint8_t rsv) except -1:
        """ValueError for a frame that the peer would have to fail the connection for."""
        if msg_type >= 8:
            if msg_type > 10:
                raise ValueError(f"msg_type: expected a WSMsgType, got {msg_type}")
            if size > MAX_CONTROL_PAYLOAD:
                raise ValueError(f"a control frame carries at most 125 bytes (RFC 6455 5.5), got {size}")
            if not fin:
                raise ValueError("a control frame is not fragmented (RFC 6455 5.5), got fin=False")
        elif msg_type > 2 or msg_type < 0:
            raise ValueError(f"msg_type: expected a WSMsgType, got {msg_type}")
        if not self._is_strict:
            return 0
        if rsv & ~self._allowed_rsv:
            raise ValueError("rsv1, rsv2, rsv3: no negotiated extension defines them (RFC 6455 5.2)")
        return self._check_order(msg_type, fin) if msg_type < 8 else 0

    cdef int _check_order(self, int msg_type, bint fin) except -1:
        """5.4: the fragments of one message are not mixed with another's."""
        if (msg_type == 0) != self._is_fragmented:
            if self._is_fragmented:
                raise ValueError(
                    "a message is being sent in fragments: it goes on with CONTINUATION frames "
                    "until fin=True (RFC 6455 5.4)")
            raise ValueError(
                "CONTINUATION: there is no message to continue, one begins with fin=False (RFC 6455 5.4)")
        self._is_fragmented = not fin
        return 0


cdef int refuse_call(str method, bint is_foreign_thread) except -1:
    """RuntimeError for a call of WSTransport.method. Here, so that no compiler makes it part of each send."""
    if is_foreign_thread:
        raise RuntimeError(
            f"WSTransport.{method} called from a wrong thread: a transport belongs to the thread "
            f"that runs its event loop; use loop.call_soon_threadsafe")
    raise RuntimeError(f"WSTransport.{method} called before the connection was made")


cdef int check_close(int code, bytes reason) except -1:
    """ValueError for a CLOSE frame that must not be sent: 7.4, 5.5.1. Code 0: neither code nor reason."""
    if code == 0:
        if reason:
            raise ValueError("close_message: a reason needs a close_code, got WSCloseCode.NO_INFO")
    elif not ws_close_code_is_valid_sent(code):
        raise ValueError(f"close_code: expected 1000-1003, 1007-1014 or 3000-4999 (RFC 6455 7.4), got {code}")
    if len(reason) > MAX_CONTROL_PAYLOAD - 2:
        raise ValueError(f"close_message: expected at most 123 bytes (RFC 6455 5.5), got {len(reason)}")
    reason.decode()
    return 0


cdef bytes as_payload(object message):
    """What send() would put on the wire for `message`, as bytes."""
    if message is None:
        return b""
    if isinstance(message, str):
        return message.encode()
    return bytes(memoryview(message))
