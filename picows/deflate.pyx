"""The codec of permessage-deflate (RFC 7692 section 7.2), one frame at a time.

A message is one piece of a raw DEFLATE stream, without the 00 00 FF FF of the flush at its end; RSV1 on its
first frame says that it is compressed. Fragments are inflated as they come, so they stay fragments. Nobody
believes a compressed message about its size: inflating stops at `max_message_size`, and memory grows with
what has come out, never with what was announced.
"""

import zlib

import cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t
from libc.string cimport memcpy

from .errors import WSProtocolError

from .buffer cimport (
    ws_block_data,
    ws_block_drop,
    ws_block_grow,
    ws_block_is_shared,
    ws_block_new,
)
from .frame cimport WSCloseCode, WSMsgType
from .wire cimport WS_UTF8_ACCEPT, WS_UTF8_REJECT, ws_utf8_feed

cdef bytes TAIL = b"\x00\x00\xff\xff"   # 7.2.1: cut off by the sender, put back by the receiver

# zlib copies what it has not consumed at each step, and joins what it gives out: both stay small like this.
cdef Py_ssize_t PIECE = 16 * 1024
cdef Py_ssize_t CHUNK = 64 * 1024

# A block with BFINAL ends the stream (7.2.3.4), and a new one costs some microseconds: a frame full of them
# (two bytes each) would keep the event loop for seconds. A sender has reason for one a flush.
cdef int MAX_ENDS_PER_FRAME = 256

cdef uint8_t RSV1 = 0x40


def codecs(agreed, bint is_strict):
    """(Inflater, Deflater) for what a handshake has agreed on: deflate_negotiation.Agreed."""
    options = agreed.options
    return (
        Inflater(agreed.inflate_bits, agreed.inflates_afresh, options.max_message_size, is_strict),
        Deflater(agreed.deflate_bits, agreed.deflates_afresh, options.compression_level, options.mem_level,
                 options.threshold))


