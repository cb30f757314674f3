"""Through proxies of another make: http, https, socks4 and socks5(h), with and without credentials."""

import asyncio
import socket

import pytest
import python_socks

import picows
from picows import WSMsgType

from .interop_support import (
    TIMEOUT_S,
    Recorder,
    client_context,
    on_each_loop,
    our_server,
    plain_and_tls,
)
from .proxy_support import PASSWORD, USER, USER_INFO, pproxy

pytest.importorskip("pproxy", reason="the proxy server of these tests; pip install pproxy")

# Not socks4a, which pproxy does not know: see test_proxy_dialogue.py.
SCHEMES = ["http", "socks4", "socks5", "socks5h"]
BIG = bytes(range(256)) * 8192  # 2 MiB: does not fit the buffers on its way


@pytest.fixture(scope="module")
def open_proxy():
    """Port of a proxy that lets everybody through."""
    with pproxy("http+socks4+socks5") as port:
        yield port


@pytest.fixture(scope="module")
def guarded_proxy():
    """Port of a proxy that wants USER and PASSWORD."""
    with pproxy("http+socks4+socks5", f"{USER}:{PASSWORD}") as port:
        yield port


@pytest.fixture(scope="module")
def secure_proxy():
    """Port of an https proxy that wants USER and PASSWORD."""
    with pproxy("http+ssl", f"{USER}:{PASSWORD}") as port:
        yield port


async def echo_through(url, proxy, **options):
    """Connect through the proxy, echo a small and a large message, close in order. The transport, closed."""
    transport, listener = await picows.ws_connect(Recorder, url, proxy=proxy, **options)
    transport.send(WSMsgType.TEXT, "through the proxy")
    assert await listener.next() == (WSMsgType.TEXT, b"through the proxy", True)
    transport.send(WSMsgType.BINARY, BIG)
    assert await listener.next() == (WSMsgType.BINARY, BIG, True)
    transport.send_close(1000, "bye")
    assert await listener.closed() == (1000, "bye")
    await transport.wait_disconnected()
    return transport


def url_of(port, is_secure):
    return f"{'wss' if is_secure else 'ws'}://localhost:{port}/"


@pytest.mark.parametrize("scheme", SCHEMES)
@plain_and_tls
@on_each_loop
async def test_a_message_comes_back_through_the_proxy(open_proxy, scheme, is_secure):
    async with our_server(lambda request: Recorder(is_echo=True), is_secure) as port:
        proxy = f"{scheme}://127.0.0.1:{open_proxy}"
        transport = await echo_through(url_of(port, is_secure), proxy, ssl_context=client_context(is_secure))

        assert transport.is_secure == is_secure


@pytest.mark.parametrize("scheme", ["http", "socks5"])
@plain_and_tls
@on_each_loop
async def test_credentials_of_the_url_open_the_proxy(guarded_proxy, scheme, is_secure):
    async with our_server(lambda request: Recorder(is_echo=True), is_secure) as port:
        proxy = f"{scheme}://{USER_INFO}@127.0.0.1:{guarded_proxy}"
        await echo_through(url_of(port, is_secure), proxy, ssl_context=client_context(is_secure))


@pytest.mark.parametrize("user_info", ["", "user%40home:wrong@", "nobody@"])
@pytest.mark.parametrize("scheme", ["http", "socks5"])
@on_each_loop
async def test_wrong_credentials_are_a_proxy_error(guarded_proxy, scheme, user_info):
    async with our_server(lambda request: Recorder()) as port:
        with pytest.raises(python_socks.ProxyError):
            await picows.ws_connect(
                Recorder, url_of(port, False), proxy=f"{scheme}://{user_info}127.0.0.1:{guarded_proxy}"
            )


@plain_and_tls
@on_each_loop
async def test_an_https_proxy_is_reached_through_tls(secure_proxy, is_secure):
    async with our_server(lambda request: Recorder(is_echo=True), is_secure) as port:
        await echo_through(
            url_of(port, is_secure),
            f"https://{USER_INFO}@localhost:{secure_proxy}",
            proxy_ssl_context=client_context(),
            ssl_context=client_context(is_secure),
        )
    # What relays into the proxy's TLS is gone with the connection.
    async with asyncio.timeout(TIMEOUT_S):
        while _open_transports():
            await asyncio.sleep(0.01)


def _open_transports():
    import gc

    from picows.tls_relay import _Half

    return [found for found in gc.get_objects() if isinstance(found, _Half) and not found.is_over]


@on_each_loop
async def test_an_https_proxy_must_prove_its_name(secure_proxy):
    async with our_server(lambda request: Recorder()) as port:
        with pytest.raises(OSError, match="certificate"):
            await picows.ws_connect(
                Recorder, url_of(port, False), proxy=f"https://{USER_INFO}@localhost:{secure_proxy}"
            )


@on_each_loop
async def test_the_target_must_prove_its_own_name_inside_the_tunnel(open_proxy):
    async with our_server(lambda request: Recorder(), is_secure=True) as port:
        with pytest.raises(OSError, match="certificate"):
            await picows.ws_connect(Recorder, url_of(port, True), proxy=f"http://127.0.0.1:{open_proxy}")


@pytest.mark.parametrize("takes", ["host and port", "url"])
@on_each_loop
async def test_socket_factory_makes_the_socket_to_the_proxy(open_proxy, takes):
    asked = []

    def for_host_and_port(host, port):
        asked.append((host, port))
        return socket.socket()

    async def for_url(url):
        asked.append((url.host, url.port))
        return socket.create_connection((url.host, url.port))

    async with our_server(lambda request: Recorder(is_echo=True)) as port:
        await echo_through(
            url_of(port, False),
            f"socks5://127.0.0.1:{open_proxy}",
            socket_factory=for_url if takes == "url" else for_host_and_port,
        )

    assert asked == [("127.0.0.1", open_proxy)]


@on_each_loop
async def test_a_redirect_goes_through_the_proxy_too(open_proxy):
    paths = []

    def site(request):
        paths.append(request.path)
        if request.path == b"/":
            answer = picows.WSUpgradeResponse.create_redirect_response(302, "/there")
            return picows.WSUpgradeResponseWithListener(answer, None)
        return Recorder(is_echo=True)

    async with our_server(site) as port:
        await echo_through(url_of(port, False), f"http://127.0.0.1:{open_proxy}")

    assert paths == [b"/", b"/there"]
