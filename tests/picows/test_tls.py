"""TLS records that arrive in any pieces, broken, or with news of their own."""

import asyncio
import contextlib
import gc
import random
import socket
import ssl

import pytest
import pytest_asyncio

import picows
from picows import WSMsgType
from picows.stream.loopio import STREAMS

from .conftest import gone
from .tls_support import SHARES_OPENSSL, RecordListener, implementation
from .ws_frames import BINARY, TEXT, encode
from .ws_listeners import Echo, Recorder

pytestmark = pytest.mark.skipif(STREAMS == "loop", reason="the event loop's own TLS")

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture
def security(tls):
    return tls


@pytest.fixture(params=VERSIONS, ids=["1.2", "1.3"])
def version(request, tls):
    """The version that both sides speak; the contexts are the session's."""
    contexts = (tls.server, tls.client)
    before = [(context.minimum_version, context.maximum_version) for context in contexts]
    for context in contexts:
        context.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED
        context.minimum_version = context.maximum_version = request.param
    yield request.param
    for context, (lowest, highest) in zip(contexts, before, strict=True):
        context.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED
        context.minimum_version, context.maximum_version = lowest, highest


@pytest_asyncio.fixture
async def open_records(tls, connect):
    """open_records(listener) -> (transport, listener, RecordPeer): our client, a hand-made TLS server."""
    accepting = RecordListener(tls.server)

    async def open_one(listener=None):
        listener = Recorder() if listener is None else listener
        peer, (transport, _) = await asyncio.gather(
            accepting.accept_upgrade(), connect(accepting.port, lambda: listener)
        )
        return transport, listener, peer

    yield open_one
    accepting.close()


# ---------------------------------------------------------------- records


async def test_records_arrive_cut_anywhere(version, open_records):
    _, listener, peer = await open_records()
    sent, cuts = [], random.Random(7)

    for round_ in range(120):
        payloads = [bytes([round_]) * cuts.choice([0, 1, 100, 256, 3000]) for _ in range(cuts.randint(1, 3))]
        sent += payloads
        data = b"".join(peer.sealed(encode(BINARY, payload)) for payload in payloads)
        while data:
            step = cuts.choice([1, 2, 3, 4, 5, 6, 21, 22, 23, 280, len(data)])
            await peer.send_raw(data[:step])
            data = data[step:]
            await asyncio.sleep(0)
    await listener.until_frames(len(sent))

    assert [frame.payload for frame in listener.frames] == sent


@pytest.mark.parametrize("size", [1, 16_000, 16_384, 70_000, 2_000_000])
async def test_frames_of_any_size_come_back(version, size, serve, connect):
    serving = await serve()
    transport, listener = await connect(serving.port)
    payload = random.Random(size).randbytes(size)

    for _ in range(3):
        transport.send(WSMsgType.BINARY, payload)
    await listener.until_frames(3)

    assert [frame.payload for frame in listener.frames] == [payload] * 3
    assert transport.underlying_transport.get_extra_info("ssl_object").version() == (
        "TLSv1.2" if version is ssl.TLSVersion.TLSv1_2 else "TLSv1.3"
    )


class Pausing(Recorder):
    """Stops reading at every 100th frame."""

    def on_ws_frame(self, transport, frame):
        super().on_ws_frame(transport, frame)
        if len(self.frames) % 100 == 0:
            transport.underlying_transport.pause_reading()
            self.note("paused")
            asyncio.get_running_loop().call_soon(transport.underlying_transport.resume_reading)


async def test_reading_pauses_and_resumes_between_records(open_records):
    _, listener, peer = await open_records(Pausing())
    payloads = [number.to_bytes(4, "big") * 50 for number in range(5000)]

    await peer.send_raw(b"".join(peer.sealed(encode(BINARY, payload)) for payload in payloads))
    await listener.until_frames(len(payloads))

    assert [frame.payload for frame in listener.frames] == payloads
    assert listener.events.count("paused") == 50


