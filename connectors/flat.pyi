from typing_extensions import disjoint_base

from connectors.sink import Sink

@disjoint_base
class Flat:
    head: bytes
    tail: bytes
    def __init__(self, head: bytes, tail: bytes) -> None: ...
    def offer(self, sink: Sink, message: bytes) -> bool: ...

@disjoint_base
class FlatQuote(Flat):
    def __init__(
        self,
        head: bytes,
        tail: bytes,
        *,
        bid: str,
        bid_size: str,
        ask: str,
        ask_size: str,
        update_id: str,
        time_ms: str,
    ) -> None: ...

@disjoint_base
class FlatTrade(Flat):
    def __init__(
        self,
        head: bytes,
        tail: bytes,
        *,
        price: str,
        size: str,
        is_maker: str,
        trade_id: str,
        time_ms: str,
        first: str | None = None,
        last: str | None = None,
    ) -> None: ...
