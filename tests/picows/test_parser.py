"""FrameParser: frames out of bytes, RFC 6455 section 5.2 to 5.5, and what failing means."""

import pytest

from picows import WSCloseCode, WSMsgType, WSProtocolError
from picows.parser import FrameParser

from .wire_support import (
    BINARY,
    CLOSE,
    CONTINUATION,
    MASK,
    PING,
    PONG,
    TEXT,
    close_payload,
    drain,
    frame,
    parse,
)


def assert_frames(data, expected, **options):
    frames, error = parse(data, **options)

    assert error is None
    assert frames == expected


def assert_refused(data, code, section, *, before=(), **options):
    """Refused with `code`, whole and byte by byte, after the frames in front of it."""
    for cuts in ((), range(1, len(data))):
        frames, error = parse(data, cuts, **options)
        assert frames == list(before)
        assert error is not None, f"not refused: {data[:20]!r}"
        assert error.code == code
        assert section in error.message


# ------------------------------------------------------------------------------------------- RFC 6455 5.7


@pytest.mark.parametrize(
    ("data", "expected", "is_client"),
    [
        ("81 05 48 65 6c 6c 6f", (TEXT, b"Hello", True), True),
        ("81 85 37 fa 21 3d 7f 9f 4d 51 58", (TEXT, b"Hello", True), False),
        ("01 03 48 65 6c", (TEXT, b"Hel", False), True),
        ("89 05 48 65 6c 6c 6f", (PING, b"Hello", True), True),
        ("8a 85 37 fa 21 3d 7f 9f 4d 51 58", (PONG, b"Hello", True), False),
        ("82 7E 01 00" + "61" * 256, (BINARY, b"a" * 256, True), True),
        ("82 7F 00 00 00 00 00 01 00 00" + "61" * 65536, (BINARY, b"a" * 65536, True), True),
    ],
)
def test_examples_of_rfc_6455_5_7(data, expected, is_client):
    assert_frames(bytes.fromhex(data), [expected], is_client=is_client)


def test_fragments_of_rfc_6455_5_7_come_out_one_by_one():
    data = bytes.fromhex("01 03 48 65 6c 80 02 6c 6f")

    assert_frames(data, [(TEXT, b"Hel", False), (CONTINUATION, b"lo", True)])


@pytest.mark.parametrize("size", [0, 1, 2, 125, 126, 127, 65535, 65536, 65537, 300_000])
@pytest.mark.parametrize("mask", [None, MASK, bytes(4), b"\xff\x00\x00\x00"])
def test_every_length_form_and_mask(size, mask):
    payload = bytes(i * 7 & 0xFF for i in range(size))

    assert_frames(frame(BINARY, payload, mask=mask), [(BINARY, payload, True)], is_client=mask is None)


def test_control_frames_come_between_fragments():
    data = frame(TEXT, b"a", fin=False) + frame(PING, b"p") + frame(CONTINUATION, b"b") + frame(PONG)

    assert_frames(
        data, [(TEXT, b"a", False), (PING, b"p", True), (CONTINUATION, b"b", True), (PONG, b"", True)]
    )


def test_types_are_the_public_enum():
    parser = FrameParser()
    parser.feed(frame(BINARY, b"x"))

    msg_type, payload, fin, rsv, last = parser.next_frame()

    assert msg_type is WSMsgType.BINARY
    assert (payload, fin, rsv, last) == (b"x", True, (False, False, False), True)


def test_empty_fragments_are_frames():
    data = frame(BINARY, b"", fin=False) + frame(CONTINUATION, b"", fin=False) + frame(CONTINUATION, b"")

    assert_frames(data, [(BINARY, b"", False), (CONTINUATION, b"", False), (CONTINUATION, b"", True)])


# ----------------------------------------------------------------------------------------- last_in_buffer


def flags(data):
    parser = FrameParser()
    parser.feed(data)
    return [got[4] for got in iter(parser.next_frame, None)]


def test_last_in_buffer_marks_the_last_whole_frame():
    assert flags(frame(TEXT, b"a") + frame(TEXT, b"b") + frame(TEXT, b"c")) == [False, False, True]


@pytest.mark.parametrize("part", [1, 2, 5])
def test_last_in_buffer_does_not_count_a_frame_that_is_not_whole(part):
    assert flags(frame(TEXT, b"a") + frame(TEXT, b"bcdef")[:part]) == [True]


