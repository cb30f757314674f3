"""Foreign captures become records: each line once, exact times, binary frames as bytes, REST in place."""

from __future__ import annotations

import gzip
import itertools
import json
from pathlib import Path

import msgspec
import pytest

from connectors.capture import Record, RecordKind
from connectors.errors import CaptureError
from connectors.foreign import open_any, read_fixtures, read_http_log, read_ndtext, read_session_log

ROOT = Path(__file__).parents[2]


def manifest(captures_dir: Path) -> dict[str, dict]:
    return {each["file"]: each for each in json.loads((captures_dir / "MANIFEST.json").read_text())}


def rest_head(record: Record) -> dict:
    return msgspec.json.decode(record.payload.partition(b"\n")[0])


def test_ndtext_lines_become_frames_and_snapshots(tmp_path):
    path = tmp_path / "a.ndtext.gz"
    with gzip.open(path, "wb") as file:
        file.write(b'1723161253937085768 {"stream":"x"}\n1723161254206652067 {"lastUpdateId":5,"bids":[]}\n')

    connect, frame, rest = read_ndtext(path, "toy")

    assert connect.kind == RecordKind.CONNECT
    assert (frame.ns, frame.payload, frame.opcode) == (1723161253937085768, b'{"stream":"x"}', 1)
    assert rest.kind == RecordKind.REST
    assert rest_head(rest) == {"exchange": "toy", "url": "", "status": 200, "size": 28}


def test_session_log_with_binary_frames_and_rest_in_time_order(tmp_path):
    path, http = tmp_path / "TOY.ws.1.0", tmp_path / "TOY.http.0.0"
    path.write_bytes(
        b"wss://toy/ws <-> 10.5\n"
        b'wss://toy/ws <- 10.6: {"sub":1}\n'
        b"10.700000001: b'\\x1f\\x8b\\x00\\'\\n'\n"
        b'12.25: b"it\'s"\n\n'
    )
    http.write_bytes(b'https://toy/book?s=1 -> 11.0: {"a": "header: {"} header: {"Date": "x"}\n')

    records = list(open_any(path, "toy"))

    kinds = [(record.kind, record.ns, record.opcode) for record in records]
    assert kinds == [
        (RecordKind.CONNECT, 10_500_000_000, 0),
        (RecordKind.FRAME_OUT, 10_600_000_000, 1),
        (RecordKind.FRAME_IN, 10_700_000_001, 2),
        (RecordKind.REST, 11_000_000_000, 0),
        (RecordKind.FRAME_IN, 12_250_000_000, 2),
    ]
    assert records[2].payload == b"\x1f\x8b\x00'\n"
    assert records[3].payload.partition(b"\n")[2] == b'{"a": "header: {"}'
    assert records[4].payload == b"it's"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.ndtext", b"not-a-time {}\n"),
        ("a.ndtext", b"123\n"),
        ("A.ws.1.0", b"hello\n"),
        ("A.ws.1.0", b"1.5: b'\\x1'\n"),
        ("A.ws.1.0", b"1.5: b'x' + exit()\n"),
        ("A.http.0.0", b"ftp://x -> 1: y\n"),
        ("a.jsonl", b'{"source_path": 1\n'),
    ],
)
def test_bad_line_is_named(tmp_path, name, text):
    path = tmp_path / name
    path.write_bytes(text)

    with pytest.raises(CaptureError, match=r":1: expected"):
        list(open_any(path))


def test_torn_gzip_gives_its_lines_then_an_error(tmp_path):
    path = tmp_path / "a.ndtext.gz"
    path.write_bytes(gzip.compress(b"".join(b'%d {"n":%d}\n' % (i, i * i) for i in range(20_000)))[:-2000])

    found: list[Record] = []
    with pytest.raises(CaptureError, match="broken after line"):
        found.extend(read_ndtext(path))

    assert len(found) > 100


def test_unknown_file_name_is_refused(tmp_path):
    with pytest.raises(CaptureError, match=r"expected a file named like \*\.cap\.zst"):
        open_any(tmp_path / "a.txt")


def test_every_session_log_gives_the_frames_of_the_manifest(captures_dir):
    checked = 0
    for name, entry in manifest(captures_dir).items():
        if ".ws." not in name:
            continue
        kinds = [record.kind for record in read_session_log(captures_dir / name)]

        assert kinds.count(RecordKind.FRAME_IN) == entry["messages"], name
        assert kinds.count(RecordKind.FRAME_OUT) == entry["sent"], name
        checked += 1
    assert checked >= 29


def test_every_rest_log_gives_bodies_that_are_json(captures_dir):
    for name, entry in manifest(captures_dir).items():
        if not name.startswith("cryptofeed/") or ".ws." in name:
            continue
        records = list(read_http_log(captures_dir / name))
        assert len(records) == entry["messages"], name
        for record in records:
            json.loads(record.payload.partition(b"\n")[2])


@pytest.mark.parametrize(
    "name",
    ["binance_spot_btcusdt_20240808", "binance_usdm_btcusdt_20240808", "hyperliquid_btc_20250126"],
)
def test_ndtext_gives_the_messages_of_the_manifest(captures_dir, name):
    entry = manifest(captures_dir)[f"hftbacktest/{name}.ndtext.gz"]

    records = list(open_any(captures_dir / f"hftbacktest/{name}.ndtext.gz"))

    kinds = [record.kind for record in records]
    snapshots = entry["channels"].get("REST depth snapshot", 0)
    assert kinds.count(RecordKind.REST) == snapshots
    assert kinds.count(RecordKind.FRAME_IN) == entry["messages"] - snapshots
    assert all(a.ns <= b.ns for a, b in itertools.pairwise(records))


def test_fixtures_give_the_messages_themselves(captures_dir):
    for name, entry in manifest(captures_dir).items():
        if not name.startswith("nautilus/"):
            continue
        connect, *frames = read_fixtures(captures_dir / name)
        assert connect.kind == RecordKind.CONNECT
        assert len(frames) == entry["messages"], name
        for frame in frames:
            assert b"source_path" not in frame.payload
            json.loads(frame.payload)
