"""Types of picows.stream.poller; the documentation stands in poller.pyx."""

import asyncio
from typing import Final, final

HAS_EPOLL: Final[bool]

class EventTarget: ...

class Poller:
    @property
    def count(self) -> int: ...

@final
class EpollPoller(Poller):
    def __new__(cls, loop: asyncio.AbstractEventLoop) -> EpollPoller: ...

@final
class LoopPoller(Poller):
    def __new__(cls, loop: asyncio.AbstractEventLoop) -> LoopPoller: ...
