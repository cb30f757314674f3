"""Types of picows.assembler; the documentation stands in assembler.pyx."""

from typing import Never

from typing_extensions import disjoint_base

from picows.frame import WSFrame, WSMsgType
from picows.listener import WSListener
from picows.transport import WSTransport

@disjoint_base
class WSMessageAssembler(WSListener):
    max_message_size: int
    max_fragments: int
    # What C code takes as *args and **kwargs, and refuses.
    def __init__(
        self,
        *args: Never,
        max_message_size: int | None = None,
        max_fragments: int | None = None,
        **kwargs: Never,
    ) -> None: ...
    def on_ws_message(self, transport: WSTransport, msg_type: WSMsgType, message: memoryview) -> None: ...
    def on_ws_control(self, transport: WSTransport, frame: WSFrame) -> None: ...
