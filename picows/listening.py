"""Bound sockets for a server to listen on."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import sys
from collections.abc import Sequence
from typing import Any


async def listening_sockets(
    host: str | Sequence[str] | None,
    port: int | None,
    *,
    path: str | os.PathLike[str] | None = None,
    sock: socket.socket | None = None,
    family: int = socket.AF_UNSPEC,
    flags: int = socket.AI_PASSIVE,
    reuse_address: bool | None = None,
    reuse_port: bool | None = None,
    keep_alive: bool = False,
) -> list[socket.socket]:
    """One bound socket for each address of each host; `path` or `sock` instead of host and port.

    Raises OSError that names the address, ValueError for arguments that exclude each other.
    """
    given = [name for name, value in (("sock", sock), ("path", path)) if value is not None]
    if len(given) > 1 or (given and (host is not None or port is not None)):
        raise ValueError("expected one of host and port, path, or sock")
    if sock is not None:
        if not isinstance(sock, socket.socket) or sock.type != socket.SOCK_STREAM:
            raise ValueError(f"sock: expected a stream socket, got {sock!r}")
        return [sock]
    if path is not None:
        return [_bind_unix(os.fspath(path))]
    if host is None and port is None:
        raise ValueError("expected host and port, path, or sock")
    hosts: Sequence[str | None] = [host or None] if host is None or isinstance(host, str) else host
    found = await _resolve(hosts, port or 0, family, flags)
    if reuse_address is None:
        reuse_address = os.name == "posix" and sys.platform != "cygwin"
    return _bind_all(found, bool(reuse_address), bool(reuse_port), keep_alive)


async def _resolve(hosts: Sequence[str | None], port: int, family: int, flags: int) -> list[Any]:
    loop = asyncio.get_running_loop()
    found: list[Any] = []
    for host in hosts:
        for info in await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=flags):
            if info not in found:
                found.append(info)
    if not found:
        raise OSError(f"no address found for {list(hosts)!r}")
    return found


def _bind_all(
    found: list[Any], reuse_address: bool, reuse_port: bool, keep_alive: bool
) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    try:
        for family, kind, proto, _, address in found:
            try:
                sock = socket.socket(family, kind, proto)
            except OSError:
                continue  # a family that this machine does not have, IPv6 mostly
            sockets.append(sock)
            _set_options(sock, reuse_address, reuse_port)
            if keep_alive:  # accepted sockets inherit it
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            # With port 0 every address of a server gets the same number.
            if address[1] == 0 and len(sockets) > 1:
                address = (address[0], sockets[0].getsockname()[1], *address[2:])
            _bind(sock, address)
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    if not sockets:
        raise OSError("none of the addresses can be used on this machine")
    return sockets


def _set_options(sock: socket.socket, reuse_address: bool, reuse_port: bool) -> None:
    if reuse_address:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reuse_port:
        if not hasattr(socket, "SO_REUSEPORT"):
            raise ValueError("reuse_port: this platform has no SO_REUSEPORT")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)


def _bind(sock: socket.socket, address: Any) -> None:
    try:
        sock.bind(address)
    except OSError as exc:
        raise OSError(exc.errno, f"cannot listen on {address!r}: {os.strerror(exc.errno or 0)}") from None


def _bind_unix(path: str) -> socket.socket:
    """An AF_UNIX socket; one that a former server left behind is replaced, any other file is not."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path[:1] not in ("\0", "") and os.path.exists(path) and stat.S_ISSOCK(os.stat(path).st_mode):
            os.unlink(path)
        _bind(sock, path)
    except BaseException:
        sock.close()
        raise
    return sock
