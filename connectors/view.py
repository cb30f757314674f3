"""A picture of a running engine, for the live table, the summary and metrics files: plain values, taken at
one moment."""

from __future__ import annotations

import msgspec


class StreamView(msgspec.Struct, frozen=True):
    symbol: str
    kind: str
    topic: str
    state: str  # pending | acked | live | stale | refused
    messages: int
    events: int
    gaps: int
    resyncs: int
    duplicates: int
    dropped: int
    errors: int
    age_ms: float | None  # since the last message; None: none yet
    missed: int | None = (
        None  # trades that the ids say were skipped; None: nobody reads them, or ids do not tell
    )
    bid: float | None = None  # of the last quote
    ask: float | None = None


class BookView(msgspec.Struct, frozen=True):
    symbol: str
    state: str  # of BookState, lower case
    bid: float  # NaN: none
    ask: float
    levels: int
    epoch: int


class ConnectionView(msgspec.Struct, frozen=True):
    name: str
    exchange: str
    state: str  # idle | connecting | subscribing | live | rotating | waiting | stopped
    url: str
    frames: int
    bytes: int
    connects: int
    losses: int
    rotations: int
    unknown: int
    rtt_ms: float | None  # EWMA
    rtt_p99_ms: float | None
    lag_p50_us: float | None  # recv to end of callbacks
    lag_p99_us: float | None
    retry_in_s: float | None  # while waiting
    streams: tuple[StreamView, ...]
    books: tuple[BookView, ...]


class StrategyView(msgspec.Struct, frozen=True):
    name: str
    is_on: bool
    calls: int
    errors: int
    slow: int


class EngineView(msgspec.Struct, frozen=True):
    ns: int
    started_ns: int
    connections: tuple[ConnectionView, ...]
    strategies: tuple[StrategyView, ...]
    recorder_drops: int = 0
