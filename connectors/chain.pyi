from typing_extensions import disjoint_base

from connectors.instrument import Stream

TRADE_IDS: tuple[str, ...]

@disjoint_base
class TradeChain:
    last_id: int
    missed: int
    def __init__(self, rule: str) -> None: ...
    def offer(self, number: int, count: int = 1) -> int: ...

def chain_of(stream: Stream) -> TradeChain | None: ...
