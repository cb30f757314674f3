"""The client's side of the opening handshake: a request out, a response in (RFC 6455 4.1). No I/O."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Sequence
from http import HTTPStatus

from picows.errors import (
    WSInvalidHeaderError,
    WSInvalidMessageError,
    WSInvalidStatusError,
    WSInvalidUpgradeError,
)
from picows.http1 import (
    HEAD_BARE_LF,
    HEAD_INCOMPLETE,
    MAX_HEADER_BYTES,
    BodyLength,
    Headers,
    HTTPSyntaxError,
    as_status,
    body_length,
    check_fields,
    find_head_end,
    format_head,
    has_content,
    has_token,
    split_head,
)
from picows.negotiation import accept_for, find_unoffered, offered_extensions
from picows.upgrade import WSUpgradeResponse
from picows.url import WSParsedURL, basic_auth, host_header

# Written by build_request(); a second one would make the request ambiguous. The last two announce a body.
_OWN_REQUEST_HEADERS = {
    "upgrade",
    "connection",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-accept",
    "content-length",
    "transfer-encoding",
}

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?")
_PATH = re.compile(r"/[\x21-\x7e]*")
_HOST = re.compile(r"[\x21-\x7e]+")


def check_headers(extra_headers: Headers | None) -> list[tuple[str, str]]:
    """The caller's headers as pairs fit for build_request(); to be called before any socket is opened.

    Raises TypeError where a name or value is no str. ValueError: a name that is no token, a value that cannot
    be sent (CR, LF, NUL ...), a header that the handshake writes itself, a second Host or Authorization, an
    empty Host, malformed Sec-WebSocket-Extensions.
    """
    fields = check_fields(extra_headers)
    names = [name.lower() for name, _ in fields]
    for name, value in fields:
        if name.lower() in _OWN_REQUEST_HEADERS:
            raise ValueError(f"header {name!r} is written by the handshake itself; leave it out")
        if name.lower() == "host" and not _HOST.fullmatch(value):
            raise ValueError(f"header 'Host': expected a host name, got {value!r}")
    for name in ("host", "authorization"):
        if names.count(name) > 1:
            raise ValueError(f"header {name!r} may be given once, got {names.count(name)}")
    offered_extensions(fields)
    return fields


def make_key() -> str:
    """A fresh Sec-WebSocket-Key: 16 bytes from the system's generator, base64 (RFC 6455 4.1 item 7)."""
    return base64.b64encode(secrets.token_bytes(16)).decode("ascii")


def build_request(url: WSParsedURL, key: str, extra_headers: Sequence[tuple[str, str]]) -> bytes:
    """The request for the upgrade (RFC 6455 4.1).

    extra_headers: from check_headers(). A Host among them replaces the URL's, an Authorization the one that
    the URL's user info makes. Raises ValueError if the URL was not made by parse_url() and cannot be sent.
    """
    if not _PATH.fullmatch(url.resource_name):
        raise ValueError("the URL's path and query must be printable ASCII; make the URL with parse_url()")
    given = {name.lower(): value for name, value in extra_headers}
    fields = [
        ("Host", given.get("host", host_header(url))),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", key),
        ("Sec-WebSocket-Version", "13"),
    ]
    authorization = basic_auth(url)
    if authorization is not None and "authorization" not in given:
        fields.append(("Authorization", authorization))
    fields += [field for field in extra_headers if field[0].lower() != "host"]
    return format_head(f"GET {url.resource_name} HTTP/1.1", check_fields(fields))


def response_head_end(buf: bytes | bytearray | memoryview, start: int = 0) -> int:
    """Index after the head of the response in `buf`, -1 if more bytes are wanted.

    start: how much of `buf` an earlier call has seen. Raises WSInvalidMessageError as soon as the bytes can
    no longer become a head of at most MAX_HEADER_BYTES.
    """
    if not b"HTTP/1.".startswith(bytes(buf[:7])):
        message = f"expected an HTTP/1.1 response, got {bytes(buf[:32])!r}"
        raise WSInvalidMessageError(message, bytes(buf[:MAX_HEADER_BYTES]))
    end = find_head_end(buf, start)
    if end >= HEAD_INCOMPLETE:
        return end
    what = "a line ends without CR" if end == HEAD_BARE_LF else f"its head exceeds {MAX_HEADER_BYTES} bytes"
    raise WSInvalidMessageError(f"malformed HTTP response: {what}", bytes(buf[:MAX_HEADER_BYTES]))


