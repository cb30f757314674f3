"""The recorder: a Tap that keeps all that goes in and out of a run in capture files.

The loop's thread packs a record and appends it to a bounded queue. A thread of its own takes the queue once a
second, compresses, writes and syncs: a killed process loses at most the last second. What cannot be kept
(disk or queue full) is counted in `dropped`, told once per episode, and marked in the file at its place.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from connectors.capture import FLAG_FRAGMENT, RECORD, SUFFIX, Record, RecordKind
from connectors.capture_file import CaptureWriter, RawFile, open_raw
from connectors.clock import Clock, SystemClock

log = logging.getLogger(__name__)

_FIXED = RECORD.size - 4
_KIND_OFFSET = 16
_PACK = RECORD.pack
# An enum member packs slower than its number (0.53 us a record against 0.44 on a busy machine).
_FRAME_IN = int(RecordKind.FRAME_IN)
_CONN_ID = slice(12, 16)


class Recorder:
    """Implements tap.Tap. `start()` opens the first file and the thread, `close()` writes what is left.

    dir: made if missing. max_bytes: a new file after that many compressed bytes; each file can be read alone,
    open connections are told again at its start. header: for the HEADER record (config without secrets ...).
    flush_s: period of the writing thread. max_pending_bytes: of the queue.
    Raises OSError from start(): the directory or the first file cannot be made. Never raises afterwards.
    """

    def __init__(
        self,
        dir: Path | str,  # noqa: A002 - the word of the config file
        max_bytes: int | None = None,
        clock: Clock | None = None,
        header: Mapping[str, object] | None = None,
        *,
        flush_s: float = 1.0,
        max_pending_bytes: int = 64 * 1024 * 1024,
        opener: Callable[[Path], RawFile] = open_raw,
    ) -> None:
        self.dir = Path(dir)
        self.dropped = 0  # records that are in no file
        self.written = 0  # records on the disk
        self.error: OSError | None = None  # the last one of the disk
        self.paths: list[Path] = []
        self._max_bytes = max_bytes
        self._clock = clock or SystemClock()
        self._header = dict(header or {})
        self._flush_s = flush_s
        self._max_pending = max_pending_bytes
        self._opener = opener
        self._queue: deque[bytes] = deque()
        self._put_bytes = 0  # changed by the loop's thread only
        self._taken_bytes = 0  # changed by the writing thread only
        self._overflowed = 0  # by the loop's thread only
        self._overflow_told = 0
        self._unmarked = 0  # dropped records the file does not yet tell of
        self._open: dict[bytes, bytes] = {}  # conn_id -> CONNECT record, for the next file
        self._writer: CaptureWriter | None = None
        self._wake = threading.Event()
        self._is_closing = False
        self._thread: threading.Thread | None = None
        self._stem = ""

    # Tap: the loop's thread

    def on_connect(self, ns: int, conn_id: int, exchange: str, route: str, url: str) -> None:
        body = msgspec.json.encode({"exchange": exchange, "route": route, "url": url})
        self._put(ns, conn_id, RecordKind.CONNECT, 0, 0, body)

    def on_disconnect(self, ns: int, conn_id: int, reason: str) -> None:
        self._put(ns, conn_id, RecordKind.DISCONNECT, 0, 0, msgspec.json.encode({"reason": reason}))

    def on_frame_in(
        self, ns: int, conn_id: int, opcode: int, is_final: bool, payload: bytes | memoryview
    ) -> None:
        # _put once more, without the call: this is the only one that runs per message.
        size = len(payload) + _FIXED
        if self._put_bytes - self._taken_bytes + size > self._max_pending or self._is_closing:
            self._overflowed += 1
            return
        self._put_bytes += size + 4
        flags = 0 if is_final else FLAG_FRAGMENT
        self._queue.append(_PACK(size, ns, conn_id, _FRAME_IN, opcode, flags) + payload)

    def on_frame_out(self, ns: int, conn_id: int, opcode: int, payload: bytes) -> None:
        self._put(ns, conn_id, RecordKind.FRAME_OUT, opcode, 0, payload)

    def on_rest(self, ns: int, exchange: str, url: str, status: int, body: bytes) -> None:
        head = msgspec.json.encode({"exchange": exchange, "url": url, "status": status, "size": len(body)})
        self._put(ns, 0, RecordKind.REST, 0, 0, head + b"\n" + body)

    def on_marker(self, ns: int, text: str) -> None:
        self._put(ns, 0, RecordKind.MARKER, 0, 0, text.encode())

    def _put(
        self, ns: int, conn_id: int, kind: int, opcode: int, flags: int, payload: bytes | memoryview
    ) -> None:
        size = len(payload) + _FIXED
        if self._put_bytes - self._taken_bytes + size > self._max_pending or self._is_closing:
            self._overflowed += 1
            return
        self._put_bytes += size + 4
        # deque.append and popleft are atomic: no lock on this thread.
        self._queue.append(RECORD.pack(size, ns, conn_id, kind, opcode, flags) + payload)

    # Life

    def start(self) -> None:
        """Open the first file and start the thread."""
        self.dir.mkdir(parents=True, exist_ok=True)
        now = datetime.fromtimestamp(self._clock.time_ns() / 1e9, UTC)
        self._stem = now.strftime("%Y%m%dT%H%M%S")
        self._writer = self._new_file()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._thread.start()

    def note(self, **more: object) -> None:
        """Put more into the headers of the files that follow."""
        self._header = {**self._header, **more}

    def close(self) -> None:
        """Write what is left and end the thread. Blocks for as long as the disk needs. Idempotent."""
        self._is_closing = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    # The writing thread

    def _run(self) -> None:
        while not self._is_closing:
            self._wake.wait(self._flush_s)
            self._step()
        self._step()
        if self._writer is not None:
            self._guarded(lambda writer: writer.close(self._clock.time_ns()), 0)

    def _step(self) -> None:
        """Take the queue, write it as one frame, change files when it is time."""
        self._tell_overflow()
        self._rotate()
        batch = self._take()
        if self._writer is None:
            self._lose(len(batch))
            return
        if not batch and not self._unmarked:
            return
        if self._unmarked:
            text = f"{self._unmarked} records dropped before this place"
            self._writer.write(Record(self._clock.time_ns(), 0, RecordKind.MARKER, payload=text.encode()))
        for data in batch:
            self._writer.write_packed(data)
        if self._guarded(CaptureWriter.flush, len(batch)):
            self.written += len(batch)
            self._unmarked = 0

    def _take(self) -> list[bytes]:
        batch = []
        for _ in range(len(self._queue)):
            data = self._queue.popleft()
            self._taken_bytes += len(data)
            batch.append(data)
            if data[_KIND_OFFSET] == RecordKind.CONNECT:
                self._open[data[_CONN_ID]] = data
            elif data[_KIND_OFFSET] == RecordKind.DISCONNECT:
                self._open.pop(data[_CONN_ID], None)
        return batch

    def _rotate(self) -> None:
        writer = self._writer
        is_full = (
            writer is not None and self._max_bytes is not None and writer.written_bytes >= self._max_bytes
        )
        if writer is not None and not is_full:
            return
        if writer is not None:
            self._guarded(lambda each: each.close(self._clock.time_ns()), 0)
        self._writer = None
        try:
            self._writer = self._new_file()
        except OSError as error:
            self._fail(error)
            return
        for data in self._open.values():
            self._writer.write_packed(data)

    def _new_file(self) -> CaptureWriter:
        while True:
            path = self.dir / f"{self._stem}-{len(self.paths):04d}{SUFFIX}"
            self.paths.append(path)
            try:
                header = {"software": "connectors", "part": len(self.paths), **self._header}
                return CaptureWriter(path, header, ns=self._clock.time_ns(), opener=self._opener)
            except FileExistsError:
                # Two recorders in one second: the next number is free.
                self.paths.pop()
                self._stem += "b"
            except OSError:
                self.paths.pop()
                raise

    def _guarded(self, act: Callable[[CaptureWriter], None], records: int) -> bool:
        assert self._writer is not None
        try:
            act(self._writer)
        except OSError as error:
            self._lose(records)
            self._fail(error)
            return False
        if self.error is not None:
            log.info("recorder: %s is written again; %d records dropped so far", self.dir, self.dropped)
            self.error = None
        return True

    def _fail(self, error: OSError) -> None:
        """Tell a fault of the disk once per episode."""
        if self.error is None:
            log.error("recorder: cannot write to %s: %s; records are dropped and counted", self.dir, error)
        self.error = error

    def _lose(self, records: int) -> None:
        self.dropped += records
        self._unmarked += records

    def _tell_overflow(self) -> None:
        new = self._overflowed - self._overflow_told
        if not new:
            return
        self._overflow_told += new
        self._lose(new)
        log.error(
            "recorder: the disk is too slow: %d records dropped (queue of %d bytes)", new, self._max_pending
        )
