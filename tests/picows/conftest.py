"""Fixtures of the core's tests: both event loops, plain and TLS, either side against a raw peer."""

import asyncio
import contextlib
import ssl
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import pytest_asyncio

from picows import ws_connect, ws_create_server
from picows.stream.loopio import STREAMS

from .interop_support import client_context, loop_factories_by_name, server_context
from .ws_listeners import Echo, Recorder
from .ws_peers import PATIENCE, WAIT_S, RawListener, dial_upgrade

# Windows runs on the event loop's transports, which end a connection as they see fit.
needs_own_streams = pytest.mark.skipif(
    STREAMS == "loop", reason="the event loop's transports do not linger, nor keep data across a reset"
)

_complaints = []


def _watched(factory):
    """A loop whose exception handler is told nothing in a test that passes."""

    def make():
        loop = factory()
        loop.set_exception_handler(lambda _, context: _complaints.append(context))
        return loop

    return make


def pytest_asyncio_loop_factories(config, item):
    return {name: _watched(factory) for name, factory in loop_factories_by_name().items()}


@pytest.fixture(autouse=True)
def loop_complaints():
    """What the loop's exception handler was told; a test that expects something clears the list."""
    _complaints.clear()
    yield _complaints
    assert _complaints == []


@dataclass(frozen=True)
class Security:
    """The two ends' TLS contexts, or None and None."""

    server: ssl.SSLContext | None
    client: ssl.SSLContext | None

    @property
    def is_tls(self):
        return self.server is not None

    def url(self, port, path="/"):
        return (
            f"{'wss' if self.is_tls else 'ws'}://{'localhost' if self.is_tls else '127.0.0.1'}:{port}{path}"
        )


PLAIN = Security(None, None)


@pytest.fixture(scope="session")
def tls():
    """Contexts of a certificate authority that lives as long as the test run."""
    try:
        import trustme
    except ImportError:  # it needs cffi, which has no build for free-threaded CPython 3.13
        return Security(server_context(), client_context())
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return Security(server, client)


@pytest.fixture(params=["plain", "tls"])
def security(request):
    return PLAIN if request.param == "plain" else request.getfixturevalue("tls")


def _hurry(options, is_tls):
    """The loop's own TLS waits up to close_timeout for a close_notify that a raw peer does not send."""
    if STREAMS == "loop" and is_tls:
        options.setdefault("close_timeout", 0.3)
    if PATIENCE > 1:
        options.setdefault("websocket_handshake_timeout", 5 * PATIENCE)


@pytest_asyncio.fixture
async def serve(security):
    """serve(factory, **options) -> a WSServer on loopback with `.port` beside it; closed after the test."""
    servers = []

    async def start(factory=lambda request: Echo(), **options):
        options.setdefault("ssl", security.server)
        _hurry(options, security.is_tls)
        server = await ws_create_server(factory, "127.0.0.1", 0, **options)
        servers.append(server)
        return SimpleNamespace(server=server, port=server.sockets[0].getsockname()[1])

    yield start
    for server in servers:
        server.close()
        gone = [asyncio.ensure_future(transport.wait_disconnected()) for transport in server.connections]
        server.abort_clients()
        async with asyncio.timeout(WAIT_S):
            await asyncio.gather(*gone)


@pytest_asyncio.fixture
async def connect(security):
    """connect(port, factory, **options) -> (transport, listener) of our client; closed after the test."""
    transports = []

    async def open_client(port, factory=Recorder, *, path="/", **options):
        options.setdefault("ssl_context", security.client)
        options.setdefault("family", 2)
        _hurry(options, security.is_tls)
        transport, listener = await ws_connect(factory, security.url(port, path), **options)
        transports.append(transport)
        return transport, listener

    yield open_client
    for transport in transports:
        await close_for_good(transport)


async def close_for_good(transport):
    """Abort and wait; what the connection died of is the test's business, not the teardown's."""
    if not transport.is_disconnected:
        transport.disconnect(graceful=False)
        async with asyncio.timeout(WAIT_S):
            await asyncio.wait([asyncio.ensure_future(_swallow(transport))])


async def _swallow(transport):
    with contextlib.suppress(Exception):
        await transport.wait_disconnected()


@pytest.fixture
def exact_queue(security):
    """For tests that need every queued byte to count against the water marks."""
    if STREAMS == "loop" and security.is_tls:
        pytest.skip("the loop's TLS transport counts only what it has not handed on to TCP")


@pytest.fixture
def raw_listener(security):
    """A listening socket on which a test plays the server by hand."""
    listener = RawListener(security.server)
    yield listener
    listener.close()


@dataclass
class End:
    """Our end of a connection, and the raw peer at the other."""

    transport: object
    listener: Recorder
    peer: object


@pytest.fixture(params=["client", "server"])
def side(request):
    """Which side of the connection is ours."""
    return request.param


@pytest_asyncio.fixture
async def open_end(side, security, serve, connect):
    """open_end(listener, **options) -> End: our client or our server, against a raw peer of the other kind.

    glued: frames that the peer sends in one write with its half of the handshake.
    receive_buffer: bytes of the peer's SO_RCVBUF, so that a peer which does not read is full soon.
    extensions: what the peer says in Sec-WebSocket-Extensions.
    """
    raw = []

    async def open_one(listener=None, *, glued=b"", receive_buffer=None, extensions=None, **options):
        listener = Recorder() if listener is None else listener
        if side == "client":
            accepting = RawListener(security.server, receive_buffer)
            raw.append(accepting)
            peer, (transport, _) = await asyncio.gather(
                accepting.accept_upgrade(
                    glued=glued,
                    headers=f"Sec-WebSocket-Extensions: {extensions}\r\n" if extensions else "",
                ),
                connect(accepting.port, lambda: listener, **options),
            )
        else:
            serving = await serve(lambda request: listener, **options)
            address = ("127.0.0.1", serving.port)
            peer = await dial_upgrade(
                address,
                security.client,
                glued=glued,
                receive_buffer=receive_buffer,
                headers={"Sec-WebSocket-Extensions": extensions},
            )
            raw.append(peer)
            await listener.until(lambda: listener.transport is not None)
            transport = listener.transport
        return End(transport, listener, peer)

    yield open_one
    for end in raw:
        end.close()


@pytest_asyncio.fixture
async def echo_server(serve):
    """A running echo server; `.port`."""
    return await serve()


async def gone(transport):
    """wait_disconnected under a deadline."""
    async with asyncio.timeout(WAIT_S):
        await transport.wait_disconnected()


def skip_where_poll_drops_resets():
    """uvloop's poll handles stop at POLLERR without telling; that is why EpollPoller exists."""
    if STREAMS == "poll" and type(asyncio.get_running_loop()).__module__.startswith("uvloop"):
        pytest.skip("uvloop's poll handles do not report a reset")
