"""What is said to a proxy and what comes back, byte by byte; and proxies that say nonsense, or nothing."""

import asyncio
import ssl

import pytest
from python_socks import ProxyError

import picows
from picows.proxy_dialogue import HEAD, http_connect, socks4_connect, socks5_connect

from .interop_support import Recorder, client_context, on_each_loop, our_server, plain_and_tls
from .proxy_support import relay, scripted_proxy
from .ws_peers import PATIENCE, WAIT_S


def hold(dialogue, *answers):
    """Run a dialogue to its end; returns what it sent. Each answer must be as long as it asked for."""
    sent = []
    remaining = list(answers)
    try:
        step = next(dialogue)
        while True:
            sent.append(step.data)
            answer = remaining.pop(0)
            assert step.size in (HEAD, len(answer))
            step = dialogue.send(answer)
    except StopIteration:
        assert remaining == []
        return b"".join(sent)


# ---------------------------------------------------------------- the bytes


def test_connect_names_host_and_port_and_carries_credentials():
    sent = hold(http_connect("h.test", 443, b"user", b"p\xc3\xa4ss"), b"HTTP/1.0 200 ok\r\n\r\n")

    assert sent == (
        b"CONNECT h.test:443 HTTP/1.1\r\nHost: h.test:443\r\n"
        b"Proxy-Authorization: Basic dXNlcjpww6Rzcw==\r\n\r\n"
    )


def test_connect_puts_ipv6_in_brackets():
    sent = hold(http_connect("2001:db8::1", 80, None, b""), b"HTTP/1.1 204 No Content\r\n\r\n")

    assert sent == b"CONNECT [2001:db8::1]:80 HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n"


def test_socks4_sends_an_address_and_socks4a_a_name():
    granted = b"\x00\x5a" + bytes(6)

    assert hold(socks4_connect("10.1.2.3", 80, b"me"), granted) == b"\x04\x01\x00\x50\x0a\x01\x02\x03me\x00"
    assert (
        hold(socks4_connect("h.test", 443, None), granted)
        == b"\x04\x01\x01\xbb\x00\x00\x00\x01\x00h.test\x00"
    )


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("h.test", b"\x03\x06h.test"),
        ("10.1.2.3", b"\x01\x0a\x01\x02\x03"),
        ("2001:db8::1", b"\x04\x20\x01\x0d\xb8" + bytes(11) + b"\x01"),
    ],
)
def test_socks5_sends_a_name_as_a_name(host, address):
    sent = hold(socks5_connect(host, 443, None, b""), b"\x05\x00", b"\x05\x00\x00\x01", bytes(6))

    assert sent == b"\x05\x01\x00" + b"\x05\x01\x00" + address + b"\x01\xbb"


def test_socks5_logs_in_and_skips_a_bound_name():
    dialogue = socks5_connect("10.1.2.3", 1, b"user", b"pass")
    sent = hold(dialogue, b"\x05\x02", b"\x01\x00", b"\x05\x00\x00\x03", b"\x04", b"name\x00\x01")

    assert sent.startswith(b"\x05\x02\x00\x02" + b"\x01\x04user\x04pass" + b"\x05\x01\x00\x01")


# ---------------------------------------------------------------- the refusals


@pytest.mark.parametrize(
    ("dialogue", "answers", "code", "text"),
    [
        (http_connect("h", 1, None, b""), [b"HTTP/1.1 407 Who?\r\n\r\n"], 407, "407 Who"),
        (http_connect("h", 1, None, b""), [b"HTTP/1.1 503\r\n\r\n"], 503, "503"),
        (http_connect("h", 1, None, b""), [b"HTTP/1.1 302 x\r\nLocation: /\r\n\r\n"], 302, "302"),
        (http_connect("h", 1, None, b""), [b"HTTP/1.1 2000 x\r\n\r\n"], None, "status line"),
        (socks4_connect("h", 1, None), [b"\x00\x5b" + bytes(6)], 0x5B, "rejected"),
        (socks4_connect("h", 1, None), [b"HTTP/1.1"], None, "SOCKS4 reply"),
        (socks5_connect("h", 1, None, b""), [b"\x05\xff"], 0xFF, "user:password"),
        (socks5_connect("h", 1, None, b""), [b"\x05\x02"], 2, "method 2"),
        (socks5_connect("h", 1, None, b""), [b"HT"], None, "version 72"),
        (socks5_connect("h", 1, b"u", b"p"), [b"\x05\x02", b"\x01\x01"], 1, "user name and password"),
        (socks5_connect("h", 1, None, b""), [b"\x05\x00", b"\x05\x05\x00\x01"], 5, "connection refused"),
        (socks5_connect("h", 1, None, b""), [b"\x05\x00", b"\x05\x00\x00\x09"], None, "type 1, 3 or 4"),
        (socks4_connect("::1", 1, None), [], None, "IPv6"),
    ],
)
def test_a_refusal_says_why(dialogue, answers, code, text):
    with pytest.raises(ProxyError, match=text) as refused:
        hold(dialogue, *answers)

    assert refused.value.error_code == code


