"""Types of picows.deflate; the documentation stands in deflate.pyx."""

import sys
from typing import final

from picows.deflate_negotiation import Agreed

if sys.version_info >= (3, 12):
    from collections.abc import Buffer
else:
    from typing_extensions import Buffer

def codecs(agreed: Agreed, is_strict: bool) -> tuple[Inflater, Deflater]: ...

@final
class Inflater:
    def __new__(
        cls,
        bits: int = 15,
        starts_afresh: bool = False,
        max_message_size: int = ...,
        is_strict: bool = True,
    ) -> Inflater: ...
    @property
    def max_message_size(self) -> int: ...
    @property
    def held_size(self) -> int: ...
    def inflate_payload(
        self, msg_type: int, payload: Buffer, fin: bool = True, rsv1: bool = False
    ) -> bytes: ...

@final
class Deflater:
    def __new__(
        cls,
        bits: int = 15,
        starts_afresh: bool = False,
        level: int = -1,
        mem_level: int = 8,
        threshold: int = 0,
    ) -> Deflater: ...
    @property
    def threshold(self) -> int: ...
    def pack_message(
        self, msg_type: int, message: Buffer | str | None, fin: bool = True
    ) -> tuple[bytes, bool]: ...
