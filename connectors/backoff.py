"""How long to wait: before a dial, before a request. Values and a time in, a time out; no clock, no
socket."""

from __future__ import annotations

import random
from collections import deque

from connectors.facts import Budget

NS_PER_S = 1_000_000_000
_STAY_AWAY_S = 60.0  # 418 and 429 without a Retry-After that can be read
_MAX_STAY_AWAY_S = 7 * 86_400.0  # bans of three days are documented


class Window:
    """At most `budget.count` units in any `budget.per_s` seconds (a sliding window, exact); None: no limit.

    One serves the dials of a host, the messages of a connection, the weight of a REST API.
    The window is SLACK_S longer than the venue's: what leaves us evenly arrives there in bunches.
    """

    SLACK_S = 0.1

    def __init__(self, budget: Budget | None) -> None:
        self._count = budget.count if budget else 0
        self._per_ns = round((budget.per_s + self.SLACK_S) * NS_PER_S) if budget else 0
        self._taken: deque[tuple[int, int]] = deque()
        self._used = 0
        self._held_until_ns = 0

    def ready_ns(self, now_ns: int, cost: int = 1) -> int:
        """The earliest time >= now_ns at which `cost` units may be taken. A cost above the whole budget
        counts as all of it."""
        earliest = max(now_ns, self._held_until_ns)
        if not self._count:
            return earliest
        self._forget(now_ns)
        cost = min(cost, self._count)
        free = self._count - self._used
        for taken_ns, units in self._taken:
            if free >= cost:
                break
            free += units
            earliest = max(earliest, taken_ns + self._per_ns)
        return earliest

    def take(self, now_ns: int, cost: int = 1) -> None:
        """Use `cost` units now; the caller has asked ready_ns (or does what can not wait: it is counted
        all the same)."""
        if self._count:
            self._forget(now_ns)
            self._taken.append((now_ns, cost))
            self._used += cost

    def renew(self, taken_ns: int, now_ns: int) -> None:
        """What was taken at `taken_ns` is over only now: the venue may have counted it at any time since."""
        if (taken_ns, 1) in self._taken:
            self._taken.remove((taken_ns, 1))
            self._taken.append((now_ns, 1))

    def note_used(self, now_ns: int, used: int) -> None:
        """The venue says that `used` units are gone: it also counts what others on this address took."""
        if self._count:
            self._forget(now_ns)
            if used > self._used:
                self._taken.append((now_ns, used - self._used))
                self._used = used

    def hold_until(self, ns: int) -> None:
        """Nothing before `ns`: Retry-After, HTTP 418 and 429."""
        self._held_until_ns = max(self._held_until_ns, ns)

    def _forget(self, now_ns: int) -> None:
        while self._taken and self._taken[0][0] + self._per_ns <= now_ns:
            self._used -= self._taken.popleft()[1]


class Backoff:
    """One immediate try after a loss, then full jitter: uniform(0, min(max_s, base_s * 2**n)).

    It starts anew only after data had flowed for `reset_s`: a venue that accepts and closes again is not
    hammered.
    """

    def __init__(self, base_s: float, max_s: float, reset_s: float, rng: random.Random) -> None:
        self._base_s = base_s
        self._max_s = max_s
        self._reset_ns = round(reset_s * NS_PER_S)
        self._rng = rng
        self.losses = 0  # in a row

    def on_lost(self, now_ns: int, live_since_ns: int | None) -> int:
        """Nanoseconds to wait before the next dial. live_since_ns: first data of the lost connection;
        None: there were none."""
        if live_since_ns is not None and now_ns - live_since_ns >= self._reset_ns:
            self.losses = 0
        self.losses += 1
        if self.losses == 1:
            return 0
        # The exponent is bounded so that a week of losses does not make a huge float.
        ceiling_s = min(self._max_s, self._base_s * 2.0 ** min(self.losses - 2, 60))
        return round(self._rng.uniform(0.0, ceiling_s) * NS_PER_S)


def retry_after_s(text: str) -> float:
    """Seconds that a Retry-After header asks for, 1 at least; 60: missing, a date, no number, above a week.

    RFC 9110 10.2.3. A zero would have us ask as fast as we can.
    """
    try:
        seconds = float(text) if text.isascii() and len(text) < 16 else -1.0
    except ValueError:
        return _STAY_AWAY_S
    return max(seconds, 1.0) if 0.0 <= seconds <= _MAX_STAY_AWAY_S else _STAY_AWAY_S
