"""The client's side of the opening handshake."""

import base64
import contextlib
import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from picows import handshake
from picows.errors import (
    WSHandshakeError,
    WSInvalidHeaderError,
    WSInvalidMessageError,
    WSInvalidStatusError,
    WSInvalidUpgradeError,
)
from picows.handshake import (
    MAX_HEADER_BYTES,
    accept_for,
    build_request,
    check_headers,
    check_response,
    is_interim,
    make_key,
    parse_response,
    response_body_length,
    response_head_end,
)
from picows.url import WSParsedURL, parse_url

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
GOOD = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
}


def response_head(*more, status="101 Switching Protocols", **changed):
    """A good response, with headers replaced (None: left out) by keyword, and whole lines added."""
    fields = {**GOOD, **{name.replace("_", "-"): value for name, value in changed.items()}}
    lines = [
        f"HTTP/1.1 {status}",
        *(f"{name}: {value}" for name, value in fields.items() if value is not None),
    ]
    return ("\r\n".join([*lines, *more]) + "\r\n\r\n").encode()


def check(head, subprotocols=(), extensions=()):
    check_response(parse_response(head), KEY, list(subprotocols), list(extensions), head)


def test_the_front_module_offers_what_it_names():
    for name in handshake.__all__:
        assert hasattr(handshake, name)
    assert all(inspect.getdoc(getattr(handshake, name)) for name in handshake.__all__)


# ---------------------------------------------------------------------------------------- check_headers


def test_headers_are_taken_as_mapping_or_pairs():
    pairs = [("X-A", "1"), ("X-A", "2")]

    assert check_headers(pairs) == check_headers(iter(pairs)) == pairs
    assert check_headers({"X-A": "1"}) == [("X-A", "1")]
    assert check_headers(None) == []


