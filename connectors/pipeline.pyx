"""From a data message to the strategies' callbacks: the hot path. Knows no socket; a session or a replay
feeds it."""
import logging

from connectors.dispatch cimport (
    CALL_BOOK, CALL_CANDLE, CALL_FRAME, CALL_FUNDING, CALL_LIQUIDATION, CALL_QUOTE, CALL_TICKER, CALL_TRADE,
    Slot, monotonic_ns,
)
from connectors.events cimport BookChange, Candle, Funding, Liquidation, Quote, Ticker, Trade
from connectors.fixed cimport ABSENT
from connectors.frames cimport StoredFrame
from connectors.gate cimport Gate
from connectors.instrument cimport Stream
from connectors.intake cimport Entry, Intake
from connectors.metrics cimport ConnectionCounters, StreamCounters
from connectors.sink cimport Sink
from libc.stdint cimport uint64_t
from picows.frame cimport WSFrame
from connectors.errors import DecodeError
from connectors.status import StatusKind

log = logging.getLogger(__name__)

cdef int64_t NS_PER_S = 1_000_000_000
cdef int64_t TELL_EVERY_NS = 60_000_000_000
cdef Py_ssize_t MAX_HELD = 50_000       # messages of one stream that wait for the take-over
cdef int ACTION_APPLIED = 0
cdef int ACTION_DROPPED = 2
cdef int ACTION_NEED_SNAPSHOT = 3
cdef int ACTION_REFRESH = 5             # applied, and a new snapshot is wanted beside the stream


