"""WSReceiver and ws_connect_async: messages by await, a bounded queue, ends that are told."""

import asyncio
import logging

import pytest

from picows import WSListener, WSMsgType, WSProtocolError, WSReceiver, ws_connect_async

from .conftest import PLAIN
from .ws_frames import BINARY, CLOSE, CONT, TEXT, assert_closes_with, close_payload, encode
from .ws_peers import WAIT_S


class Noting(WSReceiver):
    """A receiver on which `open_end` of the fixtures can wait."""

    def __init__(self, **options):
        super().__init__(**options)
        self.opened = asyncio.Event()

    def on_ws_connected(self, transport):
        super().on_ws_connected(transport)
        self.opened.set()

    async def until(self, condition):
        async with asyncio.timeout(WAIT_S):
            await self.opened.wait()
        assert condition()

    # `open_end` asks for `transport is not None`.
    @property
    def transport(self):
        return self._transport


async def until(condition):
    """Poll: what is waited for has no callback of its own."""
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.001)


async def in_time(awaitable):
    return await asyncio.wait_for(awaitable, WAIT_S)


async def test_messages_come_as_str_and_bytes_and_iteration_ends_with_a_close(open_end):
    end = await open_end(Noting())
    await end.peer.send(TEXT, "grüße")
    await end.peer.send(BINARY, b"\x00\xff", fin=False)
    await end.peer.send(CONT, b"\x01")
    await end.peer.send(CLOSE, close_payload(1000))

    async with asyncio.timeout(WAIT_S):
        received = [message async for message in end.listener]

    assert received == ["grüße", b"\x00\xff\x01"]
    assert_closes_with(await end.peer.recv_close(), 1000)
    with pytest.raises(EOFError):
        await end.listener.recv()
    with pytest.raises(ConnectionResetError):
        await end.listener.send("late")


async def test_what_came_before_an_error_is_received_first_and_then_the_error(open_end):
    end = await open_end(Noting())
    await end.peer.send_raw(end.peer.encoded(TEXT, "good") + end.peer.encoded(TEXT, b"\xff"))
    await in_time(end.listener._ended.wait())

    assert await end.listener.recv() == "good"
    for _ in range(2):
        with pytest.raises(WSProtocolError, match="not UTF-8"):
            await end.listener.recv()
    with pytest.raises(WSProtocolError):
        await end.listener.send("late")


async def test_a_peer_that_hangs_up_without_a_close_is_an_error(open_end):
    end = await open_end(Noting())
    await end.peer.send(TEXT, "last words")
    end.peer.close()

    assert await in_time(end.listener.recv()) == "last words"
    with pytest.raises(ConnectionResetError):
        await in_time(end.listener.recv())


async def test_lax_text_that_is_not_utf8_is_1007(open_end):
    end = await open_end(Noting(), strict=False)
    await end.peer.send(TEXT, b"\xff")

    assert_closes_with(await end.peer.recv_close(), 1007)
    with pytest.raises(WSProtocolError):
        await in_time(end.listener.recv())


@pytest.mark.parametrize("limits", [{"max_queue_messages": 8}, {"max_queue_bytes": 8 * 1000}])
async def test_a_full_queue_pauses_the_peer_and_nothing_is_lost(open_end, limits):
    end = await open_end(Noting(**limits))
    receiver, stream = end.listener, end.transport.underlying_transport
    count = 12_000
    frames = b"".join(end.peer.encoded(BINARY, b"%08d" % number * 125) for number in range(count))
    sending = asyncio.ensure_future(end.peer.send_raw(frames))
    await until(lambda: not stream.is_reading())
    most = receiver.queued_messages

    received = []
    for _ in range(count):
        received.append(await in_time(receiver.recv()))
        most = max(most, receiver.queued_messages)
    await sending

    assert received == [b"%08d" % number * 125 for number in range(count)]
    # Beyond the limit there is at most what one read has brought: MAX_READ_SIZE of buffer.pyx.
    assert 8 <= most <= 8 + 2 * 1024 * 1024 // 1000
    assert receiver.queued_messages == receiver.queued_bytes == 0
    assert stream.is_reading()


