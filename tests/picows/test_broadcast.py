"""broadcast: the same frame to many peers, framed once for those of a server."""

import asyncio
import logging
import threading

import pytest
import pytest_asyncio

from picows import WSListener, WSMsgType, broadcast
from picows.transport import PICOWS_DEBUG_LL

from .conftest import gone, needs_own_streams
from .ws_frames import BINARY, CONT, PING, TEXT, Frame, encode
from .ws_listeners import Recorder
from .ws_peers import RawListener, dial_upgrade


class Member(Recorder):
    """A server-side listener in a list of all."""

    def __init__(self, members):
        super().__init__()
        members.append(self)


@pytest_asyncio.fixture
async def guests(serve, security):
    """guests(count, **options) -> [(our server-side listener, its raw peer)], in the order of arrival."""
    peers = []

    async def arrive(count, *, receive_buffer=None, **options):
        members = []
        serving = await serve(lambda request: Member(members), **options)
        for _ in range(count):
            address = ("127.0.0.1", serving.port)
            peers.append(await dial_upgrade(address, security.client, receive_buffer=receive_buffer))
            newest = members[-1]
            await newest.until(lambda newest=newest: newest.transport is not None)
        return list(zip(members, peers[-count:], strict=True))

    yield arrive
    for peer in peers:
        peer.close()


def transports(pairs):
    return [listener.transport for listener, _ in pairs]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 2048, 65535, 65536, 300_000])
async def test_every_peer_gets_the_exact_bytes_of_one_unmasked_frame(guests, size):
    pairs = await guests(5)
    payload = bytes(number * 7 % 256 for number in range(size))

    sent = broadcast(transports(pairs), WSMsgType.BINARY, payload)
    for listener, _ in pairs:
        listener.transport.disconnect()

    assert sent == 5
    for _, peer in pairs:
        assert await peer.recv_to_end() == encode(BINARY, payload)


async def test_a_hundred_peers_get_all_messages_in_order(guests):
    pairs = await guests(100)
    for number in range(20):
        assert broadcast(transports(pairs), WSMsgType.TEXT, f"message {number}") == 100
        pairs[number][0].transport.send(WSMsgType.BINARY, b"for you alone")

    for index, (_, peer) in enumerate(pairs):
        expected = [Frame(TEXT, f"message {number}".encode()) for number in range(20)]
        if index < 20:
            expected.insert(index + 1, Frame(BINARY, b"for you alone"))
        assert [await peer.recv_frame() for _ in expected] == expected


async def test_each_client_side_connection_has_a_mask_of_its_own(connect, security):
    accepting = RawListener(security.server)
    ends = []
    try:
        for _ in range(6):
            peer, (transport, _) = await asyncio.gather(
                accepting.accept_upgrade(), connect(accepting.port, WSListener)
            )
            ends.append((transport, peer))

        assert broadcast([transport for transport, _ in ends], WSMsgType.BINARY, b"masked") == 6

        masks = set()
        for _, peer in ends:
            assert await peer.recv_frame() == Frame(BINARY, b"masked", is_masked=True)
        for transport, peer in ends:
            broadcast([transport], WSMsgType.BINARY, b"")
            masks.add((await peer.recv_some())[2:])
        assert len(masks) == 6
    finally:
        accepting.close()


async def test_client_and_server_sides_may_be_mixed(serve, connect):
    members = []
    serving = await serve(lambda request: Member(members))
    _, client = await connect(serving.port)
    await client.until(lambda: client.transport is not None)

    assert broadcast([client.transport, members[0].transport], WSMsgType.TEXT, "both") == 2

    for listener in (client, members[0]):
        await listener.until_frames(1)
        assert listener.frames == [(TEXT, b"both", True)]