@pytest.mark.parametrize(
    "url",
    [
        "ftp://h:1",
        "h:1",
        "http://",
        "http://h:0",
        "http://h:1/path",
        "http://h:1?query",
        "http://h:1#f",
        "socks5://h:x",
        "http://a:b:c@:1",
        "socks5://" + "u" * 256 + ":p@h:1",
        "http://:password@h:1",
        "http://us%3Aer:p@h:1",
        "socks4://u%00@h:1",
        " http://h:1",
    ],
)
@on_each_loop
async def test_a_bad_proxy_url_is_refused_before_a_socket_is_opened(url):
    def socket_factory(host, port):
        raise AssertionError("a socket was asked for")

    with pytest.raises(picows.WSInvalidURL) as refused:
        await picows.ws_connect(Recorder, "ws://h.test/", proxy=url, socket_factory=socket_factory)

    assert refused.value.url == url
    assert ":password@" not in str(refused.value)


@on_each_loop
async def test_proxy_ssl_context_belongs_to_https_proxies():
    for proxy in ("http://h:1", "socks5://h:1"):
        with pytest.raises(ValueError, match="https"):
            await picows.ws_connect(
                Recorder, "ws://h.test/", proxy=proxy, proxy_ssl_context=ssl.create_default_context()
            )
    with pytest.raises(TypeError, match="proxy must be a str"):
        await picows.ws_connect(Recorder, "ws://h.test/", proxy=3128)


# ---------------------------------------------------------------- over sockets


@pytest.mark.parametrize("scheme", ["http", "socks4a", "socks5", "socks5h"])
@plain_and_tls
@on_each_loop
async def test_names_are_resolved_at_the_proxy(scheme, is_secure):
    """target.test exists at this proxy only; TLS inside the tunnel is verified against that name."""

    async def script(reader, writer):
        if scheme == "http":
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"CONNECT target.test:4567 ")
            for byte in b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n":
                writer.write(bytes([byte]))
                await writer.drain()
        elif scheme == "socks4a":
            assert await reader.readexactly(21) == b"\x04\x01\x11\xd7\x00\x00\x00\x01\x00target.test\x00"
            writer.write(b"\x00\x5a" + bytes(6))
        else:
            assert await reader.readexactly(3) == b"\x05\x01\x00"
            writer.write(b"\x05\x00")
            assert await reader.readexactly(18) == b"\x05\x01\x00\x03\x0btarget.test\x11\xd7"
            writer.write(b"\x05\x00\x00\x01" + bytes(6))
        await relay(reader, writer, port)

    async with (
        our_server(lambda request: Recorder(is_echo=True), is_secure) as port,
        scripted_proxy(script) as proxy_port,
    ):
        transport, listener = await picows.ws_connect(
            Recorder,
            f"{'wss' if is_secure else 'ws'}://target.test:4567/",
            proxy=f"{scheme}://127.0.0.1:{proxy_port}",
            ssl_context=client_context(is_secure),
        )
        transport.send(picows.WSMsgType.TEXT, "hello")
        assert (await listener.next())[1] == b"hello"
        transport.disconnect()
        await transport.wait_disconnected()


@on_each_loop
async def test_socks4_gets_an_address_that_was_resolved_here():
    asked = []

    async def script(reader, writer):
        asked.append(await reader.readexactly(9))
        writer.write(b"\x00\x5b" + bytes(6))

    async with scripted_proxy(script) as port:
        with pytest.raises(ProxyError):
            await picows.ws_connect(Recorder, "ws://localhost:80/", proxy=f"socks4://127.0.0.1:{port}")

    assert asked == [b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00"]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"", "before it answered"),
        (b"HTTP/1.1 200 OK\r\nVia", "after 20 bytes"),
        (b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 101 x", "14 bytes behind"),
        (b"HTTP/1.1 200 OK\r\nVia: " + b"x" * 20_000, "exceeds 16384 bytes"),
        (b"SSH-2.0-OpenSSH_9\r\n", "expected an HTTP/1.1 response"),
    ],
    ids=["hangs up", "hangs up half way", "talks on", "talks too much", "speaks something else"],
)
@on_each_loop
async def test_a_proxy_that_speaks_nonsense_is_a_proxy_error(answer, text):
    async def script(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    async with scripted_proxy(script) as port:
        with pytest.raises(ProxyError, match=text):
            await picows.ws_connect(Recorder, "ws://h.test/", proxy=f"http://127.0.0.1:{port}")


@pytest.mark.parametrize("scheme", ["http", "https", "socks4a", "socks5"])
@on_each_loop
async def test_a_silent_proxy_is_under_the_handshake_timeout(scheme):
    ended = asyncio.Event()

    async def script(reader, writer):
        await reader.read()
        ended.set()

    async with scripted_proxy(script) as port:
        with pytest.raises(TimeoutError):
            await picows.ws_connect(
                Recorder,
                "ws://h.test/",
                proxy=f"{scheme}://127.0.0.1:{port}",
                websocket_handshake_timeout=0.1 * PATIENCE,  # long enough to reach the proxy
            )
        async with asyncio.timeout(WAIT_S):
            while not ended.is_set() and scheme != "https":
                await asyncio.sleep(0.01)


@on_each_loop
async def test_a_proxy_that_is_not_there_is_an_os_error_that_names_it():
    async with scripted_proxy(lambda reader, writer: None) as port:
        pass
    with pytest.raises(ConnectionRefusedError) as refused:
        await picows.ws_connect(Recorder, "ws://h.test/", proxy=f"socks5://user:secret@127.0.0.1:{port}")

    assert refused.value.__notes__ == [f"while connecting to the proxy 127.0.0.1:{port}"]


@on_each_loop
async def test_the_systems_proxy_settings_are_left_to_the_caller(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with our_server(lambda request: Recorder()) as port:
        transport, _ = await picows.ws_connect(Recorder, f"ws://127.0.0.1:{port}/")
        transport.disconnect()
        await transport.wait_disconnected()
