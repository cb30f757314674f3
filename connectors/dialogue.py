"""The life of one connection as a table: what happens (and when) in, what to do out. No socket, no clock,
no task.

`Dialogue.step(event, now_ns)` looks up (state, event) in TRANSITIONS; what is not in the table is ignored
(an event of a
socket that is gone, a second stop). `Dialogue.on_timer(now_ns)` turns deadlines that have passed into events.
All times are monotonic ns.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Sequence

import msgspec

from connectors.backoff import NS_PER_S, Backoff, Window
from connectors.exchange import Exchange, Inbound, Kind
from connectors.facts import Budget
from connectors.heartbeat import Beat, Heartbeat, RttWatch
from connectors.instrument import Stream
from connectors.outbox import Outbox
from connectors.settings import ConnectionSettings
from connectors.status import StatusKind
from connectors.subscriptions import (
    NEVER_NS,
    Activity,
    Hopeless,
    Resubscribing,
    SendRequest,
    SubAction,
    Subscriptions,
    SubState,
    Told,
)


class State(enum.Enum):
    IDLE = "idle"
    WAITING = "waiting"  # for the next dial: backoff, the budget of dials
    CONNECTING = "connecting"
    SUBSCRIBING = "subscribing"  # open; some stream does not deliver yet
    LIVE = "live"  # every stream delivers (or is refused, or may be silent for ever)
    STOPPED = "stopped"


class Event(enum.Enum):
    START = "start"
    DIAL_DUE = "dial due"
    OPENED = "opened"
    DIAL_FAILED = "dial failed"
    SETTLED = "settled"
    UNSETTLED = "unsettled"
    DEAD = "dead"  # no pong, a silent server, nothing works
    CLOSED = "closed"  # by the other side, cleanly or not: a loss either way
    ROTATE = "rotate"  # age, the venue's notice, the round trip
    STOP = "stop"


TRANSITIONS: dict[tuple[State, Event], tuple[State, str]] = {
    # (state, event): (next state, the step that is done)
    (State.IDLE, Event.START): (State.WAITING, "plan_dial"),
    (State.WAITING, Event.DIAL_DUE): (State.CONNECTING, "dial"),
    (State.CONNECTING, Event.OPENED): (State.SUBSCRIBING, "greet"),
    (State.CONNECTING, Event.DIAL_FAILED): (State.WAITING, "lose"),
    (State.SUBSCRIBING, Event.SETTLED): (State.LIVE, "settle"),
    (State.LIVE, Event.UNSETTLED): (State.SUBSCRIBING, "nothing"),
    (State.SUBSCRIBING, Event.CLOSED): (State.WAITING, "lose"),
    (State.LIVE, Event.CLOSED): (State.WAITING, "lose"),
    (State.SUBSCRIBING, Event.DEAD): (State.WAITING, "abort"),
    (State.LIVE, Event.DEAD): (State.WAITING, "abort"),
    (State.SUBSCRIBING, Event.ROTATE): (State.SUBSCRIBING, "rotate"),
    (State.LIVE, Event.ROTATE): (State.LIVE, "rotate"),
    (State.IDLE, Event.STOP): (State.STOPPED, "nothing"),
    (State.WAITING, Event.STOP): (State.STOPPED, "nothing"),
    (State.CONNECTING, Event.STOP): (State.STOPPED, "hang_up"),
    (State.SUBSCRIBING, Event.STOP): (State.STOPPED, "hang_up"),
    (State.LIVE, Event.STOP): (State.STOPPED, "hang_up"),
}


class Dial(msgspec.Struct, frozen=True):
    """Open a socket; attempt: losses in a row + 1."""

    attempt: int


class Send(msgspec.Struct, frozen=True):
    """A text frame."""

    payload: bytes


class SendPing(msgspec.Struct, frozen=True):
    """A protocol PING with this payload."""

    payload: bytes


class Close(msgspec.Struct, frozen=True):
    """is_abort: the peer no longer answers; nothing is said to it."""

    is_abort: bool
    reason: str


class Tell(msgspec.Struct, frozen=True):
    kind: StatusKind
    stream: Stream | None = None
    detail: str = ""
    values: dict[str, float] = {}


class Restarted(msgspec.Struct, frozen=True):
    """A stream starts anew: void its merged state and its book."""

    stream: Stream


class Rotate(msgspec.Struct, frozen=True):
    """Open another connection beside this one, then leave this one."""

    reason: str


class Lost(msgspec.Struct, frozen=True):
    """The socket is gone: all books of it are stale. retry_ns: when it is dialled again (monotonic)."""

    reason: str
    retry_ns: int


Action = Dial | Send | SendPing | Close | Tell | Restarted | Rotate | Lost


class Dialogue:
    """Sans-I/O. One at a time per line of a connection; a successor (make before break) has its own.

    budget: dials per host, shared by all that dial it. last_recv: monotonic ns of the last byte of this
    socket.
    """

    def __init__(
        self,
        exchange: Exchange,
        settings: ConnectionSettings,
        streams: Sequence[Stream],
        *,
        activity: Activity,
        budget: Window,
        rng: random.Random,
    ) -> None:
        self._exchange = exchange
        self._settings = settings
        self._activity = activity
        self._budget = budget
        self._backoff = Backoff(
            settings.backoff.base_s, settings.backoff.max_s, settings.backoff.reset_s, rng
        )
        self.state = State.IDLE
        self.watch = RttWatch(settings.rtt)
        self.dial_ns = NEVER_NS  # when the next dial is due, while WAITING
        self.last_recv_ns = 0
        self.sent_before = 0  # messages on the next socket before it is ours: a race measures its candidates
        self._dialled_ns = 0
        self._reason = ""
        self._age_ns = NEVER_NS
        self._live_since_ns: int | None = None
        self._fresh(list(streams))

    def _fresh(self, streams: list[Stream]) -> None:
        """What belongs to one socket only."""
        budget = self._exchange.facts.limits.messages
        if budget is not None and budget.count > 2:
            # One is left for the answer to the venue's own ping, which can not wait.
            budget = Budget(count=budget.count - 1, per_s=budget.per_s)
        self._messages = Window(budget)
        self.subscriptions = Subscriptions(self._exchange, streams, self._activity, self._messages)
        self.outbox = Outbox(self._messages)
        self.heartbeat = Heartbeat(
            self._exchange.facts.heartbeat, self._settings.heartbeat, self._settings.rtt
        )

    @property
    def is_open(self) -> bool:
        return self.state in (State.SUBSCRIBING, State.LIVE)

    # Events

    def step(self, event: Event, now_ns: int, reason: str = "", wait_s: float = 0.0) -> list[Action]:
        """wait_s: of DIAL_FAILED and CLOSED, the least time the venue told us to wait."""
        entry = TRANSITIONS.get((self.state, event))
        if entry is None:
            return []
        self.state, name = entry
        self._reason = reason
        if wait_s:
            self._budget.hold_until(now_ns + round(wait_s * NS_PER_S))
        actions: list[Action] = getattr(self, f"_{name}")(now_ns)
        return actions

    def on_inbound(self, inbound: Inbound, now_ns: int) -> list[Action]:
        """A classified ACK or ERROR."""
        if not self.is_open:
            return []
        is_error = inbound.kind is Kind.ERROR
        answer = self.subscriptions.on_error if is_error else self.subscriptions.on_ack
        return self._after(answer(inbound, now_ns), now_ns)

    def on_first_data(self, stream: Stream, now_ns: int) -> list[Action]:
        """The first message of a stream since it was (re)subscribed."""
        if not self.is_open:
            return []
        if self._live_since_ns is None:
            self._live_since_ns = now_ns
        return self._after(self.subscriptions.on_first_data(stream, now_ns), now_ns)

    def on_pong(self, ping_id: int | None, now_ns: int) -> tuple[int | None, list[Action]]:
        """Round-trip ns (None: it answers no ping of ours), and what follows from it."""
        rtt_ns = self.heartbeat.on_pong(now_ns, ping_id) if self.is_open else None
        if rtt_ns is None:
            return None, []
        is_high = self.watch.on_sample(rtt_ns)
        if not is_high or self.heartbeat.is_measuring:
            return rtt_ns, []
        return rtt_ns, self._too_slow(now_ns)

    def _too_slow(self, now_ns: int) -> list[Action]:
        if self._settings.rtt.action == "reconnect":
            return self.step(Event.ROTATE, now_ns, self.watch.text)
        values = {"ewma_ms": self.watch.ewma_ns / 1e6, "baseline_ms": self.watch.baseline_ns / 1e6}
        return [Tell(StatusKind.RTT, None, f"above its limit: {self.watch.text}", values)]

    def resubscribe(self, stream: Stream, now_ns: int) -> list[Action]:
        return self._after(self.subscriptions.resubscribe(stream, now_ns), now_ns) if self.is_open else []

    def change(self, add: Sequence[Stream], remove: Sequence[Stream], now_ns: int) -> list[Action]:
        """Streams at run time; while there is no socket they are noted for the next one."""
        actions: list[SubAction] = []
        if self.is_open:
            actions.extend(self.subscriptions.remove(remove, now_ns))
            actions.extend(self.subscriptions.add(add, now_ns))
            return self._after(actions, now_ns)
        gone = {stream.topic for stream in remove}
        kept = [stream for stream in self.subscriptions.streams if stream.topic not in gone]
        self._fresh([*kept, *add])
        return []

    def flush(self, now_ns: int) -> list[Action]:
        """What strategies have put into the outbox, as far as the venue's limit on messages allows."""
        return [Send(payload) for payload in self.outbox.take(now_ns)] if self.is_open else []

    def set_paused(self, is_paused: bool, now_ns: int) -> list[Action]:
        """The send buffer is full, or has drained."""
        self.outbox.is_paused = is_paused
        if is_paused:
            self.subscriptions.pause()
            return []
        return self._after(self.subscriptions.resume(now_ns), now_ns) if self.is_open else []

    # Time

    def next_deadline_ns(self, now_ns: int) -> int:
        """When to call on_timer."""
        if self.state is State.WAITING:
            return self.dial_ns
        if not self.is_open:
            return NEVER_NS
        return min(
            self._age_ns,
            self.heartbeat.next_deadline_ns(self.last_recv_ns),
            self.subscriptions.next_deadline_ns(now_ns),
            self.outbox.next_ns(now_ns),
        )

    def on_timer(self, now_ns: int) -> list[Action]:
        """Everything that is due."""
        if self.state is State.WAITING and now_ns >= self.dial_ns:
            return self._dial_or_wait(now_ns)
        if not self.is_open:
            return []
        actions = self._beat(now_ns)
        if self.is_open and now_ns >= self._age_ns:
            self._age_ns = NEVER_NS
            actions.extend(self.step(Event.ROTATE, now_ns, "near the venue's maximum connection age"))
        if self.is_open:
            actions.extend(self._after(self.subscriptions.on_timer(now_ns), now_ns))
            actions.extend(self.flush(now_ns))
        return actions

    def _dial_or_wait(self, now_ns: int) -> list[Action]:
        """Others may have used the host's budget in the meantime."""
        self.dial_ns = self._budget.ready_ns(now_ns)
        return self.step(Event.DIAL_DUE, now_ns) if self.dial_ns <= now_ns else []

    def _beat(self, now_ns: int) -> list[Action]:
        beat = self.heartbeat.on_timer(now_ns, self.last_recv_ns)
        if beat is Beat.DEAD:
            silence_s = (now_ns - self.last_recv_ns) / NS_PER_S
            return self.step(Event.DEAD, now_ns, f"no answer to our ping (last byte {silence_s:.1f} s ago)")
        if beat is Beat.NOTHING:
            return []
        ready_ns = self._messages.ready_ns(now_ns)
        if ready_ns > now_ns:
            self.heartbeat.postpone(ready_ns)
            return []
        return [self.ping(now_ns)]

    def ping(self, now_ns: int) -> Action:
        """A ping, counted."""
        self._messages.take(now_ns)
        ping_id = self.heartbeat.on_ping_sent(now_ns)
        text = self._exchange.ping(ping_id)
        return Send(text) if text is not None else SendPing(str(ping_id).encode())

    # Steps of the table

    def _nothing(self, _now_ns: int) -> list[Action]:
        return []

    def _plan_dial(self, now_ns: int) -> list[Action]:
        self.dial_ns = self._budget.ready_ns(now_ns)
        return []

    def _dial(self, now_ns: int) -> list[Action]:
        self.dial_ns = NEVER_NS
        self._dialled_ns = now_ns
        self._budget.take(now_ns)
        return [Dial(self._backoff.losses + 1)]

    def _greet(self, now_ns: int) -> list[Action]:
        self._budget.renew(self._dialled_ns, now_ns)
        self._dialled_ns = 0
        self.last_recv_ns = now_ns
        self._live_since_ns = None
        age_s = self._exchange.facts.limits.age_s
        # 10 % early: the successor has to be live before the venue closes this one.
        self._age_ns = now_ns + round(age_s * 0.9 * NS_PER_S) if age_s else NEVER_NS
        self._fresh(self.subscriptions.streams)
        if self.sent_before:
            self._messages.take(now_ns, self.sent_before)
            self.sent_before = 0
        self.watch = RttWatch(self._settings.rtt)
        self.heartbeat.start(now_ns)
        opened: list[Action] = [Tell(StatusKind.CONNECTED)]
        # The first ping goes out before the requests, so that it measures the line and not their handling.
        beat = self._beat(now_ns)
        return [*opened, *beat, *self._after(self.subscriptions.start(now_ns), now_ns)]

    def _settle(self, _now_ns: int) -> list[Action]:
        states = list(self.subscriptions.states.values())
        refused = states.count(SubState.REFUSED)
        text = f"{len(states) - refused} streams" + (f", {refused} refused" if refused else "")
        return [Tell(StatusKind.LIVE, None, text)]

    def _lose(self, now_ns: int) -> list[Action]:
        self._budget.renew(self._dialled_ns, now_ns)
        self._dialled_ns = 0
        wait_ns = self._backoff.on_lost(now_ns, self._live_since_ns)
        self._live_since_ns = None
        self.dial_ns = self._budget.ready_ns(now_ns + wait_ns)
        unsent = f"; {len(self.outbox)} messages of strategies were not sent" if len(self.outbox) else ""
        return [Tell(StatusKind.LOST, None, self._reason + unsent), Lost(self._reason, self.dial_ns)]

    def _abort(self, now_ns: int) -> list[Action]:
        return [Close(True, self._reason), *self._lose(now_ns)]

    def _rotate(self, _now_ns: int) -> list[Action]:
        return [Rotate(self._reason)]

    def _hang_up(self, _now_ns: int) -> list[Action]:
        return [Close(False, self._reason), Tell(StatusKind.STOPPED, None, self._reason)]

    def _after(self, actions: list[SubAction], now_ns: int) -> list[Action]:
        """Actions of the streams as ours; then: does everything deliver?"""
        out: list[Action] = []
        for action in actions:
            match action:
                case SendRequest(payload):
                    out.append(Send(payload))
                case Told(kind, stream, detail):
                    out.append(Tell(kind, stream, detail))
                case Resubscribing(stream):
                    out.append(Restarted(stream))
                case Hopeless(reason):
                    return [*out, *self.step(Event.DEAD, now_ns, reason)]
        event = Event.SETTLED if self.subscriptions.is_settled else Event.UNSETTLED
        return [*out, *self.step(event, now_ns)]
