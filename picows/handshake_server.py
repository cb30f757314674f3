"""The server's side of the opening handshake: a request in, an answer out (RFC 6455 4.2). No I/O."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from http import HTTPStatus

from picows.http1 import (
    HEAD_BARE_LF,
    HEAD_TOO_LONG,
    MAX_HEADER_BYTES,
    MAX_HEADERS,
    HTTPSyntaxError,
    check_fields,
    find_head_end,
    format_head,
    has_content,
    has_token,
    split_head,
    status_line,
)
from picows.negotiation import accept_for, find_unoffered, offered_extensions, offered_subprotocols
from picows.upgrade import WSUpgradeRequest, WSUpgradeResponse

_METHOD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VERSION = re.compile(rb"HTTP/[0-9]\.[0-9]")
# A path, or an absolute URI as RFC 6455 4.2.1 item 1 allows; bytes above 7F are not proper, but do no harm.
_TARGET = re.compile(rb"(?:/|[A-Za-z][A-Za-z0-9+.-]*://)[\x21-\x7e\x80-\xff]*")
# Host and port of RFC 9110 7.2: no user info, path or list.
_HOST = re.compile(r"[A-Za-z0-9._~!$&'()*+;=%\[\]:-]+")


class RequestRefused(Exception):
    """A request that gets an HTTP answer instead of a WebSocket; private to the server.

    status: 400, 405, 426, 431 or 505; reason: one sentence for the body; headers: beyond the usual ones.
    """

    def __init__(self, status: int, reason: str, headers: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__(status, reason, list(headers))
        self.status = status
        self.reason = reason
        self.headers = list(headers)

    def __str__(self) -> str:
        return f"{self.status}: {self.reason}"

    def to_bytes(self) -> bytes:
        """The whole answer; close the connection after it."""
        return refusal_bytes(self.status, self.reason, self.headers)


def request_head_end(buf: bytes | bytearray | memoryview, start: int = 0) -> int:
    """Index after the head of the request in `buf`, -1 if more bytes are wanted.

    start: how much of `buf` an earlier call has seen. Empty lines before the request line are skipped (RFC
    9112 2.2). Raises RequestRefused as soon as the bytes can no longer become a head: 400 for a line that
    ends without CR or bytes that are no HTTP (TLS on a plain port), 431 for more than MAX_HEADER_BYTES.
    """
    first = 0
    while buf[first : first + 2] == b"\r\n":
        first += 2
    if len(buf) > first and not _METHOD.match(buf, first) and bytes(buf[first:]) != b"\r":
        raise RequestRefused(400, "This is not an HTTP request.")
    end = find_head_end(buf, max(start, first + 3))  # it steps three bytes back
    if end == HEAD_BARE_LF:
        raise RequestRefused(400, "Lines of a request end with CR LF.")
    if end == HEAD_TOO_LONG:
        raise RequestRefused(431, f"The request's header is limited to {MAX_HEADER_BYTES} bytes.")
    return end


def parse_request(head: bytes | bytearray) -> WSUpgradeRequest:
    """Parse a request's head, blank line included, from its first byte or the empty lines before it.

    Raises RequestRefused: 400 for bad grammar (`__cause__` says what), 405 (with Allow) for a method other
    than GET, 431 over the limits, 505 for a version other than HTTP/1.1. Whether it asks for a WebSocket is
    check_request()'s.
    """
    head = bytes(head)
    while head.startswith(b"\r\n"):
        head = head[2:]
    try:
        line, headers = split_head(head)
    except HTTPSyntaxError as exc:
        if exc.is_too_large:
            raise RequestRefused(431, f"A request has at most {MAX_HEADERS} header lines.") from exc
        raise RequestRefused(400, "The request's header is malformed.") from exc
    parts = line.split(b" ")
    if len(parts) != 3 or not _METHOD.fullmatch(parts[0]) or not _VERSION.fullmatch(parts[2]):
        raise RequestRefused(400, "The request line is malformed.")
    method, target, version = parts
    if version != b"HTTP/1.1":
        raise RequestRefused(505, "This server speaks HTTP/1.1.")
    if method != b"GET":
        raise RequestRefused(405, "A WebSocket is opened with GET.", [("Allow", "GET")])
    if not _TARGET.fullmatch(target):
        raise RequestRefused(400, "The request target is malformed.")
    return WSUpgradeRequest(method, target, version, headers)


def check_request(request: WSUpgradeRequest) -> str:
    """Hold a request against RFC 6455 4.2.1 and return its Sec-WebSocket-Key.

    Raises RequestRefused: 426 with Sec-WebSocket-Version for a version other than 13 or none (4.4), else 400:
    Host or key missing or repeated, a key that is not base64 of 16 bytes, Upgrade or Connection without the
    token, a body, a malformed list of extensions.
    """
    headers = request.headers
    hosts = headers.getall("Host", [])
    if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
        raise RequestRefused(400, "A request has one Host header.")
    if "Transfer-Encoding" in headers or has_content(headers):
        raise RequestRefused(400, "A request for a WebSocket has no body.")
    if not has_token(headers, "Upgrade", "websocket"):
        raise RequestRefused(400, "The Upgrade header does not name websocket.")
    if not has_token(headers, "Connection", "upgrade"):
        raise RequestRefused(400, "The Connection header does not name upgrade.")
    if headers.getall("Sec-WebSocket-Version", []) != ["13"]:
        answer = [("Sec-WebSocket-Version", "13"), ("Upgrade", "websocket")]
        raise RequestRefused(426, "This server speaks version 13 of the WebSocket protocol.", answer)
    keys = headers.getall("Sec-WebSocket-Key", [])
    if len(keys) != 1 or not _is_key(keys[0]):
        raise RequestRefused(400, "A request has one Sec-WebSocket-Key, base64 of 16 bytes.")
    try:
        offered_extensions(headers)
    except ValueError:
        raise RequestRefused(400, "The Sec-WebSocket-Extensions header is malformed.") from None
    return keys[0]


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


def build_101(request_key: str, response: WSUpgradeResponse | None, request: WSUpgradeRequest) -> bytes:
    """The 101 that accepts `request`; `response` is the listener's own, None for a plain one.

    Upgrade, Connection and Sec-WebSocket-Accept are written here. Raises ValueError for a status other than
    101, a body, a header that cannot be sent, a wrong Sec-WebSocket-Accept, and for a subprotocol or
    extension that the client did not offer.
    """
    answer = WSUpgradeResponse.create_101_response() if response is None else response
    if answer.status != HTTPStatus.SWITCHING_PROTOCOLS or answer.body is not None:
        raise ValueError(f"expected a 101 response without body, got {answer!r}")
    if "Transfer-Encoding" in answer.headers or "Content-Length" in answer.headers:
        raise ValueError("a 101 response has no body, hence no Transfer-Encoding or Content-Length")
    accept = accept_for(request_key)
    if answer.headers.getall("Sec-WebSocket-Accept", [accept]) != [accept]:
        raise ValueError("Sec-WebSocket-Accept of the response does not fit the request; leave it out")
    offered = offered_subprotocols(request.headers), offered_extensions(request.headers)
    fault = find_unoffered(answer.headers, *offered)
    if fault is not None:
        raise ValueError(f"{fault[0]} of the response: expected {fault[1]}, got {answer.headers[fault[0]]!r}")
    own = {"upgrade", "connection", "sec-websocket-accept"}
    fields = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept)]
    fields += [field for field in check_fields(answer.headers) if field[0].lower() not in own]
    return format_head(status_line(101), fields)


def build_answer(response: WSUpgradeResponse) -> bytes:
    """A listener's answer that is no upgrade, with `Connection: close`; close the connection after it.

    Raises ValueError or TypeError as WSUpgradeResponse.to_bytes() does, and ValueError for a 1xx.
    """
    if response.status < 200:
        raise ValueError(f"expected a final status, got {int(response.status)}")
    headers = response.headers.copy()
    headers["Connection"] = "close"
    body = response.body
    if body is None and response.status not in (204, 304) and "Transfer-Encoding" not in headers:
        headers["Content-Length"] = "0"
    return WSUpgradeResponse(response.version, response.status, headers, body).to_bytes()


def refusal_bytes(status: int, text: str, headers: Iterable[tuple[str, str]] = ()) -> bytes:
    """An error response with a short text, `Content-Length` and `Connection: close`.

    text must not quote what the peer or an exception said. Where `headers` has an Upgrade (426), Connection
    names it too, as RFC 9110 7.8 demands.
    """
    fields = check_fields(headers)
    body = text.encode("utf-8")
    is_upgrade = any(name.lower() == "upgrade" for name, _ in fields)
    fields += [
        ("Connection", "Upgrade, close" if is_upgrade else "close"),
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(body))),
    ]
    return format_head(status_line(status), fields) + body
