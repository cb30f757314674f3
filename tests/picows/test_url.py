"""parse_url and what is made of its result."""

import base64
import pickle
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from picows.errors import WSInvalidURL
from picows.url import WSParsedURL, basic_auth, host_header, parse_url


def test_every_part_is_taken_apart():
    parsed = parse_url("wss://user:p%40ss@Stream.Example.com:9443/ws/btc@depth?x=1&y=2")

    assert parsed == WSParsedURL(
        "wss://user:p%40ss@Stream.Example.com:9443/ws/btc@depth?x=1&y=2",
        "wss",
        True,
        "user:p%40ss@Stream.Example.com:9443",
        "stream.example.com",
        9443,
        "/ws/btc@depth",
        "x=1&y=2",
        "user",
        "p%40ss",
    )
    assert parsed.resource_name == "/ws/btc@depth?x=1&y=2"
    assert parsed.user_info == ("user", "p%40ss")


def test_what_is_left_out_has_a_default():
    parsed = parse_url("WS://h")

    assert (parsed.scheme, parsed.is_secure, parsed.port) == ("ws", False, 80)
    assert (parsed.path, parsed.query, parsed.resource_name) == ("", "", "/")
    assert (parsed.username, parsed.password, parsed.user_info) == (None, None, None)
    assert parse_url("wss://h").port == 443


@pytest.mark.parametrize(
    ("url", "resource_name"),
    [
        ("ws://h?x=1", "/?x=1"),
        ("ws://h/a?", "/a"),
        ("ws://h/a b?c d", "/a%20b?c%20d"),
        ("ws://h/é?é=€", "/%C3%A9?%C3%A9=%E2%82%AC"),
        ("ws://h/a%20b%zz/../c//d", "/a%20b%zz/../c//d"),
        ("ws://h/btc@trade/eth@depth?streams=a/b@c&x=[1]{2}|\\\"'<>^`", None),
    ],
)
def test_only_what_a_request_line_cannot_carry_is_quoted(url, resource_name):
    want = url.removeprefix("ws://h") if resource_name is None else resource_name

    assert parse_url(url).resource_name == want


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("ws://EXAMPLE.com./", "example.com."),
        ("ws://bücher.example/", "xn--bcher-kva.example"),
        ("ws://API.bücher.example/", "api.xn--bcher-kva.example"),
        ("ws://exchange_1:80/", "exchange_1"),
        ("ws://127.0.0.1/", "127.0.0.1"),
        ("ws://[::1]/", "::1"),
        ("ws://[2001:DB8::1]:80/", "2001:db8::1"),
        ("ws://[fe80::1%25eth0]/", "fe80::1%eth0"),
    ],
)
def test_host_is_as_the_resolver_wants_it(url, host):
    assert parse_url(url).host == host


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("", "scheme"),
        ("h", "scheme"),
        ("//h/", "scheme"),
        ("http://h/", "scheme must be ws or wss, got 'http'"),
        ("wsss://h/", "scheme"),
        ("ws:/h/", "no host"),
        ("ws://", "no host"),
        ("ws:///path", "no host"),
        ("ws://:80/", "no host"),
        ("ws://u:p@/", "no host"),
        ("ws://h/#x", "fragment"),
        ("ws://h/#", "fragment"),
        ("ws://h:0/", "port"),
        ("ws://h:65536/", "port"),
        ("ws://h:99999/", "port"),
        ("ws://h:999999999999999999999/", "port"),
        ("ws://h:-1/", "port"),
        ("ws://h:+80/", "port"),
        ("ws://h:8_0/", "port"),
        ("ws://h:\uff18\uff10/", ""),
        ("ws://h:http/", "port"),
        ("ws://h:80:80/", "port"),
        ("ws://[::1]:x/", "port"),
        ("ws://h\r\nX: y/", "control"),
        ("ws://h/a\nb", "control"),
        ("ws://h/a\tb", "control"),
        ("ws://h/\0", "control"),
        ("ws://h/\x7f", "control"),
        (" ws://h/", "white space"),
        ("ws://h/ ", "white space"),
        ("ws://h /", "host"),
        ("ws://a b/", "host"),
        ("ws://a..b/", "host"),
        ("ws://.a/", "host"),
        ("ws://a\\b/", "host"),
        ("ws://a,b/", "host"),
        ("ws://" + "a" * 64 + "/", "host"),
        ("ws://" + "a." * 127 + "b/", "host"),
        ("ws://é" + "é" * 80 + "/", "IDNA"),
        ("ws://\u2100/", ""),
        ("ws://[::1/", ""),
        ("ws://::1/", "no host"),
        ("ws://1::1/", "port"),
        ("ws://[h]/", ""),
        ("ws://[v1.x]/", "IPv6"),
        ("ws://[::1%25]/", ""),
        # getaddrinfo() raises a bare UnicodeError for these two.
        ("ws://[fe80::1%25" + "a" * 64 + "]/", "zone"),
        ("ws://[fe80::1%25a..b]/", "zone"),
        ("ws://[::1]x/", ""),
        ("ws://x[::1]/", ""),
        ("ws://h/\ud800", "surrogate"),
        ("ws://a%3Ab:c@h/", "user name"),
    ],
)
def test_a_bad_url_is_refused_with_a_reason(url, complaint):
    with pytest.raises(WSInvalidURL) as caught:
        parse_url(url)

    assert caught.value.url == url
    assert complaint in caught.value.msg
    assert caught.value.msg


