"""Frames as bytes, written and read independently of the core: the peer in the tests speaks for itself."""

import os
import struct
from typing import NamedTuple

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


class Frame(NamedTuple):
    """A frame as the peer saw it; payload unmasked."""

    opcode: int
    payload: bytes
    fin: bool = True
    rsv: int = 0
    is_masked: bool = False


def encode(opcode, payload=b"", *, fin=True, rsv=0, is_masked=False):
    """One frame on the wire (RFC 6455 5.2); rsv is 4 for RSV1, 2 for RSV2, 1 for RSV3."""
    payload = payload.encode() if isinstance(payload, str) else bytes(payload)
    size, mask_bit = len(payload), 0x80 if is_masked else 0
    head = bytes([(fin << 7) | (rsv << 4) | opcode])
    if size < 126:
        head += bytes([mask_bit | size])
    elif size < 65536:
        head += bytes([mask_bit | 126]) + struct.pack("!H", size)
    else:
        head += bytes([mask_bit | 127]) + struct.pack("!Q", size)
    if not is_masked:
        return head + payload
    key = os.urandom(4)
    return head + key + apply_mask(payload, key)


def apply_mask(payload, key):
    """XOR with the key (5.3), in one big-integer operation: large frames are part of the tests."""
    size = len(payload)
    pad = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")).to_bytes(size, "big")


def close_payload(code, reason=""):
    """The payload of a CLOSE frame with a code."""
    return struct.pack("!H", code) + reason.encode()


def header_size(data):
    """(header length, payload length) of the frame that `data` begins with; None: more bytes are wanted."""
    if len(data) < 2:
        return None
    size, at = data[1] & 0x7F, 2
    if size == 126:
        at, size = 4, int.from_bytes(data[2:4], "big")
    elif size == 127:
        at, size = 10, int.from_bytes(data[2:10], "big")
    at += 4 if data[1] & 0x80 else 0
    return None if len(data) < at else (at, size)


def decode(data):
    """(Frame, its length on the wire) from the start of `data`; None: more bytes are wanted."""
    sizes = header_size(data)
    if sizes is None or len(data) < sum(sizes):
        return None
    at, size = sizes
    is_masked = bool(data[1] & 0x80)
    payload = bytes(data[at : at + size])
    if is_masked:
        payload = apply_mask(payload, bytes(data[at - 4 : at]))
    return Frame(data[0] & 0x0F, payload, bool(data[0] & 0x80), (data[0] >> 4) & 7, is_masked), at + size


def assert_closes_with(frame, code, reason=None):
    """`frame` is a CLOSE with this code; code None: without one."""
    assert frame is not None, "the connection ended without a CLOSE frame"
    assert frame.opcode == CLOSE, frame
    if code is None:
        assert frame.payload == b""
    else:
        assert int.from_bytes(frame.payload[:2], "big") == code, frame
    if reason is not None:
        assert frame.payload[2:].decode() == reason
