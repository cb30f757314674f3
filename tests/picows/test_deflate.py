"""The codec of permessage-deflate: the RFC's examples, any cuts, limits, and what is broken."""

import itertools
import random
import subprocess
import sys
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from picows import WSProtocolError
from picows.deflate import Deflater, Inflater

CONTINUATION, TEXT, BINARY, CLOSE, PING = 0, 1, 2, 8, 9
TAIL = b"\x00\x00\xff\xff"
MIB = 1024 * 1024


def squeezed(data, level=9):
    """One compressed message, as zlib itself makes it."""
    stream = zlib.compressobj(level, zlib.DEFLATED, -15)
    return (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH))[: -len(TAIL)]


def inflated(inflater, data, msg_type=BINARY):
    return inflater.inflate_payload(msg_type, data, True, True)


def fails_with(code, inflater, data, **frame):
    with pytest.raises(WSProtocolError) as failure:
        inflater.inflate_payload(
            *{"msg_type": BINARY, "payload": data, "fin": True, "rsv1": True, **frame}.values()
        )
    assert failure.value.code == code
    return failure.value.message


# ---------------------------------------------------------------- RFC 7692 7.2.3


def test_7231_one_compressed_message_in_one_frame_and_in_two():
    assert inflated(Inflater(), bytes.fromhex("f248cdc9c90700"), TEXT) == b"Hello"

    inflater = Inflater()
    first = inflater.inflate_payload(TEXT, bytes.fromhex("f248cd"), False, True)
    second = inflater.inflate_payload(CONTINUATION, bytes.fromhex("c9c90700"), True, False)

    assert first + second == b"Hello"


def test_7231_our_compressor_makes_the_same_bytes():
    assert Deflater().pack_message(TEXT, "Hello") == (bytes.fromhex("f248cdc9c90700"), True)


def test_7232_the_window_is_shared_between_messages():
    inflater, deflater = Inflater(), Deflater()

    assert inflated(inflater, bytes.fromhex("f248cdc9c90700"), TEXT) == b"Hello"
    assert inflated(inflater, bytes.fromhex("f200110000"), TEXT) == b"Hello"
    assert deflater.pack_message(TEXT, "Hello")[0].hex() == "f248cdc9c90700"
    assert deflater.pack_message(TEXT, "Hello")[0].hex() == "f200110000"


def test_7232_without_context_takeover_each_message_stands_alone():
    deflater = Deflater(starts_afresh=True)

    assert {deflater.pack_message(TEXT, "Hello")[0].hex() for _ in range(3)} == {"f248cdc9c90700"}


def test_7232_a_reference_to_an_earlier_message_needs_its_window():
    inflater = Inflater(starts_afresh=True)
    inflated(inflater, bytes.fromhex("f248cdc9c90700"), TEXT)

    fails_with(1007, inflater, bytes.fromhex("f200110000"))


def test_7233_a_block_without_compression():
    assert inflated(Inflater(), bytes.fromhex("000500faff48656c6c6f00"), TEXT) == b"Hello"


@pytest.mark.parametrize("starts_afresh", [False, True])
def test_7234_a_block_with_bfinal_does_not_end_the_conversation(starts_afresh):
    inflater = Inflater(starts_afresh=starts_afresh)

    for _ in range(3):
        assert inflated(inflater, bytes.fromhex("f348cdc9c9070000"), TEXT) == b"Hello"
    assert inflated(inflater, bytes.fromhex("f248cdc9c90700"), TEXT) == b"Hello"


def test_7235_two_blocks_in_one_message():
    assert inflated(Inflater(), bytes.fromhex("f248050000" + "00ffffcac9c90700"), TEXT) == b"Hello"


def test_7236_an_empty_message_is_one_byte():
    inflater, deflater = Inflater(), Deflater()

    for _ in range(3):
        payload, is_marked = deflater.pack_message(TEXT, "")
        assert (payload, is_marked) == (b"\x00", True)
        assert inflated(inflater, payload) == b""


# ---------------------------------------------------------------- round trips

COMPRESSIBLE = st.lists(
    st.sampled_from([b"a", b"price", b'{"px":1.5}', b"\x00" * 300, bytes(range(256))])
).map(b"".join)
PAYLOADS = st.one_of(st.binary(max_size=200), COMPRESSIBLE)
MESSAGES = st.lists(st.lists(PAYLOADS, min_size=1, max_size=4), max_size=6)


