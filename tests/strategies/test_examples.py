"""The example strategies do what their docstrings say, on events made by hand."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from connectors import Book, Instrument, Status, StatusKind, Stream
from connectors.sink import Sink
from strategies.cython_counter import CythonCounter
from strategies.frame_counter import FrameCounter
from strategies.order_flow_imbalance import OrderFlowImbalance, Top, contribution
from strategies.print_quotes import PrintQuotes
from strategies.spread_watch import SpreadWatch

SECOND = 1_000_000_000


class Feed(Sink):
    """Events of one venue's BTC-USDT, pushed into one strategy as a session would."""

    def __init__(self, strategy: Any, exchange: str) -> None:
        self.strategy = strategy
        self.instrument = Instrument(exchange, "BTC-USDT", "BTCUSDT")
        self.stream = Stream(
            exchange, "book", "b", "b", b"b", instrument=self.instrument, connection=exchange
        )
        self.the_book = Book(self.instrument)

    def on_quote(self, quote: Any) -> None:
        self.strategy.on_quote(quote)

    def on_book(self, change: Any) -> None:
        self.the_book.apply(change)
        self.strategy.on_book(self.the_book, change)

    def quote_at(self, ns: int, bid: str | None, ask: str | None) -> None:
        self.recv_ns = ns
        self.quote(bid, "1", ask, "1", 0)

    def book_at(self, ns: int, bid: tuple[str, str], ask: tuple[str, str], is_snapshot: bool = True) -> None:
        self.recv_ns = ns
        self.book(is_snapshot, [bid], [ask], 0, last_id=1)

    def lose(self, kind: StatusKind = StatusKind.LOST, symbol: str | None = None) -> None:
        exchange = self.instrument.exchange
        self.strategy.on_status(Status(kind, 0, exchange, exchange, symbol=symbol))


class Frame:
    """What replay hands out in place of a core frame."""

    def __init__(self, payload: bytes, msg_type: int = 1) -> None:
        self.payload = payload
        self.msg_type = msg_type

    def get_payload_as_memoryview(self) -> memoryview:
        return memoryview(self.payload)


class Transport:
    def __init__(self) -> None:
        self.out: list[bytes] = []

    def send(self, msg_type: Any, message: bytes) -> None:
        self.out.append(message)


# print_quotes


def test_each_nth_quote_is_printed_exactly(capsys: pytest.CaptureFixture[str]) -> None:
    feed = Feed(PrintQuotes(PrintQuotes.Params(every=2)), "left")

    for bid in ("1.10", "1.20", "1.30", "0.1"):
        feed.quote_at(1, bid, "2.00000001")

    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == ["1.2", "0.1"]
    assert "2.00000001" in lines[0]


def test_lost_connection_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    feed = Feed(PrintQuotes(), "left")

    feed.lose()

    assert "left lost" in capsys.readouterr().out


# spread_watch


@pytest.fixture
def pair() -> tuple[SpreadWatch, Feed, Feed]:
    watch = SpreadWatch(SpreadWatch.Params(min_bps=10, max_age_ms=1000))
    return watch, Feed(watch, "left"), Feed(watch, "right")


def test_spread_opens_once_and_closes_once(
    pair: tuple[SpreadWatch, Feed, Feed], capsys: pytest.CaptureFixture[str]
) -> None:
    watch, left, right = pair

    left.quote_at(1, "100", "101")
    right.quote_at(2, "102", "103")  # bid 102 above ask 101: 99 bps
    right.quote_at(3, "102", "103")
    (spread,) = watch.open.values()
    right.quote_at(4, "100", "101")

    assert (spread.sell, spread.buy, round(spread.bps)) == ("right", "left", 99)
    assert (watch.opened, watch.open) == (1, {})
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_spread_below_the_limit_is_silent(pair: tuple[SpreadWatch, Feed, Feed]) -> None:
    watch, left, right = pair

    left.quote_at(1, "100", "101")
    right.quote_at(2, "101.1", "103")  # 9.9 bps

    assert watch.opened == 0


def test_spread_between_the_limits_stays_as_it_is(pair: tuple[SpreadWatch, Feed, Feed]) -> None:
    watch, left, right = pair

    left.quote_at(1, "100", "101")
    right.quote_at(2, "102", "103")
    right.quote_at(3, "101.01", "103")  # 1 bps: still open
    right.quote_at(4, "102", "103")

    assert (watch.opened, len(watch.open)) == (1, 1)


def test_old_quote_is_no_price(pair: tuple[SpreadWatch, Feed, Feed]) -> None:
    watch, left, right = pair

    left.quote_at(0, "100", "101")
    right.quote_at(SECOND + 1, "102", "103")

    assert watch.opened == 0


@pytest.mark.parametrize("kind", [StatusKind.LOST, StatusKind.STALE])
def test_quotes_of_a_dead_stream_are_forgotten(
    pair: tuple[SpreadWatch, Feed, Feed], kind: StatusKind
) -> None:
    watch, left, right = pair
    left.quote_at(1, "100", "101")
    right.quote_at(2, "102", "103")

    left.lose(kind)
    right.quote_at(3, "103", "104")

    assert (watch.opened, watch.open) == (1, {})


