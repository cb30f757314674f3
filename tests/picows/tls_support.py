"""A TLS peer whose records a test holds in its hands: it cuts them, spoils them, keeps them back."""

import asyncio
import ctypes
import ssl
import sys

from .ws_frames import decode
from .ws_peers import WAIT_S, RawListener, switching

KEY_UPDATE_REQUESTED = 1

SHARES_OPENSSL = sys.implementation.name == "cpython" and hasattr(sys.modules["_ssl"], "__file__")


def implementation(transport):
    """How OpenSSL is called: "direct", "memorybio", None without TLS."""
    return transport.underlying_transport.get_extra_info("tls_implementation")


class RecordPeer:
    """The server's side of a connection, its TLS apart from its socket."""

    def __init__(self, sock, context):
        sock.setblocking(False)
        self.sock = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._received = bytearray()

    async def _more(self):
        await self.flush()
        async with asyncio.timeout(WAIT_S):
            data = await asyncio.get_running_loop().sock_recv(self.sock, 1 << 20)
        if not data:
            raise EOFError("our side has closed the connection")
        self._incoming.write(data)

    async def until_done(self, step):
        """Call `step` until it wants no more records."""
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                await self._more()

    async def upgrade(self):
        """Both handshakes; session tickets go out with the answer."""
        await self.until_done(self.tls.do_handshake)
        request = b""
        while b"\r\n\r\n" not in request:
            request += await self.until_done(lambda: self.tls.read(1 << 16))
        self.tls.write(switching(request))
        await self.flush()

    def sealed(self, data):
        """`data` as records, not sent."""
        self.tls.write(data)
        return self._outgoing.read()

    async def send_raw(self, data):
        async with asyncio.timeout(WAIT_S):
            await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def flush(self):
        """Send what TLS has made."""
        if self._outgoing.pending:
            await self.send_raw(self._outgoing.read())

    async def recv_frame(self):
        while (found := decode(self._received)) is None:
            self._received += await self.until_done(lambda: self.tls.read(1 << 16))
        del self._received[: found[1]]
        return found[0]

    def update_key(self):
        """TLS 1.3: change our sending key, and ask the other side to do so (RFC 8446 4.6.3)."""
        assert openssl("SSL_key_update", self.tls, KEY_UPDATE_REQUESTED) == 1

    def ask_for_renegotiation(self):
        """TLS 1.2: a HelloRequest (RFC 5246 7.4.1.1) is made; reading does the rest."""
        assert openssl("SSL_renegotiate", self.tls) == 1
        self.tls.do_handshake()

    def close(self):
        self.sock.close()


def openssl(name, tls, *numbers):
    """Call a function of OpenSSL that Python's ssl module lacks.

    The SSL stands behind the head of the object and its socket, in CPython 3.11 to 3.14.
    """
    word = ctypes.sizeof(ctypes.c_void_p)
    pointer = ctypes.c_void_p.from_address(id(tls._sslobj) + object.__basicsize__ + word)
    function = getattr(ctypes.CDLL(sys.modules["_ssl"].__file__), name)
    return function(pointer, *numbers)


class RecordListener:
    """Where clients under test find a RecordPeer."""

    def __init__(self, context):
        self._context = context
        self._listener = RawListener()
        self.port = self._listener.port
        self.peers = []

    async def accept_upgrade(self):
        sock, _ = await asyncio.to_thread(self._listener.sock.accept)
        peer = RecordPeer(sock, self._context)
        self.peers.append(peer)
        await peer.upgrade()
        return peer

    def close(self):
        self._listener.close()
        for peer in self.peers:
            peer.close()