@pytest.mark.parametrize(
    ("message", "payload"),
    [
        ("grüße", "grüße".encode()),
        (None, b""),
        (bytearray(b"array"), b"array"),
        (memoryview(b"a view of it")[2:6], b"view"),
    ],
)
async def test_messages_are_those_of_send(guests, message, payload):
    pairs = await guests(2)

    assert broadcast(iter(transports(pairs)), WSMsgType.TEXT, message) == 2

    for _, peer in pairs:
        assert await peer.recv_frame() == Frame(TEXT, payload)


async def test_a_corked_connection_holds_its_frame_back_and_keeps_the_order(guests):
    pairs = await guests(2)
    with pairs[0][0].transport.cork():
        pairs[0][0].transport.send(WSMsgType.TEXT, "first")
        assert broadcast(transports(pairs), WSMsgType.TEXT, "second") == 2
        assert await pairs[1][1].recv_frame() == Frame(TEXT, b"second")

    assert [await pairs[0][1].recv_frame() for _ in range(2)] == [
        Frame(TEXT, b"first"),
        Frame(TEXT, b"second"),
    ]


async def test_closed_and_closing_connections_are_left_out(guests):
    pairs = await guests(4)
    pairs[0][0].transport.send_close()
    pairs[1][0].transport.disconnect()
    pairs[2][0].transport.disconnect(graceful=False)
    await gone(pairs[2][0].transport)

    assert broadcast(transports(pairs), WSMsgType.TEXT, "who is there") == 1

    assert await pairs[3][1].recv_frame() == Frame(TEXT, b"who is there")


async def test_a_connection_inside_a_fragmented_message_of_its_own_is_left_out(guests, caplog):
    pairs = await guests(3)
    pairs[1][0].transport.send(WSMsgType.TEXT, "my ", fin=False)

    assert broadcast(transports(pairs), WSMsgType.TEXT, "all") == 2
    assert "broadcast: not sent to this connection: a message is being sent in fragments" in caplog.text
    assert broadcast(transports(pairs), WSMsgType.PING, b"?") == 3
    pairs[1][0].transport.send(WSMsgType.CONTINUATION, "own")
    assert broadcast(transports(pairs), WSMsgType.TEXT, "again") == 3

    async def received(peer):
        frames = []
        while not frames or frames[-1].payload != b"again":
            frames.append(await peer.recv_frame())
        return [(frame.opcode, frame.payload) for frame in frames]

    assert await received(pairs[0][1]) == [(TEXT, b"all"), (PING, b"?"), (TEXT, b"again")]
    assert await received(pairs[1][1]) == [(TEXT, b"my "), (PING, b"?"), (CONT, b"own"), (TEXT, b"again")]


async def test_a_fragmented_message_may_be_broadcast_too(guests, caplog):
    pairs = await guests(2)

    assert broadcast(transports(pairs), WSMsgType.TEXT, "one ", fin=False) == 2
    with pytest.raises(ValueError, match="CONTINUATION"):
        pairs[0][0].transport.send(WSMsgType.BINARY, b"between")
    assert broadcast(transports(pairs), WSMsgType.CONTINUATION, "message") == 2
    assert broadcast(transports(pairs), WSMsgType.CONTINUATION, "of nothing") == 0

    for _, peer in pairs:
        assert await peer.recv_frame() == Frame(TEXT, b"one ", fin=False)
        assert await peer.recv_frame() == Frame(CONT, b"message")


async def test_what_is_paused_is_queued_or_skipped_and_counted(guests):
    pairs = await guests(2, receive_buffer=8192)
    slow, slow_peer = pairs[0]
    quick, quick_peer = pairs[1]
    message = bytes(100_000)
    while "pause" not in slow.events:
        slow.transport.send(WSMsgType.BINARY, message)
    queued = slow.transport.underlying_transport.get_write_buffer_size()
    skipped = []

    assert broadcast(transports(pairs), WSMsgType.TEXT, "dear", skip_paused=True, skipped=skipped) == 1
    assert skipped == [slow.transport]
    assert slow.transport.underlying_transport.get_write_buffer_size() == queued
    assert broadcast(transports(pairs), WSMsgType.TEXT, "cheap") == 2
    assert slow.transport.underlying_transport.get_write_buffer_size() > queued

    assert [(await quick_peer.recv_frame()).payload for _ in range(2)] == [b"dear", b"cheap"]
    while (frame := await slow_peer.recv_frame()).payload == message:
        pass
    assert frame == Frame(TEXT, b"cheap")
    await slow.until_event("resume")
    assert "pause" not in quick.events


