"""One socket at a time: does what a dialogue decides, and tells it what happens. Thin: every rule is in
dialogue.py."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from connectors.dial import DialFailed, open_session
from connectors.dialogue import (
    Action,
    Close,
    Dial,
    Dialogue,
    Event,
    Lost,
    Restarted,
    Rotate,
    Send,
    SendPing,
    State,
    Tell,
)
from connectors.errors import BookError
from connectors.exchange import Inbound, Kind
from connectors.instrument import Stream
from connectors.session import Session
from connectors.status import StatusKind
from connectors.subscriptions import NEVER_NS

if TYPE_CHECKING:
    from connectors.connection import Connection
    from picows import WSTransport

log = logging.getLogger(__name__)
NEED_RESUBSCRIBE = 4  # booksync.Action
CLOSE_S = 2.0


class Link:
    """The streams of one route of a connection. A successor (make before break) keeps its messages back.

    is_successor: it is tried once; when it fails, its predecessor goes on.
    """

    def __init__(
        self,
        connection: Connection,
        route: str,
        streams: Sequence[Stream],
        *,
        is_successor: bool = False,
    ) -> None:
        self.connection = connection
        self.route = route
        self.is_successor = is_successor
        self.session: Session | None = None
        self.dialogue = Dialogue(
            connection.exchange,
            connection.settings,
            streams,
            activity=self._activity,
            budget=connection.dials,
            rng=connection.rng,
        )
        self._timer: asyncio.TimerHandle | None = None
        self._dialling: asyncio.Task[None] | None = None

    @property
    def streams(self) -> list[Stream]:
        return self.dialogue.subscriptions.streams

    @property
    def is_live(self) -> bool:
        return self.dialogue.state is State.LIVE

    def start(self) -> None:
        self._step(Event.START)

    def stop(self, reason: str) -> None:
        """Say goodbye; nothing is dialled any more."""
        self._step(Event.STOP, reason)
        if self._dialling is not None:
            self._dialling.cancel()

    def retire(self, why: str) -> None:
        """Leave quietly: another socket has taken over, or this one was not needed."""
        self.dialogue.state = State.STOPPED
        if self._dialling is not None:
            self._dialling.cancel()
        if self.session is not None:
            session, self.session = self.session, None
            self._close(session, False, why)
        self._arm()

    async def closed(self) -> None:
        """After stop: until the socket is gone."""
        waiting = [self._dialling] if self._dialling is not None else []
        await asyncio.gather(*waiting, return_exceptions=True)
        if self.session is not None and self.session.transport is not None:
            await asyncio.gather(self.session.transport.wait_disconnected(), return_exceptions=True)

    def change(self, add: Sequence[Stream], remove: Sequence[Stream]) -> None:
        """Streams at run time."""
        if self.session is not None:
            for stream in remove:
                self.session.pipeline.remove(stream)
            for entry in self.connection.entries(add):
                self.session.pipeline.add(entry)
        self._do(self.dialogue.change(add, remove, self._now()))

    def resubscribe(self, stream: Stream) -> None:
        self._do(self.dialogue.resubscribe(stream, self._now()))

    def send(self, payload: bytes) -> bool:
        """A message of a strategy's own. False: no socket is open, or too many wait."""
        if self.session is None or not self.dialogue.is_open or not self.dialogue.outbox.put(payload):
            return False
        self._do(self.dialogue.flush(self._now()))
        return True

    def rotate(self, reason: str) -> None:
        self._step(Event.ROTATE, reason)

    # What the session tells (by way of an Ear, which knows its socket)

    def opened(self, session: Session) -> None:
        """The upgrade is done."""
        self.session = session
        self.connection.on_opened(self)
        self._step(Event.OPENED)

    def closed_by_peer(self, reason: str) -> None:
        self._step(Event.CLOSED, reason)

    def failed(self, reason: str) -> None:
        self._step(Event.DEAD, reason)

    def first_data(self, stream: Stream) -> None:
        self._do(self.dialogue.on_first_data(stream, self._now()))
        self.connection.on_first_data(self, stream)

    def inbound(self, inbound: Inbound, payload: bytes) -> None:
        now_ns = self._now()
        match inbound.kind:
            case Kind.ACK | Kind.ERROR:
                self._do(self.dialogue.on_inbound(inbound, now_ns))
                if inbound.kind is Kind.ERROR:
                    log.warning(
                        "%s: the venue says: %s %s", self.connection.label, inbound.code, inbound.text
                    )
            case Kind.PONG:
                self._pong(inbound, now_ns)
            case Kind.PING:
                reply = self.connection.exchange.reply(payload, inbound)
                if reply is not None and self.session is not None:
                    self.session.send_text(reply)
            case Kind.NOTICE:
                self._step(Event.ROTATE, f"the venue says: {inbound.code or ''} {inbound.text}".strip())
            case _:
                log.debug("%s: %s", self.connection.label, inbound.text)

    def _pong(self, inbound: Inbound, now_ns: int) -> None:
        rtt_ns, actions = self.dialogue.on_pong(inbound.request_id, now_ns)
        if rtt_ns is None:
            self.connection.counters.unknown += 1
            log.warning("%s: a pong that answers no ping of ours", self.connection.label)
        else:
            self.connection.counters.rtt.add(rtt_ns)
            self.connection.on_rtt(self)
        self._do(actions)
        if self.session is not None and self.session.transport is not None:
            # Whoever awaits transport.measure_roundtrip_time() with a ping of the venue's own.
            self.session.transport.notify_user_specific_pong_received()

    def writing(self, is_paused: bool) -> None:
        self._do(self.dialogue.set_paused(is_paused, self._now()))

    # Actions

    def _now(self) -> int:
        return self.connection.clock.monotonic_ns()

    def _activity(self, stream: Stream) -> tuple[int, int]:
        return self.session.pipeline.activity(stream) if self.session is not None else (0, 0)

    def _step(self, event: Event, reason: str = "", wait_s: float = 0.0) -> None:
        self._do(self.dialogue.step(event, self._now(), reason, wait_s))

    def _do(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case Send(payload):
                    if self.session is not None:
                        self.session.send_text(payload)
                case SendPing(payload):
                    if self.session is not None:
                        self.session.send_ping(payload)
                case Dial(attempt):
                    self._dialling = self.connection.spawn(self._dial(attempt))
                case Close(is_abort, reason):
                    if self.session is not None:
                        self._close(self.session, is_abort, reason)
                case Tell(kind, stream, detail, values):
                    self.connection.tell(kind, stream, detail, values, link=self)
                case Restarted(stream):
                    if self.session is not None:
                        self.session.pipeline.restart(stream)
                case Rotate(reason):
                    self.connection.rotate(self, reason)
                case Lost(reason, _):
                    self.session = None
                    self.connection.on_lost(self, reason)
        self._arm()

    def _close(self, session: Session, is_abort: bool, reason: str) -> None:
        session.close(is_abort, reason)
        if not is_abort:
            # The peer has so long for its CLOSE; what it still sends until then is delivered.
            self.connection.loop.call_later(CLOSE_S, session.close, True, reason)

    def _arm(self) -> None:
        """One timer, for the next deadline of all."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.dialogue.state is State.STOPPED:
            return
        now_ns = self._now()
        deadline_ns = self.dialogue.next_deadline_ns(now_ns)
        if deadline_ns < NEVER_NS:
            # Deadlines may move while they wait (data come): an early look costs nothing, a late one does.
            delay_s = max(deadline_ns - now_ns, 0) / 1e9
            self._timer = self.connection.loop.call_later(delay_s, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self.session is not None:
            self.dialogue.last_recv_ns = max(self.dialogue.last_recv_ns, self.session.pipeline.mono_ns)
        self._do(self.dialogue.on_timer(self._now()))

    async def _dial(self, attempt: int) -> None:
        url = self.connection.url(self.route)
        self.connection.tell(StatusKind.CONNECTING, None, f"{url}, attempt {attempt}", {}, link=self)
        try:
            await open_session(self, url)
        except DialFailed as error:
            self._step(Event.DIAL_FAILED, str(error), error.wait_s)


class Ear:
    """Owner of one session of a link: what a socket says after the link has left it is not heard."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.session: Session | None = None

    @property
    def _is_current(self) -> bool:
        return self.session is not None and self._link.session is self.session

    def on_opened(self, transport: WSTransport) -> None:  # noqa: ARG002 - Owner's signature
        assert self.session is not None
        self._link.opened(self.session)

    def on_closed(self, reason: str) -> None:
        if self._is_current:
            self._link.closed_by_peer(reason)

    def on_first_data(self, stream: Stream) -> None:
        if self._is_current:
            self._link.first_data(stream)

    def on_inbound(self, inbound: Inbound, payload: bytes) -> None:
        if self._is_current:
            self._link.inbound(inbound, payload)

    def on_book_action(
        self,
        stream: Stream,
        action: int,
        error: BookError | None,  # noqa: ARG002 - Owner's signature
    ) -> None:
        if not self._is_current:
            return
        if action == NEED_RESUBSCRIBE:
            self._link.resubscribe(stream)
        else:
            self._link.connection.fetch_snapshot(stream)

    def on_writing(self, is_paused: bool) -> None:
        if self._is_current:
            self._link.writing(is_paused)

    def tell(
        self,
        kind: StatusKind,
        stream: Stream | None = None,
        detail: str = "",
        values: dict[str, float] | None = None,
    ) -> None:
        self._link.connection.tell(kind, stream, detail, values or {}, link=self._link)

    def fail(self, reason: str) -> None:
        if self._is_current:
            self._link.failed(reason)
