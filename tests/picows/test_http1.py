"""The grammar of HTTP/1.1: heads, fields, bodies of refusals."""

import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from picows.http1 import (
    HEAD_BARE_LF,
    HEAD_INCOMPLETE,
    HEAD_TOO_LONG,
    MAX_BODY_BYTES,
    MAX_HEADER_BYTES,
    MAX_HEADERS,
    BodyReader,
    HTTPSyntaxError,
    as_status,
    body_length,
    check_fields,
    content_length,
    find_head_end,
    format_head,
    has_content,
    has_token,
    list_values,
    split_head,
    status_line,
)

HEAD = b"GET / HTTP/1.1\r\nHost: h\r\nX: y\r\n\r\n"


# ---------------------------------------------------------------------------------------- find_head_end


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_head_end_is_found_in_any_buffer(kind):
    assert find_head_end(kind(HEAD + b"\x81\x00\n\n")) == len(HEAD)


def test_head_end_is_found_whatever_the_cuts():
    for first in range(len(HEAD)):
        assert find_head_end(HEAD[:first]) == HEAD_INCOMPLETE
        for second in range(first, len(HEAD)):
            assert find_head_end(HEAD[:second], first) == HEAD_INCOMPLETE
            assert find_head_end(HEAD + b"frame", second) == len(HEAD)


@pytest.mark.parametrize("head", [b"GET / HTTP/1.1\nHost: h\n\n", b"\n", b"GET / HTTP/1.1\r\nHost: h\n"])
def test_bare_lf_is_told_at_once_whatever_the_cuts(head):
    at = next(i for i in range(len(head)) if head[i : i + 1] == b"\n" and head[max(i - 1, 0) : i] != b"\r")

    for seen in range(at + 1):
        assert find_head_end(head[:seen]) == HEAD_INCOMPLETE
        assert find_head_end(head[: at + 1], seen) == HEAD_BARE_LF


def test_head_of_the_maximum_size_passes_and_one_byte_more_does_not():
    filler = b"X: " + b"y" * (MAX_HEADER_BYTES - 3 - 4 - 2) + b"\r\n"
    longest = b"\r\n" + filler[:-2] + b"\r\n\r\n"
    assert len(longest) == MAX_HEADER_BYTES

    assert find_head_end(longest) == MAX_HEADER_BYTES
    assert find_head_end(longest[:-1]) == HEAD_INCOMPLETE
    assert find_head_end(b"z" + longest) == HEAD_TOO_LONG
    assert find_head_end(b"z" * MAX_HEADER_BYTES) == HEAD_TOO_LONG


# ------------------------------------------------------------------------------------------- split_head


def test_fields_keep_order_repetitions_and_bytes():
    line, headers = split_head(b"START LINE\r\nA:1\r\na: \t 2 \t\r\nEmpty:\r\nX: caf\xe9 \xc3\xa9\r\n\r\n")

    assert line == b"START LINE"
    assert list(headers.items()) == [("A", "1"), ("a", "2"), ("Empty", ""), ("X", "caf\udce9 \udcc3\udca9")]


@pytest.mark.parametrize(
    "field",
    [
        b"NoColon",
        b": no name",
        b"Space : x",
        b"Na me: x",
        b" Folded: x",
        b" folded",
        b"\tfolded",
        b"N\xe4me: x",
        b"X: a\x00b",
        b"X: a\rb",
        b"X: a\x7fb",
        b"X: a\x1bb",
        b"(X): y",
    ],
)
def test_a_malformed_field_is_refused(field):
    with pytest.raises(HTTPSyntaxError, match="header line") as caught:
        split_head(b"L\r\nA: b\r\n" + field + b"\r\n\r\n")

    assert not caught.value.is_too_large


def test_limits_are_told_apart_from_bad_grammar():
    split_head(b"L\r\n" + b"A: b\r\n" * MAX_HEADERS + b"\r\n")
    with pytest.raises(HTTPSyntaxError, match="129 header fields, limit is 128") as caught:
        split_head(b"L\r\n" + b"A: b\r\n" * (MAX_HEADERS + 1) + b"\r\n")
    assert caught.value.is_too_large

    with pytest.raises(HTTPSyntaxError, match="limit is 16384") as caught:
        split_head(b"L\r\nA: " + b"b" * MAX_HEADER_BYTES + b"\r\n\r\n")
    assert caught.value.is_too_large


