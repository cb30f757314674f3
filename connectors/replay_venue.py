"""One venue of a replay: sessions without sockets, the books they share, and where REST answers belong."""

# ruff: noqa: ARG002 - hooks have the arguments that some dialect needs

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from urllib.parse import parse_qsl, urlsplit

from connectors.booksync import Action, BookSync
from connectors.chain import chain_of
from connectors.clock import ManualClock
from connectors.dispatch import Slot
from connectors.errors import BookError, DecodeError
from connectors.exchange import Exchange, Inbound, Kind
from connectors.gate import Gate
from connectors.hub import Hub
from connectors.instrument import Instrument, Stream
from connectors.intake import Entry
from connectors.metrics import ConnectionCounters
from connectors.session import Session
from connectors.status import Status, StatusKind

log = logging.getLogger(__name__)

# Callbacks are timed by the machine's clock, which a replay must not depend on.
_NEVER_SLOW_MS = 1e9
CLOSE = 8  # opcode


class ReplayVenue:
    """All connections of a recording to one venue. `name` stands for all of them.

    continuity: instead of the book channel's rule (settings.ConnectionSettings). Frames go in by connection
    number.
    """

    def __init__(
        self,
        name: str,
        exchange: Exchange,
        streams: Sequence[Stream],
        slots: Sequence[Slot],
        hub: Hub,
        clock: ManualClock,
        continuity: str | None = None,
    ) -> None:
        self.name = name
        self.label = hub.know(exchange.facts.name, name)
        self.exchange = exchange
        self.counters = ConnectionCounters()
        self.streams = list(streams)
        self.syncs: dict[str, BookSync] = {}  # by topic
        self.first_seen: set[str] = set()  # topics that had data
        self._slots = slots
        self._hub = hub
        self.clock = clock
        self._continuity = continuity
        self._gates: dict[tuple[str, str], Gate] = {}
        self._played: dict[int, _Played] = {}
        self._wanted: set[str] = set()  # topics whose books wait for a REST answer

    # Streams and books

    def sync_of(self, stream: Stream) -> BookSync | None:
        """The stream's book, made at the first call; None: it has none, or nobody wants it."""
        if stream.kind != "book" or not stream.is_wanted or stream.instrument is None:
            return None
        if stream.topic not in self.syncs:
            self.syncs[stream.topic] = BookSync(stream, self.exchange, continuity=self._continuity)
        return self.syncs[stream.topic]

    def book_stream(self, instrument: Instrument) -> Stream | None:
        found = (each for each in self.streams if each.kind == "book" and each.instrument is instrument)
        return next(found, None)

    def add(self, stream: Stream) -> None:
        """One more stream, for all connections of its route."""
        self.streams.append(stream)
        for played in self._played.values():
            for entry in self._entries([stream], played.route):
                played.session.pipeline.add(entry)

    def remove(self, stream: Stream) -> None:
        """Its messages are unknown from now on."""
        self.streams.remove(stream)
        for played in self._played.values():
            played.session.pipeline.remove(stream)

    def _entries(self, streams: Iterable[Stream], route: str) -> list[Entry]:
        """One entry per key, others of the same key beside it. route "": all."""
        by_key: dict[bytes, Entry] = {}
        for stream in streams:
            if route and stream.route != route:
                continue
            entry = Entry(stream, self._gate(stream), self.sync_of(stream))
            if stream.key in by_key:
                by_key[stream.key].add_sibling(entry)
            else:
                by_key[stream.key] = entry
        return list(by_key.values())

    def _gate(self, stream: Stream) -> Gate:
        key = (stream.topic, stream.kind)
        if key not in self._gates:
            self._gates[key] = Gate(chain_of(stream))
        return self._gates[key]

    # Records

    def connect(self, conn_id: int, route: str, url: str) -> None:
        """A socket was opened. Beside another of its route it is a successor, or carries other streams."""
        if route not in self.exchange.facts.routes:
            route = ""
        others = [each for each in self._played.values() if each.route == route]
        entries = self._entries(self.streams, route)
        played = _Played(self, conn_id, route, others)
        played.session = Session(
            self.exchange,
            entries,
            self._slots,
            owner=played,
            conn_id=conn_id,
            connection=self.name,
            clock=self.clock,
            counters=self.counters,
            slow_callback_ms=_NEVER_SLOW_MS,
        )
        self._played[conn_id] = played
        self.counters.connects += 1
        if others:
            played.session.pipeline.hold()
        for entry in entries:
            if others:
                entry.gate.begin_overlap()
            else:
                self._begin(entry)
        self.tell(StatusKind.CONNECTED, None, url)

    def _begin(self, entry: Entry) -> None:
        """A new socket alone: what was known of the stream is void."""
        entry.stream.state = None
        entry.gate.on_new_socket()
        if entry.sync is not None and entry.stream.topic in self.first_seen:
            entry.sync.on_resubscribed()

    def frame(self, conn_id: int, opcode: int, payload: bytes, ns: int, is_final: bool) -> None:
        """One received frame. A connection that the recording does not introduce is taken as open."""
        played = self._played.get(conn_id)
        if played is None:
            self.connect(conn_id, "", "")
            played = self._played[conn_id]
        if opcode == CLOSE and not played.is_ours:
            played.is_theirs = True
        played.session.feed(opcode, payload, ns, is_final)

    def leave(self, conn_id: int) -> None:
        """The recorded run has sent a CLOSE: by itself, or in answer to the venue's."""
        played = self._played.get(conn_id)
        if played is not None and not played.is_theirs:
            played.is_ours = True

    def disconnect(self, conn_id: int, reason: str) -> None:
        """A socket is gone. A successor delivers what it kept back."""
        gone = self._played.pop(conn_id, None)
        if gone is None:
            return
        left = [each for each in self._played.values() if each.route == gone.route]
        for played in left:
            played.inherit(gone)
        if left:
            self.counters.rotations += 1
            self.tell(StatusKind.ROTATED, None, reason)
            return
        if gone.is_ours:
            # The end of the run: nothing was lost, and its books were true to the last.
            self.tell(StatusKind.STOPPED, None, reason)
            return
        self.counters.losses += 1
        for entry in gone.session.pipeline.entries.values():
            entry.gate.end_overlap()
            if entry.sync is not None:
                entry.sync.on_lost()
        self.tell(StatusKind.LOST, None, reason)

    def rest(self, url: str, body: bytes, ns: int) -> None:
        """A REST answer: into the book that asked for it, if one did."""
        for stream in self.streams:
            sync = self.syncs.get(stream.topic)
            if sync is None or not self._is_for(stream, url):
                continue
            if sync.book.is_live and stream.topic not in self._wanted:
                continue
            for played in self._played.values():
                if played.session.pipeline.entry(stream) is not None:
                    self._answer(played, stream, body, ns)
                    return

    def _is_for(self, stream: Stream, url: str) -> bool:
        request = self.exchange.snapshot_request(stream)
        if request is None:
            return False
        if not url:
            return True  # the recording does not say what was asked
        asked, got = urlsplit(request.url), urlsplit(url)
        native = stream.instrument.native if stream.instrument is not None else ""
        return asked.path == got.path and native in dict(parse_qsl(got.query)).values()

    def _answer(self, played: _Played, stream: Stream, body: bytes, ns: int) -> None:
        self._wanted.discard(stream.topic)
        try:
            action = played.session.pipeline.on_rest_answer(stream, body, ns)
        except DecodeError as error:
            log.warning("%s: %s: snapshot: %s", self.label, stream.topic, error)
            action = Action.NEED_SNAPSHOT
        if action in (Action.NEED_SNAPSHOT, Action.REFRESH):
            self._wanted.add(stream.topic)

    # What sessions tell

    def want_rest(self, stream: Stream) -> None:
        self._wanted.add(stream.topic)

    def tell(
        self,
        kind: StatusKind,
        stream: Stream | None,
        detail: str,
        values: dict[str, float] | None = None,
    ) -> None:
        instrument = stream.instrument if stream is not None else None
        self._hub.tell(
            Status(
                kind,
                self.clock.time_ns(),
                self.name,
                self.exchange.facts.name,
                instrument.symbol if instrument is not None else None,
                stream.topic if stream is not None else None,
                detail,
                values or {},
            )
        )


