"""When to ping a silent peer, and when to give it up. Values and a time in, an action out."""

from __future__ import annotations

import math
from enum import Enum
from typing import NamedTuple

PING_WHEN_IDLE = 1
PING_PERIODICALLY = 2

# Asked this much too late, the event loop was held up, and the pong may lie in the socket: it is read before
# the peer is given up. uvloop runs timers before it reads.
_LATE_S = 0.05
_LOOK_AGAIN_S = 0.01


class Action(Enum):
    WAIT = "wait"
    PING = "ping"
    GIVE_UP = "give up"


class Decision(NamedTuple):
    """What to do now, and in how many seconds to ask again."""

    action: Action
    again_in_s: float


class KeepAlive:
    """Dead-peer detection of one connection.

    strategy: PING_WHEN_IDLE pings after `idle_timeout_s` without any received byte; PING_PERIODICALLY every
              `idle_timeout_s`. Either way a ping that is not answered within `reply_timeout_s` means the peer
              is gone. Other data does not count as the answer.
    Times are seconds of one monotonic clock.
    """

    def __init__(self, strategy: int, idle_timeout_s: float, reply_timeout_s: float, now_s: float) -> None:
        self._is_periodic = strategy == PING_PERIODICALLY
        self._idle_timeout_s = idle_timeout_s
        self._reply_timeout_s = reply_timeout_s
        self._next_ping_s = now_s + idle_timeout_s
        self._deadline_s: float | None = None
        self._has_looked_again = False

    @property
    def expects_pong(self) -> bool:
        return self._deadline_s is not None

    def on_pong(self) -> None:
        """The peer has answered."""
        self._deadline_s = None

    def decide(self, now_s: float, last_received_s: float) -> Decision:
        """Ask when the time of the last decision is up.

        last_received_s: when bytes arrived last; the start of the connection if none did.
        """
        if self._deadline_s is not None:
            if now_s >= self._deadline_s:
                if now_s - self._deadline_s > _LATE_S and not self._has_looked_again:
                    self._has_looked_again = True
                    return Decision(Action.WAIT, _LOOK_AGAIN_S)
                return Decision(Action.GIVE_UP, 0.0)
            if not self._is_periodic:
                return Decision(Action.WAIT, self._deadline_s - now_s)
        if not self._is_periodic:
            self._next_ping_s = last_received_s + self._idle_timeout_s
        if now_s < self._next_ping_s:
            wake_s = (
                self._next_ping_s if self._deadline_s is None else min(self._next_ping_s, self._deadline_s)
            )
            return Decision(Action.WAIT, wake_s - now_s)
        self._deadline_s = now_s + self._reply_timeout_s
        # A ping that was late does not make the next one late too, nor do missed ones pile up.
        self._next_ping_s += self._idle_timeout_s
        if self._next_ping_s <= now_s:
            self._next_ping_s = now_s + self._idle_timeout_s
        self._has_looked_again = False
        wake_s = min(self._deadline_s, self._next_ping_s) if self._is_periodic else self._deadline_s
        return Decision(Action.PING, wake_s - now_s)


def check_options(strategy: int, idle_timeout_s: float, reply_timeout_s: float) -> None:
    """ValueError or TypeError for what cannot work, before any socket opens."""
    if strategy not in (PING_WHEN_IDLE, PING_PERIODICALLY):
        raise ValueError(f"auto_ping_strategy: expected a WSAutoPingStrategy, got {strategy!r}")
    for name, value in (
        ("auto_ping_idle_timeout", idle_timeout_s),
        ("auto_ping_reply_timeout", reply_timeout_s),
    ):
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError(f"{name}: expected seconds, got {value!r}")
        if not math.isfinite(value):
            raise ValueError(f"{name}: expected a finite number of seconds, got {value!r}")
    if not idle_timeout_s > 0 or not reply_timeout_s > 0:
        raise ValueError(
            "expected auto_ping_idle_timeout > 0 and auto_ping_reply_timeout > 0 seconds, "
            f"got {idle_timeout_s!r} and {reply_timeout_s!r}"
        )
    if reply_timeout_s > idle_timeout_s:
        raise ValueError(
            "expected auto_ping_reply_timeout <= auto_ping_idle_timeout, "
            f"got {reply_timeout_s!r} s > {idle_timeout_s!r} s"
        )
