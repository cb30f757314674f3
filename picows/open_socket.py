"""A connected socket to a WebSocket URL, and what the caller of ws_connect says about how to get it."""

from __future__ import annotations

import asyncio
import inspect
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from picows.dial import dial
from picows.proxy import open_tunnel
from picows.url import WSParsedURL, parse_proxy_url

_DIAL_ARGUMENTS = {"family", "proto", "flags", "local_addr", "happy_eyeballs_delay", "interleave"}
# Arguments of loop.create_connection that other arguments of ws_connect stand for, with the one to use.
_REPLACED = {
    "ssl": "ssl_context",
    "sock": "socket_factory",
    "host": "url",
    "port": "url",
    "all_errors": "nothing: the first error is raised, the others are its notes",
}
# websocket_handshake_timeout and close_timeout stand for the first two; the last was a no-op in picows 2.
_IGNORED = {"ssl_handshake_timeout", "ssl_shutdown_timeout", "zero_copy_unsafe_ssl_write"}


@dataclass(frozen=True, slots=True)
class DialOptions:
    """How to reach the server."""

    ssl_context: ssl.SSLContext | None
    server_hostname: str | None
    proxy: WSParsedURL | None
    proxy_ssl_context: ssl.SSLContext | None
    socket_factory: Callable[..., Any] | None
    max_redirects: int
    dial: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_arguments(
        cls,
        ssl_context: ssl.SSLContext | None,
        proxy: str | None,
        proxy_ssl_context: ssl.SSLContext | None,
        socket_factory: Callable[..., Any] | None,
        max_redirects: int,
        kwargs: dict[str, Any],
    ) -> DialOptions:
        """Check what ws_connect was given. Raises TypeError, ValueError and, for `proxy`, WSInvalidURL."""
        _check_context("ssl_context", ssl_context)
        _check_context("proxy_ssl_context", proxy_ssl_context)
        proxy_url = None if proxy is None else parse_proxy_url(proxy)
        if proxy_ssl_context is not None and proxy_url is not None and not proxy_url.is_secure:
            raise ValueError("proxy_ssl_context: only an https:// proxy is reached through TLS")
        if isinstance(max_redirects, bool) or not isinstance(max_redirects, int) or max_redirects < 0:
            raise ValueError(f"max_redirects: expected a number >= 0, got {max_redirects!r}")
        if socket_factory is not None and not callable(socket_factory):
            raise TypeError(f"socket_factory: expected a callable, got {type(socket_factory).__name__}")
        rest = dict(kwargs)
        server_hostname = rest.pop("server_hostname", None)
        for name in rest:
            if name in _REPLACED:
                raise TypeError(f"ws_connect() takes no argument {name!r}: use {_REPLACED[name]}")
            if name not in _DIAL_ARGUMENTS | _IGNORED:
                raise TypeError(f"ws_connect() got an unexpected keyword argument {name!r}")
        dial = {name: value for name, value in rest.items() if name in _DIAL_ARGUMENTS}
        return cls(
            ssl_context, server_hostname, proxy_url, proxy_ssl_context, socket_factory, max_redirects, dial
        )

    def tls_for(self, url: WSParsedURL) -> ssl.SSLContext | None:
        """The TLS context of a connection to `url`; None for ws://."""
        if not url.is_secure:
            return None
        return self.ssl_context or ssl.create_default_context()


def _check_context(name: str, context: ssl.SSLContext | None) -> None:
    if context is not None and not isinstance(context, ssl.SSLContext):
        raise TypeError(f"{name}: expected an ssl.SSLContext or None, got {context!r}")


async def open_socket(url: WSParsedURL, options: DialOptions) -> socket.socket:
    """A non-blocking socket whose bytes reach the server of `url`; the caller owns it.

    Raises OSError; with a proxy also python_socks.ProxyError and, for https proxies, ssl.SSLError.
    """
    proxy = options.proxy
    if proxy is None:
        return await _reach(url, options)
    try:
        sock = await _reach(proxy, options)
    except OSError as exc:
        exc.add_note(f"while connecting to the proxy {proxy.host}:{proxy.port}")
        raise
    return await open_tunnel(sock, proxy, options.proxy_ssl_context, url.host, url.port)


async def _reach(url: WSParsedURL, options: DialOptions) -> socket.socket:
    """A socket that is connected to the host and port of `url`, a server's or a proxy's."""
    if options.socket_factory is not None:
        made = await _from_factory(options.socket_factory, url)
        if made is not None:
            return made
    return await dial(url.host, url.port, **options.dial)


async def _from_factory(factory: Callable[..., Any], url: WSParsedURL) -> socket.socket | None:
    """What the user's factory makes; an unconnected socket is connected to the URL."""
    made = factory(*_factory_arguments(factory, url))
    if inspect.isawaitable(made):
        made = await made
    if made is None:
        return None
    if not isinstance(made, socket.socket):
        raise TypeError(
            f"socket_factory: expected to return a socket.socket or None, got {type(made).__name__}"
        )
    try:
        made.setblocking(False)
        if not _is_connected(made):
            if made.family not in (socket.AF_INET, socket.AF_INET6):
                raise ValueError(
                    "socket_factory: a socket that is neither IPv4 nor IPv6 must be connected already"
                )
            await _connect(made, url)
    except BaseException:
        made.close()
        raise
    return made


def _factory_arguments(factory: Callable[..., Any], url: WSParsedURL) -> tuple[Any, ...]:
    """(host, port), or (parsed_url) for a factory that requires one argument, as picows 2 passed."""
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):
        return url.host, url.port
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    required = [
        name
        for name, parameter in signature.parameters.items()
        if parameter.kind in places and parameter.default is parameter.empty
    ]
    if len(required) == 1 and required != ["host"]:
        return (url,)
    signature.bind(url.host, url.port)
    return url.host, url.port


def _is_connected(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


async def _connect(sock: socket.socket, url: WSParsedURL) -> None:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(url.host, url.port, family=sock.family, type=socket.SOCK_STREAM)
    if not found:
        raise OSError(f"no address of family {sock.family.name} found for {url.host!r}")
    await loop.sock_connect(sock, found[0][4])