@cython.final
cdef class Inflater:
    """Inflate the frames that one side receives.

    bits:             8 to 15, the window that the peer has promised not to exceed
    starts_afresh:    the peer has promised not to refer to earlier messages
    max_message_size: most bytes that one message may inflate to; WSProtocolError 1009 beyond
    is_strict:        False takes text that is not UTF-8
    """

    def __cinit__(self, int bits=15, bint starts_afresh=False, Py_ssize_t max_message_size=10 * 1024 * 1024,
                  bint is_strict=True):
        # 8 is read as 9: zlib before 1.2.9 used 9 where it was told 8, and its streams are about still.
        self._bits = max(bits, 9)
        self._starts_afresh = starts_afresh
        self._is_strict = is_strict
        self.max_message_size = max_message_size
        self._utf8_state = WS_UTF8_ACCEPT
        self._block = NULL

    def __dealloc__(self):
        ws_block_drop(self._block)

    def inflate_payload(self, int msg_type, payload, bint fin=True, bint rsv1=False):
        """What a listener would be given for a received data frame; for use without a connection."""
        cdef bytes data = bytes(payload)
        cdef WSFrame frame = WSFrame()
        frame.set_head((fin << 7) | (rsv1 << 6) | msg_type)
        frame.payload_ptr = PyBytes_AS_STRING(data)
        frame.payload_size = PyBytes_GET_SIZE(data)
        try:
            self.inflate(frame)
            return frame.get_payload_as_bytes()
        finally:
            frame.end()
            self.release()

    @property
    def held_size(self):
        """Bytes that the inflated frame takes up in memory; 0 while no callback runs."""
        return 0 if self._block is NULL else self._block.cap

    cdef int inflate(self, WSFrame frame) except -1:
        """Put the inflated payload into `frame`, if it is part of a compressed message.

        The payload lives until the next frame is inflated or `release` is called; a view of it as long as the
        view. Raises WSProtocolError: 1007 for what cannot be inflated and for text that is not UTF-8, 1009
        over the limit. RFC 7692 names no code for the first; 1007 is RFC 6455 7.4.1's for data that do not
        fit the type of their message.
        """
        if frame.msg_type >= WSMsgType.CLOSE:
            return 0    # 6.1: control frames pass between the fragments as they are
        if frame.msg_type != WSMsgType.CONTINUATION:
            self._is_compressed = frame.rsv1
            self._is_text = frame.msg_type == WSMsgType.TEXT
            self._utf8_state = WS_UTF8_ACCEPT
            self._size = 0
        if not self._is_compressed:
            return 0
        self._inflate_payload(frame.payload_ptr, frame.payload_size, frame.fin)
        if self._is_text and self._is_strict:
            self._check_text(frame.fin)
        frame.payload_ptr = ws_block_data(self._block)
        frame.payload_size = self._filled
        frame.rsv1 = False
        frame.begin(self._block)
        if frame.fin:
            self._is_compressed = False
            if self._starts_afresh:
                self._stream = None
        return 0

    cdef void release(self) noexcept:
        """No frame is being handed out any more: give its memory back."""
        ws_block_drop(self._block)
        self._block = NULL

    cdef int _inflate_payload(self, const char* data, Py_ssize_t size, bint fin) except -1:
        cdef Py_ssize_t step
        cdef int ends = 0
        cdef bytes piece
        if self._block is not NULL and ws_block_is_shared(self._block):
            self.release()      # somebody keeps a view of the last frame
        self._filled = 0
        self._reserve(1)
        while True:
            step = min(size, PIECE)
            piece = PyBytes_FromStringAndSize(data, step)
            data += step
            size -= step
            if size == 0 and fin:
                piece += TAIL
            if piece:
                self._feed(piece, &ends)
            if size == 0:
                return 0

    cdef int _feed(self, bytes piece, int* ends) except -1:
        """Inflate one piece, step by step, never more than a byte beyond the limit."""
        cdef bytes out
        cdef Py_ssize_t most
        while True:
            most = min(CHUNK, self.max_message_size - self._size + 1)
            if self._stream is None:
                self._stream = zlib.decompressobj(-self._bits)
            try:
                out = self._stream.decompress(piece, most)
            except zlib.error as exc:
                raise WSProtocolError(
                    WSCloseCode.INVALID_TEXT,
                    f"RFC 7692 7.2.2: received a message that cannot be inflated: {exc}") from None
            self._append(out)
            if self._stream.eof:
                # 7.2.3.4: a block with BFINAL. What follows begins anew: ending a stream forgets its window.
                piece = self._stream.unused_data
                self._stream = None
                ends[0] += 1
                if ends[0] > MAX_ENDS_PER_FRAME:
                    raise WSProtocolError(
                        WSCloseCode.INVALID_TEXT,
                        f"received a compressed frame of more than {MAX_ENDS_PER_FRAME} DEFLATE streams")
                if not piece:
                    return 0
            else:
                piece = self._stream.unconsumed_tail
                # A full step may have left output inside zlib, though it has consumed all.
                if not piece and PyBytes_GET_SIZE(out) < most:
                    return 0

    cdef int _append(self, bytes data) except -1:
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
        if size > self.max_message_size - self._size:
            raise WSProtocolError(
                WSCloseCode.MESSAGE_TOO_BIG,
                f"received a compressed message that inflates to more than {self.max_message_size} bytes, "
                f"max_message_size of the compression options")
        self._reserve(self._filled + size)
        memcpy(ws_block_data(self._block) + self._filled, PyBytes_AS_STRING(data), size)
        self._filled += size
        self._size += size
        return 0

    cdef int _reserve(self, Py_ssize_t need) except -1:
        """Room for `need` bytes; grows by doubling, but not beyond what the message may still bring."""
        cdef ws_block_t* block
        cdef Py_ssize_t cap
        if self._block is NULL:
            block = ws_block_new(need)
        else:
            cap = self._block.cap
            if need <= cap:
                return 0
            cap = max(need, min(2 * cap, self._filled + self.max_message_size - self._size))
            block = ws_block_grow(self._block, cap)
        if block is NULL:
            raise MemoryError(f"no memory for an inflated frame: {need} bytes wanted")
        self._block = block
        return 0

    cdef int _check_text(self, bint fin) except -1:
        """RFC 6455 8.1, on the inflated text: UTF-8, across fragments."""
        self._utf8_state = ws_utf8_feed(
            self._utf8_state, <const uint8_t*>ws_block_data(self._block), self._filled)
        if self._utf8_state == WS_UTF8_REJECT or (fin and self._utf8_state != WS_UTF8_ACCEPT):
            raise WSProtocolError(
                WSCloseCode.INVALID_TEXT, "8.1: received a compressed text message that is not UTF-8")
        return 0


