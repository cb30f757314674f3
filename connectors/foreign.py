"""Captures that others have recorded, as records of our own format. Lines are read one by one; gzip or plain.

read_ndtext         `<recv ns> <text as received>` per line; a REST book snapshot becomes a REST record
read_session_log    `URL <-> ts`, `URL <- ts: sent`, `ts: received`; binary frames as Python bytes literals
read_http_log       `URL -> ts: body`, sometimes ` header: {...}` behind it
read_fixtures       JSON lines: `{"source_path": ..., "message": ...}`, or the messages themselves

All raise CaptureError with file, line, what was expected and what came. None keeps more than a line.
"""

from __future__ import annotations

import ast
import gzip
import heapq
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import msgspec

from connectors.capture import SUFFIX, Record, RecordKind
from connectors.capture_file import read_capture
from connectors.errors import CaptureError

TEXT, BINARY = 1, 2
_MAX_LINE = 64 * 1024 * 1024
_TIME = rb"(\d+(?:\.\d+)?)"
_CONNECTED = re.compile(rb"(wss?://\S+) <-> " + _TIME)
_SENT = re.compile(rb"(wss?://\S+) <- " + _TIME + rb": (.*)", re.DOTALL)
_RECEIVED = re.compile(_TIME + rb": (.*)", re.DOTALL)
_HTTP = re.compile(rb"(https?://\S+) -> " + _TIME + rb": (.*)", re.DOTALL)
_HEADER = re.compile(rb" header: \{.*\}\Z", re.DOTALL)
_SNAPSHOT = b'{"lastUpdateId"'


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Numbered lines without their end. A torn gzip file gives its whole lines, then CaptureError."""
    opener: Callable[..., gzip.GzipFile] = gzip.open if path.suffix == ".gz" else open  # type: ignore[assignment]
    number = 0
    try:
        with opener(path, "rb") as file:
            while line := file.readline(_MAX_LINE):
                number += 1
                if not line.endswith(b"\n") and len(line) == _MAX_LINE:
                    raise CaptureError(f"{path}:{number}: a line of more than {_MAX_LINE} bytes")
                line = line.rstrip(b"\r\n")
                if line:
                    yield number, line
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise CaptureError(f"{path}: broken after line {number}: {error}") from error


def _bad(path: Path, number: int, expected: str, line: bytes) -> CaptureError:
    return CaptureError(f"{path}:{number}: expected {expected}, got {line[:80]!r}")


def _ns(text: bytes) -> int:
    """Seconds with a fraction to ns, without a float between."""
    return int(Decimal(text.decode()) * 1_000_000_000)


def connect_record(ns: int, conn_id: int, exchange: str, url: str) -> Record:
    body = msgspec.json.encode({"exchange": exchange, "route": "", "url": url})
    return Record(ns, conn_id, RecordKind.CONNECT, payload=body)


def rest_record(ns: int, exchange: str, url: str, body: bytes, status: int = 200) -> Record:
    head = msgspec.json.encode({"exchange": exchange, "url": url, "status": status, "size": len(body)})
    return Record(ns, 0, RecordKind.REST, payload=head + b"\n" + body)


def read_ndtext(path: Path, exchange: str = "") -> Iterator[Record]:
    """One connection. The URL of REST snapshots is not in the file: theirs is ""."""
    is_first = True
    for number, line in _lines(path):
        digits, _, text = line.partition(b" ")
        if not digits.isdigit() or not text:
            raise _bad(path, number, "'<ns> <text>'", line)
        ns = int(digits)
        if is_first:
            yield connect_record(ns, 1, exchange, "")
            is_first = False
        if text.startswith(_SNAPSHOT):
            yield rest_record(ns, exchange, "", text)
        else:
            yield Record(ns, 1, RecordKind.FRAME_IN, TEXT, payload=text)


def read_session_log(path: Path, http_paths: Sequence[Path] = (), exchange: str = "") -> Iterator[Record]:
    """One socket's log, merged by time with the REST logs of the same run."""
    logs = [read_http_log(http_path, exchange) for http_path in http_paths]
    return heapq.merge(_session(path, exchange), *logs, key=lambda record: record.ns)


