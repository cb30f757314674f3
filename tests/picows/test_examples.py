"""Every example runs as its documentation says, in a process of its own, and ends."""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import picows

from .ws_peers import dial_upgrade

PACKAGE = Path(picows.__file__).parent
NAMES = sorted(path.stem for path in (PACKAGE / "examples").glob("*.py") if path.stem != "__init__")
ENVIRONMENT = os.environ | {"PYTHONPATH": str(PACKAGE.parent), "PYTHONWARNINGS": "error"}
TIMEOUT_S = 60


def command(name, *arguments):
    return [sys.executable, "-m", f"picows.examples.{name}", *map(str, arguments)]


def output_of(name, *arguments):
    """Run an example to its end; what it printed. It must neither fail nor write to stderr."""
    done = subprocess.run(
        command(name, *arguments),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env=ENVIRONMENT,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@contextlib.contextmanager
def running(name, *arguments):
    """A server example on a free port; gives its URL. Ctrl-C ends it without a traceback."""
    process = subprocess.Popen(
        command(name, "--port", 0, *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )
    try:
        line = process.stdout.readline()
        yield "ws://{}/".format(re.match(r"listening on (\S+:\d+)", line)[1])
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=TIMEOUT_S)
        assert (process.returncode, errors) == (0, "")
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def echo_server():
    with running("echo_server") as url:
        yield url


@pytest.mark.parametrize("name", NAMES)
def test_help_tells_how_to_run_it(name):
    assert f"python -m picows.examples.{name}" in output_of(name, "--help")


def test_echo_client(echo_server):
    assert output_of("echo_client", "--url", echo_server) == "echo: hello, world\n"


def test_echo_client_async_callbacks(echo_server):
    expected = "echo: 2 to go\necho: 1 to go\n"
    assert output_of("echo_client_async_callbacks", "--url", echo_server, "--messages", 2) == expected


def test_echo_client_async_iteration(echo_server):
    printed = output_of("echo_client_async_iteration", "--url", echo_server, "--messages", 500)
    assert printed == "".join(f"echo: message {number}\n" for number in range(500))


def test_echo_client_fragmented_msg(echo_server):
    printed = output_of("echo_client_fragmented_msg", "--url", echo_server)
    assert printed.count("fragment of ") == 4
    assert printed.endswith("message: a message in several fragments\n")


@pytest.mark.parametrize("initiator", ["client", "server"])
def test_graceful_shutdown(initiator):
    printed = output_of("graceful_shutdown", "--initiator", initiator)
    for side in ("client", "server"):
        assert f"{side}: got CLOSE 1001 'maintenance'" in printed
        assert f"{side}: disconnected, peer closed first: {side != initiator}" in printed


@pytest.fixture
def mock_exchange():
    """The URL of a mock of the venue that the example measures."""
    pytest.importorskip("connectors", reason="the mock exchange is part of connectors")
    mock = [sys.executable, "-m", "connectors.cli", "mock", "--exchange", "okx", "--for", TIMEOUT_S]
    process = subprocess.Popen(
        [str(word) for word in mock], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    try:
        url = next(line.split()[1] for line in process.stdout if line.lstrip().startswith("url:"))
        yield f"{url}/ws/v5/public"
    finally:
        process.kill()
        process.communicate()


def test_okx_roundtrip_time(mock_exchange):
    printed = output_of("okx_roundtrip_time", "--url", mock_exchange, "--threshold-ms", 5000)
    assert re.fullmatch(r"attempt 1: median of 5 round trips \d+\.\d{3} ms\nwithin 5000\.0 ms\n", printed)
    printed = output_of("okx_roundtrip_time", "--url", mock_exchange, "--threshold-ms", 0, "--attempts", 2)
    assert printed.endswith("never within 0.0 ms\n")


def test_slow_client_backpressure():
    printed = output_of("slow_client_backpressure", "--messages", 2000)
    assert printed.startswith("received 2000 messages of 10000 bytes\n")
    assert int(re.search(r"paused (\d+) times", printed)[1]) > 0
    assert int(re.search(r"at most (\d+) bytes", printed)[1]) < 256 * 1024 + 2 * 10_014


def test_echo_server_and_client_threaded():
    with running("echo_server_threaded", "--threads", 2) as url:
        printed = output_of("echo_client_threaded", "--url", url, "--connections", 3, "--seconds", 0.5)
    echoes = re.fullmatch(r"(\d+) echoes over 6 connections in 2 threads\n", printed)
    assert int(echoes[1]) > 6


def test_reconnecting_client_comes_back_to_a_server_that_went_away():
    with running("echo_server") as url:
        port = url.rpartition(":")[2].rstrip("/")
        client = subprocess.Popen(
            command("reconnecting_client", "--url", url, "--connections", 2),
            stdout=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )
        assert [client.stdout.readline() for _ in range(2)] == ["connected\n", "message: subscribe\n"]
    with running("echo_server", "--port", port):
        lines = [client.stdout.readline() for _ in range(2)]
        while lines[-2:] != ["connected\n", "message: subscribe\n"]:
            lines.append(client.stdout.readline())
            assert lines[-1] != ""
    client.communicate(timeout=TIMEOUT_S)
    assert client.returncode == 0


@pytest.mark.user_build
@pytest.mark.slow
def test_echo_client_cython_builds_its_listener_and_uses_it_again(echo_server, tmp_path):
    pytest.importorskip("Cython", reason="Cython is needed to build an extension against the core")
    arguments = ("--url", echo_server, "--messages", 300, "--size", 1000, "--build-dir", tmp_path / "here")

    assert output_of("echo_client_cython", *arguments) == "300 echoes of 1000 bytes, sum 150000\n"
    built = {path: path.stat().st_mtime_ns for path in (tmp_path / "here").glob("echo_client_*")}
    assert output_of("echo_client_cython", *arguments) == "300 echoes of 1000 bytes, sum 150000\n"

    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "here").glob("echo_client_*")} == built
    assert len(built) == 3  # .pyx, .c and the extension


