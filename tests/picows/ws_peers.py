"""The other end of a connection, on a blocking socket: speaks frame by frame, or misbehaves on purpose."""

import asyncio
import base64
import fcntl
import hashlib
import os
import socket
import ssl
import struct
import termios
import time

from .ws_frames import CLOSE, decode, encode

# Builds that are many times slower (`make sanitize`, `make freethreaded`) get so many times the time.
PATIENCE = float(os.environ.get("TEST_PATIENCE", "1"))
WAIT_S = 10 * PATIENCE
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept_key(request):
    """Sec-WebSocket-Accept for the key in a request (RFC 6455 4.2.2)."""
    lines = request.split(b"\r\n")
    key = next(
        line.split(b":", 1)[1].strip() for line in lines if line.lower().startswith(b"sec-websocket-key")
    )
    return base64.b64encode(hashlib.sha1(key + _GUID).digest())


def request_bytes(*, path="/", headers=None, method="GET", version="HTTP/1.1"):
    """An upgrade request; a header of None is left out, others are added or replaced."""
    fields = {
        "Host": "127.0.0.1",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
    }
    fields.update(headers or {})
    lines = [f"{method} {path} {version}"]
    lines += [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def unacknowledged(sock):
    """Bytes that the other side's kernel has not taken yet (Linux: SIOCOUTQ)."""
    return struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)))[0]


class RawPeer:
    """A connected blocking socket (perhaps ssl.SSLSocket); its calls run in threads, one at a time."""

    def __init__(self, sock, is_client):
        sock.settimeout(WAIT_S)
        self.sock = sock
        self.is_client = is_client
        self.received = bytearray()

    async def send_raw(self, data):
        await asyncio.to_thread(self.sock.sendall, data)

    async def send(self, opcode, payload=b"", **bits):
        """Send one frame, masked as this side must."""
        await self.send_raw(self.encoded(opcode, payload, **bits))

    def encoded(self, opcode, payload=b"", **bits):
        bits.setdefault("is_masked", self.is_client)
        return encode(opcode, payload, **bits)

    async def recv_some(self):
        """What the socket has; b"" at the end of the stream."""
        try:
            return await asyncio.to_thread(self.sock.recv, 1 << 20)
        except ssl.SSLEOFError:
            return b""

    async def recv_head(self):
        """An HTTP head with its blank line; what follows it stays in `received`."""
        while b"\r\n\r\n" not in self.received:
            data = await self.recv_some()
            if not data:
                raise EOFError(f"the stream ended inside a head: {bytes(self.received)!r}")
            self.received += data
        head, _, rest = bytes(self.received).partition(b"\r\n\r\n")
        self.received = bytearray(rest)
        return head + b"\r\n\r\n"

    async def recv_frame(self):
        """The next frame; None at the end of the stream."""
        while True:
            found = decode(self.received)
            if found is not None:
                del self.received[: found[1]]
                return found[0]
            data = await self.recv_some()
            if not data:
                return None
            self.received += data

    async def recv_frames_to_end(self):
        """All frames up to the end of the stream."""
        frames = []
        while (frame := await self.recv_frame()) is not None:
            frames.append(frame)
        return frames

    async def recv_to_end(self):
        """All bytes up to the end of the stream."""
        while data := await self.recv_some():
            self.received += data
        return bytes(self.received)

    async def recv_close(self):
        """The CLOSE frame, frames before it skipped; None if the stream ends without one."""
        while (frame := await self.recv_frame()) is not None and frame.opcode != CLOSE:
            pass
        return frame

    async def until_taken(self):
        """Wait until the other side's kernel has acknowledged all that was sent."""
        async with asyncio.timeout(WAIT_S):
            while unacknowledged(self.sock):
                await asyncio.sleep(0.001)

    def send_and_reset_at_once(self, data):
        """Blocks the event loop, so that our end finds all of `data` and the reset in one wake-up.

        A reset throws away what the other side's kernel has not taken: `data` must fit its window (64 KiB).
        """
        self.sock.sendall(data)
        deadline = time.monotonic() + WAIT_S
        while unacknowledged(self.sock):
            assert time.monotonic() < deadline, "the data do not fit into the receive window"
            time.sleep(0.001)
        self.reset()

    def end_sending(self):
        """Half-close: our side has ended, we still read. TCP only, TLS gets no close_notify."""
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        self.sock.close()

    def reset(self):
        """Close with a RST instead of a FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class RawListener:
    """A listening socket on loopback for clients under test."""

    def __init__(self, server_context=None, receive_buffer=None):
        self._context = server_context
        self.sock = socket.socket()
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.listen(16)
        self.sock.settimeout(WAIT_S)
        self.port = self.sock.getsockname()[1]
        self.peers = []

    async def accept(self):
        """A connected peer, TLS done, no HTTP yet."""
        peer = await asyncio.to_thread(self._accept)
        self.peers.append(peer)
        return peer

    def _accept(self):
        sock, _ = self.sock.accept()
        sock.settimeout(WAIT_S)
        if self._context is not None:
            sock = self._context.wrap_socket(sock, server_side=True, suppress_ragged_eofs=True)
        return RawPeer(sock, is_client=False)

    async def accept_upgrade(self, *, glued=b"", headers=""):
        """A peer whose client was answered 101; `glued` is sent in the same write."""
        peer = await self.accept()
        peer.request = await peer.recv_head()
        await peer.send_raw(switching(peer.request, headers) + glued)
        return peer

    def close(self):
        self.sock.close()
        for peer in self.peers:
            peer.close()


def switching(request, headers=""):
    """A server's 101 to `request`; headers: further lines, each with its CR LF."""
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept_key(request).decode()}\r\n{headers}\r\n"
    ).encode()


async def dial_raw(address, client_context=None, receive_buffer=None):
    """A raw client, connected, TLS done, no HTTP yet. address: (host, port), or a path for AF_UNIX."""

    def dial():
        sock = socket.socket(socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(WAIT_S)
        sock.connect(address)
        if client_context is not None:
            sock = client_context.wrap_socket(sock, server_hostname="localhost", suppress_ragged_eofs=True)
        return RawPeer(sock, is_client=True)

    return await asyncio.to_thread(dial)


async def dial_upgrade(address, client_context=None, *, glued=b"", receive_buffer=None, **request):
    """A raw client whose upgrade was accepted."""
    peer = await dial_raw(address, client_context, receive_buffer)
    await peer.send_raw(request_bytes(**request) + glued)
    head = await peer.recv_head()
    assert head.startswith(b"HTTP/1.1 101 "), head
    return peer
