"""What kind of frame is it, and of which stream? Fragments joined, gzip inflated, one look at the first
bytes.

The facts' frames.data tell data from all else by their first bytes, and the key that follows names the
stream. Only what
is no data goes through `Exchange.classify`, which may parse it.
"""
import logging
import zlib

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memchr, memcmp

from connectors.exchange import Inbound, Kind
from connectors.status import label_of

log = logging.getLogger(__name__)

cdef Py_ssize_t MAX_KEY = 1024          # a key longer than that is none
cdef int MAX_PREFIXES = 8
cdef int MAX_UNKNOWN_TOLD = 256         # a hostile server must not grow the set of what was told
_PONG = Inbound(Kind.PONG)


cdef class Entry:
    """One stream on one socket."""

    def __init__(self, Stream stream not None, Gate gate not None, BookSync sync=None):
        self.stream = stream
        self.gate = gate
        self.chain = gate.chain
        self.sync = sync
        self.epoch = sync.book.epoch if sync is not None else 0
        self.is_awaited = True
        if stream.counters is None:
            stream.counters = StreamCounters()
        self.counters = stream.counters

    def add_sibling(self, Entry entry not None):
        """A stream of the same topic and key, of another kind: the same messages hold both."""
        if self.siblings is None:
            self.siblings = []
        self.siblings.append(entry)


