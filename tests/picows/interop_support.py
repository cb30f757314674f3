"""What the interop, resource and proxy tests share: both loops, TLS, and a listener that writes down all."""

import asyncio
import contextlib
import functools
import inspect
import ssl
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import pytest

import picows

TIMEOUT_S = 20


def loop_factories_by_name():
    """The event loops that every test of the core runs on."""
    factories = {"asyncio": asyncio.new_event_loop}
    if sys.platform != "win32":
        try:
            import uvloop
        except ImportError:
            if not sysconfig.get_config_var("Py_GIL_DISABLED"):
                raise  # never silently without it; but not every free-threaded Python has a wheel
        else:
            factories["uvloop"] = uvloop.new_event_loop
    return factories


def loop_factories():
    """The same, as pytest's parameters."""
    return [pytest.param(factory, id=name) for name, factory in loop_factories_by_name().items()]


def on_each_loop(test):
    """Run a coroutine test on asyncio and on uvloop; what the exception handler is told fails it."""

    @functools.wraps(test)
    def run_on_loop(loop_factory, **arguments):
        complaints = []
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.get_loop().set_exception_handler(lambda _, context: complaints.append(context))
            runner.run(test(**arguments))
        if complaints:
            raise AssertionError(f"the event loop's exception handler was told: {complaints}")

    del run_on_loop.__wrapped__
    loop_parameter = inspect.Parameter("loop_factory", inspect.Parameter.KEYWORD_ONLY)
    own = list(inspect.signature(test).parameters.values())
    run_on_loop.__signature__ = inspect.Signature([*own, loop_parameter])
    return pytest.mark.parametrize("loop_factory", loop_factories())(run_on_loop)


plain_and_tls = pytest.mark.parametrize("is_secure", [False, True], ids=["plain", "tls"])


# ---------------------------------------------------------------- TLS


@functools.cache
def certificate() -> tuple[Path, Path]:
    """(certificate, key): self-signed, for localhost and 127.0.0.1, made once per test run."""
    folder = Path(tempfile.mkdtemp(prefix="picows-tls-"))
    cert, key = folder / "cert.pem", folder / "key.pem"
    names = "subjectAltName=DNS:localhost,DNS:target.test,IP:127.0.0.1"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    command += [
        "-keyout",
        str(key),
        "-out",
        str(cert),
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
        "-addext",
        names,
    ]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


def server_context(is_secure=True):
    """A server's TLS context, None for plain."""
    if not is_secure:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate())
    return context


def client_context(is_secure=True):
    """A client's TLS context that verifies our certificate and name, None for plain."""
    return ssl.create_default_context(cafile=str(certificate()[0])) if is_secure else None


def url_of(port, is_secure, path="/"):
    return f"{'wss' if is_secure else 'ws'}://127.0.0.1:{port}{path}"


# ---------------------------------------------------------------- our side


class Recorder(picows.WSListener):
    """Keep every frame; answer CLOSE. `next()` waits for the next data, ping or pong frame.

    is_echo: send TEXT, BINARY and CONTINUATION frames back as they came, fragment by fragment.
    """

    def __init__(self, is_echo=False):
        self.is_echo = is_echo
        self.frames = asyncio.Queue()
        self.transport = None
        self.gone = asyncio.get_running_loop().create_future()

    def on_ws_connected(self, transport):
        self.transport = transport

    def on_ws_frame(self, transport, frame):
        if frame.msg_type == picows.WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
            return
        self.frames.put_nowait((frame.msg_type, frame.get_payload_as_bytes(), bool(frame.fin)))
        if self.is_echo and frame.msg_type <= picows.WSMsgType.BINARY:
            transport.send(frame.msg_type, frame.get_payload_as_memoryview(), fin=bool(frame.fin))

    def on_ws_disconnected(self, transport):
        if not self.gone.done():
            self.gone.set_result(None)

    async def next(self):
        async with asyncio.timeout(TIMEOUT_S):
            return await self.frames.get()

    async def next_message(self):
        """(type, payload) of the next message, its fragments joined."""
        msg_type, payload, fin = await self.next()
        while not fin:
            kind, more, fin = await self.next()
            assert kind == picows.WSMsgType.CONTINUATION
            payload += more
        return msg_type, payload

    async def closed(self):
        """(code, reason) of the CLOSE that came, once the connection is gone."""
        async with asyncio.timeout(TIMEOUT_S):
            await self.gone
        received = self.transport.close_handshake.recv
        return received.code, received.reason


@contextlib.asynccontextmanager
async def our_server(factory, is_secure=False, **options):
    """Serve `factory` on a free port of 127.0.0.1; gives the port. Nothing of it is left afterwards."""
    where = {} if "sock" in options else {"host": "127.0.0.1", "port": 0}
    server = await picows.ws_create_server(factory, ssl=server_context(is_secure), **where, **options)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        server.abort_clients()
        await server.wait_closed()


@contextlib.asynccontextmanager
async def our_client(port, is_secure=False, listener_factory=Recorder, path="/", **options):
    """A connection of ours to a server on 127.0.0.1; gives (transport, listener)."""
    transport, listener = await picows.ws_connect(
        listener_factory, url_of(port, is_secure, path), ssl_context=client_context(is_secure), **options
    )
    try:
        yield transport, listener
    finally:
        transport.disconnect(graceful=False)
        with contextlib.suppress(Exception):
            await transport.wait_disconnected()


class RecorderFactory:
    """A server's factory that makes Recorders and gives the first one to the test."""

    def __init__(self, is_echo=False, response=None):
        self._is_echo = is_echo
        self._response = response
        self._made = asyncio.get_running_loop().create_future()

    def __call__(self, request):
        listener = Recorder(self._is_echo)
        if not self._made.done():
            self._made.set_result(listener)
        if self._response is not None:
            return picows.WSUpgradeResponseWithListener(self._response(request), listener)
        return listener

    async def first(self):
        async with asyncio.timeout(TIMEOUT_S):
            return await self._made
