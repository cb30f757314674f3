"""What a run leaves behind: totals per connection, stream and strategy; do they agree with what was sent?"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from connectors.view import ConnectionView, EngineView, StreamView

NARROW = 100  # columns are closer below
SentCounts = Mapping[tuple[str, str], int]
"""(exchange, topic) -> data messages that its mock sent."""


class Tally(msgspec.Struct, frozen=True):
    """One stream, over all connections of its exchange that carry it. sent: None where nobody counts."""

    exchange: str
    topic: str
    received: int
    sent: int | None

    @property
    def agrees(self) -> bool:
        return self.sent is None or self.sent == self.received


def tallies(view: EngineView, sent: SentCounts | None = None) -> list[Tally]:
    """What was received beside what was sent; topics that were sent and never received stand at the end."""
    received: dict[tuple[str, str], int] = {}
    for connection in view.connections:
        for topic, count in _by_topic(connection).items():
            key = (connection.exchange, topic)
            received[key] = received.get(key, 0) + count
    if sent is None:
        return [Tally(*key, count, None) for key, count in received.items()]
    keys = list(received) + [key for key in sent if key not in received]
    return [Tally(*key, received.get(key, 0), sent.get(key, 0)) for key in keys]


def _by_topic(connection: ConnectionView) -> dict[str, int]:
    """Messages of each topic. Streams may share one (ticker and funding in one message): counted once."""
    found: dict[str, int] = {}
    for stream in connection.streams:
        found[stream.topic] = max(found.get(stream.topic, 0), stream.messages)
    return found


def is_comparable(view: EngineView) -> bool:
    """Can the counts be equal? Not after a loss (some were on their way) or a rotation (both had sent)."""
    return not any(each.losses or each.rotations for each in view.connections)


def verdict(view: EngineView, sent: SentCounts) -> str:
    """One line: do the counts of the run agree with the mock's?"""
    found = tallies(view, sent)
    total_sent, total = sum(each.sent or 0 for each in found), sum(each.received for each in found)
    wrong = sum(not each.agrees for each in found)
    if not wrong:
        agreement = "the counts agree"
    elif is_comparable(view):
        agreement = f"{wrong} of {len(found)} streams DISAGREE"
    else:
        losses = sum(each.losses for each in view.connections)
        rotations = sum(each.rotations for each in view.connections)
        agreement = f"not comparable after {losses} losses and {rotations} rotations"
    return f"mock sent {total_sent:,} data messages, {total:,} received: {agreement}"


def lines(view: EngineView, *, reason: str = "", sent: SentCounts | None = None) -> list[str]:
    """For pipes and files: name=value, one line a thing."""
    out = [_headline(view, reason)]
    sent_of = {(each.exchange, each.topic): each.sent for each in tallies(view, sent)}
    for each in view.connections:
        out.append(
            f"connection {each.name} frames={each.frames} bytes={each.bytes} connects={each.connects}"
            f" losses={each.losses} rotations={each.rotations} unknown={each.unknown}"
        )
        for stream in each.streams:
            count = sent_of[each.exchange, stream.topic]
            out.append(f"stream {each.name}:{stream.symbol} {stream.kind} {_stream_fields(stream)}"
                       + ("" if count is None else f" sent={count}"))  # fmt: skip
    out.extend(
        f"strategy {each.name} calls={each.calls} errors={each.errors} slow={each.slow} on={each.is_on}"
        for each in view.strategies
    )
    if view.recorder_drops:
        out.append(f"recorder LOST {view.recorder_drops} records")
    return [*out, verdict(view, sent)] if sent is not None else out


def render(
    view: EngineView, *, reason: str = "", sent: SentCounts | None = None, width: int | None = None
) -> RenderableType:
    """For a terminal, `width` columns wide."""
    gap = 1 if width is not None and width < NARROW else 2
    parts: list[RenderableType] = [
        Text(_headline(view, reason), style="bold"),
        _connections(view, gap),
        _streams(view, sent, gap),
    ]
    if view.strategies:
        parts.append(_strategies(view, gap))
    if view.recorder_drops:
        parts.append(Text(f"recorder LOST {view.recorder_drops:,} records", style="bold red"))
    if sent is not None:
        is_good = all(each.agrees for each in tallies(view, sent))
        style = "bold green" if is_good else "bold red" if is_comparable(view) else "yellow"
        parts.append(Text(verdict(view, sent), style=style))
    return Group(*parts)


def _headline(view: EngineView, reason: str) -> str:
    seconds = (view.ns - view.started_ns) / 1e9
    return f"stopped after {seconds:.1f} s" + (f": {reason}" if reason else "")


def _known(count: int | None) -> str:
    return "-" if count is None else f"{count:,}"


def _stream_fields(stream: StreamView) -> str:
    missed = "-" if stream.missed is None else stream.missed
    return (
        f"messages={stream.messages} events={stream.events} gaps={stream.gaps} missed={missed}"
        f" resyncs={stream.resyncs} duplicates={stream.duplicates}"
        f" dropped={stream.dropped} errors={stream.errors}"
    )


def _table(gap: int, *headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, gap, 0, 0))
    table.add_column(headings[0], no_wrap=True)
    for heading in headings[1:]:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _connections(view: EngineView, gap: int) -> Table:
    table = _table(gap, "connection", "frames", "MB", "connects", "losses", "rotations", "unknown")
    for each in view.connections:
        counts = (each.connects, each.losses, each.rotations, each.unknown)
        megabytes = f"{each.bytes / 1e6:,.2f}"
        table.add_row(each.name, f"{each.frames:,}", megabytes, *(f"{count:,}" for count in counts))
    return table


def _streams(view: EngineView, sent: SentCounts | None, gap: int) -> Table:
    headings = ["stream", "messages", "events", "gaps", "missed", "resyncs", "dup", "drops", "errors"]
    table = _table(gap, *headings, *(["sent"] if sent is not None else []))
    tally_of = {(each.exchange, each.topic): each for each in tallies(view, sent)}
    for each in view.connections:
        for stream in each.streams:
            row = [Text(f"{each.name}:{stream.symbol} {stream.kind}"), Text(f"{stream.messages:,}")]
            row.append(Text(f"{stream.events:,}"))
            bad = (
                stream.gaps,
                stream.missed,
                stream.resyncs,
                stream.duplicates,
                stream.dropped,
                stream.errors,
            )
            row.extend(Text(_known(count), style="red" if count else "dim") for count in bad)
            tally = tally_of[each.exchange, stream.topic]
            if tally.sent is not None:
                row.append(Text(f"{tally.sent:,}", style="green" if tally.agrees else "bold red"))
            table.add_row(*row)
    return table


def _strategies(view: EngineView, gap: int) -> Table:
    table = _table(gap, "strategy", "calls", "errors", "slow", "")
    for each in view.strategies:
        counts = (f"{count:,}" for count in (each.calls, each.errors, each.slow))
        table.add_row(each.name, *counts, "" if each.is_on else Text("switched off", style="bold red"))
    return table
