"""The numbers of the table and the log lines, computed from two pictures of a running engine."""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import Decimal

import msgspec

from connectors.view import BookView, ConnectionView, EngineView, StreamView


class ConnectionRow(msgspec.Struct, frozen=True):
    """One connection of the config. Rates are per second between the two pictures, else since the start."""

    name: str
    exchange: str
    state: str
    rtt_ms: float | None
    rtt_p99_ms: float | None
    messages_per_s: float
    lag_p50_us: float | None
    lag_p99_us: float | None
    gaps: int  # of books
    missed: int  # trades
    drops: int  # messages of books that could not be applied
    errors: int  # messages that could not be decoded
    unknown: int  # frames that nobody knows
    losses: int
    rotations: int
    retry_in_s: float | None
    live: int  # streams
    streams: int


class InstrumentRow(msgspec.Struct, frozen=True):
    """One instrument on one connection: all its streams, and its book."""

    connection: str
    symbol: str
    messages_per_s: float
    messages: int
    gaps: int
    resyncs: int
    drops: int
    age_ms: float | None  # of the freshest stream
    trouble: str  # streams that are not live: "trade stale"; "": none
    book: str  # state, "" if there is none
    quote: str  # state of the quote stream that bid and ask come from, "" if they come from the book
    bid: float | None
    ask: float | None
    spread_bps: float | None


def connection_rows(view: EngineView, previous: EngineView | None = None) -> list[ConnectionRow]:
    """In the order of the config."""
    before = {each.name: _messages(each.streams) for each in previous.connections} if previous else {}
    seconds = _seconds(view, previous)
    return [_connection_row(each, before.get(each.name, 0), seconds) for each in view.connections]


def _connection_row(each: ConnectionView, before: int, seconds: float) -> ConnectionRow:
    streams = each.streams
    return ConnectionRow(
        name=each.name,
        exchange=each.exchange,
        state=each.state,
        rtt_ms=each.rtt_ms,
        rtt_p99_ms=each.rtt_p99_ms,
        messages_per_s=max(0, _messages(streams) - before) / seconds,
        lag_p50_us=each.lag_p50_us,
        lag_p99_us=each.lag_p99_us,
        gaps=sum(stream.gaps for stream in streams),
        missed=sum(stream.missed or 0 for stream in streams),
        drops=sum(stream.dropped for stream in streams),
        errors=sum(stream.errors for stream in streams),
        unknown=each.unknown,
        losses=each.losses,
        rotations=each.rotations,
        retry_in_s=each.retry_in_s,
        live=sum(stream.state == "live" for stream in streams),
        streams=len(streams),
    )


def instrument_rows(view: EngineView, previous: EngineView | None = None) -> list[InstrumentRow]:
    """By connection, then in the order in which the streams name them."""
    before = _messages_by_symbol(previous) if previous else {}
    seconds = _seconds(view, previous)
    rows = []
    for connection in view.connections:
        books = {book.symbol: book for book in connection.books}
        for symbol, streams in _by_symbol(connection.streams).items():
            count = before.get((connection.name, symbol), 0)
            rows.append(_instrument_row(connection.name, symbol, streams, books.get(symbol), count, seconds))
    return rows


def _instrument_row(
    connection: str,
    symbol: str,
    streams: list[StreamView],
    book: BookView | None,
    before: int,
    seconds: float,
) -> InstrumentRow:
    ages = [stream.age_ms for stream in streams if stream.age_ms is not None]
    bid = _number(book.bid) if book else None
    ask = _number(book.ask) if book else None
    # A book that is kept knows best, also when it has no price to show.
    quote = None if book else next((each for each in streams if each.bid or each.ask), None)
    if quote is not None:
        bid, ask = quote.bid, quote.ask
    return InstrumentRow(
        connection=connection,
        symbol=symbol,
        messages_per_s=max(0, _messages(streams) - before) / seconds,
        messages=_messages(streams),
        gaps=sum(stream.gaps for stream in streams),
        resyncs=sum(stream.resyncs for stream in streams),
        drops=sum(stream.dropped for stream in streams),
        age_ms=min(ages) if ages else None,
        trouble=", ".join(f"{each.kind} {each.state}" for each in streams if each.state != "live"),
        book=book.state if book else "",
        quote=quote.state if quote else "",
        bid=bid,
        ask=ask,
        spread_bps=(ask - bid) / ask * 1e4 if bid is not None and ask else None,
    )


def price_text(price: float | None, like: float | None = None) -> str:
    """Shortest text that reads back as the same number, no exponent; at least the decimals of `like`."""
    if price is None:
        return "-"
    return f"{price:.{max(_decimals(price), 0 if like is None else _decimals(like))}f}"


def _decimals(price: float) -> int:
    exponent = Decimal(repr(price)).normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def number_text(value: float | None, digits: int = 1) -> str:
    """With thousands separators; "-" for what is not known."""
    return "-" if value is None else f"{value:,.{digits}f}"


def _seconds(view: EngineView, previous: EngineView | None) -> float:
    since_ns = previous.ns if previous else view.started_ns
    return max((view.ns - since_ns) / 1e9, 1e-3)


def _messages(streams: Iterable[StreamView]) -> int:
    return sum(stream.messages for stream in streams)


def _messages_by_symbol(view: EngineView) -> dict[tuple[str, str], int]:
    return {
        (connection.name, symbol): _messages(streams)
        for connection in view.connections
        for symbol, streams in _by_symbol(connection.streams).items()
    }


def _by_symbol(streams: Iterable[StreamView]) -> dict[str, list[StreamView]]:
    found: dict[str, list[StreamView]] = {}
    for stream in streams:
        found.setdefault(stream.symbol, []).append(stream)
    return found


def _number(value: float) -> float | None:
    """None for NaN: there is no such level."""
    return None if math.isnan(value) else value
