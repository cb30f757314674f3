"""Types of picows.parser; the documentation stands in parser.pyx."""

import sys
from typing import final

from picows.frame import WSMsgType

if sys.version_info >= (3, 12):
    from collections.abc import Buffer
else:
    from typing_extensions import Buffer

@final
class FrameParser:
    def __new__(
        cls, is_client: bool = True, strict: bool = True, max_frame_size: int = ..., allowed_rsv: int = 0
    ) -> FrameParser: ...
    @property
    def is_failed(self) -> bool: ...
    @property
    def need(self) -> int: ...
    @property
    def max_frame_size(self) -> int: ...
    @property
    def buffered_size(self) -> int: ...
    def feed(self, data: Buffer) -> None: ...
    def next_frame(self) -> tuple[WSMsgType, bytes, bool, tuple[bool, bool, bool], bool] | None: ...
