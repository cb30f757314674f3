"""Types of picows.stream.openssl; the documentation stands in openssl.pyx."""

import socket
import ssl
from typing import Final, final

from picows.stream.base import StreamOwner
from picows.stream.tls import TlsStream

MISSING: Final[str | None]

def about_to_wrap() -> None: ...
def find_ssl(tls: ssl.SSLObject) -> SslHandle | None: ...

@final
class SslHandle: ...

@final
class RecordPool: ...

@final
class DirectTlsStream(TlsStream):
    def __new__(cls, owner: StreamOwner, sock: socket.socket, handle: SslHandle) -> DirectTlsStream: ...
