from decimal import Decimal
from typing import Any

from typing_extensions import disjoint_base

from connectors.facts import ChannelFact
from connectors.metrics import StreamCounters

KINDS: tuple[str, ...]
STREAM_KINDS: tuple[str, ...]

def scale_of(step: str | Decimal) -> int: ...

@disjoint_base
class Instrument:
    exchange: str
    symbol: str
    native: str
    kind: str
    key: str
    price_scale: int
    size_scale: int
    price_tick: Decimal | None
    size_step: Decimal | None
    contract_size: Decimal
    is_inverse: bool
    is_scale_known: bool
    def __init__(
        self,
        exchange: str,
        symbol: str,
        native: str,
        *,
        kind: str = "spot",
        price_scale: int = 8,
        size_scale: int = 8,
        price_tick: Decimal | None = None,
        size_step: Decimal | None = None,
        contract_size: Decimal = ...,
        is_inverse: bool = False,
        is_scale_known: bool = True,
    ) -> None: ...
    def price_int(self, text: str | bytes | float) -> int: ...
    def size_int(self, text: str | bytes | float) -> int: ...
    def price_text(self, value: int) -> str: ...
    def size_text(self, value: int) -> str: ...

@disjoint_base
class Stream:
    exchange: str
    connection: str
    kind: str
    variant: str
    name: str
    route: str
    topic: str
    key: bytes
    instrument: Instrument | None
    fact: ChannelFact | None
    is_wanted: bool
    state: Any
    counters: StreamCounters | None
    def __init__(
        self,
        exchange: str,
        kind: str,
        name: str,
        topic: str,
        key: bytes,
        *,
        instrument: Instrument | None = None,
        route: str = "",
        variant: str = "",
        connection: str = "",
        fact: ChannelFact | None = None,
    ) -> None: ...
