"""Levels read from JSON text equal those of the parsed list; text that is no array of levels is refused."""

import json
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors import DecodeError, Instrument, ScaleError, Stream
from connectors.sink import Sink

INSTRUMENT = Instrument("toy", "BTC-USDT", "BTCUSDT", price_scale=4, size_scale=8)


class Maker(Sink):
    def on_book(self, change):
        self.bids, self.asks = change.bids_int, change.asks_int


def read(bids, asks=b"[]"):
    maker = Maker()
    maker.stream = Stream("toy", "book", "d", "d", b"d", instrument=INSTRUMENT)
    maker.book(False, bids, asks, 0)
    return maker.bids, maker.asks


prices = st.decimals(Decimal("0.0001"), Decimal(900000), places=4)
sizes = st.decimals(0, 1000, places=8)
extras = st.lists(
    st.recursive(st.text(max_size=5) | st.integers(), lambda e: st.lists(e, max_size=2)), max_size=2
)


@given(
    st.lists(st.tuples(prices, sizes, extras), max_size=20),
    st.sampled_from([(",", ":"), (" , ", ": "), (",\n\t", ":")]),
    st.booleans(),
    st.sampled_from([bytes, msgspec.Raw, memoryview]),
)
def test_text_is_read_as_the_parsed_list_is(rows, separators, is_quoted, buffer):
    write = str if is_quoted else float
    document = [[write(price), write(size), *extra] for price, size, extra in rows]
    text = json.dumps(document, separators=separators).encode()

    bids, asks = read(buffer(text), text)

    assert bids == asks == [(int(price * 10**4), int(size * 10**8)) for price, size, _ in rows]
    assert read([[str(p), str(s)] for p, s, _ in rows], [])[0] == bids


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "null", "{}", "[", "[[", '[["1","2"]', '[["1","2"', '[["1","2",', '[["1"]]', "[[]]",
        '[["1","2"],]', '["1","2"]', '[["1","2"]["3","4"]]', '[["1" "2"]]', '[["x","2"]]', '[["1",""]]',
        '[["1","-2"]]', '[["1",null]]', '[["1","2","\\"]', '[["1","2",[]', '[["1\\u0030","2"]]',
        '[["1,"2"]]', '[["--1","2"]]', '[["1e","2"]]', "[[1.2.3,4]]", "[[,]]",
    ],
)  # fmt: skip
def test_text_that_is_no_array_of_levels_is_refused(text):
    with pytest.raises(DecodeError):
        read(text.encode())


@pytest.mark.parametrize("text", ['[["1.00001","2"]]', '[["1","0.123456789"]]', '[["9e30","2"]]'])
def test_a_number_that_does_not_fit_is_never_rounded(text):
    with pytest.raises(ScaleError, match="scale"):
        read(text.encode())


@given(st.binary(max_size=40) | st.text(alphabet='[]{},"\\ 0123456789.e+-', max_size=40).map(str.encode))
def test_any_bytes_give_levels_or_a_decode_error(data):
    try:
        bids, _ = read(data)
    except DecodeError:
        return
    assert all(size >= 0 for _, size in bids)


def outcome(rows):
    """The levels, or the kind of error."""
    try:
        return read(rows, b"[]" if isinstance(rows, bytes) else [])[0]
    except DecodeError as error:
        return type(error)


@given(
    st.text(alphabet="0123456789.-+eE", min_size=1, max_size=24), st.sampled_from(["0.", "", "00", "9" * 14])
)
def test_quoted_number_is_what_it_is_in_a_parsed_list(tail, head):
    number = head + tail

    assert outcome(f'[["{number}","1"]]'.encode()) == outcome([[number, "1"]])


@pytest.mark.parametrize(
    "number",
    [
        *("922337203685477.5807", "922337203685477.5808", "1.00000000000000000", "0.10000000000000000000"),
        *("5.", ".5", "-0", "-1.5", "000001", "1.2.3", "12345678901234567", "123456789012345678.", "0", "."),
    ],
)
def test_number_at_the_edge_is_what_it_is_in_a_parsed_list(number):
    assert outcome(f'[["{number}","1"]]'.encode()) == outcome([[number, "1"]])
