"""Types of picows.stream.poller; the documentation stands in poller.pyx."""

import asyncio
from typing import Final, final

from typing_extensions import disjoint_base

HAS_EPOLL: Final[bool]

@disjoint_base
class EventTarget: ...

@disjoint_base
class Poller:
    @property
    def count(self) -> int: ...

@final
class EpollPoller(Poller):
    def __new__(cls, loop: asyncio.AbstractEventLoop) -> EpollPoller: ...

@final
class LoopPoller(Poller):
    def __new__(cls, loop: asyncio.AbstractEventLoop) -> LoopPoller: ...
