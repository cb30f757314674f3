"""The picture of a replay, in the form of a live engine's (view.py): for the summary."""

from __future__ import annotations

from collections.abc import Iterable

from connectors.dispatch import Slot
from connectors.instrument import Stream
from connectors.picture import missed_of, quote_of, strategy_view
from connectors.replay_venue import ReplayVenue
from connectors.view import BookView, ConnectionView, EngineView, StreamView


def engine_view(
    now_ns: int, started_ns: int, venues: Iterable[ReplayVenue], slots: Iterable[Slot]
) -> EngineView:
    """Plain values. Round-trip times are None: nothing is sent; lags are those of this machine."""
    return EngineView(
        ns=now_ns,
        started_ns=started_ns,
        connections=tuple(_connection_view(venue, now_ns) for venue in venues),
        strategies=tuple(strategy_view(slot) for slot in slots),
    )


def _connection_view(venue: ReplayVenue, now_ns: int) -> ConnectionView:
    counters = venue.counters
    lag_p50_ns, lag_p99_ns = counters.callback.percentile_ns(50), counters.callback.percentile_ns(99)
    return ConnectionView(
        name=venue.name,
        exchange=venue.exchange.facts.name,
        state="replay",
        url="",
        frames=counters.frames,
        bytes=counters.bytes,
        connects=counters.connects,
        losses=counters.losses,
        rotations=counters.rotations,
        unknown=counters.unknown,
        rtt_ms=None,
        rtt_p99_ms=None,
        lag_p50_us=None if lag_p50_ns is None else lag_p50_ns / 1e3,
        lag_p99_us=None if lag_p99_ns is None else lag_p99_ns / 1e3,
        retry_in_s=None,
        streams=tuple(_stream_view(venue, stream, now_ns) for stream in venue.streams),
        books=tuple(
            BookView(
                symbol=sync.book.instrument.symbol,
                state=sync.book.state.name.lower(),
                bid=sync.book.best_bid,
                ask=sync.book.best_ask,
                levels=sync.book.bid_count + sync.book.ask_count,
                epoch=sync.book.epoch,
            )
            for sync in venue.syncs.values()
        ),
    )


def _stream_view(venue: ReplayVenue, stream: Stream, now_ns: int) -> StreamView:
    symbol = stream.instrument.symbol if stream.instrument is not None else "*"
    state = "live" if stream.topic in venue.first_seen else "pending"
    counters = stream.counters
    if counters is None:
        return StreamView(symbol, stream.kind, stream.topic, state, 0, 0, 0, 0, 0, 0, 0, None)
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
        age_ms=(now_ns - counters.last_recv_ns) / 1e6 if counters.last_recv_ns else None,
        missed=missed_of(stream),
        **quote_of(stream),
    )
