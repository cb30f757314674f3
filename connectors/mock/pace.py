"""How the source's time runs against the wall's. Values only."""

from __future__ import annotations

import re

from connectors.errors import ConfigError
from connectors.mock.source import FOREVER_NS

_SPEED = re.compile(r"(\d+(?:\.\d+)?)x?")


class Pace:
    """ "captured" or "1x": as it was; "2x", "0.5x": faster, slower; "flat": as fast as clients read.

    Raises ConfigError: none of these.
    """

    def __init__(self, text: str) -> None:
        match = _SPEED.fullmatch(text)
        if text in ("flat", "fast"):
            self.speed: float | None = None
        elif text == "captured":
            self.speed = 1.0
        elif match and float(match[1]) > 0:
            self.speed = float(match[1])
        else:
            raise ConfigError(f"pace: expected captured, 1x, 2x, 0.5x ... or flat, got {text!r}")
        self._wall_s: float | None = None
        self._source_ns = 0

    @property
    def is_flat(self) -> bool:
        return self.speed is None

    @property
    def has_begun(self) -> bool:
        return self._wall_s is not None

    def begin(self, wall_s: float, source_ns: int) -> None:
        """From now on the two clocks run together."""
        self._wall_s, self._source_ns = wall_s, source_ns

    def until_ns(self, wall_s: float) -> int:
        """The source's time at this moment: messages up to it are due."""
        if self.speed is None:
            return FOREVER_NS
        assert self._wall_s is not None
        return self._source_ns + int((wall_s - self._wall_s) * self.speed * 1e9)

    def wait_s(self, wall_s: float, due_ns: int) -> float:
        """How long until a message is due."""
        if self.speed is None:
            return 0.0
        return max(0.0, (due_ns - self.until_ns(wall_s)) / self.speed / 1e9)
