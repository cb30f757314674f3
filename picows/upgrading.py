"""The opening handshake of one connection as it arrives: bytes in, the outcome out. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

from picows.deflate_negotiation import EXTENSION, HEADER, Agreed, PerMessageDeflate, check_answer, choose
from picows.errors import WSHandshakeError, WSInvalidHeaderError, WSInvalidStatusError
from picows.handshake import (
    MAX_BODY_BYTES,
    BodyReader,
    RequestRefused,
    build_101,
    build_answer,
    check_request,
    check_response,
    is_interim,
    offered_extensions,
    parse_request,
    parse_response,
    refusal_bytes,
    request_head_end,
    response_body_length,
    response_head_end,
)
from picows.redirect import is_redirect
from picows.upgrade import WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener

if TYPE_CHECKING:
    from picows.listener import WSListener

# A server that sends interim responses (103 Early Hints) for ever is not waited for.
_MAX_INTERIM = 16


class Upgraded(NamedTuple):
    """The connection is a WebSocket now."""

    listener: WSListener
    request: WSUpgradeRequest
    response: WSUpgradeResponse
    to_send: bytes  # the server's 101; empty on the client side
    rest: bytes  # frames that came right behind the handshake
    deflate: Agreed | None = None  # permessage-deflate, if both sides want it


class Refused(Exception):
    """The server does not upgrade: send `answer`, then close."""

    def __init__(self, status: int, answer: bytes, reason: str) -> None:
        super().__init__(status, reason)
        self.status = status
        self.answer = answer
        self.reason = reason


class ClientUpgrade:
    """What the server answers to our request.

    make_listener: called with (request, response) once the answer is a valid 101.
    follows_redirects: the body of a redirect is not waited for; nobody reads it.
    compression: what the request has offered with deflate_negotiation.with_offer().
    """

    def __init__(
        self,
        request: WSUpgradeRequest,
        key: str,
        subprotocols: list[str],
        extensions: list[str],
        make_listener: Callable[[WSUpgradeRequest, WSUpgradeResponse], WSListener],
        follows_redirects: bool = False,
        compression: PerMessageDeflate | None = None,
    ) -> None:
        self._request = request
        self._key = key
        self._subprotocols = subprotocols
        self._extensions = extensions
        self._make_listener = make_listener
        self._follows_redirects = follows_redirects
        self._compression = compression
        self._is_followed = False
        self._received = bytearray()
        self._seen = 0
        self._interim = 0
        self._refusal: WSInvalidStatusError | None = None
        self._body: BodyReader | None = None

    def feed(self, data: bytes) -> Upgraded | None:
        """Take what was received. None: more is wanted. Raises WSHandshakeError, or make_listener's."""
        if self._body is not None:
            self._feed_body(data)
            return None
        self._received += data
        while True:
            end = response_head_end(self._received, self._seen)
            self._seen = len(self._received)
            if end < 0:
                return None
            head = bytes(self._received[:end])
            rest = bytes(self._received[end:])
            response = parse_response(head)
            if is_interim(response) and self._interim < _MAX_INTERIM:
                self._interim += 1
                self._received = bytearray(rest)
                self._seen = 0
                continue
            return self._judge(response, head, rest)

    def _judge(self, response: WSUpgradeResponse, head: bytes, rest: bytes) -> Upgraded | None:
        try:
            check_response(response, self._key, self._subprotocols, self._extensions, head)
            deflate = self._check_deflate(response, head)
        except WSInvalidStatusError as refusal:
            self._refusal = refusal
            self._body = BodyReader(response_body_length(response))
            self._is_followed = self._follows_redirects and is_redirect(response)
            self._feed_body(rest)
            return None
        except WSHandshakeError as exc:
            exc.raw_body = rest
            raise
        listener = self._make_listener(self._request, response)
        return Upgraded(listener, self._request, response, b"", rest, deflate)

    def _check_deflate(self, response: WSUpgradeResponse, head: bytes) -> Agreed | None:
        try:
            return check_answer(response.headers, self._compression)
        except ValueError as exc:
            value = ", ".join(response.headers.getall(HEADER))
            message = f"header {HEADER}: {exc}, in {value!r}"
            raise WSInvalidHeaderError(message, HEADER, value, head, response=response) from None

    def _feed_body(self, data: bytes) -> None:
        """Collect the body of a refusal; raise the refusal when it is complete, long enough or of no use."""
        assert self._body is not None
        if self._body.feed(data) or len(self._body.body) >= MAX_BODY_BYTES or self._is_followed:
            raise self.refusal()

    def refusal(self) -> WSInvalidStatusError:
        """The server's refusal with as much of its body as has come. Only after its head has come."""
        assert self._refusal is not None
        assert self._body is not None
        self._refusal.raw_body = self._body.body
        return self._refusal

    @property
    def is_refused(self) -> bool:
        """The server has said no; a redirect that is followed is no such answer."""
        return self._refusal is not None and not self._is_followed

    def end(self) -> WSHandshakeError:
        """The peer has hung up: what to raise."""
        if self._refusal is not None:
            return self.refusal()
        received = bytes(self._received) or None
        what = f"after {len(self._received)} bytes of its answer" if received else "before it answered"
        return WSHandshakeError(f"the server closed the connection during the upgrade, {what}", received)


