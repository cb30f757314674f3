"""ws_connect: a WebSocket connection from a URL."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from types import WrapperDescriptorType
from typing import TYPE_CHECKING, Any

from picows.deflate_negotiation import PerMessageDeflate, with_offer
from picows.errors import WSHandshakeError, WSInvalidStatusError, without_secrets
from picows.frame import WSAutoPingStrategy
from picows.handshake import (
    build_request,
    check_headers,
    make_key,
    offered_extensions,
    offered_subprotocols,
    parse_request,
)
from picows.http1 import Headers
from picows.open_socket import DialOptions, open_socket
from picows.options import ConnectionOptions, Logger, get_logger
from picows.protocol import Connection
from picows.redirect import (
    headers_for_other_origin,
    is_redirect,
    is_same_origin,
    redirect_error,
    redirect_target,
)
from picows.stream.attach import attach_client
from picows.upgrade import WSUpgradeRequest, WSUpgradeResponse
from picows.upgrading import ClientUpgrade, Upgraded
from picows.url import WSParsedURL, parse_url

if TYPE_CHECKING:
    from picows.listener import WSListener
    from picows.transport import WSTransport

ListenerFactory = Callable[..., Any]


async def ws_connect(
    ws_listener_factory: ListenerFactory,
    url: str,
    *,
    ssl_context: ssl.SSLContext | None = None,
    disconnect_on_exception: bool = True,
    websocket_handshake_timeout: float | None = 5,
    logger_name: str | Logger | None = None,
    enable_auto_ping: bool = False,
    auto_ping_idle_timeout: float = 10,
    auto_ping_reply_timeout: float = 10,
    auto_ping_strategy: WSAutoPingStrategy = WSAutoPingStrategy.PING_WHEN_IDLE,
    enable_auto_pong: bool = True,
    max_frame_size: int = 10 * 1024 * 1024,
    extra_headers: Headers | None = None,
    max_redirects: int = 5,
    proxy: str | None = None,
    proxy_ssl_context: ssl.SSLContext | None = None,
    read_buffer_init_size: int = 16 * 1024,
    socket_factory: Callable[..., Any] | None = None,
    use_aiofastnet: bool | None = None,  # noqa: ARG001  accepted for compatibility
    strict: bool = True,
    close_timeout: float = 10,
    auto_cork: bool = False,
    compression: PerMessageDeflate | None = None,
    **kwargs: Any,
) -> tuple[WSTransport, WSListener]:
    """Connect to a WebSocket server.

    ws_listener_factory: a WSListener subclass, or a callable that makes a listener from (request, response)
        or from nothing; called once the server has accepted the upgrade.
    url: ws:// or wss://; user info in it is sent as basic authentication.
    ssl_context: for wss; default: ssl.create_default_context(). `server_hostname=` overrides the name that it
        verifies.
    disconnect_on_exception: close when on_ws_frame raises; False: log and go on.
    websocket_handshake_timeout: seconds for everything up to the upgrade: name resolution, connection, proxy,
        TLS, HTTP and redirects. None: no limit.
    logger_name: None: "picows.client"; a str: "picows.<name>"; or a logger.
    enable_auto_ping, auto_ping_idle_timeout, auto_ping_reply_timeout, auto_ping_strategy: dead-peer
        detection. After `idle` seconds without data (or every `idle` seconds) a ping is sent; without a pong
        within `reply` seconds the connection is closed.
    enable_auto_pong: answer PINGs; such PINGs are not delivered.
    max_frame_size: longest payload accepted, in bytes; a longer frame closes the connection with 1009.
    extra_headers: mapping or (name, value) pairs; Host replaces the URL's.
    max_redirects: how many redirects (301, 302, 303, 307, 308) are followed; 0: none, the redirect is raised
        as WSInvalidStatusError. Never from wss to ws; another origin (scheme, host, port) does not get the
        headers Authorization, Cookie, Host and Proxy-*, nor the URL's user info.
    proxy: http, https, socks4, socks4a, socks5 or socks5h URL, with credentials if need be.
    proxy_ssl_context: for an https proxy; default: ssl.create_default_context().
    read_buffer_init_size: bytes asked of the kernel at once, at first: 2 KiB to 2 MiB; grows under load.
    socket_factory: `(host, port)` or `(parsed_url)` -> socket, or None for the usual way; plain or async. An
        unconnected socket is connected to the URL's host and port. AF_UNIX sockets must be connected.
    use_aiofastnet: accepted and ignored, so that code written for picows 2 runs.
    strict: False delivers RSV bits, odd fragment order and unvalidated text as they come.
    close_timeout: seconds after which a graceful disconnect gives up on a peer that does not read.
    auto_cork: what callbacks send while the frames of one read are handled leaves together when the last
        one has returned: fewer system calls for a server of many small requests, a later first reply.
    compression: PerMessageDeflate(...) offers permessage-deflate (RFC 7692); None: no compression.
    kwargs: family, proto, flags, local_addr, happy_eyeballs_delay, interleave, server_hostname, as in
        loop.create_connection.

    Returns (transport, listener); `await transport.wait_disconnected()` is where errors surface.
    Raises before any socket is opened: WSInvalidURL, TypeError, ValueError. Then: OSError and its subclasses,
    ssl.SSLError, asyncio.TimeoutError, python_socks.ProxyError, WSHandshakeError and its subclasses, and
    whatever the factory raises.
    """
    options = ConnectionOptions(
        logger=get_logger(logger_name, "client"),
        disconnect_on_exception=disconnect_on_exception,
        websocket_handshake_timeout=websocket_handshake_timeout,
        enable_auto_ping=enable_auto_ping,
        auto_ping_idle_timeout=auto_ping_idle_timeout,
        auto_ping_reply_timeout=auto_ping_reply_timeout,
        auto_ping_strategy=auto_ping_strategy,
        enable_auto_pong=enable_auto_pong,
        max_frame_size=max_frame_size,
        read_buffer_init_size=read_buffer_init_size,
        close_timeout=close_timeout,
        strict=strict,
        auto_cork=auto_cork,
        compression=compression,
    )
    target = parse_url(url)
    headers = with_offer(check_headers(extra_headers), compression)
    dialing = DialOptions.from_arguments(
        ssl_context, proxy, proxy_ssl_context, socket_factory, max_redirects, kwargs
    )
    if not callable(ws_listener_factory):
        raise TypeError(f"ws_listener_factory: expected a callable, got {type(ws_listener_factory).__name__}")
    return await _connect_in_time(ws_listener_factory, target, headers, options, dialing)


async def _connect_in_time(
    factory: ListenerFactory,
    url: WSParsedURL,
    headers: list[tuple[str, str]],
    options: ConnectionOptions,
    dialing: DialOptions,
) -> tuple[WSTransport, WSListener]:
    """One timeout over all of it. A refusal whose body does not end in time is told as what it is."""
    attempts: list[ClientRole] = []
    limit_s = options.websocket_handshake_timeout
    try:
        async with asyncio.timeout(limit_s) as limit:
            return await _connect_following(factory, url, headers, options, dialing, attempts)
    except TimeoutError:
        if attempts and attempts[-1].upgrade.is_refused:
            raise attempts[-1].upgrade.refusal() from None
        if not limit.expired():
            raise  # the system's: ETIMEDOUT
        what = "was not upgraded" if attempts else "was not connected"
        raise TimeoutError(f"{without_secrets(url.url)} {what} within {limit_s} s") from None


async def _connect_following(
    factory: ListenerFactory,
    url: WSParsedURL,
    headers: list[tuple[str, str]],
    options: ConnectionOptions,
    dialing: DialOptions,
    attempts: list[ClientRole],
) -> tuple[WSTransport, WSListener]:
    """Go where redirects lead, `max_redirects` times at most; another origin gets no credentials."""
    for left in range(dialing.max_redirects, -1, -1):
        try:
            return await _connect(factory, url, headers, options, dialing, attempts)
        except WSInvalidStatusError as exc:
            refusal = exc
        if dialing.max_redirects == 0 or refusal.response is None or not is_redirect(refusal.response):
            raise refusal
        if left == 0:
            raise redirect_error(f"more than {dialing.max_redirects} redirects", refusal)
        target = redirect_target(url, refusal)
        options.logger.info("redirected with %d to %s", refusal.response.status, without_secrets(target.url))
        if not is_same_origin(url, target):
            headers = headers_for_other_origin(headers)
            dialing = replace(dialing, server_hostname=None)
        url = target
    raise AssertionError("the last round returns or raises")


async def _connect(
    factory: ListenerFactory,
    url: WSParsedURL,
    headers: list[tuple[str, str]],
    options: ConnectionOptions,
    dialing: DialOptions,
    attempts: list[ClientRole],
) -> tuple[WSTransport, WSListener]:
    """One attempt at one URL. Whatever ends it early leaves no socket behind."""
    sock = await open_socket(url, dialing)
    role = ClientRole(factory, url, headers, dialing.max_redirects > 0, options.compression)
    attempts.append(role)
    connection = Connection(asyncio.get_running_loop(), role, options)
    try:
        await attach_client(connection, sock, dialing.tls_for(url), dialing.server_hostname or url.host)
        return await role.opened_future
    except BaseException:
        # Also where the upgrade is done and the caller is cancelled before it has got the connection.
        if not role.opened_future.cancel() and not role.opened_future.cancelled():
            role.opened_future.exception()  # seen: or the loop complains that nobody has asked for it
        connection.abort()
        raise


class ClientRole:
    """What a client's connection does before it is open: asks for the upgrade, judges the answer."""

    is_client_side = True

    def __init__(
        self,
        factory: ListenerFactory,
        url: WSParsedURL,
        headers: Sequence[tuple[str, str]],
        follows_redirects: bool,
        compression: PerMessageDeflate | None = None,
    ) -> None:
        key = make_key()
        self._is_secure = url.is_secure
        self._request = build_request(url, key, headers)
        self.upgrade = ClientUpgrade(
            parse_request(self._request),
            key,
            offered_subprotocols(headers),
            offered_extensions(headers),
            partial(_make_listener, factory),  # not a bound method: no cycle to wait for the collector
            follows_redirects,
            compression,
        )
        self.opened_future: asyncio.Future[tuple[WSTransport, WSListener]] = (
            asyncio.get_running_loop().create_future()
        )

    def begin(self) -> bytes:
        return self._request

    def feed(self, data: bytes) -> Upgraded | None:
        return self.upgrade.feed(data)

    def opened(self, transport: WSTransport, listener: WSListener) -> None:
        if not self.opened_future.done():
            self.opened_future.set_result((transport, listener))

    def end(self) -> WSHandshakeError:
        error = self.upgrade.end()
        if self._is_secure or error.raw_header is not None:
            return error
        # What a server that expects TLS does with a request in the clear.
        return WSHandshakeError(f"{error}; one that expects TLS is reached by wss://")

    def failed(self, error: BaseException) -> None:
        if not self.opened_future.done():
            self.opened_future.set_exception(error)

    def lost(self, connection: Connection) -> None:
        """Nothing to keep account of."""


