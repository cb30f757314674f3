"""Types of picows.stream.tcp; the documentation stands in tcp.pyx."""

import socket

from picows.stream.base import Stream, StreamOwner

class TcpStream(Stream):
    def __new__(cls, owner: StreamOwner, sock: socket.socket, *args: object) -> TcpStream: ...

def tune_socket(sock: socket.socket) -> None: ...