def test_a_head_without_its_blank_line_is_refused():
    with pytest.raises(HTTPSyntaxError, match="blank line"):
        split_head(b"L\r\nA: b\r\n")


@pytest.mark.parametrize("unit", [b" ", b"\t", b" \t", b", ", b";", b"a ", b'"', b"\\"])
def test_time_to_refuse_does_not_explode_with_length(unit):
    head = b"L\r\nA: " + unit * (16000 // len(unit)) + b"\x01\r\n\r\n"

    start = time.perf_counter()
    with pytest.raises(HTTPSyntaxError):
        split_head(head)

    assert time.perf_counter() - start < 0.5  # linear: 0.1 ms


@given(st.binary(max_size=300))
def test_any_bytes_are_fields_or_a_syntax_error(data):
    try:
        _, headers = split_head(b"L\r\n" + data + b"\r\n\r\n")
    except HTTPSyntaxError:
        return
    assert split_head(format_head("L", headers.items()))[1] == headers  # what passed in can go out again


# ----------------------------------------------------------------------------------------------- values


def test_lists_join_repetitions_and_drop_empty_elements():
    headers = CIMultiDict([("Connection", "keep-alive, Upgrade"), ("connection", ", x ,\t,y")])

    assert list_values(headers, "Connection") == ["keep-alive", "Upgrade", "x", "y"]
    assert has_token(headers, "CONNECTION", "upgrade")
    assert not has_token(headers, "Connection", "up")
    assert list_values(headers, "Upgrade") == []


@pytest.mark.parametrize(
    ("values", "length"), [([], None), (["0"], 0), (["12"], 12), (["7", "7"], 7), (["7, 7"], 7), (["007"], 7)]
)
def test_content_length_is_one_number(values, length):
    headers = CIMultiDict(("Content-Length", value) for value in values)

    assert content_length(headers) == length
    assert has_content(headers) == bool(length)


@pytest.mark.parametrize(
    "values", [["1", "2"], ["1, 2"], ["-1"], ["+1"], ["1_0"], ["0x1"], [""], ["1 1"], ["9" * 19], ["\u0661"]]
)
def test_content_length_that_is_no_number_is_refused(values):
    headers = CIMultiDict(("Content-Length", value) for value in values)

    with pytest.raises(HTTPSyntaxError, match="Content-Length"):
        content_length(headers)
    assert has_content(headers)


def test_status_is_the_enum_where_there_is_one():
    assert as_status(404).phrase == "Not Found"
    assert type(as_status(799)) is int
    assert status_line(101) == "HTTP/1.1 101 Switching Protocols"
    assert status_line(520) == "HTTP/1.1 520 "


def test_check_fields_takes_mappings_pairs_and_none():
    pairs = [("A", "1"), ("A", "2")]

    assert check_fields(CIMultiDict(pairs)) == pairs
    assert check_fields(pairs) == check_fields(iter(pairs)) == pairs
    assert check_fields([["A", "1"]]) == [("A", "1")]
    assert check_fields({"A": "\t1 é\udc80"}) == [("A", "\t1 é\udc80")]
    assert check_fields(None) == check_fields({}) == []


def test_a_refused_value_is_not_shown():
    with pytest.raises(ValueError, match="'Authorization'") as caught:
        check_fields({"Authorization": "Bearer secret\n"})

    assert "secret" not in str(caught.value)


# --------------------------------------------------------------------------------------------- the body


@pytest.mark.parametrize(
    ("status", "headers", "method", "length"),
    [
        (403, {}, "GET", None),
        (403, {"Content-Length": "5"}, "GET", 5),
        (403, {"Content-Length": "5"}, "HEAD", 0),
        (204, {"Content-Length": "5"}, "GET", 0),
        (304, {"Transfer-Encoding": "chunked"}, "GET", 0),
        (101, {}, "GET", 0),
        (403, {"Transfer-Encoding": "chunked"}, "GET", "chunked"),
        (403, {"Transfer-Encoding": "gzip, Chunked", "Content-Length": "5"}, "GET", "chunked"),
        (403, {"Transfer-Encoding": "gzip"}, "GET", None),
    ],
)
def test_how_a_body_ends(status, headers, method, length):
    assert body_length(status, CIMultiDict(headers), method) == length


def read_in_pieces(length, data, cuts):
    reader = BodyReader(length)
    positions = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for start, end in itertools.pairwise(positions):
        reader.feed(data[start:end])
    return reader


CUTS = st.lists(st.integers(0, 1 << 20), max_size=8)


@given(st.binary(max_size=200), st.binary(max_size=20), CUTS)
def test_body_of_known_length_ends_there(body, more, cuts):
    reader = read_in_pieces(len(body), body + more, cuts)

    assert (reader.is_done, reader.body, reader.is_truncated) == (True, body, False)


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=6), st.booleans(), CUTS)
def test_chunks_are_joined(chunks, has_extension, cuts):
    extension = b" ; name=value" if has_extension else b""
    wire = b"".join(b"%X%s\r\n%s\r\n" % (len(chunk), extension, chunk) for chunk in chunks)

    reader = read_in_pieces("chunked", wire + b"0\r\n\r\n", cuts)

    assert (reader.is_done, reader.body, reader.is_truncated) == (True, b"".join(chunks), False)


