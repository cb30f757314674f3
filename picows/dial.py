"""A connected socket from a name: addresses raced as RFC 8305 ("Happy Eyeballs") says, all errors told."""

from __future__ import annotations

import asyncio
import itertools
import socket
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

    happy_eyeballs_delay: seconds after which the next address is tried beside the last; None: one after the
        other.
    interleave: how many addresses of the first family come before one of the other.
    Raises OSError: the first address's error, with the others' as notes; socket.gaierror if there is none.
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
    """Start the attempts `delay_s` apart, or as soon as one has failed; the first to connect wins."""
    waiting = iter(addresses)
    running: set[asyncio.Task[socket.socket]] = set()
    errors: list[OSError] = []
    winner: socket.socket | None = None
    try:
        try:
            while winner is None:
                address = next(waiting, None)
                if address is not None:
                    running.add(asyncio.ensure_future(_attempt(address, local)))
                elif not running:
                    raise _combined(errors)
                is_last = address is None or delay_s is None
                await asyncio.wait(
                    running, timeout=None if is_last else delay_s, return_when=asyncio.FIRST_COMPLETED
                )
                winner = _take_winner(running, errors)
        finally:
            await _give_up(running)
    except BaseException:
        if winner is not None:
            winner.close()
        raise
    return winner


def _take_winner(running: set[asyncio.Task[socket.socket]], errors: list[OSError]) -> socket.socket | None:
    """The socket of an attempt that has connected; what failed goes to `errors`."""
    for task in [task for task in running if task.done()]:
        running.discard(task)
        error = task.exception()
        if error is None:
            return task.result()
        if not isinstance(error, OSError):
            raise error
        errors.append(error)
    return None


async def _give_up(running: set[asyncio.Task[socket.socket]]) -> None:
    """End the attempts that are still going on. Being cancelled meanwhile changes nothing about it."""
    for task in running:
        task.cancel()
        task.add_done_callback(_close_loser)
    if running:
        await asyncio.wait(running)


def _close_loser(task: asyncio.Task[socket.socket]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()


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