async def test_reading_goes_on_when_half_is_left(open_end):
    end = await open_end(Noting(max_queue_messages=4))
    stream = end.transport.underlying_transport
    await end.peer.send_raw(b"".join(end.peer.encoded(TEXT, str(number)) for number in range(4)))
    await until(lambda: end.listener.queued_messages == 4)
    assert not stream.is_reading()

    assert await end.listener.recv() == "0"
    assert not stream.is_reading()
    assert await end.listener.recv() == "1"
    assert stream.is_reading()


async def test_a_full_queue_does_not_make_the_peer_look_dead(serve, security):
    serving = await serve()
    async with ws_connect_async(
        security.url(serving.port),
        ssl_context=security.client,
        family=2,
        max_queue_messages=1,
        enable_auto_ping=True,
        auto_ping_idle_timeout=0.05,
        auto_ping_reply_timeout=0.05,
    ) as receiver:
        for number in range(3):
            await receiver.send(str(number))
        await until(lambda: not receiver.transport.underlying_transport.is_reading())
        # Several times the timeouts: no pong is read meanwhile.
        await asyncio.sleep(0.4)

        assert not receiver.transport.is_close_frame_sent
        assert [await in_time(receiver.recv()) for _ in range(3)] == ["0", "1", "2"]


async def test_a_cancelled_recv_loses_no_message(open_end):
    end = await open_end(Noting())
    for number in range(50):
        waiting = asyncio.ensure_future(end.listener.recv())
        await asyncio.sleep(0)
        # The waiter is woken by this message, and cancelled before it runs.
        end.listener.on_ws_message(end.transport, WSMsgType.TEXT, memoryview(b"%d" % number))
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await end.listener.recv() == str(number)

    assert not end.listener._waiters


async def test_a_cancelled_recv_passes_its_wake_up_on(open_end):
    end = await open_end(Noting())
    first, second = (asyncio.ensure_future(end.listener.recv()) for _ in range(2))
    await asyncio.sleep(0)
    end.listener.on_ws_message(end.transport, WSMsgType.TEXT, memoryview(b"one"))
    first.cancel()

    assert await in_time(second) == "one"


async def test_recv_under_a_timeout_is_used_again(open_end):
    end = await open_end(Noting())
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await end.listener.recv()
    await end.peer.send(TEXT, "at last")

    assert await in_time(end.listener.recv()) == "at last"


async def test_several_tasks_share_the_messages_and_all_are_told_of_the_end(open_end):
    end = await open_end(Noting())

    async def take_all():
        return [message async for message in end.listener]

    takers = [asyncio.ensure_future(take_all()) for _ in range(3)]
    for number in range(100):
        await end.peer.send(TEXT, str(number))
    await end.peer.send(CLOSE, close_payload(1000))

    taken = [message for messages in await in_time(asyncio.gather(*takers)) for message in messages]
    assert sorted(taken, key=int) == [str(number) for number in range(100)]


async def test_send_waits_for_a_slow_peer_and_is_released_by_the_end(open_end):
    end = await open_end(Noting(), receive_buffer=8192)

    async def flood():
        while True:
            await end.listener.send(bytes(100_000))

    sending = asyncio.ensure_future(flood())
    await until(lambda: not end.listener._writable.is_set())
    queued = end.transport.underlying_transport.get_write_buffer_size()
    assert queued < 64 * 1024 + 2 * 100_014
    first = await end.peer.recv_frame()
    assert (first.opcode, len(first.payload)) == (BINARY, 100_000)
    end.transport.disconnect(graceful=False)

    with pytest.raises(ConnectionResetError):
        await in_time(sending)


@pytest.mark.parametrize("graceful", [True, False])
async def test_send_raises_as_soon_as_the_connection_is_closing(open_end, graceful):
    end = await open_end(Noting())
    end.transport.disconnect(graceful)

    with pytest.raises(ConnectionResetError):
        await end.listener.send("into the void")


async def test_close_sends_a_close_and_waits_for_the_peers(open_end):
    end = await open_end(Noting(max_queue_messages=2))
    await end.peer.send_raw(b"".join(end.peer.encoded(TEXT, str(number)) for number in range(2)))
    await until(lambda: end.listener.queued_messages == 2)

    closing = asyncio.ensure_future(end.listener.close(1001, "bye"))
    assert_closes_with(await end.peer.recv_close(), 1001, "bye")
    await end.peer.send(TEXT, "too late")
    assert not closing.done()
    await end.peer.send(CLOSE, close_payload(1001))
    await in_time(closing)

    assert [message async for message in end.listener] == ["0", "1"]
    await end.listener.close()


