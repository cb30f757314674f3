# What a user subclasses to get whole messages instead of frames.

from cpython.object cimport PyObject

from .frame cimport WSFrame
from .listener cimport WSListener
from .transport cimport WSTransport


cdef class WSMessageAssembler(WSListener):
    cdef:
        # Limits: bytes and frames of one message
        public Py_ssize_t max_message_size
        public Py_ssize_t max_fragments

        # The message being joined; None between messages
        bytearray _joined
        PyObject* _msg_type              # a WSMsgType, borrowed for ever
        Py_ssize_t _fragments
        WSTransport _transport           # whose message it is

        # on_ws_message, looked up with the first message
        bint _is_ready
        object _on_message               # a Python callable, or None: through the vtable
        bint _on_message_wants_self

    # Behind those of WSListener in the vtable: see SLOT_ON_WS_MESSAGE in assembler.pyx.
    cpdef on_ws_message(self, WSTransport transport, object msg_type, object message)
    cpdef on_ws_control(self, WSTransport transport, WSFrame frame)

    cdef int _prepare(self) except -1
    cdef int _tell(self, WSTransport transport, object msg_type, object message) except -1
    cdef int _join(self, WSTransport transport, WSFrame frame) except -1
    cdef int _begin(self, WSTransport transport, WSFrame frame) except -1
    cdef int _refuse(self, int code, str what) except -1
