# cython: binding=False, embedsignature.format=clinic
# Not binding: methods check their self then; WSFrame.get_payload_as_bytes(5) crashed the process.
"""WSTransport: frames out, and the end of a connection. Sends leave at once where the kernel takes them."""

import asyncio
import time

import cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_Check
from libc.stdint cimport uint8_t

from .frame import WSCloseCode as PyCloseCode, WSMsgType as PyMsgType
from .pings import Pings
from .upgrade import WSCloseHandshake, WSCloseInfo

from .cork cimport Cork
from .frame cimport WSCloseCode, WSMsgType
from .framing cimport FrameWriter
from .outgoing cimport OutgoingRules, as_payload, check_close, refuse_call
from .stream.base cimport Stream
from .stream.loopio cimport loop_io
from .wire cimport WS_HEADER_MAX

cdef extern from "Python.h":
    unsigned long PyThread_get_thread_ident() noexcept
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL

PICOWS_DEBUG_LL = 9

cdef Py_ssize_t MAX_CONTROL_PAYLOAD = 125   # RFC 6455 5.5


@cython.final
cdef class WSTransport:
    """The sending side of one WebSocket connection. Made by ws_connect and ws_create_server.

    All methods must be called from the thread that runs the connection's event loop: RuntimeError otherwise.
    Sends never block and never raise I/O errors: those end in `on_ws_disconnected`. After `send_close` or
    `disconnect` they do nothing.
    """

    def __cinit__(
            self, loop=None, bint is_client_side=True, bint is_strict=True, logger=None, ping_sender=None):
        if loop is None:
            raise TypeError("WSTransport is made by ws_connect and ws_create_server, not by its users")
        self._io = loop_io(loop)
        self._thread = PyThread_get_thread_ident()
        self.is_client_side = is_client_side
        self._rules = OutgoingRules(is_strict)
        self._writer = FrameWriter(self._io, is_client_side)
        self.is_delivering = True
        self.logger = logger
        self.is_debug = logger.isEnabledFor(PICOWS_DEBUG_LL)
        self.ping_sender = ping_sender

    cdef int run_on(self, Stream stream) except -1:
        """The connection is made: what is sent goes to `stream`."""
        self.underlying_transport = stream
        self._writer.stream = stream
        return 0

    # ------------------------------------------------------------------ sending

    cpdef send(self, WSMsgType msg_type, message, bint fin=True,
               bint rsv1=False, bint rsv2=False, bint rsv3=False):
        """Send one frame.

        message: bytes, str (sent as UTF-8), any C-contiguous buffer, or None for an empty payload.
        fin:     False for all but the last frame of a fragmented message; the later ones are CONTINUATION.
        TypeError or BufferError for another message; ValueError for a frame that RFC 6455 forbids.
        The bytes of a TEXT frame are not checked for UTF-8.
        """
        self._check("send")
        if self.is_mute:
            return self._say_mute("send")
        self._send_any(msg_type, message, fin, (rsv1 << 6) | (rsv2 << 5) | (rsv3 << 4))

    cpdef send_reuse_external_bytearray(self, WSMsgType msg_type, bytearray buffer, Py_ssize_t msg_offset,
                                        bint fin=True, bint rsv1=False, bint rsv2=False, bint rsv3=False):
        """Send buffer[msg_offset:] without a copy. The header is written in front of it, and a client masks
        the payload in place: the bytearray's content is undefined afterwards.

        Where compression was agreed on it is the same as send(): compressed, hence with a copy.
        ValueError unless 14 <= msg_offset <= len(buffer), and for CLOSE.
        """
        self._check("send_reuse_external_bytearray")
        if self.is_mute:
            return self._say_mute("send_reuse_external_bytearray")
        if buffer is None:
            raise TypeError("buffer: expected a bytearray, got None")
        if not WS_HEADER_MAX <= msg_offset <= PyByteArray_GET_SIZE(buffer):
            raise ValueError(
                f"msg_offset: expected {WS_HEADER_MAX} to len(buffer) = {len(buffer)}, got {msg_offset}; "
                f"the frame's header is written in front of the message")
        self.send_reuse_external_buffer(
            msg_type, PyByteArray_AS_STRING(buffer) + msg_offset, PyByteArray_GET_SIZE(buffer) - msg_offset,
            fin, rsv1, rsv2, rsv3)

    cdef send_reuse_external_buffer(self, WSMsgType msg_type, char* buffer, Py_ssize_t size,
                                    bint fin=True, bint rsv1=False, bint rsv2=False, bint rsv3=False):
        self._check("send_reuse_external_buffer")
        if self.is_mute:
            return self._say_mute("send_reuse_external_buffer")
        if msg_type == WSMsgType.CLOSE:
            raise ValueError("a CLOSE frame is sent with send_close()")
        cdef uint8_t rsv = <uint8_t>((rsv1 << 6) | (rsv2 << 5) | (rsv3 << 4))
        if self.deflater is not None:
            self._send_any(msg_type, buffer[:size], fin, rsv)
            return None
        self._rules.check(msg_type, size, fin, rsv)
        cdef uint8_t byte0 = <uint8_t>((fin << 7) | rsv | <int>msg_type)
        if self.is_debug:
            self._log_sent(byte0, size)
        self._writer.put_in_place(byte0, buffer, size)

    cpdef send_ping(self, message=None):
        """Send a PING with at most 125 bytes (RFC 6455 5.5.2): ValueError for more."""
        self._check("send_ping")
        if self.is_mute:
            return self._say_mute("send_ping")
        self._send_any(WSMsgType.PING, message, True, 0)
        if self.pings is not None:
            self.pings.note_payload(as_payload(message))

    cpdef send_pong(self, message=None):
        """Send a PONG with at most 125 bytes (RFC 6455 5.5.3): ValueError for more."""
        self._check("send_pong")
        if self.is_mute:
            return self._say_mute("send_pong")
        self._send_any(WSMsgType.PONG, message, True, 0)

    cpdef send_close(self, WSCloseCode close_code=WSCloseCode.NO_INFO, close_message=None):
        """Send a CLOSE frame (RFC 6455 5.5.1); every send after it does nothing.

        The connection stays open until `disconnect`, or until the peer closes it.

        close_code:    1000-1003, 1007-1014 or 3000-4999; WSCloseCode.NO_INFO for neither code nor reason.
        close_message: at most 123 bytes of UTF-8, or str.
        ValueError for what must not be sent (7.4).
        """
        cdef bytes reason
        self._check("send_close")
        if self.is_mute:
            return self._say_mute("send_close")
        reason = as_payload(close_message)
        check_close(close_code, reason)
        self._send_close(close_code, reason)

    cdef int _send_any(self, int msg_type, object message, bint fin, uint8_t rsv) except -1:
        cdef Py_buffer view
        cdef Py_ssize_t size = 0
        cdef const char* data = NULL
        cdef uint8_t byte0 = <uint8_t>((fin << 7) | rsv | (msg_type & 0x0f))
        if self.deflater is not None and msg_type < WSMsgType.CLOSE:
            return self._put_packed(self.deflater.pack(self._rules, msg_type, message, fin, rsv))
        if PyBytes_CheckExact(message):
            data = PyBytes_AS_STRING(message)
            size = PyBytes_GET_SIZE(message)
        elif PyUnicode_Check(message):
            data = PyUnicode_AsUTF8AndSize(message, &size)
        elif message is not None:
            PyObject_GetBuffer(message, &view, PyBUF_SIMPLE)
            try:
                self._rules.check(msg_type, view.len, fin, rsv)
                if msg_type == WSMsgType.CLOSE:
                    self._send_raw_close((<const char*>view.buf)[:view.len])
                else:
                    self._put(byte0, <const char*>view.buf, view.len)
            finally:
                PyBuffer_Release(&view)
            return 0
        self._rules.check(msg_type, size, fin, rsv)
        if msg_type == WSMsgType.CLOSE:
            self._send_raw_close(data[:size] if size else b"")
            return 0
        return self._put(byte0, data, size)

    def _send_raw_close(self, bytes payload):
        """send(CLOSE, payload) is send_close() with the payload's own code."""
        if len(payload) == 1:
            raise ValueError("a CLOSE payload is empty or begins with a code of two bytes, got 1 byte")
        if payload:
            self.send_close(int.from_bytes(payload[:2], "big"), payload[2:])
        else:
            self.send_close()

    cdef int _put_packed(self, bytes payload) except -1:
        return self._put(self.deflater.byte0, PyBytes_AS_STRING(payload), PyBytes_GET_SIZE(payload))

    cdef int _put(self, uint8_t byte0, const char* data, Py_ssize_t size) except -1:
        if self.is_debug:
            self._log_sent(byte0, size)
        return self._writer.put(byte0, data, size)

    cdef int _send_close(self, int code, bytes reason) except -1:
        cdef bytes payload = b"" if code == WSCloseCode.NO_INFO else code.to_bytes(2, "big") + reason
        # Before it leaves: a listener that sends from pause_writing is too late (5.5.1).
        self.is_close_frame_sent = True
        self.is_mute = True
        if self.close_handshake is None:
            self.close_handshake = WSCloseHandshake()
        elif self.close_handshake.recv is not None:
            self.close_handshake.recv_then_sent = True
        self.close_handshake.sent = WSCloseInfo(PyCloseCode(code), reason.decode() if reason else None)
        return self._put(0x88, payload, len(payload))

    def cork(self):
        """Send together: `with transport.cork():` holds back what is sent inside it, and sends it at its end
        with one system call (and over TLS in as few records as can be).

        Without a cork each frame leaves at once. Order, limits and the meaning of pause_writing stay as they
        are; 64 KiB are held at most, a longer batch leaves in such pieces. Automatic PONGs wait as well, so
        await nothing slow inside. A graceful disconnect sends what is held. Corks may be nested.
        """
        self._check("cork")
        return Cork(self.underlying_transport)

    # ------------------------------------------------------------------ pings

    cpdef notify_user_specific_pong_received(self):
        """Tell that the answer to the last ping has come, where is_user_specific_pong could not."""
        self._check("notify_user_specific_pong_received")
        if self.expects_pong:
            self.pings.on_pong()
            self.expects_pong = bool(self.pings)
            self.ping_sender.on_pong()

    def ping_for(self, waiter):
        """Send the listener's ping and expect its pong. For the connection and measure_roundtrip_time."""
        if self.pings is None:
            self.pings = Pings(self.ping_sender.send, time.monotonic)
        self.expects_pong = True
        try:
            self.pings.send(waiter)
        finally:
            self.expects_pong = bool(self.pings)    # nothing is out if the listener's ping has failed

    async def measure_roundtrip_time(self, rounds, timeout=None):
        """Send the listener's ping `rounds` times, one after the other.

        timeout: seconds for all rounds; None waits as long as the connection lives.
        Returns a list of `rounds` round-trip times in seconds.
        Raises ConnectionResetError if the connection ends first, asyncio.TimeoutError; ValueError: 0 rounds.
        """
        self._check("measure_roundtrip_time")
        if isinstance(rounds, bool) or not isinstance(rounds, int):
            raise TypeError(f"rounds: expected an int, got {rounds!r}")
        if rounds < 1:
            raise ValueError(f"rounds: expected at least 1, got {rounds}")
        if self._rtt_turn is None:
            self._rtt_turn = asyncio.Lock()
        results = []
        async with asyncio.timeout(timeout), self._rtt_turn:
            for _ in range(rounds):
                if self.is_disconnected or self.is_mute:
                    raise ConnectionResetError("the connection is closed or closing: nothing to measure")
                waiter = self._io.loop.create_future()
                self.ping_for(waiter)
                results.append(await waiter)
        return results

    cdef int answer_ping(self, const char* payload, Py_ssize_t size) except -1:
        """The automatic PONG. Above the high-water mark only the latest is kept: RFC 6455 5.5.3.

        Below it a PONG is queued like any frame: a queue that a busy sender never lets run empty must not
        keep the peer waiting until it takes us for dead.
        """
        if self.is_mute:
            return 0
        if self.underlying_transport._is_write_paused:
            self._late_pong = payload[:size]
            return 0
        return self._put(0x8a, payload, size)

    cdef int send_late_pong(self) except -1:
        cdef bytes payload = self._late_pong
        if payload is not None:
            self._late_pong = None
            self.answer_ping(payload, len(payload))
        return 0

    # ------------------------------------------------------------------ the end

    cpdef disconnect(self, bint graceful=True):
        """Close the connection; no CLOSE frame is sent for you.

        graceful: what is queued is sent first, for at most close_timeout seconds; frames that were received
                  in the same read as the current one are still delivered. False: at once; nothing more is
                  sent or delivered.
        """
        self._check("disconnect")
        self.is_mute = True
        if not graceful:
            self.is_delivering = False
        self.underlying_transport.finish(graceful)

    async def wait_disconnected(self):
        """Wait until the connection is closed and on_ws_disconnected has returned. May be awaited repeatedly.

        On the client side the first failure is raised: an exception of the listener, or a WSProtocolError.
        """
        self._check("wait_disconnected")
        if not self.is_disconnected or self._gone is not None:
            if self._gone is None:
                self._gone = self._io.loop.create_future()
            await asyncio.shield(self._gone)
        if self.stored_error is not None and self.is_client_side:
            raise self.stored_error

    cdef int close_with(self, int code, str reason) except -1:
        """Fail the connection (RFC 6455 7.1.7): CLOSE if none was sent, then close. No more frames come."""
        cdef bytes text
        self.is_delivering = False
        if not self.is_mute:
            text = reason.encode("utf-8", "replace")
            if len(text) > MAX_CONTROL_PAYLOAD - 2:
                text = text[:MAX_CONTROL_PAYLOAD - 2].decode("utf-8", "ignore").encode()
            self._send_close(code, text)
        self.is_mute = True
        self.underlying_transport.finish(True)
        return 0

    cdef int end(self, object error) except -1:
        """The stream is gone."""
        self.is_mute = True
        self.is_delivering = False
        self.is_disconnected = True
        self.expects_pong = False
        if self.disconnect_error is None:
            self.disconnect_error = error
        if self.pings is not None:
            self.pings.fail(ConnectionResetError("the connection ended before the pong came"))
            self.pings = None   # it refers to the connection, which refers to us
        return 0

    def release_waiters(self):
        """on_ws_disconnected has returned: wake wait_disconnected."""
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)
        self._gone = None

    cdef int note_close_received(self, int code, object reason) except -1:
        if self.close_handshake is None:
            self.close_handshake = WSCloseHandshake()
        if self.close_handshake.recv is None:
            self.close_handshake.recv = WSCloseInfo(PyCloseCode(code), reason)
        return 0

    # ------------------------------------------------------------------ helpers

    cdef int _check(self, str method) except -1:
        if PyThread_get_thread_ident() == self._thread and self.underlying_transport is not None:
            return 0
        return refuse_call(method, PyThread_get_thread_ident() != self._thread)

    def _say_mute(self, str method):
        if self.is_debug:
            self.logger.log(PICOWS_DEBUG_LL, "%s ignored: the connection is closing or closed", method)

    def _log_sent(self, int byte0, Py_ssize_t size):
        self.logger.log(
            PICOWS_DEBUG_LL, "send %s, fin=%s, %d bytes", _type_name(byte0 & 0x0f), bool(byte0 & 0x80), size)


cdef str _type_name(int msg_type):
    return getattr(PyMsgType(msg_type), "name", None) or str(msg_type)
