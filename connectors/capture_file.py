"""Write and read capture files (layout: capture.py). Knows files and zstd; no session, clock or thread."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Protocol

import msgspec
import zstandard

from connectors.capture import FORMAT, RECORD, Record, RecordKind
from connectors.errors import CaptureError

log = logging.getLogger(__name__)

END = "end"
"""MARKER text of a file that was closed in order."""

MAX_RECORD_BYTES = 256 * 1024 * 1024
_STEPS = (1 << 20, 4096, 1)


class RawFile(Protocol):
    """What the writer needs of an unbuffered binary file."""

    def write(self, data: bytes, /) -> int | None: ...
    def truncate(self, size: int, /) -> int: ...
    def seek(self, offset: int, /) -> int: ...
    def fileno(self) -> int: ...
    def close(self) -> None: ...


def open_raw(path: Path) -> RawFile:
    """Create the file; never overwrites one."""
    return path.open("xb", buffering=0)


class CaptureWriter:
    """Appends records to a new file. A frame of the file is written by each `flush()`, whole or not at all.

    header: what stands in the HEADER record beside "format"; no secrets. ns: its time.
    Raises OSError: the file cannot be made. After a failed `flush()` the file ends with its last whole frame
    and the records of that flush are gone; the writer can go on (the disk may have room again).
    """

    def __init__(
        self,
        path: Path,
        header: Mapping[str, object],
        *,
        ns: int = 0,
        level: int = 3,
        opener: Callable[[Path], RawFile] = open_raw,
    ) -> None:
        self.path = path
        self.written_bytes = 0  # in the file, compressed
        self._pending: list[bytes] = []
        self._compressor = zstandard.ZstdCompressor(level=level, write_checksum=True)
        self._file: RawFile | None = opener(path)
        body = msgspec.json.encode({"format": FORMAT, "created_ns": ns, **header})
        self.write(Record(ns, 0, RecordKind.HEADER, payload=body))
        try:
            self.flush()
        except OSError:
            # A file without a header can not be read by anybody.
            self._file.close()
            path.unlink(missing_ok=True)
            raise

    def write(self, record: Record) -> None:
        """Keep a record for the next flush."""
        self._pending.append(record.pack())

    def write_packed(self, data: bytes) -> None:
        """Keep a record that is packed already (Record.pack)."""
        self._pending.append(data)

    def flush(self) -> None:
        """Write all kept records as one zstd frame and sync it to the disk. Raises OSError (disk full)."""
        if self._file is None or not self._pending:
            return
        data = b"".join(self._pending)
        self._pending.clear()
        frame = self._compressor.compress(data)
        try:
            _write_all(self._file, frame)
            os.fsync(self._file.fileno())
        except OSError:
            self._cut()
            raise
        self.written_bytes += len(frame)

    def _cut(self) -> None:
        """Take back a frame that was written in part; a torn one in the middle would hide all behind it."""
        assert self._file is not None
        try:
            self._file.truncate(self.written_bytes)
            self._file.seek(self.written_bytes)
        except OSError as error:
            log.error("%s: a torn frame stays at byte %d: %s", self.path, self.written_bytes, error)

    def close(self, ns: int = 0) -> None:
        """Flush, mark the end, close. Idempotent. Raises OSError as flush; the file is closed even then."""
        if self._file is None:
            return
        try:
            self.write(Record(ns, 0, RecordKind.MARKER, payload=END.encode()))
            self.flush()
        finally:
            self._file.close()
            self._file = None


def _write_all(file: RawFile, data: bytes) -> None:
    view = memoryview(data)
    while view:
        count = file.write(bytes(view) if len(view) != len(data) else data)
        view = view[count or 0 :]


class CaptureReader:
    """Iterates over the records of a capture, HEADER included. Memory stays bounded by the largest record.

    header: the HEADER's JSON. After the iteration: `is_closed` (the recorder ended in order), `torn_bytes`
    (of a last record that is not whole), `damage` (why it stopped early; "" if it did not).
    Raises CaptureError: not a capture, or one of a newer format.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_closed = False
        self.torn_bytes = 0
        self.damage = ""
        with path.open("rb") as file:
            first = next(self._records(file), None)
        if first is None or first.kind != RecordKind.HEADER:
            raise CaptureError(f"{path}: expected a capture that starts with a header, got something else")
        self.header = self._decode_header(first.payload)

    def _decode_header(self, payload: bytes) -> dict[str, object]:
        try:
            header = msgspec.json.decode(payload, type=dict[str, object])
        except msgspec.DecodeError as error:
            raise CaptureError(f"{self.path}: the header is not a JSON object: {error}") from error
        if header.get("format") != FORMAT:
            got = header.get("format")
            raise CaptureError(
                f"{self.path}: expected capture format {FORMAT}, got {got!r}; update this software"
            )
        return header

    def __iter__(self) -> Iterator[Record]:
        self.is_closed, self.torn_bytes, self.damage = False, 0, ""
        last: Record | None = None
        with self.path.open("rb") as file:
            for last in self._records(file):
                yield last
        self.is_closed = (
            last is not None and last.kind == RecordKind.MARKER and last.payload == END.encode()
        ) and not self.damage
        if self.damage:
            log.warning("%s: read to the last whole record: %s", self.path, self.damage)
        elif not self.is_closed:
            log.warning(
                "%s: no end mark: the recorder was killed, still writes, or the file is cut; "
                "its last records are missing",
                self.path,
            )

    def _records(self, file: BinaryIO) -> Iterator[Record]:
        left = b""
        for chunk in self._plain(file):
            data = left + chunk if left else chunk
            position = 0
            while (end := self._record_end(data, position)) is not None:
                yield _unpack(data, position, end)
                position = end
            left = data[position:]
            if self.damage:
                return
        if left:
            self.torn_bytes = len(left)
            self.damage = self.damage or f"the last record is torn ({len(left)} bytes of it are there)"

    def _record_end(self, data: bytes, position: int) -> int | None:
        """Where the record at `position` ends; None: not whole, or damaged."""
        if len(data) - position < RECORD.size:
            return None
        size, _, _, kind, _, _ = RECORD.unpack_from(data, position)
        if size < RECORD.size - 4 or size > MAX_RECORD_BYTES or not 1 <= kind <= len(RecordKind):
            self.damage = f"record with size {size} and kind {kind}: no record is like that"
            return None
        end = position + 4 + int(size)
        return end if end <= len(data) else None

    def _plain(self, file: BinaryIO) -> Iterator[bytes]:
        """The decompressed bytes. Before damage every byte that can be had: steps get smaller towards it."""
        done = 0
        for step in _STEPS:
            file.seek(0)
            reader = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
            try:
                _skip(reader, done)
                while chunk := reader.read(step):
                    done += len(chunk)
                    yield chunk
            except zstandard.ZstdError as error:
                # A failed read gives nothing of what it had decompressed: again, in smaller steps.
                damage = f"after {done} bytes, near byte {file.tell()} of the file: {error}"
                continue
            return
        self.damage = damage


def _skip(reader: zstandard.ZstdDecompressionReader, size: int) -> None:
    while size:
        size -= len(reader.read(min(size, _STEPS[0])))


def _unpack(data: bytes, position: int, end: int) -> Record:
    _, ns, conn_id, kind, opcode, flags = RECORD.unpack_from(data, position)
    return Record(ns, conn_id, RecordKind(kind), opcode, flags, data[position + RECORD.size : end])


def read_capture(path: Path) -> Iterator[Record]:
    """All whole records of a capture, HEADER included. Raises CaptureError as CaptureReader."""
    return iter(CaptureReader(path))
