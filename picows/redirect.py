"""Where a redirect leads, and what may be taken along. Pure functions; the loop is in client.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urljoin

from picows.errors import WSHandshakeError, WSInvalidStatusError
from picows.upgrade import WSUpgradeResponse
from picows.url import WSParsedURL, parse_url

# RFC 9110 15.4. A handshake is a GET without a body, so all of them mean the same here.
REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})

# What the caller meant for one origin, and its name: a server must not be able to pass them on to another.
_OF_ONE_ORIGIN = {"authorization", "cookie", "host"}
_OF_ONE_ORIGIN_PREFIX = "proxy-"


def is_redirect(response: WSUpgradeResponse) -> bool:
    return response.status in REDIRECT_STATUSES


def redirect_target(url: WSParsedURL, refusal: WSInvalidStatusError) -> WSParsedURL:
    """The URL that a redirect away from `url` names.

    User info of `url` is kept within its origin, unless the target has its own.
    Raises WSInvalidURL if the target is no ws or wss URL, WSHandshakeError if there is none, or more than
    one, or if it would give up TLS.
    """
    assert refusal.response is not None
    locations = refusal.response.headers.getall("Location", [])
    if len(locations) != 1:
        raise redirect_error(f"expected one Location header in a redirect, got {len(locations)}", refusal)
    try:
        location = urljoin(url.url, locations[0])
    except ValueError:  # an IPv6 address without its end: parse_url says it in our terms
        location = locations[0]
    target = parse_url(location)
    if url.is_secure and not target.is_secure:
        where = f"{target.host}:{target.port}"
        raise redirect_error(f"refused to be redirected from wss:// to ws:// at {where}", refusal)
    if is_same_origin(url, target) and target.username is None and url.username is not None:
        return replace(target, username=url.username, password=url.password)
    return target


def is_same_origin(one: WSParsedURL, other: WSParsedURL) -> bool:
    """Scheme, host and port are the same (RFC 6454 section 5)."""
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)


def headers_for_other_origin(headers: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The caller's headers without Authorization, Cookie, Host and Proxy-*."""
    return [
        (name, value)
        for name, value in headers
        if name.lower() not in _OF_ONE_ORIGIN and not name.lower().startswith(_OF_ONE_ORIGIN_PREFIX)
    ]


def redirect_error(what: str, refusal: WSInvalidStatusError) -> WSHandshakeError:
    """A redirect that is not followed: the base class, with the response that asked for it."""
    return WSHandshakeError(what, refusal.raw_header, refusal.raw_body, refusal.response)
