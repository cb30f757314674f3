"""One entry of the config's `connections`: its streams spread over links, its books, its snapshots, its
rotations."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection, Coroutine, Iterable, Mapping, Sequence
from typing import Any

from connectors.backoff import Window
from connectors.booksync import Action, BookSync
from connectors.chain import chain_of
from connectors.clock import Clock
from connectors.dispatch import Slot
from connectors.errors import ConfigError
from connectors.exchange import Exchange
from connectors.gate import Gate
from connectors.hub import Hub
from connectors.instrument import Instrument, Stream
from connectors.intake import Entry
from connectors.link import Ear, Link
from connectors.metrics import ConnectionCounters
from connectors.owner import Owner
from connectors.rest import Rest
from connectors.rotation import Rotations
from connectors.session import Session
from connectors.settings import ConnectionSettings
from connectors.snapshots import Snapshots
from connectors.status import Status, StatusKind
from connectors.tap import Tap
from connectors.wanted import mark

# What a successor says of its own life is not the user's: he is told `rotated`, once.
_OF_SUCCESSOR = (StatusKind.GAP, StatusKind.MISSED, StatusKind.RESYNC, StatusKind.REFUSED)
_MAX_CONN_ID = 1 << 31


StreamKey = tuple[str, str]
"""Topic and kind: one topic may carry two kinds (ticker and funding in one message)."""


def key_of(stream: Stream) -> StreamKey:
    return stream.topic, stream.kind


class ConnIds:
    """Numbers of sockets, unique in a run: what a recording calls them."""

    def __init__(self) -> None:
        self._last = 0

    def next(self) -> int:
        self._last = self._last % _MAX_CONN_ID + 1
        return self._last


class Connection:
    """`dials` is shared by all connections to a host. instruments: of the run, by key; grows with it."""

    def __init__(
        self,
        name: str,
        settings: ConnectionSettings,
        exchange: Exchange,
        streams: Sequence[Stream],
        *,
        hub: Hub,
        clock: Clock,
        rng: random.Random,
        dials: Window,
        rest: Rest | None,
        conn_ids: ConnIds,
        instruments: Mapping[str, Instrument],
        tap: Tap | None = None,
    ) -> None:
        self.name = name
        self.label = hub.know(exchange.facts.name, name)  # in logs
        self.settings = settings
        self.exchange = exchange
        self.hub = hub
        self.clock = clock
        self.rng = rng
        self.dials = dials
        self.tap = tap
        self.counters = ConnectionCounters()
        self.slots: Sequence[Slot] = hub.of_connection(name)
        self.kept_books: set[str] = set()  # instrument keys
        self.streams: dict[StreamKey, Stream] = {key_of(stream): stream for stream in streams}
        self.links: list[Link] = []
        self._instruments = instruments
        self.rotations = Rotations(self)
        self.snapshots = Snapshots(self, rest)
        self.is_stopped = False
        self._conn_ids = conn_ids
        self._gates: dict[StreamKey, Gate] = {}
        self._syncs: dict[str, BookSync] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    # Life

    def start(self) -> None:
        """Dial. What strategies want is known by now."""
        mark(self.streams.values(), self.slots, self.kept_books)
        for route, streams in self._parts(self.streams.values()):
            link = Link(self, route, streams)
            self.links.append(link)
            link.start()

    def _parts(self, streams: Iterable[Stream]) -> list[tuple[str, list[Stream]]]:
        """One socket per route, more where the venue limits the streams of one."""
        by_route: dict[str, list[Stream]] = {}
        topics: set[str] = set()
        for stream in streams:
            # Streams of one topic are one subscription: the first stands for all.
            if stream.topic not in topics:
                topics.add(stream.topic)
                by_route.setdefault(stream.route, []).append(stream)
        limit = self.exchange.facts.limits.streams or 1 << 30
        return [
            (route, found[at : at + limit])
            for route, found in by_route.items()
            for at in range(0, len(found), limit)
        ]

    async def stop(self, reason: str) -> None:
        """Close every socket; nothing is dialled any more."""
        self.is_stopped = True
        self.rotations.stop(reason)
        for link in self.links:
            link.stop(reason)
        await asyncio.gather(*(link.closed() for link in self.links))
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """A task that ends with the connection. What it raises is logged by the loop's handler."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # Sockets

    def url(self, route: str) -> str:
        return self.exchange.url(route, self.settings.url)

    def new_session(self, link: Link, url: str, owner: Owner | None = None) -> Session:
        """A listener for one socket of `link`; owner None: the link hears it."""
        ear = Ear(link)
        session = Session(
            self.exchange,
            self.entries(link.streams),
            self.slots,
            owner=owner or ear,
            conn_id=self._conn_ids.next(),
            connection=self.name,
            clock=self.clock,
            counters=self.counters,
            tap=self.tap,
            route=link.route,
            url=url,
            slow_callback_ms=self.settings.backpressure.slow_callback_ms,
        )
        ear.session = session
        # A stream about many instruments names each: those of the run are known, others are skipped.
        name = self.exchange.facts.name
        mine = {each.native: each for each in self._instruments.values() if each.exchange == name}
        session.pipeline.instruments.update(mine)
        if link.is_successor:
            session.pipeline.hold()
        return session

    def adopt(self, link: Link, session: Session) -> None:
        """The winner of a race becomes the socket of `link`."""
        ear = Ear(link)
        ear.session = session
        session.set_owner(ear)
        link.dialogue.sent_before = max(self.settings.rtt.rounds, 1)
        link.opened(session)

    def entries(self, streams: Iterable[Stream]) -> list[Entry]:
        """What a session keeps of each stream; gates and books outlive it."""
        return [self._entry(stream) for stream in streams]

    def _entry(self, stream: Stream) -> Entry:
        entry = Entry(stream, self.gate(stream), self._sync(stream))
        for other in self.streams.values():
            if other is not stream and other.topic == stream.topic:
                entry.add_sibling(Entry(other, self.gate(other), self._sync(other)))
        return entry

    def gate(self, stream: Stream) -> Gate:
        key = key_of(stream)
        if key not in self._gates:
            self._gates[key] = Gate(chain_of(stream))
        return self._gates[key]

    def _sync(self, stream: Stream) -> BookSync | None:
        if stream.kind != "book" or not stream.is_wanted or stream.instrument is None:
            return None
        sync = self._syncs.get(stream.topic)
        if sync is None:
            sync = BookSync(stream, self.exchange, continuity=self.settings.continuity)
            self._syncs[stream.topic] = sync
        return sync

    def sync_of(self, instrument: Instrument) -> BookSync | None:
        """The book of an instrument, made now if its stream is there but nobody wanted it so far."""
        for stream in self.streams.values():
            if stream.kind == "book" and stream.instrument is instrument:
                self.kept_books.add(instrument.key)
                stream.is_wanted = True
                return self._sync(stream)
        return None

    @property
    def books(self) -> Collection[BookSync]:
        return self._syncs.values()

    # What links tell

    def on_opened(self, link: Link) -> None:
        self.counters.connects += 1
        if link.is_successor:
            return
        topics = {stream.topic for stream in link.streams}
        for stream in self.streams.values():
            if stream.topic not in topics:
                continue
            stream.state = None
            self.gate(stream).on_new_socket()
            if (sync := self._syncs.get(stream.topic)) is not None:
                sync.on_resubscribed()

    def on_first_data(self, link: Link, stream: Stream) -> None:
        """A book that starts from a REST snapshot asks for it once the first change is there to join it."""
        sync = self._syncs.get(stream.topic)
        if sync is not None and not link.is_successor and sync.action == Action.NEED_SNAPSHOT:
            self.fetch_snapshot(stream)

    def fetch_snapshot(self, stream: Stream) -> None:
        self.snapshots.fetch(stream)

    def on_lost(self, link: Link, reason: str) -> None:
        if link.is_successor:
            self.rotations.on_successor_lost(link, reason)
            return
        self.counters.losses += 1
        if not self.rotations.on_lost(link):
            for stream in link.streams:
                if (sync := self._syncs.get(stream.topic)) is not None:
                    sync.on_lost()

    def restart_books(self, streams: Iterable[Stream]) -> None:
        """The chain of these books is broken; they begin anew from what comes."""
        for stream in streams:
            if (sync := self._syncs.get(stream.topic)) is not None:
                sync.on_resubscribed()

    def rotate(self, link: Link, reason: str) -> None:
        self.rotations.begin(link, reason)

    def on_rtt(self, link: Link) -> None:
        if link.is_successor or link.dialogue.heartbeat.is_measuring:
            return
        rtt = self.counters.rtt
        values = {
            "p50_ms": (rtt.percentile_ns(50) or 0) / 1e6,
            "p99_ms": (rtt.percentile_ns(99) or 0) / 1e6,
            "ewma_ms": link.dialogue.watch.ewma_ns / 1e6,
        }
        self.tell(StatusKind.RTT, None, link.dialogue.watch.text, values, link=link)

    def tell(
        self,
        kind: StatusKind,
        stream: Stream | None,
        detail: str,
        values: dict[str, float],
        *,
        link: Link | None = None,
    ) -> None:
        if link is not None and link.is_successor and kind not in _OF_SUCCESSOR:
            return
        symbol = stream.instrument.symbol if stream is not None and stream.instrument is not None else None
        self.hub.tell(
            Status(
                kind,
                self.clock.time_ns(),
                self.name,
                self.exchange.facts.name,
                symbol,
                stream.topic if stream is not None else None,
                detail,
                values,
            )
        )

    # At run time

    def link_of(self, stream: Stream) -> Link | None:
        """The link whose socket delivers a stream."""
        return next((link for link in self.links if any(s is stream for s in link.streams)), None)

    def send(self, payload: bytes, route: str) -> bool:
        """On the first socket of the route ("": of any). False: none is open, or too many messages wait."""
        link = next((link for link in self.links if route in ("", link.route)), None)
        return link is not None and link.send(payload)

    def add(self, stream: Stream) -> None:
        """Subscribe one more stream. Raises ConfigError: it is there already, or a second book of an
        instrument."""
        check_streams([*self.streams.values(), stream])
        is_sibling = any(other.topic == stream.topic for other in self.streams.values())
        self.streams[key_of(stream)] = stream
        if not self.links:
            return  # not started yet
        mark([stream], self.slots, self.kept_books)
        if is_sibling:
            self._add_sibling(stream)
            return
        limit = self.exchange.facts.limits.streams or 1 << 30
        for link in self.links:
            if link.route == stream.route and len(link.streams) < limit:
                self.rotations.abandon(link, "its streams change")
                link.change([stream], [])
                return
        link = Link(self, stream.route, [stream])
        self.links.append(link)
        link.start()

    def _add_sibling(self, stream: Stream) -> None:
        """The messages come already: they only have to be read for this kind, too."""
        for link in self.links:
            for entry in link.session.pipeline.entries.values() if link.session is not None else ():
                if entry.stream.topic == stream.topic:
                    entry.add_sibling(Entry(stream, self.gate(stream), self._sync(stream)))

    def remove(self, stream: Stream) -> None:
        """Unsubscribe a stream. Raises KeyError."""
        del self.streams[key_of(stream)]
        self._gates.pop(key_of(stream), None)
        if any(other.topic == stream.topic for other in self.streams.values()):
            stream.is_wanted = False  # the topic stays subscribed for the other kind
            return
        if (sync := self._syncs.pop(stream.topic, None)) is not None:
            # Strategies may hold the book for good: it is STALE, once all have had the change of this moment.
            self.loop.call_soon(sync.on_lost)
        link = next((link for link in self.links if stream.topic in {s.topic for s in link.streams}), None)
        if link is not None:
            self.rotations.abandon(link, "its streams change")
            link.change([], [s for s in link.streams if s.topic == stream.topic])


def check_streams(streams: Sequence[Stream]) -> None:
    """Raises ConfigError: a stream twice, or two books of one instrument."""
    topics: set[StreamKey] = set()
    books: set[str] = set()
    for stream in streams:
        if key_of(stream) in topics:
            raise ConfigError(f"{stream.exchange}: {stream.topic} ({stream.kind}) is subscribed twice")
        topics.add(key_of(stream))
        if stream.kind == "book" and stream.instrument is not None:
            if stream.instrument.key in books:
                raise ConfigError(
                    f"{stream.instrument.key}: expected one book per instrument and connection, got also "
                    f"{stream.topic}; make another connection for it"
                )
            books.add(stream.instrument.key)