class ServerUpgrade:
    """What a client asks for, and what the user's factory makes of it.

    compression: permessage-deflate is accepted where it is offered; None: never.
    """

    def __init__(
        self, factory: Callable[[WSUpgradeRequest], Any], compression: PerMessageDeflate | None = None
    ) -> None:
        self._factory = factory
        self._compression = compression
        self._received = bytearray()
        self._seen = 0

    def feed(self, data: bytes) -> Upgraded | None:
        """Take what was received. None: more is wanted. Raises Refused; its __cause__ is the user's."""
        self._received += data
        try:
            end = request_head_end(self._received, self._seen)
            self._seen = len(self._received)
            if end < 0:
                return None
            request = parse_request(bytes(self._received[:end]))
            return self._answer(request, bytes(self._received[end:]))
        except RequestRefused as refused:
            raise Refused(refused.status, refused.to_bytes(), refused.reason) from None

    def _answer(self, request: WSUpgradeRequest, rest: bytes) -> Upgraded:
        """The factory is asked before the headers are checked, so that it can answer plain HTTP requests."""
        try:
            made = self._factory(request)
        except Exception as exc:
            raise _internal_error("the listener factory raised an exception") from exc
        response = None
        if isinstance(made, WSUpgradeResponseWithListener):
            response, made = made.response, made.listener
            if response.status != HTTPStatus.SWITCHING_PROTOCOLS:
                raise self._plain(response)
        elif made is None:
            raise Refused(404, refusal_bytes(404, "404 Not Found"), "the listener factory returned None")
        key = check_request(request)
        return self._accept(request, key, made, response, rest)

    def _accept(
        self,
        request: WSUpgradeRequest,
        key: str,
        listener: Any,
        response: WSUpgradeResponse | None,
        rest: bytes,
    ) -> Upgraded:
        from picows.listener import WSListener

        if not isinstance(listener, WSListener):
            expected = "a WSListener, a WSUpgradeResponseWithListener or None"
            error = TypeError(f"the listener factory: expected {expected}, got {type(listener).__name__}")
            raise _internal_error("the listener factory returned a wrong type") from error
        try:
            response, deflate = self._choose_deflate(request, response)
            answer = build_101(key, response, request)
        except (TypeError, ValueError) as exc:
            raise _internal_error("the listener factory's response cannot be sent") from exc
        if response is None:
            response = WSUpgradeResponse.create_101_response()
        return Upgraded(listener, request, response, answer, rest, deflate)

    def _choose_deflate(
        self, request: WSUpgradeRequest, response: WSUpgradeResponse | None
    ) -> tuple[WSUpgradeResponse | None, Agreed | None]:
        """The response with our choice in it. ValueError if the factory's own response speaks of it."""
        chosen = choose(request.headers, self._compression)
        own = offered_extensions(response.headers) if response is not None and self._compression else []
        if EXTENSION in own:
            raise ValueError(f"compression answers {EXTENSION}; leave it out of the response")
        if chosen is None:
            return response, None
        element, agreed = chosen
        if response is None:
            response = WSUpgradeResponse.create_101_response()
        headers = response.headers.copy()  # the factory may use its response again
        # In one line: RFC 6455 11.3.2 allows a response only one.
        headers[HEADER] = ", ".join([*headers.getall(HEADER, []), element])
        return WSUpgradeResponse(response.version, response.status, headers, response.body), agreed

    def _plain(self, response: WSUpgradeResponse) -> Refused:
        try:
            answer = build_answer(response)
        except (TypeError, ValueError) as exc:
            error = _internal_error("the listener factory's response cannot be sent")
            error.__cause__ = exc
            return error
        return Refused(int(response.status), answer, "the listener factory's answer")

    def end(self) -> WSHandshakeError:
        """The peer has hung up."""
        return WSHandshakeError(
            "the client closed the connection during the upgrade", bytes(self._received) or None
        )


def _internal_error(reason: str) -> Refused:
    """500 with a fixed text: what went wrong is for the log, not for the peer."""
    return Refused(500, refusal_bytes(500, "500 Internal Server Error"), reason)
