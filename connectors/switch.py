"""Make before break: when may a new socket take over a stream from the old one? Values in, decisions out.

The new socket subscribes and keeps its messages back while the old one delivers. A stream is taken over as
soon as the old
socket has delivered the first message that the new one holds: from there on the new one has all that
follows. What both
had is dropped (by id; messages without ids by their bytes), so nothing is lost and nothing is doubled.
"""

from __future__ import annotations

from collections.abc import Sequence

from connectors.events import BookChange, Quote, Trade
from connectors.exchange import Exchange
from connectors.instrument import Stream
from connectors.intake import Entry
from connectors.sink import Sink
from connectors.subscriptions import Subscriptions, SubState

NS_PER_S = 1_000_000_000
PATIENCE_S = (
    3.0  # for an old socket that does not deliver what the new one has: it may be what is wrong with it
)
LIMIT_S = 60.0  # the new socket must have been taken over by then, or it is given up


class FirstId(Sink):
    """The id of the first event of a message: trade id, update id, or None."""

    found: int | str | None = None

    def on_trade(self, trade: Trade) -> None:
        self.found = trade.id if self.found is None else self.found

    def on_quote(self, quote: Quote) -> None:
        self.found = quote.update_id if self.found is None else self.found

    def on_book(self, change: BookChange) -> None:
        self.found = change.ids[1] if self.found is None else self.found


class Switch:
    """One make-before-break. `is_ready` is asked every few milliseconds."""

    def __init__(self, exchange: Exchange, reason: str, started_ns: int) -> None:
        self.reason = reason
        self.started_ns = started_ns
        self._ready: set[str] = set()  # topics
        self._exchange = exchange
        self._since_ns: dict[str, int] = {}  # when a stream could have been taken over but for the old socket
        self._first_ids: dict[str, int | str | None] = {}

    def is_overdue(self, now_ns: int) -> bool:
        return now_ns - self.started_ns > LIMIT_S * NS_PER_S

    def is_ready(self, entries: Sequence[Entry], subscriptions: Subscriptions, now_ns: int) -> bool:
        """Whether all streams may be taken over now. entries: of the new socket.

        All at once: a new socket that fails half-way would leave streams that nobody delivers.
        """
        for entry in entries:
            topic = entry.stream.topic
            # Ready once is ready for good: the old socket does not go back.
            if topic not in self._ready and self._is_ready(
                entry, subscriptions.state_of(entry.stream), now_ns
            ):
                self._ready.add(topic)
        return all(stream.topic in self._ready for stream in subscriptions.streams)

    def _is_ready(self, entry: Entry, state: SubState | None, now_ns: int) -> bool:
        if state is SubState.REFUSED or state is None:
            return True  # it will not come, on this socket or on the other
        if not entry.held and state is not SubState.ACKED:
            return False
        if entry.held and self._has_old_delivered(entry, entry.held[0][1]):
            return True
        since_ns = self._since_ns.setdefault(entry.stream.topic, now_ns)
        return now_ns - since_ns >= PATIENCE_S * NS_PER_S

    def _has_old_delivered(self, entry: Entry, payload: bytes) -> bool:
        """The old socket is at, or beyond, the first message of the new one."""
        if entry.gate.has_frame(payload):
            return True
        first = self._first_id(entry.stream, payload)
        if first is None:
            return False
        if isinstance(first, str):
            return entry.gate.seen is not None and hash(first) in entry.gate.seen
        if entry.stream.kind == "book":
            sync = entry.sync
            return sync is not None and sync.book.is_live and sync.book.last_id >= first
        return entry.gate.last_id >= first

    def _first_id(self, stream: Stream, payload: bytes) -> int | str | None:
        topic = stream.topic
        if topic not in self._first_ids:
            self._first_ids[topic] = self._read_id(stream, payload)
        return self._first_ids[topic]

    def _read_id(self, stream: Stream, payload: bytes) -> int | str | None:
        # Only kinds with ids, which keep no state between messages.
        if stream.kind not in ("trade", "quote", "book") or not stream.is_wanted:
            return None
        sink = FirstId()
        sink.stream = stream
        sink.instruments = {stream.instrument.native: stream.instrument} if stream.instrument else {}
        try:
            self._exchange.decode(stream, payload, sink)
        except Exception:  # noqa: BLE001 - told when the message is delivered
            return None
        return sink.found