cdef class Intake(Sink):
    """Of one socket. `take` gets every data frame; `_data` and `_raw` (pipeline.pyx) get what it says."""

    def __init__(self, exchange, ConnectionCounters counters not None, owner, str connection):
        self.exchange = exchange
        self.entries = {}
        self.instruments = {}
        self.counters = counters
        self.connection = connection
        self.label = label_of(exchange.facts.name, connection)
        self.owner = owner
        self._unknown_told = set()
        self._read_facts(exchange.facts.frames)

    def _read_facts(self, frames):
        cdef bytes start, end
        if len(frames.data) > MAX_PREFIXES:
            raise ValueError(f"frames.data: expected at most {MAX_PREFIXES} prefixes, got {len(frames.data)}")
        self._alive = []
        for prefix in frames.data:
            start, end = prefix.start.encode(), prefix.end.encode()
            if not end:
                raise ValueError("frames.data: expected an end that is not empty")
            self._alive += [start, end]
            self._prefixes[self._prefix_count].start = PyBytes_AS_STRING(start)
            self._prefixes[self._prefix_count].start_size = PyBytes_GET_SIZE(start)
            self._prefixes[self._prefix_count].end = PyBytes_AS_STRING(end)
            self._prefixes[self._prefix_count].end_size = PyBytes_GET_SIZE(end)
            self._prefix_count += 1
        self._pongs = tuple(text.encode() for text in frames.pong)
        self._is_gzip = frames.encoding == "gzip"
        self._max_message = frames.max_message_bytes

    # Frames

    cdef int take(self, object frame, object payload, int opcode, bint fin, const char* data,
                  Py_ssize_t size) except -1:
        """One data frame (opcode 0, 1, 2). recv_ns and mono_ns are set. payload: a buffer over `data`."""
        self.counters.frames += 1
        self.counters.bytes += <uint64_t> size
        if not fin or opcode == 0:
            return self._fragment(frame, opcode, fin, data, size)
        if self._is_gzip and opcode == 2:
            return self._inflate(frame, payload)
        return self._message(frame, payload, data, size)

    cdef int _fragment(self, object frame, int opcode, bint fin, const char* data, Py_ssize_t size) except -1:
        cdef bytes whole
        cdef Entry entry
        if opcode != 0:
            self._joined = bytearray()
            self._is_joining = True
            # Fragments go to on_ws_frame as they come; not if another socket delivers their stream, or
            # will have to.
            entry = None if self._is_gzip else self._find(data, size)
            self._is_joining_data = self._held_count == 0 and (
                self._is_gzip or self._starts_data(data, size) if entry is None else not entry.is_muted)
        elif not self._is_joining:
            return 0
        if len(self._joined) + size > self._max_message:
            self._is_joining = False
            self._joined = None
            self._too_long("fragmented message")
            return 0
        self._joined += data[:size]
        if self._is_joining_data:
            self._raw(frame)
        if not fin:
            return 0
        whole = bytes(self._joined)
        self._joined = None
        self._is_joining = False
        # Who has had the fragments does not get the whole as well.
        joined = None if self._is_joining_data else (1, True, whole)
        if self._is_gzip:
            return self._inflate(joined, whole)
        return self._message(joined, whole, PyBytes_AS_STRING(whole), len(whole))

    def _too_long(self, what):
        self.owner.fail(f"a {what} is longer than {self._max_message} bytes (frames.max_message_bytes)")

    cdef int _inflate(self, object frame, object payload) except -1:
        cdef bytes whole
        inflater = zlib.decompressobj(wbits=47)
        try:
            whole = inflater.decompress(payload, self._max_message)
        except zlib.error as error:
            self.counters.unknown += 1
            inbound = Inbound(Kind.UNKNOWN, text=f"expected a gzip frame: {error}")
            self._tell_unknown(inbound, bytes(payload[:200]))
            return 0
        if inflater.unconsumed_tail:
            self._too_long("message, inflated,")
            return 0
        return self._message(frame, whole, PyBytes_AS_STRING(whole), len(whole))

    cdef int _message(self, object frame, object payload, const char* data, Py_ssize_t size) except -1:
        cdef Entry entry = self._find(data, size)
        cdef bytes pong
        cdef Py_ssize_t length
        if entry is not None:
            self._text = data
            self._text_size = size
            try:
                return self._data(entry, frame, payload, size)
            finally:
                self._text = NULL
        for pong in self._pongs:
            length = PyBytes_GET_SIZE(pong)
            if size >= length and memcmp(data, PyBytes_AS_STRING(pong), length) == 0:
                self.counters.control += 1
                self.owner.on_inbound(_PONG, b"")
                return 0
        return self._classify(frame, payload, size, self._starts_data(data, size))

    cdef Entry _find(self, const char* data, Py_ssize_t size):
        cdef int i
        cdef const char* key
        cdef const char* end
        cdef Prefix* prefix
        cdef Py_ssize_t left
        cdef bytes known
        for i in range(self._prefix_count):
            prefix = &self._prefixes[i]
            if size < prefix.start_size or memcmp(data, prefix.start, prefix.start_size) != 0:
                continue
            key = data + prefix.start_size
            left = size - prefix.start_size
            if self._last is not None:
                # Streams come in runs: the same key as the last one needs no dict.
                known = self._last.stream.key
                if (left >= PyBytes_GET_SIZE(known) + prefix.end_size
                        and memcmp(key, PyBytes_AS_STRING(known), PyBytes_GET_SIZE(known)) == 0
                        and memcmp(key + PyBytes_GET_SIZE(known), prefix.end, prefix.end_size) == 0):
                    return self._last
            left = min(left, MAX_KEY)
            end = <const char*> memchr(key, prefix.end[0], left)
            while end != NULL and (end - key) + prefix.end_size <= left:
                if memcmp(end, prefix.end, prefix.end_size) == 0:
                    found = self.entries.get(PyBytes_FromStringAndSize(key, end - key))
                    if found is not None:
                        self._last = <Entry> found
                        return self._last
                    break
                end = <const char*> memchr(end + 1, prefix.end[0], left - (end + 1 - key))
        return None

    cdef bint _starts_data(self, const char* data, Py_ssize_t size) noexcept:
        """Whether a first fragment begins like data."""
        cdef int i
        for i in range(self._prefix_count):
            if memcmp(data, self._prefixes[i].start, min(size, self._prefixes[i].start_size)) == 0:
                return True
        return False

    cdef int _classify(self, object frame, object payload, Py_ssize_t size, bint is_data) except -1:
        try:
            inbound = self.exchange.classify(memoryview(payload))
        except Exception as error:
            # A verb must not raise; if it does, the frame is one that nobody understood.
            log.exception("%s: classify raised", self.label)
            inbound = Inbound(Kind.UNKNOWN, text=repr(error))
        if inbound.kind is Kind.DATA:
            entry = self.entries.get(inbound.key)
            if entry is not None:
                return self._data(<Entry> entry, frame, payload, size)
        elif inbound.kind is not Kind.UNKNOWN:
            self.counters.control += 1
            self.owner.on_inbound(inbound, bytes(payload))
            return 0
        self.counters.unknown += 1
        if is_data and size:
            # Data of a stream that nobody asked us for: a strategy may have subscribed it by itself.
            self._raw(frame)
        self._tell_unknown(inbound, bytes(memoryview(payload)[:200]))
        return 0

    def _tell_unknown(self, inbound, bytes head):
        """Once per key."""
        key = inbound.key if inbound.key is not None else head[:32]
        if key not in self._unknown_told and len(self._unknown_told) < MAX_UNKNOWN_TOLD:
            self._unknown_told.add(key)
            log.warning("%s: no stream for message %r (%s)", self.label, head, inbound.text)

    cdef int _data(self, Entry entry, object frame, object payload, Py_ssize_t size) except -1:
        return 0

    cdef int _raw(self, object frame) except -1:
        return 0
