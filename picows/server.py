"""ws_create_server: accept WebSocket connections."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl as ssl_module
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from inspect import signature
from typing import Any

from picows.accept import Acceptor
from picows.deflate_negotiation import PerMessageDeflate
from picows.frame import WSAutoPingStrategy
from picows.listening import listening_sockets
from picows.options import ConnectionOptions, Logger, get_logger
from picows.protocol import Connection
from picows.stream.asyncio import LoopProtocol, LoopStream
from picows.stream.attach import attach_server
from picows.stream.loopio import STREAMS
from picows.transport import WSTransport
from picows.upgrade import WSUpgradeRequest
from picows.upgrading import ServerUpgrade, Upgraded


async def ws_create_server(
    ws_listener_factory: Callable[[WSUpgradeRequest], Any],
    host: str | Sequence[str] | None = None,
    port: int | None = None,
    *,
    disconnect_on_exception: bool = True,
    websocket_handshake_timeout: float | None = 5,
    logger_name: str | Logger | None = None,
    enable_auto_ping: bool = False,
    auto_ping_idle_timeout: float = 20,
    auto_ping_reply_timeout: float = 20,
    auto_ping_strategy: WSAutoPingStrategy = WSAutoPingStrategy.PING_WHEN_IDLE,
    enable_auto_pong: bool = True,
    max_frame_size: int = 10 * 1024 * 1024,
    read_buffer_init_size: int = 16 * 1024,
    use_aiofastnet: bool | None = None,  # noqa: ARG001  accepted for compatibility
    strict: bool = True,
    close_timeout: float = 10,
    auto_cork: bool = False,
    compression: PerMessageDeflate | None = None,
    ssl: ssl_module.SSLContext | None = None,
    path: str | os.PathLike[str] | None = None,
    sock: socket.socket | None = None,
    family: int = socket.AF_UNSPEC,
    flags: int = socket.AI_PASSIVE,
    backlog: int = 100,
    reuse_address: bool | None = None,
    reuse_port: bool | None = None,
    keep_alive: bool | None = None,
    start_serving: bool = True,
    **kwargs: Any,
) -> WSServer:
    """Listen for WebSocket connections.

    ws_listener_factory: called with the WSUpgradeRequest of each client, before its headers are checked.
        Returns a WSListener (the upgrade goes on), a WSUpgradeResponseWithListener (its response is sent: a
        101 with headers of your own, or any other status), or None (404). An exception is logged and answered
        with 500. Look at the Origin header if browsers may connect: `picows.handshake.origin_is_allowed`.
    host, port: as in loop.create_server; port 0 takes a free one: `server.sockets[0].getsockname()`.
    path: an AF_UNIX address instead; sock: a listening or bound socket instead.
    ssl: a server-side SSLContext for wss.
    websocket_handshake_timeout: seconds a client has for TLS and its upgrade request.
    reuse_port: several servers, in threads or processes, share the port (SO_REUSEPORT).
    keep_alive: connections are probed by TCP (SO_KEEPALIVE); auto ping finds a dead peer much sooner.
    compression: PerMessageDeflate(...) accepts permessage-deflate (RFC 7692) where a client offers it.
    The other options: see ws_connect.

    Exceptions of listeners are logged, see the README.
    Raises OSError if the address cannot be bound, TypeError and ValueError for wrong options.
    """
    options = ConnectionOptions(
        logger=get_logger(logger_name, "server"),
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
    if not callable(ws_listener_factory):
        raise TypeError(f"ws_listener_factory: expected a callable, got {type(ws_listener_factory).__name__}")
    if ssl is not None and not isinstance(ssl, ssl_module.SSLContext):
        raise TypeError(f"ssl: expected an ssl.SSLContext or None, got {ssl!r}")
    # One timeout covers them: websocket_handshake_timeout and close_timeout.
    unknown = set(kwargs) - {"ssl_handshake_timeout", "ssl_shutdown_timeout"}
    if unknown:
        raise _no_argument(min(unknown))
    sockets = await listening_sockets(
        host,
        port,
        path=path,
        sock=sock,
        family=family,
        flags=flags,
        reuse_address=reuse_address,
        reuse_port=reuse_port,
        keep_alive=bool(keep_alive),
    )
    server = WSServer(ws_listener_factory, sockets, options, ssl, backlog)
    if start_serving:
        try:
            await server.start_serving()
        except BaseException:
            server.close()
            raise
    return server


def _no_argument(name: str) -> TypeError:
    near = (
        ["ssl"]
        if name == "ssl_context"
        else get_close_matches(name, signature(ws_create_server).parameters, 1)
    )
    hint = f": use {near[0]}" if near else ""
    return TypeError(f"ws_create_server() takes no argument {name!r}{hint}")


class WSServer(asyncio.AbstractServer):
    """What ws_create_server returns; used as an asyncio.Server. `async with` closes it at the end."""

    def __init__(
        self,
        factory: Callable[[WSUpgradeRequest], Any],
        sockets: list[socket.socket],
        options: ConnectionOptions,
        context: ssl_module.SSLContext | None,
        backlog: int,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._factory = factory
        self._options = options
        self._context = context
        self._backlog = backlog
        self._sockets = sockets
        self._acceptors: list[Acceptor] = []
        self._loop_servers: list[asyncio.Server] = []
        self._connections: set[Connection] = set()
        self._is_closed = False
        self._all_gone: asyncio.Future[None] | None = None
        self._serving_forever: asyncio.Future[None] | None = None

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """The listening sockets; empty once closed."""
        return () if self._is_closed else tuple(self._sockets)

    @property
    def connections(self) -> tuple[WSTransport, ...]:
        """The transports of the open connections."""
        return tuple(connection.transport for connection in self._connections if connection.is_open)

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def is_serving(self) -> bool:
        return bool(self._acceptors or self._loop_servers) and not self._is_closed

    async def start_serving(self) -> None:
        """Begin to accept; does nothing if it has begun."""
        if self._is_closed:
            raise RuntimeError("the server is closed")
        if self.is_serving():
            return
        for sock in self._sockets:
            if STREAMS == "loop":
                self._loop_servers.append(await self._serve_on_loop(sock))
            else:
                sock.listen(self._backlog)
                self._acceptors.append(
                    Acceptor(self._loop, sock, self._backlog, self._accepted, self._options.logger)
                )

    async def serve_forever(self) -> None:
        """Accept until cancelled, then close."""
        await self.start_serving()
        self._serving_forever = self._loop.create_future()
        try:
            await self._serving_forever
        finally:
            self._serving_forever = None
            self.close()
            await self.wait_closed()

    def close(self) -> None:
        """Stop listening. Connections that are open stay open: see close_clients and abort_clients."""
        if self._is_closed:
            return
        self._is_closed = True
        for acceptor in self._acceptors:
            acceptor.close()
        for server in self._loop_servers:
            server.close()
        for sock in self._sockets:
            sock.close()
        for connection in [connection for connection in self._connections if not connection.is_open]:
            connection.abort()
        if self._serving_forever is not None and not self._serving_forever.done():
            self._serving_forever.cancel()
        self._check_gone()

    def close_clients(self) -> None:
        """Disconnect every client gracefully; no CLOSE frame is sent for you."""
        for transport in self.connections:
            transport.disconnect()

    def abort_clients(self) -> None:
        """Disconnect every client at once."""
        for connection in list(self._connections):
            connection.abort()

    async def wait_closed(self) -> None:
        """Wait until the server is closed. Its clients' connections are not waited for."""
        if self._is_closed:
            return
        if self._all_gone is None:
            self._all_gone = self._loop.create_future()
        await asyncio.shield(self._all_gone)

    def _check_gone(self) -> None:
        if self._all_gone is not None and not self._all_gone.done():
            self._all_gone.set_result(None)

    def _accepted(self, sock: socket.socket) -> None:
        """A client has connected: its upgrade begins."""
        role = ServerRole(self)
        connection = Connection(self._loop, role, self._options)
        self._connections.add(connection)
        role.start_timeout(connection)
        try:
            attach_server(connection, sock, self._context)
        except BaseException:
            role.lost(connection)
            sock.close()
            raise

    async def _serve_on_loop(self, sock: socket.socket) -> asyncio.Server:
        def make_protocol() -> LoopProtocol:
            role = ServerRole(self)
            connection = Connection(self._loop, role, self._options)
            stream = LoopStream(connection)
            connection.attach(stream, self._context is not None)

            def on_made(_: LoopStream) -> None:
                self._connections.add(connection)
                role.start_timeout(connection)

            return LoopProtocol(stream, on_made)

        return await self._loop.create_server(
            make_protocol,
            sock=sock,
            ssl=self._context,
            backlog=self._backlog,
            ssl_handshake_timeout=self._options.websocket_handshake_timeout if self._context else None,
        )


