"""Types of picows.stream.tls; the documentation stands in tls.pyx."""

import socket
import ssl

from typing_extensions import disjoint_base

from picows.stream.base import StreamOwner
from picows.stream.tcp import TcpStream

@disjoint_base
class TlsStream(TcpStream):
    def __new__(
        cls,
        owner: StreamOwner,
        sock: socket.socket,
        context: ssl.SSLContext,
        server_side: bool,
        server_hostname: str | None,
    ) -> TlsStream: ...
