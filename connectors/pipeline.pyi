from collections.abc import Iterable
from typing import Any

from typing_extensions import disjoint_base

from connectors.dispatch import Slot
from connectors.exchange import Exchange
from connectors.instrument import Stream
from connectors.intake import Entry, Intake
from connectors.metrics import ConnectionCounters
from connectors.owner import Owner
from connectors.sink import Sink

@disjoint_base
class Pipeline(Intake):
    transport: Any
    def __init__(
        self,
        exchange: Exchange,
        entries: Iterable[Entry],
        slots: Iterable[Slot],
        counters: ConnectionCounters,
        *,
        owner: Owner,
        connection: str = "",
        slow_callback_ms: float = 5.0,
    ) -> None: ...
    def add(self, entry: Entry) -> None: ...
    def remove(self, stream: Stream) -> None: ...
    def entry(self, stream: Stream) -> Entry | None: ...
    def restart(self, stream: Stream) -> None: ...
    def activity(self, stream: Stream) -> tuple[int, int]: ...
    def hold(self) -> None: ...
    def mute(self, stream: Stream) -> None: ...
    def take_over(self, stream: Stream, recv_ns: int) -> None: ...
    def on_rest_answer(self, stream: Stream, body: bytes, recv_ns: int) -> int: ...

class Collector(Sink):
    change: Any
