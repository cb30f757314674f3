"""Types of picows.broadcast; the documentation stands in broadcast.pyx."""

import sys
from collections.abc import Iterable

from picows.frame import WSMsgType
from picows.transport import WSTransport

if sys.version_info >= (3, 12):
    from collections.abc import Buffer
else:
    from typing_extensions import Buffer

def broadcast(
    transports: Iterable[WSTransport],
    msg_type: WSMsgType | int,
    message: str | Buffer | None,
    *,
    fin: bool = True,
    skip_paused: bool = False,
    skipped: list[WSTransport] | None = None,
) -> int: ...