@pytest.mark.parametrize(
    "headers",
    [{"X": 1}, {"X": None}, {"X": b"y"}, {b"X": "y"}, "X: y", b"X", 1, [("X", "y", "z")], [1], ["ab"]],
)
def test_headers_of_other_types_are_a_type_error(headers):
    with pytest.raises(TypeError):
        check_headers(headers)


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\n", "\r", "a\0", "\x7f", "\x1b[0m", "€", "\ud800"])
def test_values_that_cannot_be_sent_are_a_value_error(value):
    with pytest.raises(ValueError, match="'X-A'"):
        check_headers({"X-A": value})


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\n", "é", "(a)", "a\t"])
def test_names_that_are_no_token_are_a_value_error(name):
    with pytest.raises(ValueError, match="not a token"):
        check_headers({name: "x"})


@pytest.mark.parametrize(
    "name",
    [
        "Upgrade",
        "CONNECTION",
        "Sec-WebSocket-Key",
        "sec-websocket-version",
        "Sec-WebSocket-Accept",
        "Content-Length",
        "Transfer-Encoding",
    ],
)
def test_headers_of_the_handshake_itself_are_refused(name):
    with pytest.raises(ValueError, match="written by the handshake itself"):
        check_headers({name: "x"})


@pytest.mark.parametrize(
    "headers",
    [
        [("Host", "a"), ("host", "b")],
        [("Authorization", "a"), ("authorization", "b")],
        [("Host", "")],
        [("Host", "a b")],
        [("Sec-WebSocket-Extensions", "x;")],
    ],
)
def test_headers_that_a_server_must_refuse_are_refused_here(headers):
    with pytest.raises(ValueError, match=r"once|Host|malformed"):
        check_headers(headers)


# ---------------------------------------------------------------------------------------- build_request


def test_keys_are_16_bytes_and_never_the_same():
    keys = {make_key() for _ in range(200)}

    assert len(keys) == 200
    assert {len(base64.b64decode(key, validate=True)) for key in keys} == {16}


def test_request_is_byte_for_byte():
    url = parse_url("wss://user:pass@example.com:8443/feed?x=1")

    assert build_request(url, KEY, [("X-A", "é"), ("Sec-WebSocket-Protocol", "chat")]) == (
        b"GET /feed?x=1 HTTP/1.1\r\n"
        b"Host: example.com:8443\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Sec-WebSocket-Version: 13\r\n"
        b"Authorization: Basic dXNlcjpwYXNz\r\n"
        b"X-A: \xe9\r\n"
        b"Sec-WebSocket-Protocol: chat\r\n\r\n"
    )


def test_host_and_authorization_of_the_caller_win():
    request = build_request(
        parse_url("ws://user:pass@h/"),
        KEY,
        check_headers([("host", "other:1"), ("AUTHORIZATION", "Bearer t")]),
    ).lower()

    assert request.count(b"\r\nhost: ") == 1
    assert b"\r\nhost: other:1\r\n" in request
    assert request.count(b"\r\nauthorization: ") == 1
    assert b"\r\nauthorization: bearer t\r\n" in request


@pytest.mark.parametrize("path", ["/a\r\nX: y", "/a b", "/é", "x"])
def test_a_hand_made_url_cannot_break_the_request_line(path):
    url = WSParsedURL("ws://h/", "ws", False, "h", "h", 80, path, "")

    with pytest.raises(ValueError, match="parse_url"):
        build_request(url, KEY, [])


def test_a_hand_made_url_cannot_break_the_host_header():
    url = WSParsedURL("ws://h/", "ws", False, "h", "h\r\nX: y", 80, "/", "")

    with pytest.raises(ValueError, match="'Host'"):
        build_request(url, KEY, [])


# ------------------------------------------------------------------------------------ response_head_end


def test_response_head_is_found_whatever_the_cuts():
    head = response_head()

    for seen in range(len(head)):
        assert response_head_end(bytearray(head[:seen])) == -1
        assert response_head_end(head + b"\x81\x00", seen) == len(head)


@pytest.mark.parametrize(
    "data",
    [
        b"\x00",
        b"\x15\x03\x01\x00\x02",
        b"SSH-2.0-x\r\n",
        b"HTTP/2",
        b"HTTP/1.1 101 x\n",
        b"\r\n",
        b"HTTP/1.1 101 " + b"x" * MAX_HEADER_BYTES,
    ],
)
def test_what_cannot_become_a_response_is_told_at_once(data):
    with pytest.raises(WSInvalidMessageError) as caught:
        response_head_end(data)

    assert caught.value.raw_header == data[:MAX_HEADER_BYTES]


# --------------------------------------------------------------------------------------- parse_response


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"HTTP/1.1 101 Switching Protocols", 101),
        (b"HTTP/1.1 101 null", 101),
        (b"HTTP/1.1 101 ", 101),
        (b"HTTP/1.1 101", 101),
        (b"HTTP/1.1 101 Web Socket Protocol Handshake \xe9", 101),
        (b"HTTP/1.1 520 ", 520),
        (b"HTTP/1.1 999 x", 999),
        (b"HTTP/1.0 403 Forbidden", 403),
    ],
)
def test_status_lines_of_the_wild_are_read(line, status):
    response = parse_response(line + b"\r\nA: b\r\n\r\n")

    assert response.status == status
    assert response.version == line[:8]
    assert list(response.headers.items()) == [("A", "b")]
    assert response.body is None


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 10\r\n\r\n",
        b"HTTP/1.1 1010 x\r\n\r\n",
        b"HTTP/1.1 099 x\r\n\r\n",
        b"HTTP/1.1  101 x\r\n\r\n",
        b"HTTP/1.1\t101 x\r\n\r\n",
        b" HTTP/1.1 101 x\r\n\r\n",
        b"http/1.1 101 x\r\n\r\n",
        b"HTTP/1.2 101 x\r\n\r\n",
        b"HTTP/2.0 101 x\r\n\r\n",
        b"HTTP/1.1 101 a\x00b\r\n\r\n",
        b"HTTP/1.1 101 a\rb\r\n\r\n",
        b"HTTP/1.0 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 101 x\r\nA: b\r\n folded\r\n\r\n",
        b"HTTP/1.1 101 x\r\nA : b\r\n\r\n",
        b"HTTP/1.1 101 x\r\n" + b"A: b\r\n" * 129 + b"\r\n",
        b"HTTP/1.1 101 x\r\nA: " + b"b" * MAX_HEADER_BYTES + b"\r\n\r\n",
    ],
)
def test_a_malformed_response_is_refused_with_its_bytes(head):
    with pytest.raises(WSInvalidMessageError) as caught:
        parse_response(head)

    assert caught.value.raw_header == head
    assert caught.value.response is None


def test_interim_responses_are_told_from_final_ones():
    interim = {n for n in range(100, 600) if is_interim(parse_response(b"HTTP/1.1 %d x\r\n\r\n" % n))}

    assert interim == set(range(100, 200)) - {101}


# --------------------------------------------------------------------------------------- check_response


@pytest.mark.parametrize(
    "head",
    [
        response_head(),
        response_head(Upgrade="WebSocket", Connection="upgrade"),
        response_head(Connection="keep-alive, Upgrade"),
        response_head("Connection: Upgrade", Connection="keep-alive"),
        response_head(Upgrade="h2c, websocket"),
        response_head("Content-Length: 0"),
        response_head("Server: x", "Date: y", "Set-Cookie: a", "Set-Cookie: b"),
        response_head("Sec-WebSocket-Protocol: "),
    ],
)
def test_a_good_response_passes(head):
    check(head)


