# cython: binding=False, embedsignature.format=clinic
# Not binding: methods check their self then; WSFrame.get_payload_as_bytes(5) crashed the process.
"""WSMessageAssembler: a listener that is told of whole messages (RFC 6455 5.4), joined under a limit."""

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE, PyByteArray_Resize
from libc.string cimport memcpy

from .errors import WSProtocolError

from .frame cimport WSCloseCode, WSMsgType
from .listener cimport find_override

cdef extern from "Python.h":
    object PyObject_Vectorcall(object callable, PyObject** args, size_t nargs, PyObject* kwnames)
    const size_t PY_VECTORCALL_ARGUMENTS_OFFSET

cdef enum:
    SLOT_ON_WS_MESSAGE = 7

cdef Py_ssize_t MAX_MESSAGE_SIZE = 10 * 1024 * 1024     # as max_frame_size of a connection
cdef Py_ssize_t MAX_FRAGMENTS = 64 * 1024


cdef class WSMessageAssembler(WSListener):
    """Subclass and override `on_ws_message`: it is called once per message, however the peer has cut it.

    A message in one frame is handed out where it lies, without a copy. The frames of a longer one are copied
    once, into one piece. An assembler serves one connection at a time.

    max_message_size: bytes of a message; more is a WSProtocolError with code 1009, raised before memory is
                      taken for it. Default 10 MiB. The join may hold an eighth more than the message.
    max_fragments:    frames of a message, empty ones too; more is a WSProtocolError 1009. Default 65,536.
    Both may also be set as attributes, of the class or of the instance, before the first message. ValueError
    unless they are positive.

    With strict=False, too, fragments in an order that RFC 6455 5.4 forbids are a WSProtocolError 1002: there
    is no message that they could be joined to.
    """

    def __cinit__(self):
        self.max_message_size = MAX_MESSAGE_SIZE
        self.max_fragments = MAX_FRAGMENTS

    def __init__(self, *, max_message_size=None, max_fragments=None):
        if max_message_size is not None:
            self.max_message_size = max_message_size
        if max_fragments is not None:
            self.max_fragments = max_fragments
        _check_limits(self.max_message_size, self.max_fragments)

    cpdef on_ws_message(self, WSTransport transport, object msg_type, object message):
        """A whole message has come.

        msg_type: WSMsgType.TEXT or WSMsgType.BINARY.
        message:  a read-only memoryview of its bytes; `str(message, "utf-8")` is the text. It may be kept and
                  never changes, but of a message in one frame it holds the receive block in memory, up to
                  2 MiB, until it is released: copy what you keep for long, with `bytes(message)`.
        """

    cpdef on_ws_control(self, WSTransport transport, WSFrame frame):
        """A CLOSE, PONG or, with enable_auto_pong=False, PING has come, in order, also between fragments.

        Default: a CLOSE is answered as RFC 6455 5.5.1 asks, and the connection closed; others are ignored.
        """
        if frame is None or transport is None:
            raise TypeError("expected a WSTransport and a WSFrame, got None")
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()

    cpdef on_ws_frame(self, WSTransport transport, WSFrame frame):
        """Joins. Whoever overrides this sees each frame, and calls this for those that are to be joined."""
        if frame is None or transport is None:
            raise TypeError("expected a WSTransport and a WSFrame, got None")
        if not self._is_ready:
            self._prepare()
        if frame.msg_type >= WSMsgType.CLOSE:
            self.on_ws_control(transport, frame)
        elif frame.fin and frame.msg_type != WSMsgType.CONTINUATION and self._joined is None:
            if frame.payload_size > self.max_message_size:
                self._refuse(WSCloseCode.MESSAGE_TOO_BIG, self._too_big())
            self._tell(transport, <object>frame.msg_type_member, memoryview(frame))
        else:
            self._join(transport, frame)

    cdef int _prepare(self) except -1:
        # Through Python: a subclass may have given its class attributes of these names.
        self.max_message_size = (<object>self).max_message_size
        self.max_fragments = (<object>self).max_fragments
        _check_limits(self.max_message_size, self.max_fragments)
        self._on_message, self._on_message_wants_self = find_override(
            self, _plain, "on_ws_message", SLOT_ON_WS_MESSAGE)
        self._is_ready = True
        return 0

    cdef int _tell(self, WSTransport transport, object msg_type, object message) except -1:
        """Call on_ws_message, directly where it is a function of Python: see Callbacks in listener.pyx."""
        cdef PyObject* args[5]
        if self._on_message is None:
            self.on_ws_message(transport, msg_type, message)
            return 0
        args[0] = NULL      # room that the callee may use: PY_VECTORCALL_ARGUMENTS_OFFSET
        args[1] = <PyObject*>self
        args[2] = <PyObject*>transport
        args[3] = <PyObject*>msg_type
        args[4] = <PyObject*>message
        if self._on_message_wants_self:
            PyObject_Vectorcall(self._on_message, args + 1, 4 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL)
        else:
            PyObject_Vectorcall(self._on_message, args + 2, 3 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL)
        return 0

    cdef int _join(self, WSTransport transport, WSFrame frame) except -1:
        """Add one fragment; the last one completes the message."""
        cdef Py_ssize_t had
        cdef bytearray joined
        if self._joined is None or self._transport is not transport:
            self._begin(transport, frame)
        elif frame.msg_type != WSMsgType.CONTINUATION:
            self._refuse(
                WSCloseCode.PROTOCOL_ERROR, "5.4: received a new message inside a fragmented message")
        joined = self._joined
        had = PyByteArray_GET_SIZE(joined)
        # The limits come first: a peer must not make us take memory for what is refused.
        if frame.payload_size > self.max_message_size - had:
            self._refuse(WSCloseCode.MESSAGE_TOO_BIG, self._too_big())
        if self._fragments == self.max_fragments:
            self._refuse(
                WSCloseCode.MESSAGE_TOO_BIG,
                f"received a message of more than {self.max_fragments} fragments (max_fragments)")
        self._fragments += 1
        if frame.payload_size:
            PyByteArray_Resize(joined, had + frame.payload_size)
            memcpy(PyByteArray_AS_STRING(joined) + had, frame.payload_ptr, frame.payload_size)
        if frame.fin:
            self._forget()
            self._tell(transport, <object>self._msg_type, memoryview(joined).toreadonly())
        return 0

    cdef int _begin(self, WSTransport transport, WSFrame frame) except -1:
        """The first fragment of a message."""
        if self._joined is not None and not self._transport.is_disconnected:
            raise RuntimeError("a WSMessageAssembler serves one connection at a time, this one has two")
        self._forget()
        if frame.msg_type == WSMsgType.CONTINUATION:
            self._refuse(
                WSCloseCode.PROTOCOL_ERROR,
                "5.4: received a CONTINUATION frame, and there is no message to continue")
        self._joined = bytearray()
        self._msg_type = frame.msg_type_member
        self._fragments = 0
        self._transport = transport
        return 0

    cdef int _refuse(self, int code, str what) except -1:
        self._forget()
        raise WSProtocolError(code, what)

    def _forget(self):
        self._joined = None
        self._transport = None

    def _too_big(self):
        return f"received a message of more than {self.max_message_size} bytes (max_message_size)"


cdef int _check_limits(Py_ssize_t size, Py_ssize_t fragments) except -1:
    if size < 1:
        raise ValueError(f"max_message_size: expected a positive number of bytes, got {size}")
    if fragments < 1:
        raise ValueError(f"max_fragments: expected a positive number, got {fragments}")
    return 0


cdef WSListener _plain = WSMessageAssembler()
