"""The opening handshake as it arrives: cut at any byte, refused with a body, with interim responses."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from picows import (
    WSHandshakeError,
    WSInvalidHeaderError,
    WSInvalidMessageError,
    WSInvalidStatusError,
    WSInvalidUpgradeError,
    WSListener,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
)
from picows.handshake import build_request, make_key, parse_request
from picows.http1 import MAX_BODY_BYTES, MAX_HEADER_BYTES
from picows.upgrading import ClientUpgrade, Refused, ServerUpgrade
from picows.url import parse_url

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = base64.b64encode(hashlib.sha1(KEY.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
GOOD_101 = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\n\r\n"
)
REST = b"\x81\x02hi\x89\x00"


def client(make_listener=lambda request, response: WSListener(), subprotocols=()):
    request = parse_request(build_request(parse_url("ws://example.com/feed"), KEY, []))
    return ClientUpgrade(request, KEY, list(subprotocols), [], make_listener)


def server(factory=lambda request: WSListener()):
    return ServerUpgrade(factory)


def feed(upgrade, data, cuts=()):
    """Feed in pieces; what it gives or raises, and how many bytes were needed. Later bytes count as rest."""
    fed = 0
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        fed = end
        try:
            outcome = upgrade.feed(data[start:end])
        except (WSHandshakeError, Refused) as error:
            return error, fed
        if outcome is not None:
            return outcome, fed
    return None, fed


# ------------------------------------------------------------------------------------------------- the client


def test_every_cut_of_a_101_gives_the_same_upgrade():
    for cut in range(1, len(GOOD_101) + len(REST)):
        data = GOOD_101 + REST
        outcome, fed = feed(client(), data, (cut,))

        assert outcome.rest + data[fed:] == REST
        assert outcome.response.status == 101
        assert (outcome.to_send, outcome.request.path) == (b"", b"/feed")


def test_byte_by_byte_the_upgrade_is_done_with_the_last_byte():
    outcome, fed = feed(client(), GOOD_101, range(1, len(GOOD_101)))

    assert (outcome.rest, fed) == (b"", len(GOOD_101))


def test_the_listener_is_made_once_and_only_for_a_valid_101():
    made = []

    feed(client(lambda *arguments: made.append(arguments)), GOOD_101, range(1, len(GOOD_101)))
    feed(client(lambda *arguments: made.append(arguments)), GOOD_101.replace(ACCEPT, b"wrong"))

    assert len(made) == 1
    assert made[0][0].path == b"/feed"
    assert made[0][1].status == 101


def test_what_make_listener_raises_comes_out():
    def fail(request, response):
        raise LookupError("no listener")

    with pytest.raises(LookupError):
        client(fail).feed(GOOD_101)


@given(cuts=st.lists(st.integers(1, 300), max_size=5), interim=st.integers(0, 15))
def test_interim_responses_are_passed_over(cuts, interim):
    data = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * interim + GOOD_101

    outcome, _ = feed(client(), data, sorted({cut for cut in cuts if cut < len(data)}))

    assert outcome.response.status == 101


def test_interim_responses_without_end_are_refused():
    data = b"HTTP/1.1 100 Continue\r\n\r\n" * 100

    outcome, _ = feed(client(), data + GOOD_101)

    assert isinstance(outcome, WSHandshakeError)


BODIES = {
    "a length": (b"Content-Length: 5\r\n\r\nno way", b"no wa"),
    "chunks": (b"Transfer-Encoding: chunked\r\n\r\n3\r\nno \r\n3;x=y\r\nway\r\n0\r\n\r\n", b"no way"),
    "no body": (b"Content-Length: 0\r\n\r\n", b""),
}


@pytest.mark.parametrize("kind", BODIES)
def test_the_body_of_a_refusal_is_told_however_it_is_cut(kind):
    tail, body = BODIES[kind]
    data = b"HTTP/1.1 403 Forbidden\r\nX-Why: terms\r\n" + tail
    for cuts in ((), range(1, len(data)), (30,), (len(data) - 1,)):
        error, _ = feed(client(), data, cuts)

        assert type(error) is WSInvalidStatusError
        assert error.response.status == 403
        assert error.response.headers["x-why"] == "terms"
        assert error.raw_body == body


def test_a_body_that_ends_with_the_connection_is_told_then():
    upgrade = client()
    assert upgrade.feed(b"HTTP/1.1 502 Bad Gateway\r\n\r\n<html>") is None
    assert upgrade.feed(b"oops</html>") is None

    assert upgrade.is_refused
    error = upgrade.end()
    assert (type(error), error.raw_body) == (WSInvalidStatusError, b"<html>oops</html>")


def test_a_wrong_101_tells_what_followed_its_head():
    error, _ = feed(client(), b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\nmore")

    assert (type(error), error.raw_body) == (WSInvalidUpgradeError, b"more")


def test_a_body_without_end_is_cut():
    upgrade = client()
    upgrade.feed(b"HTTP/1.1 500 Oops\r\n\r\n")

    def feed_without_end():
        for _ in range(1000):
            upgrade.feed(b"x" * 1000)

    with pytest.raises(WSInvalidStatusError) as caught:
        feed_without_end()

    assert len(caught.value.raw_body) == MAX_BODY_BYTES


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", WSInvalidMessageError),
        (b"HTTP/1.1 101\nUpgrade: websocket\n\n", WSInvalidMessageError),
        (b"HTTP/1.1 101 x\r\n folded: y\r\n\r\n", WSInvalidMessageError),
        (b"HTTP/1.1 101 x\r\n" + b"a: b\r\n" * 200 + b"\r\n", WSInvalidMessageError),
        (b"x" * (MAX_HEADER_BYTES + 1), WSInvalidMessageError),
        (GOOD_101.replace(b"websocket", b"h2c"), WSInvalidUpgradeError),
        (GOOD_101.replace(b"Connection: Upgrade", b"Connection: close"), WSInvalidUpgradeError),
        (GOOD_101.replace(ACCEPT, ACCEPT[::-1]), WSInvalidHeaderError),
        (GOOD_101.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Protocol: v9\r\n\r\n"), WSHandshakeError),
        (GOOD_101.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Extensions: x\r\n\r\n"), WSHandshakeError),
    ],
)
def test_an_answer_that_is_no_upgrade_is_refused_however_it_is_cut(data, error):
    for cuts in ((), range(1, len(data)) if len(data) < 2000 else (1000, 5000)):
        outcome, _ = feed(client(), data, cuts)

        assert isinstance(outcome, error)


@pytest.mark.parametrize("received", [0, 1, 40, len(GOOD_101) - 1])
def test_a_peer_that_hangs_up_is_a_handshake_error_with_what_came(received):
    upgrade = client()
    if received:
        assert upgrade.feed(GOOD_101[:received]) is None

    error = upgrade.end()

    assert type(error) is WSHandshakeError
    assert error.raw_header == (GOOD_101[:received] or None)


@given(data=st.binary(max_size=200), cuts=st.lists(st.integers(1, 200), max_size=4))
def test_any_bytes_from_a_server_are_an_answer_or_a_handshake_error(data, cuts):
    for prefix in (b"", b"HTTP/1.1 101 x\r\n", b"HTTP/1.1 404 x\r\nTransfer-Encoding: chunked\r\n\r\n"):
        whole = prefix + data
        outcome, _ = feed(client(), whole, sorted({cut for cut in cuts if cut < len(whole)}))

        assert outcome is None or isinstance(outcome, WSHandshakeError)


# ------------------------------------------------------------------------------------------------- the server

REQUEST = (
    b"GET /feed HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + KEY.encode() + b"\r\n\r\n"
)


def test_every_cut_of_a_request_gives_the_same_upgrade():
    data = REQUEST + REST
    for cut in range(1, len(data)):
        outcome, fed = feed(server(), data, (cut,))

        assert outcome.rest + data[fed:] == REST
        assert outcome.to_send.startswith(b"HTTP/1.1 101 ")
        assert ACCEPT in outcome.to_send


def test_both_sides_agree():
    request = build_request(parse_url("ws://example.com/feed"), KEY, [])

    answer, _ = feed(server(), request, range(1, len(request)))
    outcome, _ = feed(client(), answer.to_send, range(1, len(answer.to_send)))

    assert outcome.response.status == answer.response.status == 101


def test_keys_differ():
    assert len({make_key() for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (REQUEST.replace(b"GET", b"POST"), (400, 405)),
        (REQUEST.replace(b"Host: example.com\r\n", b""), (400,)),
        (REQUEST.replace(b"Version: 13", b"Version: 8"), (426,)),
        (REQUEST.replace(b"Upgrade: websocket\r\n", b""), (400, 426)),
        (REQUEST.replace(KEY.encode(), b"short"), (400,)),
        (REQUEST.replace(b"\r\n", b"\n"), (400,)),
        (b"x: y\r\n" * 4000, (400, 431)),
        (REQUEST[:-2] + b"a: b\r\n" * 200 + b"\r\n", (431,)),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(30) + b"\r\n\r\n", (400,)),
    ],
)
def test_a_wrong_request_is_answered_with_its_status_however_it_is_cut(request_bytes, status):
    cuts = (
        range(1, len(request_bytes)) if len(request_bytes) < 3000 else range(1000, len(request_bytes), 1000)
    )
    for pieces in ((), cuts):
        outcome, _ = feed(server(), request_bytes, pieces)

        assert isinstance(outcome, Refused)
        assert outcome.status in status
        assert outcome.answer.startswith(b"HTTP/1.1 %d " % outcome.status)


def raise_in_factory(request):
    raise LookupError("a secret of the inside")


@pytest.mark.parametrize(
    ("factory", "status"),
    [
        (lambda request: None, 404),
        (raise_in_factory, 500),
        (lambda request: 5, 500),
        (lambda request: WSListener, 500),
        (
            lambda request: WSUpgradeResponseWithListener(
                WSUpgradeResponse.create_error_response(403, b"no"), None
            ),
            403,
        ),
        (
            lambda request: WSUpgradeResponseWithListener(
                WSUpgradeResponse.create_ok_response(b"fine"), None
            ),
            200,
        ),
    ],
)
def test_the_factory_decides(factory, status):
    outcome, _ = feed(server(factory), REQUEST)

    assert isinstance(outcome, Refused)
    assert outcome.status == status
    assert outcome.answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"secret" not in outcome.answer


@given(data=st.binary(max_size=300), cuts=st.lists(st.integers(1, 300), max_size=4))
def test_any_bytes_from_a_client_are_a_request_or_refused(data, cuts):
    for prefix in (b"", b"GET / HTTP/1.1\r\nHost: a\r\n"):
        whole = prefix + data
        outcome, _ = feed(server(), whole, sorted({cut for cut in cuts if cut < len(whole)}))

        assert outcome is None or isinstance(outcome, Refused)


def test_a_server_peer_that_hangs_up_is_told():
    upgrade = server()
    upgrade.feed(REQUEST[:50])

    assert type(upgrade.end()) is WSHandshakeError
