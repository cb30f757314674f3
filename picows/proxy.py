"""A tunnel through a proxy: a socket to the proxy in, a socket to the target out."""

from __future__ import annotations

import asyncio
import socket
import ssl

from python_socks import ProxyError

from picows.proxy_dialogue import HEAD, Dialogue, dialogue_with, find_http_head
from picows.tls_relay import secured
from picows.url import WSParsedURL

# Far more than any proxy says while it opens a tunnel; an HTTP head ends at 16 KiB.
_READ_SIZE = 4096


async def open_tunnel(
    sock: socket.socket, proxy: WSParsedURL, context: ssl.SSLContext | None, host: str, port: int
) -> socket.socket:
    """Make the proxy at the other end of `sock` connect to host:port, to which all later bytes go.

    sock:    connected and non-blocking; taken over, closed on failure.
    context: secures the connection to an https proxy, which must prove the name in its URL.
    Names are resolved at the proxy, those for socks4 here: the protocol has addresses only.
    Returns a non-blocking socket: `sock`, or for an https proxy the near end of a relay into its TLS.
    Raises python_socks.ProxyError if the proxy refuses, OSError, ssl.SSLError.
    """
    try:
        if proxy.scheme == "socks4":
            host = await _resolve_ipv4(host, port)
        if proxy.is_secure:
            sock = await secured(sock, context or ssl.create_default_context(), proxy.host)
        await _hold(dialogue_with(proxy, host, port), sock)
    except BaseException:
        sock.close()
        raise
    return sock


async def _hold(dialogue: Dialogue, sock: socket.socket) -> None:
    """Say and read what the dialogue asks for, not a byte more."""
    loop = asyncio.get_running_loop()
    try:
        step = next(dialogue)
        while True:
            if step.data:
                await loop.sock_sendall(sock, step.data)
            reply = await (_read_head(sock) if step.size == HEAD else _read_exactly(sock, step.size))
            step = dialogue.send(reply)
    except StopIteration:
        return


async def _read_exactly(sock: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        received += await _read_some(sock, size - len(received), received)
    return received


async def _read_head(sock: socket.socket) -> bytes:
    """An HTTP head. Nothing may follow it: the target speaks when it is spoken to, and so far it was not."""
    received = b""
    while True:
        received += await _read_some(sock, _READ_SIZE, received)
        end = find_http_head(received)
        if end >= 0:
            break
    if end < len(received) and received[9:10] == b"2":
        raise ProxyError(f"the proxy sent {len(received) - end} bytes behind its answer to CONNECT")
    return received[:end]


async def _read_some(sock: socket.socket, size: int, so_far: bytes) -> bytes:
    data = await asyncio.get_running_loop().sock_recv(sock, size)
    if not data:
        what = f"after {len(so_far)} bytes of its answer" if so_far else "before it answered"
        raise ProxyError(f"the proxy closed the connection {what}")
    return data


async def _resolve_ipv4(host: str, port: int) -> str:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, family=socket.AF_INET, type=socket.SOCK_STREAM)
    if not found:
        raise OSError(f"no IPv4 address found for {host!r}, and SOCKS4 has no other")
    return str(found[0][4][0])