def _make_listener(
    factory: ListenerFactory, request: WSUpgradeRequest, response: WSUpgradeResponse
) -> WSListener:
    """f(request, response), or f() if it takes no arguments. A TypeError from inside is raised."""
    from picows.listener import WSListener

    listener = _call_factory(factory, request, response)
    if not isinstance(listener, WSListener):
        raise TypeError(
            f"ws_listener_factory: expected to return a WSListener, got {type(listener).__name__}"
        )
    return listener


def _call_factory(factory: ListenerFactory, request: WSUpgradeRequest, response: WSUpgradeResponse) -> Any:
    try:
        return factory(request, response)
    except TypeError as error:
        if _is_from_inside(error, factory):
            raise
    try:
        return factory()
    except TypeError as error:
        if _is_from_inside(error, factory):
            raise
        raise TypeError(
            f"ws_listener_factory: expected to be called as f() or f(request, response): {error}"
        ) from error


def _is_from_inside(error: TypeError, factory: ListenerFactory) -> bool:
    """Raised by code inside the factory, not by the call itself."""
    is_deeper = error.__traceback__ is not None and error.__traceback__.tb_next is not None
    return is_deeper and not _is_made_in_c(factory)


def _is_made_in_c(factory: ListenerFactory) -> bool:
    """Whether it is a class whose __init__ is Cython's: that refuses arguments from a frame of its own."""
    return isinstance(factory, type) and isinstance(factory.__init__, WrapperDescriptorType)  # type: ignore[misc]
