"""What holds for any bytes and any cuts: acceptance of the core, point 5."""

import asyncio
import gc
import socket

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import picows
from picows.parser import FrameParser

from .wire_support import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Recorder,
    client_of_bare_server,
    close_payload,
    drain,
    frame,
    parse,
)

CODES = {1002, 1007, 1009}
SIZES = st.one_of(st.integers(0, 140), st.sampled_from([125, 126, 127, 300, 65535, 65536, 70_000]))


@st.composite
def controls(draw):
    return (draw(st.sampled_from([PING, PONG])), draw(st.binary(max_size=125)), True)


@st.composite
def messages(draw):
    """The frames of one message, with control frames in between."""
    kind = draw(st.sampled_from([TEXT, BINARY]))
    if kind == TEXT:
        payload = draw(st.text(max_size=60)).encode() * draw(st.sampled_from([1, 1, 1, 40]))
    else:
        payload = draw(st.binary(max_size=20)) + bytes(draw(SIZES))
    cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=4)))
    frames = []
    for i, (start, end) in enumerate(zip([0, *cuts], [*cuts, len(payload)], strict=True)):
        frames.append(
            (kind if i == 0 else CONTINUATION, payload[start:end], end == len(payload) and i == len(cuts))
        )
        if i < len(cuts):
            frames += draw(st.lists(controls(), max_size=2))
    return frames


@st.composite
def conversations(draw):
    """A valid sequence of frames, perhaps with a CLOSE at its end."""
    frames = [
        one
        for message in draw(st.lists(st.one_of(messages(), controls().map(lambda c: [c])), max_size=6))
        for one in message
    ]
    if draw(st.booleans()):
        reason = draw(st.text(max_size=30)).encode()
        frames.append(
            (CLOSE, draw(st.sampled_from([b"", close_payload(1000, reason), close_payload(4999)])), True)
        )
    return frames


def on_the_wire(frames, mask):
    return b"".join(frame(kind, payload, fin=fin, mask=mask) for kind, payload, fin in frames)


def draw_cuts(data, size):
    return sorted(data.draw(st.lists(st.integers(0, size), max_size=12), label="cuts"))


@given(frames=conversations(), mask=st.one_of(st.none(), st.binary(min_size=4, max_size=4)), data=st.data())
def test_any_valid_sequence_cut_anywhere_gives_the_same_frames(frames, mask, data):
    wire = on_the_wire(frames, mask)

    got = parse(wire, draw_cuts(data, len(wire)), is_client=mask is None)

    assert got == (frames, None)


@given(frames=conversations())
@settings(max_examples=25)
def test_any_valid_sequence_byte_by_byte_gives_the_same_frames(frames):
    wire = on_the_wire(frames, None)[:20_000]
    whole, _ = parse(wire)

    assert parse(wire, range(1, len(wire))) == (whole, None)