def test_stale_stream_of_another_symbol_forgets_nothing(pair: tuple[SpreadWatch, Feed, Feed]) -> None:
    watch, left, right = pair
    left.quote_at(1, "100", "101")
    right.quote_at(2, "102", "103")

    left.lose(StatusKind.STALE, symbol="ETH-USDT")

    assert len(watch.open) == 1


def test_missing_side_is_no_spread(pair: tuple[SpreadWatch, Feed, Feed]) -> None:
    watch, left, right = pair

    left.quote_at(1, "100", None)
    right.quote_at(2, "102", "103")

    assert watch.opened == 0


# order_flow_imbalance


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (Top(10, 5, 11, 5), Top(10, 8, 11, 5), 3),  # demand grows at the same bid
        (Top(10, 5, 11, 5), Top(10.5, 2, 11, 5), 2),  # a better bid: its whole size
        (Top(10, 5, 11, 5), Top(9, 7, 11, 5), -5),  # the bid is gone: its whole old size
        (Top(10, 5, 11, 5), Top(10, 5, 11, 9), -4),  # supply grows
        (Top(10, 5, 11, 5), Top(10, 5, 10.5, 1), -1),  # a better ask
        (Top(10, 5, 11, 5), Top(10, 5, 12, 6), 5),  # the ask is gone
    ],
)
def test_contribution_is_that_of_the_paper(before: Top, after: Top, expected: float) -> None:
    assert contribution(before, after) == expected


def test_imbalance_is_the_sum_over_the_window() -> None:
    strategy = OrderFlowImbalance(OrderFlowImbalance.Params(window_s=10, report_every_s=0))
    feed = Feed(strategy, "left")

    feed.book_at(0, ("10", "5"), ("11", "5"))
    feed.book_at(1 * SECOND, ("10", "8"), ("11", "5"), is_snapshot=False)
    feed.book_at(9 * SECOND, ("10", "7"), ("11", "5"), is_snapshot=False)
    within = strategy.imbalance["left:BTC-USDT"]
    feed.book_at(11 * SECOND, ("10", "7"), ("11", "5"), is_snapshot=False)

    assert within == 2
    assert strategy.imbalance["left:BTC-USDT"] == -1


def test_resynced_book_starts_a_new_window() -> None:
    strategy = OrderFlowImbalance(OrderFlowImbalance.Params(report_every_s=0))
    feed = Feed(strategy, "left")
    feed.book_at(0, ("10", "5"), ("11", "5"))
    feed.book_at(1, ("10", "8"), ("11", "5"), is_snapshot=False)

    feed.lose(StatusKind.GAP, symbol="BTC-USDT")
    feed.book_at(2, ("20", "5"), ("21", "5"))

    assert strategy.imbalance["left:BTC-USDT"] == 0


def test_report_comes_at_its_interval_of_event_time(capsys: pytest.CaptureFixture[str]) -> None:
    strategy = OrderFlowImbalance(OrderFlowImbalance.Params(window_s=100, report_every_s=5))
    feed = Feed(strategy, "left")

    for second in range(11):
        feed.book_at(second * SECOND, ("10", str(second + 1)), ("11", "5"), is_snapshot=second == 0)

    assert capsys.readouterr().out.splitlines() == [
        "left:BTC-USDT: imbalance +5 over 5 changes",
        "left:BTC-USDT: imbalance +10 over 10 changes",
    ]


# frame_counter and cython_counter


def test_frames_and_bytes_are_counted_in_python_and_cython() -> None:
    python, cython = FrameCounter(), CythonCounter()

    for payload in (b"abc", b"", b"defgh"):
        for strategy in (python, cython):
            strategy.on_ws_frame(Transport(), Frame(payload))

    assert (python.frames.total(), python.bytes) == (3, 8)
    assert (cython.frames, cython.bytes) == (3, 8)


@pytest.mark.parametrize("cls", [FrameCounter, CythonCounter])
def test_text_is_sent_once_per_transport_and_not_while_paused(cls: Any) -> None:
    pytest.importorskip("picows")
    strategy = cls(cls.Params(send="hello"))
    first, second = Transport(), Transport()

    strategy.on_pause(first)
    strategy.on_ws_frame(first, Frame(b"a"))
    strategy.on_resume(first)
    for transport in (first, first, second, second):
        strategy.on_ws_frame(transport, Frame(b"a"))

    assert (first.out, second.out, strategy.sent) == ([b"hello"], [b"hello"], 2)


# All


@pytest.mark.parametrize(
    "cls",
    [PrintQuotes, SpreadWatch, OrderFlowImbalance, FrameCounter, CythonCounter],
    ids=lambda cls: cls.__name__,
)
def test_unknown_parameter_is_refused(cls: Any) -> None:
    with pytest.raises(msgspec.ValidationError, match="evry"):
        msgspec.convert({"evry": 1}, cls.Params, strict=True)
    assert cls(name="mine").name == "mine"


def test_quote_without_prices_compares_as_nothing() -> None:
    watch = SpreadWatch()
    left, right = Feed(watch, "left"), Feed(watch, "right")

    left.quote_at(1, None, None)
    right.quote_at(2, None, None)

    assert watch.opened == 0
    assert all(math.isnan(best.bid) for best in watch.best["BTC-USDT"].values())
