from typing import Any, ClassVar

import msgspec
from typing_extensions import disjoint_base

from connectors.strategy import Strategy

@disjoint_base
class CythonCounter(Strategy):
    Params: ClassVar[type[msgspec.Struct]]
    frames: int
    bytes: int
    sent: int
    def __init__(self, params: msgspec.Struct | None = None, name: str = "") -> None: ...
    def on_ws_frame(self, transport: Any, frame: Any) -> None: ...
    def on_pause(self, transport: Any) -> None: ...
    def on_resume(self, transport: Any) -> None: ...
    def on_stop(self) -> None: ...
