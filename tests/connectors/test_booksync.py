"""Book sync: snapshot and changes become one true book, or a book that says it is not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors import BookChange, BookState, Exchange, Instrument, Stream
from connectors.booksync import Action, BookSync
from connectors.errors import BookChecksum, BookCrossed, BookGap, DecodeError
from connectors.facts import ChannelFact
from connectors.sink import Sink

INSTRUMENT = Instrument("toy", "BTC-USDT", "BTCUSDT", price_scale=2, size_scale=2)


class Toy(Exchange):
    """A venue whose checksum is the number of levels."""

    def __init__(self):
        pass

    def checksum(self, book):
        return book.bid_count + book.ask_count


def sync_of(continuity, snapshot="stream", **fact):
    facts = ChannelFact(name="d", route="r", continuity=continuity, snapshot=snapshot, **fact)
    stream = Stream("toy", "book", "d", "d.BTCUSDT", b"d", instrument=INSTRUMENT, fact=facts)
    return BookSync(stream, Toy(), max_buffer=100)


class Maker(Sink):
    def on_book(self, change: BookChange) -> None:
        self.made = change.copy()


def change(first=None, last=None, prev=None, *, bids=(), asks=(), checksum=None, full=False) -> BookChange:
    maker = Maker()
    maker.stream = Stream("toy", "book", "d", "d.BTCUSDT", b"d", instrument=INSTRUMENT)
    rows = [[(str(p), str(s)) for p, s in side] for side in (bids, asks)]
    maker.book(full, *rows, 0, first_id=first, last_id=last, prev_id=prev, checksum=checksum)
    return maker.made


def snapshot(last, prev=None, bids=((10, 1), (9, 1)), asks=((11, 1), (12, 1)), **more):
    return change(None, last, prev, bids=bids, asks=asks, full=True, **more)


def test_rest_book_is_built_from_snapshot_and_buffered_changes():
    sync = sync_of("range", "rest")
    assert sync.action == Action.NEED_SNAPSHOT
    buffered = [sync.on_change(change(*ids, bids=[(10, size)])) for ids, size in (((1, 5), 7), ((6, 9), 8))]

    applied = sync.on_snapshot(snapshot(5))

    assert buffered == [Action.BUFFERED] * 2
    assert [each.ids for each in applied] == [(None, 5, None), (6, 9, None)]
    assert (sync.book.bids(), sync.book.last_id) == ([(10.0, 8.0), (9.0, 1.0)], 9)
    assert (sync.book.state, sync.book.epoch, sync.dropped, sync.gaps) == (BookState.LIVE, 1, 1, 0)
    assert sync.on_change(change(10, 12, bids=[(10, 0)])) == Action.APPLIED


def test_a_snapshot_older_than_the_buffer_is_asked_for_again():
    sync = sync_of("range", "rest")
    sync.on_change(change(10, 12))

    assert sync.on_snapshot(snapshot(5)) == []

    assert (sync.action, sync.book.state) == (Action.NEED_SNAPSHOT, BookState.SYNCING)
    assert len(sync.on_snapshot(snapshot(9))) == 2


def test_a_snapshot_ahead_of_the_stream_waits_for_it_and_is_true_meanwhile():
    sync = sync_of("range", "rest")
    sync.on_change(change(1, 5))
    assert len(sync.on_snapshot(snapshot(20))) == 1
    late = [sync.on_change(change(*ids, bids=[(10, 99)])) for ids in ((6, 9), (10, 20))]

    joined = sync.on_change(change(18, 25, bids=[(10, 3)]))

    assert (late, joined) == ([Action.DROPPED] * 2, Action.APPLIED)
    assert (sync.book.bids()[0], sync.dropped, sync.duplicates) == ((10.0, 3.0), 3, 0)


def test_a_snapshot_before_the_first_change_is_held():
    sync = sync_of("prev", "rest")

    held = sync.on_snapshot(snapshot(100))

    assert (held, sync.action, sync.book.state) == ([], Action.BUFFERED, BookState.SYNCING)
    assert sync.on_change(change(95, 105, 90, asks=[(11, 5)])) == Action.APPLIED
    assert (sync.book.asks()[0], sync.book.epoch) == ((11.0, 5.0), 1)


def test_a_gap_inside_the_buffer_shows_nothing():
    sync = sync_of("range", "rest")
    for ids in ((1, 5), (6, 9), (11, 12)):
        sync.on_change(change(*ids))

    assert sync.on_snapshot(snapshot(5)) == []
    assert (sync.action, sync.book.epoch, sync.book.bids()) == (Action.NEED_SNAPSHOT, 0, [])
    assert [each.ids[1] for each in sync.on_snapshot(snapshot(10))] == [10, 12]


@pytest.mark.parametrize(
    ("continuity", "source", "follow", "gap", "asks_for"),
    [
        ("range", "rest", (6, 6), (9, 9), Action.NEED_SNAPSHOT),
        ("prev", "rest", (6, 6, 5), (9, 9, 8), Action.NEED_SNAPSHOT),
        ("prev_reset", "stream", (None, 6, 5), (None, 9, 8), Action.NEED_RESUBSCRIBE),
        ("step", "stream", (None, 6), (None, 9), Action.NEED_RESUBSCRIBE),
    ],
)
def test_a_gap_asks_once_and_empties_the_book(continuity, source, follow, gap, asks_for):
    sync = sync_of(continuity, source)
    if source == "rest":
        sync.on_change(change(5, 5, 4))
        sync.on_snapshot(snapshot(5))
    else:
        sync.on_change(snapshot(5))
    assert sync.on_change(change(*follow)) == Action.APPLIED

    first = sync.on_change(change(*gap))
    more = [sync.on_change(change(*gap)) for _ in range(20)]

    assert first == asks_for
    assert set(more) <= {Action.BUFFERED, Action.DROPPED}
    assert (sync.book.state, sync.book.bids(), sync.book.asks()) == (BookState.INVALID, [], [])
    assert sync.gaps == 1
    assert isinstance(sync.error, BookGap)
    assert "6" in str(sync.error)


def test_the_change_after_the_gap_joins_the_new_snapshot():
    sync = sync_of("range", "rest")
    sync.on_change(change(1, 5))
    sync.on_snapshot(snapshot(5))
    sync.on_change(change(8, 9, bids=[(10, 42)]))

    applied = sync.on_snapshot(snapshot(7))

    assert [each.ids[1] for each in applied] == [7, 9]
    assert (sync.book.epoch, sync.book.bids()[0], sync.book.state) == (2, (10.0, 42.0), BookState.LIVE)


def test_a_snapshot_of_the_stream_ends_a_gap():
    sync = sync_of("step")
    sync.on_change(snapshot(5))
    sync.on_change(change(None, 9))

    assert sync.on_change(snapshot(30)) == Action.APPLIED
    assert (sync.book.state, sync.book.epoch) == (BookState.LIVE, 2)


def test_a_stream_whose_snapshot_never_comes_is_subscribed_anew_ever_more_slowly():
    sync = sync_of("step")
    asked = []
    for number in range(1, 2000):
        if sync.on_change(change(None, number + 1)) == Action.NEED_RESUBSCRIBE:
            asked.append(number)
            sync.on_resubscribed()

    assert asked == [200, 600, 1400]
    assert (sync.book.is_live, sync.book.bid_count) == (False, 0)
    assert sync.on_change(snapshot(3000)) == Action.APPLIED


def test_u_of_one_restarts_the_numbering():
    sync = sync_of("step")
    sync.on_change(snapshot(500))

    assert sync.on_change(snapshot(1, bids=[(8, 1)], asks=[(9, 1)])) == Action.APPLIED
    assert sync.on_change(change(None, 2)) == Action.APPLIED
    assert (sync.book.bids(), sync.gaps, sync.book.epoch) == ([(8.0, 1.0)], 0, 2)


def test_documented_sequence_of_keep_alive_and_reset():
    sync = sync_of("prev_reset")
    sync.on_change(snapshot(10, -1))

    actions = [sync.on_change(change(None, *ids)) for ids in ((15, 10), (15, 15), (3, 15), (5, 3))]

    assert actions == [Action.APPLIED] * 4
    assert (sync.book.last_id, sync.gaps, sync.book.epoch) == (5, 0, 1)


def test_a_repetition_changes_nothing():
    sync = sync_of("step")
    sync.on_change(snapshot(5))
    sync.on_change(change(None, 6, bids=[(10, 2)]))

    assert sync.on_change(change(None, 6, bids=[(10, 77)])) == Action.DROPPED
    assert (sync.book.bids()[0], sync.duplicates) == ((10.0, 2.0), 1)


def test_numbers_that_went_back_are_no_repetition_for_ever():
    sync = sync_of("step")
    sync.on_change(snapshot(1000))

    actions = [sync.on_change(change(None, last)) for last in range(10, 200)]

    assert actions.index(Action.NEED_RESUBSCRIBE) == 50
    assert sync.gaps == 1


def test_a_wrong_checksum_is_a_failure():
    sync = sync_of("none", checksum=True)
    assert sync.on_change(snapshot(None, checksum=4)) == Action.APPLIED

    assert sync.on_change(change(bids=[(8, 1)], checksum=4)) == Action.NEED_RESUBSCRIBE

    assert isinstance(sync.error, BookChecksum)
    assert (sync.checksums, sync.failures, sync.book.bids()) == (1, 1, [])


def test_a_crossed_book_is_a_failure_unless_facts_allow_it():
    strict, lax = sync_of("step"), sync_of("step", may_cross=True)
    for sync in (strict, lax):
        sync.on_change(snapshot(5))

    assert strict.on_change(change(None, 6, bids=[(11, 1)])) == Action.NEED_RESUBSCRIBE
    assert isinstance(strict.error, BookCrossed)
    assert strict.book.state == BookState.INVALID
    assert lax.on_change(change(None, 6, bids=[(11, 1)])) == Action.APPLIED


def test_an_unreadable_message_is_like_a_gap():
    sync = sync_of("step")
    sync.on_change(snapshot(5))

    assert sync.on_error(DecodeError("bad")) == Action.NEED_RESUBSCRIBE
    assert sync.on_error(DecodeError("bad")) == Action.DROPPED
    assert (sync.book.state, sync.failures) == (BookState.INVALID, 1)


def test_whole_books_need_no_ids_and_keep_their_epoch():
    sync = sync_of("full", depth=2)

    actions = [sync.on_change(snapshot(None, bids=[(9 - i, 1)])) for i in range(3)]

    assert actions == [Action.APPLIED] * 3
    assert (sync.book.bids(), sync.book.epoch) == ([(7.0, 1.0)], 1)


def test_a_stale_book_keeps_its_levels_and_lives_again_with_the_next_change():
    sync = sync_of("step")
    sync.on_change(snapshot(5))

    sync.on_stale()
    assert (sync.book.state, sync.book.bid_count) == (BookState.STALE, 2)
    assert sync.on_change(change(None, 6)) == Action.APPLIED
    assert (sync.book.state, sync.book.epoch) == (BookState.LIVE, 1)


def test_a_lost_connection_starts_over():
    sync = sync_of("range", "rest")
    sync.on_change(change(1, 5))
    sync.on_snapshot(snapshot(5))

    sync.on_lost()
    assert (sync.book.state, sync.on_change(change(6, 7))) == (BookState.STALE, Action.DROPPED)

    assert sync.on_resubscribed() == Action.NEED_SNAPSHOT
    sync.on_change(change(50, 55))
    sync.on_snapshot(snapshot(52))
    assert (sync.book.state, sync.book.epoch, sync.gaps) == (BookState.LIVE, 2, 0)


def test_the_buffer_is_bounded():
    sync = sync_of("range", "rest")
    for i in range(1000):
        sync.on_change(change(i, i))

    assert len(sync.on_snapshot(snapshot(950))) == 50


def truncated():
    sync = sync_of("range", "rest", snapshot_levels=4)
    sync.on_change(change(1, 5))
    sync.on_snapshot(
        snapshot(5, bids=[(100 - i, 1) for i in range(4)], asks=[(101 + i, 1) for i in range(4)])
    )
    assert sync.on_change(change(6, 6, bids=[(100, 0), (99, 0)])) == Action.APPLIED
    return sync


def test_a_price_that_nears_the_snapshots_edge_asks_for_another_and_lives_on():
    sync = truncated()

    asked = sync.on_change(change(7, 7, bids=[(98, 0)]))
    more = sync.on_change(change(8, 9, bids=[(97, 5)]))

    assert (asked, more) == (Action.REFRESH, Action.APPLIED)
    assert (sync.book.state, sync.refreshes) == (BookState.LIVE, 1)
    # The answer knows a level that the first snapshot did not hold, and lies before the last change.
    applied = sync.on_snapshot(snapshot(8, bids=[(97, 1), (96, 9)], asks=[(101, 1)]))
    assert [each.ids[1] for each in applied] == [8, 9]
    assert (sync.book.bids(), sync.book.epoch) == ([(97.0, 5.0), (96.0, 9.0)], 2)
    assert (sync.gaps, sync.failures, sync.on_change(change(10, 11))) == (0, 0, Action.APPLIED)


FOUR = {"bids": [(100 - i, 1) for i in range(4)], "asks": [(101 + i, 1) for i in range(4)]}
FALL = [((6, 6), [(100, 0), (99, 0)]), ((7, 7), [(98, 0)]), ((8, 9), [(97, 5)])]


def test_a_price_that_fell_while_the_snapshot_was_out_asks_for_another():
    sync = sync_of("range", "rest", snapshot_levels=4)
    for ids, bids in FALL:
        sync.on_change(change(*ids, bids=bids))

    applied = sync.on_snapshot(snapshot(5, **FOUR))

    assert (len(applied), sync.action, sync.refreshes) == (4, Action.REFRESH, 1)
    assert sync.on_change(change(10, 10)) == Action.APPLIED


def test_a_held_snapshot_that_is_too_short_already_asks_for_another():
    sync = sync_of("range", "rest", snapshot_levels=4)
    sync.on_snapshot(snapshot(5, **FOUR))

    asked = sync.on_change(change(6, 6, bids=[(100, 0), (99, 0), (98, 0)]))

    assert (asked, sync.book.state) == (Action.REFRESH, BookState.LIVE)


def test_an_answer_older_than_the_book_leaves_it_alone():
    sync = truncated()
    sync.on_change(change(7, 7, bids=[(98, 0)]))

    assert (sync.on_snapshot(snapshot(6)), sync.action) == ([], Action.NEED_SNAPSHOT)
    assert (sync.book.state, sync.book.bids(), sync.book.epoch) == (BookState.LIVE, [(97.0, 1.0)], 1)


ids = st.one_of(st.none(), st.integers(1, 12))
levels = st.lists(st.tuples(st.integers(1, 8), st.integers(0, 2)), max_size=3)
messages = st.builds(
    lambda f, n, p, b, a, full, rest: (change(f, n, p, bids=b, asks=a, full=full), rest),
    ids, ids, ids, levels, levels, st.booleans(), st.booleans(),
)  # fmt: skip


@settings(max_examples=300)
@given(
    st.sampled_from(["range", "prev", "prev_reset", "step", "none", "full"]),
    st.sampled_from(["rest", "stream"]),
    st.lists(messages, max_size=25),
)
def test_no_order_of_messages_shows_an_invalid_book(continuity, source, feed):
    sync = sync_of(continuity, source, snapshot_levels=2)
    for message, is_answer in feed:
        if is_answer and source == "rest":
            shown = bool(sync.on_snapshot(message))
        else:
            shown = sync.on_change(message) in (Action.APPLIED, Action.REFRESH)

        book = sync.book
        if shown:
            assert book.state == BookState.LIVE
        if book.state in (BookState.INVALID, BookState.SYNCING):
            assert (book.bids_int(), book.asks_int()) == ([], [])
        if book.best_bid_int is not None and book.best_ask_int is not None:
            assert book.best_bid_int < book.best_ask_int