class Breaking(logging.Logger):
    """Raises at the frames of one connection."""

    broken = None

    def log(self, level, text, *arguments, **options):
        if self.broken and level == PICOWS_DEBUG_LL and text.startswith("send"):
            Breaking.broken = None
            raise OSError("no space left for logs")


async def test_a_connection_that_fails_does_not_stop_the_others(guests):
    told = []
    logger = Breaking("test.broken", PICOWS_DEBUG_LL)
    logger.handle = told.append
    pairs = await guests(3, logger_name=logger)

    Breaking.broken = True
    assert broadcast(transports(pairs), WSMsgType.TEXT, "all") == 2

    assert [record.getMessage() for record in told if record.levelno == logging.ERROR] == [
        "broadcast: sending to this connection failed"
    ]
    for _, peer in pairs[1:]:
        assert await peer.recv_frame() == Frame(TEXT, b"all")


@needs_own_streams  # the others call pause_writing from the event loop
async def test_a_callback_may_close_a_connection_that_has_not_had_its_turn(serve, security):
    members = []

    class Killer(Member):
        def pause_writing(self):
            members[1].transport.disconnect(graceful=False)

    serving = await serve(lambda request: Killer(members))
    address = ("127.0.0.1", serving.port)
    peers = [await dial_upgrade(address, security.client, receive_buffer=8192) for _ in range(2)]
    for member in members:
        await member.until(lambda member=member: member.transport is not None)

    sent = broadcast([member.transport for member in members], WSMsgType.BINARY, bytes(8_000_000))

    assert sent == 1
    for peer in peers:
        peer.close()


async def test_a_mistake_of_the_caller_is_told_before_anything_is_sent(guests):
    pairs = await guests(2)
    everybody = transports(pairs)

    for arguments, error in [
        ((everybody, WSMsgType.CLOSE, b""), ValueError),
        ((everybody, 5, b""), ValueError),
        ((everybody, 11, b""), ValueError),
        ((everybody, WSMsgType.PING, bytes(126)), ValueError),
        ((everybody, WSMsgType.TEXT, 5), TypeError),
        (([*everybody, None], WSMsgType.TEXT, "x"), TypeError),
        (([*everybody, pairs[0][0]], WSMsgType.TEXT, "x"), TypeError),
        ((None, WSMsgType.TEXT, "x"), TypeError),
    ]:
        with pytest.raises(error):
            broadcast(*arguments)
    with pytest.raises(ValueError, match="not fragmented"):
        broadcast(everybody, WSMsgType.PING, b"", fin=False)

    raised = []

    def elsewhere():
        try:
            broadcast(everybody, WSMsgType.TEXT, "x")
        except RuntimeError as exc:
            raised.append(exc)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    await asyncio.to_thread(thread.join)
    assert "broadcast called from a wrong thread" in str(raised[0])

    broadcast(everybody, WSMsgType.TEXT, "the first")
    for _, peer in pairs:
        assert await peer.recv_frame() == Frame(TEXT, b"the first")


def test_nobody_is_nobody():
    assert broadcast([], WSMsgType.TEXT, "hello?") == 0


async def test_the_connections_of_a_server_are_what_it_takes(serve, security):
    members = []
    serving = await serve(lambda request: Member(members))
    peers = [await dial_upgrade(("127.0.0.1", serving.port), security.client) for _ in range(3)]
    for member in members:
        await member.until(lambda member=member: member.transport is not None)

    assert broadcast(serving.server.connections, WSMsgType.TEXT, "everybody") == 3

    for peer in peers:
        assert await peer.recv_frame() == Frame(TEXT, b"everybody")
        peer.close()
