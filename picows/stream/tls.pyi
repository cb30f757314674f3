"""Types of picows.stream.tls; the documentation stands in tls.pyx."""

from typing import Final

from typing_extensions import disjoint_base

from picows.stream.tcp import TcpStream

TLS: Final[str]

@disjoint_base
class TlsStream(TcpStream): ...