@cython.final
cdef class Deflater:
    """Compress the messages that one side sends.

    bits:          8 to 15, our window
    starts_afresh: we have promised not to refer to earlier messages
    level:         -1 to 9, mem_level: 1 to 9, as in zlib.compressobj
    threshold:     a message in one frame that is shorter is sent as it is; bytes
    """

    def __cinit__(self, int bits=15, bint starts_afresh=False, int level=-1, int mem_level=8,
                  Py_ssize_t threshold=0):
        self._bits = bits
        self._starts_afresh = starts_afresh
        self._level = level
        self._mem_level = mem_level
        self.threshold = threshold

    def pack_message(self, int msg_type, message, bint fin=True):
        """(payload, is RSV1 set) of the frame that `send` would make; for use without a connection."""
        payload = self.pack(OutgoingRules(False), msg_type, message, fin, 0)
        return payload, bool(self.byte0 & RSV1)

    cdef bytes pack(self, OutgoingRules rules, int msg_type, object message, bint fin, uint8_t rsv):
        """The payload of a data frame, whose first byte is in `byte0`. ValueError as OutgoingRules.check.

        A fragmented message is compressed whatever its size, which is not known when it begins.
        """
        cdef bytes payload = _as_bytes(message)
        if rsv & RSV1:
            raise ValueError("rsv1: permessage-deflate was negotiated and sets it; leave it out (RFC 7692 6)")
        rules.check(msg_type, PyBytes_GET_SIZE(payload), fin, rsv)
        self.byte0 = <uint8_t>((fin << 7) | rsv | msg_type)
        if msg_type != WSMsgType.CONTINUATION:
            self._is_compressed = not fin or PyBytes_GET_SIZE(payload) >= self.threshold
            if self._is_compressed:
                self.byte0 |= RSV1      # 6.1: on the first frame only
        return self._deflate(payload, fin) if self._is_compressed else payload

    cdef bytes _deflate(self, bytes payload, bint fin):
        """Compress and flush, so that each frame can be inflated as soon as it is there."""
        cdef bytes out
        stream, self._stream = self._stream, None   # an error below leaves none, and the next begins anew
        if stream is None:
            stream = _compressor(self._level, self._bits, self._mem_level)
        out = stream.compress(payload) + stream.flush(zlib.Z_SYNC_FLUSH)
        if fin:
            self._is_compressed = False
            # 7.2.3.6: where nothing came out since the last flush, one byte makes an empty block of the tail.
            out = out[:-len(TAIL)] if out else b"\x00"
        if not (fin and self._starts_afresh):
            self._stream = stream
        return out


cdef object _compressor(int level, int bits, int mem_level):
    """zlib has no window of 256 bytes to compress into; repeating the byte before only (Z_RLE) fits any."""
    if bits == 8:
        return zlib.compressobj(level, zlib.DEFLATED, -9, mem_level, zlib.Z_RLE)
    return zlib.compressobj(level, zlib.DEFLATED, -bits, mem_level)


cdef bytes _as_bytes(object message):
    """The payload as `send` takes it: bytes, str, any C-contiguous buffer, or None."""
    cdef Py_buffer view
    if type(message) is bytes:
        return message
    if message is None:
        return b""
    if isinstance(message, str):
        return message.encode()
    PyObject_GetBuffer(message, &view, PyBUF_SIMPLE)
    try:
        return PyBytes_FromStringAndSize(<const char*>view.buf, view.len)
    finally:
        PyBuffer_Release(&view)
