# cython: binding=False, embedsignature.format=clinic
# Not binding: methods check their self then; WSFrame.get_payload_as_bytes(5) crashed the process.
"""WSFrame and the enums of RFC 6455 section 5.2 and 7.4.

A frame is a view of the receive buffer, valid while the callback runs. One WSFrame object serves all frames
of a connection as long as nobody keeps it. Whoever does keep it, on whatever thread, finds it closed: its
getters raise. A memoryview that is kept stays valid and unchanged; it holds the receive block it points into
(under load up to 2 MiB) until it is released, so copy what you keep for long: `frame.get_payload_as_bytes()`.
"""

from enum import EnumType

import cython
from cpython.buffer cimport PyBuffer_FillInfo
from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.memoryview cimport PyMemoryView_FromObject
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from cpython.unicode cimport PyUnicode_DecodeASCII, PyUnicode_DecodeUTF8

from .buffer cimport ws_block_drop, ws_block_hold


cdef extern from *:
    """
    #include <structmember.h>

    static PyMemberDef ws_msg_type_member = {"msg_type", T_OBJECT_EX, 0, READONLY, "A WSMsgType."};

    /* Cython looks up the enum member by name at each read, a thousand instructions. A slot that holds the
     * member is read in a few, and the interpreter specialises the load. */
    static int ws_install_msg_type(PyObject *type, Py_ssize_t offset)
    {
        PyObject *descriptor;
        int result;
        ws_msg_type_member.offset = offset;
        descriptor = PyDescr_NewMember((PyTypeObject *)type, &ws_msg_type_member);
        if (descriptor == NULL) {
            return -1;
        }
        result = PyDict_SetItemString(((PyTypeObject *)type)->tp_dict, "msg_type", descriptor);
        Py_DECREF(descriptor);
        PyType_Modified((PyTypeObject *)type);
        return result;
    }

    /* Let classes of this metaclass be asked for attributes as any class is. */
    static void ws_read_attributes_plainly(PyObject *metaclass)
    {
        ((PyTypeObject *)metaclass)->tp_getattro = PyType_Type.tp_getattro;
        PyType_Modified((PyTypeObject *)metaclass);
    }
    """
    int ws_install_msg_type(object type, Py_ssize_t offset) except -1
    void ws_read_attributes_plainly(object metaclass) noexcept


class _PlainEnumType(EnumType):
    """Members are found as attributes of the class are, without a detour over EnumType.__getattr__.

    CPython 3.11 takes it for every `WSMsgType.TEXT`, and a listener has one in each callback: 106 -> 53 ns.
    """


cdef int _speed_up_enums() except -1:
    if not hasattr(EnumType, "__getattr__"):
        return 0    # CPython 3.12 and later have no such detour
    ws_read_attributes_plainly(_PlainEnumType)
    for enum in (WSMsgType, WSCloseCode, WSAutoPingStrategy):
        enum.__class__ = _PlainEnumType
    return 0


_speed_up_enums()

# Here, as a docstring in frame.pxd would count as a change of the layout (see abi.py).
WSMsgType.__doc__ = "Opcode of a frame: RFC 6455 5.2 and 11.8. Compares equal to its number."
WSCloseCode.__doc__ = "Code of a CLOSE frame: RFC 6455 7.4 and IANA's registry. NO_INFO: it carries none."
WSAutoPingStrategy.__doc__ = "When auto ping sends: after an idle time, or each time it has passed."

# Members of the Python enum by opcode; each holds a reference that is never given back.
cdef PyObject* MEMBERS[16]


cdef int _fill_members() except -1:
    cdef int opcode
    for opcode in range(16):
        member = WSMsgType(opcode)
        Py_INCREF(member)
        MEMBERS[opcode] = <PyObject*>member
    return 0


_fill_members()


