import enum

from typing_extensions import disjoint_base

from connectors.book import Book
from connectors.events import BookChange
from connectors.exchange import Exchange
from connectors.instrument import Stream
from connectors.sequence import RULES as RULES

class Action(enum.IntEnum):
    APPLIED = 0
    BUFFERED = 1
    DROPPED = 2
    NEED_SNAPSHOT = 3
    NEED_RESUBSCRIBE = 4
    REFRESH = 5

@disjoint_base
class BookSync:
    book: Book
    stream: Stream
    action: Action
    gaps: int
    failures: int
    refreshes: int
    dropped: int
    duplicates: int
    checksums: int
    error: Exception | None
    def __init__(
        self, stream: Stream, exchange: Exchange, *, continuity: str | None = None, max_buffer: int = 10_000
    ) -> None: ...
    def on_change(self, change: BookChange) -> Action: ...
    def on_snapshot(self, snapshot: BookChange) -> list[BookChange]: ...
    def start(self) -> Action: ...
    def on_resubscribed(self) -> Action: ...
    def on_error(self, error: Exception) -> Action: ...
    def covers(self, change: BookChange) -> bool: ...
    def on_stale(self) -> None: ...
    def on_lost(self) -> None: ...
