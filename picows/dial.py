"""A connected socket from a name: addresses raced as RFC 8305 ("Happy Eyeballs") says, all errors told."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Iterable
from typing import Any

Address = tuple[int, int, int, str, Any]

# RFC 8305 section 5: between 100 ms and 2 s, 250 ms recommended.
CONNECTION_ATTEMPT_DELAY_S = 0.25


async def dial(
    host: str,
    port: int,
    *,
    family: int = 0,
    proto: int = 0,
    flags: int = 0,
    local_addr: tuple[str, int] | None = None,
    happy_eyeballs_delay: float | None = CONNECTION_ATTEMPT_DELAY_S,
    interleave: int = 1,
) -> socket.socket:
    """Connect to the first address of `host` that answers. The caller owns the non-blocking socket.

    happy_eyeballs_delay: seconds after which the next address is tried beside the last; None: one after the other.
    interleave:           how many addresses of the first family come before one of the other.
    Raises OSError: the first address's error, with the others' as notes. socket.gaierror if there is no address.
    """
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(
        host, port, family=family, type=socket.SOCK_STREAM, proto=proto, flags=flags
    )
    if not found:
        raise OSError(f"no address found for {host!r}")
    local = None
    if local_addr is not None:
        local = await loop.getaddrinfo(*local_addr, family=family, type=socket.SOCK_STREAM)
    addresses = interleaved([(int(f), int(t), p, name, a) for f, t, p, name, a in found], interleave)
    return await _race(addresses, local, happy_eyeballs_delay)


def interleaved(addresses: list[Address], first_count: int = 1) -> list[Address]:
    """Alternate address families, the resolver's order kept within each (RFC 8305 section 4)."""
    by_family: dict[int, list[Address]] = {}
    for address in addresses:
        by_family.setdefault(address[0], []).append(address)
    families = list(by_family.values())
    head, families[0] = families[0][: max(first_count - 1, 0)], families[0][max(first_count - 1, 0) :]
    mixed = itertools.chain.from_iterable(itertools.zip_longest(*families))
    return head + [address for address in mixed if address is not None]


async def _race(addresses: list[Address], local: Any, delay_s: float | None) -> socket.socket:
    """Start the attempts one after the other, `delay_s` apart or as soon as one has failed; the first to connect wins."""
    waiting = iter(addresses)
    running: dict[asyncio.Task[socket.socket], Address] = {}
    errors: list[OSError] = []
    try:
        while True:
            address = next(waiting, None)
            if address is not None:
                running[asyncio.ensure_future(_attempt(address, local))] = address
            elif not running:
                raise _combined(errors)
            is_last = address is None or delay_s is None
            done, _ = await asyncio.wait(
                running, timeout=None if is_last else delay_s, return_when=asyncio.FIRST_COMPLETED
            )
            winner = None
            for task in done:
                del running[task]
                error = task.exception()
                if error is None and winner is None:
                    winner = task.result()
                elif error is None:
                    task.result().close()
                elif isinstance(error, OSError):
                    errors.append(error)
                else:
                    raise error
            if winner is not None:
                return winner
    finally:
        await _give_up(running)


async def _give_up(running: Iterable[asyncio.Task[socket.socket]]) -> None:
    tasks = list(running)
    for task in tasks:
        task.cancel()
    for task in tasks:
        try:
            (await task).close()
        except (OSError, asyncio.CancelledError):
            pass


async def _attempt(address: Address, local: Any) -> socket.socket:
    family, kind, proto, _, sockaddr = address
    sock = socket.socket(family, kind, proto)
    try:
        sock.setblocking(False)
        if local is not None:
            _bind(sock, family, local)
        await asyncio.get_running_loop().sock_connect(sock, sockaddr)
    except BaseException:
        sock.close()
        raise
    return sock


def _bind(sock: socket.socket, family: int, local: Any) -> None:
    error = OSError(f"local_addr has no address of family {socket.AddressFamily(family).name}")
    for local_family, _, _, _, sockaddr in local:
        if local_family == family:
            try:
                sock.bind(sockaddr)
                return
            except OSError as exc:
                error = exc
    raise error


def _combined(errors: list[OSError]) -> OSError:
    """The first error, so that its class says what happened; the others are told in notes."""
    first = errors[0]
    for other in errors[1:]:
        first.add_note(f"also tried: {type(other).__name__}: {other}")
    return first
