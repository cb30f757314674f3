"""Put a connected socket under a connection, as the kind of stream that this platform offers."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any

from picows.stream.asyncio import LoopProtocol, LoopStream
from picows.stream.loopio import STREAMS
from picows.stream.memorybio import MemoryTlsStream
from picows.stream.openssl import DirectTlsStream, about_to_wrap, find_ssl
from picows.stream.tcp import TcpStream
from picows.stream.tls import TLS, TlsStream


def tune_socket(sock: socket.socket) -> None:
    """TCP_NODELAY, and TCP_QUICKACK where there is one: latency over throughput. Nothing on AF_UNIX."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_QUICKACK"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
    except OSError:
        pass  # the peer is gone already: reading says so


def secure(
    connection: Any, sock: socket.socket, context: ssl.SSLContext, server_hostname: str | None
) -> TlsStream:
    """TLS over `sock`, which the stream owns from here on, whatever comes.

    server_hostname: the name to verify, for a client; None for a server.
    """
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        about_to_wrap()
        tls = context.wrap_bio(
            incoming, outgoing, server_side=server_hostname is None, server_hostname=server_hostname
        )
        handle = find_ssl(tls) if TLS != "memorybio" else None
    except BaseException:
        sock.close()
        raise
    if handle is not None:
        return DirectTlsStream(connection, sock, handle)
    return MemoryTlsStream(connection, sock, tls, incoming, outgoing)


async def attach_client(
    connection: Any, sock: socket.socket, context: ssl.SSLContext | None, server_hostname: str
) -> None:
    """Begin a client's connection on `sock`, which the stream owns from here on, whatever comes."""
    tune_socket(sock)
    if STREAMS == "loop":
        stream = LoopStream(connection)
        connection.attach(stream, context is not None)
        await asyncio.get_running_loop().create_connection(
            lambda: LoopProtocol(stream),
            sock=sock,
            ssl=context,
            server_hostname=server_hostname if context is not None else None,
        )
    elif context is None:
        connection.attach(TcpStream(connection, sock), False)
    else:
        connection.attach(secure(connection, sock, context, server_hostname), True)
    connection.begin()


def attach_server(connection: Any, sock: socket.socket, context: ssl.SSLContext | None) -> None:
    """Begin a server's connection on an accepted socket; the stream owns it. Not for STREAMS == "loop"."""
    tune_socket(sock)
    if context is None:
        connection.attach(TcpStream(connection, sock), False)
    else:
        connection.attach(secure(connection, sock, context, None), True)
    connection.begin()
