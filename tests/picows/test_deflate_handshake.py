"""permessage-deflate is negotiated on real connections, and only where both sides want it."""

import asyncio

import pytest

from picows import (
    PerMessageDeflate,
    WSInvalidHeaderError,
    WSMsgType,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_connect,
    ws_create_server,
)

from .ws_frames import TEXT, assert_closes_with
from .ws_listeners import Recorder, Seen
from .ws_peers import dial_raw, dial_upgrade, request_bytes

NAME = "permessage-deflate"
HELLO = bytes.fromhex("f248cdc9c90700")  # RFC 7692 7.2.3.1
RSV1 = 4


async def test_it_is_off_by_default(side, open_end):
    end = await open_end(extensions=NAME if side == "server" else None)
    end.transport.send(WSMsgType.TEXT, "Hello")
    frame = await end.peer.recv_frame()
    assert (frame.payload, frame.rsv) == (b"Hello", 0)
    assert "Sec-WebSocket-Extensions" not in end.transport.response.headers

    await end.peer.send(TEXT, HELLO, rsv=RSV1)

    assert_closes_with(await end.peer.recv_close(), 1002)


async def test_a_peer_that_does_not_want_it_gets_plain_frames(open_end):
    end = await open_end(compression=PerMessageDeflate())
    end.transport.send(WSMsgType.TEXT, "Hello")
    frame = await end.peer.recv_frame()
    assert (frame.payload, frame.rsv) == (b"Hello", 0)

    await end.peer.send(TEXT, HELLO, rsv=RSV1)

    assert_closes_with(await end.peer.recv_close(), 1002)


async def test_the_agreement_stands_in_the_response(side, open_end):
    end = await open_end(compression=PerMessageDeflate(), extensions=f"{NAME}; server_max_window_bits=10")

    agreed = f"{NAME}; server_max_window_bits=10"
    assert end.transport.response.headers.getall("Sec-WebSocket-Extensions") == [agreed]
    if side == "client":
        assert f"Sec-WebSocket-Extensions: {NAME}; client_max_window_bits\r\n".encode() in end.peer.request


@pytest.mark.parametrize("security", ["plain"], indirect=True)
@pytest.mark.parametrize("answer", [f"{NAME}; x", f"{NAME}, {NAME}", f"{NAME}; server_max_window_bits=16"])
async def test_a_wrong_answer_fails_the_handshake(raw_listener, connect, answer):
    accepting = asyncio.ensure_future(
        raw_listener.accept_upgrade(headers=f"Sec-WebSocket-Extensions: {answer}\r\n")
    )
    with pytest.raises(WSInvalidHeaderError, match="permessage-deflate") as refused:
        await connect(raw_listener.port, compression=PerMessageDeflate())
    await accepting

    assert (refused.value.name, refused.value.value) == ("Sec-WebSocket-Extensions", answer)
    assert refused.value.response.status == 101
    assert answer.encode() in refused.value.raw_header


@pytest.mark.parametrize("security", ["plain"], indirect=True)
async def test_a_server_declines_an_offer_it_does_not_understand(serve):
    serving = await serve(compression=PerMessageDeflate())
    peer = await dial_upgrade(
        ("127.0.0.1", serving.port), headers={"Sec-WebSocket-Extensions": f"{NAME}; x=1"}
    )
    await peer.send(TEXT, b"Hello")

    frame = await peer.recv_frame()

    assert (frame.payload, frame.rsv) == (b"Hello", 0)
    peer.close()


@pytest.mark.parametrize("wrong", [True, "deflate", {}, PerMessageDeflate])
async def test_other_options_are_refused_at_the_door(wrong):
    with pytest.raises(TypeError, match="compression: expected a PerMessageDeflate or None"):
        await ws_connect(Recorder, "ws://127.0.0.1:1/", compression=wrong)
    with pytest.raises(TypeError, match="compression: expected a PerMessageDeflate or None"):
        await ws_create_server(lambda request: Recorder(), "127.0.0.1", 0, compression=wrong)


async def test_an_own_offer_beside_it_is_refused_at_the_door():
    headers = {"Sec-WebSocket-Extensions": NAME}

    with pytest.raises(ValueError, match="leave it out of extra_headers"):
        await ws_connect(
            Recorder, "ws://127.0.0.1:1/", extra_headers=headers, compression=PerMessageDeflate()
        )


@pytest.mark.parametrize("security", ["plain"], indirect=True)
async def test_a_client_may_still_offer_it_by_hand(raw_listener, connect):
    """As before there was `compression`: the user's own header, lax frames, and RSV1 as it comes."""
    headers = {"Sec-WebSocket-Extensions": NAME}
    peer, (transport, listener) = await asyncio.gather(
        raw_listener.accept_upgrade(headers=f"Sec-WebSocket-Extensions: {NAME}\r\n"),
        connect(raw_listener.port, extra_headers=headers, strict=False),
    )
    await peer.send(TEXT, HELLO, rsv=RSV1)
    transport.send(WSMsgType.TEXT, HELLO, rsv1=True)

    await listener.until_frames(1)

    assert listener.frames == [Seen(TEXT, HELLO)]
    assert (await peer.recv_frame())[1:4] == (HELLO, True, RSV1)


OTHER = WSUpgradeResponse.create_101_response({"Sec-WebSocket-Extensions": "x-other", "X-A": "b"})


@pytest.mark.parametrize("security", ["plain"], indirect=True)
async def test_a_factorys_own_answer_is_completed_and_not_changed(serve):
    serving = await serve(
        lambda request: WSUpgradeResponseWithListener(OTHER, Recorder()), compression=PerMessageDeflate()
    )
    for offer, answer in [(f"x-other, {NAME}", f"x-other, {NAME}"), ("x-other", "x-other")]:
        peer = await dial_raw(("127.0.0.1", serving.port))
        await peer.send_raw(request_bytes(headers={"Sec-WebSocket-Extensions": offer}))
        head = await peer.recv_head()
        # RFC 6455 11.3.2: once in a response.
        assert f"Sec-WebSocket-Extensions: {answer}\r\n".encode() in head
        assert head.count(b"Sec-WebSocket-Extensions") == head.count(b"X-A: b") == 1
        peer.close()


@pytest.mark.parametrize("security", ["plain"], indirect=True)
async def test_a_factory_that_answers_it_by_hand_beside_the_option_is_a_500(serve):
    own = WSUpgradeResponse.create_101_response({"Sec-WebSocket-Extensions": NAME})
    serving = await serve(
        lambda request: WSUpgradeResponseWithListener(own, Recorder()), compression=PerMessageDeflate()
    )
    peer = await dial_raw(("127.0.0.1", serving.port))
    await peer.send_raw(request_bytes(headers={"Sec-WebSocket-Extensions": NAME}))

    assert (await peer.recv_head()).startswith(b"HTTP/1.1 500 ")
    peer.close()
