"""Upgrade and close objects: what they hold, what they refuse, how they look on the wire."""

import pickle
from http import HTTPStatus

import pytest
from multidict import CIMultiDict

from picows.upgrade import (
    WSCloseHandshake,
    WSCloseInfo,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
)

create_101 = WSUpgradeResponse.create_101_response
create_ok = WSUpgradeResponse.create_ok_response
create_error = WSUpgradeResponse.create_error_response
create_redirect = WSUpgradeResponse.create_redirect_response


def test_request_holds_bytes_and_case_insensitive_headers():
    request = WSUpgradeRequest(
        b"GET", b"/x", b"HTTP/1.1", CIMultiDict([("Host", "h"), ("A", "1"), ("a", "2")])
    )

    assert (request.method, request.path, request.version) == (b"GET", b"/x", b"HTTP/1.1")
    assert request.headers["host"] == "h"
    assert request.headers.getall("A") == ["1", "2"]
    assert WSUpgradeRequest().headers == CIMultiDict()


def test_101_keeps_the_callers_headers():
    response = create_101({"Sec-WebSocket-Protocol": "chat"})

    assert response.status is HTTPStatus.SWITCHING_PROTOCOLS
    assert response.to_bytes() == (
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"Sec-WebSocket-Protocol: chat\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    )


def test_ok_is_text_unless_a_header_says_otherwise():
    assert create_ok(b"fine").to_bytes() == (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 4\r\n\r\nfine"
    )
    assert create_ok(b"{}", [("Content-Type", "application/json")]).headers.getall("Content-Type") == [
        "application/json"
    ]


def test_an_empty_body_is_sent_as_such():
    assert b"Content-Length: 0\r\n" in create_ok(b"").to_bytes()
    assert b"Content-Length" not in create_ok().to_bytes()


def test_error_and_redirect():
    assert create_error(404).to_bytes() == b"HTTP/1.1 404 Not Found\r\n\r\n"
    assert create_error(HTTPStatus.FORBIDDEN, b"no").to_bytes() == (
        b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nno"
    )
    assert create_redirect(302, "wss://elsewhere/").to_bytes() == (
        b"HTTP/1.1 302 Found\r\nLocation: wss://elsewhere/\r\n\r\n"
    )


def test_a_status_without_a_name_stays_a_number():
    response = create_error(499)

    assert type(response.status) is int
    assert response.to_bytes() == b"HTTP/1.1 499 \r\n\r\n"


@pytest.mark.parametrize("status", [0, 101, 200, 302, 399, 600])
def test_an_error_needs_an_error_status(status):
    with pytest.raises(ValueError, match=f"from 400 to 599, got {status}"):
        create_error(status)


@pytest.mark.parametrize("status", [0, 101, 200, 400])
def test_a_redirect_needs_a_redirect_status(status):
    with pytest.raises(ValueError, match=f"from 300 to 399, got {status}"):
        create_redirect(status, "/")


CREATORS = [create_101, lambda h: create_ok(b"", h), lambda h: create_error(400, b"", h)]
CREATORS.append(lambda h: create_redirect(302, "/", h))


@pytest.mark.parametrize("create", CREATORS, ids=["101", "ok", "error", "redirect"])
@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ({"X": "a\r\nSet-Cookie: b"}, ValueError),
        ({"X": "a\nb"}, ValueError),
        ({"X": "a\0"}, ValueError),
        ({"X: y": "z"}, ValueError),
        ({"": "z"}, ValueError),
        ({"X": "€"}, ValueError),
        ({"X": 1}, TypeError),
        ({"X": b"y"}, TypeError),
        ({1: "x"}, TypeError),
        ("X: y", TypeError),
        ([("X",)], TypeError),
        (["Xy"], TypeError),
        (7, TypeError),
    ],
)
def test_a_header_that_cannot_be_sent_is_refused_at_once(create, headers, error):
    with pytest.raises(error):
        create(headers)


def test_a_header_set_later_is_refused_when_sent():
    response = create_101()
    response.headers["X"] = "a\r\nb"

    with pytest.raises(ValueError, match=r"header 'X': value has '\\r' at position 1"):
        response.to_bytes()


def test_a_location_cannot_smuggle_headers():
    with pytest.raises(ValueError, match="'Location'"):
        create_redirect(302, "/\r\nSet-Cookie: a=b")


@pytest.mark.parametrize("status", [101, 100, 204, 304])
def test_a_body_where_none_may_be_is_refused(status):
    response = WSUpgradeResponse(status=status, body=b"x")

    with pytest.raises(ValueError, match=f"status {status} has no body"):
        response.to_bytes()


def test_a_str_body_is_refused_with_advice():
    with pytest.raises(TypeError, match="encode a str first"):
        create_ok("text")
    response = create_ok(b"text")
    response.body = "text"
    with pytest.raises(TypeError, match="encode a str first"):
        response.to_bytes()


def test_content_length_is_always_that_of_the_body():
    wire = create_ok(b"four", {"content-length": "999"}).to_bytes()

    assert wire.lower().count(b"content-length") == 1
    assert b"Content-Length: 4\r\n" in wire


def test_body_and_transfer_encoding_exclude_each_other():
    with pytest.raises(ValueError, match="Transfer-Encoding"):
        create_ok(b"x", {"Transfer-Encoding": "chunked"}).to_bytes()


def test_bytes_above_ascii_go_out_as_they_came_in():
    assert b"X: caf\xe9 \xc3\xa9\r\n" in create_101({"X": "café \udcc3\udca9"}).to_bytes()


def test_response_with_listener_must_fit_its_status():
    listener = object()

    assert WSUpgradeResponseWithListener(create_101(), listener).listener is listener
    assert WSUpgradeResponseWithListener(create_error(404), None).response.status == 404
    assert WSUpgradeResponseWithListener(create_ok(b"x"), None).listener is None
    with pytest.raises(ValueError, match="needs a listener"):
        WSUpgradeResponseWithListener(create_101(), None)
    with pytest.raises(ValueError, match="listener must be None beside status 404"):
        WSUpgradeResponseWithListener(create_error(404), listener)
    with pytest.raises(TypeError, match="got bytes"):
        WSUpgradeResponseWithListener(b"HTTP/1.1 101", listener)


def test_close_objects():
    handshake = WSCloseHandshake()
    assert (handshake.recv, handshake.sent, handshake.recv_then_sent) == (None, None, False)

    handshake.recv = WSCloseInfo(1000, "bye")

    assert handshake.recv == WSCloseInfo(1000, "bye")
    with pytest.raises(AttributeError):
        handshake.recv.code = 1001


def test_requests_and_responses_survive_pickling():
    request = pickle.loads(pickle.dumps(WSUpgradeRequest(path=b"/x", headers=CIMultiDict(a="b"))))
    response = pickle.loads(pickle.dumps(create_error(404, b"gone")))

    assert (request.path, request.headers["A"]) == (b"/x", "b")
    assert (response.status, response.body) == (404, b"gone")
