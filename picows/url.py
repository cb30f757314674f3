"""WebSocket URLs (RFC 6455 section 3): text in, parts that can go on the wire out."""

from __future__ import annotations

import base64
import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, unquote_to_bytes, urlsplit

from picows.errors import WSInvalidURL, without_secrets

DEFAULT_PORTS = {"ws": 80, "wss": 443}
# 1080 is IANA's for SOCKS; the other two are those of HTTP, as for any other HTTP server.
PROXY_PORTS = {"http": 80, "https": 443, "socks4": 1080, "socks4a": 1080, "socks5": 1080, "socks5h": 1080}

# What a request line cannot carry is quoted: the space and all that is not ASCII. All else, "%" included,
# stays as the caller wrote it, because a server may compare the path byte by byte.
_QUOTE_SAFE = "".join(chr(c) for c in range(0x21, 0x7F))
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HOST_AND_PORT = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::(.*))?", re.DOTALL)
# Letters, digits and hyphens by RFC 1123, and the underscore that container networks use.
_HOST_LABEL = re.compile(r"[A-Za-z0-9_-]{1,63}")
_ZONE = re.compile(r"[A-Za-z0-9._~-]+")  # RFC 6874


@dataclass(frozen=True, repr=False)
class WSParsedURL:
    """The parts of a WebSocket URL, or of a proxy's.

    url:      as it was given.
    scheme:   "ws" or "wss"; a proxy's is one of PROXY_PORTS. is_secure is True for wss and https.
    netloc:   user info, host and port as written.
    host:     lower case, IDNA-encoded; an IPv6 address without brackets ("fe80::1%eth0" with its zone).
    port:     1..65535; the scheme's own where none is given.
    path:     percent-encoded ASCII, "" or starting with "/"; query: likewise, without the "?".
    username, password: as written (percent-encoded), None if absent.
    """

    url: str
    scheme: str
    is_secure: bool
    netloc: str
    host: str
    port: int
    path: str
    query: str
    username: str | None = None
    password: str | None = None

    @property
    def resource_name(self) -> str:
        """Path and query as the request line carries them (RFC 6455 section 3)."""
        return (self.path or "/") + (f"?{self.query}" if self.query else "")

    @property
    def user_info(self) -> tuple[str, str] | None:
        """(username, password) as written, None unless both are there."""
        if self.username is None or self.password is None:
            return None
        return self.username, self.password

    def __repr__(self) -> str:
        return f"WSParsedURL({without_secrets(self.url)!r})"


def parse_url(url: str) -> WSParsedURL:
    """Take a ws:// or wss:// URL apart.

    Raises WSInvalidURL for: another scheme, a fragment (RFC 6455 section 3), a missing or malformed host, a
    port outside 1..65535, control characters, white space around the URL or in its host. TypeError if `url`
    is not a str.
    """
    return _parse(url, DEFAULT_PORTS, "url")


def parse_proxy_url(url: str) -> WSParsedURL:
    """Take a proxy's URL apart: http, https, socks4, socks4a, socks5 or socks5h, host, port, user info.

    Raises WSInvalidURL as parse_url() does, and for a path, a query, or user info that the scheme cannot
    carry: SOCKS5 name and password have at most 255 bytes each (RFC 1929), SOCKS4 has a name only, which ends
    at a NUL. TypeError if `url` is not a str.
    """
    parsed = _parse(url, PROXY_PORTS, "proxy")
    if parsed.path not in ("", "/") or parsed.query:
        raise WSInvalidURL(url, "a proxy's URL ends after host and port")
    name, password = unquote_to_bytes(parsed.username or ""), unquote_to_bytes(parsed.password or "")
    if parsed.password and not parsed.username:
        raise WSInvalidURL(url, "a password without a user name")
    if parsed.scheme.startswith("socks5") and max(len(name), len(password)) > 255:
        raise WSInvalidURL(url, "SOCKS5 user name and password have at most 255 bytes each (RFC 1929)")
    if parsed.scheme.startswith("socks4") and b"\0" in name:
        raise WSInvalidURL(url, "a SOCKS4 user name has no NUL byte")
    return parsed


