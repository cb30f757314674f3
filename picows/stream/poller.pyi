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
    @property
    def is_spinning(self) -> bool: ...
    @property
    def is_awake(self) -> bool: ...
    @property
    def turns(self) -> int: ...
    def spin(self, turn_ns: int, idle_ns: int) -> None: ...
    def rest(self) -> None: ...

@final
class LoopPoller(Poller):
    def __new__(cls, loop: asyncio.AbstractEventLoop) -> LoopPoller: ...