cdef class Pipeline(Intake):
    """Of one socket. slots: dispatch.Slot of every strategy that listens. entries: one per stream."""

    def __init__(self, exchange, entries, slots, ConnectionCounters counters not None, *, owner,
                 str connection="",
                 double slow_callback_ms=5.0):
        Intake.__init__(self, exchange, counters, owner, connection)
        self._slow_ns = <int64_t> (slow_callback_ms * 1e6)
        for entry in entries:
            self.add(entry)
        self._frame_slots = [slot for slot in slots if "on_ws_frame" in slot.callbacks]
        self._trade_slots = [slot for slot in slots if "on_trade" in slot.callbacks]
        self._quote_slots = [slot for slot in slots if "on_quote" in slot.callbacks]
        self._book_slots = [slot for slot in slots if "on_book" in slot.callbacks]
        self._ticker_slots = [slot for slot in slots if "on_ticker" in slot.callbacks]
        self._candle_slots = [slot for slot in slots if "on_candle" in slot.callbacks]
        self._funding_slots = [slot for slot in slots if "on_funding" in slot.callbacks]
        self._liquidation_slots = [slot for slot in slots if "on_liquidation" in slot.callbacks]

    # Streams

    def add(self, Entry entry not None):
        """Streams come at run time too."""
        self.entries[entry.stream.key] = entry
        if entry.stream.instrument is not None:
            self.instruments[entry.stream.instrument.native] = entry.stream.instrument

    def remove(self, Stream stream not None):
        """Its messages are unknown from now on."""
        self.entries.pop(stream.key, None)
        self._last = None

    def entry(self, Stream stream not None):
        """Entry or None."""
        return self.entries.get(stream.key)

    def restart(self, Stream stream not None):
        """The stream is being subscribed anew: its merged state is void, its book waits for a new
        snapshot."""
        cdef Entry entry = self.entries.get(stream.key)
        if entry is None:
            return
        entry.is_awaited = True
        entry.counters.resubscribes += 1
        entry.gate.on_new_socket()
        stream.state = None
        for sibling in entry.siblings or ():
            sibling.stream.state = None
        if entry.sync is not None:
            entry.sync.on_resubscribed()

    def activity(self, Stream stream not None):
        """(messages on this socket, monotonic ns of the last one)."""
        cdef Entry entry = self.entries.get(stream.key)
        if entry is None:
            return 0, 0
        return entry.messages, entry.last_ns

    # Make before break

    def hold(self):
        """Keep every message back: another socket still delivers."""
        cdef Entry entry
        for entry in self.entries.values():
            entry.held = []
        self._held_count = len(self.entries)

    def mute(self, Stream stream not None):
        """Deliver nothing of this stream any more: another socket has taken over."""
        cdef Entry entry = self.entries.get(stream.key)
        if entry is not None:
            entry.is_muted = True

    def take_over(self, Stream stream not None, int64_t recv_ns):
        """Deliver what was kept back and has not been delivered by the other socket; from now on, deliver
        at once."""
        cdef Entry entry = self.entries.get(stream.key)
        cdef list held
        if entry is None or entry.held is None:
            return
        held, entry.held = entry.held, None
        entry.is_catching_up = True
        self._held_count -= 1
        self.recv_ns = recv_ns
        self._is_taking_over = True
        try:
            for frame, payload in held:
                self._taken_over(entry, frame, payload)
        finally:
            self._is_taking_over = False

    def _taken_over(self, Entry entry, frame, bytes payload):
        cdef bint is_known = entry.gate.has_frame(payload)
        if is_known and entry.stream.kind != "book":
            entry.counters.duplicates += 1
            return
        self._count(entry, len(payload))
        if not is_known:
            self._raw(frame)
        # A book's rule knows by itself what it has applied, and needs the whole chain.
        self._decode_all(entry, payload, len(payload))

    cdef int _data(self, Entry entry, object frame, object payload, Py_ssize_t size) except -1:
        entry.messages += 1
        entry.last_ns = self.mono_ns
        if entry.is_awaited:
            entry.is_awaited = False
            self.owner.on_first_data(entry.stream)
        if entry.is_muted:
            return 0
        if entry.held is not None:
            if len(entry.held) < MAX_HELD:
                entry.held.append((self._keep(frame), bytes(payload)))
                return 0
            self.owner.fail(f"{entry.stream.topic}: more than {MAX_HELD} messages wait for the take-over")
            return 0
        if entry.gate.frames is not None:
            entry.gate.note_frame(bytes(payload))
        self._count(entry, size)
        if frame is not None:
            self._raw(frame)
        if entry.siblings is not None:
            return self._decode_all(entry, payload, size)
        if entry.stream.is_wanted:
            return self._decode(entry, payload)
        if entry.counters.is_sampled:
            return self._sample(entry, payload)
        return 0

    cdef int _sample(self, Entry entry, object payload) except -1:
        """A picture shows quotes that nobody else wants: one is read for each picture."""
        entry.counters.is_sampled = False
        self._is_sampling = True
        try:
            return self._decode(entry, payload)
        finally:
            self._is_sampling = False

    cdef int _decode_all(self, Entry entry, object payload, Py_ssize_t size) except -1:
        cdef Entry sibling
        if entry.stream.is_wanted:
            self._decode(entry, payload)
        if entry.siblings is not None:
            for sibling in entry.siblings:
                self._count(sibling, size)
                if sibling.stream.is_wanted:
                    self._decode(sibling, payload)
        return 0

    cdef tuple _keep(self, object frame):
        """What a frame can be made of later: its view ends with the callback."""
        cdef WSFrame view
        if frame is None or isinstance(frame, tuple):
            return frame
        view = <WSFrame?> frame
        return <int> view.msg_type, view.fin, view.get_payload_as_bytes()

    cdef int _count(self, Entry entry, Py_ssize_t size) except -1:
        cdef StreamCounters counters = entry.counters
        counters.messages += 1
        counters.bytes += size
        counters.last_recv_ns = self.recv_ns
        if counters.first_recv_ns == 0:
            counters.first_recv_ns = self.recv_ns
        return 0

    cdef int _raw(self, object frame) except -1:
        cdef StoredFrame stored
        if frame is None or not self._frame_slots:
            return 0
        if not isinstance(frame, tuple):
            return self._deliver(self._frame_slots, CALL_FRAME, self.transport, frame)
        stored = StoredFrame()
        view = stored.open(frame[0], frame[2], frame[1])
        try:
            return self._deliver(self._frame_slots, CALL_FRAME, self.transport, view)
        finally:
            stored.close()

    cdef int _decode(self, Entry entry, object payload) except -1:
        self.stream = entry.stream
        self._entry = entry
        if entry.read is None:
            entry.read = self.exchange.reader(entry.stream)
            entry.flat = self.exchange.flat(entry.stream)
        try:
            if entry.flat is not None and self._text != NULL:
                if entry.flat.read(self, self._text, self._text_size):
                    return 0
            entry.read(entry.stream, memoryview(payload), self)
        except Exception as error:
            self._undecodable(entry, payload, error)
        return 0

    def _undecodable(self, Entry entry, payload, error):
        """Counted; told once a minute and stream. A book that missed a message is not true any more."""
        error = self.exchange.decode_error(entry.stream, memoryview(payload), error)
        entry.counters.errors += 1
        if entry._error_told_ns == 0 or self.mono_ns - entry._error_told_ns > TELL_EVERY_NS:
            entry._error_told_ns = self.mono_ns
            head = bytes(memoryview(payload)[:200])
            # A DecodeError speaks for itself; anything else is a fault of the verbs and needs its traceback.
            trace = None if isinstance(error, DecodeError) else error
            log.error("%s: %s: could not decode %r: %s", self.label, entry.stream.topic, head, error,
                      exc_info=trace)
        if entry.sync is not None:
            action = entry.sync.on_error(error)
            self._book_broke(entry, action)

    # Events: called by the verbs through Sink

    cdef int _deliver(self, list slots, int which, object first, object second) except -1:
        cdef Slot slot
        cdef int64_t now_ns = monotonic_ns()
        for slot in slots:
            now_ns = slot.call(which, first, second, now_ns, self._slow_ns, self.connection)
        self.counters.callback.record(now_ns - self.mono_ns)
        return 0

    cpdef object on_trade(self, Trade trade):
        cdef Entry entry = self._entry
        cdef Gate gate = entry.gate
        if not (gate.passes(trade.id_number) if trade.id_text is None else gate.passes_text(trade.id_text)):
            entry.counters.duplicates += 1
            if gate.seen is None and not self._is_taking_over:
                self._repeated(entry, trade)
            return
        if entry.chain is not None and trade.id_text is None:
            if entry.chain.note(trade.id_number, trade.count) != 0:
                self._missed(entry, trade)
        entry.counters.events += 1
        self._deliver(self._trade_slots, CALL_TRADE, trade, None)

    def _missed(self, Entry entry, Trade trade):
        """Ids were skipped, or skipped ones have come late. Told once a second and stream."""
        cdef int64_t missed = entry.chain.missed
        entry.counters.missed = missed
        if missed <= entry._missed_told:
            entry._missed_told = missed
        elif entry._missed_told_ns == 0 or self.recv_ns - entry._missed_told_ns >= NS_PER_S:
            new, entry._missed_told, entry._missed_told_ns = missed - entry._missed_told, missed, self.recv_ns
            self.owner.tell(
                StatusKind.MISSED, entry.stream, f"{new} trades before {trade.id}, {missed} in all",
                {"missing": float(new), "missed": float(missed)})

    def _repeated(self, Entry entry, Trade trade):
        """Told once a minute and stream."""
        cdef uint64_t count = entry.counters.duplicates
        if entry._repeat_told_ns == 0 or self.recv_ns - entry._repeat_told_ns >= TELL_EVERY_NS:
            new, entry._repeat_told, entry._repeat_told_ns = count - entry._repeat_told, count, self.recv_ns
            self.owner.tell(
                StatusKind.REPEATED, entry.stream, f"trade {trade.id} had been delivered, {count} so far",
                {"repeated": float(new)})

    cpdef object on_quote(self, Quote quote):
        cdef Gate gate = self._entry.gate
        self._entry.counters.bid_px = quote.bid_px
        self._entry.counters.ask_px = quote.ask_px
        if self._is_sampling:
            return
        if quote.sequence != ABSENT and not gate.passes_at(quote.sequence, quote.exchange_ns):
            self._entry.counters.duplicates += 1
            return
        self._entry.counters.events += 1
        self._deliver(self._quote_slots, CALL_QUOTE, quote, None)

    cpdef object on_ticker(self, Ticker ticker):
        self._entry.counters.events += 1
        self._deliver(self._ticker_slots, CALL_TICKER, ticker, None)

    cpdef object on_candle(self, Candle candle):
        self._entry.counters.events += 1
        self._deliver(self._candle_slots, CALL_CANDLE, candle, None)

    cpdef object on_funding(self, Funding funding):
        self._entry.counters.events += 1
        self._deliver(self._funding_slots, CALL_FUNDING, funding, None)

    cpdef object on_liquidation(self, Liquidation liquidation):
        self._entry.counters.events += 1
        self._deliver(self._liquidation_slots, CALL_LIQUIDATION, liquidation, None)

    cpdef object on_book(self, BookChange change):
        cdef Entry entry = self._entry
        cdef int action
        if entry.sync is None:
            return
        if entry.is_catching_up:
            # The other socket kept this book true: its chain goes on, no reset is needed. This socket may
            # lag, and not every rule can tell a lower id from a numbering that began anew.
            if entry.sync.covers(change):
                return
            entry.is_catching_up = False
        action = entry.sync.on_change(change)
        if action == ACTION_APPLIED:
            self._deliver_book(entry.sync.book, change)
        elif action == ACTION_REFRESH:
            self._deliver_book(entry.sync.book, change)
            self.owner.on_book_action(entry.stream, ACTION_NEED_SNAPSHOT, None)
        elif action == ACTION_DROPPED:
            entry.counters.dropped += 1
        elif action >= ACTION_NEED_SNAPSHOT:
            self._book_broke(entry, action)

    cdef int _deliver_book(self, object book, object change) except -1:
        cdef Entry entry = self._entry
        if book.epoch != entry.epoch:
            if entry.epoch > 0:
                entry.counters.resyncs += 1
                self.owner.tell(StatusKind.RESYNC, entry.stream, f"epoch {book.epoch}")
            entry.epoch = book.epoch
        entry.counters.events += 1
        return self._deliver(self._book_slots, CALL_BOOK, book, change)

    def _book_broke(self, Entry entry, int action):
        if action < ACTION_NEED_SNAPSHOT:
            return
        error = entry.sync.error
        if error is not None and entry.epoch > 0:
            entry.counters.gaps += 1
            self.owner.tell(StatusKind.GAP, entry.stream, str(error))
        self.owner.on_book_action(entry.stream, action, error)

    def on_rest_answer(self, Stream stream not None, bytes body, int64_t recv_ns):
        """A book snapshot that came over HTTP. Returns the sync's Action; raises DecodeError."""
        cdef Entry entry = self.entries.get(stream.key)
        if entry is None or entry.sync is None:
            return ACTION_DROPPED
        collector = Collector()
        collector.stream = stream
        collector.recv_ns = recv_ns
        self.exchange.parse_snapshot(stream, body, collector)
        if collector.change is None:
            raise DecodeError(f"{stream.topic}: the snapshot's reader delivered no book")
        self.stream = stream
        self.recv_ns = recv_ns
        self._entry = entry
        was_live = entry.sync.book.is_live
        changes = entry.sync.on_snapshot(collector.change)
        if was_live and changes:
            # A refresh: the book was true all the while, and strategies have had these changes.
            entry.epoch = entry.sync.book.epoch
            log.info("%s: %s: refreshed from a new snapshot", self.label, stream.topic)
            del changes[1:]
        for change in changes:
            self._deliver_book(entry.sync.book, change)
        return int(entry.sync.action)


class Collector(Sink):
    """Keeps the one book that a snapshot's reader delivers."""

    change = None

    def on_book(self, change):
        self.change = change.copy()
