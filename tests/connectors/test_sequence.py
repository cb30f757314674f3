"""Continuity rules: what follows, what is a repetition, what is a gap."""

import pytest

from connectors import Book, BookChange, Instrument, Stream
from connectors.sequence import RULES, Verdict
from connectors.sink import Sink

INSTRUMENT = Instrument("toy", "BTC-USDT", "BTCUSDT")
ABSENT = Book(INSTRUMENT).last_id
APPLY, DROP, GAP, RESET = Verdict.APPLY, Verdict.DROP, Verdict.GAP, Verdict.RESET


class Maker(Sink):
    def on_book(self, change: BookChange) -> None:
        self.made = change.copy()


def change(first=None, last=None, prev=None, *, is_snapshot=False, checksum=None) -> BookChange:
    maker = Maker()
    maker.stream = Stream("toy", "book", "depth", "t", b"t", instrument=INSTRUMENT)
    maker.book(is_snapshot, [], [], 0, first_id=first, last_id=last, prev_id=prev, checksum=checksum)
    return maker.made


@pytest.mark.parametrize(
    ("rule", "last_id", "ids", "verdict"),
    [
        # range: (first, last) must hold last_id + 1.
        ("range", 160, (161, 170), APPLY),
        ("range", 160, (155, 161), APPLY),
        ("range", 160, (161, 161), APPLY),
        ("range", 160, (150, 160), DROP),
        ("range", 160, (162, 170), GAP),
        ("range", 160, (170, 165), GAP),  # nonsense
        ("range", 160, (None, 170), GAP),
        ("range", ABSENT, (161, 170), GAP),
        # prev: (first, last, prev).
        ("prev", 160, (165, 170, 160), APPLY),
        ("prev", 160, (150, 160, 149), DROP),
        ("prev", 160, (165, 170, 161), GAP),
        ("prev", 160, (None, 150, 160), GAP),  # numbers do not fall here
        ("prev", 160, (165, 170, None), GAP),
        ("prev", ABSENT, (165, 170, 160), GAP),
        # prev_reset: the documented example (-1,10) (10,15) (15,15) (15,3) (3,5).
        ("prev_reset", 10, (None, 15, 10), APPLY),
        ("prev_reset", 15, (None, 15, 15), APPLY),
        ("prev_reset", 15, (None, 3, 15), RESET),
        ("prev_reset", 3, (None, 5, 3), APPLY),
        ("prev_reset", 15, (None, 15, 10), DROP),
        ("prev_reset", 15, (None, 20, 16), GAP),
        ("prev_reset", 15, (None, 5, 3), GAP),  # a restart was missed: never taken for a repetition
        ("prev_reset", 15, (None, None, None), GAP),
        ("prev_reset", ABSENT, (None, None, None), GAP),
        # step.
        ("step", 7, (None, 8), APPLY),
        ("step", 7, (None, 7), DROP),
        ("step", 7, (None, 5), DROP),
        ("step", 7, (None, 9), GAP),
        ("step", 7, (None, 1), RESET),
        ("step", 7, (None, None), GAP),
        ("step", ABSENT, (None, 8), GAP),
        ("checksum", ABSENT, (None, None), APPLY),
        ("none", 7, (None, 3), APPLY),
    ],
)
def test_what_follows(rule, last_id, ids, verdict):
    assert RULES[rule].follows(last_id, change(*ids)) == verdict


@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_snapshot_of_the_stream_restarts_every_rule(rule):
    assert RULES[rule].follows(100, change(None, 5, -1, is_snapshot=True)) == RESET


def test_without_ids_a_checksum_is_the_continuity():
    assert RULES["prev_reset"].follows(ABSENT, change(checksum=-7)) == APPLY
    assert RULES["prev_reset"].follows(10, change(checksum=-7)) == GAP


@pytest.mark.parametrize(
    ("rule", "snapshot_id", "ids", "verdict"),
    [
        # The worked example of a real recording: events 499869750..52, snapshot 499869752, next 53.
        ("range", 499869752, (499869750, 499869752), DROP),
        ("range", 499869752, (499869753, 499869754), APPLY),
        ("range", 499869752, (499869754, 499869755), GAP),
        # prev: an event that ends at the snapshot's id is applied (u < id is dropped, not u <= id).
        ("prev", 100, (90, 99, 80), DROP),
        ("prev", 100, (90, 100, 80), APPLY),
        ("prev", 100, (95, 110, 90), APPLY),
        ("prev", 100, (101, 110, 100), APPLY),
        ("prev", 100, (105, 110, 98), APPLY),  # the snapshot lies between two events: nothing is missing
        ("prev", 100, (105, 110, 103), GAP),
    ],
)
def test_what_joins_a_rest_snapshot(rule, snapshot_id, ids, verdict):
    assert RULES[rule].joins(snapshot_id, change(*ids)) == verdict


def test_missing_ids_are_counted_where_the_rule_can_tell():
    assert RULES["range"].missing(160, change(165, 170)) == 4
    assert RULES["step"].missing(7, change(None, 9)) == 1
    assert RULES["prev"].missing(160, change(165, 170, 161)) == 0
