"""Types of picows.stream.asyncio; the documentation stands in asyncio.pyx."""

import asyncio
from collections.abc import Callable

from typing_extensions import disjoint_base

from picows.stream.base import Stream, StreamOwner

class LoopProtocol(asyncio.Protocol):
    def __init__(self, stream: LoopStream, on_made: Callable[[LoopStream], None] | None = None) -> None: ...

@disjoint_base
class LoopStream(Stream):
    def __new__(cls, owner: StreamOwner) -> LoopStream: ...
