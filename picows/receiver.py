"""WSReceiver: whole messages by `await`, through a bounded queue; ws_connect_async: a client made of it.

The price, beside a listener's callback: a copy of each message, a turn of the event loop when the consumer
had to wait, and latency while messages lie in the queue. Who counts microseconds writes a listener.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from picows.assembler import WSMessageAssembler
from picows.client import ws_connect
from picows.errors import WSProtocolError
from picows.frame import WSCloseCode, WSMsgType
from picows.transport import WSTransport

if sys.version_info >= (3, 12):
    from collections.abc import Buffer
else:
    from typing_extensions import Buffer

log = logging.getLogger(__name__)

Handler = Callable[["WSReceiver"], Awaitable[None]]


class WSReceiver(WSMessageAssembler):
    """A listener, for clients and servers, whose messages are awaited: `await recv()`, `async for`.

    handler: a coroutine function that is given the receiver once the connection is open; on a server it is
        the place for the conversation. When it returns, the connection is closed with 1000; when it raises,
        with 1011, and the exception is logged.
    max_queue_messages, max_queue_bytes: when as much waits to be received, reading from the socket pauses and
        TCP slows the peer down; it goes on when half is left. What one read from the socket has brought
        already is still queued: up to 2 MiB, or one message, beyond the limits. Nothing is lost.
    max_message_size, max_fragments: see WSMessageAssembler.

    `recv` may be cancelled at any time: no message is lost by it. Several tasks may call it; each message
    goes to one of them. All methods belong to the thread that runs the event loop.

    While the queue is full nothing is read, neither pongs nor the end of the connection: auto ping waits
    until reading goes on.
    """

    def __init__(
        self,
        *,
        handler: Handler | None = None,
        max_queue_messages: int = 256,
        max_queue_bytes: int = 1024 * 1024,
        max_message_size: int | None = None,
        max_fragments: int | None = None,
    ) -> None:
        super().__init__(max_message_size=max_message_size, max_fragments=max_fragments)
        if max_queue_messages < 1 or max_queue_bytes < 1:
            raise ValueError(
                f"max_queue_messages, max_queue_bytes: expected positive numbers, "
                f"got {max_queue_messages} and {max_queue_bytes}"
            )
        self._handler = handler
        self._task: asyncio.Task[None] | None = None
        self._transport: WSTransport | None = None
        # What waits to be received, and who waits to receive: never both.
        self._max_messages = max_queue_messages
        self._max_bytes = max_queue_bytes
        self._messages: deque[tuple[str | bytes, int]] = deque()
        self._queued_bytes = 0
        self._is_reading_paused = False
        self._waiters: deque[asyncio.Future[None]] = deque()
        # How the connection stands.
        self._writable = asyncio.Event()
        self._writable.set()
        self._ended = asyncio.Event()
        self._is_closing = False

    @property
    def transport(self) -> WSTransport:
        """The connection's transport. Raises RuntimeError before on_ws_connected."""
        if self._transport is None:
            raise RuntimeError("the connection is not open yet")
        return self._transport

    @property
    def queued_messages(self) -> int:
        """Messages that wait to be received."""
        return len(self._messages)

    @property
    def queued_bytes(self) -> int:
        """Bytes of the messages that wait to be received, as they came."""
        return self._queued_bytes

    # Receiving

    async def recv(self) -> str | bytes:
        """The next message: str for TEXT, bytes for BINARY.

        After the last one: EOFError if the connection was closed with a CLOSE frame (its code is in
        `transport.close_handshake`) or by `close`; otherwise the error that ended it, or ConnectionResetError
        where the peer has hung up without a CLOSE frame (RFC 6455 7.1.5, code 1006).
        """
        while not self._messages:
            if self._ended.is_set():
                raise self._end()
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except BaseException:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
                elif self._messages:
                    self._wake_one()  # this one was woken for a message, and has not taken it
                raise
        message, size = self._messages.popleft()
        self._queued_bytes -= size
        if self._messages:
            self._wake_one()
        if self._is_reading_paused and self._is_half_empty():
            self._resume_reading()
        return message

    def __aiter__(self) -> WSReceiver:
        """Iterate over the messages; ends where `recv` raises EOFError, and raises what else it raises."""
        return self

    async def __anext__(self) -> str | bytes:
        """The next message, see `recv`."""
        try:
            return await self.recv()
        except EOFError:
            raise StopAsyncIteration from None

    # Sending and closing

    async def send(self, message: str | Buffer) -> None:
        """Send a str as TEXT, anything else with a buffer as BINARY; then `drain`.

        Cancelled, it has sent the message all the same. Raises what ended the connection, or
        ConnectionResetError if it is closing.
        """
        self._check_sending()
        self.transport.send(WSMsgType.TEXT if isinstance(message, str) else WSMsgType.BINARY, message)
        await self.drain()

    async def drain(self) -> None:
        """Wait until what is queued for sending is below the high-water mark of the transport.

        Raises what ended the connection meanwhile, ConnectionResetError after a clean end.
        """
        if not self._writable.is_set():
            await self._writable.wait()
            self._check_sending()

    async def close(
        self,
        close_code: WSCloseCode | int = WSCloseCode.OK,
        close_message: str | bytes | None = None,
        *,
        timeout: float = 10,  # noqa: ASYNC109  the limit is part of closing, it is not the caller's patience
    ) -> None:
        """Close the connection (RFC 6455 7.1.2): send CLOSE, wait `timeout` seconds for the peer's.

        What is in the queue can be received still; what comes from now on is dropped. Does not raise what the
        connection dies of, and nothing if it is closed already.
        """
        transport = self.transport
        self._is_closing = True
        if self._ended.is_set():
            return
        transport.send_close(close_code, close_message)
        self._resume_reading()
        try:
            async with asyncio.timeout(timeout):
                await self._ended.wait()
        except TimeoutError:
            transport.disconnect()
            await self._ended.wait()

    # Callbacks of the connection

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Starts the handler."""
        self._transport = transport
        if self._handler is not None:
            self._task = asyncio.get_running_loop().create_task(self._run(self._handler))

    def on_ws_message(self, transport: WSTransport, msg_type: WSMsgType, message: memoryview) -> None:
        """Queues a copy of the message."""
        if self._is_closing:
            return
        size = len(message)
        try:
            item = str(message, "utf-8") if msg_type == WSMsgType.TEXT else bytes(message)
        except UnicodeDecodeError as exc:  # with strict=False
            raise WSProtocolError(
                WSCloseCode.INVALID_TEXT, "8.1: received a text message that is not UTF-8"
            ) from exc
        self._messages.append((item, size))
        self._queued_bytes += size
        is_full = len(self._messages) >= self._max_messages or self._queued_bytes >= self._max_bytes
        if is_full and not self._is_reading_paused:
            self._is_reading_paused = True
            transport.underlying_transport.pause_reading()
        self._wake_one()

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002  the contract
        """Wakes all who wait."""
        self._ended.set()
        self._writable.set()
        while self._waiters:
            self._wake_one()

    def pause_writing(self) -> None:
        """The peer reads slower than we send: `send` and `drain` wait."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """They go on."""
        self._writable.set()

    # Helpers

    async def _run(self, handler: Handler) -> None:
        """The handler, and the end of the connection after it."""
        code = WSCloseCode.OK
        try:
            await handler(self)
        except asyncio.CancelledError:
            self._is_closing = True
            self.transport.disconnect(graceful=False)
            raise
        except Exception as exc:
            if not self._is_told_of_the_end(exc):
                log.exception("exception in the handler of a WSReceiver")
            code = WSCloseCode.INTERNAL_ERROR
        await self.close(code)

    def _wake_one(self) -> None:
        """Let the longest waiting receiver look at the queue."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _is_half_empty(self) -> bool:
        return len(self._messages) <= self._max_messages // 2 and self._queued_bytes <= self._max_bytes // 2

    def _resume_reading(self) -> None:
        if self._is_reading_paused:
            self._is_reading_paused = False
            self.transport.underlying_transport.resume_reading()

    def _end(self) -> Exception:
        """What there is to raise now that the connection has ended."""
        transport = self.transport
        if transport.disconnect_error is not None:
            return transport.disconnect_error
        handshake = transport.close_handshake
        if self._is_closing or handshake is not None:
            return EOFError("the connection was closed")
        return ConnectionResetError("the connection ended without a CLOSE frame (RFC 6455 7.1.5)")

    def _is_told_of_the_end(self, error: Exception) -> bool:
        """Whether it is what `recv` and `send` raise once the connection is closed or closing."""
        if error is self.transport.disconnect_error:
            return True
        is_over = self.transport.underlying_transport.is_closing() or self.transport.is_close_frame_sent
        return is_over and isinstance(error, EOFError | ConnectionResetError)

    def _check_sending(self) -> None:
        if self._ended.is_set() and self.transport.disconnect_error is not None:
            raise self.transport.disconnect_error
        # After disconnect() sends do nothing: a loop of them would never give the event loop a turn.
        is_over = self._is_closing or self.transport.underlying_transport.is_closing()
        if is_over or self._ended.is_set() or self.transport.is_close_frame_sent:
            raise ConnectionResetError("the connection is closed or closing: nothing is sent any more")


@contextlib.asynccontextmanager
async def ws_connect_async(
    url: str,
    *,
    max_queue_messages: int = 256,
    max_queue_bytes: int = 1024 * 1024,
    max_message_size: int | None = None,
    max_fragments: int | None = None,
    **options: Any,
) -> AsyncIterator[WSReceiver]:
    """`async with ws_connect_async(url) as receiver:` a connection whose messages are awaited: WSReceiver.

    options: those of `ws_connect`, and its errors. The block's end closes the connection and waits for the
    peer's CLOSE, 10 s at most; an exception, or a cancellation, that leaves the block does not wait.
    """

    def make() -> WSReceiver:
        return WSReceiver(
            max_queue_messages=max_queue_messages,
            max_queue_bytes=max_queue_bytes,
            max_message_size=max_message_size,
            max_fragments=max_fragments,
        )

    transport, listener = await ws_connect(make, url, **options)
    assert isinstance(listener, WSReceiver)
    try:
        yield listener
    except BaseException:
        transport.send_close(WSCloseCode.GOING_AWAY)
        transport.disconnect()
        raise
    await listener.close()
