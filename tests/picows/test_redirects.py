"""Redirects: which are followed, what is taken along, and how it ends where they lead nowhere."""

import asyncio
import contextlib
import socket
import time

import pytest

import picows
from picows import WSUpgradeResponse, WSUpgradeResponseWithListener

from .interop_support import (
    TIMEOUT_S,
    Recorder,
    client_context,
    on_each_loop,
    our_server,
    plain_and_tls,
    url_of,
)


class Site:
    """A server's factory: redirects by path, accepts the rest; keeps the requests."""

    def __init__(self, redirects=()):
        self.redirects = dict(redirects)
        self.requests = []

    def __call__(self, request):
        self.requests.append(request)
        path = request.path.decode()
        if path not in self.redirects:
            return Recorder(is_echo=True)
        status, location = self.redirects[path]
        answer = WSUpgradeResponse.create_redirect_response(status, location)
        return WSUpgradeResponseWithListener(answer, None)

    def seen(self, name):
        """Path and the values of one header, request by request."""
        return [(request.path.decode(), request.headers.getall(name, [])) for request in self.requests]


async def connect(port, path, is_secure=False, **options):
    """Connect, and say how it went: the transport, closed again."""
    options.setdefault("ssl_context", client_context(is_secure))
    transport, _ = await picows.ws_connect(Recorder, url_of(port, is_secure, path), **options)
    transport.disconnect(graceful=False)
    await transport.wait_disconnected()
    return transport


@plain_and_tls
@on_each_loop
async def test_each_kind_of_redirect_is_followed_within_the_origin(is_secure):
    kinds = {f"/{status}": (status, f"/landed/{status}?x=1") for status in (301, 302, 303, 307, 308)}
    site = Site(kinds)
    async with our_server(site, is_secure) as port:
        for path in kinds:
            transport = await connect(port, path, is_secure, extra_headers={"X-Mine": "kept"})
            assert transport.request.path == b"/landed" + path.encode() + b"?x=1"

    assert [values for _, values in site.seen("X-Mine")] == [["kept"]] * 10


@on_each_loop
async def test_credentials_stay_within_the_origin():
    site = Site({"/a": (302, "b"), "/b": (302, "//x")})
    async with our_server(site) as port:
        site.redirects["/b"] = (307, f"ws://127.0.0.1:{port}/c")
        headers = {"Cookie": "session=1", "Proxy-Authorization": "Basic eA=="}
        url = f"ws://us%65r:pass@127.0.0.1:{port}/a"
        transport, _ = await picows.ws_connect(Recorder, url, extra_headers=headers)
        transport.disconnect()
        await transport.wait_disconnected()

    credentials = ["Basic dXNlcjpwYXNz"]
    assert site.seen("Authorization") == [("/a", credentials), ("/b", credentials), ("/c", credentials)]
    assert site.seen("Cookie") == [("/a", ["session=1"]), ("/b", ["session=1"]), ("/c", ["session=1"])]


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer secret"},
        {"COOKIE": "session=secret"},
        {"Proxy-Authorization": "Basic secret"},
        {"Host": "secret.test"},
    ],
    ids=lambda headers: next(iter(headers)),
)
@on_each_loop
async def test_another_origin_gets_no_credentials(headers):
    first, other = Site(), Site()
    async with our_server(first) as port, our_server(other) as other_port:
        first.redirects["/"] = (302, f"ws://127.0.0.1:{other_port}/there")
        # And back again: what was dropped stays dropped.
        other.redirects["/there"] = (302, f"ws://127.0.0.1:{port}/back")
        await connect(port, "/", extra_headers={**headers, "X-Mine": "kept"})

    (name,) = headers
    assert first.seen(name)[0][1] == list(headers.values())
    assert "secret" not in str(other.seen(name)) + str(first.seen(name)[1:])
    assert other.seen("X-Mine") == [("/there", ["kept"])]


@on_each_loop
async def test_another_origin_gets_no_user_info_of_the_url():
    first, other = Site(), Site()
    async with our_server(first) as port, our_server(other) as other_port:
        first.redirects["/"] = (302, f"ws://127.0.0.1:{other_port}/there")
        transport, _ = await picows.ws_connect(Recorder, f"ws://user:pass@127.0.0.1:{port}/")
        transport.disconnect()
        await transport.wait_disconnected()

    assert len(first.seen("Authorization")[0][1]) == 1
    assert other.seen("Authorization") == [("/there", [])]


@on_each_loop
async def test_ws_is_redirected_to_wss_and_the_certificate_is_verified():
    plain, secure = Site(), Site()
    async with our_server(plain) as port, our_server(secure, is_secure=True) as secure_port:
        plain.redirects["/"] = (301, f"wss://127.0.0.1:{secure_port}/safe")
        transport = await connect(port, "/", ssl_context=client_context())
        assert transport.is_secure


