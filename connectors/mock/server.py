"""The mock exchange: one venue on loopback, real sockets, data from a source, faults on demand."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from connectors.mock.certificate import Authority
from connectors.mock.connection import MockConnection
from connectors.mock.faults import Fault, FaultEngine, Silence, Value, make_fault
from connectors.mock.http import HttpServer
from connectors.mock.limits import Window
from connectors.mock.pace import Pace
from connectors.mock.pump import Pump
from connectors.mock.source import Message, Source
from connectors.mock.upkeep import Upkeep
from connectors.mock.venue import HttpAnswer, MockVenue, Op, Request
from picows import WSUpgradeRequest, WSUpgradeResponse, WSUpgradeResponseWithListener, ws_create_server

log = logging.getLogger(__name__)

COUNTS_PATH = "/__mock__/sent"


class _Server(Protocol):
    def close(self) -> None: ...
    async def wait_closed(self) -> None: ...


class MockExchange:
    """One venue. `start()`, then `url` and `rest_url` take the place of the facts' hosts (their paths stay).

    sent: data messages by topic, as they went to sockets (a dropped one is not in it, a doubled one counts
    twice).
    published: by topic, before faults and whoever listens. refused: requests and connections that broke a
    limit.
    pace: "1x" (captured), "2x", "0.5x", "flat" (as fast as clients read).
    settle_s: a source that lists its topics waits for all of them to be subscribed, or for that long after
    the last request. seed: of the faults. uses_limits: the facts' limits are enforced. uses_tls: wss and
    https; authority: of its certificate, shared with other mocks (None: one of its own).
    Raises ConfigError from the constructor: a pace that is none.
    """

    def __init__(
        self,
        venue: MockVenue,
        source: Source,
        *,
        pace: str = "1x",
        seed: int = 0,
        settle_s: float = 1.0,
        uses_limits: bool = True,
        uses_tls: bool = False,
        authority: Authority | None = None,
        now_s: Callable[[], float] | None = None,
    ) -> None:
        self.venue = venue
        self.source = source
        self.pace = Pace(pace)
        self.faults = FaultEngine(seed, venue.corrupt_checksum)
        self.sent: Counter[str] = Counter()
        self.published: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.connections: list[MockConnection] = []  # open ones
        self.connects = 0
        self.subscribers: dict[str, list[MockConnection]] = {}
        self.last_request_s = 0.0
        self.settle_s = settle_s
        self.uses_limits = uses_limits
        self._uses_tls = uses_tls
        self._clock = now_s
        self._authority = authority
        self._own_authority: Authority | None = None
        limits = venue.facts.limits
        self._connects = Window(limits.connects)
        rest = venue.facts.rest
        self._weight = Window(rest.weight if rest else None)
        self._server: _Server | None = None
        self._http = HttpServer(self._answer_http)
        self._pump = Pump(self)
        self._upkeep = Upkeep(self)
        self._host = ""
        self._port = 0

    # Life

    async def start(self, host: str = "127.0.0.1", port: int = 0, rest_port: int = 0) -> None:
        """Listen. port 0: a free one. Raises OSError: address taken; ConfigError: TLS without its package."""
        loop = asyncio.get_running_loop()
        self._clock = self._clock or loop.time
        context: ssl.SSLContext | None = None
        if self._uses_tls:
            if self._authority is None:
                self._authority = self._own_authority = Authority()
            context = self._authority.server_context()
        server = await ws_create_server(self._upgrade, host, port, ssl=context, enable_auto_pong=False)
        self._server = server
        self._host, self._port = host, server.sockets[0].getsockname()[1]
        await self._http.start(host, rest_port, context)
        self.faults.on_open(0, self.now_s())
        self._pump.start()
        self._upkeep.start()
        log.info("mock %s: %s and %s", self.venue.facts.name, self.url, self.rest_url)

    async def close(self) -> None:
        """Tell the clients (1001), stop listening. Idempotent."""
        await self._pump.stop()
        await self._upkeep.stop()
        for connection in list(self.connections):
            connection.set_deaf(False)
            connection.close(1001, "the mock exchange stops")
        await self._http.close()
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._own_authority is not None:
            self._own_authority.close()
            self._authority = self._own_authority = None

    async def __aenter__(self) -> MockExchange:
        if self._server is None:
            await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def finished(self) -> None:
        """Until a capture has been played to its end (for ever with a generator)."""
        await self._pump.finished.wait()

    @property
    def url(self) -> str:
        return f"{'wss' if self._uses_tls else 'ws'}://{self._bracketed}:{self._port}"

    @property
    def rest_url(self) -> str:
        return f"{'https' if self._uses_tls else 'http'}://{self._bracketed}:{self._http.port}"

    @property
    def _bracketed(self) -> str:
        return f"[{self._host}]" if ":" in self._host else self._host

    @property
    def ca_file(self) -> str | None:
        """PEM file that makes clients trust this run's certificate."""
        return str(self._authority.ca_file) if self._uses_tls and self._authority else None

    def now_s(self) -> float:
        assert self._clock is not None
        return self._clock()

    def wake(self) -> None:
        """Something changed that data may wait for."""
        self._pump.wake.set()

    # Faults

    def fault(self, name: str, **options: Value) -> Fault:
        """Add one of faults.FAULTS. Raises ConfigError: unknown name or option, nothing it could touch."""
        fault = make_fault(name, **options)
        self.add_fault(fault)
        return fault

    def add_fault(self, fault: Fault) -> None:
        self.venue.check_fault(fault.name)
        self.faults.add(fault)

    # Connections

    def _upgrade(self, request: WSUpgradeRequest) -> object:
        path_qs = request.path.decode("latin-1")
        route = self.venue.route_of(path_qs)
        if route is None:
            return None
        wait_s = self._connects.admit(self.now_s()) if self.uses_limits else 0.0
        if wait_s:
            self.refused["connect"] += 1
            headers = {"Retry-After": str(int(wait_s) + 1)}
            response = WSUpgradeResponse.create_error_response(429, b"too many connections", headers)
            return WSUpgradeResponseWithListener(response, None)
        self.connects += 1
        return MockConnection(self, self.connects, route, self.venue.topics_of_url(path_qs))

    def on_open(self, connection: MockConnection) -> None:
        now_s = self.now_s()
        connection.opened_s = connection.heard_s = connection.said_s = connection.pinged_s = now_s
        self.connections.append(connection)
        self.faults.on_open(connection.number, now_s)
        if connection.url_topics:
            request = Request(Op.SUBSCRIBE, connection.url_topics)
            self._serve(
                connection, [topic for topic in request.topics if self.source.has(topic, connection.route)]
            )

    def on_closed(self, connection: MockConnection) -> None:
        for topic in list(connection.topics):
            self._leave(connection, topic)
        if connection in self.connections:
            self.connections.remove(connection)
        self.faults.on_close(connection.number)
        self.wake()

    def answers(self, connection: MockConnection) -> bool:
        """False: the connection is half open, nothing goes out any more."""
        return not self.faults.is_half_open(connection.number, self.now_s())

    # Heartbeat

    def on_ping(self, connection: MockConnection, payload: bytes) -> None:
        if self._counts(connection):
            is_wrong = self.faults.is_pong_wrong(connection.number, self.now_s())
            answer = b"nobody's" + payload[:8] if is_wrong else payload
            self._later(connection, lambda: connection.send_pong(answer))

    def on_pong(self, connection: MockConnection, payload: bytes) -> None:
        self._counts(connection)
        if payload == b"%d" % connection.ping_number:
            connection.unanswered_s = None

    def _later(self, connection: MockConnection, act: Callable[[], None]) -> None:
        """Now, or as late as delay_pong says."""
        if not self.answers(connection):
            return
        delay_s = self.faults.pong_delay_s(connection.number, self.now_s())
        if delay_s:
            asyncio.get_running_loop().call_later(delay_s, act)
        else:
            act()

    def _counts(self, connection: MockConnection) -> bool:
        """A client's message is within the limit; otherwise the connection is closed."""
        if not self.uses_limits or not connection.messages.admit(self.now_s()):
            return True
        self.refused["message"] += 1
        connection.close(1008, "Too many requests")
        return False

    # Requests

    def on_message(self, connection: MockConnection, payload: bytes) -> None:
        if not self._counts(connection) or not self.answers(connection):
            return
        request = self.venue.read(payload)
        if request.op is Op.PING:
            self._pong(connection, request)
        elif request.op is Op.LIST:
            connection.send(self.venue.listing(request, tuple(connection.topics)))
        elif request.op is Op.BAD:
            self.refused["bad"] += 1
            connection.send(self.venue.error(request, request.error, connection.name))
        elif self._is_within_limits(connection, request):
            self._request(connection, request)

    def _pong(self, connection: MockConnection, request: Request) -> None:
        pong = self.venue.pong(request, connection.name)
        if self.faults.is_pong_wrong(connection.number, self.now_s()):
            pong = self.venue.wrong_pong(pong)
        self._later(connection, lambda: connection.send(pong))

    def _is_within_limits(self, connection: MockConnection, request: Request) -> bool:
        if not self.uses_limits:
            return True
        limits = self.venue.facts.limits
        new = sum(topic not in connection.topics for topic in request.topics)
        if connection.requests.admit(self.now_s()):
            text = "Requests too frequent"
        elif request.op is Op.SUBSCRIBE and limits.streams and len(connection.topics) + new > limits.streams:
            text = f"more than {limits.streams} streams on one connection"
        else:
            return True
        self.refused["request"] += 1
        connection.send(self.venue.error(request, text, connection.name))
        return False

    def _request(self, connection: MockConnection, request: Request) -> None:
        """Subscribe or unsubscribe: acks, then what the subscription starts with."""
        self.last_request_s = now_s = self.now_s()
        number = connection.number
        unknown = [topic for topic in request.topics if not self.source.has(topic, connection.route)]
        if request.op is Op.SUBSCRIBE:
            unknown += [topic for topic in request.topics if self.faults.is_rejected(number, topic, now_s)]
            silences = [self.faults.on_subscribe(number, topic, now_s) for topic in request.topics]
            if Silence.NEVER_ACKED in silences:
                return
        answer = self.venue.answer(request, unknown, connection.name)
        for reply in answer.replies:
            connection.send(reply)
        if request.op is Op.SUBSCRIBE:
            self._serve(connection, [topic for topic in answer.accepted if topic not in unknown])
        else:
            for topic in request.topics:
                self._leave(connection, topic)

    def _serve(self, connection: MockConnection, topics: Sequence[str]) -> None:
        now_ns = self._pump.source_now_ns()
        for topic in topics:
            if topic in connection.topics:
                continue
            opening = self.source.subscribe(topic, now_ns)
            for message in opening.before:
                self.publish(message)
            connection.topics[topic] = None
            self.subscribers.setdefault(topic, []).append(connection)
            for message in opening.first:
                self.published[topic] += 1
                self._deliver(connection, message)
        self.wake()

    def _leave(self, connection: MockConnection, topic: str) -> None:
        if connection.topics.pop(topic, topic) is not None:
            return
        others = self.subscribers[topic]
        others.remove(connection)
        if not others:
            del self.subscribers[topic]
            self.source.unsubscribe(topic)

    # Data

    def publish(self, message: Message) -> None:
        """To all who have subscribed its topic."""
        self.published[message.topic] += 1
        for connection in self.subscribers.get(message.topic, ()):
            self._deliver(connection, message)

    def _deliver(self, connection: MockConnection, message: Message) -> None:
        number, topic = connection.number, message.topic
        if not self.faults.faults and not self.faults.has_silence:
            frames: list[tuple[bytes, ...]] = [(message.payload,)]
        elif not self.answers(connection):
            return
        else:
            frames = self.faults.on_data(number, topic, message.payload, self.now_s())
        for fragments in frames:
            if not connection.is_closing:
                connection.send_data(topic, fragments, message.opcode)
                self.sent[topic] += 1

    # REST

    def _answer_http(self, path_qs: str) -> HttpAnswer:
        if path_qs == COUNTS_PATH:
            return HttpAnswer(200, msgspec.json.encode(dict(self.sent)))
        refusal = self.faults.http(self.now_s())
        if refusal is not None:
            status, retry_after_s = refusal
            return HttpAnswer(
                status, b'{"code":-1003,"msg":"Too many requests."}', {"Retry-After": str(retry_after_s)}
            )
        rest = self.venue.facts.rest
        wait_s = self._weight.admit(self.now_s(), self.venue.weight(path_qs)) if self.uses_limits else 0.0
        if wait_s:
            self.refused["rest"] += 1
            headers = {"Retry-After": str(int(wait_s) + 1)}
            return HttpAnswer(429, b'{"code":-1003,"msg":"Too many requests."}', headers)
        answer = self.source.http(path_qs, self._pump.source_now_ns())
        if answer is None:
            return HttpAnswer(404, b'{"code":-1,"msg":"not served by this mock"}')
        if rest is not None and rest.used_header:
            used = {rest.used_header: str(self._weight.used)}
            answer = msgspec.structs.replace(answer, headers={**answer.headers, **used})
        return answer