async def test_many_connections_take_turns(serve, connect):
    """Each has OpenSSL's buffers only while it is the one that is busy."""
    serving = await serve()
    pairs = [await connect(serving.port) for _ in range(8)]

    for round_ in range(50):
        for number, (transport, _) in enumerate(pairs):
            transport.send(WSMsgType.BINARY, bytes([round_, number]) * 700)
        await asyncio.gather(*(listener.until_frames(round_ + 1) for _, listener in pairs))

    for number, (_, listener) in enumerate(pairs):
        assert [frame.payload for frame in listener.frames] == [bytes([r, number]) * 700 for r in range(50)]


async def test_half_a_record_survives_that_another_connection_is_busy(open_records):
    """OpenSSL holds a part of a record then: its buffer must not be taken away (CVE-2024-4741)."""
    _, first, first_peer = await open_records()
    _, second, second_peer = await open_records()

    for cut in [*range(1, 30), 500]:
        data = first_peer.sealed(encode(BINARY, b"x" * 600))
        await first_peer.send_raw(data[:cut])
        for _ in range(3):
            await asyncio.sleep(0)
        await second_peer.send_raw(second_peer.sealed(encode(BINARY, b"y" * 600)))
        await second.until_frames(len(first.frames) + 1)
        await first_peer.send_raw(data[cut:])
        await first.until_frames(len(second.frames))

    assert {frame.payload for frame in first.frames} == {b"x" * 600}
    assert {frame.payload for frame in second.frames} == {b"y" * 600}


async def test_a_spoiled_record_ends_the_connection_with_the_error_of_ssl(open_records):
    transport, listener, peer = await open_records()
    good, bad = peer.sealed(encode(TEXT, b"good")), bytearray(peer.sealed(encode(TEXT, b"bad")))
    bad[-1] ^= 1

    await peer.send_raw(good + bytes(bad))
    await listener.until_event("disconnected")

    assert [frame.payload for frame in listener.frames] == [b"good"]
    assert type(transport.disconnect_error) is ssl.SSLError
    assert transport.disconnect_error.reason == "DECRYPTION_FAILED_OR_BAD_RECORD_MAC"
    assert transport.disconnect_error.library == "SSL"
    with pytest.raises(ssl.SSLError, match="BAD_RECORD_MAC"):
        await peer.recv_frame()  # the alert


async def test_plaintext_in_place_of_a_record_ends_the_connection(open_records):
    transport, listener, peer = await open_records()

    await peer.send_raw(b"HTTP/1.1 500 sorry\r\n\r\n")
    await listener.until_event("disconnected")

    assert isinstance(transport.disconnect_error, ssl.SSLError)
    assert transport.disconnect_error.reason == "WRONG_VERSION_NUMBER"


async def test_sends_after_a_broken_record_raise_nothing(open_records):
    transport, listener, peer = await open_records()

    await peer.send_raw(b"\x17\x03\x03\x00\x20" + bytes(32))
    transport.send(WSMsgType.TEXT, b"before")
    await listener.until_event("disconnected")
    transport.send(WSMsgType.TEXT, b"after")

    assert isinstance(transport.disconnect_error, ssl.SSLError)


@pytest.mark.skipif(not SHARES_OPENSSL, reason="the peer calls OpenSSL itself")
async def test_keys_are_updated_in_both_directions(open_records):
    _, _, peer = await open_records(Echo())
    if peer.tls.version() != "TLSv1.3":
        pytest.skip("TLS 1.3 only")

    for number in range(5):
        peer.update_key()
        await peer.send_raw(peer.sealed(encode(BINARY, bytes([number]) * 300)))
        frame = await peer.recv_frame()

        assert frame.payload == bytes([number]) * 300


