"""A real browser against our server: headless Chromium runs a page that our server hands out.

The page tries everything a browser can do with a WebSocket and sends what it saw as JSON over one.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess

import pytest

import picows
from picows import WSMsgType, WSUpgradeResponse, WSUpgradeResponseWithListener
from picows.handshake import origin_is_allowed

from .interop_support import Recorder, on_each_loop, our_server, plain_and_tls

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# Root has no sandbox; and no talk with the maker of the browser: the machine may be closed to it.
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--ignore-certificate-errors",
]
BROWSER_TIMEOUT_S = 60

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium on PATH (Debian: apt-get install chromium)"),
]

PAGE = """<!doctype html><meta charset="utf-8"><script>
const base = location.origin.replace("http", "ws");
const seen = {};

function open(path, protocols) {
  const socket = new WebSocket(base + path, protocols);
  socket.binaryType = "arraybuffer";
  socket.inbox = [];
  socket.wanted = [];
  socket.onmessage = event => {
    const taker = socket.wanted.shift();
    taker ? taker(event.data) : socket.inbox.push(event.data);
  };
  socket.next = () => socket.inbox.length ? Promise.resolve(socket.inbox.shift())
                                          : new Promise(resolve => socket.wanted.push(resolve));
  socket.closed = new Promise(resolve => {
    socket.onclose = event => resolve([event.code, event.reason, event.wasClean]);
  });
  socket.opened = new Promise((resolve, reject) => { socket.onopen = resolve; socket.onerror = reject; });
  return socket;
}

async function run() {
  const echo = open("/echo", ["v2.feed", "v1.feed"]);
  await echo.opened;
  seen.protocol = echo.protocol;
  seen.extensions = echo.extensions;
  echo.send("an old silent pond… 🐸");
  seen.text = await echo.next();
  echo.send("");
  seen.empty = await echo.next();
  const sent = new Uint8Array(1000003).map((_, i) => i * 7);
  echo.send(sent);
  const back = new Uint8Array(await echo.next());
  seen.binary_size = back.length;
  seen.binary_is_equal = back.every((byte, i) => byte === sent[i]);
  echo.close(4001, "enough ☂");
  seen.own_close = await echo.closed;

  const pieces = open("/pieces");
  seen.joined = await pieces.next();
  seen.their_close = await pieces.closed;

  const cut = open("/broken");
  seen.broken_close = await cut.closed;

  const refused = open("/refused");
  seen.refused = await refused.opened.then(() => "opened", () => "refused");
}

run().catch(error => { seen.error = String(error); }).then(async () => {
  const report = open("/report");
  await report.opened;
  report.send(JSON.stringify(seen));
});
</script>"""


class Pieces(Recorder):
    """Send a message in two fragments around a PING; once its PONG is here, close."""

    def on_ws_connected(self, transport):
        super().on_ws_connected(transport)
        text = "split inside a ☂".encode()
        transport.send(WSMsgType.TEXT, text[:-1], fin=False)
        transport.send_ping(b"inside")
        transport.send(WSMsgType.CONTINUATION, text[-1:])

    def on_ws_frame(self, transport, frame):
        if frame.msg_type == WSMsgType.PONG and frame.get_payload_as_bytes() == b"inside":
            transport.send_close(picows.WSCloseCode.SERVICE_RESTART, "back in a minute")
        super().on_ws_frame(transport, frame)


class Broken(Recorder):
    def on_ws_connected(self, transport):
        raise RuntimeError("a mistake of the listener's author")


class Site:
    """The factory of our server: the page, its WebSockets, and 404 for all else."""

    def __init__(self):
        self.report = asyncio.get_running_loop().create_future()
        self.origins_are_allowed = []
        self.echo = None

    def __call__(self, request):
        if request.path == b"/":
            page = WSUpgradeResponse.create_ok_response(PAGE.encode(), {"Content-Type": "text/html"})
            return WSUpgradeResponseWithListener(page, None)
        if "Upgrade" in request.headers:
            host = request.headers["Host"]
            self.origins_are_allowed.append(origin_is_allowed(request, [f"http://{host}", f"https://{host}"]))
        if request.path == b"/echo":
            self.echo = Recorder(is_echo=True)
            answer = WSUpgradeResponse.create_101_response({"Sec-WebSocket-Protocol": "v1.feed"})
            return WSUpgradeResponseWithListener(answer, self.echo)
        listeners = {b"/pieces": Pieces, b"/broken": Broken, b"/report": lambda: Report(self.report)}
        make = listeners.get(request.path)
        return make and make()


class Report(Recorder):
    def __init__(self, report):
        super().__init__()
        self._report = report

    def on_ws_frame(self, transport, frame):
        if frame.msg_type == WSMsgType.TEXT and not self._report.done():
            self._report.set_result(json.loads(frame.get_payload_as_utf8_text()))


@contextlib.contextmanager
def browser(url, profile):
    """Chromium on `url`, in a process group of its own, gone afterwards."""
    process = subprocess.Popen(
        [BROWSER, *FLAGS, f"--user-data-dir={profile}", "--remote-debugging-port=0", url],
        # `make sanitize` preloads the sanitizer into Python; a browser does not start with it.
        env={name: value for name, value in os.environ.items() if name != "LD_PRELOAD"},
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


COMPRESSIONS = {
    "": None,
    "permessage-deflate": picows.PerMessageDeflate(),
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
    "server_max_window_bits=10; client_max_window_bits=9": picows.PerMessageDeflate(
        server_no_context_takeover=True,
        client_no_context_takeover=True,
        server_max_window_bits=10,
        client_max_window_bits=9,
    ),
}


@pytest.mark.parametrize("extensions", COMPRESSIONS, ids=["uncompressed", "deflate", "deflate-small"])
@plain_and_tls
@on_each_loop
async def test_chromium_talks_to_our_server(is_secure, tmp_path, extensions):
    site = Site()
    compression = COMPRESSIONS[extensions]

    async with our_server(site, is_secure, logger_name="quiet", compression=compression) as port:
        with browser(f"{'https' if is_secure else 'http'}://127.0.0.1:{port}/", tmp_path):
            async with asyncio.timeout(BROWSER_TIMEOUT_S):
                seen = await site.report

    assert seen == {
        "protocol": "v1.feed",
        "extensions": extensions,
        "text": "an old silent pond… 🐸",
        "empty": "",
        "binary_size": 1_000_003,
        "binary_is_equal": True,
        "own_close": [4001, "enough ☂", True],
        "joined": "split inside a ☂",
        "their_close": [1012, "back in a minute", True],
        "broken_close": [1011, "", True],
        "refused": "refused",
    }
    assert await site.echo.closed() == (4001, "enough ☂")
    assert site.origins_are_allowed == [True] * 5
