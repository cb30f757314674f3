"""A source that plays captured frames: in file order, each once, to those who have subscribed its topic."""

# ruff: noqa: ARG002 - every Source is asked alike

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

import msgspec

from connectors.capture import FLAG_FRAGMENT, Record, RecordKind
from connectors.errors import CaptureError
from connectors.inverse import unified_symbol
from connectors.mock.events import MockBook
from connectors.mock.generator import specs
from connectors.mock.market import Market
from connectors.mock.rebuild import Rebuilt
from connectors.mock.source import Message, Opening
from connectors.mock.venue import HttpAnswer, MockVenue

_SCAN = 20_000
"""Frames looked at in one take(): nobody may have subscribed any of them."""


class _Entry(msgspec.Struct, frozen=True, gc=False):
    ns: int
    message: Message


class _Rest(msgspec.Struct, frozen=True):
    position: int  # in the entries: how many frames came before it
    path_qs: str  # "" where the capture does not say
    status: int
    body: bytes


class PlaybackSource:
    """Implements source.Source for the records of one venue (capture.Record); all are held in memory.

    symbols: unified ones for a synthetic instrument list where the capture has none; those of the frames are
    in it anyway.
    other: incoming frames that are no data of a known topic (acks, pongs, greetings); they are not played.
    repeated: messages that two recorded sockets had both received (make before break); they are played once.
    resyncs: snapshots made from the frames so far, for those who subscribed or asked late.
    Raises CaptureError: not one data frame of this venue is in it.
    """

    def __init__(self, venue: MockVenue, records: Iterable[Record], *, symbols: Sequence[str] = ()) -> None:
        self.skipped: Counter[str] = Counter()
        self.captured: Counter[str] = Counter()
        self.other = 0
        self.repeated = 0
        self.resyncs = 0
        self._venue = venue
        self._symbols = symbols
        self._entries: list[_Entry] = []
        self._rests: list[_Rest] = []
        self._by_topic: dict[str, list[int]] = {}
        self._load(records)
        if not self._entries:
            raise CaptureError(
                f"expected frames of {venue.facts.name} in the capture, found {self.other} of something else"
            )
        self.topics = frozenset(self.captured)
        self._position = 0
        self._subscribed: set[str] = set()
        self._rebuilt: dict[str, tuple[int, Rebuilt]] = {}
        self._asked: set[str] = set()

    # Loading

    def _load(self, records: Iterable[Record]) -> None:
        """Only what belongs to this venue: a recording may hold several."""
        parts: dict[int, list[Record]] = {}
        sockets = _Sockets(self._venue.facts.name)
        for record in records:
            if record.kind == RecordKind.REST:
                rest, exchange = _rest(record, len(self._entries))
                if exchange in ("", self._venue.facts.name):
                    self._rests.append(rest)
            elif record.kind in (RecordKind.CONNECT, RecordKind.DISCONNECT):
                sockets.note(record)
            elif record.kind == RecordKind.FRAME_IN and record.opcode <= 2 and sockets.has(record.conn_id):
                held = parts.pop(record.conn_id, [])
                if record.flags & FLAG_FRAGMENT:
                    parts[record.conn_id] = [*held, record]
                else:
                    self._add(record, held, sockets)

    def _add(self, record: Record, parts: list[Record], sockets: _Sockets) -> None:
        first = parts[0] if parts else record
        payload = b"".join(part.payload for part in (*parts, record)) if parts else record.payload
        topic = self._venue.topic_of_frame(payload)
        if topic is None:
            self.other += 1
            return
        if sockets.is_repeated(record.conn_id, topic, payload):
            self.repeated += 1
            return
        self.captured[topic] += 1
        self._by_topic.setdefault(topic, []).append(len(self._entries))
        self._entries.append(_Entry(record.ns, Message(topic, payload, first.opcode)))

    # Subscriptions

    def has(self, topic: str, route: str) -> bool:
        return topic in self.topics

    def is_silent(self, topic: str, route: str) -> bool:
        return not self.has(topic, route)

    def subscribe(self, topic: str, now_ns: int) -> Opening:
        self._subscribed.add(topic)
        places = self._by_topic[topic]
        if self._position <= places[0]:
            return Opening()
        # Its own snapshot has been played: this one gets the book as it stands now.
        payload = self._snapshot_frame(topic)
        return Opening() if payload is None else Opening((), (Message(topic, payload),))

    def unsubscribe(self, topic: str) -> None:
        self._subscribed.discard(topic)

    def _snapshot_frame(self, topic: str) -> bytes | None:
        feed = self._venue.feed(topic)
        if feed is None or feed.kind != "book" or not feed.pushes_snapshot:
            return None
        rebuilt = self._rebuild(topic)
        checksum = self._venue.checksum(*rebuilt.rows()) if rebuilt.has_checksum else 0
        self.resyncs += 1
        return self._venue.encode_book(feed, rebuilt.book(self._now_ns(), checksum))

    def _now_ns(self) -> int:
        return self._entries[max(0, min(self._position, len(self._entries)) - 1)].ns

    def _rebuild(self, topic: str) -> Rebuilt:
        """The topic's book at the present position; goes on from the last call."""
        done, rebuilt = self._rebuilt.get(topic, (0, None))
        for place in self._by_topic[topic][done:]:
            if place >= self._position:
                break
            done += 1
            book = self._venue.read_book(topic, self._entries[place].message.payload)
            if book is None:
                continue
            if rebuilt is None:
                rebuilt = self._first_rebuilt(topic, book)
            rebuilt.apply(book)
        rebuilt = rebuilt or Rebuilt(None)
        self._rebuilt[topic] = (done, rebuilt)
        return rebuilt

    def _first_rebuilt(self, topic: str, first: MockBook) -> Rebuilt:
        feed = self._venue.feed(topic)
        rest = self._rest_of(feed.native) if feed is not None else None
        rebuilt = Rebuilt(self._venue.read_snapshot(rest.body) if rest is not None else None)
        if rest is None:
            rebuilt.begin_before(first)
        return rebuilt

    # Time

    @property
    def is_finished(self) -> bool:
        return self._position >= len(self._entries)

    def next_ns(self) -> int | None:
        return None if self.is_finished else self._entries[self._position].ns

    def take(self, until_ns: int, limit: int) -> list[Message]:
        out: list[Message] = []
        entries, position = self._entries, self._position
        stop = min(len(entries), position + _SCAN)
        while position < stop and len(out) < limit and entries[position].ns <= until_ns:
            message = entries[position].message
            if message.topic in self._subscribed:
                out.append(message)
            else:
                self.skipped[message.topic] += 1
            position += 1
        self._position = position
        return out

    # REST

    def http(self, path_qs: str, now_ns: int) -> HttpAnswer | None:
        native = self._venue.snapshot_symbol(path_qs)
        if native is not None:
            return self._snapshot_answer(native)
        recorded = self._recorded(path_qs)
        if recorded is not None:
            return HttpAnswer(recorded.status, recorded.body)
        body = self._venue.instruments(path_qs, self._markets())
        return None if body is None else HttpAnswer(200, body)

    def _snapshot_answer(self, native: str) -> HttpAnswer | None:
        """The recorded body the first time, or while the stream is before it; then the book as it stands."""
        rest = self._rest_of(native)
        topic = self._book_topic(native)
        if rest is not None and (
            native not in self._asked or self._position <= rest.position or topic is None
        ):
            self._asked.add(native)
            return HttpAnswer(rest.status, rest.body)
        if topic is None:
            return None
        rebuilt = self._rebuild(topic)
        if rebuilt.last_id < 0:
            # Nothing is played yet: the book just before the first frame.
            first = self._venue.read_book(topic, self._entries[self._by_topic[topic][0]].message.payload)
            if first is not None:
                rebuilt.begin_before(first)
        self.resyncs += 1
        return HttpAnswer(200, self._venue.encode_snapshot(native, rebuilt.book(self._now_ns())))

    def _rest_of(self, native: str) -> _Rest | None:
        """The first recorded snapshot of a symbol."""
        for rest in self._rests:
            named = self._venue.snapshot_symbol(rest.path_qs) if rest.path_qs else native
            if named == native and self._venue.read_snapshot(rest.body) is not None:
                return rest
        return None

    def _book_topic(self, native: str) -> str | None:
        """The fullest book stream of a symbol: the one with the most frames."""
        found = [
            (self.captured[topic], topic)
            for topic in self.topics
            if (feed := self._venue.feed(topic)) is not None and feed.kind == "book" and feed.native == native
        ]
        return max(found)[1] if found else None

    def _recorded(self, path_qs: str) -> _Rest | None:
        path = urlsplit(path_qs).path
        same = [rest for rest in self._rests if rest.path_qs == path_qs]
        alike = [rest for rest in self._rests if rest.path_qs and urlsplit(rest.path_qs).path == path]
        return same[-1] if same else alike[0] if len(alike) == 1 else None

    def _markets(self) -> list[Market]:
        """What was asked for and what the capture has; with the finest ticks, so that all prices fit."""
        exchange = self._venue.exchange
        feeds = (self._venue.feed(topic) for topic in sorted(self.topics))
        natives = dict.fromkeys(feed.native for feed in feeds if feed is not None and feed.native)
        there = {unified_symbol(exchange, native): native for native in natives}
        symbols = [symbol for symbol, native in there.items() if symbol != native or "-" in symbol]
        found = specs(exchange, tuple(dict.fromkeys((*self._symbols, *symbols))))
        return [Market(msgspec.structs.replace(spec, price_digits=8, size_digits=8), 0) for spec in found]