@on_each_loop
async def test_wss_is_never_redirected_to_ws():
    plain, secure = Site(), Site()
    async with our_server(plain) as port, our_server(secure, is_secure=True) as secure_port:
        secure.redirects["/"] = (301, f"ws://127.0.0.1:{port}/unsafe")
        with pytest.raises(picows.WSHandshakeError, match="from wss:// to ws://") as refused:
            await connect(secure_port, "/", is_secure=True)

    assert type(refused.value) is picows.WSHandshakeError
    assert refused.value.response.status == 301
    assert plain.requests == []


@on_each_loop
async def test_so_many_redirects_and_no_more():
    site = Site({f"/{i}": (302, f"/{i + 1}") for i in range(6)})
    async with our_server(site) as port:
        assert (await connect(port, "/1")).request.path == b"/6"
        with pytest.raises(picows.WSHandshakeError, match="more than 5 redirects") as refused:
            await connect(port, "/0")
        assert type(refused.value) is picows.WSHandshakeError

        assert (await connect(port, "/5", max_redirects=1)).request.path == b"/6"
        with pytest.raises(picows.WSHandshakeError, match="more than 1 redirects"):
            await connect(port, "/4", max_redirects=1)


@on_each_loop
async def test_a_circle_ends():
    async with our_server(Site({"/": (307, "/")})) as port:
        with pytest.raises(picows.WSHandshakeError, match="more than 5 redirects"):
            await connect(port, "/")


@on_each_loop
async def test_max_redirects_0_raises_the_redirect_itself():
    site = Site({"/": (308, "/there")})
    async with our_server(site) as port:
        with pytest.raises(picows.WSInvalidStatusError) as refused:
            await connect(port, "/", max_redirects=0)

    assert refused.value.response.headers["Location"] == "/there"
    assert len(site.requests) == 1


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1/",
        "https://127.0.0.1/",
        "ftp://h/",
        "ws://:80/",
        "ws://h:99999/",
        "/path#fragment",
        "ws://a b/",
    ],
)
@on_each_loop
async def test_a_target_that_is_no_websocket_url_is_an_invalid_url(location):
    async with our_server(Site({"/": (302, location)})) as port:
        with pytest.raises(picows.WSInvalidURL):
            await connect(port, "/")


@pytest.mark.parametrize("extra", [{}, {"Location": "/other"}], ids=["none", "two"])
@on_each_loop
async def test_a_redirect_without_its_one_location_is_a_handshake_error(extra):
    answer = WSUpgradeResponse.create_redirect_response(302, "/there", extra)
    if not extra:
        del answer.headers["Location"]
    async with our_server(lambda request: WSUpgradeResponseWithListener(answer, None)) as port:
        with pytest.raises(picows.WSHandshakeError, match="one Location") as refused:
            await connect(port, "/")

    assert type(refused.value) is picows.WSHandshakeError


@pytest.mark.parametrize("status", [300, 304, 305])
@on_each_loop
async def test_other_3xx_are_refusals(status):
    async with our_server(Site({"/": (status, "/there")})) as port:
        with pytest.raises(picows.WSInvalidStatusError):
            await connect(port, "/")


@on_each_loop
async def test_one_timeout_covers_all_hops():
    class SlowSite(Site):
        def __call__(self, request):
            time.sleep(0.1)
            return super().__call__(request)

    site = SlowSite({"/": (302, "/")})
    async with our_server(site) as port:
        start_s = time.monotonic()
        with pytest.raises(TimeoutError):
            await connect(port, "/", max_redirects=1000, websocket_handshake_timeout=0.35)

        assert 0.3 < time.monotonic() - start_s < TIMEOUT_S
        assert 3 <= len(site.requests) <= 5


@on_each_loop
async def test_the_body_of_a_redirect_is_not_waited_for():
    release, closed = asyncio.Event(), asyncio.Event()

    async def redirect(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: %b\r\nContent-Length: 100\r\n\r\nnot all" % location)
        await release.wait()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        closed.set()

    site = Site()
    server = await asyncio.start_server(redirect, "127.0.0.1", 0)
    async with server, our_server(site) as port:
        location = f"ws://127.0.0.1:{port}/there".encode()
        async with asyncio.timeout(TIMEOUT_S):
            await connect(server.sockets[0].getsockname()[1], "/", websocket_handshake_timeout=None)
        release.set()
        await closed.wait()

    assert site.requests[0].path == b"/there"


@on_each_loop
async def test_a_timeout_behind_a_redirect_is_a_timeout():
    """Not the redirect's refusal: that one was answered in time."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        site = Site({"/": (302, f"ws://127.0.0.1:{silent.getsockname()[1]}/")})
        async with our_server(site) as port:
            with pytest.raises(TimeoutError):
                await connect(port, "/", websocket_handshake_timeout=0.1)
