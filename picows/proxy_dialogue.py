"""What is said to a proxy and what it answers, sans I/O: HTTP CONNECT, SOCKS4, SOCKS4a and SOCKS5.

Each dialogue is a generator that yields `Step(bytes to send, how much to read)` and is sent what was read. It
returns when the tunnel stands and raises python_socks.ProxyError when the proxy says no, or nonsense.

The errors are python-socks', the exchange is not: python-socks takes the answer of an HTTP proxy from a
single read, so that the rest of an answer in two segments would be taken for the target's first bytes, and it
cannot be handed a socket that somebody else has made.
"""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Generator
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from python_socks import ProxyError

from picows.errors import WSInvalidMessageError
from picows.handshake import parse_response, response_head_end
from picows.url import WSParsedURL

HEAD = -1  # read up to the blank line that ends an HTTP head


class Step(NamedTuple):
    """Send `data`, then read `size` bytes; HEAD: an HTTP head."""

    data: bytes
    size: int


Dialogue = Generator[Step, bytes, None]

_SOCKS4_REFUSALS = {
    0x5B: "request rejected or failed",
    0x5C: "the proxy cannot reach identd on this machine",
    0x5D: "identd reports another user",
}
# RFC 1928 section 6.
_SOCKS5_REFUSALS = {
    1: "general failure",
    2: "not allowed by its rules",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "TTL expired",
    7: "command not supported",
    8: "address type not supported",
}


def dialogue_with(proxy: WSParsedURL, host: str, port: int) -> Dialogue:
    """The dialogue that makes `proxy` connect to host:port. For socks4, `host` is an IPv4 address."""
    name = unquote_to_bytes(proxy.username) if proxy.username else None
    password = unquote_to_bytes(proxy.password or "")
    if proxy.scheme in ("http", "https"):
        return http_connect(host, port, name, password)
    if proxy.scheme in ("socks4", "socks4a"):
        return socks4_connect(host, port, name)
    return socks5_connect(host, port, name, password)


def http_connect(host: str, port: int, name: bytes | None, password: bytes) -> Dialogue:
    """CONNECT (RFC 9110 9.3.6) with basic authentication; any 2xx opens the tunnel."""
    authority = f"[{host.partition('%')[0]}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
    if name is not None:
        credentials = base64.b64encode(name + b":" + password).decode("ascii")
        lines.append(f"Proxy-Authorization: Basic {credentials}")
    head = yield Step(("\r\n".join(lines) + "\r\n\r\n").encode("ascii"), HEAD)
    try:
        response = parse_response(head)
    except WSInvalidMessageError as exc:
        raise ProxyError(f"the proxy's answer to CONNECT: {exc}") from None
    if not 200 <= response.status <= 299:
        status = int(response.status)
        line = head.partition(b"\r\n")[0].decode("latin-1")
        raise ProxyError(f"the proxy refused CONNECT {authority}: {line}", error_code=status)


def find_http_head(received: bytes) -> int:
    """Index after the head of an HTTP proxy's answer, -1 if more is wanted. Raises ProxyError over 16 KiB."""
    try:
        return response_head_end(received)
    except WSInvalidMessageError as exc:
        raise ProxyError(f"the proxy's answer to CONNECT: {exc}") from None


def socks4_connect(host: str, port: int, name: bytes | None) -> Dialogue:
    """SOCKS4 (protocol note by Y.-D. Lee) to an IPv4 address; SOCKS4a to a name, which the proxy resolves."""
    tail = (name or b"") + b"\0"
    try:
        address = ipaddress.IPv4Address(host).packed
    except ValueError:
        if ":" in host:
            raise ProxyError(f"SOCKS4 cannot connect to the IPv6 address {host}; use socks5") from None
        address = b"\0\0\0\1"
        tail += host.encode("ascii") + b"\0"
    reply = yield Step(b"\x04\x01" + port.to_bytes(2, "big") + address + tail, 8)
    if reply[0] != 0 or not 0x5A <= reply[1] <= 0x5D:
        raise ProxyError(f"expected a SOCKS4 reply, got {reply!r}")
    if reply[1] != 0x5A:
        refusal = _SOCKS4_REFUSALS[reply[1]]
        raise ProxyError(f"the proxy refused {host}:{port}: {refusal}", error_code=reply[1])


def socks5_connect(host: str, port: int, name: bytes | None, password: bytes) -> Dialogue:
    """SOCKS5 (RFC 1928) with user name and password (RFC 1929); names are resolved at the proxy."""
    methods = b"\x00" if name is None else b"\x00\x02"
    version, method = yield Step(b"\x05" + bytes([len(methods)]) + methods, 2)
    if version != 5:
        raise ProxyError(f"expected a SOCKS5 reply, got version {version}")
    if method == 2 and name is not None:
        login = b"\x01" + bytes([len(name)]) + name + bytes([len(password)]) + password
        _, status = yield Step(login, 2)
        if status != 0:
            raise ProxyError(f"the proxy refused user name and password, status {status}", error_code=status)
    elif method != 0:
        wanted = "none of the ways offered to authenticate" if method == 0xFF else f"method {method}"
        hint = "" if name is not None else "; put user:password into the proxy's URL"
        raise ProxyError(f"the proxy accepts {wanted}{hint}", error_code=method)

    version, status, _, kind = yield Step(b"\x05\x01\x00" + _socks5_address(host, port), 4)
    if version != 5:
        raise ProxyError(f"expected a SOCKS5 reply, got version {version}")
    if status != 0:
        refusal = _SOCKS5_REFUSALS.get(status, f"status {status}")
        raise ProxyError(f"the proxy refused {host}:{port}: {refusal}", error_code=status)
    yield from _skip_bound_address(kind)


def _socks5_address(host: str, port: int) -> bytes:
    """Type, address and port of RFC 1928 section 5."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = host.encode("ascii")
        return b"\x03" + bytes([len(name)]) + name + port.to_bytes(2, "big")
    return (b"\x01" if address.version == 4 else b"\x04") + address.packed + port.to_bytes(2, "big")


def _skip_bound_address(kind: int) -> Dialogue:
    """The address that the proxy has bound is of no use; but its bytes are not the target's."""
    if kind == 3:
        (size,) = yield Step(b"", 1)
    elif kind in (1, 4):
        size = 4 if kind == 1 else 16
    else:
        raise ProxyError(f"expected a SOCKS5 address of type 1, 3 or 4, got {kind}")
    yield Step(b"", size + 2)
