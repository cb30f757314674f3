"""TLS: which way OpenSSL is called, and that either way passes the same tests."""

import gc
import os
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

import picows
from picows.stream import openssl
from picows.stream.loopio import STREAMS
from picows.stream.tls import TLS

from .conftest import gone
from .tls_support import SHARES_OPENSSL, implementation
from .ws_listeners import Recorder

HERE = Path(__file__).parent

pytestmark = pytest.mark.skipif(STREAMS == "loop", reason="the event loop's own TLS")

needs_direct = pytest.mark.skipif(TLS == "memorybio", reason="PICOWS_TLS=memorybio")


@pytest.fixture
def security(tls):
    return tls


# ---------------------------------------------------------------- which way


@needs_direct
@pytest.mark.skipif(
    sys.platform != "linux" or not SHARES_OPENSSL,
    reason="direct calls are promised where CPython's ssl module is linked to a shared OpenSSL",
)
async def test_openssl_is_called_directly_on_cpython(open_end):
    end = await open_end()

    assert openssl.MISSING is None
    assert implementation(end.transport) == "direct"


async def test_a_plain_connection_has_no_tls_implementation(serve, connect):
    serving = await serve(ssl=None)
    transport, _ = await picows.ws_connect(Recorder, f"ws://127.0.0.1:{serving.port}")

    assert implementation(transport) is None

    transport.disconnect()
    await gone(transport)


async def test_a_context_with_a_message_callback_gets_the_memory_bio(serve, connect, tls):
    serving = await serve()
    seen = []
    tls.client._msg_callback = lambda *arguments: seen.append(arguments)
    try:
        transport, _ = await connect(serving.port)
    finally:
        tls.client._msg_callback = None

    assert implementation(transport) == "memorybio"
    assert seen


class Counting(ssl.SSLObject):
    reads = 0

    def read(self, *arguments):
        Counting.reads += 1
        return super().read(*arguments)


async def test_ssl_objects_with_a_read_of_their_own_are_asked_to_read(serve, connect, tls):
    """SSLContext.sslobject_class is public; direct calls would pass by what it overrides."""
    serving = await serve()
    before = tls.client.sslobject_class
    tls.client.sslobject_class = Counting
    try:
        transport, _ = await connect(serving.port)
    finally:
        tls.client.sslobject_class = before

    assert implementation(transport) == "memorybio"
    assert Counting.reads > 0


def test_an_ssl_object_of_long_ago_is_not_taken_for_the_last_one(tls):
    def wrapped():
        return tls.client.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="localhost")

    old = wrapped()
    openssl.about_to_wrap()
    new = wrapped()

    assert openssl.find_ssl(old) is None
    assert openssl.find_ssl(new) is None  # asked twice: whoever asks first gets the one answer
    openssl.about_to_wrap()
    assert openssl.find_ssl(new) is None


@pytest.mark.skipif(openssl.MISSING is not None, reason="not possible here")
def test_an_ssl_object_that_was_freed_is_forgotten(tls):
    openssl.about_to_wrap()
    kept = tls.client.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="localhost")
    freed = tls.client.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="localhost")
    del freed
    gc.collect()

    assert openssl.find_ssl(kept) is None


@pytest.mark.skipif(openssl.MISSING is not None, reason="not possible here")
def test_a_handle_is_made_by_find_ssl_only():
    with pytest.raises(TypeError):
        openssl.DirectTlsStream(None, None, openssl.SslHandle())


# ---------------------------------------------------------------- the other implementation


GROUPS = {
    "tls": ["test_tls.py", "test_tls_choice.py", "test_guide_transport.py"],
    "io": ["test_close.py", "test_handshake_io.py", "test_backpressure.py", "test_interop_websockets.py"],
}


@pytest.mark.slow
@needs_direct
@pytest.mark.parametrize("group", GROUPS)
def test_the_memory_bio_passes_the_same_tests(group):
    root = HERE.parents[1]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not plain"]
    command += ["-c", str(root / "pyproject.toml"), "--rootdir", str(root)]
    command += [str(HERE / name) for name in GROUPS[group]]
    environment = os.environ | {
        "PICOWS_TLS": "memorybio",
        "PYTHONPATH": str(Path(picows.__file__).parents[1]),
    }

    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)

    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-2_000:]


def run_python(code, kind):
    """Run `code` with PICOWS_TLS=kind; gives what it has printed, and its errors."""
    environment = os.environ | {"PICOWS_TLS": kind, "PYTHONPATH": str(Path(picows.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    return done.stdout.strip(), done.stderr


# As on a Python whose ssl module is built in, and keeps OpenSSL to itself.
HIDDEN = (
    "import _ssl; del _ssl.__file__; import picows; from picows.stream import openssl; print(openssl.MISSING)"
)


@pytest.mark.skipif(not SHARES_OPENSSL, reason="it is hidden here")
def test_a_hidden_openssl_is_noticed():
    printed, errors = run_python(HIDDEN, "auto")

    assert (printed, errors) == ("OpenSSL_version", "")


@pytest.mark.skipif(not SHARES_OPENSSL, reason="it is hidden here")
def test_direct_calls_that_are_asked_for_and_impossible_are_an_import_error():
    printed, errors = run_python(HIDDEN, "direct")

    assert printed == ""
    assert "ImportError: PICOWS_TLS=direct: OpenSSL cannot be called directly here" in errors


def test_an_unknown_kind_of_tls_is_refused():
    _, errors = run_python("import picows", "fast")

    assert "PICOWS_TLS: expected auto, direct or memorybio, got 'fast'" in errors
