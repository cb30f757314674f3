"""The capture format: whole files, torn ones, a full disk, a killed recorder."""

from __future__ import annotations

import errno
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from connectors.capture import FLAG_FRAGMENT, Record, RecordKind
from connectors.capture_file import CaptureReader, CaptureWriter, read_capture
from connectors.clock import ManualClock
from connectors.errors import CaptureError
from connectors.recorder import Recorder

ROOT = Path(__file__).parents[2]
RECORDS = st.builds(
    Record,
    ns=st.integers(0, 2**62),
    conn_id=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(list(RecordKind)),
    opcode=st.integers(0, 15),
    flags=st.integers(0, 1),
    payload=st.binary(max_size=300),
)


def frame(i: int) -> Record:
    return Record(i, 1, RecordKind.FRAME_IN, 1, payload=b'{"n":%d}' % i)


def write(path: Path, *frames: list[Record]) -> None:
    """A capture whose file frames hold these records."""
    writer = CaptureWriter(path, {"software": "test"}, ns=5)
    for records in frames:
        for record in records:
            writer.write(record)
        writer.flush()
    writer.close(9)


@given(st.lists(RECORDS, max_size=20))
def test_records_come_back_as_they_were_written(tmp_path_factory, records):
    path = tmp_path_factory.mktemp("c") / "a.cap.zst"

    write(path, records[:7], records[7:])

    header, *body, end = read_capture(path)
    assert body == records
    assert msgspec.json.decode(header.payload)["created_ns"] == 5
    assert (end.kind, end.payload) == (RecordKind.MARKER, b"end")


def test_torn_file_reads_to_its_last_whole_record(tmp_path):
    whole = tmp_path / "a.cap.zst"
    write(whole, [frame(i) for i in range(50)], [frame(i) for i in range(50, 100)])
    data = whole.read_bytes()
    all_records = list(read_capture(whole))

    counts = []
    for size in range(len(data)):
        torn = tmp_path / "torn.cap.zst"
        torn.write_bytes(data[:size])
        try:
            reader = CaptureReader(torn)
        except CaptureError:
            continue  # not even the header is whole
        records = list(reader)
        assert records == all_records[: len(records)]
        assert reader.is_closed == (len(records) == len(all_records))
        counts.append(len(records))

    # Each file frame counts as soon as it is whole.
    assert counts == sorted(counts)
    assert {1, 51, 101} <= set(counts)


def test_file_without_its_end_is_told(tmp_path, caplog):
    whole = tmp_path / "a.cap.zst"
    write(whole, [frame(i) for i in range(50)], [frame(i) for i in range(50, 100)])
    list(read_capture(whole))
    assert not caplog.records

    torn = tmp_path / "torn.cap.zst"
    torn.write_bytes(whole.read_bytes()[:-40])
    list(read_capture(torn))

    (told,) = caplog.records
    assert told.getMessage().startswith(f"{torn}: no end mark: ")


def test_whole_file_says_that_it_was_closed(tmp_path):
    path = tmp_path / "a.cap.zst"
    write(path, [frame(1)])

    reader = CaptureReader(path)
    list(reader)

    assert (reader.is_closed, reader.torn_bytes, reader.damage) == (True, 0, "")


def test_damage_in_the_middle_is_told(tmp_path, caplog):
    path = tmp_path / "a.cap.zst"
    write(path, [Record(0, 1, RecordKind.FRAME_IN, 1, payload=os.urandom(2000))], [frame(2)])
    data = bytearray(path.read_bytes())
    data[1200] ^= 0xFF
    path.write_bytes(data)

    reader = CaptureReader(path)
    with caplog.at_level(logging.WARNING):
        records = list(reader)

    assert len(records) < 4
    assert reader.damage
    assert "a.cap.zst" in caplog.text


@pytest.mark.parametrize(
    "data", [b"", b"hello", zstandard.compress(b"hello"), zstandard.compress(frame(1).pack())]
)
def test_other_file_is_refused(tmp_path, data):
    path = tmp_path / "a.cap.zst"
    path.write_bytes(data)

    with pytest.raises(CaptureError, match=r"a\.cap\.zst.*expected a capture"):
        CaptureReader(path)


def test_newer_format_is_refused(tmp_path):
    path = tmp_path / "a.cap.zst"
    header = Record(0, 0, RecordKind.HEADER, payload=b'{"format":99}')
    path.write_bytes(zstandard.compress(header.pack()))

    with pytest.raises(CaptureError, match="expected capture format 1, got 99"):
        CaptureReader(path)


def test_writer_never_overwrites(tmp_path):
    path = tmp_path / "a.cap.zst"
    path.write_bytes(b"precious")

    with pytest.raises(FileExistsError):
        CaptureWriter(path, {})

    assert path.read_bytes() == b"precious"


# Recorder


def make_recorder(tmp_path: Path, **options) -> Recorder:
    recorder = Recorder(tmp_path / "rec", clock=ManualClock(1_700_000_000 * 10**9), **options)
    recorder.start()
    return recorder