def test_last_in_buffer_does_not_count_what_follows_a_close():
    assert flags(frame(CLOSE) + frame(TEXT, b"never delivered")) == [True]


def test_last_in_buffer_does_not_count_a_bad_frame():
    parser = FrameParser()
    parser.feed(frame(TEXT, b"a") + frame(3))

    assert parser.next_frame()[4]


# ------------------------------------------------------------------------------------------------- 5.1, 5.2


def test_client_refuses_a_masked_frame():
    assert_refused(frame(TEXT, b"x", mask=MASK), 1002, "5.1", is_client=True)


def test_server_refuses_an_unmasked_frame():
    assert_refused(frame(TEXT, b"x"), 1002, "5.1", is_client=False)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
def test_reserved_opcodes_are_refused(opcode, strict):
    assert_refused(frame(opcode, b"x"), 1002, "5.2", strict=strict)


@pytest.mark.parametrize("opcode", [TEXT, BINARY, CLOSE, PING, PONG])
@pytest.mark.parametrize("rsv", range(1, 8))
def test_reserved_bits_are_refused_without_an_extension(opcode, rsv):
    assert_refused(frame(opcode, b"", rsv=rsv), 1002, "5.2")


@pytest.mark.parametrize("rsv", range(1, 8))
def test_an_extension_allows_its_own_bits_only(rsv):
    for allowed in range(8):
        frames, error = parse(frame(BINARY, b"x", rsv=rsv), allowed_rsv=allowed)

        assert (error is None) == (rsv & ~allowed == 0)
        assert bool(frames) == (error is None)


@pytest.mark.parametrize("form", [16, 64])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_length_that_is_not_the_shortest_is_refused(form, opcode):
    assert_refused(frame(opcode, b"x" * 125, form=form), 1002, "5.2")


@pytest.mark.parametrize("size", [126, 65535])
def test_64_bits_for_a_16_bit_length_are_refused(size):
    assert_refused(frame(BINARY, bytes(size), form=64), 1002, "5.2")


@pytest.mark.parametrize("top", [0x80, 0xFF])
def test_the_top_bit_of_a_64_bit_length_is_refused(top):
    assert_refused(b"\x82\x7f" + bytes([top]) + bytes(7), 1002, "5.2")


def test_the_same_rule_is_named_however_the_bytes_are_cut():
    # Three rules broken at once: masked for a client, a control frame of 127, the top bit of its length set.
    data = b"\x89\xff\x80" + bytes(11)

    messages = {parse(data, cuts)[1].message for cuts in ((), (1,), (2,), (3,), range(1, len(data)))}

    assert len(messages) == 1


# -------------------------------------------------------------------------------------------------- 5.4, 5.5


def test_continuation_without_a_message_is_refused():
    assert_refused(frame(CONTINUATION, b"x"), 1002, "5.4")


def test_continuation_after_a_finished_message_is_refused():
    data = frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"b") + frame(CONTINUATION, b"c")

    assert_refused(data, 1002, "5.4", before=[(TEXT, b"a", False), (CONTINUATION, b"b", True)])


@pytest.mark.parametrize("first", [TEXT, BINARY])
@pytest.mark.parametrize("second", [TEXT, BINARY])
def test_a_new_message_inside_a_message_is_refused(first, second):
    data = frame(first, b"a", fin=False) + frame(second, b"b")

    assert_refused(data, 1002, "5.4", before=[(first, b"a", False)])


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_a_fragmented_control_frame_is_refused(opcode, strict):
    assert_refused(frame(opcode, b"", fin=False), 1002, "5.5", strict=strict)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
@pytest.mark.parametrize("size", [126, 65536])
def test_a_long_control_frame_is_refused(opcode, size, strict):
    assert_refused(frame(opcode, bytes(size))[:20], 1002, "5.5", strict=strict)


@pytest.mark.parametrize("opcode", [PING, PONG])
def test_a_control_frame_of_125_bytes_is_taken(opcode):
    assert_frames(frame(opcode, bytes(125)), [(opcode, bytes(125), True)])


# ----------------------------------------------------------------------------------------------- how it fails