@given(
    MESSAGES, st.integers(8, 15), st.booleans(), st.integers(-1, 9), st.integers(1, 9), st.integers(0, 100)
)
def test_what_one_side_packs_the_other_inflates_frame_by_frame(
    messages, bits, starts_afresh, level, mem_level, threshold
):
    deflater = Deflater(bits, starts_afresh, level, mem_level, threshold)
    inflater = Inflater(bits, starts_afresh)

    for fragments in messages:
        for number, fragment in enumerate(fragments):
            msg_type, fin = CONTINUATION if number else BINARY, number == len(fragments) - 1
            payload, is_marked = deflater.pack_message(msg_type, fragment, fin)
            assert is_marked == (not number and (not fin or len(fragment) >= threshold))
            # Each frame is flushed: nothing of it waits for the next.
            assert inflater.inflate_payload(msg_type, payload, fin, is_marked) == fragment


@given(PAYLOADS, st.lists(st.integers(0, 300)), st.integers(0, 9))
def test_fragments_may_be_cut_anywhere(data, cuts, level):
    """6.1: a sender may compress first and cut then; a frame then ends inside a block."""
    payload = squeezed(data, level)
    places = [0, *sorted(min(cut, len(payload)) for cut in cuts), len(payload)]
    inflater = Inflater()

    out = b""
    for number, (start, end) in enumerate(itertools.pairwise(places)):
        msg_type, fin = CONTINUATION if number else BINARY, number == len(places) - 2
        out += inflater.inflate_payload(msg_type, payload[start:end], fin, not number)

    assert out == data
    assert inflated(inflater, squeezed(b"next")) == b"next"


@pytest.mark.parametrize("size", [16 * 1024, 64 * 1024, 64 * 1024 + 1, 3 * MIB])
@pytest.mark.parametrize("kind", ["zeros", "noise"])
def test_large_messages_pass_in_pieces(size, kind):
    data = bytes(size) if kind == "zeros" else random.Random(size).randbytes(size)
    deflater, inflater = Deflater(), Inflater()

    for _ in range(2):
        payload, _ = deflater.pack_message(BINARY, data)
        assert inflated(inflater, payload) == data


def test_an_empty_last_fragment_after_a_flush_is_one_byte():
    deflater, inflater = Deflater(), Inflater()
    frames = [(BINARY, b"abc", False), (CONTINUATION, b"", False), (CONTINUATION, b"", True)]

    for msg_type, fragment, fin in [*frames, *frames]:
        payload, is_marked = deflater.pack_message(msg_type, fragment, fin)
        assert inflater.inflate_payload(msg_type, payload, fin, is_marked) == fragment


def test_a_window_of_256_bytes_is_kept():
    """zlib cannot compress into it; a peer that takes us at our word must still be able to read it."""
    data = b"0123456789" * 500 + b"\x00" * 5000
    payload, _ = Deflater(bits=8).pack_message(BINARY, data)

    assert zlib.decompressobj(-8).decompress(payload + TAIL) == data
    assert len(payload) < len(data)


@pytest.mark.parametrize("message", ["Hello", b"Hello", bytearray(b"Hello"), memoryview(b"xHello")[1:]])
def test_whatever_send_takes_is_compressed(message):
    assert Deflater().pack_message(TEXT, message)[0].hex() == "f248cdc9c90700"


@pytest.mark.parametrize(("message", "error"), [(5, TypeError), (memoryview(b"abcd")[::2], BufferError)])
def test_whatever_send_refuses_is_refused(message, error):
    with pytest.raises(error):
        Deflater().pack_message(TEXT, message)


def test_messages_below_the_threshold_stay_as_they_are():
    deflater, inflater = Deflater(threshold=5), Inflater()

    for message in [b"four", b"fives", b"four", b"fives"]:
        payload, is_marked = deflater.pack_message(BINARY, message)
        assert (payload == message, is_marked) == (len(message) < 5, len(message) >= 5)
        assert inflater.inflate_payload(BINARY, payload, True, is_marked) == message


def test_control_frames_pass_between_fragments():
    inflater = Inflater()
    payload = squeezed(b"in two parts")

    out = inflater.inflate_payload(BINARY, payload[:3], False, True)
    assert inflater.inflate_payload(PING, b"\xff\x00", True, False) == b"\xff\x00"
    out += inflater.inflate_payload(CONTINUATION, payload[3:], True, False)

    assert out == b"in two parts"


# ---------------------------------------------------------------- UTF-8


def test_text_is_checked_across_fragments():
    text = "🐸 — カエル".encode()
    for cut in range(len(text)):
        deflater, inflater = Deflater(), Inflater()
        for msg_type, part, fin in [(TEXT, text[:cut], False), (CONTINUATION, text[cut:], True)]:
            payload, is_marked = deflater.pack_message(msg_type, part, fin)
            assert inflater.inflate_payload(msg_type, payload, fin, is_marked) == part


