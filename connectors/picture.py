"""Takes the plain-value pictures (view.py) of what runs."""

from __future__ import annotations

from connectors.connection import Connection
from connectors.dialogue import State
from connectors.dispatch import Slot
from connectors.instrument import Stream
from connectors.link import Link
from connectors.subscriptions import NEVER_NS, SubState
from connectors.view import BookView, ConnectionView, StrategyView, StreamView

# The worst link of a connection is what its state says.
_ORDER = (State.STOPPED, State.IDLE, State.WAITING, State.CONNECTING, State.SUBSCRIBING, State.LIVE)
_NAMES = {SubState.QUEUED: "pending"}
ABSENT = -(2**63)  # fixed.pxd


def connection_view(connection: Connection) -> ConnectionView:
    counters = connection.counters
    links = connection.links
    callback = counters.callback
    return ConnectionView(
        name=connection.name,
        exchange=connection.exchange.facts.name,
        state=_state(connection),
        url=connection.url(links[0].route) if links else "",
        frames=counters.frames,
        bytes=counters.bytes,
        connects=counters.connects,
        losses=counters.losses,
        rotations=counters.rotations,
        unknown=counters.unknown,
        rtt_ms=max((link.dialogue.watch.ewma_ns for link in links), default=0.0) / 1e6 or None,
        rtt_p99_ms=_scaled(counters.rtt.percentile_ns(99), 1e6),
        lag_p50_us=_scaled(callback.percentile_ns(50), 1e3),
        lag_p99_us=_scaled(callback.percentile_ns(99), 1e3),
        retry_in_s=_retry_in_s(connection),
        streams=tuple(_stream_view(connection, stream) for stream in connection.streams.values()),
        books=tuple(
            BookView(
                symbol=sync.book.instrument.symbol,
                state=sync.book.state.name.lower(),
                bid=sync.book.best_bid,
                ask=sync.book.best_ask,
                levels=sync.book.bid_count + sync.book.ask_count,
                epoch=sync.book.epoch,
            )
            for sync in connection.books
        ),
    )


def _state(connection: Connection) -> str:
    if not connection.links:
        return "idle"
    if any(connection.rotations.is_rotating(link) for link in connection.links):
        return "rotating"
    return min((link.dialogue.state for link in connection.links), key=_ORDER.index).value


def _retry_in_s(connection: Connection) -> float | None:
    now_ns = connection.clock.monotonic_ns()
    waiting = [
        link.dialogue.dial_ns
        for link in connection.links
        if link.dialogue.state is State.WAITING and link.dialogue.dial_ns < NEVER_NS
    ]
    return max((min(waiting) - now_ns) / 1e9, 0.0) if waiting else None


def _stream_view(connection: Connection, stream: Stream) -> StreamView:
    counters = stream.counters
    state = _link_state(connection.links, stream)
    symbol = stream.instrument.symbol if stream.instrument is not None else "*"
    if counters is None:
        return StreamView(symbol, stream.kind, stream.topic, state, 0, 0, 0, 0, 0, 0, 0, None)
    age_ns = connection.clock.time_ns() - counters.last_recv_ns
    return StreamView(
        symbol=symbol,
        kind=stream.kind,
        topic=stream.topic,
        state=state,
        messages=counters.messages,
        events=counters.events,
        gaps=counters.gaps,
        resyncs=counters.resyncs,
        duplicates=counters.duplicates,
        dropped=counters.dropped,
        errors=counters.errors,
        age_ms=age_ns / 1e6 if counters.last_recv_ns else None,
        missed=missed_of(stream),
        **quote_of(stream),
    )


def missed_of(stream: Stream) -> int | None:
    """None where nobody would notice: no strategy reads the trades, or their ids promise nothing."""
    is_counted = stream.is_wanted and stream.fact is not None and bool(stream.fact.trade_ids)
    return stream.counters.missed if is_counted and stream.counters is not None else None


def quote_of(stream: Stream) -> dict[str, float | None]:
    """Best prices of the last quote. Where no strategy reads quotes, one is read for each picture."""
    counters, instrument = stream.counters, stream.instrument
    if stream.kind != "quote" or counters is None or instrument is None:
        return {}
    counters.is_sampled = not stream.is_wanted
    unit = 10.0**instrument.price_scale
    return {
        side: None if value == ABSENT else value / unit
        for side, value in (("bid", counters.bid_px), ("ask", counters.ask_px))
    }


def _link_state(links: list[Link], stream: Stream) -> str:
    for link in links:
        state = link.dialogue.subscriptions.states.get(stream.topic)
        if state is not None:
            return _NAMES.get(state, state.value)
    return "pending"


def _scaled(value_ns: int | None, unit: float) -> float | None:
    return value_ns / unit if value_ns is not None else None


def strategy_view(slot: Slot) -> StrategyView:
    return StrategyView(slot.name, slot.is_on, slot.calls, slot.errors, slot.slow)
