"""Types of picows.stream.tls; the documentation stands in tls.pyx."""

import socket
import ssl

from picows.stream.base import StreamOwner
from picows.stream.tcp import TcpStream

class TlsStream(TcpStream):
    def __new__(
        cls,
        owner: StreamOwner,
        sock: socket.socket,
        context: ssl.SSLContext,
        server_side: bool,
        server_hostname: str | None,
    ) -> TlsStream: ...