async def test_broadcast_server_tells_everybody():
    class Guest(picows.WSListener):
        def __init__(self):
            self.heard = asyncio.get_running_loop().create_future()

        def on_ws_frame(self, transport, frame):
            if frame.msg_type == picows.WSMsgType.TEXT:
                self.heard.set_result(frame.get_payload_as_utf8_text())

    with running("broadcast_server") as url:
        guests = [await picows.ws_connect(Guest, url) for _ in range(3)]
        guests[0][0].send(picows.WSMsgType.TEXT, "hear, hear")
        async with asyncio.timeout(TIMEOUT_S):
            assert [await guest.heard for _, guest in guests] == ["hear, hear"] * 3
        for transport, _ in guests:
            transport.disconnect()
            await transport.wait_disconnected()


async def test_broadcast_server_tells_a_slow_guest_how_much_it_has_missed():
    count = 150

    class Talker(picows.WSListener):
        def __init__(self):
            self.heard = 0
            self.heard_all = asyncio.get_running_loop().create_future()

        def on_ws_frame(self, transport, frame):
            self.heard += 1
            if self.heard == count:
                self.heard_all.set_result(None)
            else:
                transport.send(picows.WSMsgType.BINARY, bytes(60_000))

    with running("broadcast_server") as url:
        address = ("127.0.0.1", int(url.rpartition(":")[2].rstrip("/")))
        slow = await dial_upgrade(address, receive_buffer=8192)
        transport, talker = await picows.ws_connect(Talker, url)
        transport.send(picows.WSMsgType.BINARY, bytes(60_000))
        await asyncio.wait_for(talker.heard_all, TIMEOUT_S)

        received = 0
        while (frame := await slow.recv_frame()).opcode == picows.WSMsgType.BINARY:
            received += 1
        missed = int(re.fullmatch(rb"you have missed (\d+) messages", frame.payload)[1])
        slow.close()
        transport.disconnect()
        await transport.wait_disconnected()

    assert missed > 0
    assert received + missed == count


def test_subprotocol_negotiation():
    assert output_of("subprotocol_negotiation", "--offer", "v3.feed", "v1.feed") == "agreed on v1.feed\n"
    assert output_of("subprotocol_negotiation", "--offer", "v9") == "refused: speak one of v2.feed, v1.feed\n"


def test_echo_demo():
    assert "round trips: 200\n" in output_of("echo_demo", "--rounds", 200)