def test_recorder_keeps_everything_in_order(tmp_path):
    recorder = make_recorder(tmp_path, flush_s=0.001)

    recorder.on_connect(1, 7, "toy", "public", "ws://x")
    for i in range(3000):
        recorder.on_frame_in(i, 7, 1, i % 2 == 0, memoryview(b"in %d" % i))
    recorder.on_frame_out(2, 7, 1, b"out")
    recorder.on_rest(3, "toy", "http://x/book", 200, b"body\nof two lines")
    recorder.on_marker(4, "note")
    recorder.on_disconnect(5, 7, "done")
    recorder.close()

    _, connect, *middle, out, rest, marker, gone, _end = read_capture(recorder.paths[0])
    assert [record.payload for record in middle] == [b"in %d" % i for i in range(3000)]
    assert [record.flags for record in middle[:2]] == [0, FLAG_FRAGMENT]
    assert (connect.kind, out.payload, marker.payload, gone.kind) == (
        RecordKind.CONNECT, b"out", b"note", RecordKind.DISCONNECT,
    )  # fmt: skip
    assert rest.payload.partition(b"\n")[2] == b"body\nof two lines"
    assert (recorder.dropped, recorder.written) == (0, 3005)


def test_each_file_of_a_recording_can_be_read_alone(tmp_path):
    recorder = make_recorder(tmp_path, flush_s=0.001, max_bytes=2000)

    recorder.on_connect(1, 7, "toy", "public", "ws://x")
    sent = 0
    while len(recorder.paths) < 3:
        recorder.on_frame_in(sent, 7, 1, True, memoryview(os.urandom(500).hex().encode()))
        sent += 1
        time.sleep(0.0005)
    recorder.close()

    frames = 0
    for path in recorder.paths:
        header, connect, *rest = read_capture(path)
        assert (header.kind, connect.kind, connect.conn_id) == (RecordKind.HEADER, RecordKind.CONNECT, 7)
        frames += sum(record.kind == RecordKind.FRAME_IN for record in rest)
    assert frames == sent


class Disk:
    """A file on a disk with so much room."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.room = 10**9
        self.file = path.open("xb", buffering=0)
        self.failed = threading.Event()

    def write(self, data: bytes, /) -> int:
        if not self.room:
            self.failed.set()
            raise OSError(errno.ENOSPC, "No space left on device")
        count = self.file.write(data[: self.room])
        self.room -= count
        return count

    def truncate(self, size: int, /) -> int:
        return self.file.truncate(size)

    def seek(self, offset: int, /) -> int:
        return self.file.seek(offset)

    def fileno(self) -> int:
        return self.file.fileno()

    def close(self) -> None:
        self.file.close()


def test_full_disk_is_told_once_and_counted_and_recording_goes_on(tmp_path, caplog):
    disks: list[Disk] = []

    def opener(path: Path) -> Disk:
        disks.append(Disk(path))
        return disks[-1]

    recorder = make_recorder(tmp_path, flush_s=0.001, opener=opener)
    wait_for(lambda: recorder.written == 0 and disks)

    recorder.on_marker(1, "before")
    wait_for(lambda: recorder.written == 1)
    disks[0].room = 10  # the next file frame does not fit
    for i in range(2):
        recorder.on_marker(2, f"lost {i} " + os.urandom(50).hex())
        wait_for(lambda i=i: recorder.dropped == i + 1)
    disks[0].room = 10**9
    recorder.on_marker(3, "after")
    wait_for(lambda: recorder.written == 2)
    recorder.close()

    texts = [record.payload.decode() for record in read_capture(recorder.paths[0])][1:]
    assert texts == ["before", "2 records dropped before this place", "after", "end"]
    assert recorder.dropped == 2
    assert sum(record.levelno == logging.ERROR for record in caplog.records) == 1
    assert "No space left" in caplog.text


def test_queue_beyond_its_bound_is_dropped_and_counted(tmp_path, caplog):
    recorder = make_recorder(tmp_path, flush_s=3600, max_pending_bytes=1000)

    for i in range(100):
        recorder.on_frame_in(i, 1, 1, True, memoryview(b"x" * 80))
    recorder.close()

    kept = sum(record.kind == RecordKind.FRAME_IN for record in read_capture(recorder.paths[0]))
    assert kept == 10
    assert recorder.dropped == 90
    assert "90 records dropped" in caplog.text


KILLED = """
import sys, time
from connectors.recorder import Recorder
recorder = Recorder(sys.argv[1], flush_s=0.05)
recorder.start()
n = 0
while True:
    recorder.on_frame_in(time.time_ns(), 1, 1, True, memoryview(b"%d" % n))
    n += 1
    if n % 100 == 0:
        print(recorder.written, time.time_ns(), flush=True)
        time.sleep(0.001)
"""


def test_killed_recorder_loses_at_most_its_last_period(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT, env={**os.environ}
    )
    assert process.stdout is not None
    last = 0
    for line in process.stdout:
        last = int(line.split()[0])
        if last > 2000:
            break
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()

    (path,) = tmp_path.glob("*.cap.zst")
    reader = CaptureReader(path)
    frames = [record for record in reader if record.kind == RecordKind.FRAME_IN]
    # Everything the recorder had called written is there, without a hole; only the tail may lack.
    assert [record.payload for record in frames] == [b"%d" % i for i in range(len(frames))]
    assert len(frames) >= last
    assert not reader.is_closed


def wait_for(is_so) -> None:
    """Until it is so; the recorder works in a thread of its own."""
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.001)