@pytest.mark.parametrize("host", ["[::1", "h\u2100", "h h", "h:0", "h#"])
def test_a_complaint_never_quotes_the_password(host):
    with pytest.raises(WSInvalidURL) as caught:
        parse_url(f"ws://user:secret@{host}/?key=secret")

    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("url", [None, 1, b"ws://h/"])
def test_a_url_of_another_type_is_a_type_error(url):
    with pytest.raises(TypeError, match="url must be a str"):
        parse_url(url)


@given(st.text())
def test_any_text_is_parsed_or_refused(text):
    for url in (text, "ws://" + text, "ws://h/" + text, "wss://h:" + text):
        try:
            parsed = parse_url(url)
        except WSInvalidURL:
            continue
        assert parsed.host.isascii()
        assert 1 <= parsed.port <= 65535
        assert all("!" <= char <= "~" for char in parsed.resource_name)
        assert all("!" <= char <= "~" for char in host_header(parsed))


@given(st.text(alphabet=string.printable))
def test_a_request_target_is_never_quoted_twice(text):
    try:
        once = parse_url("ws://h/" + text)
    except WSInvalidURL:
        return

    assert parse_url("ws://h" + once.resource_name).resource_name == once.resource_name


@pytest.mark.parametrize(
    ("url", "header"),
    [
        ("ws://h/", "h"),
        ("ws://h:80/", "h"),
        ("ws://h:443/", "h:443"),
        ("wss://h:443/", "h"),
        ("wss://h:80/", "h:80"),
        ("wss://user:password@h:8443/", "h:8443"),
        ("ws://[::1]/", "[::1]"),
        ("ws://[::1]:9000/", "[::1]:9000"),
        ("ws://[fe80::1%25eth0]:9000/", "[fe80::1]:9000"),
        ("ws://bücher.example/", "xn--bcher-kva.example"),
    ],
)
def test_host_header_has_no_user_info_default_port_or_zone(url, header):
    assert host_header(parse_url(url)) == header


@pytest.mark.parametrize(
    ("user_info", "credentials"),
    [
        ("user:pass", b"user:pass"),
        ("user", b"user:"),
        ("user:", b"user:"),
        (":pass", b":pass"),
        ("us%40er:p%3Aa%2Fss", b"us@er:p:a/ss"),
        ("caf%C3%A9:%E2%82%AC", "café:€".encode()),
        ("café:€", "café:€".encode()),
    ],
)
def test_basic_auth_is_the_decoded_user_info(user_info, credentials):
    scheme, _, value = basic_auth(parse_url(f"wss://{user_info}@h/")).partition(" ")

    assert scheme == "Basic"
    assert base64.b64decode(value) == credentials


def test_no_user_info_no_authorization():
    assert basic_auth(parse_url("wss://h/@x")) is None


def test_repr_shows_no_secret_and_the_value_is_frozen():
    parsed = parse_url("wss://user:secret@h/feed?listenKey=secret")

    assert repr(parsed) == "WSParsedURL('wss://***@h/feed?...')"
    assert pickle.loads(pickle.dumps(parsed)) == parsed
    with pytest.raises(AttributeError):
        parsed.host = "elsewhere"
