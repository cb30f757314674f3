"""Open the socket of a link: TLS, proxy, headers, and a race of candidates where the config asks for one."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from connectors.backoff import retry_after_s
from connectors.exchange import Inbound, Kind
from connectors.instrument import Stream
from connectors.session import Session
from connectors.settings import ConnectionSettings, TlsSettings
from connectors.status import StatusKind
from picows import WSError, WSInvalidStatusError, WSTransport, ws_connect
from picows.namesake import refuse_mixture

if TYPE_CHECKING:
    from connectors.errors import BookError
    from connectors.link import Link

refuse_mixture()  # the other package over ours has all the names above, and its frames never reach a session

HANDSHAKE_S = 10.0
PING_S = 5.0  # of a candidate: who takes longer has lost the race
_TOO_MANY = (418, 429, 503)


class DialFailed(Exception):
    """Nothing was opened. wait_s: what the server said to wait at least, else 0."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


def tls_context(settings: TlsSettings) -> ssl.SSLContext:
    """For wss. Raises OSError, ssl.SSLError: a file is missing or is no certificate."""
    context = ssl.create_default_context(cafile=settings.ca_file)
    if settings.cert_file is not None:
        context.load_cert_chain(settings.cert_file, settings.key_file)
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def open_session(link: Link, url: str) -> None:
    """Connect; the link hears of it by `opened`. Raises DialFailed."""
    settings = link.connection.settings
    count = settings.rtt.race if link.is_successor else 1
    try:
        if count > 1:
            await _race(link, url, count)
        else:
            session = link.connection.new_session(link, url)
            await _connect(session, url, settings)
    except WSInvalidStatusError as error:
        raise DialFailed(f"{url}: {error}", _wait_s(error)) from error
    except TimeoutError as error:
        raise DialFailed(f"{url}: no upgrade within {HANDSHAKE_S:g} s") from error
    except (OSError, WSError, ValueError) as error:
        raise DialFailed(f"{url}: {type(error).__name__}: {error}") from error
    except Exception as error:
        # What a proxy's library raises has no common base with the rest.
        raise DialFailed(f"{url}: {type(error).__name__}: {error}") from error


def _wait_s(error: WSInvalidStatusError) -> float:
    """Retry-After of a 418, 429 or 503, in seconds; 0 for all other answers."""
    response = error.response
    if response is None or int(response.status) not in _TOO_MANY:
        return 0.0
    return retry_after_s(response.headers.get("Retry-After", ""))


async def _connect(session: Session, url: str, settings: ConnectionSettings, **options: Any) -> WSTransport:
    if url.startswith("wss"):
        options["ssl_context"] = tls_context(settings.tls)
    transport, _ = await ws_connect(
        lambda: session,
        url,
        websocket_handshake_timeout=HANDSHAKE_S,
        # A venue's PINGs are answered by the session, which records them.
        enable_auto_pong=False,
        # One bad message must not cost the connection; what can not be read is counted by the session.
        disconnect_on_exception=False,
        max_frame_size=session.exchange.facts.frames.max_message_bytes,
        extra_headers=settings.headers or None,
        proxy=settings.proxy,
        **options,
    )
    with contextlib.suppress(AttributeError, NotImplementedError):
        transport.underlying_transport.set_write_buffer_limits(high=settings.backpressure.high_bytes)
    return transport


# A race: several sockets to the addresses of one host, the fastest stays


class _Candidate:
    """Owner of a session that is only measured: pongs are timed, all else is ignored."""

    def __init__(self) -> None:
        self.pong: asyncio.Future[None] | None = None

    def on_opened(self, transport: WSTransport) -> None: ...
    def on_closed(self, reason: str) -> None:
        if self.pong is not None and not self.pong.done():
            self.pong.set_exception(ConnectionResetError(reason))

    def on_first_data(self, stream: Stream) -> None: ...
    def on_inbound(self, inbound: Inbound, payload: bytes) -> None:  # noqa: ARG002 - Owner's signature
        if inbound.kind is Kind.PONG and self.pong is not None and not self.pong.done():
            self.pong.set_result(None)

    def on_book_action(self, stream: Stream, action: int, error: BookError | None) -> None: ...
    def on_writing(self, is_paused: bool) -> None: ...
    def tell(
        self,
        kind: StatusKind,
        stream: Stream | None = None,
        detail: str = "",
        values: dict[str, float] | None = None,
    ) -> None: ...
    def fail(self, reason: str) -> None: ...


async def _race(link: Link, url: str, count: int) -> None:
    """Dial `count` sockets, measure each, keep the fastest. Raises the first one's error if none opens."""
    connection = link.connection
    addresses = await _addresses(url) if connection.settings.proxy is None else []
    tasks = []
    for number in range(count):
        if number:
            # The first one was counted by the dialogue.
            connection.dials.take(connection.clock.monotonic_ns())
        address = addresses[number % len(addresses)] if addresses else None
        tasks.append(asyncio.ensure_future(_measure(link, url, address)))
    try:
        results = await asyncio.gather(*tasks, return_exceptions=True)
    except asyncio.CancelledError:
        for task in tasks:
            task.cancel()
        raise
    opened = [result for result in results if isinstance(result, tuple)]
    if not opened:
        raise next(result for result in results if isinstance(result, BaseException))
    opened.sort(key=lambda pair: pair[0])
    best = opened[0][1]
    for _, session in opened[1:]:
        session.close(False, "slower than another candidate")
    if best.is_closed:
        raise ConnectionResetError("the fastest candidate was closed")
    connection.adopt(link, best)


async def _measure(link: Link, url: str, address: tuple[Any, ...] | None) -> tuple[float, Session]:
    """(median round trip in s, session) of one candidate."""
    owner = _Candidate()
    session = link.connection.new_session(link, url, owner)
    options: dict[str, Any] = {}
    if address is not None:
        options["socket_factory"] = _socket_to(address)
    await _connect(session, url, link.connection.settings, **options)
    loop = asyncio.get_running_loop()
    trips = []
    try:
        for number in range(max(link.connection.settings.rtt.rounds, 1)):
            owner.pong = loop.create_future()
            began = loop.time()
            text = session.exchange.ping(number + 1)
            if text is None:
                session.send_ping(str(number + 1).encode())
            else:
                session.send_text(text)
            await asyncio.wait_for(owner.pong, PING_S)
            trips.append(loop.time() - began)
    except BaseException:
        session.close(True, "candidate did not answer")
        raise
    return statistics.median(trips), session


async def _addresses(url: str) -> Sequence[tuple[Any, ...]]:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "wss" else 80)
    found = await asyncio.get_running_loop().getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    return [(family, address) for family, _, _, _, address in found]


def _socket_to(address: tuple[Any, ...]) -> Any:
    async def factory(_host: str, _port: int) -> socket.socket:
        family, where = address
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, where)
        except BaseException:
            sock.close()
            raise
        return sock

    return factory
