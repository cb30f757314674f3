# cython: binding=False, embedsignature.format=clinic
# Not binding: methods check their self then; WSFrame.get_payload_as_bytes(5) crashed the process.
"""WSListener, the callback contract, and the lookup of callbacks once per connection.

A callback of a Cython subclass is called through the vtable, a C call. One of a Python subclass is found
once, when the connection is made, and then called directly (58 -> 36 ns a frame). So assigning
`listener.on_ws_frame` while a connection is open does not change what that connection calls.
"""

from types import FunctionType

import cython
from cpython.object cimport PyObject

from .frame cimport WSFrame, WSMsgType
from .transport cimport WSTransport

cdef extern from *:
    """
    #include <string.h>

    /* The first field behind PyObject_HEAD of a cdef class with methods is its vtable pointer. */
    static void **ws_vtable(PyObject *o) { return *(void ***)((char *)o + sizeof(PyObject)); }

    static void *ws_listener_vtable = NULL;

    #if PY_VERSION_HEX >= 0x030D0000
    static int ws_listener_own_dict(PyObject *self)
    {
        PyObject *dict = PyDict_New();
        int result = dict == NULL ? -1 : PyObject_GenericSetDict(self, dict, NULL);
        Py_XDECREF(dict);
        return result;
    }
    #endif

    /* object.__new__ instead of Cython's tp_alloc: it gives instances of Python subclasses inline attribute
     * values, which the interpreter reads without a dict lookup (a callback that counts: 110 -> 61 ns). */
    static PyObject *ws_listener_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
    {
        PyObject *empty, *self;
        (void)args; (void)kwargs;
        empty = PyTuple_New(0);
        if (empty == NULL) {
            return NULL;
        }
        self = PyBaseObject_Type.tp_new(type, empty, NULL);
        Py_DECREF(empty);
        if (self != NULL) {
            *(void **)((char *)self + sizeof(PyObject)) = ws_listener_vtable;
    #if PY_VERSION_HEX >= 0x030D0000
            /* From 3.13 on an instance with C fields has no inline values, and its dict shares keys with the
             * others of its class: the interpreter specialises no access to such. It does to a dict of its own. */
            if (!(type->tp_flags & Py_TPFLAGS_INLINE_VALUES) && (type->tp_flags & Py_TPFLAGS_MANAGED_DICT)
                && ws_listener_own_dict(self) < 0) {
                Py_CLEAR(self);
            }
    #endif
        }
        return self;
    }

    static void ws_listener_install(PyObject *type, PyObject *sample)
    {
        ws_listener_vtable = ws_vtable(sample);
        ((PyTypeObject *)type)->tp_new = ws_listener_new;
    }

    static int ws_is_heap_type(PyObject *type)
    {
        return PyType_HasFeature((PyTypeObject *)type, Py_TPFLAGS_HEAPTYPE) != 0;
    }
    """
    void** ws_vtable(object o) noexcept
    void* ws_listener_vtable
    void ws_listener_install(object type, object sample) noexcept
    bint ws_is_heap_type(object type) noexcept

cdef extern from "Python.h":
    object PyObject_Vectorcall(object callable, PyObject** args, size_t nargs, PyObject* kwnames)
    const size_t PY_VECTORCALL_ARGUMENTS_OFFSET

# Order of the declarations in listener.pxd.
cdef enum:
    SLOT_ON_WS_FRAME = 1
    SLOT_IS_USER_SPECIFIC_PONG = 4


cdef class WSListener:
    """Subclass and override what you need. All callbacks are called synchronously, from the read event.

    Exceptions: see the README, "Exceptions". In short: the connection is closed with 1011, and on the client
    side `await transport.wait_disconnected()` raises the first one.
    """

    cpdef on_ws_connected(self, WSTransport transport):
        """The upgrade is done; frames may be sent."""

    cpdef on_ws_frame(self, WSTransport transport, WSFrame frame):
        """A frame has come; `frame` is valid until this returns.

        Not called for PINGs that are answered automatically, nor for pongs that `is_user_specific_pong`
        recognised.
        """

    cpdef on_ws_disconnected(self, WSTransport transport):
        """The connection is closed. Called once, if on_ws_connected was."""

    cpdef send_user_specific_ping(self, WSTransport transport):
        """Send what the peer answers; for auto ping and measure_roundtrip_time. Default: a PING frame."""
        if transport is None:
            raise TypeError("transport: expected a WSTransport, got None")
        transport.send_ping()

    cpdef is_user_specific_pong(self, WSFrame frame):
        """Whether `frame` is the answer to send_user_specific_ping; such a frame is not delivered.

        Called before on_ws_frame, for each frame while an answer is expected, so make it cheap. Default: a
        PONG frame. A PONG that answers a PING must carry its payload, too (RFC 6455 5.5.3).
        """
        if frame is None:
            raise TypeError("frame: expected a WSFrame, got None")
        return frame.msg_type == WSMsgType.PONG

    cpdef pause_writing(self):
        """More is queued for sending than the high-water mark: stop producing."""

    cpdef resume_writing(self):
        """What was queued has drained to the low-water mark."""


ws_listener_install(WSListener, WSListener.__new__(WSListener))


@cython.final
cdef class Callbacks:
    def __cinit__(self, WSListener listener not None):
        self.listener = listener
        self.on_frame, self._wants_self = find_override(
            listener, _plain, "on_ws_frame", SLOT_ON_WS_FRAME)
        self._is_pong, wants_self = find_override(
            listener, _plain, "is_user_specific_pong", SLOT_IS_USER_SPECIFIC_PONG)
        if wants_self:
            self._is_pong = listener.is_user_specific_pong

    cdef int call(self, WSTransport transport, WSFrame frame) except -1:
        """Call the on_ws_frame that Python would call."""
        cdef PyObject* args[4]
        args[0] = NULL      # room that the callee may use: PY_VECTORCALL_ARGUMENTS_OFFSET
        if self._wants_self:
            args[1] = <PyObject*>self.listener
            args[2] = <PyObject*>transport
            args[3] = <PyObject*>frame
            PyObject_Vectorcall(self.on_frame, args + 1, 3 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL)
        else:
            args[1] = <PyObject*>transport
            args[2] = <PyObject*>frame
            PyObject_Vectorcall(self.on_frame, args + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL)
        return 0

    cdef bint is_pong(self, WSFrame frame) except? 0:
        if self._is_pong is None:
            return self.listener.is_user_specific_pong(frame)
        return self._is_pong(frame)


cdef WSListener _plain = WSListener()


cdef tuple find_override(WSListener listener, WSListener plain, str name, int slot):
    """What Python would call, and whether it wants self in front: a plain function does. (None, False): C.

    plain: an instance of the very class that declares `name`; slot: where `name` is in its vtable.
    The instance's __dict__ is not asked for: that would turn its inline attributes into a dict for good.
    """
    owner = next(owner for owner in type(listener).__mro__ if name in owner.__dict__)
    found = owner.__dict__[name]
    bound = getattr(listener, name)
    if not hasattr(found, "__get__") or bound != found.__get__(listener, type(listener)):
        return bound, False      # an attribute of the instance, or a callable object
    if owner is type(plain):
        return None, False
    if isinstance(found, FunctionType):
        return found, True
    if not ws_is_heap_type(owner) and ws_vtable(listener)[slot] != ws_vtable(plain)[slot]:
        return None, False
    return bound, False


def has_override(WSListener listener not None, str name not None):
    """Whether a subclass, or the instance, defines `name` anew."""
    return getattr(listener, name) != getattr(WSListener, name).__get__(listener, type(listener))
