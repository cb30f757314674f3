"""The grammar of HTTP/1.1 messages (RFC 9112) as far as an upgrade needs it; no WebSockets, no sockets.

Field values are `str` whose bytes above 7F are kept by `surrogateescape`: what came in goes out unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Literal

from multidict import CIMultiDict

MAX_HEADER_BYTES = 16 * 1024  # start line, header fields and the blank line
MAX_HEADERS = 128
MAX_BODY_BYTES = 64 * 1024  # kept of the body of a refusal

Headers = Mapping[str, str] | Iterable[tuple[str, str]]

# Answers of find_head_end() below 0.
HEAD_INCOMPLETE = -1
HEAD_BARE_LF = -2
HEAD_TOO_LONG = -3

TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110 5.6.2
_END_OR_BARE_LF = re.compile(rb"\r\n\r\n|(?<!\r)\n")
_FIELD_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_FIELD_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_BAD_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?")
_MAX_CHUNK_LINE = 1024


class HTTPSyntaxError(ValueError):
    """A message that breaks the grammar; `is_too_large` if it is only over a limit (431, not 400)."""

    def __init__(self, message: str, is_too_large: bool = False) -> None:
        super().__init__(message, is_too_large)
        self.is_too_large = is_too_large

    def __str__(self) -> str:
        return str(self.args[0])


# ------------------------------------------------------------------------------------------------ reading


def find_head_end(buf: bytes | bytearray | memoryview, start: int = 0) -> int:
    """Index after the blank line that ends a head, or HEAD_INCOMPLETE, HEAD_BARE_LF, HEAD_TOO_LONG.

    start: how much of `buf` an earlier call has seen; the search resumes there.
    HEAD_BARE_LF: a line ends without CR. RFC 9112 2.2 lets a recipient take it; but proxies disagree on it,
    which is how requests are smuggled, and to wait for a CRLF that never comes is to hang.
    """
    match = _END_OR_BARE_LF.search(buf, max(start - 3, 0), MAX_HEADER_BYTES)
    if match is None:
        return HEAD_TOO_LONG if len(buf) >= MAX_HEADER_BYTES else HEAD_INCOMPLETE
    return match.end() if match.end() - match.start() == 4 else HEAD_BARE_LF


def split_head(head: bytes) -> tuple[bytes, CIMultiDict[str]]:
    """Start line and header fields of a head, which ends with its blank line.

    Raises HTTPSyntaxError: over MAX_HEADER_BYTES or MAX_HEADERS, no blank line, a name that is no token, a
    space before the colon, a value with a control character, a folded line (RFC 9112 5.1 and 5.2).
    """
    if len(head) > MAX_HEADER_BYTES:
        raise HTTPSyntaxError(f"head of {len(head)} bytes, limit is {MAX_HEADER_BYTES}", is_too_large=True)
    if not head.endswith(b"\r\n\r\n"):
        raise HTTPSyntaxError("head does not end with a blank line")
    start_line, *lines = head[:-4].split(b"\r\n")
    if len(lines) > MAX_HEADERS:
        raise HTTPSyntaxError(f"{len(lines)} header fields, limit is {MAX_HEADERS}", is_too_large=True)
    headers: CIMultiDict[str] = CIMultiDict()
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not _FIELD_NAME.fullmatch(name) or not _FIELD_VALUE.fullmatch(value):
            what = "folded header line" if line[:1] in (b" ", b"\t") else "malformed header line"
            raise HTTPSyntaxError(f"{what}: {line[:60]!r}")
        headers.add(name.decode("ascii"), value.strip(b" \t").decode("ascii", "surrogateescape"))
    return start_line, headers


def list_values(headers: CIMultiDict[str], name: str) -> list[str]:
    """Elements of a comma-separated header, its repetitions joined (RFC 9110 5.3), empty ones left out.

    For lists of tokens: a comma inside a quoted string also splits.
    """
    elements = ",".join(headers.getall(name, [])).split(",")
    return [element.strip(" \t") for element in elements if element.strip(" \t")]


def has_token(headers: CIMultiDict[str], name: str, token: str) -> bool:
    """Whether a header that lists tokens (Connection, Upgrade) has this lower-case one, in any case."""
    return token in (value.lower() for value in list_values(headers, name))


def content_length(headers: CIMultiDict[str]) -> int | None:
    """Content-Length, None if absent. Raises HTTPSyntaxError if it is no number or its values disagree."""
    if "Content-Length" not in headers:
        return None
    values = {value.strip(" \t") for value in ",".join(headers.getall("Content-Length")).split(",")}
    text = values.pop()
    if values or not re.fullmatch(r"[0-9]{1,18}", text):
        raise HTTPSyntaxError("Content-Length must be one decimal number")
    return int(text)


def has_content(headers: CIMultiDict[str]) -> bool:
    """Whether Content-Length announces a body; what is malformed counts as one."""
    try:
        return content_length(headers) not in (None, 0)
    except HTTPSyntaxError:
        return True


# ------------------------------------------------------------------------------------------------ bodies

BodyLength = int | Literal["chunked"] | None


def body_length(status: int, headers: CIMultiDict[str], method: str = "GET") -> BodyLength:
    """How the body of a response to `method` ends: after n bytes, "chunked", or None: at EOF.

    Raises HTTPSyntaxError for a bad Content-Length. Source: RFC 9112 6.3.
    """
    if status < 200 or status in (204, 304) or method == "HEAD":
        return 0
    if "Transfer-Encoding" in headers:
        codings = list_values(headers, "Transfer-Encoding")
        return "chunked" if codings and codings[-1].lower() == "chunked" else None
    return content_length(headers)


class BodyReader:
    """Collects the body of a refusal for the error that reports it; bytes in, no I/O.

    The body is for a person to read, so nothing here raises: broken chunks end it, and it is cut at
    MAX_BODY_BYTES. `is_truncated` says that there was, or should have been, more.
    """

    def __init__(self, length: BodyLength) -> None:
        self._kept = bytearray()
        self._is_chunked = length == "chunked"
        # Bytes that are still to come: of the body, or of the current chunk. None: until the peer hangs up.
        self._left: int | None = 0 if length == "chunked" else length
        self._line = bytearray()  # a chunk-size line that has not come in full
        self._is_in_chunk = False
        self.is_done = length == 0
        self.is_truncated = False

    @property
    def body(self) -> bytes:
        """What has come so far, chunks joined; at most MAX_BODY_BYTES."""
        return bytes(self._kept)

    def feed(self, data: bytes | bytearray | memoryview) -> bool:
        """Take the next bytes. Returns True when the body is complete or as long as it may get."""
        if not self.is_done:
            if self._is_chunked:
                self._feed_chunked(bytes(data))
            else:
                self._keep(bytes(data))
                self.is_done = self.is_done or self._left == 0
        return self.is_done

    def feed_eof(self) -> None:
        """The peer has hung up; that ends the body, as it should or before its time."""
        if not self.is_done and self._left is not None:
            self.is_truncated = True
        self.is_done = True

    def _keep(self, data: bytes) -> None:
        """Keep what belongs to the body or chunk, drop what follows it."""
        size = len(data) if self._left is None else min(self._left, len(data))
        room = MAX_BODY_BYTES - len(self._kept)
        self._kept += data[: min(size, room)]
        if size > room:
            self.is_done = self.is_truncated = True
        if self._left is not None:
            self._left -= size

    def _feed_chunked(self, data: bytes) -> None:
        # By index: with chunks of one byte, copies of the rest would take time that grows with its square.
        at = 0
        while at < len(data) and not self.is_done:
            if self._is_in_chunk and self._left:
                end = min(at + self._left, len(data))
                self._keep(data[at:end])
            else:
                end = data.find(b"\n", at, at + _MAX_CHUNK_LINE) + 1 or min(at + _MAX_CHUNK_LINE, len(data))
                self._read_line(data[at:end])
            at = end

    def _read_line(self, piece: bytes) -> None:
        """Read some of a chunk-size line, or of the empty line behind a chunk."""
        self._line += piece
        if len(self._line) > _MAX_CHUNK_LINE:
            self.is_done = self.is_truncated = True
        elif piece.endswith(b"\n"):
            self._end_line(bytes(self._line))
            self._line.clear()

    def _end_line(self, line: bytes) -> None:
        if self._is_in_chunk:
            self._is_in_chunk = False
            if line != b"\r\n":
                self.is_done = self.is_truncated = True
            return
        match = _CHUNK_SIZE.fullmatch(line.removesuffix(b"\r\n"))
        if match is None:
            self.is_done = self.is_truncated = True
            return
        self._left = int(match[1], 16)
        self._is_in_chunk = True
        self.is_done = self._left == 0  # trailers are not waited for; the connection is closed


# ------------------------------------------------------------------------------------------------ writing


def check_fields(headers: Headers | None) -> list[tuple[str, str]]:
    """The pairs of a mapping or iterable, fit to be sent.

    Raises TypeError where a name or value is no str, ValueError for a name that is no token and for a value
    with CR, LF, NUL, another control character or a character beyond latin-1. Values are not shown: they may
    be secret.
    """
    if headers is None:
        return []
    given: Any = headers  # callers without a type checker pass all kinds of things
    if not isinstance(given, Iterable) or isinstance(given, (str, bytes, bytearray)):
        raise TypeError(f"headers must be a mapping or (name, value) pairs, got {type(given).__name__}")
    fields: list[tuple[str, str]] = []
    for pair in given.items() if isinstance(given, Mapping) else given:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise TypeError(f"a header must be a (name, value) pair, got {type(pair).__name__}")
        name, value = pair
        if not isinstance(name, str) or not isinstance(value, str):
            got = f"({type(name).__name__}, {type(value).__name__})"
            raise TypeError(f"header {name!r}: name and value must be str, got {got}")
        if not TOKEN.fullmatch(name):
            raise ValueError(f"header name {name!r} is not a token (RFC 9110 5.6.2)")
        check_value(name, value)
        fields.append((name, value))
    return fields


def check_value(name: str, value: str) -> None:
    """Raise ValueError if `value` cannot be sent as a header's value."""
    match = _BAD_VALUE.search(value)
    if match is not None:
        raise ValueError(f"header {name!r}: value has {match[0]!r} at position {match.start()}")
    try:
        value.encode("latin-1", "surrogateescape")
    except UnicodeEncodeError as exc:
        bad = value[exc.start]
        raise ValueError(f"header {name!r}: value has {bad!r}, not latin-1; encode it first") from None


def format_head(start_line: str, fields: Iterable[tuple[str, str]]) -> bytes:
    """A head with its blank line. The fields have been through check_fields()."""
    lines = [start_line, *(f"{name}: {value}" for name, value in fields)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "surrogateescape")


def as_status(status: int) -> HTTPStatus | int:
    """The enum's member where there is one, else the number: servers have codes of their own (499, 520)."""
    try:
        return HTTPStatus(status)
    except ValueError:
        return int(status)


def status_line(status: int) -> str:
    """The first line of a response; the reason phrase is empty where the status has no registered one."""
    known = as_status(status)
    return f"HTTP/1.1 {int(status)} {known.phrase if isinstance(known, HTTPStatus) else ''}"
