"""What changed in the life of a connection, a stream or a book: `on_status` and the log say the same."""

from __future__ import annotations

import enum

import msgspec


class StatusKind(enum.Enum):
    """In the order in which a good life shows them."""

    CONNECTING = "connecting"  # detail: url, attempt
    CONNECTED = "connected"  # upgrade done
    SUBSCRIBED = "subscribed"  # acked: proves nothing yet
    LIVE = "live"  # first data of a stream; book: synced
    STALE = "stale"  # silent for longer than its channel allows; being resubscribed
    GAP = "gap"  # the book is no longer true; callbacks pause
    MISSED = "missed"  # trade ids were skipped: values missing (since the last telling), missed (in all)
    REPEATED = "repeated"  # trades came that had been delivered: dropped; values repeated
    RESYNC = "resync"  # the book is true again, epoch + 1
    ROTATED = "rotated"  # a new connection took over: make before break
    RTT = "rtt"  # measured: values p50_ms, p99_ms, ewma_ms
    REFUSED = "refused"  # the venue's error for a stream
    SLOW = "slow"  # a callback took longer than the budget: names the strategy
    STRATEGY_OFF = "strategy_off"  # N exceptions in a row
    LOST = "lost"  # connection gone; detail says why
    STOPPED = "stopped"  # by us


class Status(msgspec.Struct, frozen=True):
    """One change. Names that do not apply are None."""

    kind: StatusKind
    ns: int
    connection: str
    exchange: str
    symbol: str | None = None
    stream: str | None = None  # topic
    detail: str = ""
    values: dict[str, float] = {}


def label_of(exchange: str, connection: str) -> str:
    """Venue and connection, for logs: `venue`, `venue-2`, `venue/orders`."""
    return connection if not exchange or connection.startswith(exchange) else f"{exchange}/{connection}"
