"""The server's side of the opening handshake, and both sides against each other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from picows.handshake import (
    MAX_HEADER_BYTES,
    RequestRefused,
    accept_for,
    build_101,
    build_answer,
    check_request,
    check_response,
    parse_request,
    parse_response,
    refusal_bytes,
    request_head_end,
    response_head_end,
)
from picows.upgrade import WSUpgradeRequest, WSUpgradeResponse

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
GOOD = {
    "Host": "example.com",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}


def request_head(*more, line="GET /feed?x=1 HTTP/1.1", **changed):
    """A good request, with headers replaced (None: left out) by keyword, and whole lines added."""
    fields = {**GOOD, **{name.replace("_", "-"): value for name, value in changed.items()}}
    lines = [line, *(f"{name}: {value}" for name, value in fields.items() if value is not None)]
    return ("\r\n".join([*lines, *more]) + "\r\n\r\n").encode()


def refusal_of(function, argument):
    with pytest.raises(RequestRefused) as caught:
        function(argument)
    return caught.value


# ------------------------------------------------------------------------------------- request_head_end


@pytest.mark.parametrize("lead", [b"", b"\r\n", b"\r\n\r\n\r\n"])
def test_request_head_is_found_whatever_the_cuts(lead):
    head = lead + request_head()

    for seen in range(len(head)):
        assert request_head_end(bytearray(head[:seen])) == -1
        for start in range(0, seen + 1, 7):
            assert request_head_end(head + b"\x81\x80abcd\n\n", start) == len(head)
    assert parse_request(head).path == b"/feed?x=1"


@pytest.mark.parametrize(
    "data",
    [
        b"\n",
        b"GET / HTTP/1.1\n",
        b"GET / HTTP/1.1\nHost: h\n\n",
        b"GET / HTTP/1.1\r\nHost: h\n",
        b"\r\n\n",
        b"\r\n\r\n GET",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"\x00",
        b"\r\r",
        b"\rGET",
        b'{"json": 1}',
    ],
)
def test_what_cannot_become_a_request_is_refused_at_once(data):
    assert refusal_of(request_head_end, data).status == 400


def test_a_refused_buffer_is_free_to_be_changed():
    for data in (b"\x16\x03", b"GET /\n", b"x" * MAX_HEADER_BYTES):
        buf = bytearray(data)
        refusal = refusal_of(request_head_end, buf)
        buf.clear()  # BufferError if the error or its traceback held a view

        assert refusal.status in (400, 431)


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\nX: " + b"y" * MAX_HEADER_BYTES, b"\r\n" * (MAX_HEADER_BYTES // 2)]
)
def test_a_request_over_the_limit_is_431(data):
    refusal = refusal_of(request_head_end, data)

    assert refusal.status == 431
    assert b"HTTP/1.1 431 Request Header Fields Too Large\r\n" in refusal.to_bytes()


@given(st.binary(max_size=100), st.integers(0, 100))
def test_cuts_do_not_change_the_answer(data, cut):
    def answer(pieces):
        buf, seen = bytearray(), 0
        for piece in pieces:
            buf += piece
            try:
                end = request_head_end(buf, seen)
            except RequestRefused as exc:
                return exc.status
            if end >= 0:
                return end
            seen = len(buf)
        return -1

    for wire in (data, b"GET / HTTP/1.1\r\n" + data, request_head()[:-2] + data):
        assert answer([wire[:cut], wire[cut:]]) == answer([wire[i : i + 1] for i in range(len(wire))])


# ---------------------------------------------------------------------------------------- parse_request


def test_a_request_is_taken_apart_into_bytes_and_headers():
    request = parse_request(bytearray(request_head("X-A: 1", "x-a: caf\udce9".replace("\udce9", "é"))))

    assert (request.method, request.path, request.version) == (b"GET", b"/feed?x=1", b"HTTP/1.1")
    assert request.headers["sec-websocket-key"] == KEY
    assert request.headers.getall("X-A") == ["1", "caf\udcc3\udca9"]


@pytest.mark.parametrize("target", ["/", "/%20?a=b", "http://example.com/feed", "ws://h/", "/é"])
def test_targets_that_are_allowed(target):
    assert parse_request(request_head(line=f"GET {target} HTTP/1.1")).path == target.encode()


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("GET / HTTP/1.0", 505),
        ("GET / HTTP/2.0", 505),
        ("PRI * HTTP/2.0", 505),
        ("GET / HTTP/0.9", 505),
        ("POST / HTTP/1.1", 405),
        ("get / HTTP/1.1", 405),
        ("CONNECT h:80 HTTP/1.1", 405),
        ("GET /", 400),
        ("GET", 400),
        ("", 400),
        ("GET  / HTTP/1.1", 400),
        ("GET / HTTP/1.1 ", 400),
        ("GET / HTTP/1.10", 400),
        ("GET / http/1.1", 400),
        ("GET /a b HTTP/1.1", 400),
        ("GET /a\tb HTTP/1.1", 400),
        ("GET * HTTP/1.1", 400),
        ("GET feed HTTP/1.1", 400),
        ("G(T / HTTP/1.1", 400),
        ("GET\t/ HTTP/1.1", 400),
        ("GET /\0 HTTP/1.1", 400),
    ],
)
def test_a_bad_request_line_gets_its_status(line, status):
    refusal = refusal_of(parse_request, b"X" * (not line) + request_head(line=line))

    assert refusal.status == status
    assert (b"Allow: GET\r\n" in refusal.to_bytes()) == (status == 405)


@pytest.mark.parametrize("field", [" folded", "No colon", "Spa ce: x", "X : y", "X: a\0", "X: a\rb", ": x"])
def test_a_bad_field_is_400_and_is_not_quoted(field):
    refusal = refusal_of(parse_request, request_head(field))

    assert refusal.status == 400
    assert field.strip().encode() not in refusal.to_bytes()
    assert "header line" in str(refusal.__cause__)


def test_more_than_128_fields_are_431():
    parse_request(request_head(*["A: b"] * (128 - len(GOOD))))

    assert refusal_of(parse_request, request_head(*["A: b"] * (129 - len(GOOD)))).status == 431


# ---------------------------------------------------------------------------------------- check_request


@pytest.mark.parametrize(
    "head",
    [
        request_head(),
        request_head(Upgrade="WebSocket", Connection="keep-alive, Upgrade"),
        request_head("Connection: Upgrade", Connection="keep-alive"),
        request_head(Upgrade="websocket, h2c"),
        request_head(Host="[::1]:9000"),
        request_head("Content-Length: 0"),
        request_head("Origin: null", "Cookie: a=b"),
        request_head("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"),
    ],
)
def test_a_good_request_yields_its_key(head):
    assert check_request(parse_request(head)) == KEY


@pytest.mark.parametrize(
    "head",
    [
        request_head(Host=None),
        request_head("Host: example.com"),
        request_head(Host=""),
        request_head(Host="a, b"),
        request_head(Host="user@h"),
        request_head(Host="h/path"),
        request_head(Upgrade=None),
        request_head(Upgrade="h2c"),
        request_head(Connection=None),
        request_head(Connection="keep-alive"),
        request_head(Sec_WebSocket_Key=None),
        request_head(Sec_WebSocket_Key=""),
        request_head("Sec-WebSocket-Key: " + KEY),
        request_head(Sec_WebSocket_Key=KEY[:-1]),
        request_head(Sec_WebSocket_Key="AAAA"),
        request_head(Sec_WebSocket_Key=KEY + "AAAA"),
        request_head(Sec_WebSocket_Key="*" + KEY[1:]),
        request_head(Sec_WebSocket_Key=KEY[:8] + " " + KEY[8:]),
        request_head(Sec_WebSocket_Key="é" * 24),
        request_head("Content-Length: 3"),
        request_head("Content-Length: x"),
        request_head("Content-Length: 0", "Content-Length: 3"),
        request_head("Transfer-Encoding: chunked"),
        request_head("Sec-WebSocket-Extensions: a;"),
    ],
)
def test_a_request_that_breaks_the_rfc_is_400(head):
    assert refusal_of(check_request, parse_request(head)).status == 400


@pytest.mark.parametrize(
    "head",
    [
        request_head(Sec_WebSocket_Version=None),
        request_head(Sec_WebSocket_Version="8"),
        request_head(Sec_WebSocket_Version="7"),
        request_head(Sec_WebSocket_Version="14"),
        request_head(Sec_WebSocket_Version="013"),
        request_head(Sec_WebSocket_Version="13, 8"),
        request_head("Sec-WebSocket-Version: 8"),
    ],
)
def test_another_version_is_426_and_told_the_right_one(head):
    refusal = refusal_of(check_request, parse_request(head))
    answer = parse_response(refusal.to_bytes().partition(b"\r\n\r\n")[0] + b"\r\n\r\n")

    assert answer.status == 426
    assert answer.headers["Sec-WebSocket-Version"] == "13"
    assert answer.headers["Upgrade"] == "websocket"
    assert answer.headers["Connection"] == "Upgrade, close"  # RFC 9110 7.8


@given(st.binary(max_size=300))
def test_any_bytes_are_a_request_or_a_refusal(data):
    for wire in (data, b"GET / HTTP/1.1\r\n" + data + b"\r\n\r\n", request_head()[:-2] + data + b"\r\n\r\n"):
        try:
            end = request_head_end(wire)
            if end < 0:
                continue
            check_request(parse_request(wire[:end]))
        except RequestRefused as exc:
            answer = exc.to_bytes()
        else:
            continue
        assert response_head_end(answer) > 0


# --------------------------------------------------------------------------------------------- answers


def a_request(*more):
    return parse_request(request_head(*more))


def test_the_plain_101_is_byte_for_byte():
    want = (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    )

    assert build_101(KEY, None, a_request()) == want
    assert build_101(KEY, WSUpgradeResponse.create_101_response(), a_request()) == want
    bare = WSUpgradeResponse(headers=CIMultiDict({"Sec-WebSocket-Accept": accept_for(KEY)}))
    assert build_101(KEY, bare, a_request()) == want


def test_the_listeners_headers_are_sent():
    request = a_request("Sec-WebSocket-Protocol: a, b", "Sec-WebSocket-Extensions: x-foo; y")
    headers = [("Sec-WebSocket-Protocol", "b"), ("Sec-WebSocket-Extensions", "x-foo"), ("Set-Cookie", "a=b")]

    answer = build_101(KEY, WSUpgradeResponse.create_101_response(headers), request)

    response = parse_response(answer)
    check_response(response, KEY, ["a", "b"], ["x-foo"], answer)
    assert [field for field in response.headers.items() if field in headers] == headers


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-WebSocket-Protocol": "c"},
        {"Sec-WebSocket-Protocol": "a, b"},
        {"Sec-WebSocket-Extensions": "x-bar"},
        {"Sec-WebSocket-Accept": "wrong"},
        {"Content-Length": "0"},
        {"Transfer-Encoding": "chunked"},
    ],
)
def test_a_101_that_the_client_must_refuse_is_not_built(headers):
    request = a_request("Sec-WebSocket-Protocol: a, b", "Sec-WebSocket-Extensions: x-foo")

    with pytest.raises(ValueError, match="response"):
        build_101(KEY, WSUpgradeResponse.create_101_response(headers), request)


@pytest.mark.parametrize(
    "response",
    [
        WSUpgradeResponse.create_error_response(404),
        WSUpgradeResponse.create_ok_response(b"x"),
        WSUpgradeResponse(body=b"frames?"),
        WSUpgradeResponse(headers=CIMultiDict({"X": "a\r\nb"})),
    ],
)
def test_build_101_builds_nothing_else(response):
    with pytest.raises(ValueError, match=r"101|'X'"):
        build_101(KEY, response, a_request())


def test_an_answer_that_is_no_upgrade_closes_the_connection():
    assert build_answer(
        WSUpgradeResponse.create_error_response(404, b"gone", {"Connection": "keep-alive"})
    ) == (
        b"HTTP/1.1 404 Not Found\r\nConnection: close\r\n"
        b"Content-Type: text/plain\r\nContent-Length: 4\r\n\r\ngone"
    )
    assert b"Content-Length: 0\r\n" in build_answer(WSUpgradeResponse.create_redirect_response(302, "/x"))
    assert b"Content-Length" not in build_answer(WSUpgradeResponse(status=204))


def test_build_answer_leaves_the_response_as_it_was():
    response = WSUpgradeResponse.create_error_response(404)
    build_answer(response)

    assert not response.headers


@pytest.mark.parametrize("status", [100, 101])
def test_an_interim_or_upgrade_status_is_no_final_answer(status):
    with pytest.raises(ValueError, match="final status"):
        build_answer(WSUpgradeResponse(status=status))


def test_a_refusal_is_byte_for_byte():
    assert refusal_bytes(404, "Not é.", [("X-A", "b")]) == (
        b"HTTP/1.1 404 Not Found\r\nX-A: b\r\nConnection: close\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Length: 7\r\n\r\nNot \xc3\xa9."
    )


def test_a_hand_made_request_is_checked_too():
    request = WSUpgradeRequest(headers=CIMultiDict(GOOD))

    assert check_request(request) == KEY
