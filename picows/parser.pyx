"""FrameParser: bytes in, frames out; every rule of RFC 6455 about received frames in one place.

Frames come out one at a time. A frame in front of a bad one is handed out first, so that it can be answered;
the error is raised by the call after it. From then on the parser is failed for good.
"""

import cython
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from .errors import WSProtocolError

from .buffer cimport Arena
from .frame cimport WSCloseCode
from .wire cimport (
    WS_ERR_LEN_MSB,
    WS_UTF8_ACCEPT,
    WS_UTF8_REJECT,
    ws_close_code_is_valid_received,
    ws_header_parse,
    ws_mask,
    ws_ordinary_frame,
    ws_utf8_feed,
)

cdef Py_ssize_t MAX_CONTROL_PAYLOAD = 125   # 5.5


@cython.final
cdef class FrameParser:
    """Parse the frames that one side of a connection receives.

    is_client:      the receiving side; a client takes unmasked frames only, a server masked ones only (5.1)
    strict:         False hands out RSV bits, odd fragment order and unvalidated text as they come
    max_frame_size: longest payload of a data frame in bytes; a longer one is a WSProtocolError 1009
    allowed_rsv:    RSV bits that a negotiated extension defines: 4 for RSV1, 2 for RSV2, 1 for RSV3
    """

    def __cinit__(self, bint is_client=True, bint strict=True, Py_ssize_t max_frame_size=10 * 1024 * 1024,
                  uint8_t allowed_rsv=0):
        if not 0 <= max_frame_size < 2**62:
            # Sums with a header must not overflow; nothing else bounds the length that a peer announces.
            raise ValueError(f"max_frame_size: expected 0 to 2**62 - 1 bytes, got {max_frame_size}")
        self._wants_mask = not is_client
        self._is_strict = strict
        self.max_frame_size = max_frame_size
        self._allowed_rsv = allowed_rsv
        self.is_failed = False
        self.need = 2
        self._ordinary = 0
        self._has_header = False
        self._error = None
        self._opcode = 0
        self._utf8_state = WS_UTF8_ACCEPT
        self._is_opaque = False
        self._is_closed = False
        self._own_window = None

    def feed(self, data):
        """Append received bytes, for use without a connection. `next_frame` takes the frames out."""
        cdef const uint8_t[::1] view
        if data is None:
            raise TypeError("data: expected a bytes-like object, got None")
        view = data
        if self._own_window is None:
            self._own_window = Window(Arena())
        if view.shape[0] > 0 and not self.is_failed:
            self._own_window.push(<const char*>&view[0], view.shape[0])
            self._own_window.settle(self.need)

    def next_frame(self):
        """The next frame: (msg_type, payload, fin, (rsv1, rsv2, rsv3), last_in_buffer); None: more is wanted.

        Raises WSProtocolError, once; from then on None is the answer.
        """
        cdef WSFrame frame = WSFrame()
        if self._own_window is None:
            return None
        try:
            if self.next(self._own_window, frame) == 0:
                # Settled here, not behind each frame: it moves what is left to the front.
                self._own_window.settle(self.need)
                return None
        except WSProtocolError:
            self._own_window.clear()
            raise
        frame.begin(self._own_window.block)
        result = (
            frame.msg_type, frame.get_payload_as_bytes(), frame.fin,
            (frame.rsv1, frame.rsv2, frame.rsv3), frame.last_in_buffer)
        frame.end()
        return result

    @property
    def buffered_size(self):
        """Bytes given to `feed` and not yet handed out, as allocated in memory."""
        if self._own_window is None or self._own_window.block is NULL:
            return 0
        return self._own_window.block.cap

    cdef int next(self, Window window, WSFrame frame) except -1:
        """Take one frame out of the window. 1: `frame` is filled; 0: more bytes are wanted.

        The payload lies in the window, unmasked, until the window is settled or written to.
        """
        cdef Py_ssize_t total = self._ordinary
        cdef Py_ssize_t avail = window.end - window.start
        cdef Py_ssize_t size
        cdef uint8_t* start
        cdef uint8_t* payload
        cdef uint32_t mask
        start = <uint8_t*>window.base + window.start
        if total == 0:
            if avail == 0:
                return 0
            if self._opcode == 0 and not self._has_header and not self.is_failed and not self._is_closed:
                # The first frame of a read, most of the time.
                self._ordinary = total = ws_ordinary_frame(
                    start, avail, self._wants_mask, self.max_frame_size, &self._ordinary_head)
            if total == 0:
                return self._next_other(window, frame)
            self.need = total
        if avail < total:
            return 0
        payload = start + self._ordinary_head
        size = total - self._ordinary_head
        if self._wants_mask:
            memcpy(&mask, payload - 4, 4)
            ws_mask(payload, payload, size, mask, 0)
        if start[0] == 0x81 and self._is_strict:
            if ws_utf8_feed(WS_UTF8_ACCEPT, payload, size) != WS_UTF8_ACCEPT:
                self._fail_text()
        frame.payload_ptr = <char*>payload
        frame.payload_size = size
        if frame._byte0 != start[0]:
            frame.set_head(start[0])
        window.start += total
        avail -= total
        # As _look_ahead; it is nearly always another ordinary frame.
        self._ordinary = total = ws_ordinary_frame(
            start + total, avail, self._wants_mask, self.max_frame_size, &self._ordinary_head)
        if total == 0:
            if avail:
                self._look_ahead(window, frame)
                return 1
            total = 2
        self.need = total
        frame.tail_size = avail
        frame.last_in_buffer = avail < total
        return 1

    cdef int _next_other(self, Window window, WSFrame frame) except -1:
        """`next` for a frame that is not known to be ordinary."""
        cdef ws_header_t* header = &self._header
        cdef Py_ssize_t size, total
        cdef uint8_t* payload
        if self.is_failed or self._is_closed:
            window.start = window.end
            return 0
        if not self._has_header:
            self._read_header(<const uint8_t*>window.base + window.start, window.end - window.start)
        if self._error is not None:
            self._fail(self._error)
        if not self._has_header:
            return 0
        size = <Py_ssize_t>header.payload_len
        total = header.header_len + size
        if window.end - window.start < total:
            return 0
        payload = <uint8_t*>window.base + window.start + header.header_len
        if header.mask != 0:
            ws_mask(payload, payload, size, header.mask, 0)
        if header.opcode == 1 or header.opcode >= 8 or self._opcode == 1:
            self._check_payload(payload, size)
        elif self._is_strict:
            self._opcode = 0 if header.fin else (header.opcode or self._opcode)
        frame.payload_ptr = <char*>payload
        frame.payload_size = size
        frame.set_head((<uint8_t*>window.base)[window.start])
        window.start += total
        self._look_ahead(window, frame)
        return 1

    cdef int _look_ahead(self, Window window, WSFrame frame) except -1:
        """Read the next header, if it is there, and judge it; what is wrong is told when its turn comes.

        frame: the one in front of it, whose fields about what follows are filled.
        """
        cdef const uint8_t* start = <const uint8_t*>window.base + window.start
        cdef Py_ssize_t avail = window.end - window.start
        self._has_header = False
        self._ordinary = 0
        if self._opcode == 0 and not self._is_closed:
            self._ordinary = ws_ordinary_frame(
                start, avail, self._wants_mask, self.max_frame_size, &self._ordinary_head)
        if self._ordinary != 0:
            self.need = self._ordinary
        else:
            self._read_header(start, avail)
        frame.tail_size = avail
        frame.last_in_buffer = avail < self.need or self._error is not None or self._is_closed
        return 0

    cdef int _read_header(self, const uint8_t* start, Py_ssize_t avail) except -1:
        cdef int size
        self.need = 2
        if self._is_closed or avail == 0:
            return 0
        size = ws_header_parse(start, avail, &self._header)
        self._error = self._judge(start, avail, size)
        if size > 0 and self._error is None:
            self._has_header = True
            self.need = size + <Py_ssize_t>self._header.payload_len
        elif size == 0:
            self.need = self._header.header_len or 2
        return 0

    cdef object _judge(self, const uint8_t* start, Py_ssize_t avail, int size):
        """The WSProtocolError that this header is, or None. As early as possible: it may be incomplete."""
        cdef ws_header_t* header = &self._header
        cdef object error = self._judge_early(avail)
        if error is not None:
            return error
        # From here on in the order in which bytes come: the answer must not depend on how they were cut.
        if header.header_len and bool(header.masked) != self._wants_mask:
            if self._wants_mask:
                return _violation("5.1: received an unmasked frame from a client")
            return _violation("5.1: received a masked frame from a server")
        if header.opcode >= 8:
            # 7-bit length: known from the second byte on.
            if header.header_len and (start[1] & 0x7f) > MAX_CONTROL_PAYLOAD:
                return _violation(f"5.5: received a control frame of more than {MAX_CONTROL_PAYLOAD} bytes")
            return None
        if size < 0:
            if size == WS_ERR_LEN_MSB:
                return _violation("5.2: the most significant bit of a 64-bit payload length is set")
            return _violation("5.2: the payload length is not encoded in the shortest form")
        if header.payload_len > <uint64_t>self.max_frame_size:
            return WSProtocolError(
                WSCloseCode.MESSAGE_TOO_BIG,
                f"received a frame of {header.payload_len} bytes, max_frame_size is {self.max_frame_size}")
        return None

    cdef object _judge_early(self, Py_ssize_t avail):
        """What the first byte alone tells."""
        cdef ws_header_t* header = &self._header
        if (3 <= header.opcode <= 7) or header.opcode > 10:
            return _violation(f"5.2: received a frame with reserved opcode {header.opcode:#x}")
        if header.opcode >= 8 and not header.fin:
            return _violation(f"5.5: received a fragmented control frame, opcode {header.opcode:#x}")
        if not self._is_strict:
            return None
        if ((header.rsv1 << 2) | (header.rsv2 << 1) | header.rsv3) & ~self._allowed_rsv:
            return _violation(
                f"5.2: received reserved bits rsv1={header.rsv1} rsv2={header.rsv2} rsv3={header.rsv3}, "
                f"and no extension was negotiated that defines them")
        if header.rsv1 and (header.opcode == 0 or header.opcode >= 8):
            return _violation("RFC 7692 6: received a CONTINUATION or control frame with RSV1")
        return self._judge_data() if header.opcode < 8 else None

    cdef object _judge_data(self):
        """5.4: fragments of one message are not mixed with another's."""
        if self._header.opcode == 0 and self._opcode == 0:
            return _violation("5.4: received a CONTINUATION frame, and there is no message to continue")
        if self._header.opcode != 0 and self._opcode != 0:
            return _violation("5.4: received a new message inside a fragmented message")
        return None

    cdef int _check_payload(self, const uint8_t* payload, Py_ssize_t size) except -1:
        """8.1 and 7.4 on a whole frame: text is UTF-8, across fragments too; a CLOSE is well-formed."""
        cdef ws_header_t* header = &self._header
        if header.opcode >= 8:
            if header.opcode == 8:
                self._check_close(payload, size)
            return 0
        if not self._is_strict:
            return 0
        if header.opcode == 1:
            self._is_opaque = ((header.rsv1 << 2) | (header.rsv2 << 1) | header.rsv3) & self._allowed_rsv != 0
        if not self._is_opaque:
            self._utf8_state = ws_utf8_feed(self._utf8_state, payload, size)
            if self._utf8_state == WS_UTF8_REJECT or (header.fin and self._utf8_state != WS_UTF8_ACCEPT):
                self._fail_text()
        self._opcode = 0 if header.fin else 1
        return 0

    cdef int _check_close(self, const uint8_t* payload, Py_ssize_t size) except -1:
        cdef uint32_t code
        if size == 1:
            self._fail(_violation("5.5.1: received a CLOSE frame with a payload of one byte"))
        if size >= 2:
            code = (payload[0] << 8) | payload[1]
            if not ws_close_code_is_valid_received(code):
                self._fail(_violation(f"7.4: received a CLOSE frame with code {code}"))
            if ws_utf8_feed(WS_UTF8_ACCEPT, payload + 2, size - 2) != WS_UTF8_ACCEPT:
                self._fail(WSProtocolError(
                    WSCloseCode.INVALID_TEXT, "5.5.1: the reason of a received CLOSE frame is not UTF-8"))
        self._is_closed = self._is_strict
        return 0

    cdef int _fail_text(self) except -1:
        self._fail(WSProtocolError(
            WSCloseCode.INVALID_TEXT, "8.1: received a text message that is not UTF-8"))

    cdef int _fail(self, object error) except -1:
        """The one door for every failure: terminal, told once."""
        self.is_failed = True
        self._ordinary = 0
        self._has_header = False
        self._error = None
        raise error


cdef object _violation(str what):
    return WSProtocolError(WSCloseCode.PROTOCOL_ERROR, what)
