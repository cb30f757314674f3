"""What both sides of the opening handshake compute alike: the accept key, the offers, and who may ask.

Source: RFC 6455 sections 1.3, 4 and 9.1; for origins RFC 6454 and RFC 6455 10.2.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Collection, Iterable
from urllib.parse import urlsplit

from multidict import CIMultiDict

from picows.http1 import Headers, list_values
from picows.upgrade import WSUpgradeRequest

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 1.3
_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}

_NAME = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_PARAMETER = rf'[ \t]*;[ \t]*{_NAME}(?:[ \t]*=[ \t]*(?:{_NAME}|"{_NAME}"))?'
_PARAMETER_PARTS = re.compile(rf'[ \t]*;[ \t]*({_NAME})(?:[ \t]*=[ \t]*(?:({_NAME})|"({_NAME})"))?')
# One element of Sec-WebSocket-Extensions: a name, and parameters whose values may be quoted (RFC 6455 9.1).
_EXTENSION = re.compile(rf"[ \t]*(?:({_NAME})(?:{_PARAMETER})*[ \t]*)?(?:,|\Z)")


def accept_for(key: str) -> str:
    """Sec-WebSocket-Accept for a Sec-WebSocket-Key (RFC 6455 4.2.2 item 5.4)."""
    digest = hashlib.sha1((key + _GUID).encode("ascii"), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode("ascii")


def offered_subprotocols(headers: Headers) -> list[str]:
    """Subprotocols in Sec-WebSocket-Protocol, in the client's order; names are case-sensitive."""
    return list_values(_as_multidict(headers), "Sec-WebSocket-Protocol")


def offered_extensions(headers: Headers) -> list[str]:
    """Names of the extensions in Sec-WebSocket-Extensions, without their parameters.

    Raises ValueError if the header does not follow RFC 6455 9.1.
    """
    return [name for name, _ in extension_offers(headers)]


def extension_offers(headers: Headers) -> list[tuple[str, list[tuple[str, str | None]]]]:
    """The elements of Sec-WebSocket-Extensions in order: (extension, [(parameter, value or None), ...]).

    Quotes around a value are taken off: what is inside them is a token too (RFC 6455 9.1). Raises ValueError
    if the header is malformed.
    """
    offers: list[tuple[str, list[tuple[str, str | None]]]] = []
    for value in _as_multidict(headers).getall("Sec-WebSocket-Extensions", []):
        position = 0
        while position < len(value):
            match = _EXTENSION.match(value, position)
            if match is None:
                raise ValueError(f"malformed Sec-WebSocket-Extensions: {value!r}")
            if match[1]:
                found = _PARAMETER_PARTS.finditer(value, match.end(1), match.end())
                offers.append((match[1], [(part[1], part[2] or part[3]) for part in found]))
            position = match.end()
    return offers


def _as_multidict(headers: Headers) -> CIMultiDict[str]:
    return headers if isinstance(headers, CIMultiDict) else CIMultiDict(headers)


def find_unoffered(
    answer: CIMultiDict[str], subprotocols: Collection[str], extensions: Collection[str]
) -> tuple[str, str] | None:
    """What a server's answer chooses beyond the client's offer: (header, what was expected), None if nothing.

    An empty Sec-WebSocket-Protocol chooses nothing and passes. Source: RFC 6455 4.1, items 5 and 6.
    """
    chosen = list_values(answer, "Sec-WebSocket-Protocol")
    if len(chosen) > 1 or any(name not in subprotocols for name in chosen):
        return "Sec-WebSocket-Protocol", f"one of the subprotocols offered, {list(subprotocols)}"
    try:
        used = offered_extensions(answer)
    except ValueError:
        return "Sec-WebSocket-Extensions", "a list of extensions (RFC 6455 9.1)"
    if any(name not in extensions for name in used):
        return "Sec-WebSocket-Extensions", f"some of the extensions offered, {list(extensions)}"
    return None


def origin_is_allowed(
    request: WSUpgradeRequest, allowed: Iterable[str], *, allow_missing: bool = True
) -> bool:
    """Whether a request comes from a web page that may use this server. A server's factory calls it.

    A browser lets any page open a WebSocket to any server and sends the user's cookies along, so a server
    that trusts cookies must look at Origin (cross-site WebSocket hijacking, RFC 6455 10.2).

    allowed: "scheme://host" or "scheme://host:port"; scheme, host and port are compared as a whole, a default
        port being the same as none. "null" (a sandboxed page, a file) passes only if it is listed.
    allow_missing: what to say to a client that sends no Origin. All but browsers do so.
    Raises ValueError if an entry of `allowed` is no origin.
    """
    entries = [(entry, _parse_origin(entry)) for entry in allowed]
    for entry, origin in entries:
        if origin is None:
            raise ValueError(f"allowed origin {entry!r}: expected 'scheme://host[:port]' or 'null'")
    values = request.headers.getall("Origin", [])
    if not values:
        return allow_missing
    origin = _parse_origin(values[0]) if len(values) == 1 else None
    return origin is not None and any(origin == permitted for _, permitted in entries)


def _parse_origin(text: str) -> tuple[str, str, int | None] | None:
    """(scheme, host, port) in lower case, None if the text is no serialized origin (RFC 6454 6.2)."""
    if text == "null":
        return "null", "", None
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*://[A-Za-z0-9._~\[\]:-]+", text):
        return None
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host:
        return None
    return parts.scheme, host, _DEFAULT_PORTS.get(parts.scheme) if port is None else port
