"""Types of picows.stream.loopio; the documentation stands in loopio.pyx."""

import asyncio
from typing import Final, final

from picows.stream.poller import Poller

STREAMS: Final[str]

@final
class LoopIO:
    def __new__(cls, loop: asyncio.AbstractEventLoop, poller: str = "auto") -> LoopIO: ...
    @property
    def loop(self) -> asyncio.AbstractEventLoop: ...
    @property
    def poller(self) -> Poller: ...
