from collections.abc import Iterable

from typing_extensions import disjoint_base

from connectors.clock import Clock
from connectors.dispatch import Slot
from connectors.exchange import Exchange
from connectors.intake import Entry
from connectors.metrics import ConnectionCounters
from connectors.owner import Owner
from connectors.pipeline import Pipeline
from connectors.tap import Tap
from picows import WSListener, WSTransport

@disjoint_base
class Session(WSListener):
    pipeline: Pipeline
    exchange: Exchange
    transport: WSTransport | None
    conn_id: int
    connection: str
    is_closed: bool
    close_reason: str
    def __init__(
        self,
        exchange: Exchange,
        entries: Iterable[Entry],
        slots: Iterable[Slot],
        *,
        owner: Owner,
        conn_id: int,
        connection: str,
        clock: Clock,
        counters: ConnectionCounters,
        tap: Tap | None = None,
        route: str = "",
        url: str = "",
        slow_callback_ms: float = 5.0,
    ) -> None: ...
    def feed(self, opcode: int, payload: bytes, recv_ns: int, is_final: bool = True) -> None: ...
    def set_owner(self, owner: Owner) -> None: ...
    def send_text(self, payload: bytes) -> None: ...
    def send_ping(self, payload: bytes) -> None: ...
    def close(self, is_abort: bool, reason: str) -> None: ...
