"""permessage-deflate on real connections: either side of ours against a raw peer that uses zlib itself."""

import zlib

import pytest

from picows import PerMessageDeflate, WSMsgType

from .conftest import gone
from .ws_frames import BINARY, CLOSE, CONT, PING, PONG, TEXT, assert_closes_with, encode
from .ws_listeners import Recorder, Seen

NAME = "permessage-deflate"
TAIL = b"\x00\x00\xff\xff"
HELLO = bytes.fromhex("f248cdc9c90700")  # RFC 7692 7.2.3.1
HELLO_AGAIN = bytes.fromhex("f200110000")  # 7.2.3.2
RSV1 = 4


def squeezed(data):
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH))[: -len(TAIL)]


@pytest.fixture
def open_deflated(open_end):
    """open_end with permessage-deflate agreed on."""

    async def open_one(listener=None, *, extensions=NAME, compression=None, **options):
        compression = compression or PerMessageDeflate()
        return await open_end(listener, extensions=extensions, compression=compression, **options)

    return open_one


# ---------------------------------------------------------------- receiving


async def test_messages_share_a_window_and_fragments_stay_fragments(open_deflated):
    end = await open_deflated()
    encoded = end.peer.encoded
    await end.peer.send_raw(
        encoded(TEXT, HELLO[:3], fin=False, rsv=RSV1)
        + encoded(PING, b"between")
        + encoded(CONT, HELLO[3:])
        + encoded(TEXT, b"plain")
        + encoded(TEXT, HELLO_AGAIN, rsv=RSV1)
    )

    await end.listener.until_frames(4)

    first, second, *others = end.listener.frames
    assert (first.msg_type, first.fin, second.msg_type, second.fin) == (TEXT, False, CONT, True)
    assert first.payload + second.payload == b"Hello"
    assert others == [Seen(TEXT, b"plain"), Seen(TEXT, b"Hello")]
    pong = await end.peer.recv_frame()
    assert (pong.opcode, pong.payload, pong.rsv) == (PONG, b"between", 0)


class Looking(Recorder):
    """Keeps a view of each payload, and what the frame says of itself."""

    def __init__(self):
        super().__init__()
        self.views = []
        self.bits = []

    def on_ws_frame(self, transport, frame):
        self.views.append(frame.get_payload_as_memoryview())
        self.bits.append((frame.rsv1, frame.rsv2, frame.rsv3, frame.payload_size))
        super().on_ws_frame(transport, frame)


async def test_a_kept_view_stays_as_it_was(open_deflated):
    end = await open_deflated(Looking())
    messages = [bytes([number]) * size for number, size in enumerate([5, 70_000, 5, 300_000, 0, 5])]
    for message in messages:  # some in one read, some in many
        await end.peer.send(BINARY, squeezed(message), rsv=RSV1)
    await end.listener.until_frames(len(messages))
    await end.peer.send_raw(
        b"".join(end.peer.encoded(BINARY, squeezed(b"x" * 99), rsv=RSV1) for _ in range(9))
    )
    await end.listener.until_frames(len(messages) + 9)

    end.transport.disconnect(graceful=False)
    await gone(end.transport)

    assert [bytes(view) for view in end.listener.views] == messages + [b"x" * 99] * 9
    assert {bits[:3] for bits in end.listener.bits} == {(False, False, False)}
    assert [bits[3] for bits in end.listener.bits] == [len(view) for view in end.listener.views]


async def test_frames_right_behind_the_handshake_are_inflated(side, open_deflated):
    glued = encode(TEXT, HELLO, rsv=RSV1, is_masked=side == "server")
    end = await open_deflated(glued=glued)

    await end.listener.until_frames(1)

    assert end.listener.frames == [Seen(TEXT, b"Hello")]


