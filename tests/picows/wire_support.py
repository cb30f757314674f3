"""Frames built byte by byte, without the code under test; connections whose other end is a bare socket."""

import asyncio
import base64
import contextlib
import hashlib
import socket

import picows
from picows.parser import FrameParser

TIMEOUT_S = 10
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MASK = b"\x37\xfa\x21\x3d"  # the one of RFC 6455 5.7


def frame(opcode, payload=b"", *, fin=True, rsv=0, mask=None, form=None):
    """One frame. rsv: 4 = RSV1; form: 7, 16 or 64 bits of length, default the shortest."""
    if form is None:
        form = 7 if len(payload) < 126 else 16 if len(payload) < 65536 else 64
    marked = 0x80 if mask is not None else 0
    head = bytes([fin << 7 | rsv << 4 | opcode])
    if form == 7:
        head += bytes([marked | len(payload)])
    elif form == 16:
        head += bytes([marked | 126]) + len(payload).to_bytes(2, "big")
    else:
        head += bytes([marked | 127]) + len(payload).to_bytes(8, "big")
    if mask is not None:
        payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        head += mask
    return head + payload


def close_payload(code, reason=b""):
    return code.to_bytes(2, "big") + reason


def drain(parser):
    """All whole frames as (msg_type, payload, fin), and the error behind them or None."""
    frames = []
    try:
        while (got := parser.next_frame()) is not None:
            frames.append((int(got[0]), got[1], bool(got[2])))
    except picows.WSProtocolError as error:
        return frames, error
    return frames, None


def parse(data, cuts=(), **options):
    """Feed `data` in the pieces that `cuts` makes of it; (frames, error) as `drain` gives them."""
    parser = FrameParser(**options)
    frames, error = [], None
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        parser.feed(data[start:end])
        more, error_now = drain(parser)
        frames += more
        assert error is None or (more == [] and error_now is None), "a failed parser goes on"
        error = error or error_now
    return frames, error


class Recorder(picows.WSListener):
    """Writes down what it is told; `on_frame(transport, frame)` runs inside on_ws_frame."""

    def __init__(self, on_frame=None):
        self.on_frame = on_frame
        self.transport = None
        self.frames = []
        self.errors = []
        self.disconnects = 0
        self.is_connected = asyncio.Event()
        self.is_disconnected = asyncio.Event()
        self._waiters = []

    def on_ws_connected(self, transport):
        self.transport = transport
        self.is_connected.set()

    def on_ws_frame(self, transport, frame):
        self.frames.append((int(frame.msg_type), frame.get_payload_as_bytes(), bool(frame.fin)))
        for waiter, count in self._waiters:
            if len(self.frames) >= count and not waiter.done():
                waiter.set_result(None)
        if self.on_frame is not None:
            try:
                self.on_frame(transport, frame)
            except BaseException as error:
                self.errors.append(error)
                raise

    def on_ws_disconnected(self, transport):
        self.disconnects += 1
        self.is_disconnected.set()

    async def received(self, count):
        """Wait until `count` frames have been delivered."""
        if len(self.frames) < count:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append((waiter, count))
            await asyncio.wait_for(waiter, TIMEOUT_S)
        return self.frames


def accept_for(key):
    return base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())


async def read_head(sock):
    """Read from a bare socket up to the blank line."""
    head = b""
    while b"\r\n\r\n" not in head:
        piece = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 65536), TIMEOUT_S)
        assert piece, f"closed after {head!r}"
        head += piece
    return head


async def read_exactly(sock, size):
    data = b""
    while len(data) < size:
        piece = await asyncio.wait_for(
            asyncio.get_running_loop().sock_recv(sock, size - len(data)), TIMEOUT_S
        )
        assert piece, f"closed after {len(data)} bytes, expected {size}"
        data += piece
    return data


async def read_to_end(sock):
    """Everything up to the end of the stream; a reset is an end, too."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while piece := await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 1 << 20), TIMEOUT_S):
            data += piece
    return data


async def write_all(sock, data):
    await asyncio.wait_for(asyncio.get_running_loop().sock_sendall(sock, data), TIMEOUT_S)


@contextlib.asynccontextmanager
async def client_of_bare_server(listener=None, behind_101=b"", **options):
    """(transport, listener, sock): our client on a socket pair, and the server's end of it, upgraded."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    listener = listener if listener is not None else Recorder()

    async def upgrade():
        head = await read_head(theirs)
        key = next(
            line.split(b": ")[1] for line in head.split(b"\r\n") if line.startswith(b"Sec-WebSocket-Key")
        )
        await write_all(
            theirs,
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept_for(key) + b"\r\n\r\n" + behind_101,
        )

    try:
        connected, _ = await asyncio.gather(
            picows.ws_connect(
                lambda: listener, "ws://test/", socket_factory=lambda host, port: ours, **options
            ),
            upgrade(),
        )
        transport = connected[0]
        try:
            yield transport, listener, theirs
        finally:
            if not transport.is_disconnected:
                transport.disconnect(graceful=False)
            with contextlib.suppress(Exception):
                await asyncio.wait_for(transport.wait_disconnected(), TIMEOUT_S)
    finally:
        theirs.close()


@contextlib.asynccontextmanager
async def server_of_bare_client(factory, **options):
    """(server, sock): our server, and a bare TCP socket that it has upgraded."""
    server = await picows.ws_create_server(factory, "127.0.0.1", 0, **options)
    sock = socket.socket()
    sock.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(sock, server.sockets[0].getsockname())
        await write_all(
            sock,
            b"GET / HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + base64.b64encode(bytes(16)) + b"\r\n\r\n",
        )
        yield server, sock
    finally:
        sock.close()
        server.abort_clients()
        server.close()
        await server.wait_closed()