@pytest.mark.parametrize("text", [b"\xff", b"ok \xc3\x28", "🐸".encode()[:3]])
def test_text_that_is_not_utf8_is_1007(text):
    fails_with(1007, Inflater(), squeezed(text), msg_type=TEXT)
    assert inflated(Inflater(), squeezed(text), BINARY) == text
    assert inflated(Inflater(is_strict=False), squeezed(text), TEXT) == text


def test_broken_text_is_told_at_its_own_fragment():
    inflater = Inflater()
    inflater.inflate_payload(TEXT, squeezed(b"good") + TAIL, False, True)

    fails_with(1007, inflater, squeezed(b"\xff"), msg_type=CONTINUATION, fin=False, rsv1=False)


# ---------------------------------------------------------------- limits


def test_a_message_of_the_limit_passes_and_one_more_byte_does_not():
    for size in (1, 100, 64 * 1024 - 1, 64 * 1024, 200_000):
        assert len(inflated(Inflater(max_message_size=size), squeezed(bytes(size)))) == size
        message = fails_with(1009, Inflater(max_message_size=size), squeezed(bytes(size + 1)))
        assert str(size) in message


def test_the_limit_is_over_all_fragments_and_begins_anew_with_each_message():
    inflater = Inflater(max_message_size=100)
    part = squeezed(bytes(60))
    for _ in range(3):
        assert len(inflated(inflater, part)) == 60

    inflater.inflate_payload(BINARY, part + TAIL, False, True)
    fails_with(1009, inflater, part, msg_type=CONTINUATION, rsv1=False)


def test_a_bomb_takes_no_more_memory_than_the_limit():
    bomb = squeezed(bytes(400 * MIB))
    assert len(bomb) < MIB
    inflater = Inflater(max_message_size=4 * MIB)

    tracemalloc.start()
    fails_with(1009, inflater, bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak - len(bomb) < MIB
    assert inflater.held_size == 0


MEASURE = """
import resource, zlib
from picows.deflate import Inflater
stream = zlib.compressobj(9, zlib.DEFLATED, -15)
bomb = b"".join(stream.compress(bytes(1 << 20)) for _ in range(400)) + stream.flush(zlib.Z_SYNC_FLUSH)
inflater = Inflater(max_message_size=16 << 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    inflater.inflate_payload(2, bomb[:-4], True, True)
except Exception as exc:
    print(exc.code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux only")
def test_nor_does_a_bomb_outside_of_pythons_own_memory():
    code, grown_kib = map(int, subprocess.check_output([sys.executable, "-c", MEASURE], text=True).split())

    assert code == 1009
    # The limit, and a bounded rest: a megabyte for the pieces of input and output.
    assert grown_kib < 16 * 1024 + 1024


def test_memory_follows_what_has_come_out():
    inflater = Inflater(max_message_size=2**60)

    assert inflated(inflater, squeezed(b"small")) == b"small"
    assert inflater.held_size == 0


def test_a_frame_full_of_finished_streams_is_refused():
    """Two bytes each, and a new zlib stream for each: it would keep the loop for long."""
    assert inflated(Inflater(), b"\x03\x00" * 200 + b"\x00") == b""

    fails_with(1007, Inflater(), b"\x03\x00" * 5000 + b"\x00")


# ---------------------------------------------------------------- what is broken


@pytest.mark.parametrize(
    "data",
    [
        pytest.param("07", id="reserved block type"),
        pytest.param("0005000000", id="stored length that contradicts itself"),
        pytest.param("f200110000", id="distance beyond the beginning"),
        pytest.param("ffffffffff", id="noise"),
    ],
)
def test_what_cannot_be_inflated_is_1007(data):
    message = fails_with(1007, Inflater(), bytes.fromhex(data))

    assert "cannot be inflated" in message


@given(st.lists(st.tuples(st.binary(max_size=100), st.booleans()), max_size=5), st.booleans())
def test_any_bytes_are_inflated_or_a_protocol_error(frames, starts_afresh):
    inflater = Inflater(starts_afresh=starts_afresh, max_message_size=1000)

    is_first, code = True, None
    for data, fin in frames:
        msg_type = BINARY if is_first else CONTINUATION
        try:
            assert len(inflater.inflate_payload(msg_type, data, fin, is_first)) <= 1000
        except WSProtocolError as error:
            code = error.code
            break
        is_first = fin
    assert code in (None, 1007, 1009)


def test_a_message_that_is_refused_leaves_the_stream_as_it_was():
    deflater, inflater = Deflater(), Inflater()
    inflated(inflater, deflater.pack_message(BINARY, b"Hello" * 10)[0])
    with pytest.raises(TypeError):
        deflater.pack_message(BINARY, 5)

    assert inflated(inflater, deflater.pack_message(BINARY, b"Hello" * 10)[0]) == b"Hello" * 10
