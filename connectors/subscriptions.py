"""The streams of one socket: asked for, acked, delivering, silent, refused. Values and a time in, actions
out.

An ack proves nothing, only data does. Per stream:

    QUEUED --sent--> PENDING --ack--> ACKED --data--> LIVE --silent too long--> STALE --unsubscribe,
    subscribe--> PENDING
                        |                |                                            (this stream alone)
                        +--error--> REFUSED                PENDING, ACKED: no ack, no data in time: the
                        same as STALE
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Iterable, Sequence

import msgspec

from connectors.backoff import NS_PER_S, Window
from connectors.exchange import Exchange, Inbound
from connectors.instrument import Stream
from connectors.status import StatusKind

Activity = Callable[[Stream], tuple[int, int]]
"""Messages of a stream on this socket so far, and the monotonic ns of the last one (0: none)."""

GIVE_UP_AFTER = 2  # attempts without an ack or data, when nothing else lives either
MAX_PATIENCE = 32  # deadlines of a stream that never comes double up to so many times their length
GAPS_OF_SILENCE = 20  # a slow stream may be silent for so many of its own mean gaps
# A fast one is missed sooner than its channel's threshold says: after this many gaps, not before LOOK_NS.
# Markets pause: a second without a trade in a stream of fifty a second is nothing.
GAPS_OF_A_FAST_STREAM = 200
LOOK_NS = 10 * NS_PER_S  # how often the rate of a live stream is measured
NEVER_NS = (1 << 63) - 1


class SubState(enum.Enum):
    QUEUED = "queued"  # to be sent
    PENDING = "pending"
    ACKED = "acked"
    LIVE = "live"
    STALE = "stale"  # to be sent again
    REFUSED = "refused"


class Subscription:
    """One stream on one socket."""

    __slots__ = ("attempts", "deadline_ns", "gap_ns", "seen", "seen_ns", "state", "stream", "uses_alone")

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.state = SubState.QUEUED
        self.deadline_ns = NEVER_NS  # of the ack, the first data, the next look at the silence
        self.attempts = 0  # since it was last live
        self.uses_alone = False  # must stand in a request of its own: its batch was refused
        self.seen = 0  # messages at the last look
        self.seen_ns = 0
        self.gap_ns = 0.0  # EWMA of the mean time between messages

    @property
    def first_data_s(self) -> float | None:
        fact = self.stream.fact
        return None if fact is None or fact.quiet_s is None else fact.first_data_s

    @property
    def quiet_s(self) -> float | None:
        return self.stream.fact.quiet_s if self.stream.fact is not None else None


class SendRequest(msgspec.Struct, frozen=True):
    """A text frame to send. It has been counted against the limits."""

    payload: bytes


class Told(msgspec.Struct, frozen=True):
    """A change of one stream, for `on_status`."""

    kind: StatusKind
    stream: Stream
    detail: str = ""


class Resubscribing(msgspec.Struct, frozen=True):
    """The stream starts anew: its merged state is void, its book is not true until a new snapshot."""

    stream: Stream


class Hopeless(msgspec.Struct, frozen=True):
    """Nothing of this socket works: dial anew."""

    reason: str


SubAction = SendRequest | Told | Resubscribing | Hopeless


class _Request(msgspec.Struct):
    id: int
    subscriptions: list[Subscription]
    is_unsubscribe: bool


class Subscriptions:
    """Of one socket. `messages`: the budget of all that is sent on it, shared with the heartbeat."""

    def __init__(
        self, exchange: Exchange, streams: Iterable[Stream], activity: Activity, messages: Window
    ) -> None:
        self._exchange = exchange
        self._facts = exchange.facts.subscribe
        self._activity = activity
        self._messages = messages
        self._requests = Window(exchange.facts.limits.requests)
        self._by_topic = {stream.topic: Subscription(stream) for stream in streams}
        self._queue: deque[tuple[bool, list[Subscription]]] = deque()  # is_unsubscribe, what
        self._outstanding: dict[int, _Request] = {}
        self._next_id = 1
        self._next_look_ns = NEVER_NS
        self._is_paused = False

    # What is known

    @property
    def states(self) -> dict[str, SubState]:
        """By topic."""
        return {topic: each.state for topic, each in self._by_topic.items()}

    def state_of(self, stream: Stream) -> SubState | None:
        each = self._by_topic.get(stream.topic)
        return each.state if each else None

    @property
    def streams(self) -> list[Stream]:
        return [each.stream for each in self._by_topic.values()]

    @property
    def is_settled(self) -> bool:
        """Every stream delivers, or is refused, or is acked and of a kind that may be silent for ever."""
        return all(self._is_settled(each) for each in self._by_topic.values())

    @staticmethod
    def _is_settled(each: Subscription) -> bool:
        if each.state is SubState.ACKED:
            return each.first_data_s is None
        return each.state in (SubState.LIVE, SubState.REFUSED)

    # What is asked

    def start(self, now_ns: int) -> list[SubAction]:
        """The socket is open."""
        self._enqueue(list(self._by_topic.values()))
        return self.on_timer(now_ns)

    def add(self, streams: Sequence[Stream], now_ns: int) -> list[SubAction]:
        """At run time. Topics that are there already are left alone."""
        fresh = [Subscription(stream) for stream in streams if stream.topic not in self._by_topic]
        self._by_topic.update((each.stream.topic, each) for each in fresh)
        self._enqueue(fresh)
        return self.on_timer(now_ns)

    def remove(self, streams: Sequence[Stream], now_ns: int) -> list[SubAction]:
        """At run time."""
        gone = [each for stream in streams if (each := self._by_topic.pop(stream.topic, None)) is not None]
        if gone:
            self._queue.append((True, gone))
        return self.on_timer(now_ns)

    def resubscribe(self, stream: Stream, now_ns: int) -> list[SubAction]:
        """The book of this stream is broken and only a new subscription brings a snapshot."""
        each = self._by_topic.get(stream.topic)
        if each is None or each.state in (SubState.QUEUED, SubState.STALE, SubState.PENDING):
            return []  # under way
        return [*self._restart([each]), *self.on_timer(now_ns)]

    def pause(self) -> None:
        """The send buffer is full: requests wait."""
        self._is_paused = True

    def resume(self, now_ns: int) -> list[SubAction]:
        self._is_paused = False
        return self.on_timer(now_ns)

    def _enqueue(self, subscriptions: list[Subscription]) -> None:
        """Cut into requests that the venue accepts. The order of the config stays."""
        by_topic = {each.stream.topic: each for each in subscriptions if not each.uses_alone}
        for batch in self._exchange.batches([each.stream for each in by_topic.values()]):
            self._queue.append((False, [by_topic[stream.topic] for stream in batch]))
        self._queue.extend((False, [each]) for each in subscriptions if each.uses_alone)
        for each in subscriptions:
            each.state, each.deadline_ns = SubState.QUEUED, NEVER_NS

    def _restart(self, subscriptions: list[Subscription]) -> list[SubAction]:
        """Unsubscribe and subscribe these, and no others."""
        by_topic = {each.stream.topic: each for each in subscriptions}
        for each in subscriptions:
            each.attempts += 1
            self._forget_outstanding(each)
        for batch in self._exchange.batches([each.stream for each in subscriptions]):
            self._queue.append((True, [by_topic[stream.topic] for stream in batch]))
        self._enqueue(subscriptions)
        for each in subscriptions:
            each.state = SubState.STALE
        return [Resubscribing(each.stream) for each in subscriptions]

    def _forget_outstanding(self, each: Subscription) -> None:
        for request in list(self._outstanding.values()):
            if each in request.subscriptions:
                request.subscriptions.remove(each)
            if not request.subscriptions:
                del self._outstanding[request.id]

    # What comes in

    def on_first_data(self, stream: Stream, now_ns: int) -> list[SubAction]:
        """The first message since (re)subscription. Data are a better ack than an ack."""
        each = self._by_topic.get(stream.topic)
        if each is None or each.state in (SubState.QUEUED, SubState.STALE, SubState.LIVE):
            return []  # not yet sent: a late message of the subscription that is being replaced
        self._forget_outstanding(each)
        self._make_live(each, now_ns)
        return [Told(StatusKind.LIVE, stream)]

    def _make_live(self, each: Subscription, now_ns: int) -> None:
        each.state, each.attempts = SubState.LIVE, 0
        each.seen, each.seen_ns = self._activity(each.stream)[0], now_ns
        self._arm_look(each, now_ns)

    def on_ack(self, inbound: Inbound, now_ns: int) -> list[SubAction]:
        """An ack: of a request by its id, or of topics by their names."""
        acked: list[Subscription] = []
        request = self._outstanding.get(inbound.request_id) if inbound.request_id is not None else None
        if request is not None:
            del self._outstanding[request.id]
            acked = [] if request.is_unsubscribe else request.subscriptions
        elif not inbound.is_unsubscribe:
            acked = [self._by_topic[topic] for topic in inbound.topics if topic in self._by_topic]
        told: list[SubAction] = []
        for each in acked:
            if each.state is SubState.PENDING:
                self._forget_outstanding(each)
                told.extend(self._acked(each, now_ns))
        return told

    def _acked(self, each: Subscription, now_ns: int) -> list[SubAction]:
        each.state = SubState.ACKED
        patience_s = each.first_data_s
        each.deadline_ns = now_ns + self._patient(each, patience_s) if patience_s is not None else NEVER_NS
        return [Told(StatusKind.SUBSCRIBED, each.stream)]

    def _patient(self, each: Subscription, seconds: float) -> int:
        """A deadline that doubles with each attempt in vain."""
        return round(seconds * min(1 << max(each.attempts - 1, 0), MAX_PATIENCE) * NS_PER_S)

    def on_error(self, inbound: Inbound, now_ns: int) -> list[SubAction]:
        """Refused: by topic, by request, or (no names at all) the only request that is out."""
        if inbound.retry_after_s is not None:
            return self._hold(inbound.retry_after_s, now_ns)
        named = [self._by_topic[topic] for topic in inbound.topics if topic in self._by_topic]
        if named:
            return [action for each in named for action in self._refused(each, inbound)]
        request = self._outstanding.get(inbound.request_id) if inbound.request_id is not None else None
        if request is None and inbound.request_id is None and len(self._outstanding) == 1:
            request = next(iter(self._outstanding.values()))
        if request is None or request.is_unsubscribe:
            if request is not None:
                del self._outstanding[request.id]
            return []
        if len(request.subscriptions) == 1:
            return self._refused(request.subscriptions[0], inbound)
        return self._halve(request, now_ns)

    def _refused(self, each: Subscription, inbound: Inbound) -> list[SubAction]:
        self._forget_outstanding(each)
        each.state, each.deadline_ns = SubState.REFUSED, NEVER_NS
        code = f"{inbound.code}: " if inbound.code else ""
        return [Told(StatusKind.REFUSED, each.stream, f"{code}{inbound.text}")]

    def _halve(self, request: _Request, now_ns: int) -> list[SubAction]:
        """One bad topic may have sunk the batch: ask for each half."""
        del self._outstanding[request.id]
        middle = len(request.subscriptions) // 2
        for half in (request.subscriptions[:middle], request.subscriptions[middle:]):
            for each in half:
                each.state, each.deadline_ns = SubState.QUEUED, NEVER_NS
                each.uses_alone = len(half) == 1
            self._queue.append((False, half))
        return self.on_timer(now_ns)

    def _hold(self, seconds: float, now_ns: int) -> list[SubAction]:
        """Too many requests: what is out is asked again, later."""
        self._requests.hold_until(now_ns + round(seconds * NS_PER_S))
        for request in list(self._outstanding.values()):
            del self._outstanding[request.id]
            if not request.is_unsubscribe:
                self._queue.appendleft((False, request.subscriptions))
            for each in request.subscriptions:
                if each.state is SubState.PENDING:
                    each.state, each.deadline_ns = SubState.QUEUED, NEVER_NS
        return []

    # Time

    def next_deadline_ns(self, now_ns: int) -> int:
        """When to call on_timer."""
        earliest = min((each.deadline_ns for each in self._by_topic.values()), default=NEVER_NS)
        if self._queue and not self._is_paused:
            earliest = min(earliest, self._may_send_ns(now_ns))
        return earliest

    def _may_send_ns(self, now_ns: int) -> int:
        return max(self._requests.ready_ns(now_ns), self._messages.ready_ns(now_ns))

    def on_timer(self, now_ns: int) -> list[SubAction]:
        """Deadlines that have passed, then requests that may be sent."""
        actions: list[SubAction] = []
        silent: list[Subscription] = []
        for each in list(self._by_topic.values()):
            if now_ns >= each.deadline_ns:
                told = self._overdue(each, now_ns)
                actions.extend(told)
                if any(isinstance(action, Hopeless) for action in told):
                    return actions
                if told:
                    silent.append(each)
        if silent:
            actions.extend(self._restart(silent))
        while self._queue and not self._is_paused and self._may_send_ns(now_ns) <= now_ns:
            actions.extend(self._send(*self._queue.popleft(), now_ns))
        return actions

    def _send(self, is_unsubscribe: bool, batch: list[Subscription], now_ns: int) -> list[SubAction]:
        self._requests.take(now_ns)
        self._messages.take(now_ns)
        request_id, self._next_id = self._next_id, self._next_id + 1
        streams = [each.stream for each in batch]
        if is_unsubscribe:
            return [SendRequest(self._exchange.unsubscribe(streams, request_id))]
        for each in batch:
            each.attempts = max(each.attempts, 1)
            each.state = SubState.PENDING
            each.deadline_ns = now_ns + self._patient(each, self._facts.ack_s)
        actions: list[SubAction] = [SendRequest(self._exchange.subscribe(streams, request_id))]
        if self._facts.ack == "none":
            for each in batch:
                actions.extend(self._acked(each, now_ns))
        else:
            self._outstanding[request_id] = _Request(request_id, list(batch), False)
        return actions

    def _overdue(self, each: Subscription, now_ns: int) -> list[SubAction]:
        """What is told of a deadline that has passed; nothing: it was moved on."""
        if each.state is SubState.LIVE:
            return self._look(each, now_ns)
        what = "no ack" if each.state is SubState.PENDING else "acked, but no data"
        is_alone = all(other.state is not SubState.LIVE for other in self._by_topic.values())
        if is_alone and each.attempts >= GIVE_UP_AFTER:
            each.deadline_ns = NEVER_NS
            return [
                Hopeless(
                    f"{each.stream.topic}: {what} after {each.attempts} requests, and no other stream lives"
                )
            ]
        detail = f"{what} in time, attempt {each.attempts}"
        return [Told(StatusKind.STALE, each.stream, detail)]

    def _look(self, each: Subscription, now_ns: int) -> list[SubAction]:
        """Is a live stream silent for too long, by its own rate?"""
        messages, last_ns = self._activity(each.stream)
        if messages > each.seen:
            # Up to the last message: the silence that may have begun is not part of the rate.
            gap_ns = (last_ns - each.seen_ns) / (messages - each.seen)
            each.gap_ns = gap_ns if not each.gap_ns else each.gap_ns + (gap_ns - each.gap_ns) / 4
            each.seen, each.seen_ns = messages, last_ns
        if now_ns - last_ns < self._silence_ns(each):
            self._arm_look(each, now_ns)
            return []
        return [Told(StatusKind.STALE, each.stream, f"silent for {(now_ns - last_ns) / NS_PER_S:.1f} s")]

    def _silence_ns(self, each: Subscription) -> int:
        """How long a live stream may be silent: the channel's threshold, less or more by its own rate."""
        if each.quiet_s is None:
            return NEVER_NS
        allowed = round(each.quiet_s * NS_PER_S)
        if each.gap_ns:
            allowed = min(allowed, max(LOOK_NS, round(each.gap_ns * GAPS_OF_A_FAST_STREAM)))
        return max(allowed, round(each.gap_ns * GAPS_OF_SILENCE))

    def _arm_look(self, each: Subscription, now_ns: int) -> None:
        allowed = self._silence_ns(each)
        last_ns = self._activity(each.stream)[1] or now_ns
        look_ns = max(min(last_ns + allowed, now_ns + LOOK_NS), now_ns + 1)
        each.deadline_ns = NEVER_NS if allowed == NEVER_NS else look_ns
