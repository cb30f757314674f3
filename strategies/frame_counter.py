"""Count raw data frames: a strategy against `on_ws_frame` alone, zero-copy, with nothing decoded for it."""

from __future__ import annotations

from collections import Counter
from typing import Any
from weakref import WeakSet

import msgspec

from connectors import Strategy


class FrameCounter(Strategy):
    """Frames and bytes by opcode. It holds no frame and no payload: both end with the callback."""

    class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        send: str = ""  # sent once through each transport, as a text frame, at its first frame

    def __init__(self, params: Params | None = None, name: str = "") -> None:
        super().__init__(params, name)
        self.frames: Counter[int] = Counter()  # by opcode: 0 continuation, 1 text, 2 binary
        self.bytes = 0
        self.sent = 0
        self.is_paused = False
        self._greeted: WeakSet[Any] = WeakSet()

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        self.frames[int(frame.msg_type)] += 1
        self.bytes += len(frame.get_payload_as_memoryview())
        if self.params.send and not self.is_paused and transport not in self._greeted:
            self._greet(transport)

    def on_pause(self, transport: Any) -> None:  # noqa: ARG002 - one flag does for this example
        self.is_paused = True

    def on_resume(self, transport: Any) -> None:  # noqa: ARG002
        self.is_paused = False

    def on_stop(self) -> None:
        print(f"{self.name}: {self.frames.total()} frames, {self.bytes} bytes", flush=True)

    def _greet(self, transport: Any) -> None:
        from picows import WSMsgType

        self._greeted.add(transport)
        transport.send(WSMsgType.TEXT, self.params.send.encode())
        self.sent += 1
