"""Any payload in any fragments inflates within its limit, or is a WSProtocolError; ours comes back whole."""

import contextlib
import zlib

from picows.deflate import Deflater, Inflater
from picows.deflate_negotiation import HEADER, PerMessageDeflate, check_answer, choose, with_offer
from picows.errors import WSProtocolError

from .inputs import Choices, pieces

CONTINUATION, TEXT, BINARY = 0, 1, 2
INVALID, TOO_BIG = 1007, 1009
LIMITS = [1, 100, 10_000, 1_000_000]
OFFERS = [
    PerMessageDeflate(),
    PerMessageDeflate(server_max_window_bits=9, client_max_window_bits=8, client_no_context_takeover=True),
    PerMessageDeflate(server_no_context_takeover=True, threshold=64),
]


def seeds():
    """Compressed messages, a bomb, streams with BFINAL, and headers; the last bytes choose what is done."""
    texts = [b"", b"a", "grüße ☂ ".encode() * 9, bytes(range(256)), bytes(60_000)]
    for text in texts:
        for options in ({}, {"level": 0}, {"wbits": -9}, {"strategy": zlib.Z_FIXED}):
            packer = zlib.compressobj(**{"wbits": -15} | options)
            flushed = packer.compress(text) + packer.flush(zlib.Z_SYNC_FLUSH)
            finished = packer.flush(zlib.Z_FINISH)
            yield flushed[:-4] + bytes([3, 200, 40, 2, 9, 0, 7, 0, 3, 0, 0])
            yield flushed + finished + bytes([0, 0, 0, 0, 0, 0, 7, 1, 2, 1, 0])
        yield text[:3000] + bytes([9, 5, 0, 1, 2, 1])
    for offer in (
        b"permessage-deflate; client_max_window_bits",
        b"permessage-deflate; server_max_window_bits=8; server_no_context_takeover, permessage-deflate",
        b'x; a="b", permessage-deflate; client_max_window_bits="10"; client_no_context_takeover',
    ):
        yield from (offer + bytes([number, 2]) for number in range(len(OFFERS)))


def check(data):
    choices = Choices(data)
    choices.one_of([_inflate, _round_trip, _negotiate])(choices)


# ---------------------------------------------------------------- whatever a peer may send


def _inflate(choices):
    """Two ways to cut a message agree. Which of two faults is found first may differ, and the streams in a
    frame are counted by frame, so of errors only the codes are looked at."""
    is_text, starts_afresh = choices.flag(), choices.flag()
    limit, bits = choices.one_of(LIMITS), 8 + choices.number(8)
    data = choices.payload()
    cuts = choices.cuts(len(data), 6)
    results = [
        _message(Inflater(bits, starts_afresh, limit, is_text), TEXT if is_text else BINARY, parts, limit)
        for parts in (pieces(data, cuts), [data])
    ]
    if None not in results:
        assert results[0] == results[1]


def _message(inflater, kind, parts, limit):
    """The inflated message; None after an error."""
    inflated = b""
    for index, part in enumerate(parts):
        try:
            inflated += inflater.inflate_payload(
                CONTINUATION if index else kind, part, index == len(parts) - 1, index == 0
            )
        except WSProtocolError as error:
            assert error.code in (INVALID, TOO_BIG)
            return None
        finally:
            assert inflater.held_size == 0
        assert len(inflated) <= limit
    if kind == TEXT:
        inflated.decode()
    return inflated


# ---------------------------------------------------------------- what we send ourselves


def _round_trip(choices):
    """Three messages, fragmented, with one context or one each: what was sent is what comes out."""
    starts_afresh = choices.flag()
    bits, threshold = 8 + choices.number(8), choices.one_of([0, 100])
    deflater = Deflater(bits, starts_afresh, choices.number(10), 1 + choices.number(9), threshold)
    inflater = Inflater(bits, starts_afresh)
    data = choices.payload()
    for parts in ([data], pieces(data, choices.cuts(len(data), 4)), [data]):
        got = b""
        for index, part in enumerate(parts):
            kind, fin = CONTINUATION if index else BINARY, index == len(parts) - 1
            payload, is_compressed = deflater.pack_message(kind, part, fin)
            got += inflater.inflate_payload(kind, payload, fin, is_compressed)
        assert got == b"".join(parts)


# ---------------------------------------------------------------- the headers


def _negotiate(choices):
    """Any header is declined or a ValueError; what a server of ours chooses, our client takes."""
    options = choices.one_of(OFFERS)
    headers = [(HEADER, choices.payload().decode("latin-1"))]
    for read in (choose, check_answer):
        with contextlib.suppress(ValueError):
            read(headers, options)
    for ours in OFFERS:
        chosen = choose(with_offer([], options), ours)
        if chosen is not None:
            agreed = check_answer([(HEADER, chosen[0])], options)
            assert agreed.inflate_bits == chosen[1].deflate_bits
            assert agreed.deflate_bits <= chosen[1].inflate_bits
            assert agreed.inflates_afresh == chosen[1].deflates_afresh