@pytest.mark.parametrize(
    ("data", "seen"),
    [
        (frame(3), 1),
        (frame(PING, fin=False), 1),
        (frame(TEXT, rsv=4), 1),
        (frame(CONTINUATION), 1),
        (frame(TEXT, b"x", mask=MASK), 2),
        (frame(PING, bytes(126)), 2),
        (b"\x82\x7f\x80" + bytes(7), 3),
        (frame(BINARY, b"x", form=16), 4),
        (frame(BINARY, b"x", form=64), 10),
    ],
)
def test_a_bad_frame_is_refused_at_the_first_byte_that_shows_it(data, seen):
    assert parse(data[: seen - 1])[1] is None
    assert parse(data[:seen])[1] is not None


def test_frames_in_front_of_a_bad_one_come_out_first():
    data = frame(TEXT, b"a") + frame(PING, b"b") + frame(TEXT, rsv=1) + frame(TEXT, b"never")

    assert_refused(data, 1002, "5.2", before=[(TEXT, b"a", True), (PING, b"b", True)])


def test_failing_is_terminal_and_told_once():
    parser = FrameParser()
    parser.feed(frame(3))

    with pytest.raises(WSProtocolError):
        parser.next_frame()
    parser.feed(frame(TEXT, b"good"))

    assert parser.is_failed
    assert parser.next_frame() is None
    assert drain(parser) == ([], None)


def test_a_failed_parser_holds_no_memory():
    parser = FrameParser()
    parser.feed(frame(TEXT, b"x" * 100_000, rsv=1))

    with pytest.raises(WSProtocolError):
        parser.next_frame()
    parser.feed(bytes(100_000))

    assert parser.buffered_size == 0


def test_nothing_is_parsed_after_a_close():
    data = frame(CLOSE, close_payload(1000)) + frame(TEXT, b"late") + frame(3)

    assert_frames(data, [(CLOSE, close_payload(1000), True)])


# ---------------------------------------------------------------------------------------------------- limits


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("limit", [1, 125, 126, 65535, 65536, 70_000])
def test_max_frame_size_is_the_longest_that_is_taken(opcode, limit):
    assert_frames(frame(opcode, b"x" * limit), [(opcode, b"x" * limit, True)], max_frame_size=limit)

    head = frame(opcode, b"x" * (limit + 1))[:10]
    frames, error = parse(head, max_frame_size=limit)

    assert frames == []
    assert error.code == WSCloseCode.MESSAGE_TOO_BIG
    assert str(limit) in error.message
    assert str(limit + 1) in error.message


def test_max_frame_size_holds_for_continuations():
    data = frame(TEXT, b"x" * 10, fin=False) + frame(CONTINUATION, b"x" * 11)

    assert_refused(data, 1009, "max_frame_size", before=[(TEXT, b"x" * 10, False)], max_frame_size=10)


@pytest.mark.parametrize("limit", [-1, 2**62, 2**63 - 1])
def test_a_max_frame_size_that_sums_would_overflow_with_is_refused(limit):
    with pytest.raises(ValueError, match="max_frame_size"):
        FrameParser(max_frame_size=limit)


@pytest.mark.parametrize("is_client", [True, False])
def test_the_longest_frame_that_can_be_announced_is_waited_for(is_client):
    parser = FrameParser(is_client=is_client, max_frame_size=2**62 - 1)
    head = bytes([0x82, 127 if is_client else 255]) + (2**62 - 1).to_bytes(8, "big")
    parser.feed(head + MASK * 100)

    assert parser.next_frame() is None
    assert parser.buffered_size <= 2**20


def test_max_frame_size_does_not_hold_for_control_frames():
    assert_frames(frame(PING, bytes(125)), [(PING, bytes(125), True)], max_frame_size=10)


def test_a_frame_of_a_client_is_too_big_before_its_mask_has_come():
    head = frame(BINARY, bytes(70_000), mask=MASK)[:10]

    assert parse(head, is_client=False, max_frame_size=100)[1].code == 1009


@pytest.mark.parametrize("bad", [None, 1, "text", [1]])
def test_feed_takes_bytes_only(bad):
    with pytest.raises((TypeError, ValueError, BufferError)):
        FrameParser().feed(bad)


def test_feed_takes_every_kind_of_buffer():
    data = frame(TEXT, b"hi")
    for given in (data, bytearray(data), memoryview(data), memoryview(b"  " + data)[2:]):
        assert parse(given) == ([(TEXT, b"hi", True)], None)
