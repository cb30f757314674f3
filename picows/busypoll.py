"""BusyPoll: look for received data without sleeping, for the price of a core."""

from __future__ import annotations

import math
from types import TracebackType
from typing import Self

from picows.stream.loopio import STREAMS, running_poller
from picows.stream.poller import EpollPoller

MAX_TURN_S = 0.1


class BusyPoll:
    """Keep the running event loop awake for the data of its picows connections.

    A loop that sleeps in the kernel is woken by an interrupt and the scheduler, which takes tens of
    microseconds and varies. Busy polling asks the kernel over and over instead, and a frame reaches its
    listener within microseconds. The price is one core at 100 % for each loop that does it: use it where
    a core is to spare, and not in a container that is billed or throttled by CPU time.

    It works with asyncio and uvloop alike. Timers, tasks and other descriptors of the loop have their turn
    after each event, and at the latest every `turn_s`. The GIL is released while nothing comes, so other
    threads run. Without an open connection nothing is polled and the loop sleeps.

    sleep_after_s: without data for so many seconds, sleep until there are some, then spin again. None: never.
    turn_s:        seconds to look for data at a stretch, at most 0.1; what else the loop does waits so long.

    Use it as a context manager, or `start` and `stop` it, in the thread of the running loop. Linux only.

        with picows.BusyPoll():
            transport, listener = await picows.ws_connect(Listener, url)
            await transport.wait_disconnected()

    Raises ValueError or TypeError for values that cannot work.
    """

    def __init__(self, *, sleep_after_s: float | None = None, turn_s: float = 0.0001) -> None:
        if sleep_after_s is not None:
            _check_seconds("sleep_after_s", sleep_after_s, math.inf)
        _check_seconds("turn_s", turn_s, MAX_TURN_S)
        self._idle_ns = 0 if sleep_after_s is None else max(1, int(sleep_after_s * 1e9))
        self._turn_ns = max(1, int(turn_s * 1e9))
        self._poller: EpollPoller | None = None

    def start(self) -> None:
        """Begin, for the running event loop.

        RuntimeError: no loop runs here, it polls already, or its sockets are not watched by epoll (Linux).
        """
        poller = running_poller()
        if not isinstance(poller, EpollPoller):
            raise RuntimeError(f"busy polling needs epoll streams (Linux), here they are {STREAMS!r}")
        if poller.is_spinning:
            raise RuntimeError("busy polling is on already for this event loop")
        poller.spin(self._turn_ns, self._idle_ns)
        self._poller = poller

    def stop(self) -> None:
        """Let the loop sleep again. Does nothing where it has not begun."""
        if self._poller is not None:
            self._poller.rest()
            self._poller = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def _check_seconds(name: str, value: float, most: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name}: expected seconds, got {value!r}")
    if not (0 < value <= most and math.isfinite(value)):
        limit = "" if most == math.inf else f" and at most {most}"
        raise ValueError(f"{name}: expected seconds greater than 0{limit}, got {value!r}")