def _session(path: Path, exchange: str) -> Iterator[Record]:
    conn_id = 0
    for number, line in _lines(path):
        if match := _RECEIVED.fullmatch(line):
            opcode, payload = _payload(path, number, match[2])
            yield Record(_ns(match[1]), max(conn_id, 1), RecordKind.FRAME_IN, opcode, payload=payload)
        elif match := _SENT.fullmatch(line):
            opcode, payload = _payload(path, number, match[3])
            yield Record(_ns(match[2]), max(conn_id, 1), RecordKind.FRAME_OUT, opcode, payload=payload)
        elif match := _CONNECTED.fullmatch(line):
            conn_id += 1
            yield connect_record(_ns(match[2]), conn_id, exchange, match[1].decode())
        else:
            raise _bad(path, number, "'URL <-> ts', 'URL <- ts: text' or 'ts: text'", line)


def _payload(path: Path, number: int, text: bytes) -> tuple[int, bytes]:
    """Opcode and bytes of a frame: a bytes literal stands for a binary one."""
    if text[:2] not in (b"b'", b'b"'):
        return TEXT, text
    try:
        value = ast.literal_eval(text.decode("ascii"))
    except (ValueError, SyntaxError, UnicodeDecodeError, MemoryError, RecursionError) as error:
        raise _bad(path, number, f"a bytes literal ({error})", text) from error
    if not isinstance(value, bytes):
        raise _bad(path, number, "a bytes literal", text)
    return BINARY, value


def read_http_log(path: Path, exchange: str = "") -> Iterator[Record]:
    """REST answers. Lines `configuration: ...` (the run's own settings) are passed over."""
    for number, line in _lines(path):
        match = _HTTP.fullmatch(line)
        if match is None:
            if line.startswith(b"configuration: "):
                continue
            raise _bad(path, number, "'URL -> ts: body'", line)
        body = _HEADER.sub(b"", match[3])
        yield rest_record(_ns(match[2]), exchange, match[1].decode(), body)


def read_fixtures(path: Path, exchange: str = "") -> Iterator[Record]:
    """Single messages without times: record n stands at n milliseconds."""
    decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
    yield connect_record(0, 1, exchange, "")
    for number, line in _lines(path):
        payload = line
        if line.startswith(b'{"source_path"'):
            try:
                payload = bytes(decoder.decode(line)["message"])
            except (msgspec.DecodeError, KeyError) as error:
                raise _bad(path, number, f"a message ({error})", line) from error
        yield Record(number * 1_000_000, 1, RecordKind.FRAME_IN, TEXT, payload=payload)


def open_any(path: Path, exchange: str = "") -> Iterator[Record]:
    """The reader that a file's name asks for; the REST logs beside a session log are merged in.

    exchange: written into records where the file does not name one. Raises CaptureError: no such format.
    """
    name = path.name
    if name.endswith(SUFFIX):
        return read_capture(path)
    if ".ndtext" in name:
        return read_ndtext(path, exchange)
    if match := re.fullmatch(r"(.+)\.ws\.\d+\.\d+(\.gz)?", name):
        beside = [path.with_name(f"{match[1]}{tail}{match[2] or ''}") for tail in (".http.0.0", ".0")]
        return read_session_log(path, [each for each in beside if each.exists()], exchange)
    if re.fullmatch(r".+\.(http\.\d+\.)?\d+(\.gz)?", name):
        return read_http_log(path, exchange)
    if ".jsonl" in name:
        return read_fixtures(path, exchange)
    formats = f"*{SUFFIX}, *.ndtext[.gz], *.ws.N.N[.gz], *.http.N.N[.gz], *.N[.gz], *.jsonl[.gz]"
    raise CaptureError(f"{path}: expected a file named like {formats}")
