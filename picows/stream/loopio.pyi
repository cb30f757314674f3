"""Types of picows.stream.loopio; the documentation stands in loopio.pyx."""

import asyncio
from typing import Final, final

from picows.stream.poller import Poller

STREAMS: Final[str]
HAS_EPOLL: Final[bool]
__pyx_capi__: Final[dict[str, object]]

@final
class LoopIO:
    def __new__(cls, loop: asyncio.AbstractEventLoop, poller: str = "auto") -> LoopIO: ...
    @property
    def loop(self) -> asyncio.AbstractEventLoop: ...
    @property
    def poller(self) -> Poller: ...

def running_poller() -> Poller: ...