class _Sockets:
    """The recorded sockets of one venue, by connection number."""

    def __init__(self, exchange: str) -> None:
        self._exchange = exchange
        self._others: set[int] = set()  # of other venues
        self._open: set[int] = set()
        self._first: dict[tuple[str, int], int] = {}  # who received a message first, while two are open

    def note(self, record: Record) -> None:
        """A CONNECT or DISCONNECT."""
        is_connect = record.kind == RecordKind.CONNECT
        if is_connect and _json(record.payload).get("exchange", "") not in ("", self._exchange):
            self._others.add(record.conn_id)
        elif is_connect:
            self._others.discard(record.conn_id)
            self._open.add(record.conn_id)
        else:
            self._open.discard(record.conn_id)
        if len(self._open) < 2:
            self._first.clear()

    def has(self, conn_id: int) -> bool:
        return conn_id not in self._others

    def is_repeated(self, conn_id: int, topic: str, payload: bytes) -> bool:
        """Another open socket has received this very message."""
        if len(self._open) < 2:
            return False
        return self._first.setdefault((topic, hash(payload)), conn_id) != conn_id


def _json(payload: bytes) -> dict[str, object]:
    try:
        return msgspec.json.decode(payload, type=dict[str, object])
    except msgspec.DecodeError as error:
        raise CaptureError(f"a record's JSON cannot be read: {error}: {payload[:80]!r}") from error


def _rest(record: Record, position: int) -> tuple[_Rest, str]:
    """The answer, and the exchange that gave it."""
    head, _, body = record.payload.partition(b"\n")
    info = _json(head)
    parts = urlsplit(str(info.get("url", "")))
    path_qs = f"{parts.path}?{parts.query}" if parts.query else parts.path
    status = info.get("status", 200)
    rest = _Rest(position, path_qs, status if isinstance(status, int) else 200, body)
    return rest, str(info.get("exchange", ""))
