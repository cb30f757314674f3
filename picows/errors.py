"""What can go wrong in the WebSocket itself; OSError, ssl.SSLError and TimeoutError are not wrapped.

    WSError
    ├── WSHandshakeError              the HTTP upgrade failed; raised by ws_connect. As such: a redirect that
    │   │                             cannot be followed, a peer that hangs up during the upgrade
    │   ├── WSInvalidMessageError     what came is no HTTP response, or is over the limits
    │   ├── WSInvalidStatusError      a proper response, but its status is not 101
    │   └── WSInvalidHeaderError      a header of the 101 is wrong: Sec-WebSocket-Accept, Content-Length ...
    │       └── WSInvalidUpgradeError the header is Upgrade or Connection
    ├── WSProtocolError               RFC 6455 was broken after the upgrade; raised by wait_disconnected on
    │                                 the client side. A listener raises it to close with a code of its own
    └── WSInvalidURL                  a WebSocket or proxy URL that cannot be used; no socket was opened

All of them survive pickling, as errors cross process boundaries in multiprocessing and test runners.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from picows.upgrade import WSUpgradeResponse

_HOST_AND_PORT = re.compile(r"([^:]*|\[[^]]*\])(:[0-9]*)?")


class WSError(Exception):
    """Base class of every WebSocket-specific failure."""


class WSHandshakeError(WSError):
    """The upgrade from HTTP failed; no WebSocket came to be and `on_ws_connected` was not called.

    raw_header: the response's head as received, or as much of it as there was; None if nothing came.
    raw_body:   what followed it, decoded if chunked, at most 64 KiB; None if nothing came.
    response:   the parsed response, None if it could not be parsed.
    """

    def __init__(
        self,
        description: str,
        raw_header: bytes | None = None,
        raw_body: bytes | None = None,
        response: WSUpgradeResponse | None = None,
    ) -> None:
        super().__init__(description)
        self.raw_header = raw_header
        self.raw_body = raw_body
        self.response = response


class WSInvalidMessageError(WSHandshakeError):
    """The peer's answer is not an HTTP/1.1 response: wrong grammar, too long, or too many headers."""


class WSInvalidStatusError(WSHandshakeError):
    """The server answered with a status other than 101; `response.status` and `raw_body` say why."""


class WSInvalidHeaderError(WSHandshakeError):
    """A header of the server's answer breaks RFC 6455 section 4.1.

    name:  the header's name; value: what came, None if the header is missing.
    """

    def __init__(
        self,
        description: str,
        name: str | None = None,
        value: str | None = None,
        raw_header: bytes | None = None,
        raw_body: bytes | None = None,
        response: WSUpgradeResponse | None = None,
    ) -> None:
        super().__init__(description, raw_header, raw_body, response)
        self.name = name
        self.value = value


class WSInvalidUpgradeError(WSInvalidHeaderError):
    """`Upgrade` does not name websocket, or `Connection` does not name upgrade."""


class WSProtocolError(WSError):
    """RFC 6455 was broken on an open connection, which is closed with this code.

    code:    close code that is sent to the peer (1002, 1007, 1009 ...); also readable as `close_code`.
    message: what was expected and what came; it is the reason in the CLOSE frame and the text of the error.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    @property
    def close_code(self) -> int:
        """The same as `code`."""
        return self.code

    def __str__(self) -> str:
        return str(self.message)


class WSInvalidURL(WSError):
    """A URL that cannot be connected to. Not a ValueError, so that one `except WSError` sees all of the tree.

    url: as it was given. The text of the error leaves out user info and query, which may hold secrets.
    msg: what is wrong with it.
    """

    def __init__(self, url: str, msg: str) -> None:
        super().__init__(url, msg)
        self.url = url
        self.msg = msg

    def __str__(self) -> str:
        return f"invalid URL {without_secrets(str(self.url))!r}: {self.msg}"


def without_secrets(url: str) -> str:
    """The URL as it may be logged: user info becomes `***`, the query `?...`."""
    scheme, slashes, rest = url.partition("//")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in authority:
        rest = "***" + rest[authority.rindex("@") :]
    elif "@" in rest and not _HOST_AND_PORT.fullmatch(authority):
        # "user:pa/ss@host": a stray delimiter in the password is one of the things that make a URL invalid.
        rest = "***" + rest[rest.rindex("@") :]
    path, mark, _ = rest.partition("?")
    return scheme + slashes + path + (mark and "?...")
