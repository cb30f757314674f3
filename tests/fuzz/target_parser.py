"""Any bytes in any pieces are frames, or one WSProtocolError; two cuts agree; memory is bounded."""

from picows.parser import FrameParser

from ..picows.wire_support import BINARY, CLOSE, CONTINUATION, MASK, PING, TEXT, close_payload, drain, frame
from .inputs import Choices, pieces

CODES = {1002, 1007, 1009}
SIZE_LIMITS = [10 * 1024 * 1024, 0, 125, 1000, 1 << 40]
# The arena, a trusted length, or twice what has come; and what a block is rounded up by.
FREE_SIZE = 1024 * 1024 + 64 * 1024


def seeds():
    """Whole conversations of each role, and the choices behind them."""
    for mask in (None, MASK):
        frames = [
            frame(TEXT, "grüße ☂".encode(), mask=mask),
            frame(TEXT, "gr\u00fc".encode()[:3], fin=False, mask=mask),
            frame(PING, b"inside", mask=mask),
            frame(CONTINUATION, "\u00fc".encode()[1:] + b"e", mask=mask),
            frame(BINARY, bytes(200), mask=mask),
            frame(BINARY, b"x" * 70, mask=mask, form=64),
            frame(CLOSE, close_payload(1000, b"bye"), mask=mask),
        ]
        for options in (b"\x00\x00\x00", b"\x01\x00\x00", b"\x01\x02\x03\x04\x05\x06\x07\x08"):
            yield from (one + options + bytes([mask is not None, 1]) for one in frames)
            yield b"".join(frames) + options + bytes([mask is not None, 1])
    yield b"\x82\x7f" + (1 << 62).to_bytes(8, "big") + bytes([0, 0, 0, 0, 1])


def check(data):
    choices = Choices(data)
    options = {
        "strict": choices.flag(),
        "is_client": not choices.flag(),
        "allowed_rsv": choices.number(8),
        "max_frame_size": choices.one_of(SIZE_LIMITS),
    }
    cuts = choices.cuts(len(data))
    received = choices.payload()
    whole = _parsed([received], options)
    assert _parsed(pieces(received, cuts), options) == whole
    if len(received) < 300:
        assert _parsed(pieces(received, range(1, len(received))), options) == whole


def _parsed(parts, options):
    """(frames, code and text of the error or None); asserts what holds at each step."""
    parser = FrameParser(**options)
    frames, error, fed = [], None, 0
    for part in parts:
        parser.feed(part)
        fed += len(part)
        more, error_now = drain(parser)
        assert error is None or (more == [] and error_now is None), "a failed parser goes on"
        assert parser.buffered_size <= max(FREE_SIZE, 2 * fed), (parser.buffered_size, fed)
        frames += more
        error = error or error_now
    if error is not None:
        assert error.code in CODES
        return frames, (error.code, error.message)
    return frames, None