@cython.final
cdef class WSFrame:
    """One received frame (RFC 6455 5.2): the payload, unmasked, and its header bits."""

    def __cinit__(self):
        self.payload_ptr = NULL
        self._block = NULL
        self.set_head(0)

    cdef void set_head(self, uint8_t byte0) noexcept:
        """FIN, reserved bits and opcode, as they were on the wire (5.2)."""
        self._byte0 = byte0
        self.msg_type = <WSMsgType>(byte0 & 0x0f)
        self.msg_type_member = MEMBERS[byte0 & 0x0f]
        self.fin = byte0 >> 7
        self.rsv1 = (byte0 >> 6) & 1
        self.rsv2 = (byte0 >> 5) & 1
        self.rsv3 = (byte0 >> 4) & 1

    cdef void begin(self, ws_block_t* block) noexcept:
        """The callback is about to run: the payload lies in `block`."""
        self._block = block

    cdef void end(self) noexcept:
        """The callback has returned: close the frame. Views that are out hold the block themselves.

        Without a GIL another thread that has been given the frame may be copying the payload right now, and
        the memory goes next: hence the critical sections, here and in all that read it. With a GIL they are
        empty.
        """
        with cython.critical_section(self):
            self.payload_ptr = NULL
            self._block = NULL

    def __getbuffer__(self, Py_buffer* view, int flags):
        with cython.critical_section(self):
            self._check_open()
            PyBuffer_FillInfo(view, self, self.payload_ptr, self.payload_size, 1, flags)
            # Each view has a reference of its own: without the GIL it may be released on another thread,
            # while this one closes the frame.
            ws_block_hold(self._block)
            view.internal = self._block

    def __releasebuffer__(self, Py_buffer* view):
        ws_block_drop(<ws_block_t*>view.internal)

    cdef int _check_open(self) except -1:
        if self.payload_ptr is NULL:
            raise RuntimeError(
                "WSFrame was kept after on_ws_frame returned: its payload is gone. "
                "Copy what you keep inside the callback, e.g. with get_payload_as_bytes()")
        return 0

    cpdef bytes get_payload_as_bytes(self):
        """The payload as a new bytes object."""
        with cython.critical_section(self):
            self._check_open()
            return PyBytes_FromStringAndSize(self.payload_ptr, self.payload_size)

    cpdef str get_payload_as_utf8_text(self):
        """The payload decoded as UTF-8. Raises UnicodeDecodeError."""
        with cython.critical_section(self):
            self._check_open()
            return PyUnicode_DecodeUTF8(self.payload_ptr, self.payload_size, NULL)

    cpdef str get_payload_as_utf8(self):
        """The same as `get_payload_as_utf8_text`."""
        return self.get_payload_as_utf8_text()

    cpdef str get_payload_as_ascii_text(self):
        """The payload decoded as ASCII. Raises UnicodeDecodeError."""
        with cython.critical_section(self):
            self._check_open()
            return PyUnicode_DecodeASCII(self.payload_ptr, self.payload_size, NULL)

    cpdef object get_payload_as_memoryview(self):
        """A read-only view of the payload, without a copy.

        It may be kept: then it holds the whole receive block in memory, under load 2 MiB for a few bytes.
        """
        return PyMemoryView_FromObject(self)     # memoryview(self), without a call of the type

    cpdef WSCloseCode get_close_code(self) except? WSCloseCode.NO_INFO:
        """The code of a CLOSE frame; WSCloseCode.NO_INFO if it has none. AssertionError on other frames."""
        with cython.critical_section(self):
            self._check_close()
            if self.payload_size < 2:
                return WSCloseCode.NO_INFO
            return <WSCloseCode>(((<uint8_t>self.payload_ptr[0]) << 8) | <uint8_t>self.payload_ptr[1])

    cpdef bytes get_close_message(self):
        """The reason of a CLOSE frame as bytes; None if it carries none. AssertionError on other frames."""
        with cython.critical_section(self):
            self._check_close()
            if self.payload_size <= 2:
                return None
            return PyBytes_FromStringAndSize(self.payload_ptr + 2, self.payload_size - 2)

    cpdef str get_close_reason(self):
        """The reason of a CLOSE frame as text; None if it carries none. AssertionError on other frames."""
        with cython.critical_section(self):
            self._check_close()
            if self.payload_size <= 2:
                return None
            return PyUnicode_DecodeUTF8(self.payload_ptr + 2, self.payload_size - 2, NULL)

    cdef int _check_close(self) except -1:
        self._check_open()
        if self.msg_type != WSMsgType.CLOSE:
            # AssertionError, because code written for picows 2 may expect it.
            raise AssertionError(
                f"only CLOSE frames carry a close code and reason, this one is {self.msg_type!r}")
        return 0

    def __str__(self):
        return (
            f"WSFrame({_type_name(self.msg_type)}, fin={self.fin}, rsv1={self.rsv1}, rsv2={self.rsv2}, "
            f"rsv3={self.rsv3}, last_in_buffer={self.last_in_buffer}, payload_sz={self.payload_size}, "
            f"tail_sz={self.tail_size})")

    def __repr__(self):
        return self.__str__()


cdef int _install() except -1:
    cdef WSFrame sample = WSFrame()
    return ws_install_msg_type(WSFrame, <char*>&sample.msg_type_member - <char*><PyObject*>sample)


_install()


cdef str _type_name(int msg_type):
    """TEXT for 1; the bare number for an opcode that RFC 6455 reserves."""
    return getattr(WSMsgType(msg_type), "name", None) or str(msg_type)