@pytest.mark.parametrize(
    ("code", "opcode", "payload", "bits"),
    [
        pytest.param(1007, TEXT, squeezed(b"\xff"), {"rsv": RSV1}, id="not UTF-8"),
        pytest.param(1007, BINARY, b"\x07", {"rsv": RSV1}, id="corrupt"),
        pytest.param(1009, BINARY, squeezed(bytes(1001)), {"rsv": RSV1}, id="too large"),
        pytest.param(1002, PING, b"", {"rsv": RSV1}, id="compressed PING"),
        pytest.param(1002, BINARY, squeezed(b"x"), {"rsv": RSV1 | 1}, id="RSV3"),
        pytest.param(1002, BINARY, squeezed(b"x"), {"rsv": 2}, id="RSV2"),
    ],
)
async def test_what_is_wrong_ends_the_connection(open_deflated, code, opcode, payload, bits):
    end = await open_deflated(compression=PerMessageDeflate(max_message_size=1000))
    encoded = end.peer.encoded
    await end.peer.send_raw(
        encoded(TEXT, HELLO, rsv=RSV1) + encoded(opcode, payload, **bits) + encoded(TEXT, b"never")
    )

    assert_closes_with(await end.peer.recv_close(), code)
    await end.listener.until_event("disconnected")

    assert end.listener.frames == [Seen(TEXT, b"Hello")]
    assert end.transport.disconnect_error.code == code


async def test_a_continuation_with_rsv1_is_1002(open_deflated):
    end = await open_deflated()
    await end.peer.send(TEXT, HELLO[:3], fin=False, rsv=RSV1)
    await end.peer.send(CONT, HELLO[3:], rsv=RSV1)

    assert_closes_with(await end.peer.recv_close(), 1002)


async def test_a_window_that_was_not_to_be_remembered_is_forgotten(side, open_deflated):
    name = f"{'client' if side == 'server' else 'server'}_no_context_takeover"
    end = await open_deflated(
        extensions=f"{NAME}; {name}", compression=PerMessageDeflate(**{name: side == "client"})
    )
    await end.peer.send(TEXT, HELLO, rsv=RSV1)
    await end.peer.send(TEXT, HELLO_AGAIN, rsv=RSV1)

    assert_closes_with(await end.peer.recv_close(), 1007)


async def test_the_size_of_a_frame_on_the_wire_has_its_own_limit(open_deflated):
    end = await open_deflated(max_frame_size=100)
    await end.peer.send(BINARY, squeezed(bytes(50_000)), rsv=RSV1)
    await end.listener.until_frames(1)
    assert len(end.listener.frames[0].payload) == 50_000

    await end.peer.send(BINARY, bytes(101), rsv=RSV1)

    assert_closes_with(await end.peer.recv_close(), 1009)


async def test_lax_connections_inflate_too_and_take_any_text(open_deflated):
    end = await open_deflated(strict=False)
    encoded = end.peer.encoded
    await end.peer.send_raw(
        encoded(TEXT, squeezed(b"\xff"), rsv=RSV1)
        + encoded(BINARY, HELLO[:3], fin=False, rsv=RSV1)
        + encoded(CONT, HELLO[3:], rsv=RSV1)
        + encoded(CONT, b"of nothing", rsv=RSV1)
    )
    await end.listener.until_frames(4)
    assert [seen.payload for seen in end.listener.frames[:1]] == [b"\xff"]
    assert b"".join(seen.payload for seen in end.listener.frames[1:3]) == b"Hello"
    assert end.listener.frames[3].payload == b"of nothing"

    await end.peer.send(BINARY, b"\x07", rsv=RSV1)

    assert_closes_with(await end.peer.recv_close(), 1007)


# ---------------------------------------------------------------- sending


class Reader:
    """What the peer makes of our frames with zlib alone."""

    def __init__(self):
        self._stream = zlib.decompressobj(-15)

    def read(self, frame):
        if not frame.rsv:
            return frame.payload
        return self._stream.decompress(frame.payload + TAIL)


async def test_messages_are_compressed_in_order_with_a_shared_window(open_deflated):
    end = await open_deflated(compression=PerMessageDeflate(threshold=4))
    sent = [b"Hello", b"Hello", b"", b"Hello" * 40_000, b"abc", b"Hello"]
    for message in sent:
        end.transport.send(WSMsgType.TEXT, message)
    end.transport.send_ping(b"Hello")
    end.transport.send_close(1000, b"Hello")

    frames = [await end.peer.recv_frame() for _ in range(len(sent) + 2)]

    reader = Reader()
    assert [frame.rsv for frame in frames] == [4, 4, 0, 4, 0, 4, 0, 0]
    assert [reader.read(frame) for frame in frames[:-2]] == sent
    assert frames[0].payload == HELLO
    assert frames[1].payload == HELLO_AGAIN
    assert [(frame.opcode, frame.payload) for frame in frames[-2:]] == [
        (PING, b"Hello"),
        (CLOSE, b"\x03\xe8Hello"),
    ]


