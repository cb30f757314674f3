"""Connection: ties the stream, the handshake, the parser, the keep-alive and the listener of one connection.

From recv to the listener's method it is one synchronous call chain: the stream has read into the window and
calls `on_received`, which parses and calls the listener. Every failure goes through `_fail`.
"""

import time

import cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from .deadpeer import DeadPeerWatch
from .deflate import codecs
from .errors import WSProtocolError
from .listener import has_override
from .upgrading import Refused

from .buffer cimport Window
from .frame cimport WSCloseCode, WSFrame, WSMsgType
from .listener cimport Callbacks, WSListener
from .parser cimport FrameParser
from .stream.base cimport Stream, StreamOwner
from .stream.loopio cimport LoopIO, loop_io
from .transport cimport WSTransport
from .wire cimport ws_close_code_is_valid_sent

cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(object o) noexcept

cdef int PICOWS_DEBUG_LL = 9
cdef object _monotonic = time.monotonic


@cython.final
cdef class Connection(StreamOwner):
    """One WebSocket connection, from a connected stream to on_ws_disconnected.

    loop:    the running event loop
    role:    ClientRole or ServerRole
    options: ConnectionOptions
    """

    def __cinit__(self, loop, role, options):
        self.loop = loop
        self.options = options
        self._role = role
        self._logger = options.logger
        self.transport = WSTransport(loop, role.is_client_side, options.strict, options.logger, self)
        self._frame = WSFrame()
        self._auto_pong = options.enable_auto_pong
        self._auto_cork = options.auto_cork
        self.window = Window((<LoopIO>loop_io(loop)).arena, options.read_buffer_init_size)

    def attach(self, Stream stream not None, bint is_secure):
        """Give the connection its stream; `begin` starts it."""
        self._stream = stream
        stream.close_timeout_s = self.options.close_timeout
        self.transport.run_on(stream)
        self.transport.is_secure = is_secure

    def begin(self):
        """Start the stream; reports to the role and to the listener follow."""
        self._stream.start()

    def abort(self):
        """Close at once, without a word."""
        self.transport.is_mute = True
        self.transport.is_delivering = False
        if self._stream is not None:
            self._stream.finish(False)

    # ------------------------------------------------------------------ before the connection is open
    cdef int on_open(self) except -1:
        cdef bytes request = self._role.begin()
        if request:
            self._stream.write(PyBytes_AS_STRING(request), PyBytes_GET_SIZE(request), NULL, 0)
        return 0

    cdef int _upgrade(self) except -1:
        cdef Window window = self.window
        cdef bytes data = PyBytes_FromStringAndSize(window.base + window.start, window.end - window.start)
        window.clear()
        if not self.transport.is_delivering:
            return 0
        try:
            upgraded = self._role.feed(data)
        except Refused as refused:
            self._refuse(refused)
            return 0
        except Exception as exc:
            self._role.failed(exc)
            self.abort()
            return 0
        except BaseException as exc:
            self._role.failed(exc)
            self.abort()
            raise
        if upgraded is not None:
            self._open(upgraded)
        return 0

    def _refuse(self, refused):
        """The server's answer to a request that it does not upgrade."""
        cdef bytes answer = refused.answer
        if refused.__cause__ is not None:
            self._logger.error(
                "upgrade refused with %d: %s", refused.status, refused.reason, exc_info=refused.__cause__)
        else:
            self._logger.info("upgrade refused with %d: %s", refused.status, refused.reason)
        self.transport.is_mute = True
        self.transport.is_delivering = False
        self._stream.write(PyBytes_AS_STRING(answer), PyBytes_GET_SIZE(answer), NULL, 0)
        self._stream.finish(True)

    cdef int _open(self, object upgraded) except -1:
        cdef bytes rest = upgraded.rest
        cdef bytes answer = upgraded.to_send
        try:
            self._listener = <WSListener?>upgraded.listener
            self._callbacks = Callbacks(self._listener)
        except Exception as exc:
            self._role.failed(exc)
            self.abort()
            return 0
        self.transport.request = upgraded.request
        self.transport.response = upgraded.response
        if upgraded.deflate is not None:
            self._inflater, self.transport.deflater = codecs(upgraded.deflate, self.options.strict)
        self._parser = FrameParser(self.transport.is_client_side, self.options.strict,
                                   self.options.max_frame_size, 0 if self._inflater is None else 4)
        if answer:
            self._stream.write(PyBytes_AS_STRING(answer), PyBytes_GET_SIZE(answer), NULL, 0)
        self.is_open = True
        if self.options.enable_auto_ping:
            self.last_received_s = _monotonic()
            self._watch = DeadPeerWatch(self)
        try:
            self._connected()
        finally:
            self._role.opened(self.transport, self._listener)
        if rest and self.transport.is_delivering:
            self.window.push(PyBytes_AS_STRING(rest), PyBytes_GET_SIZE(rest))
            self._deliver()
        return 0

    cdef int _connected(self) except -1:
        if self.transport.is_debug:
            self._logger.log(PICOWS_DEBUG_LL, "connected, %s", self.transport.response)
        try:
            self._listener.on_ws_connected(self.transport)
        except WSProtocolError as exc:
            self._fail_as_asked(exc)
        except Exception as exc:
            self._fail(exc, WSCloseCode.INTERNAL_ERROR, "")
        except BaseException as exc:
            self._fail(exc, WSCloseCode.INTERNAL_ERROR, "")
            raise
        return 0

    # ------------------------------------------------------------------ received bytes
    cdef int on_received(self) except -1:
        cdef Stream stream = self._stream
        if self._watch is not None:
            self.last_received_s = _monotonic()
        self._is_busy = True
        if self._auto_cork:
            stream.cork()
        try:
            if self.is_open:
                self._deliver()
            else:
                self._upgrade()
        finally:
            self._is_busy = False
            if self._auto_cork:
                stream.uncork()
            if self.transport.is_disconnected:
                self._let_go()      # a callback ran the event loop, and that lost the stream
        return 0

    cdef int _let_go(self) except -1:
        """The listener usually refers to the transport: let neither wait for the garbage collector."""
        self.window.clear()
        self._callbacks = None
        self._listener = None
        self._inflater = self.transport.deflater = None
        self.transport.ping_sender = None
        return 0

    cdef int _deliver(self) except -1:
        """Hand out all whole frames in the window; after an error `_on_exception` says whether to go on."""
        while True:
            try:
                self._deliver_frames()
                break
            except Exception as exc:
                self._frame = self._release(self._frame)
                self._on_exception(exc)
            except BaseException as exc:
                # KeyboardInterrupt, SystemExit, CancelledError: not ours to keep. The connection is unusable.
                self._frame = self._release(self._frame)
                self._fail(exc, WSCloseCode.INTERNAL_ERROR, "")
                self.window.clear()
                raise
        if self._inflater is not None:
            self._inflater.release()
        if self.transport.is_delivering:
            self.window.settle(self._parser.need)
        else:
            self.window.clear()
        return 0

    cdef int _deliver_frames(self) except -1:
        cdef Window window = self.window
        cdef WSTransport transport = self.transport
        cdef FrameParser parser = self._parser
        cdef WSFrame frame = self._frame
        cdef Callbacks callbacks = self._callbacks
        self._in_callback = False
        while transport.is_delivering:
            if parser.next(window, frame) == 0:
                return 0
            frame._block = window.block      # open: see WSFrame
            if self._inflater is not None:
                self._inflater.inflate(frame)
            self._in_callback = True
            if transport.is_debug:
                self._logger.log(PICOWS_DEBUG_LL, "received %s", frame)
            if frame.msg_type >= WSMsgType.CLOSE and self._control(frame):
                pass
            elif transport.expects_pong and self._take_pong(frame):
                pass
            elif callbacks.on_frame is None:
                callbacks.listener.on_ws_frame(transport, frame)
            else:
                callbacks.call(transport, frame)
            self._in_callback = False
            with cython.critical_section(frame):    # and closed: see WSFrame.end
                frame.payload_ptr = NULL
                frame._block = NULL
            if Py_REFCNT(frame) > 2:
                # Somebody keeps it, besides this function and self._frame: leave it to them.
                self._frame = frame = WSFrame()
        return 0

    cdef WSFrame _release(self, WSFrame frame):
        """After an exception: close the frame, whose traceback may keep it, and go on with a fresh one."""
        frame.end()
        return WSFrame()

    cdef int _control(self, WSFrame frame) except -1:
        """Control frames. 1: handled here, 0: the listener's."""
        if frame.msg_type == WSMsgType.PING:
            if self._auto_pong:
                self.transport.answer_ping(frame.payload_ptr, frame.payload_size)
                return 1
        elif frame.msg_type == WSMsgType.CLOSE:
            self.transport.note_close_received(frame.get_close_code(), frame.get_close_reason())
        return 0

    cdef bint _take_pong(self, WSFrame frame) except -1:
        """A pong is expected: is this it?"""
        cdef object payload = None
        if not self._callbacks.is_pong(frame):
            return False
        if frame.msg_type == WSMsgType.PONG:
            payload = frame.get_payload_as_bytes()
            if not self.transport.pings.matches(payload):
                return False    # unsolicited, or an answer to a ping of the user's own
        self.transport.pings.on_pong(payload)
        self.transport.expects_pong = bool(self.transport.pings)
        self.on_pong()
        return True

    # ------------------------------------------------------------------ failures
    cdef int _on_exception(self, object error) except -1:
        """From the parser, or from on_ws_frame or is_user_specific_pong."""
        if isinstance(error, WSProtocolError):
            return self._fail_as_asked(error)
        if not self._in_callback:
            return self._fail(error, WSCloseCode.INTERNAL_ERROR, "")
        if not self.options.disconnect_on_exception:
            self._logger.error("exception in on_ws_frame, the connection stays open", exc_info=error)
            return 0
        return self._fail(error, WSCloseCode.INTERNAL_ERROR, "")

    cdef int _fail_as_asked(self, object error) except -1:
        """With the code and message of a WSProtocolError. A listener may have put anything there."""
        cdef object code = getattr(error, "code", None)
        cdef object message = getattr(error, "message", None)
        if not isinstance(code, int) or not 0 < code < 65536:
            code = WSCloseCode.INTERNAL_ERROR
        return self._fail(error, code, message if isinstance(message, str) else "")

    cdef int _fail(self, object error, int code, str reason) except -1:
        """The one door for every failure of an open connection: told once, terminal."""
        if not ws_close_code_is_valid_sent(code):
            code = WSCloseCode.INTERNAL_ERROR
        if self.transport.stored_error is None and isinstance(error, Exception):
            self.transport.stored_error = error
            self.transport.disconnect_error = error
        if isinstance(error, WSProtocolError):
            self._logger.info("closing with %d: %s", code, error)
        elif self.transport.is_client_side:
            self._logger.info(
                "closing with %d: %s: %s (wait_disconnected raises it)", code, type(error).__name__, error)
        else:
            self._logger.error("closing with %d: exception in a listener", code, exc_info=error)
        return self.transport.close_with(code, reason)

    # ------------------------------------------------------------------ the stream's other reports
    cdef int on_eof(self) except -1:
        if not self.is_open:
            self._role.failed(self._role.end())
            self.abort()
            return 0
        if self.transport.is_debug:
            self._logger.log(PICOWS_DEBUG_LL, "the peer has ended its side")
        self.transport.is_mute = True
        self._stream.finish(True)
        return 0

    cdef int on_lost(self, object error) except -1:
        if self._watch is not None:
            self._watch.stop()
            self._watch = None      # it refers to us
        self.transport.end(error)
        try:
            self._tell_lost(error)
        finally:
            # Also where a listener raises what is no Exception: nobody may wait for ever.
            self.transport.release_waiters()
            self._role.lost(self)
            if not self._is_busy:
                self._let_go()
        return 0

    def _tell_lost(self, error):
        if not self.is_open:
            self._role.failed(error if error is not None else self._role.end())
            return
        if self.transport.is_debug:
            self._logger.log(PICOWS_DEBUG_LL, "disconnected, %s", error)
        try:
            self._listener.on_ws_disconnected(self.transport)
        except Exception as exc:
            if self.transport.is_client_side and self.transport.stored_error is None:
                self.transport.stored_error = exc
            else:
                self._logger.error("exception in on_ws_disconnected", exc_info=exc)

    cdef int on_pause_writing(self) except -1:
        if self.is_open:
            self._tell_writing("pause_writing")
        return 0

    cdef int on_resume_writing(self) except -1:
        self.transport.send_late_pong()
        if self.is_open:
            self._tell_writing("resume_writing")
        return 0

    def _tell_writing(self, str name):
        """Call pause_writing or resume_writing; an exception there does not touch the connection."""
        if not has_override(self._listener, name):
            if name == "pause_writing":
                self._logger.warning(
                    "the peer reads slower than we send, %d bytes are queued: override pause_writing and "
                    "resume_writing in %s", self._stream.queued(), type(self._listener).__name__)
            return
        try:
            getattr(self._listener, name)()
        except Exception as exc:
            self._logger.error("exception in %s, the connection stays open", name, exc_info=exc)

    # ------------------------------------------------------------------ keep-alive
    def send(self):
        """Pings and the keep-alive: send what the listener calls a ping."""
        cdef WSListener listener = self._listener    # kept alive: see on_received
        listener.send_user_specific_ping(self.transport)

    def on_pong(self):
        """A pong has come: the peer is alive."""
        if self._watch is not None:
            self._watch.on_pong()

    def fail_ping(self, error):
        """The listener's ping has raised `error`."""
        self._fail(error, WSCloseCode.INTERNAL_ERROR, "an exception occurred in the auto-ping loop")

    def give_up(self, double after_s):
        """No pong has come in time: the peer is taken for dead."""
        text = f"peer has not replied to ping/heartbeat request within {after_s:g} second(s)"
        self._logger.info("disconnecting: %s", text)
        if self.transport.disconnect_error is None:
            self.transport.disconnect_error = TimeoutError(text)
        self.transport.close_with(WSCloseCode.GOING_AWAY, text)
        if self._stream.queued() > 0:
            self._stream.finish(False)