def parse_response(head: bytes | bytearray) -> WSUpgradeResponse:
    """Parse a response's head, blank line included. The reason phrase may be anything, or missing.

    Raises WSInvalidMessageError with `raw_header`: bad grammar, over the limits, or a 101 from HTTP/1.0,
    which has no upgrades (RFC 9110 7.8).
    """
    head = bytes(head)
    try:
        line, headers = split_head(head)
    except HTTPSyntaxError as exc:
        raise WSInvalidMessageError(f"malformed HTTP response: {exc}", head) from None
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        raise WSInvalidMessageError(f"expected an HTTP/1.1 status line, got {line[:100]!r}", head)
    status = as_status(int(match[2]))
    if match[1] == b"0" and status == HTTPStatus.SWITCHING_PROTOCOLS:
        raise WSInvalidMessageError("101 Switching Protocols in an HTTP/1.0 response", head)
    return WSUpgradeResponse(line[:8], status, headers)


def is_interim(response: WSUpgradeResponse) -> bool:
    """Whether another response follows this one (100, 102, 103 ...; RFC 9110 15.2): skip it and read on."""
    return 100 <= response.status < 200 and response.status != HTTPStatus.SWITCHING_PROTOCOLS


def check_response(
    response: WSUpgradeResponse,
    key: str,
    offered_subprotocols: Sequence[str],
    offered_extensions: Sequence[str],
    raw_header: bytes,
) -> None:
    """Hold a response against RFC 6455 4.1 (what the client must check, items 1 to 6).

    offered_*: what the request offered, from the functions of these names; of an extension the name counts.
    Raises WSInvalidStatusError, WSInvalidUpgradeError or WSInvalidHeaderError, with response and raw_header.
    """
    headers, status = response.headers, response.status
    if status != HTTPStatus.SWITCHING_PROTOCOLS:
        got = f"{int(status)} {status.phrase}" if isinstance(status, HTTPStatus) else f"{status}"
        message = f"expected status 101 Switching Protocols, got {got}"
        raise WSInvalidStatusError(message, raw_header, response=response)
    fault = find_unoffered(headers, offered_subprotocols, offered_extensions)
    error = WSInvalidHeaderError
    if not has_token(headers, "Upgrade", "websocket"):
        fault, error = ("Upgrade", "'websocket'"), WSInvalidUpgradeError
    elif not has_token(headers, "Connection", "upgrade"):
        fault, error = ("Connection", "'upgrade'"), WSInvalidUpgradeError
    elif headers.getall("Sec-WebSocket-Accept", []) != [accept_for(key)]:
        fault = ("Sec-WebSocket-Accept", f"{accept_for(key)!r}, once")
    elif "Transfer-Encoding" in headers:  # a body would be read as frames
        fault = ("Transfer-Encoding", "none in a 101")
    elif has_content(headers):
        fault = ("Content-Length", "none in a 101")
    if fault is None:
        return
    name, expected = fault
    value = ", ".join(headers.getall(name)) if name in headers else None
    message = f"header {name}: expected {expected}, got {'none' if value is None else repr(value)}"
    raise error(message, name, value, raw_header, response=response)


def response_body_length(response: WSUpgradeResponse, method: str = "GET") -> BodyLength:
    """How the body of a refusal ends, for BodyReader: a number of bytes, "chunked", or None: at EOF.

    Raises WSInvalidHeaderError if Content-Length is no number or its values disagree.
    """
    try:
        return body_length(response.status, response.headers, method)
    except HTTPSyntaxError as exc:
        value = ", ".join(response.headers.getall("Content-Length"))
        raise WSInvalidHeaderError(str(exc), "Content-Length", value, response=response) from None
