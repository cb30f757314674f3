"""When to ping, when a peer is dead, and how long a round trip takes. Times in (monotonic ns), actions
out."""

from __future__ import annotations

import enum
from collections import deque

from connectors.facts import HeartbeatFacts
from connectors.settings import HeartbeatSettings, RttSettings

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000


class Beat(enum.Enum):
    NOTHING = "nothing"
    PING = "ping"
    DEAD = "dead"


class Heartbeat:
    """Of one socket. We ping every `every_s` (busy or not: some venues close who does not), sooner while
    measuring.

    Data do not answer a ping: a venue that streams but no longer hears us is half dead, and a half-open
    socket is silent.
    server_deadline_s: where the venue pings us, silence longer than that means that it is gone too.
    """

    def __init__(self, facts: HeartbeatFacts, settings: HeartbeatSettings, rtt: RttSettings) -> None:
        every_s = settings.every_s if settings.every_s is not None else facts.client.every_s
        reply_s = settings.reply_s if settings.reply_s is not None else facts.client.reply_s
        self._every_ns = round(min(every_s, rtt.every_s) * NS_PER_S)
        self._reply_ns = round(reply_s * NS_PER_S)
        self._silence_ns = round(facts.server.deadline_s * NS_PER_S) if facts.server else None
        self._rounds_left = max(rtt.rounds, 0)
        self._outstanding: deque[tuple[int, int]] = deque()  # ping id, sent_ns
        self._next_ping_ns = 0
        self._started_ns = 0
        self.last_id = 0

    def start(self, now_ns: int) -> None:
        """The socket is open: the rounds of the first measurement begin now."""
        self._started_ns = now_ns
        self._next_ping_ns = now_ns if self._rounds_left else now_ns + self._every_ns

    def next_deadline_ns(self, last_recv_ns: int) -> int:
        """When to call on_timer."""
        deadlines = [self._next_ping_ns]
        if self._outstanding:
            deadlines.append(self._outstanding[0][1] + self._reply_ns)
        if self._silence_ns is not None:
            deadlines.append(max(last_recv_ns, self._started_ns) + self._silence_ns)
        return min(deadlines)

    def on_timer(self, now_ns: int, last_recv_ns: int) -> Beat:
        """What is due. After PING the caller sends it and calls on_ping_sent."""
        if self._outstanding and now_ns >= self._outstanding[0][1] + self._reply_ns:
            return Beat.DEAD
        if self._silence_ns is not None and now_ns >= max(last_recv_ns, self._started_ns) + self._silence_ns:
            return Beat.DEAD
        return Beat.PING if now_ns >= self._next_ping_ns else Beat.NOTHING

    def on_ping_sent(self, now_ns: int) -> int:
        """The id the ping carries."""
        self.last_id += 1
        self._outstanding.append((self.last_id, now_ns))
        self._rounds_left = max(self._rounds_left - 1, 0)
        self._next_ping_ns = now_ns + self._every_ns
        return self.last_id

    def postpone(self, until_ns: int) -> None:
        """A ping was due but may not be sent yet (the venue's message budget, a full send buffer)."""
        self._next_ping_ns = max(self._next_ping_ns, until_ns)

    def on_pong(self, now_ns: int, ping_id: int | None) -> int | None:
        """Round-trip ns, or None: it answers no ping of ours. ping_id None: the venue does not echo it,
        order tells."""
        if ping_id is not None and all(ping_id != known for known, _ in self._outstanding):
            return None
        while self._outstanding:
            known, sent_ns = self._outstanding.popleft()
            # A venue may skip all but the latest ping (RFC 6455 5.5.3).
            if ping_id is None or known == ping_id:
                if self._rounds_left:
                    self._next_ping_ns = now_ns
                return now_ns - sent_ns
        return None

    @property
    def is_measuring(self) -> bool:
        """The rounds of the first measurement are not over."""
        return self._rounds_left > 0


class RttWatch:
    """Is the round trip too long? An EWMA (1/8) against a limit and against its own slow baseline (1/64)."""

    MIN_SAMPLES = 3  # before the baseline counts
    MIN_EXCESS_NS = 2 * NS_PER_MS  # a factor of almost nothing is noise

    def __init__(self, settings: RttSettings) -> None:
        self._max_ns = settings.max_ms * NS_PER_MS if settings.max_ms is not None else None
        self._factor = settings.baseline_factor
        self._samples = 0
        self.ewma_ns = 0.0
        self.baseline_ns = 0.0

    def on_sample(self, rtt_ns: int) -> bool:
        """True: too long now."""
        self._samples += 1
        if self._samples == 1:
            self.ewma_ns = self.baseline_ns = float(rtt_ns)
        self.ewma_ns += (rtt_ns - self.ewma_ns) / 8
        is_high = self.is_high
        if not is_high and rtt_ns <= max(
            self.baseline_ns * self._factor, self.baseline_ns + self.MIN_EXCESS_NS
        ):
            # A long trip does not raise the baseline it is compared with.
            self.baseline_ns += (rtt_ns - self.baseline_ns) / min(self._samples, 64)
        return is_high

    @property
    def is_high(self) -> bool:
        if self._samples == 0:
            return False
        if self._max_ns is not None and self.ewma_ns > self._max_ns:
            return True
        limit = max(self.baseline_ns * self._factor, self.baseline_ns + self.MIN_EXCESS_NS)
        return self._samples > self.MIN_SAMPLES and self.ewma_ns > limit

    @property
    def text(self) -> str:
        return f"round trip {self.ewma_ns / 1e6:.2f} ms, baseline {self.baseline_ns / 1e6:.2f} ms"
