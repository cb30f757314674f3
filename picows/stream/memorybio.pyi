"""Types of picows.stream.memorybio; the documentation stands in memorybio.pyx."""

import socket
import ssl
from typing import final

from picows.stream.base import StreamOwner
from picows.stream.tls import TlsStream

@final
class MemoryTlsStream(TlsStream):
    def __new__(
        cls,
        owner: StreamOwner,
        sock: socket.socket,
        tls: ssl.SSLObject,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
    ) -> MemoryTlsStream: ...
