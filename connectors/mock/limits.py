"""What a venue allows, counted on its side: at most `count` in any `per_s` seconds. Sans I/O."""

from __future__ import annotations

from collections import deque

from connectors.facts import Budget


class Window:
    """A sliding window over one Budget; None: no limit."""

    def __init__(self, budget: Budget | None) -> None:
        self._budget = budget
        self._events: deque[tuple[float, int]] = deque()
        self.used = 0

    def admit(self, now_s: float, weight: int = 1) -> float:
        """0.0: within the limit, and counted. Otherwise seconds until it would be; not counted."""
        if self._budget is None:
            return 0.0
        while self._events and self._events[0][0] <= now_s - self._budget.per_s:
            self.used -= self._events.popleft()[1]
        if self.used + weight > self._budget.count:
            oldest = self._events[0][0] if self._events else now_s
            return max(0.001, oldest + self._budget.per_s - now_s)
        self.used += weight
        self._events.append((now_s, weight))
        return 0.0