def _parse(url: str, default_ports: dict[str, int], argument: str) -> WSParsedURL:
    if not isinstance(url, str):
        raise TypeError(f"{argument} must be a str, got {type(url).__name__}")
    # urlsplit() drops tabs, newlines and what surrounds the URL; nothing is dropped here without a word.
    if _CONTROL.search(url):
        raise WSInvalidURL(url, "control characters are not allowed; percent-encode them")
    if url != url.strip():
        raise WSInvalidURL(url, "white space before or after it")
    try:
        url.encode()
        parts = urlsplit(url)
        username, password = parts.username, parts.password
    except UnicodeEncodeError:
        raise WSInvalidURL(url, "it contains a lone surrogate, which has no UTF-8 form") from None
    except ValueError:  # urlsplit()'s own text may quote the password
        raise WSInvalidURL(url, "unmatched brackets, or characters that Unicode makes delimiters") from None

    if parts.scheme not in default_ports:
        *first, last = default_ports
        raise WSInvalidURL(url, f"scheme must be {', '.join(first)} or {last}, got {parts.scheme!r}")
    if "#" in url:
        raise WSInvalidURL(url, "a WebSocket or proxy URL has no fragment; write '#' as %23")
    host_and_port = _HOST_AND_PORT.fullmatch(parts.netloc.rpartition("@")[2])
    if host_and_port is None:
        raise WSInvalidURL(url, "expected host or host:port after '//', an IPv6 address in brackets")
    host, port = host_and_port.groups()
    if not host:
        raise WSInvalidURL(url, "it names no host")
    if username is not None and ":" in unquote(username) and not parts.scheme.startswith("socks"):
        raise WSInvalidURL(url, "a user name with ':' cannot be sent by basic authentication (RFC 7617)")
    return WSParsedURL(
        url=url,
        scheme=parts.scheme,
        is_secure=parts.scheme in ("wss", "https"),
        netloc=parts.netloc,
        host=_check_ipv6(url, host[1:-1]) if host.startswith("[") else _check_host(url, host),
        port=_check_port(url, port) if port else default_ports[parts.scheme],
        path=quote(parts.path, safe=_QUOTE_SAFE),
        query=quote(parts.query, safe=_QUOTE_SAFE),
        username=username,
        password=password,
    )


def _check_port(url: str, text: str) -> int:
    """The port as a number; digits only, because int() would take "+80", "8_0" and other scripts' digits."""
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise WSInvalidURL(url, f"port must be a number from 1 to 65535, got {text!r}")
    return int(text)


def _check_host(url: str, host: str) -> str:
    """A host name or IPv4 address as the resolver and the Host header want it."""
    try:
        name = host.lower() if host.isascii() else host.encode("idna").decode("ascii").lower()
    except UnicodeError as exc:
        raise WSInvalidURL(url, f"host {host!r} has no IDNA form: {exc}") from None
    # Empty and overlong labels make socket.getaddrinfo() raise UnicodeError, which nobody expects there.
    labels = name.removesuffix(".").split(".")
    if len(name) > 253 or not all(_HOST_LABEL.fullmatch(label) for label in labels):
        raise WSInvalidURL(url, f"host {host!r} is neither a host name nor an address")
    return name


def _check_ipv6(url: str, literal: str) -> str:
    """An IPv6 address; "%25" before a zone (RFC 6874) becomes the "%" that the resolver wants."""
    address, percent, zone = literal.partition("%")
    zone = zone.removeprefix("25")
    try:
        ipaddress.IPv6Address(address)
    except ValueError:
        raise WSInvalidURL(url, f"[{literal}] is no IPv6 address") from None
    if not percent:
        return address.lower()
    name = f"{address.lower()}%{zone}"  # an interface's name keeps its case
    if not _ZONE.fullmatch(zone) or not _is_resolvable(name):
        raise WSInvalidURL(url, f"[{literal}] has a malformed zone; write %25 and the interface's name")
    return name


def _is_resolvable(name: str) -> bool:
    """Whether socket.getaddrinfo() takes it; it raises UnicodeError for more than 63 bytes without a dot."""
    try:
        return bool(name.encode("idna"))
    except UnicodeError:
        return False


def host_header(url: WSParsedURL) -> str:
    """Value of the Host header: no user info, no default port, IPv6 in brackets and without its zone.

    Source: RFC 6455 4.1 item 4, RFC 9110 7.2; RFC 6874 section 4 keeps the zone on this machine.
    """
    host = f"[{url.host.partition('%')[0]}]" if ":" in url.host else url.host
    return host if url.port == DEFAULT_PORTS[url.scheme] else f"{host}:{url.port}"


def basic_auth(url: WSParsedURL) -> str | None:
    """Value of the Authorization header for the URL's user info (RFC 7617), None without user info."""
    if url.username is None:
        return None
    credentials = unquote_to_bytes(url.username) + b":" + unquote_to_bytes(url.password or "")
    return "Basic " + base64.b64encode(credentials).decode("ascii")
