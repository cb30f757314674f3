"""Price levels: sorted, exact, bounded; equal to a plain dict whatever the order of changes."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import Book, BookChange, BookState, DecodeError, Instrument, Stream
from connectors.sink import Sink

INSTRUMENT = Instrument("toy", "BTC-USDT", "BTCUSDT", price_scale=2, size_scale=3)
STREAM = Stream("toy", "book", "depth", "t", b"t", instrument=INSTRUMENT)


class Maker(Sink):
    def on_book(self, change: BookChange) -> None:
        self.made = change.copy()


def change(bids=(), asks=(), *, is_snapshot=False) -> BookChange:
    maker = Maker()
    maker.stream = STREAM
    maker.book(is_snapshot, bids, asks, 5_000_000)
    return maker.made


rows = st.lists(st.tuples(st.integers(1, 60).map(str), st.integers(0, 3).map(str)), max_size=12)


@given(st.lists(st.tuples(rows, rows, st.booleans()), max_size=12))
def test_levels_equal_a_plain_dict(messages):
    book, bids, asks = Book(INSTRUMENT), {}, {}

    for bid_rows, ask_rows, is_snapshot in messages:
        book.apply(change(bid_rows, ask_rows, is_snapshot=is_snapshot))
        if is_snapshot:
            bids.clear(), asks.clear()
        for side, side_rows in ((bids, bid_rows), (asks, ask_rows)):
            side.update((int(price), int(size)) for price, size in side_rows)
        bids, asks = ({p: s for p, s in side.items() if s} for side in (bids, asks))

    assert [(p // 100, s // 1000) for p, s in book.bids_int()] == sorted(bids.items(), reverse=True)
    assert [(p // 100, s // 1000) for p, s in book.asks_int()] == sorted(asks.items())
    assert list(book.iter_bids_int()) == book.bids_int()
    assert list(book.iter_asks_int()) == book.asks_int()
    assert (book.bid_count, book.ask_count) == (len(bids), len(asks))


@given(st.lists(st.tuples(rows, rows), max_size=8), st.integers(1, 6))
def test_only_the_best_levels_are_kept(messages, depth):
    book = Book(INSTRUMENT, depth)

    for bid_rows, ask_rows in messages:
        book.apply(change(bid_rows, ask_rows))

    assert book.bid_count <= depth
    assert book.ask_count <= depth
    assert book.bids_int() == sorted(book.bids_int(), reverse=True)
    assert book.asks_int() == sorted(book.asks_int())


def test_many_levels_are_sorted_and_found():
    book = Book(INSTRUMENT)
    prices = [(i * 7919) % 5003 + 1 for i in range(5003)]

    book.apply(change([(str(p), "1") for p in prices], [], is_snapshot=True))

    assert [p for p, _ in book.bids_int()] == [100 * p for p in range(5003, 0, -1)]
    assert all(book.size_at(str(p)) == 1.0 for p in (1, 2500, 5003))
    assert book.size_at("0.5") == 0.0


def test_an_empty_side_has_no_price():
    book = Book(INSTRUMENT)

    assert (book.best_bid_int, book.best_ask_int) == (None, None)
    assert book.best_bid != book.best_bid
    assert book.mid != book.mid
    assert (book.bids(), book.asks(), book.state) == ([], [], BookState.SYNCING)


def test_numbers_are_exact_in_each_form():
    book = Book(INSTRUMENT)

    book.apply(change([("61800.31", "0.005")], [("61800.4", "12.000")], is_snapshot=True))

    assert book.bids_decimal() == [(Decimal("61800.31"), Decimal("0.005"))]
    assert book.asks() == [(61800.4, 12.0)]
    assert (book.best_bid, book.best_ask_size, book.exchange_ns) == (61800.31, 12.0, 5_000_000)


def test_a_copy_is_independent():
    book = Book(INSTRUMENT)
    book.apply(change([("10", "1")], [("11", "1")], is_snapshot=True))

    copy = book.copy()
    book.apply(change([("10", "0")]))

    assert (copy.bids(), book.bids()) == ([(10.0, 1.0)], [])
    assert (copy.epoch, copy.is_live) == (1, True)


@pytest.mark.parametrize("rows", [[("1",)], [()], [("1", "-2")], [("x", "1")], [("1", "")]])
def test_a_row_that_is_no_level_is_refused(rows):
    with pytest.raises(DecodeError):
        change(rows)
