"""The one capture format: records of all that went in and out of a run.

File: zstd frames one after another, each holding whole records, closed at least once a second, so that a
torn file reads
to its last whole record. The first record is HEADER. Record, little-endian:

    u32 size of what follows, i64 ns since 1970, u32 conn_id, u8 kind, u8 opcode, u16 flags, payload

conn_id 0 is the run itself (HEADER, REST, MARKER). Payload by kind:
    HEADER      JSON: {"format": 1, "created_ns", "software", "part", "exchanges", "config" (secrets removed),
                "versions"}; from the second file of a run on "instruments", too (header.py)
    CONNECT     JSON: {"exchange", "route", "url"}          DISCONNECT  JSON: {"reason"}
    FRAME_IN, FRAME_OUT   the frame's payload, opcode set; FLAG_FRAGMENT: more fragments of the message follow
    REST        JSON: {"exchange", "url", "status", "size"} + b"\n" + body
    MARKER      UTF-8 text
"""

from __future__ import annotations

import enum
import struct

import msgspec

FORMAT = 1
RECORD = struct.Struct("<IqIBBH")
FLAG_FRAGMENT = 1
SUFFIX = ".cap.zst"


class RecordKind(enum.IntEnum):
    HEADER = 1
    CONNECT = 2
    DISCONNECT = 3
    FRAME_IN = 4
    FRAME_OUT = 5
    REST = 6
    MARKER = 7


class Record(msgspec.Struct, frozen=True):
    """One record. `payload` as in the module's docstring."""

    ns: int
    conn_id: int
    kind: RecordKind
    opcode: int = 0
    flags: int = 0
    payload: bytes = b""

    def pack(self) -> bytes:
        """The record's bytes in the file, before compression."""
        size = RECORD.size - 4 + len(self.payload)
        return RECORD.pack(size, self.ns, self.conn_id, self.kind, self.opcode, self.flags) + self.payload
