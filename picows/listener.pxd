# What a user subclasses, from Python or from Cython.

from cpython.object cimport PyObject

from .frame cimport WSFrame
from .transport cimport WSTransport


cdef class WSListener:
    cdef object __weakref__

    # The order of these is the layout of the vtable: see SLOT_* in listener.pyx.
    cpdef on_ws_connected(self, WSTransport transport)
    cpdef on_ws_frame(self, WSTransport transport, WSFrame frame)
    cpdef on_ws_disconnected(self, WSTransport transport)
    cpdef send_user_specific_ping(self, WSTransport transport)
    cpdef is_user_specific_pong(self, WSFrame frame)
    cpdef pause_writing(self)
    cpdef resume_writing(self)


cdef class Callbacks:
    """The per-frame callbacks of one listener, looked up once."""
    cdef:
        readonly WSListener listener
        object on_frame              # a Python callable, or None: through the vtable
        bint _wants_self
        object _is_pong

    # on_ws_frame, where on_frame is not None
    cdef int call(self, WSTransport transport, WSFrame frame) except -1
    cdef bint is_pong(self, WSFrame frame) except? 0


cdef tuple find_override(WSListener listener, WSListener plain, str name, int slot)