@given(wire=st.binary(max_size=300), is_client=st.booleans(), strict=st.booleans(), data=st.data())
@example(b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff" + bytes(100), True, True, None)
def test_any_bytes_give_frames_or_a_documented_error(wire, is_client, strict, data):
    cuts = draw_cuts(data, len(wire)) if data is not None else ()

    frames, error = parse(wire, cuts, is_client=is_client, strict=strict, max_frame_size=200)

    assert error is None or (type(error) is picows.WSProtocolError and error.code in CODES and error.message)
    assert all(len(payload) <= 200 for _, payload, _ in frames)


@given(
    frames=conversations(),
    flips=st.lists(st.tuples(st.integers(0), st.integers(1, 255)), min_size=1, max_size=4),
    data=st.data(),
)
def test_a_damaged_sequence_gives_the_same_answer_however_it_is_cut(frames, flips, data):
    wire = bytearray(on_the_wire(frames, None) + frame(TEXT, b"end"))
    for where, change in flips:
        wire[where % min(len(wire), 400)] ^= change
    wire = bytes(wire)

    whole, error = parse(wire, max_frame_size=100_000)
    pieces, error_of_pieces = parse(wire, draw_cuts(data, len(wire)), max_frame_size=100_000)

    assert pieces == whole
    assert (error_of_pieces is None) == (error is None)
    if error is not None:
        assert (error_of_pieces.code, error_of_pieces.message) == (error.code, error.message)


@given(wire=st.lists(st.binary(min_size=1, max_size=64), max_size=20), strict=st.booleans())
def test_garbage_does_not_make_the_parser_grow(wire, strict):
    parser = FrameParser(strict=strict, max_frame_size=2**40)
    received = 0
    for piece in wire:
        parser.feed(piece)
        received += len(piece)
        drain(parser)

        # An announced length is believed up to 1 MiB, and memory is twice of what came beyond that.
        assert parser.buffered_size <= max(2 * received, 1024 * 1024)


# ----------------------------------------------------------------------------------- two cores back to back


@given(frames=conversations(), is_large=st.booleans(), read_size=st.sampled_from([2048, 16 * 1024]))
@settings(max_examples=30)
def test_frames_that_one_core_writes_are_those_that_the_other_reads(frames, is_large, read_size):
    data_frames = [f for f in frames if f[0] != CLOSE]
    if is_large:
        data_frames.append((BINARY, bytes(range(256)) * 1200, True))

    async def main():
        client, server = Recorder(), Recorder()
        factory_server = await picows.ws_create_server(
            lambda request: server, "127.0.0.1", 0, enable_auto_pong=False, read_buffer_init_size=read_size
        )
        url = f"ws://127.0.0.1:{factory_server.sockets[0].getsockname()[1]}/"
        transport, _ = await picows.ws_connect(lambda: client, url, enable_auto_pong=False)
        for kind, payload, fin in data_frames:
            transport.send(kind, payload, fin=fin)
        assert await server.received(len(data_frames)) == data_frames
        for kind, payload, fin in data_frames:
            server.transport.send(kind, payload, fin=fin)
        assert await client.received(len(data_frames)) == data_frames
        transport.send_close(picows.WSCloseCode.OK, "done")
        transport.disconnect()
        await asyncio.wait_for(transport.wait_disconnected(), 10)
        await asyncio.wait_for(server.is_disconnected.wait(), 10)
        assert server.frames[-1] == (CLOSE, close_payload(1000, b"done"), True)
        factory_server.close()
        await factory_server.wait_closed()

    asyncio.run(main())


@given(frames=conversations())
@settings(max_examples=20)
def test_what_a_client_writes_on_a_socket_pair_parses_to_the_same(frames):
    async def main():
        parser = FrameParser(is_client=False)
        async with client_of_bare_server() as (transport, _, sock):
            got = []
            for kind, payload, fin in frames:
                if kind == CLOSE:
                    continue
                transport.send(kind, payload, fin=fin)
                while not got or got[-1] is not None:
                    got.append(parser.next_frame())
                    if got[-1] is not None:
                        break
                    got.pop()
                    parser.feed(
                        await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 70_000), 10)
                    )
            return [(int(one[0]), one[1], bool(one[2])) for one in got]

    assert asyncio.run(main()) == [f for f in frames if f[0] != CLOSE]


def test_ten_thousand_small_frames_in_one_piece_take_linear_time():
    # 4 MiB at once: moving the rest behind each frame would copy 20 GB.
    parser = FrameParser()
    parser.feed(frame(BINARY, bytes(398)) * 10_000)

    assert sum(1 for _ in iter(parser.next_frame, None)) == 10_000
    assert parser.buffered_size == 0


def test_parsers_leave_nothing_behind():
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(200):
        parse(frame(TEXT, b"x" * 1000) + frame(3), (1, 2, 3, 500))
    gc.collect()

    assert len(gc.get_objects()) - before < 50


@pytest.mark.parametrize("family", ["AF_INET", "AF_UNIX"])
async def test_a_socket_pair_of_either_family_carries_frames(family):
    if family == "AF_UNIX":
        async with client_of_bare_server() as (transport, listener, sock):
            await asyncio.get_running_loop().sock_sendall(sock, frame(TEXT, b"hi"))
            assert await listener.received(1) == [(TEXT, b"hi", True)]
            assert transport.underlying_transport.get_extra_info("socket").family == socket.AF_UNIX
    else:
        server = await picows.ws_create_server(lambda request: Recorder(), "127.0.0.1", 0)
        transport, _ = await picows.ws_connect(
            Recorder, f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        )
        assert transport.underlying_transport.get_extra_info("socket").family == socket.AF_INET
        transport.disconnect(graceful=False)
        await transport.wait_disconnected()
        server.close()
