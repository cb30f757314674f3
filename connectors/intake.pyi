from typing import Any

from typing_extensions import disjoint_base

from connectors.booksync import BookSync
from connectors.chain import TradeChain
from connectors.exchange import Exchange
from connectors.gate import Gate
from connectors.instrument import Stream
from connectors.metrics import ConnectionCounters
from connectors.owner import Owner
from connectors.sink import Sink

@disjoint_base
class Entry:
    stream: Stream
    gate: Gate
    chain: TradeChain | None
    sync: BookSync | None
    messages: int
    last_ns: int
    is_awaited: bool
    is_muted: bool
    held: list[tuple[Any, bytes]] | None
    siblings: list[Entry] | None
    def __init__(self, stream: Stream, gate: Gate, sync: BookSync | None = None) -> None: ...
    def add_sibling(self, entry: Entry) -> None: ...

@disjoint_base
class Intake(Sink):
    exchange: Exchange
    entries: dict[bytes, Entry]
    counters: ConnectionCounters
    connection: str
    label: str
    owner: Owner
    mono_ns: int
    def __init__(
        self, exchange: Exchange, counters: ConnectionCounters, owner: Owner, connection: str
    ) -> None: ...
