"""Any text is a URL that can go on the wire, or WSInvalidURL; and so is any Location of a redirect."""

import ipaddress

from picows.errors import WSHandshakeError, WSInvalidStatusError, WSInvalidURL
from picows.handshake import build_request, parse_request
from picows.http1 import HTTPSyntaxError, split_head
from picows.proxy_dialogue import dialogue_with
from picows.redirect import redirect_target
from picows.upgrade import WSUpgradeResponse
from picows.url import host_header, parse_proxy_url, parse_url

from .inputs import Choices

KEY = "AAAAAAAAAAAAAAAAAAAAAA=="
HERE = parse_url("wss://user:secret@here.test/feed/live?x=1")


def seeds():
    """URLs of all kinds, each as a URL, as a proxy's and as the target of a redirect."""
    for text in (
        "ws://a.test",
        "wss://user:pa%20ss@a.test:8443/p%C3%A4th/ü?q=1&r=☂",
        "ws://[fe80::1%25eth0]:80/",
        "WS://BÜCHER.test./",
        "ws://127.0.0.1:65535//x",
        "http://u:p@proxy:3128",
        "socks5h://u:p@[::1]",
        "socks4://me@10.0.0.1:1080/",
        "/elsewhere",
        "//other.test/x",
        "?only=query",
        "wss://a.test/#fragment",
    ):
        yield from (text.encode() + bytes([kind]) for kind in (0, 1, 2))


def check(data):
    choices = Choices(data)
    kind = choices.number(3)
    text = choices.payload().decode("utf-8", "surrogateescape")
    try:
        if kind == 0:
            _sendable(parse_url(text))
        elif kind == 1:
            _proxy(parse_proxy_url(text))
        else:
            _redirect(choices.payload())
    except WSInvalidURL as error:
        assert str(error)
        repr(error)


def _sendable(url):
    """The request line and Host carry the URL, and nothing else; the parts make the same URL again."""
    request = build_request(url, KEY, [])
    parsed = parse_request(request)
    assert parsed.path.decode("ascii") == url.resource_name
    assert parsed.headers.getall("Host") == [host_header(url)]
    assert request.count(b"\r\n") == 7 + (url.username is not None)
    host_name = f"[{url.host.replace('%', '%25')}]" if ":" in url.host else url.host
    again = parse_url(f"{url.scheme}://{host_name}:{url.port}{url.resource_name}")
    assert (again.host, again.port, again.resource_name) == (url.host, url.port, url.resource_name)
    url.host.encode("idna")  # socket.getaddrinfo() does, and would raise UnicodeError
    if ":" in url.host:
        ipaddress.IPv6Address(url.host.partition("%")[0])


def _proxy(proxy):
    assert 1 <= proxy.port <= 65535
    assert repr(proxy)
    assert next(dialogue_with(proxy, "10.1.2.3", 443)).data


def _redirect(value):
    """`value` as a header of the answer: only then can it come here."""
    head = b"HTTP/1.1 302 Found\r\nLocation: " + value + b"\r\n\r\n"
    try:
        _, headers = split_head(head)
    except HTTPSyntaxError:
        return
    refusal = WSInvalidStatusError("302", head, response=WSUpgradeResponse(b"HTTP/1.1", 302, headers))
    try:
        target = redirect_target(HERE, refusal)
    except WSHandshakeError:
        return
    assert target.is_secure
    if target.username == "user" and target.password == "secret" and b"user:secret" not in value:
        assert (target.host, target.port) == (HERE.host, HERE.port)
    _sendable(target)
