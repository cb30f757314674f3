from typing_extensions import disjoint_base

@disjoint_base
class Histogram:
    count: int
    max_ns: int
    last_ns: int
    def add(self, value_ns: int) -> None: ...
    def percentile_ns(self, percent: float) -> int | None: ...

@disjoint_base
class StreamCounters:
    messages: int
    bytes: int
    events: int
    gaps: int
    missed: int
    resyncs: int
    duplicates: int
    dropped: int
    errors: int
    resubscribes: int
    last_recv_ns: int
    first_recv_ns: int
    bid_px: int
    ask_px: int
    is_sampled: bool
    def as_dict(self) -> dict[str, int]: ...

@disjoint_base
class ConnectionCounters:
    frames: int
    bytes: int
    control: int
    unknown: int
    sent: int
    connects: int
    losses: int
    rotations: int
    slow_callbacks: int
    @property
    def rtt(self) -> Histogram: ...
    @property
    def callback(self) -> Histogram: ...
    def as_dict(self) -> dict[str, int]: ...
