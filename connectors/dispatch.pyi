from typing_extensions import disjoint_base

from connectors.hub import Hub
from connectors.status import Status
from connectors.strategy import Strategy
from picows import WSTransport

__pyx_capi__: dict[str, object]
CALLBACKS: tuple[str, ...]

@disjoint_base
class Slot:
    strategy: Strategy
    name: str
    callbacks: frozenset[str]
    connections: tuple[str, ...]
    is_on: bool
    calls: int
    errors: int
    slow: int
    errors_in_row: int
    max_errors: int
    is_native: bool
    def __init__(
        self, strategy: Strategy, hub: Hub, *, connections: tuple[str, ...] = (), max_errors: int = 10
    ) -> None: ...
    def on_status(self, status: Status) -> None: ...
    def on_writing(self, transport: WSTransport, is_paused: bool) -> None: ...
    def switch_off(self) -> None: ...