@pytest.mark.parametrize(
    "wire",
    [
        b"x\r\n",
        b"-1\r\n",
        b"5\nhello",
        b"\r\n",
        b"5\r\nhelloworld\r\n",
        b"F" * 16 + b"\r\n",
        b"1" * 2000,
        b"5;\x00\r\n",
    ],
)
def test_broken_chunks_end_the_body(wire):
    reader = BodyReader("chunked")

    assert reader.feed(wire) is True
    assert reader.is_truncated
    assert reader.body in (b"", b"hello")


@given(st.one_of(st.none(), st.just("chunked"), st.integers(0, 50)), st.lists(st.binary(max_size=60)))
def test_any_bytes_make_a_bounded_body(length, pieces):
    reader = BodyReader(length)

    for piece in pieces:
        done = reader.feed(piece)
        assert done == reader.is_done
    reader.feed_eof()

    assert reader.is_done
    assert len(reader.body) <= sum(map(len, pieces))


def test_body_until_eof():
    reader = BodyReader(None)

    assert reader.feed(b"some") is False
    assert reader.feed(memoryview(b"thing")) is False
    reader.feed_eof()

    assert (reader.is_done, reader.body, reader.is_truncated) == (True, b"something", False)


@pytest.mark.parametrize("length", [10, "chunked"])
def test_a_body_cut_short_is_told(length):
    reader = BodyReader(length)
    reader.feed(b"4\r\nab" if length == "chunked" else b"ab")
    reader.feed_eof()

    assert (reader.is_done, reader.body, reader.is_truncated) == (True, b"ab", True)


def test_no_body_is_done_at_once():
    assert BodyReader(0).is_done
    assert BodyReader(0).feed(b"frame") is True
    assert BodyReader(0).body == b""


@pytest.mark.parametrize("length", [None, "chunked", 10 * MAX_BODY_BYTES])
def test_an_endless_body_is_cut(length):
    reader = BodyReader(length)
    block = b"x" * 4096
    piece = b"1000\r\n" + block + b"\r\n" if length == "chunked" else block

    fed = 0
    while not reader.feed(piece):
        fed += 1
        assert fed <= MAX_BODY_BYTES // 4096

    assert (reader.body, reader.is_truncated) == (b"x" * MAX_BODY_BYTES, True)


def test_a_body_of_exactly_the_limit_is_whole():
    reader = BodyReader(MAX_BODY_BYTES)

    assert reader.feed(b"x" * MAX_BODY_BYTES) is True
    assert not reader.is_truncated
