"""Types of picows.cork; the documentation stands in cork.pyx."""

from types import TracebackType
from typing import Literal, Self, final

from picows.stream.base import Stream

@final
class Cork:
    def __new__(cls, stream: Stream | None) -> Self: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]: ...