@pytest.mark.skipif(not SHARES_OPENSSL, reason="the peer calls OpenSSL itself")
@pytest.mark.parametrize("version", VERSIONS[:1], indirect=True, ids=["1.2"])
async def test_a_renegotiation_keeps_every_frame_that_is_sent_meanwhile(version, open_records):
    transport, listener, peer = await open_records()
    count, frames = 200, []

    peer.ask_for_renegotiation()
    await peer.flush()
    for number in range(count):
        transport.send(WSMsgType.BINARY, number.to_bytes(2, "big") * 100)
        if number % 50 == 10:
            frames.append(await peer.recv_frame())
    while len(frames) < count:
        frames.append(await peer.recv_frame())
    await peer.send_raw(peer.sealed(encode(TEXT, b"with new keys")))
    await listener.until_frames(1)

    assert [frame.payload for frame in frames] == [n.to_bytes(2, "big") * 100 for n in range(count)]
    assert listener.frames[0].payload == b"with new keys"


@pytest.mark.skipif(not SHARES_OPENSSL, reason="the peer calls OpenSSL itself")
async def test_a_peer_that_asks_for_new_keys_and_never_reads_does_not_fill_our_memory(open_records):
    transport, listener, peer = await open_records()
    if peer.tls.version() != "TLSv1.3":
        pytest.skip("TLS 1.3 only")
    ours = transport.underlying_transport.get_extra_info("socket")
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    most = 0

    with contextlib.suppress(OSError):  # we hang up on it
        for _ in range(400):
            for _ in range(100):
                peer.update_key()
                peer.tls.do_handshake()
            await peer.flush()
            most = max(most, transport.underlying_transport.get_write_buffer_size())
            await asyncio.sleep(0)
            if "disconnected" in listener.events:
                break

    assert listener.events[-1] == "disconnected"
    assert isinstance(transport.disconnect_error, ConnectionAbortedError)
    assert most < 256 * 1024


@pytest.mark.skipif(not SHARES_OPENSSL, reason="the peer calls OpenSSL itself")
@pytest.mark.parametrize("version", VERSIONS[:1], indirect=True, ids=["1.2"])
async def test_what_waits_for_a_renegotiation_counts_as_queued(version, open_records):
    transport, listener, peer = await open_records()
    size, frames = 1_000, []

    peer.ask_for_renegotiation()
    await peer.send_raw(peer.sealed(encode(TEXT, b"last with the old keys")))
    await listener.until_frames(1)
    while "pause" not in listener.events:
        transport.send(WSMsgType.BINARY, bytes(size))
        frames.append(size)
        assert len(frames) < 1_000
    queued = transport.underlying_transport.get_write_buffer_size()
    received = [len((await peer.recv_frame()).payload) for _ in frames]
    await listener.until(lambda: "resume" in listener.events)

    assert queued > 64 * 1024
    assert received == frames
    assert transport.underlying_transport.get_write_buffer_size() == 0


async def test_close_notify_is_a_clean_end(open_records):
    transport, listener, peer = await open_records()

    with pytest.raises(ssl.SSLWantReadError):
        peer.tls.unwrap()
    await peer.flush()
    await listener.until_event("disconnected")

    assert transport.disconnect_error is None


async def test_the_ssl_object_may_outlive_its_connection(serve, tls):
    serving = await serve()
    # Not through `connect`, which would keep the transport.
    transport, listener = await picows.ws_connect(
        Recorder, f"wss://localhost:{serving.port}", ssl_context=tls.client, family=2
    )
    kept = transport.underlying_transport.get_extra_info("ssl_object")
    is_direct = implementation(transport) == "direct"
    transport.disconnect(graceful=False)
    await gone(transport)
    del transport, listener
    gc.collect()

    for use in (lambda: kept.read(1), lambda: kept.write(b"x"), kept.unwrap):
        # A MemoryBIO goes on taking records for nobody.
        with pytest.raises(OSError) if is_direct else contextlib.suppress(ssl.SSLError):
            use()

    assert kept.getpeercert()["subject"] is not None