class ServerRole:
    """What a server's connection does before it is open: waits for the request, answers it."""

    is_client_side = False

    def __init__(self, server: WSServer) -> None:
        self._server = server
        self._upgrade = ServerUpgrade(server._factory, server._options.compression)
        self._timer: asyncio.TimerHandle | None = None

    def start_timeout(self, connection: Connection) -> None:
        seconds = self._server._options.websocket_handshake_timeout
        if seconds is not None:
            self._timer = self._server._loop.call_later(seconds, self._too_late, connection)

    def begin(self) -> bytes:
        return b""

    def feed(self, data: bytes) -> Upgraded | None:
        return self._upgrade.feed(data)

    def opened(self, _transport: WSTransport, _listener: Any) -> None:
        self._stop_timeout()

    def end(self) -> Exception:
        return self._upgrade.end()

    def failed(self, error: BaseException) -> None:
        self._stop_timeout()
        self._server._options.logger.info(
            "a client did not become a WebSocket: %s: %s", type(error).__name__, error
        )

    def lost(self, connection: Connection) -> None:
        self._stop_timeout()
        self._server._connections.discard(connection)

    def _too_late(self, connection: Connection) -> None:
        self._timer = None
        self._server._options.logger.info(
            "a client did not finish its upgrade within %s s",
            self._server._options.websocket_handshake_timeout,
        )
        connection.abort()

    def _stop_timeout(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