async def test_fragments_are_flushed_one_by_one(open_deflated):
    end = await open_deflated(compression=PerMessageDeflate(threshold=1000))
    parts = [b"fragments are compressed ", b"", b"whatever their size, ", b"fragments"]
    stream = zlib.decompressobj(-15)
    for number, part in enumerate(parts):
        fin = number == len(parts) - 1
        end.transport.send(WSMsgType.CONTINUATION if number else WSMsgType.TEXT, part, fin=fin)

        frame = await end.peer.recv_frame()

        assert (frame.opcode, frame.fin, frame.rsv) == (CONT if number else TEXT, fin, 0 if number else 4)
        assert stream.decompress(frame.payload + (TAIL if fin else b"")) == part


async def test_reused_buffers_are_compressed_too(open_deflated):
    end = await open_deflated()
    end.transport.send(WSMsgType.TEXT, b"Hello", fin=False)
    end.transport.send_reuse_external_bytearray(WSMsgType.CONTINUATION, bytearray(14) + b"Hello", 14)
    end.transport.send_reuse_external_bytearray(WSMsgType.TEXT, bytearray(14) + b"Hello", 14)
    end.transport.send_reuse_external_bytearray(WSMsgType.PING, bytearray(14) + b"Hello", 14)

    frames = [await end.peer.recv_frame() for _ in range(4)]

    stream = zlib.decompressobj(-15)
    assert stream.decompress(frames[0].payload + frames[1].payload + TAIL) == b"HelloHello"
    assert stream.decompress(frames[2].payload + TAIL) == b"Hello"
    assert [frame.rsv for frame in frames] == [4, 0, 4, 0]
    assert frames[3].payload == b"Hello"


@pytest.mark.parametrize("strict", [True, False])
async def test_rsv1_is_not_the_users_any_more(open_deflated, strict):
    end = await open_deflated(strict=strict)

    with pytest.raises(ValueError, match="rsv1"):
        end.transport.send(WSMsgType.TEXT, b"Hello", rsv1=True)
    with pytest.raises(ValueError, match="rsv1"):
        end.transport.send_reuse_external_bytearray(WSMsgType.TEXT, bytearray(20), 14, rsv1=True)
    end.transport.send(WSMsgType.TEXT, b"Hello")

    assert (await end.peer.recv_frame()).payload == HELLO


async def test_rules_hold_for_compressed_messages(open_deflated):
    end = await open_deflated()

    with pytest.raises(ValueError, match="CONTINUATION"):
        end.transport.send(WSMsgType.CONTINUATION, b"of nothing")
    end.transport.send(WSMsgType.TEXT, b"a", fin=False)
    with pytest.raises(ValueError, match="fragments"):
        end.transport.send(WSMsgType.TEXT, b"another")
    with pytest.raises(TypeError):
        end.transport.send(WSMsgType.CONTINUATION, 5)


async def test_a_dead_connection_swallows_sends(open_deflated):
    end = await open_deflated()
    end.transport.disconnect(graceful=False)
    await gone(end.transport)

    end.transport.send(WSMsgType.TEXT, b"Hello")

    assert end.transport.is_disconnected


async def test_compressed_messages_wait_in_a_cork_and_keep_their_order(open_deflated):
    end = await open_deflated()
    sent = [b"Hello", b"Hello" * 1000, b"Hello"]
    with end.transport.cork():
        for message in sent:
            end.transport.send(WSMsgType.TEXT, message)

    reader = Reader()
    frames = [await end.peer.recv_frame() for _ in sent]

    assert [reader.read(frame) for frame in frames] == sent
    assert [frame.rsv for frame in frames] == [RSV1] * 3
