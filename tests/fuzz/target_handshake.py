"""Any answer or request in any pieces: an upgrade, a documented error, or more is wanted; limits hold."""

import base64

from picows import WSListener, WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener
from picows.errors import WSHandshakeError, WSInvalidStatusError
from picows.handshake import (
    MAX_BODY_BYTES,
    MAX_HEADER_BYTES,
    accept_for,
    check_response,
    offered_extensions,
    offered_subprotocols,
    origin_is_allowed,
    parse_response,
)
from picows.upgrading import ClientUpgrade, Refused, ServerUpgrade

from .inputs import Choices, pieces

KEY = base64.b64encode(bytes(16)).decode()
SWITCHING = (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Accept: {accept_for(KEY)}\r\n"
).encode()
REQUEST = (
    "GET /a?b HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n"
).encode()


def seeds():
    """Answers and requests of all kinds; the last two bytes choose the side and its options."""
    for answer in (
        SWITCHING + b"\r\n",
        SWITCHING + b"Sec-WebSocket-Protocol: v1\r\n\r\n\x81\x02hi",
        SWITCHING + b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=15\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + SWITCHING + b"\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nnot found",
        b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nlater\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.1 302 Found\r\nLocation: wss://b.test/\r\nContent-Length: 3\r\n\r\nabc",
    ):
        yield from (answer + bytes(4) + bytes([options, 0]) for options in (0, 1, 2, 3))
    for request in (
        REQUEST + b"\r\n",
        b"\r\n" + REQUEST + b"Origin: https://a.test\r\nSec-WebSocket-Protocol: v1, v2\r\n\r\n\x81\x80abcd",
        REQUEST + b'Sec-WebSocket-Extensions: permessage-deflate; a="b", x-y;q=1\r\n\r\n',
        REQUEST.replace(b"13", b"8") + b"\r\n",
        REQUEST + b"Content-Length: 4\r\n\r\nbody",
        b"POST / HTTP/1.1\r\nHost: a\r\n\r\n",
    ):
        yield from (request + bytes(4) + bytes([options, 1]) for options in (0, 1, 2, 3))


def check(data):
    choices = Choices(data)
    run = _server if choices.flag() else _client
    options = choices.number(4)
    cuts = choices.cuts(len(data))
    received = choices.payload()
    assert run(pieces(received, cuts), options) == run([received], options)


# ---------------------------------------------------------------- the client, and whatever answers it


def _client(parts, options):
    made = []

    def make_listener(request, response):
        made.append(WSListener())
        return made[-1]

    follows = bool(options & 1)
    offer = (["v1", "v2"], ["permessage-deflate"]) if options & 2 else ([], [])
    upgrade = ClientUpgrade(WSUpgradeRequest(), KEY, *offer, make_listener, follows)
    for index, part in enumerate(parts):
        try:
            upgraded = upgrade.feed(part)
        except WSHandshakeError as error:
            assert made == []
            return _outcome(error)
        if upgraded is not None:
            assert made == [upgraded.listener]
            assert upgraded.response.status == 101
            return "open", len(upgraded.rest) + sum(map(len, parts[index + 1 :]))
        assert len(upgrade._received) <= MAX_HEADER_BYTES
    return "wants more", _outcome(upgrade.end())


def _outcome(error):
    """What does not depend on how the bytes were cut; a redirect that is followed has no body yet."""
    assert str(error)
    if isinstance(error, WSInvalidStatusError):
        assert error.response.status != 101
        assert len(error.raw_body) <= MAX_BODY_BYTES
        return type(error), str(error), str(error.response.headers)
    # How much of what broke the grammar was there differs, and so does what is quoted of it.
    return (type(error),)


# ---------------------------------------------------------------- the server, and whatever asks it


def _server(parts, options):
    asked = []

    def factory(request):
        asked.append(request)
        origin_is_allowed(request, ["https://a.test"])
        if options == 1:
            return None
        if options == 2:
            return WSUpgradeResponseWithListener(WSUpgradeResponse.create_ok_response(b"hello"), None)
        if options == 3:
            chosen = offered_subprotocols(request.headers)[:1]
            answer = [("Sec-WebSocket-Protocol", name) for name in chosen]
            return WSUpgradeResponseWithListener(WSUpgradeResponse.create_101_response(answer), WSListener())
        return WSListener()

    upgrade = ServerUpgrade(factory)
    for index, part in enumerate(parts):
        try:
            upgraded = upgrade.feed(part)
        except Refused as refused:
            assert len(asked) <= 1
            assert refused.status != 500 or options == 3, repr(refused.__cause__)
            head, blank, _ = refused.answer.partition(b"\r\n\r\n")
            assert parse_response(head + blank).status == refused.status
            return refused.status, refused.answer
        if upgraded is not None:
            return "open", _accepted(upgraded), len(upgraded.rest) + sum(map(len, parts[index + 1 :]))
        assert len(upgrade._received) <= MAX_HEADER_BYTES
        assert asked == []
    assert isinstance(upgrade.end(), WSHandshakeError)
    return ("wants more",)


def _accepted(upgraded):
    """Our own client takes the answer that our server gives."""
    headers = upgraded.request.headers
    check_response(
        parse_response(upgraded.to_send),
        headers["Sec-WebSocket-Key"],
        offered_subprotocols(headers),
        offered_extensions(headers),
        upgraded.to_send,
    )
    return upgraded.to_send
