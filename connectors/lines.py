"""What the live table shows, as log lines: for pipes, files and service managers."""

from __future__ import annotations

from connectors.rows import ConnectionRow, InstrumentRow, connection_rows, instrument_rows, price_text
from connectors.status import label_of
from connectors.view import EngineView


def status_lines(view: EngineView, previous: EngineView | None = None) -> list[str]:
    """One per connection, one per instrument that has prices or is in trouble: name=value, units in names."""
    lines = [_connection(row) for row in connection_rows(view, previous)]
    rows = instrument_rows(view, previous)
    lines.extend(_instrument(row) for row in rows if row.book or row.quote or row.trouble)
    return lines


def _connection(row: ConnectionRow) -> str:
    fields = [
        f"{label_of(row.exchange, row.name)} {row.state}",
        f"streams={row.live}/{row.streams}",
        _field("rtt_ms", row.rtt_ms, 2),
        _field("msg_per_s", row.messages_per_s, 0),
        _field("lag_p50_us", row.lag_p50_us, 0),
        _field("lag_p99_us", row.lag_p99_us, 0),
        f"gaps={row.gaps}",
        f"missed={row.missed}",
        f"drops={row.drops}",
        f"errors={row.errors}",
        f"unknown={row.unknown}",
        f"losses={row.losses}",
    ]
    if row.rotations:
        fields.append(f"rotations={row.rotations}")
    if row.retry_in_s is not None:
        fields.append(_field("retry_in_s", row.retry_in_s, 1))
    return " ".join(fields)


def _instrument(row: InstrumentRow) -> str:
    fields = [f"{row.connection}:{row.symbol}"]
    if row.book:
        fields.append(
            f"book={row.book} bid={price_text(row.bid, row.ask)} ask={price_text(row.ask, row.bid)}"
        )
    elif row.quote:
        fields.append(
            f"quote={row.quote} bid={price_text(row.bid, row.ask)} ask={price_text(row.ask, row.bid)}"
        )
    fields.append(_field("msg_per_s", row.messages_per_s, 0))
    fields.append(_field("age_ms", row.age_ms, 0))
    fields.append(f"gaps={row.gaps} resyncs={row.resyncs}")
    if row.trouble:
        fields.append(f"trouble={row.trouble!r}")
    return " ".join(fields)


def _field(name: str, value: float | None, digits: int) -> str:
    return f"{name}=-" if value is None else f"{name}={value:.{digits}f}"
