"""One socket as picows sees it: a WSListener that feeds a pipeline. What it is told to send, it sends and
records."""
from connectors.dispatch cimport monotonic_ns, wall_ns
from connectors.frames cimport StoredFrame
from picows.frame cimport WSCloseCode, WSMsgType

from connectors.clock import SystemClock
from connectors.exchange import Inbound, Kind


cdef int64_t NEVER_NS = 1 << 62


cdef class Session(WSListener):
    """entries: intake.Entry of each stream. slots: dispatch.Slot of each strategy that listens to the
    connection.

    owner: connectors.owner.Owner, told of everything that is no data. conn_id: unique in a run, for the tap.
    Without a socket (replay) frames enter by `feed`, and `transport` stays None.
    """

    def __init__(self, exchange, entries, slots, *, owner, int conn_id, str connection, clock,
                 ConnectionCounters counters not None, tap=None, str route="", str url="",
                 double slow_callback_ms=5.0):
        self.exchange = exchange
        self.conn_id = conn_id
        self.connection = connection
        self.close_reason = ""
        self._route = route
        self._url = url
        self._owner = owner
        self._clock = clock
        self._is_system_clock = type(clock) is SystemClock
        self._tap = tap
        self._slots = list(slots)
        self._is_fresh_read = True
        self.pipeline = Pipeline(exchange, entries, slots, counters, owner=owner, connection=connection,
                                 slow_callback_ms=slow_callback_ms)

    # Called by picows

    cpdef on_ws_connected(self, WSTransport transport):
        self.transport = transport
        self.pipeline.transport = transport
        if self._tap is not None:
            name = self.exchange.facts.name
            self._tap.on_connect(self._clock.time_ns(), self.conn_id, name, self._route, self._url)
        self._owner.on_opened(transport)

    cpdef on_ws_frame(self, WSTransport transport, WSFrame frame):
        cdef int opcode = <int> frame.msg_type
        if self._is_fresh_read:
            self._read_clocks()
        self._is_fresh_read = frame.last_in_buffer
        if self._tap is not None:
            self._tap.on_frame_in(self.pipeline.recv_ns, self.conn_id, opcode, frame.fin, memoryview(frame))
        if opcode <= 2:
            self.pipeline.take(frame, frame, opcode, frame.fin, frame.payload_ptr, frame.payload_size)
        else:
            self._control(transport, frame)

    cpdef on_ws_disconnected(self, WSTransport transport):
        self._end(self.close_reason or self._why(transport))

    cpdef send_user_specific_ping(self, WSTransport transport):
        self._ping_id += 1
        text = self.exchange.ping(self._ping_id)
        if text is None:
            transport.send_ping()
        else:
            transport.send(WSMsgType.TEXT, text)

    cpdef pause_writing(self):
        self._writing(True)

    cpdef resume_writing(self):
        self._writing(False)

    cdef int _read_clocks(self) except -1:
        """Once per recv, not per frame: all frames of one read have come at one time."""
        if self._is_system_clock:
            self.pipeline.recv_ns = wall_ns()
        else:
            self.pipeline.recv_ns = self._clock.time_ns()
        self.pipeline.mono_ns = monotonic_ns()
        return 0

    cdef int _control(self, WSTransport transport, WSFrame frame) except -1:
        cdef bytes payload = frame.get_payload_as_bytes()
        self.pipeline.counters.frames += 1
        self.pipeline.counters.control += 1
        if frame.msg_type == WSMsgType.PING:
            # RFC 6455 5.5.2. Answered here and not by the core, so that a recording has both.
            self._record_out(10, payload)
            transport.send_pong(payload)
        elif frame.msg_type == WSMsgType.PONG:
            number = int(payload) if payload.isdigit() and len(payload) < 19 else -1
            self._owner.on_inbound(Inbound(Kind.PONG, request_id=number), payload)
        elif frame.msg_type == WSMsgType.CLOSE:
            code = int(frame.get_close_code())
            reason = (frame.get_close_message() or b"").decode("utf-8", "replace")
            if self.close_reason == "" or not transport.is_close_frame_sent:
                # Else it answers our CLOSE: the reason is ours.
                self.close_reason = f"closed by the server: {code} {reason}".strip()
            if not transport.is_close_frame_sent:
                # RFC 6455 5.5.1: the answer carries the code that came.
                self._record_out(8, payload)
                transport.send_close(<WSCloseCode> code, reason)
            transport.disconnect()
        return 0

    def _writing(self, bint is_paused):
        self._owner.on_writing(is_paused)
        for slot in self._slots:
            slot.on_writing(self.transport, is_paused)

    def _why(self, WSTransport transport):
        error = transport.disconnect_error
        if error is None:
            return "connection ended without a CLOSE frame"
        return f"{type(error).__name__}: {error}"

    def _end(self, str reason):
        if self.is_closed:
            return
        self.is_closed = True
        if self._tap is not None:
            self._tap.on_disconnect(self._clock.time_ns(), self.conn_id, reason)
        self._owner.on_closed(reason)

    # Called by the owner

    def feed(self, int opcode, bytes payload, int64_t recv_ns, bint is_final=True):
        """One frame from a capture: the way of on_ws_frame, without a socket. Control frames pass without
        effect."""
        cdef StoredFrame stored
        cdef WSFrame frame
        if opcode > 2:
            return
        # How long callbacks take is not part of a replay: it must tell the same each time.
        self.pipeline._slow_ns = NEVER_NS
        self.pipeline.recv_ns = recv_ns
        self.pipeline.mono_ns = monotonic_ns()
        stored = StoredFrame()
        frame = stored.open(opcode, payload, is_final)
        try:
            self.pipeline.take(frame, payload, opcode, is_final, frame.payload_ptr, frame.payload_size)
        finally:
            stored.close()

    def set_owner(self, owner):
        """A candidate that won a race is heard by another from now on."""
        self._owner = owner
        self.pipeline.owner = owner

    def send_text(self, bytes payload):
        """A request or a heartbeat of the venue's own. Nothing is sent on a socket that is gone."""
        if self.transport is None or self.is_closed:
            return
        self._record_out(1, payload)
        self.transport.send(WSMsgType.TEXT, payload)

    def send_ping(self, bytes payload):
        """A protocol PING."""
        if self.transport is None or self.is_closed:
            return
        self._record_out(9, payload)
        self.transport.send_ping(payload)

    def _record_out(self, int opcode, bytes payload):
        self.pipeline.counters.sent += 1
        if self._tap is not None:
            self._tap.on_frame_out(self._clock.time_ns(), self.conn_id, opcode, payload)

    def close(self, bint is_abort, str reason):
        """is_abort: the peer does not answer; the socket is dropped at once.

        Else CLOSE is sent and what is still on its way is delivered, until the peer's CLOSE; the owner
        sets it a limit.
        """
        if self.transport is None or self.is_closed:
            return
        if self.close_reason == "":
            self.close_reason = reason
        if not is_abort:
            # 1000: normal. Our reason is not for the venue to know.
            self._record_out(8, b"\x03\xe8")
            self.transport.send_close(WSCloseCode.OK)
        else:
            self.transport.disconnect(False)
