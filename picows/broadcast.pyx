# cython: binding=False, embedsignature.format=clinic
"""broadcast: one message to many connections, framed once."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t
from libc.string cimport memcpy

from .frame cimport WSMsgType
from .outgoing cimport OutgoingRules, as_payload
from .transport cimport WSTransport
from .wire cimport ws_header_size, ws_header_write

# What holds for a frame whatever its connection has sent before: order and RSV bits are asked of each one.
cdef OutgoingRules _shape = OutgoingRules(False)


def broadcast(transports, WSMsgType msg_type, message, *, bint fin=True, bint skip_paused=False,
              list skipped=None):
    """Send one frame to many connections of this thread, as `transport.send` would to each.

    For server-side transports, plain or TLS, the frame is built once, and the same bytes are handed to each.
    A client-side one gets a frame with a mask of its own (RFC 6455 5.3).

    transports:  any iterable of WSTransport, for example `server.connections`.
    message:     as in `WSTransport.send`; fin: as there, per connection.
    skip_paused: True passes over connections above their high-water mark, whose peers read too slowly: they
                 miss this message. By default it is queued for them, as `send` does.
    skipped:     a list to which the transports passed over for `skip_paused` are appended.

    Returns the number of connections that were given the frame. Closed and closing ones are not; nor are
    those that this frame would break, as a message of their own is being sent in fragments (5.4), or as there
    is none to continue: a warning is logged for each. An exception at one connection is logged, and stops
    none of the others.

    Before anything is sent: ValueError for CLOSE and for what RFC 6455 forbids anywhere, TypeError for
    another message, or for what is no WSTransport, RuntimeError in a wrong thread.
    """
    cdef list targets = list(transports)
    cdef bytes payload = message if PyBytes_CheckExact(message) else as_payload(message)
    cdef bytes frame = None
    cdef WSTransport transport
    cdef Py_ssize_t sent = 0
    if msg_type == WSMsgType.CLOSE:
        raise ValueError("a CLOSE frame is sent with send_close(), to each connection")
    _shape.check(msg_type, PyBytes_GET_SIZE(payload), fin, 0)
    for target in targets:
        if not isinstance(target, WSTransport):
            raise TypeError(f"transports: expected WSTransport objects, got {type(target).__name__}")
        (<WSTransport>target)._check("broadcast")
    for target in targets:
        transport = <WSTransport>target
        if transport.is_mute:
            continue
        if skip_paused and transport.underlying_transport._is_write_paused:
            if skipped is not None:
                skipped.append(transport)
            continue
        try:
            if _frames_for_itself(transport):
                transport._send_any(msg_type, payload, fin, 0)
            else:
                if frame is None:
                    frame = _framed(msg_type, fin, payload)
                _send_framed(transport, msg_type, fin, frame, PyBytes_GET_SIZE(payload))
            sent += 1
        except ValueError as error:
            transport.logger.warning("broadcast: not sent to this connection: %s", error)
        except Exception:
            transport.logger.error("broadcast: sending to this connection failed", exc_info=True)
    return sent


cdef bint _frames_for_itself(WSTransport transport) noexcept:
    """Whether a frame for this connection differs from that for the others: masked, or compressed."""
    return transport.is_client_side or transport.deflater is not None


cdef bytes _framed(int msg_type, bint fin, bytes payload):
    """The unmasked frame."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(payload)
    cdef size_t head = ws_header_size(size, 0)
    cdef bytes frame = PyBytes_FromStringAndSize(NULL, head + size)
    cdef uint8_t* out = <uint8_t*>PyBytes_AS_STRING(frame)
    ws_header_write(out, <uint8_t>((fin << 7) | msg_type), 0, 0, size)
    memcpy(out + head, PyBytes_AS_STRING(payload), size)
    return frame


cdef int _send_framed(
        WSTransport transport, int msg_type, bint fin, bytes frame, Py_ssize_t payload_size) except -1:
    transport._rules.check(msg_type, payload_size, fin, 0)
    if transport.is_debug:
        transport._log_sent((fin << 7) | msg_type, payload_size)
    transport.underlying_transport.put(PyBytes_AS_STRING(frame), PyBytes_GET_SIZE(frame), NULL, 0)
    return 0
