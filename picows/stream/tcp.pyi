"""Types of picows.stream.tcp; the documentation stands in tcp.pyx."""

import socket

from typing_extensions import disjoint_base

from picows.stream.base import Stream, StreamOwner

@disjoint_base
class TcpStream(Stream):
    def __new__(cls, owner: StreamOwner, sock: socket.socket, *args: object) -> TcpStream: ...