@pytest.mark.parametrize(
    "status", ["200 OK", "100 Continue", "301 Moved Permanently", "403 Forbidden", "520 "]
)
def test_another_status_is_reported_with_the_response(status):
    head = response_head(status=status)

    with pytest.raises(WSInvalidStatusError, match=f"got {status.strip()}") as caught:
        check(head)

    assert caught.value.raw_header == head
    assert caught.value.response.status == int(status[:3])


@pytest.mark.parametrize(
    ("head", "name", "value"),
    [
        (response_head(Upgrade=None), "Upgrade", None),
        (response_head(Upgrade="h2c"), "Upgrade", "h2c"),
        (response_head(Upgrade="websocket/13"), "Upgrade", "websocket/13"),
        (response_head(Upgrade="web socket"), "Upgrade", "web socket"),
        (response_head(Connection=None), "Connection", None),
        (response_head(Connection="close"), "Connection", "close"),
        (response_head(Connection="keep-alive, upgraded"), "Connection", "keep-alive, upgraded"),
    ],
)
def test_upgrade_and_connection_must_name_the_protocol(head, name, value):
    with pytest.raises(WSInvalidUpgradeError) as caught:
        check(head)

    assert (caught.value.name, caught.value.value, caught.value.raw_header) == (name, value, head)
    assert caught.value.response.status == 101


ACCEPT = GOOD["Sec-WebSocket-Accept"]


@pytest.mark.parametrize(
    ("head", "name", "value"),
    [
        (response_head(Sec_WebSocket_Accept=None), "Sec-WebSocket-Accept", None),
        (response_head(Sec_WebSocket_Accept=""), "Sec-WebSocket-Accept", ""),
        (response_head(Sec_WebSocket_Accept=KEY), "Sec-WebSocket-Accept", KEY),
        (response_head(Sec_WebSocket_Accept=ACCEPT.lower()), "Sec-WebSocket-Accept", ACCEPT.lower()),
        (response_head(f"Sec-WebSocket-Accept: {ACCEPT}"), "Sec-WebSocket-Accept", f"{ACCEPT}, {ACCEPT}"),
        (response_head("Transfer-Encoding: chunked"), "Transfer-Encoding", "chunked"),
        (response_head("Content-Length: 1"), "Content-Length", "1"),
        (response_head("Content-Length: x"), "Content-Length", "x"),
        (response_head("Content-Length: 0", "Content-Length: 5"), "Content-Length", "0, 5"),
        (response_head("Sec-WebSocket-Protocol: chat"), "Sec-WebSocket-Protocol", "chat"),
        (
            response_head("Sec-WebSocket-Extensions: permessage-deflate"),
            "Sec-WebSocket-Extensions",
            "permessage-deflate",
        ),
    ],
)
def test_a_wrong_header_is_named(head, name, value):
    with pytest.raises(WSInvalidHeaderError) as caught:
        check(head)

    assert type(caught.value) is WSInvalidHeaderError
    assert (caught.value.name, caught.value.value, caught.value.raw_header) == (name, value, head)
    assert name in str(caught.value)


def test_the_server_may_choose_from_the_offer_only():
    chosen = response_head("Sec-WebSocket-Protocol: b", "Sec-WebSocket-Extensions: x-foo; a=1")

    check(chosen, ["a", "b"], ["x-foo"])
    for subprotocols, extensions in ((["a"], ["x-foo"]), (["a", "b"], ["x-bar"])):
        with pytest.raises(WSInvalidHeaderError, match="offered"):
            check(chosen, subprotocols, extensions)


@given(st.binary(max_size=400))
def test_any_bytes_are_a_response_or_a_handshake_error(data):
    for wire in (data, b"HTTP/1.1 " + data, response_head()[:-2] + data + b"\r\n\r\n"):
        with contextlib.suppress(WSHandshakeError):
            end = response_head_end(wire)
            if end >= 0:
                check(wire[:end])


@pytest.mark.parametrize("cut", [b"\r\n", b": ", b"HTTP/1.1 101", b"websocket", b"Upgrade", b"Accept"])
def test_a_response_that_lacks_a_part_never_passes(cut):
    with pytest.raises(WSHandshakeError):
        check(response_head().replace(cut, b"", 1))


# ----------------------------------------------------------------------------------------------- bodies


def test_body_length_of_a_refusal():
    def length(*lines):
        return response_body_length(parse_response(response_head(*lines, status="403 Forbidden")))

    assert length() is None
    assert length("Content-Length: 7") == 7
    assert length("Transfer-Encoding: chunked") == "chunked"
    with pytest.raises(WSInvalidHeaderError) as caught:
        length("Content-Length: 7", "Content-Length: 8")
    assert (caught.value.name, caught.value.value) == ("Content-Length", "7, 8")
    assert caught.value.response.status == 403


def test_accept_is_a_function_of_the_key():
    assert accept_for(KEY) == ACCEPT