async def test_close_gives_up_on_a_peer_that_does_not_answer(open_end):
    end = await open_end(Noting(), close_timeout=0.1)

    await in_time(end.listener.close(timeout=0.05))

    assert end.transport.is_disconnected


async def test_a_client_and_a_server_made_of_receivers_talk(serve, security):
    async def converse(receiver):
        async for message in receiver:
            await receiver.send(message)
            if message == "stop":
                return

    serving = await serve(lambda request: WSReceiver(handler=converse))

    async with ws_connect_async(
        security.url(serving.port), ssl_context=security.client, family=2
    ) as receiver:
        for message in ("hello", b"bytes", "x" * 100_000):
            await receiver.send(message)
            assert await in_time(receiver.recv()) == message
        await receiver.send("stop")
        assert [message async for message in receiver] == ["stop"]

    handshake = receiver.transport.close_handshake
    assert (handshake.recv.code, handshake.sent.code) == (1000, 1000)


async def test_an_exception_in_a_handler_is_logged_and_closes_with_1011(serve, security, caplog):
    async def fail(receiver):
        raise LookupError(await receiver.recv())

    serving = await serve(lambda request: WSReceiver(handler=fail))
    async with ws_connect_async(
        security.url(serving.port), ssl_context=security.client, family=2
    ) as receiver:
        await receiver.send("boom")
        assert [message async for message in receiver] == []

    assert receiver.transport.close_handshake.recv.code == 1011
    assert "LookupError: boom" in caplog.text


async def test_a_handler_whose_peer_has_left_is_no_error(serve, connect, caplog):
    done = asyncio.Event()

    async def talk(receiver):
        try:
            while True:
                await receiver.send("tick")
                await receiver.recv()
        finally:
            done.set()

    serving = await serve(lambda request: WSReceiver(handler=talk))
    transport, listener = await connect(serving.port)
    await listener.until_frames(1)
    transport.disconnect()
    await in_time(done.wait())
    await asyncio.sleep(0)

    ours = [record for record in caplog.records if record.name.startswith("picows")]
    assert [record for record in ours if record.levelno >= logging.WARNING] == []


async def test_an_exception_that_leaves_the_block_closes_without_waiting(serve, security):
    serving = await serve(lambda request: WSListener())  # answers no CLOSE

    async with asyncio.timeout(WAIT_S / 2):
        with pytest.raises(LookupError):
            async with ws_connect_async(
                security.url(serving.port), ssl_context=security.client, family=2
            ) as receiver:
                raise LookupError
    assert receiver.transport.is_close_frame_sent


@pytest.mark.parametrize("security", [PLAIN])
async def test_errors_of_ws_connect_pass(security):
    with pytest.raises(ConnectionRefusedError):
        async with ws_connect_async("ws://127.0.0.1:9/"):
            raise AssertionError


@pytest.mark.parametrize("option", ["max_queue_messages", "max_queue_bytes", "max_message_size"])
def test_limits_that_let_nothing_through_are_refused(option):
    with pytest.raises(ValueError, match=option):
        WSReceiver(**{option: 0})


async def test_a_receiver_that_is_not_connected_says_so():
    receiver = WSReceiver()

    with pytest.raises(RuntimeError, match="not open yet"):
        await receiver.send("x")


async def test_frames_glued_to_the_handshake_are_received(open_end, side):
    early = encode(TEXT, "early", is_masked=side == "server")
    end = await open_end(Noting(), glued=early)

    assert await in_time(end.listener.recv()) == "early"


async def test_an_echo_server_of_listeners_serves_a_receiver(echo_server, security):
    async with ws_connect_async(
        security.url(echo_server.port), ssl_context=security.client, family=2, max_queue_messages=4
    ) as receiver:
        for number in range(200):
            await receiver.send(str(number))
        assert [await in_time(receiver.recv()) for _ in range(200)] == [str(n) for n in range(200)]
