"""FrameParser on content: UTF-8 of text (RFC 6455 8.1), CLOSE payloads (5.5.1, 7.4), and strict=False."""

import pytest

from picows.parser import FrameParser

from .wire_support import BINARY, CLOSE, CONTINUATION, PING, TEXT, close_payload, frame, parse

BAD_UTF8 = [
    pytest.param(b"\xff", id="never a byte"),
    pytest.param(b"\x80", id="continuation first"),
    pytest.param(b"\xc0\xaf", id="overlong 2"),
    pytest.param(b"\xe0\x80\xaf", id="overlong 3"),
    pytest.param(b"\xf0\x80\x80\xaf", id="overlong 4"),
    pytest.param(b"\xed\xa0\x80", id="surrogate"),
    pytest.param(b"\xf4\x90\x80\x80", id="above 10FFFF"),
    pytest.param(b"\xc3\x28", id="bad second byte"),
    pytest.param("é".encode()[:1], id="cut short"),
    pytest.param("€".encode()[:2], id="cut short 3"),
    pytest.param("😀".encode()[:3], id="cut short 4"),
]


# ------------------------------------------------------------------------------------------------ 8.1: text


@pytest.mark.parametrize("lead", [b"", b"x" * 7, b"x" * 40, "é".encode() * 20])
@pytest.mark.parametrize("bad", BAD_UTF8)
def test_text_that_is_not_utf8_is_refused_with_1007(bad, lead):
    frames, error = parse(frame(TEXT, lead + bad))

    assert frames == []
    assert error.code == 1007
    assert "8.1" in error.message


@pytest.mark.parametrize("text", ["", "plain", "é€😀", "\u0000", "\uffff\U0010ffff", "a" * 200 + "😀"])
def test_text_that_is_utf8_comes_out(text):
    assert parse(frame(TEXT, text.encode())) == ([(TEXT, text.encode(), True)], None)


def test_a_character_may_be_cut_between_fragments():
    data = "aé€😀z".encode()
    for cut in range(len(data) + 1):
        fragments = frame(TEXT, data[:cut], fin=False) + frame(CONTINUATION, data[cut:])
        expected = [(TEXT, data[:cut], False), (CONTINUATION, data[cut:], True)]

        assert parse(fragments) == (expected, None)


def test_a_character_may_span_many_fragments_and_a_ping():
    fragments = [
        frame(TEXT if i == 0 else CONTINUATION, bytes([b]), fin=False) for i, b in enumerate("😀".encode())
    ]
    data = frame(PING, b"\xff").join(fragments) + frame(CONTINUATION)

    frames, error = parse(data)

    assert error is None
    assert b"".join(payload for kind, payload, _ in frames if kind != PING).decode() == "😀"


def test_a_message_that_ends_inside_a_character_is_refused():
    data = frame(TEXT, b"ok\xe2\x82", fin=False) + frame(CONTINUATION, b"")

    frames, error = parse(data)

    assert frames == [(TEXT, b"ok\xe2\x82", False)]
    assert error.code == 1007


def test_a_bad_fragment_is_refused_before_the_message_ends():
    frames, error = parse(frame(TEXT, b"ok", fin=False) + frame(CONTINUATION, b"\xff", fin=False))

    assert frames == [(TEXT, b"ok", False)]
    assert error.code == 1007


def test_utf8_state_does_not_leak_into_the_next_message():
    data = frame(BINARY, b"\xe2\x82", fin=False) + frame(CONTINUATION, b"\xff") + frame(TEXT, "é".encode())

    assert parse(data)[1] is None


def test_binary_is_not_checked():
    assert parse(frame(BINARY, b"\xff\xc0")) == ([(BINARY, b"\xff\xc0", True)], None)


def test_compressed_text_of_an_extension_is_not_checked():
    data = frame(TEXT, b"\xff", rsv=4, fin=False) + frame(CONTINUATION, b"\xff") + frame(TEXT, b"\xff")

    frames, error = parse(data, allowed_rsv=4)

    # Only the first frame of a compressed message carries RSV1 (RFC 7692 6); the last is not compressed.
    assert frames == [(TEXT, b"\xff", False), (CONTINUATION, b"\xff", True)]
    assert error.code == 1007


# ------------------------------------------------------------------------------------------ 5.5.1, 7.4: CLOSE

VALID_CODES = [*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4000, 4999]
INVALID_CODES = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999, 5000, 65535]


@pytest.mark.parametrize("reason", [b"", b"bye", "é".encode(), b"x" * 123])
@pytest.mark.parametrize("code", VALID_CODES)
def test_close_codes_that_may_be_sent_come_out(code, reason):
    payload = close_payload(code, reason)

    assert parse(frame(CLOSE, payload)) == ([(CLOSE, payload, True)], None)


def test_an_empty_close_comes_out():
    assert parse(frame(CLOSE)) == ([(CLOSE, b"", True)], None)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("code", INVALID_CODES)
def test_close_codes_that_must_not_be_sent_are_refused(code, strict):
    frames, error = parse(frame(CLOSE, close_payload(code)), strict=strict)

    assert frames == []
    assert error.code == 1002
    assert str(code) in error.message


@pytest.mark.parametrize("strict", [True, False])
def test_a_close_of_one_byte_is_refused(strict):
    frames, error = parse(frame(CLOSE, b"\x03"), strict=strict)

    assert (frames, error.code) == ([], 1002)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("bad", BAD_UTF8)
def test_a_close_reason_that_is_not_utf8_is_refused_with_1007(bad, strict):
    frames, error = parse(frame(CLOSE, close_payload(1000, bad)), strict=strict)

    assert (frames, error.code) == ([], 1007)


def test_a_close_may_come_inside_a_fragmented_text():
    data = frame(TEXT, b"\xe2", fin=False) + frame(CLOSE, close_payload(1001))

    assert parse(data) == ([(TEXT, b"\xe2", False), (CLOSE, close_payload(1001), True)], None)


# ----------------------------------------------------------------------------------------------- strict=False


def test_lax_reserved_bits_come_out_as_they_are():
    for rsv in range(8):
        parser = FrameParser(strict=False)
        parser.feed(frame(BINARY, b"x", rsv=rsv))

        assert parser.next_frame()[3] == (bool(rsv & 4), bool(rsv & 2), bool(rsv & 1))


def test_lax_fragment_order_comes_out_as_it_is():
    data = frame(CONTINUATION, b"a") + frame(TEXT, b"b", fin=False) + frame(BINARY, b"c") + frame(TEXT, b"d")

    frames, error = parse(data, strict=False)

    assert error is None
    assert [kind for kind, _, _ in frames] == [CONTINUATION, TEXT, BINARY, TEXT]


@pytest.mark.parametrize("bad", BAD_UTF8)
def test_lax_text_is_not_checked(bad):
    assert parse(frame(TEXT, bad), strict=False) == ([(TEXT, bad, True)], None)


def test_lax_frames_behind_a_close_come_out():
    data = frame(CLOSE) + frame(TEXT, b"late")

    assert parse(data, strict=False) == ([(CLOSE, b"", True), (TEXT, b"late", True)], None)


@pytest.mark.parametrize("is_client", [True, False])
def test_lax_still_asks_for_the_right_masking(is_client):
    data = frame(TEXT, b"x", mask=b"abcd" if is_client else None)

    assert parse(data, strict=False, is_client=is_client)[1].code == 1002


def test_lax_still_has_a_limit():
    assert parse(frame(TEXT, b"xxx"), strict=False, max_frame_size=2)[1].code == 1009
