"""Table, log lines, summary and metrics say what the pictures of the engine say."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console, RenderableType

from connectors import lines, summary, table
from connectors.metrics_file import MetricsFile
from connectors.rows import connection_rows, instrument_rows, price_text
from connectors.view import BookView, ConnectionView, EngineView, StrategyView, StreamView

SECOND = 1_000_000_000
STREAM = StreamView("BTC-USDT", "trade", "t", "live", 100, 100, 0, 0, 0, 0, 0, 5.0)
BOOK = BookView("BTC-USDT", "live", 61800.1, 61800.2, 400, 1)
CONNECTION = ConnectionView(
    "left", "left", "live", "ws://x", 200, 3_000_000, 1, 0, 0, 0, 0.42, 1.5, 12.0, 48.0, None,
    (STREAM,), (BOOK,)
)  # fmt: skip
STRATEGY = StrategyView("watch", True, 1234, 0, 0)
VIEW = EngineView(20 * SECOND, 10 * SECOND, (CONNECTION,), (STRATEGY,))


def changed(thing: Any, **fields: Any) -> Any:
    return msgspec.structs.replace(thing, **fields)


def with_streams(*streams: StreamView, **fields: Any) -> EngineView:
    return changed(VIEW, connections=(changed(CONNECTION, streams=streams, **fields),))


def text_of(renderable: RenderableType, width: int = 140) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(renderable)
    out: str = console.file.getvalue()  # type: ignore[attr-defined]
    return out


# rows

QUOTE = changed(STREAM, kind="quote", topic="q", bid=61799.9, ask=61800.3)


def test_best_prices_come_from_quotes_where_no_book_is_kept() -> None:
    view = with_streams(STREAM, QUOTE, books=())

    (row,) = instrument_rows(view)

    assert (row.bid, row.ask, row.quote, row.book) == (61799.9, 61800.3, "live", "")
    assert "61799.9  61800.3" in text_of(table.render(view))
    assert any("quote=live bid=61799.9 ask=61800.3" in line for line in lines.status_lines(view))


def test_kept_book_goes_before_quotes() -> None:
    (row,) = instrument_rows(with_streams(STREAM, QUOTE))

    assert (row.bid, row.quote) == (61800.1, "")


def test_missed_trades_are_shown() -> None:
    view = with_streams(changed(STREAM, missed=7))

    assert connection_rows(view)[0].missed == 7
    assert "missed=7" in lines.status_lines(view)[0]
    assert any("missed=7" in line for line in summary.lines(view))


def test_log_lines_name_venue_and_connection() -> None:
    view = changed(VIEW, connections=(changed(CONNECTION, exchange="okx"),))

    assert lines.status_lines(view)[0].startswith("okx/left live ")


def test_rate_is_that_between_two_pictures() -> None:
    before = changed(with_streams(changed(STREAM, messages=60)), ns=18 * SECOND)

    (connection,) = connection_rows(VIEW, before)
    (instrument,) = instrument_rows(VIEW, before)

    assert connection.messages_per_s == instrument.messages_per_s == 20


def test_rate_without_an_earlier_picture_is_that_since_the_start() -> None:
    (row,) = connection_rows(VIEW)

    assert row.messages_per_s == 10


def test_counters_of_streams_are_summed_per_connection_and_instrument() -> None:
    other = changed(
        STREAM, kind="book", topic="b", messages=7, gaps=2, resyncs=1, dropped=3, errors=4, age_ms=2
    )
    view = with_streams(STREAM, other, changed(STREAM, symbol="ETH-USDT", topic="e", gaps=5))

    (connection,) = connection_rows(view)
    bitcoin, ether = instrument_rows(view)

    assert (connection.gaps, connection.drops, connection.errors) == (7, 3, 4)
    assert (bitcoin.messages, bitcoin.gaps, bitcoin.resyncs, bitcoin.age_ms) == (107, 2, 1, 2)
    assert (ether.gaps, ether.book, ether.bid) == (5, "", None)


def test_missing_side_of_a_book_is_no_price() -> None:
    view = with_streams(STREAM, books=(changed(BOOK, bid=math.nan),))

    (row,) = instrument_rows(view)

    assert (row.bid, row.ask, row.spread_bps) == (None, 61800.2, None)


@pytest.mark.parametrize(
    ("price", "text"), [(61800.1, "61800.1"), (1e-8, "0.00000001"), (100000.0, "100000"), (None, "-")]
)
def test_price_is_shortest_text_without_exponent(price: float | None, text: str) -> None:
    assert price_text(price) == text


def test_two_prices_get_the_decimals_of_the_finer_one() -> None:
    assert (price_text(3000.0, 2999.95), price_text(2999.95, 3000.0)) == ("3000.00", "2999.95")


# table


def test_table_shows_state_rtt_rate_lag_and_best_prices() -> None:
    out = text_of(table.render(VIEW, title="demo.yaml"))

    for part in (
        "demo.yaml",
        "00:00:10",
        "live",
        "0.42",
        "1.50",
        "12",
        "48",
        "61800.1",
        "61800.2",
        "1,234 calls",
    ):
        assert part in out, part


def test_trouble_is_named() -> None:
    view = with_streams(
        changed(STREAM, state="stale"),
        state="waiting",
        retry_in_s=4.0,
        books=(changed(BOOK, state="invalid"),),
    )
    view = changed(view, recorder_drops=9, strategies=(changed(STRATEGY, errors=3, is_on=False),))

    out = text_of(table.render(view))

    for part in (
        "waiting 4 s",
        "0/1",
        "trade stale",
        "invalid",
        "9 records LOST",
        "3 errors",
        "SWITCHED OFF",
    ):
        assert part in out, part


def test_low_terminal_keeps_the_instruments_in_trouble() -> None:
    streams = [changed(STREAM, symbol=f"S{i}-USDT", topic=str(i), messages=1000 - i) for i in range(100)]
    streams[77] = changed(streams[77], state="stale")

    out = text_of(table.render(with_streams(*streams, books=()), height=20))

    assert len(out.splitlines()) <= 20
    assert "S77-USDT" in out
    assert "S0-USDT" in out
    assert "more instruments, all live" in out


def test_hidden_trouble_is_told() -> None:
    streams = [changed(STREAM, symbol=f"S{i}", topic=str(i), state="stale") for i in range(100)]

    out = text_of(table.render(with_streams(*streams, books=()), height=20))

    assert "89 more instruments, 89 of them in trouble" in out


def test_table_fits_eighty_columns() -> None:
    out = text_of(table.render(VIEW), width=80)

    assert "61800.2" in out
    assert "48" in out
    assert max(map(len, out.splitlines())) <= 80


# lines


def test_log_lines_carry_names_and_units() -> None:
    connection, instrument = lines.status_lines(VIEW)

    assert connection == (
        "left live streams=1/1 rtt_ms=0.42 msg_per_s=10 lag_p50_us=12 lag_p99_us=48"
        " gaps=0 missed=0 drops=0 errors=0 unknown=0 losses=0"
    )
    assert instrument == (
        "left:BTC-USDT book=live bid=61800.1 ask=61800.2 msg_per_s=10 age_ms=5 gaps=0 resyncs=0"
    )


def test_instrument_without_book_gets_a_line_only_in_trouble() -> None:
    quiet = with_streams(STREAM, books=())
    troubled = with_streams(changed(STREAM, state="refused"), books=())

    assert len(lines.status_lines(quiet)) == 1
    assert "trouble='trade refused'" in lines.status_lines(troubled)[1]


# summary


def test_counts_that_agree_are_told_as_such() -> None:
    sent = {("left", "t"): 100}

    assert summary.verdict(VIEW, sent) == "mock sent 100 data messages, 100 received: the counts agree"
    assert summary.lines(VIEW, sent=sent)[-1] == summary.verdict(VIEW, sent)
    assert summary.verdict(VIEW, sent) in text_of(summary.render(VIEW, sent=sent))


@pytest.mark.parametrize("sent", [{("left", "t"): 101}, {}, {("left", "t"): 100, ("left", "other"): 1}])
def test_lost_extra_and_never_received_streams_disagree(sent: dict[tuple[str, str], int]) -> None:
    assert "DISAGREE" in summary.verdict(VIEW, sent)


@pytest.mark.parametrize("cause", ["losses", "rotations"])
def test_counts_after_a_loss_or_a_rotation_are_not_called_wrong(cause: str) -> None:
    view = changed(VIEW, connections=(changed(CONNECTION, **{cause: 1}),))

    assert "not comparable after" in summary.verdict(view, {("left", "t"): 120})
    assert "the counts agree" in summary.verdict(view, {("left", "t"): 100})


def test_two_connections_with_one_topic_are_counted_together() -> None:
    view = changed(VIEW, connections=(CONNECTION, changed(CONNECTION, name="left-2")))

    (tally,) = summary.tallies(view, {("left", "t"): 200})

    assert tally.agrees


def test_two_streams_of_one_topic_count_its_messages_once() -> None:
    view = with_streams(STREAM, changed(STREAM, kind="funding"))

    (tally,) = summary.tallies(view, {("left", "t"): 100})

    assert tally.agrees


def test_summary_lines_name_every_stream_and_strategy() -> None:
    out = summary.lines(VIEW, reason="SIGINT")

    assert out[0] == "stopped after 10.0 s: SIGINT"
    assert any(line.startswith("stream left:BTC-USDT trade messages=100 ") for line in out)
    assert "strategy watch calls=1234 errors=0 slow=0 on=True" in out


# metrics file


def test_metrics_are_appended_one_json_object_a_line(tmp_path: Path) -> None:
    path = tmp_path / "new" / "metrics.jsonl"
    for _ in range(2):
        metrics = MetricsFile(path)
        metrics.write(with_streams(STREAM, books=(changed(BOOK, bid=math.nan),)))
        metrics.write(changed(with_streams(changed(STREAM, messages=140)), ns=22 * SECOND))
        metrics.close()

    first, second, *again = map(msgspec.json.decode, path.read_bytes().splitlines())

    assert len(again) == 2
    assert (first["run_s"], first["time"]) == (10, "1970-01-01T00:00:20.000000Z")
    assert first["connections"][0]["books"][0]["bid"] is None
    assert second["connections"][0]["messages_per_s"] == 20
    assert second["connections"][0]["streams"][0]["messages"] == 140


def test_full_disk_is_counted_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    metrics = MetricsFile(Path("/dev/full"))

    metrics.write(VIEW)
    metrics.write(VIEW)
    metrics.close()

    assert metrics.dropped == 2
    assert len(caplog.records) == 1
    assert "No space left" in caplog.text
