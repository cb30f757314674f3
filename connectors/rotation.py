"""Runs make-before-break switches of a connection's links: dials the successor, hands over, leaves the old
socket."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from connectors.booksync import Action
from connectors.link import Link
from connectors.pipeline import Pipeline
from connectors.status import StatusKind
from connectors.switch import NS_PER_S, Switch

if TYPE_CHECKING:
    from connectors.connection import Connection

log = logging.getLogger(__name__)
POLL_S = 0.01
RETRY_S = 30.0  # after a switch that failed
REST_S = 10.0  # between two switches of one link: a slow line is not left again and again


class _Rotation:
    def __init__(self, old: Link, new: Link, switch: Switch) -> None:
        self.old = old
        self.new = new
        self.switch = switch
        self.timer: asyncio.TimerHandle | None = None


class Rotations:
    """Of one connection: at most one per link."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._running: dict[Link, _Rotation] = {}  # by the old link
        self._last_ns: dict[Link, int] = {}

    def is_rotating(self, link: Link) -> bool:
        return link in self._running

    def begin(self, old: Link, reason: str) -> None:
        """Open a second socket beside `old`."""
        connection = self._connection
        now_ns = connection.clock.monotonic_ns()
        last_ns = self._last_ns.get(old)
        if connection.is_stopped or old.is_successor or old in self._running:
            return
        if last_ns is not None and now_ns - last_ns < REST_S * NS_PER_S:
            return
        log.info("%s: opening another connection beside this one: %s", connection.label, reason)
        new = Link(connection, old.route, old.streams, is_successor=True)
        rotation = _Rotation(old, new, Switch(connection.exchange, reason, now_ns))
        self._running[old] = rotation
        for stream in old.streams:
            connection.gate(stream).begin_overlap()
        new.start()
        self._poll(rotation)

    def _poll(self, rotation: _Rotation) -> None:
        connection = self._connection
        now_ns = connection.clock.monotonic_ns()
        new, switch = rotation.new, rotation.switch
        if new.session is not None and new.dialogue.is_open:
            pipeline = new.session.pipeline
            if switch.is_ready(list(pipeline.entries.values()), new.dialogue.subscriptions, now_ns):
                self._take_over(rotation, pipeline)
                return
        if switch.is_overdue(now_ns):
            self.abandon(rotation.old, "the new connection did not come to life in time")
            return
        rotation.timer = connection.loop.call_later(POLL_S, self._poll, rotation)

    def _take_over(self, rotation: _Rotation, pipeline: Pipeline) -> None:
        """In one go: nothing can come between, for nothing is awaited."""
        old = rotation.old.session
        for stream in rotation.new.streams:
            if old is not None:
                old.pipeline.mute(stream)
        # The new link is the connection before it delivers: what a book asks for has to find it.
        self._finish(rotation)
        for stream in rotation.new.streams:
            pipeline.take_over(stream, self._connection.clock.time_ns())
        self._end_overlap(rotation)

    def _finish(self, rotation: _Rotation) -> None:
        """Every stream has been taken over: the old socket goes."""
        connection = self._connection
        old, new = rotation.old, rotation.new
        del self._running[old]
        if rotation.timer is not None:
            rotation.timer.cancel()
        new.is_successor = False
        connection.links[connection.links.index(old)] = new
        self._last_ns = {link: ns for link, ns in self._last_ns.items() if link is not old}
        self._last_ns[new] = connection.clock.monotonic_ns()
        before_ms, after_ms = old.dialogue.watch.ewma_ns / 1e6, new.dialogue.watch.ewma_ns / 1e6
        old.retire("replaced")
        connection.counters.rotations += 1
        values = {"rtt_before_ms": before_ms, "rtt_after_ms": after_ms}
        connection.tell(StatusKind.ROTATED, None, rotation.switch.reason, values, link=new)

    def _end_overlap(self, rotation: _Rotation) -> None:
        for stream in rotation.old.streams:
            self._connection.gate(stream).end_overlap()

    def _drop(self, rotation: _Rotation, why: str) -> None:
        """The successor goes, the old link stays."""
        del self._running[rotation.old]
        if rotation.timer is not None:
            rotation.timer.cancel()
        self._end_overlap(rotation)
        rotation.new.retire(why)

    def on_lost(self, old: Link) -> bool:
        """The old socket died while its successor was coming. True: the successor is the connection from
        now on."""
        rotation = self._running.get(old)
        if rotation is None:
            return False
        new = rotation.new
        if new.session is None or not new.dialogue.is_open:
            self.abandon(old, "the old connection was lost and is dialled again itself")
            return False
        # Nothing keeps the books true any more; they begin with what the new socket holds.
        self._connection.restart_books(new.streams)
        self._finish(rotation)
        for stream in new.streams:
            new.session.pipeline.take_over(stream, self._connection.clock.time_ns())
            entry = new.session.pipeline.entry(stream)
            if entry is not None and entry.sync is not None and entry.messages and entry.sync.action in (
                Action.NEED_SNAPSHOT,
                Action.BUFFERED,
            ):  # fmt: skip
                self._connection.fetch_snapshot(stream)
        self._end_overlap(rotation)
        return True

    def on_successor_lost(self, new: Link, reason: str) -> None:
        for old, rotation in list(self._running.items()):
            if rotation.new is new:
                self.abandon(old, f"the new connection was lost: {reason}")
                return

    def abandon(self, old: Link, why: str) -> None:
        """The old socket goes on; the switch is tried again later."""
        rotation = self._running.get(old)
        if rotation is None:
            return
        self._drop(rotation, why)
        log.warning("%s: not switched to a new connection: %s", self._connection.label, why)
        self._connection.loop.call_later(RETRY_S, old.rotate, rotation.switch.reason)

    def stop(self, reason: str) -> None:
        for rotation in list(self._running.values()):
            self._drop(rotation, reason)
