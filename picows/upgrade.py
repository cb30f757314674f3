"""Plain values of the opening and closing handshake that listeners and factories read, and write."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from multidict import CIMultiDict

from picows.http1 import Headers, as_status, check_fields, format_head, status_line

if TYPE_CHECKING:
    from picows.listener import WSListener


class WSUpgradeRequest:
    """A client's request for the upgrade.

    method, path, version: bytes as on the wire (b"GET", b"/feed?x=1", b"HTTP/1.1"); the path is not decoded.
    headers: names compare case-insensitively; repeated ones are kept in order (`getall`). Bytes that are not
    ASCII appear as surrogate escapes.
    """

    __slots__ = ("headers", "method", "path", "version")

    method: bytes
    path: bytes
    version: bytes
    headers: CIMultiDict[str]

    def __init__(
        self,
        method: bytes = b"GET",
        path: bytes = b"/",
        version: bytes = b"HTTP/1.1",
        headers: CIMultiDict[str] | None = None,
    ) -> None:
        self.method = method
        self.path = path
        self.version = version
        self.headers = CIMultiDict() if headers is None else headers

    def __repr__(self) -> str:
        return f"<WSUpgradeRequest {self.method!r} {self.path!r}, {len(self.headers)} headers>"


class WSUpgradeResponse:
    """A server's answer. Make one with a create_* method; it may be changed until it is sent.

    version: b"HTTP/1.1"; status: HTTPStatus, or int where HTTPStatus lacks it (499, 520 ...).
    headers: as in WSUpgradeRequest; body: None if there is none, and always for 101.
    """

    __slots__ = ("body", "headers", "status", "version")

    version: bytes
    status: HTTPStatus | int
    headers: CIMultiDict[str]
    body: bytes | None

    def __init__(
        self,
        version: bytes = b"HTTP/1.1",
        status: HTTPStatus | int = HTTPStatus.SWITCHING_PROTOCOLS,
        headers: CIMultiDict[str] | None = None,
        body: bytes | None = None,
    ) -> None:
        self.version = version
        self.status = status
        self.headers = CIMultiDict() if headers is None else headers
        self.body = body

    @staticmethod
    def create_101_response(extra_headers: Headers | None = None) -> WSUpgradeResponse:
        """Accept the upgrade, with headers of your own (Sec-WebSocket-Protocol, Set-Cookie ...).

        Raises TypeError or ValueError for a header that cannot be sent.
        """
        headers = CIMultiDict(check_fields(extra_headers))
        headers.setdefault("Connection", "upgrade")
        headers.setdefault("Upgrade", "websocket")
        return WSUpgradeResponse(headers=headers)

    @staticmethod
    def create_ok_response(
        body: bytes | None = None, extra_headers: Headers | None = None
    ) -> WSUpgradeResponse:
        """Answer 200 instead of upgrading, e.g. to a health check; text/plain unless a header says other."""
        headers = CIMultiDict(check_fields(extra_headers))
        headers.setdefault("Content-Type", "text/plain; charset=utf-8")
        return WSUpgradeResponse(status=HTTPStatus.OK, headers=headers, body=_check_body(body))

    @staticmethod
    def create_error_response(
        status: int | HTTPStatus, body: bytes | None = None, extra_headers: Headers | None = None
    ) -> WSUpgradeResponse:
        """Refuse the upgrade with a status from 400 to 599; ValueError for any other."""
        if not 400 <= status <= 599:
            raise ValueError(f"status of an error response must be from 400 to 599, got {int(status)}")
        headers = CIMultiDict(check_fields(extra_headers))
        return WSUpgradeResponse(status=as_status(status), headers=headers, body=_check_body(body))

    @staticmethod
    def create_redirect_response(
        status: int | HTTPStatus, location: str, extra_headers: Headers | None = None
    ) -> WSUpgradeResponse:
        """Send the client to `location` with a status from 300 to 399; ValueError for any other."""
        if not 300 <= status <= 399:
            raise ValueError(f"status of a redirect must be from 300 to 399, got {int(status)}")
        headers = CIMultiDict(check_fields(extra_headers))
        headers.extend(check_fields([("Location", location)]))
        return WSUpgradeResponse(status=as_status(status), headers=headers)

    def to_bytes(self) -> bytes:
        """The response as it goes on the wire; Content-Type and Content-Length are added if there is a body.

        Raises ValueError for a 101 with a body (it would be read as frames), a body beside Transfer-Encoding,
        or a header that cannot be sent; TypeError where a header is no str or the body no bytes.
        """
        fields = check_fields(self.headers)
        body = _check_body(self.body)
        if body is None:
            return format_head(status_line(self.status), fields)
        if self.status < 200 or self.status in (204, 304):
            raise ValueError(f"a response with status {int(self.status)} has no body")
        names = {name.lower() for name, _ in fields}
        if "transfer-encoding" in names:
            raise ValueError("a body is sent with Content-Length; remove the Transfer-Encoding header")
        fields = [field for field in fields if field[0].lower() != "content-length"]
        if "content-type" not in names:
            fields.append(("Content-Type", "text/plain"))
        fields.append(("Content-Length", str(len(body))))
        return format_head(status_line(self.status), fields) + body

    def __repr__(self) -> str:
        return f"<WSUpgradeResponse {int(self.status)}, {len(self.headers)} headers>"


class WSUpgradeResponseWithListener:
    """What a server's factory returns to choose both the answer and the listener.

    A 101 needs a listener, an error must have none: ValueError. A listener beside another status is never
    called.
    """

    __slots__ = ("listener", "response")

    response: WSUpgradeResponse
    listener: WSListener | None

    def __init__(self, response: WSUpgradeResponse, listener: WSListener | None) -> None:
        if not isinstance(response, WSUpgradeResponse):
            raise TypeError(f"response must be a WSUpgradeResponse, got {type(response).__name__}")
        if response.status == HTTPStatus.SWITCHING_PROTOCOLS and listener is None:
            raise ValueError("a 101 response needs a listener, got None")
        if response.status >= 400 and listener is not None:
            raise ValueError(f"listener must be None beside status {int(response.status)}")
        self.response = response
        self.listener = listener


@dataclass(frozen=True, slots=True)
class WSCloseInfo:
    """A CLOSE frame: its code (WSCloseCode.NO_INFO if the frame was empty) and reason, if any."""

    code: int
    reason: str | None


@dataclass(slots=True)
class WSCloseHandshake:
    """Which CLOSE frames went over a connection, for who asks afterwards why it ended.

    recv, sent: the first CLOSE in each direction, None if there was none.
    recv_then_sent: the peer closed first, and ours was the reply.
    """

    recv: WSCloseInfo | None = None
    sent: WSCloseInfo | None = None
    recv_then_sent: bool = False


def _check_body(body: bytes | None) -> bytes | None:
    if body is not None and not isinstance(body, (bytes, bytearray)):
        raise TypeError(f"body must be bytes or None, got {type(body).__name__}; encode a str first")
    return None if body is None else bytes(body)