class _Played:
    """One recorded socket: the owner of its session (owner.Owner)."""

    session: Session

    def __init__(self, venue: ReplayVenue, conn_id: int, route: str, others: list[_Played]) -> None:
        self.conn_id = conn_id
        self.route = route
        self._venue = venue
        self.is_ours = False  # the run said CLOSE first
        self.is_theirs = False  # the venue did
        self._others = others  # sockets of this route that were open before it

    def inherit(self, gone: _Played) -> None:
        """The other socket is gone: what was kept back is delivered, without what that one has delivered."""
        if gone not in self._others:
            return
        self._others.remove(gone)
        pipeline = self.session.pipeline
        for entry in list(pipeline.entries.values()):
            if entry.held is not None and (entry.messages or not self._others):
                pipeline.take_over(entry.stream, self._venue.clock.time_ns())
            if not self._others:
                entry.gate.end_overlap()

    def on_first_data(self, stream: Stream) -> None:
        """A stream that no older socket carries is not kept back: streams were only spread over sockets."""
        venue = self._venue
        pipeline = self.session.pipeline
        entry = pipeline.entry(stream)
        if entry is not None and entry.held is not None and not self._is_carried(stream):
            pipeline.take_over(stream, venue.clock.time_ns())
        if stream.topic not in venue.first_seen:
            venue.first_seen.add(stream.topic)
            venue.tell(StatusKind.LIVE, stream, "")

    def _is_carried(self, stream: Stream) -> bool:
        return any(each.session.pipeline.activity(stream)[0] for each in self._others)

    def on_book_action(self, stream: Stream, action: int, error: BookError | None) -> None:
        if action == Action.NEED_SNAPSHOT:
            self._venue.want_rest(stream)

    def on_inbound(self, inbound: Inbound, payload: bytes) -> None:
        if inbound.kind is Kind.ERROR:
            self._venue.tell(StatusKind.REFUSED, None, f"{inbound.code or ''} {inbound.text}".strip())

    def tell(
        self,
        kind: StatusKind,
        stream: Stream | None = None,
        detail: str = "",
        values: dict[str, float] | None = None,
    ) -> None:
        self._venue.tell(kind, stream, detail, values)

    def fail(self, reason: str) -> None:
        log.warning("%s: %s; a live connection would have been closed here", self._venue.label, reason)

    def on_opened(self, transport: object) -> None:
        """There is no transport."""

    def on_closed(self, reason: str) -> None:
        """DISCONNECT records tell it."""

    def on_writing(self, is_paused: bool) -> None:
        """Nothing is sent."""
