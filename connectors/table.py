"""The live table of `connectors run`: pictures of the engine in, rich renderables out."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from connectors.rows import (
    ConnectionRow,
    InstrumentRow,
    connection_rows,
    instrument_rows,
    number_text,
    price_text,
)
from connectors.view import EngineView, StrategyView

STATE_STYLES = {
    "live": "green",
    "idle": "dim",
    "connecting": "yellow",
    "subscribing": "yellow",
    "rotating": "cyan",
    "waiting": "bold red",
    "stopped": "dim",
    # of books
    "syncing": "yellow",
    "stale": "bold red",
    "invalid": "bold red",
}
NARROW = 100  # columns are closer below
_FIXED_LINES = 7  # an empty one, title, two headings, "and N more", "records LOST", the cursor's


def render(
    view: EngineView,
    previous: EngineView | None = None,
    *,
    title: str = "",
    height: int | None = None,
    width: int | None = None,
) -> RenderableType:
    """The whole picture. height, width: of the terminal; instruments beyond it are counted in a last line."""
    gap = 1 if width is not None and width < NARROW else 2
    connections = connection_rows(view, previous)
    instruments = instrument_rows(view, previous)
    room = None if height is None else max(3, height - _FIXED_LINES - len(connections) - len(view.strategies))
    parts: list[RenderableType] = ["", _headline(view, title), _connections(connections, gap)]
    shown = _most_telling(instruments, room)
    parts.append(_instruments(shown, gap))
    if len(shown) < len(instruments):
        parts.append(_more(len(instruments) - len(shown), sum(map(_is_troubled, instruments)) - len(shown)))
    parts.extend(_strategy(each) for each in view.strategies)
    if view.recorder_drops:
        parts.append(Text(f"recorder: {view.recorder_drops:,} records LOST", style="bold red"))
    return Group(*parts)


def _headline(view: EngineView, title: str) -> Text:
    seconds = (view.ns - view.started_ns) // 1_000_000_000
    clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return Text.assemble((title or "connectors", "bold"), f"  {clock}  ", ("Ctrl-C stops", "dim"))


def _connections(rows: list[ConnectionRow], gap: int) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, gap, 0, 0))
    table.add_column("connection", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for heading in (
        "streams",
        "rtt ms",
        "p99",
        "msg/s",
        "lag us",
        "p99",
        "gaps",
        "missed",
        "drops",
        "losses",
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            row.name,
            _state(row.state, row.retry_in_s),
            Text(f"{row.live}/{row.streams}", style="" if row.live == row.streams else "yellow"),
            number_text(row.rtt_ms, 2),
            number_text(row.rtt_p99_ms, 2),
            number_text(row.messages_per_s, 0),
            number_text(row.lag_p50_us, 0),
            number_text(row.lag_p99_us, 0),
            _count(row.gaps),
            _count(row.missed),
            _count(row.drops + row.errors + row.unknown),
            _count(row.losses),
        )
    return table


def _instruments(rows: list[InstrumentRow], gap: int) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, gap, 0, 0))
    has_trouble = any(row.trouble for row in rows)
    table.add_column("instrument", no_wrap=True)
    for heading in ("bid", "ask", "bps"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("book", no_wrap=True)
    for heading in ("msg/s", "age ms", "gaps", "resyncs"):
        table.add_column(heading, justify="right", no_wrap=True)
    if has_trouble:
        table.add_column("")
    for row in rows:
        is_true = row.book == "live" or (not row.book and row.quote in ("live", ""))
        price_style = "" if is_true else "dim strike"
        table.add_row(
            f"{row.connection}:{row.symbol}",
            Text(price_text(row.bid, row.ask), style=price_style),
            Text(price_text(row.ask, row.bid), style=price_style),
            number_text(row.spread_bps, 2),
            _state(row.book) if row.book else Text("quote" if row.quote else "-", style="dim"),
            number_text(row.messages_per_s, 0),
            number_text(row.age_ms, 0),
            _count(row.gaps),
            _count(row.resyncs),
            *([Text(row.trouble, style="yellow")] if has_trouble else []),
        )
    return table


def _strategy(each: StrategyView) -> Text:
    text = Text.assemble(("strategy ", "dim"), each.name, f"  {each.calls:,} calls")
    if each.errors:
        text.append(f"  {each.errors:,} errors", style="bold red")
    if each.slow:
        text.append(f"  {each.slow:,} slow", style="yellow")
    if not each.is_on:
        text.append("  SWITCHED OFF", style="bold red")
    return text


def _most_telling(rows: list[InstrumentRow], room: int | None) -> list[InstrumentRow]:
    """Those in trouble first, then the busiest; in the order they came."""
    if room is None or len(rows) <= room:
        return rows
    ranked = sorted(rows, key=lambda row: (not _is_troubled(row), -row.messages))
    kept = {id(row) for row in ranked[:room]}
    return [row for row in rows if id(row) in kept]


def _more(hidden: int, hidden_troubled: int) -> Text:
    if hidden_troubled > 0:
        return Text(f"  and {hidden} more instruments, {hidden_troubled} of them in trouble", style="yellow")
    return Text(f"  and {hidden} more instruments, all live", style="dim")


def _is_troubled(row: InstrumentRow) -> bool:
    return bool(row.trouble) or row.book not in ("live", "")


def _state(state: str, retry_in_s: float | None = None) -> Text:
    text = state if retry_in_s is None else f"{state} {retry_in_s:.0f} s"
    return Text(text, style=STATE_STYLES.get(state, ""))


def _count(value: int) -> Text:
    return Text(f"{value:,}", style="bold red" if value else "dim")
